"""The ledger of the last hours, drawn: for each stream what is covered, missing, late and revised, column by column.

Pure: called by ``board.py`` with ledgers and history as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import Protocol

from streamer.history import SLOT_NS, History
from streamer.ledger.ledger import Ledger
from streamer.model import NS_PER_MS, Group

SPANS: Mapping[str, tuple[int, int]] = {"15m": (90, 1), "1h": (120, 3), "6h": (120, 18)}
"""How far back a timeline may look: columns, and slots of the history in each."""


class Owned(Protocol):
    """A shard that is owned, as far as it is shown."""

    @property
    def ledger(self) -> Ledger:
        """Its ledger."""
        ...

    @property
    def groups(self) -> tuple[Group, ...]:
        """The groups that it serves."""
        ...


@dataclass(slots=True)
class Strip:
    """One stream. Positions count in columns from the left edge; sequences have one element a column.

    Attributes:
        covered_from: where what this process knows of begins.
        covered_to: the frontier of the group that is furthest behind.
        holes: signals with a hole in the column.
    """

    stream: str
    covered_from: float
    covered_to: float
    published: list[int]
    late: list[int]
    revised: list[int]
    holes: list[int]


@dataclass(frozen=True, slots=True)
class Timeline:
    """All strips over the same time.

    Attributes:
        first_ms: the left edge, since the epoch.
        column_ms: width of a column.
    """

    span: str
    first_ms: int
    column_ms: int
    columns: int
    strips: list[Strip]


def draw(owned: Iterable[Owned], history: History, now_ns: int, span: str) -> Timeline:
    """The timeline up to now. KeyError when there is no such span."""
    columns, slots = SPANS[span]
    column_ns = slots * SLOT_NS
    first_ns = (now_ns // column_ns + 1 - columns) * column_ns
    strips: dict[str, _Strip] = {}
    for shard in owned:
        for group in shard.groups:
            strip = strips.setdefault(group.stream.name, _Strip(first_ns, column_ns, columns))
            strip.take(shard.ledger, group)
    return Timeline(
        span,
        first_ns // NS_PER_MS,
        column_ns // NS_PER_MS,
        columns,
        [strips[stream].drawn(stream, history, slots) for stream in sorted(strips)],
    )


class _Strip:
    """A strip while its groups are gathered; holes as changes from column to column."""

    def __init__(self, first_ns: int, column_ns: int, columns: int) -> None:
        self._first_ns = first_ns
        self._column_ns = column_ns
        self._columns = columns
        self._frontier_ns: int | None = None
        self._changes = [0] * (columns + 1)

    def take(self, ledger: Ledger, group: Group) -> None:
        frontier_ns = ledger.place(group.id).frontier_ns
        self._frontier_ns = min(frontier_ns, self._frontier_ns or frontier_ns)
        last_ns = self._first_ns + self._columns * self._column_ns - 1
        for hole in ledger.holes(group.id):
            start_ns, end_ns = hole.interval
            if end_ns > self._first_ns and start_ns <= last_ns:
                self._changes[(max(start_ns, self._first_ns) - self._first_ns) // self._column_ns] += 1
                self._changes[(min(end_ns - 1, last_ns) - self._first_ns) // self._column_ns + 1] -= 1

    def drawn(self, stream: str, history: History, slots: int) -> Strip:
        track = history.track(stream)
        counts = track.counts(self._first_ns // SLOT_NS, self._columns * slots)
        began_ns = self._first_ns if track.began_ns is None else track.began_ns
        return Strip(
            stream,
            covered_from=self._column_at(began_ns),
            covered_to=self._column_at(self._frontier_ns or self._first_ns),
            published=_summed(counts.published, slots),
            late=_summed(counts.late, slots),
            revised=_summed(counts.revised, slots),
            holes=list(accumulate(self._changes[:-1])),
        )

    def _column_at(self, instant_ns: int) -> float:
        column = (instant_ns - self._first_ns) / self._column_ns
        return round(min(max(column, 0.0), float(self._columns)), 2)


def _summed(counts: Iterable[int], slots: int) -> list[int]:
    found = list(counts)
    return [sum(found[at : at + slots]) for at in range(0, len(found), slots)]
