"""How the daemon stands, stream by stream, as plain values: for ``/api/status`` and for tables."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from streamer.arrival import Arrival, Arrivals
from streamer.ledger.ledger import Ledger
from streamer.model import NS_PER_S, Group, Stream
from streamer.planner.plan import revisit_slice_ns


@dataclass(slots=True)
class OpenHoles:
    """The open holes of one cause: how many, and how long they are together."""

    count: int = 0
    seconds: float = 0.0


@dataclass(slots=True)
class StreamSummary:
    """A stream over all its groups.

    Attributes:
        watermark_lag_s: how far the watermark of the group that is furthest behind is behind the service's time.
        settled_lag_s: the same for what no query will come back to.
        watermark_lag_expected_s: what the watermark lag comes to when nothing is late.
        settled_lag_expected_s: the same for the settled lag.
        overlap_s: as configured.
        last_age_s: the last of the configured ages.
        holes: intervals behind the frontier that are not covered.
        holes_by_cause: the same by cause.
        arrival: how late samples arrived lately; None before there was any.
    """

    stream: str
    series: int = 0
    groups: int = 0
    watermark_lag_s: float = 0.0
    settled_lag_s: float = 0.0
    watermark_lag_expected_s: float = 0.0
    settled_lag_expected_s: float = 0.0
    overlap_s: float = 0.0
    last_age_s: float = 0.0
    holes: int = 0
    holes_by_cause: dict[str, OpenHoles] = field(default_factory=dict)
    arrival: Arrival | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The daemon at one moment.

    Attributes:
        ready: whether every shard is owned and restored.
        shards: those owned.
        streams: one summary a stream; none while the service's time is unknown.
        unknown_signals: configured signals that the catalogue does not know, as ``stream: database:index``.
        ledger_entries: samples that the owned ledgers remember.
        ledger_bytes: what they take of ``bus.ledger_memory``.
        clock_skew_s: how far the host's wall clock is ahead of the service's time; None while that is unknown.
    """

    ready: bool
    shards: tuple[int, ...]
    streams: tuple[StreamSummary, ...]
    unknown_signals: tuple[str, ...]
    ledger_entries: int
    ledger_bytes: int
    clock_skew_s: float | None = None


def summarise(
    parts: Iterable[tuple[Ledger, Iterable[Group]]], now_ns: int, arrivals: Arrivals | None = None
) -> list[StreamSummary]:
    """One summary a stream, by name.

    Args:
        parts: each owned ledger with the groups that it serves.
        now_ns: the service's time.
        arrivals: how late samples are.
    """
    result: dict[str, StreamSummary] = {}
    for ledger, groups in parts:
        for group in groups:
            summary = result.setdefault(group.stream.name, _beginning(group.stream))
            place = ledger.place(group.id)
            watermark_ns = place.frontier_ns - group.stream.overlap_ns
            summary.series += len(group.series)
            summary.groups += 1
            summary.watermark_lag_s = max(summary.watermark_lag_s, (now_ns - watermark_ns) / NS_PER_S)
            summary.settled_lag_s = max(summary.settled_lag_s, (now_ns - place.revisited_ns[-1]) / NS_PER_S)
            for hole in ledger.holes(group.id):
                summary.holes += 1
                alike = summary.holes_by_cause.setdefault(hole.cause, OpenHoles())
                alike.count += 1
                alike.seconds += (hole.interval.end_ns - hole.interval.start_ns) / NS_PER_S
    if arrivals is not None:
        for stream, summary in result.items():
            summary.arrival = arrivals.of(stream)
    return [result[stream] for stream in sorted(result)]


def _beginning(stream: Stream) -> StreamSummary:
    """A stream without its groups: what of it is configured."""
    last_age_ns = stream.lookback_ns[-1]
    watermark_lag_ns = stream.overlap_ns + stream.poll_interval_ns + stream.whole_after_ns
    return StreamSummary(
        stream.name,
        watermark_lag_expected_s=watermark_lag_ns / NS_PER_S,
        settled_lag_expected_s=(last_age_ns + revisit_slice_ns(stream) + stream.poll_interval_ns) / NS_PER_S,
        overlap_s=stream.overlap_ns / NS_PER_S,
        last_age_s=last_age_ns / NS_PER_S,
    )
