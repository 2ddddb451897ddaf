"""What a shard says of its samples in the transaction that holds them: completeness, gaps, and the catalogue.

One ``Bulletin`` lives as long as the writer of its shard; the pipeline asks it before each commit. It says nothing that
the ledger does not know, and nothing of a commit that did not succeed: it is dropped with its ledger then.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from streamer.bus import catalogue, completeness, gaps
from streamer.bus.completeness import Statement
from streamer.clock import Clock
from streamer.ledger.ledger import Ledger
from streamer.model import NS_PER_MS, NS_PER_S, Closing, Group, Notice, align_down

COMPLETENESS_EVERY_NS = NS_PER_S
"""A stream's completeness in a shard is stated at most so often, and only when it has changed."""

GAPS_EVERY_NS = 5 * NS_PER_S
"""Holes are looked at so often; one that has stood from one look to the next is told."""


class Bulletin:
    """What one generation of a shard has said, and has to say."""

    def __init__(self, ledger: Ledger, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock
        self._streams: dict[str, list[Group]] = {}
        self._stated: dict[str, tuple[int, Statement]] = {}
        self._signals: dict[str, bytes | None] = {}
        self._gaps_due_ns = 0

    def begin(self, groups: Iterable[Group]) -> None:
        """Speak of the shard's groups, adopted by the ledger, from now on: of every stream with the next commit."""
        for group in groups:
            self._streams.setdefault(group.stream.name, []).append(group)

    def renew(self, signals: Mapping[str, bytes]) -> None:
        """Say with the next commit what is new of what the catalogue says of the shard's signals, by their keys."""
        self._signals |= self._ledger.catalogued.renew(signals)

    def closing(self) -> Closing | None:
        """What the next commit says at its end; None for nothing. The ledger's changes are taken after it."""
        now_ns = self._clock.monotonic_ns()
        is_due = now_ns >= self._gaps_due_ns
        if is_due:
            self._gaps_due_ns = now_ns + GAPS_EVERY_NS
        transitions = self._ledger.tell_gaps(is_due=is_due)
        signals, self._signals = self._signals, {}
        statements = self._statements(now_ns)
        if not (transitions or signals or statements):
            return None
        at_ns = align_down(self._clock.wall_ns(), NS_PER_MS)

        def close(ends: Mapping[int, int]) -> list[Notice]:
            return [
                *(catalogue.notice(key, value, at_ns) for key, value in signals.items()),
                *(gaps.encode(transition, at_ns) for transition in transitions),
                *(completeness.encode(statement, ends, at_ns) for statement in statements),
            ]

        return close

    def _statements(self, now_ns: int) -> list[Statement]:
        statements = []
        for stream, groups in self._streams.items():
            before_ns, before = self._stated.get(stream, (now_ns - COMPLETENESS_EVERY_NS, None))
            if now_ns - before_ns >= COMPLETENESS_EVERY_NS:
                statement = self._statement(stream, groups)
                if statement != before:
                    self._stated[stream] = now_ns, statement
                    statements.append(statement)
        return statements

    def _statement(self, stream: str, groups: Sequence[Group]) -> Statement:
        places = [(group, self._ledger.place(group.id)) for group in groups]
        holes = [hole for group in groups for hole in self._ledger.holes(group.id)]
        statement = Statement(
            stream=stream,
            shard=self._ledger.shard,
            database_ids=tuple(sorted({group.database_id for group in groups})),
            signals=len({series.signal for group in groups for series in group.series}),
            frontier_ns=min(place.frontier_ns for _, place in places),
            watermark_ns=min(place.frontier_ns - group.stream.overlap_ns for group, place in places),
            settled_ns=min(place.revisited_ns[-1] for _, place in places),
            holes=tuple(sorted(holes, key=lambda hole: hole.interval)),
        )
        return completeness.bounded(statement)
