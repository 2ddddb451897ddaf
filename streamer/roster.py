"""Which series are wanted: the configured streams against the catalogue. Pure.

Called by the daemon whenever it has read the catalogue, and by ``check`` and ``signals``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from streamer.config import Settings, StreamSettings
from streamer.model import Series, Signal, SignalId, Stream
from streamer.source.catalogue import Catalogue, Match

DEFAULT_AGGREGATION = "mean"
"""For a resampled signal whose catalogue entry names no ``defaultAgg``."""


@dataclass(frozen=True, slots=True)
class Member:
    """One wanted series, the stream that it belongs to, and what the catalogue says of its signal."""

    series: Series
    stream: Stream
    settings: StreamSettings
    signal: Signal


@dataclass(frozen=True, slots=True)
class Roster:
    """All wanted series.

    Attributes:
        members: each series once, stream by stream.
        unknown: signals that the configuration names and the catalogue does not know, with their stream's name.
        contested: series that a second stream wants too, with that stream's name; the first one has them.
    """

    members: tuple[Member, ...] = ()
    unknown: tuple[tuple[str, SignalId], ...] = ()
    contested: tuple[tuple[str, Series], ...] = ()


def call_roll(settings: Settings, signals: Sequence[Signal]) -> Roster:
    """The roster that the configured streams and the catalogue give."""
    catalogue = Catalogue(signals)
    members: dict[Series, Member] = {}
    unknown: list[tuple[str, SignalId]] = []
    contested: list[tuple[str, Series]] = []
    for configured in settings.streams:
        match = Match(**configured.match.model_dump()) if configured.match else None
        selection = catalogue.select(configured.database_id, indexes=configured.signals, match=match)
        unknown += ((configured.name, signal_id) for signal_id in selection.unknown)
        for signal in selection.found:
            stream = _stream(configured, signal)
            series = Series(signal.id, stream.aggregation, stream.resample_period_ns)
            if series in members:
                contested.append((configured.name, series))
            else:
                members[series] = Member(series, stream, configured, signal)
    return Roster(tuple(members.values()), tuple(unknown), tuple(contested))


def _stream(configured: StreamSettings, signal: Signal) -> Stream:
    aggregation = None
    if configured.resample_period is not None:
        aggregation = configured.aggregation
        if aggregation == "default":
            aggregation = signal.default_aggregation or DEFAULT_AGGREGATION
    return Stream(
        name=configured.name,
        poll_interval_ns=configured.poll_interval,
        overlap_ns=configured.overlap,
        lookback_ns=tuple(configured.lookback),
        settle_ns=configured.settle,
        group_size=configured.group_size,
        has_null_events=configured.nulls == "publish",
        is_live_first=configured.catch_up == "live_first",
        aggregation=aggregation,
        resample_period_ns=configured.resample_period,
    )
