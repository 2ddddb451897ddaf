"""How the daemon stands, stream by stream, as plain values: for ``/api/status`` and for tables."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from streamer.ledger.ledger import Ledger
from streamer.model import NS_PER_S, Group


@dataclass(slots=True)
class StreamSummary:
    """A stream over all its groups.

    Attributes:
        watermark_lag_s: how far the watermark of the group that is furthest behind is behind the service's time.
        settled_lag_s: the same for what no query will come back to.
        holes: intervals behind the frontier that are not covered.
    """

    stream: str
    series: int = 0
    groups: int = 0
    watermark_lag_s: float = 0.0
    settled_lag_s: float = 0.0
    holes: int = 0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The daemon at one moment.

    Attributes:
        ready: whether every shard is owned and restored.
        shards: those owned.
        streams: one summary a stream; none while the service's time is unknown.
        unknown_signals: configured signals that the catalogue does not know, as ``stream: database:index``.
        clock_skew_s: how far the host's wall clock is ahead of the service's time; None while that is unknown.
    """

    ready: bool
    shards: tuple[int, ...]
    streams: tuple[StreamSummary, ...]
    unknown_signals: tuple[str, ...]
    clock_skew_s: float | None = None


def summarise(parts: Iterable[tuple[Ledger, Iterable[Group]]], now_ns: int) -> list[StreamSummary]:
    """One summary a stream, by name.

    Args:
        parts: each owned ledger with the groups that it serves.
        now_ns: the service's time.
    """
    result: dict[str, StreamSummary] = {}
    for ledger, groups in parts:
        for group in groups:
            summary = result.setdefault(group.stream.name, StreamSummary(group.stream.name))
            place = ledger.place(group.id)
            watermark_ns = place.frontier_ns - group.stream.overlap_ns
            summary.series += len(group.series)
            summary.groups += 1
            summary.holes += len(ledger.holes(group.id))
            summary.watermark_lag_s = max(summary.watermark_lag_s, (now_ns - watermark_ns) / NS_PER_S)
            summary.settled_lag_s = max(summary.settled_lag_s, (now_ns - place.revisited_ns[-1]) / NS_PER_S)
    return [result[stream] for stream in sorted(result)]
