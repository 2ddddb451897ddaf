"""The holes of a daemon as people look at them: counted with what they mean, and the oldest one by one. Pure.

Called by ``board.py`` and ``signals.py``. Tags are the plant's: whoever shows them must treat them as text.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from streamer.ledger.transitions import QUARANTINED
from streamer.model import NS_PER_S, Hole, Signal, SignalId, instant_text
from streamer.status.causes import meaning
from streamer.status.timeline import Owned

MOST_HOLES = 50
"""Shown at most; the oldest ones."""

MOST_QUARANTINED = 50


@dataclass(frozen=True, slots=True)
class HoleCount:
    """How many series of a stream have holes with one cause, since when, and what that means."""

    stream: str
    cause: str
    series: int
    holes: int
    from_: str
    why: str
    remedy: str
    is_routine: bool


@dataclass(frozen=True, slots=True)
class HoleView:
    """One hole."""

    stream: str
    series: str
    tag: str | None
    start: str
    end: str
    span_s: float
    cause: str


@dataclass(frozen=True, slots=True)
class Holes:
    """The holes of all streams: counted, the oldest one by one, and the quarantined signals."""

    counts: tuple[HoleCount, ...]
    oldest: tuple[HoleView, ...]
    quarantined: tuple[HoleView, ...]


def hole_views(owned: Iterable[Owned], signals: Mapping[SignalId, Signal]) -> Holes:
    """All holes, counted by stream and cause and told one by one, the oldest first."""
    found = [
        (group.stream.name, hole) for shard in owned for group in shard.groups for hole in shard.ledger.holes(group.id)
    ]
    found.sort(key=lambda one: one[1].interval)
    quarantined = [one for one in found if one[1].cause == QUARANTINED]
    return Holes(
        tuple(_counted(found)),
        tuple(hole_view(stream, hole, signals) for stream, hole in found[:MOST_HOLES]),
        tuple(hole_view(stream, hole, signals) for stream, hole in quarantined[:MOST_QUARANTINED]),
    )


def hole_view(stream: str, hole: Hole, signals: Mapping[SignalId, Signal]) -> HoleView:
    """A hole, with its signal's tag where the catalogue knows it."""
    signal = signals.get(hole.series.signal)
    start_ns, end_ns = hole.interval
    return HoleView(
        stream,
        hole.series.name,
        signal.tag if signal else None,
        instant_text(start_ns),
        instant_text(end_ns),
        (end_ns - start_ns) / NS_PER_S,
        hole.cause,
    )


def _counted(found: Sequence[tuple[str, Hole]]) -> Iterable[HoleCount]:
    holes = Counter((stream, hole.cause) for stream, hole in found)
    series: dict[tuple[str, str], set[str]] = {}
    first_ns: dict[tuple[str, str], int] = {}
    for stream, hole in found:  # the oldest first
        series.setdefault((stream, hole.cause), set()).add(hole.series.name)
        first_ns.setdefault((stream, hole.cause), hole.interval.start_ns)
    for stream, cause in sorted(holes):
        about, said = (stream, cause), meaning(cause)
        yield HoleCount(stream, cause, len(series[about]), holes[about], instant_text(first_ns[about]), *said)
