"""What the operator's page shows of the daemon beside its lags, as plain values. Pure.

Made by ``board.py`` from ledgers, history, faults and the budget as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from streamer.complaints import Fault
from streamer.delays import Delays
from streamer.history import Track
from streamer.model import NS_PER_S
from streamer.status.causes import fault_text
from streamer.status.collector import Budget
from streamer.status.timeline import Owned


class Throttle(Budget, Protocol):
    """The budget of the credential."""

    @property
    def rate(self) -> float | None:
        """Starts a second at most; None without a bound."""
        ...

    @property
    def share(self) -> float:
        """The part of the credential's budget that is used here."""
        ...

    @property
    def is_reachable(self) -> bool:
        """Whether the API answered when it was last asked."""
        ...


@dataclass(frozen=True, slots=True)
class BudgetView:
    """Requests to the API: how many are out of how many, and how many wait in each lane.

    Attributes:
        share: the part of the credential's budget that this replica uses.
        rate: starts a second at most; None without a bound.
        held_for_s: until requests may start again; 0 while they may.
    """

    in_flight: int
    limit: int
    share: float
    rate: float | None
    held_for_s: float
    is_reachable: bool
    waiting: dict[str, int]


@dataclass(frozen=True, slots=True)
class TrackView:
    """What came of a stream since this process began.

    Attributes:
        lags_s: of the last ten minutes, the newest last.
        delays: samples by arrival delay: at most each of ``delay_bounds_s``, and more.
        late_share: of the samples, those that came behind the watermark.
    """

    stream: str
    published: int
    late: int
    revised: int
    late_share: float
    lags_s: tuple[float, ...]
    delays: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class FaultView:
    """One fault. ``is_over`` is False for those of which nobody tells when they are over."""

    event: str
    what: str
    cause: str
    remedy: str
    stream: str
    times: int
    last_ago_s: float
    is_over: bool


@dataclass(frozen=True, slots=True)
class ShardView:
    """One shard, seen from this replica. ``owner`` is empty where another replica, or none, has it."""

    shard: int
    owner: str
    series: int = 0
    groups: int = 0
    entries: int = 0
    holes: int = 0


def budget_view(throttle: Throttle) -> BudgetView:
    """How the budget stands."""
    return BudgetView(
        throttle.in_flight,
        throttle.limit,
        throttle.share,
        throttle.rate,
        throttle.held_for_s,
        throttle.is_reachable,
        {lane.name.lower(): waiting for lane, waiting in throttle.waiting.items()},
    )


def track_view(stream: str, track: Track, arrivals: Delays) -> TrackView:
    """What a track says, and the delays with which samples arrived."""
    return TrackView(
        stream,
        track.published,
        track.late,
        track.revised,
        track.late / track.published if track.published else 0.0,
        tuple(round(lag_s, 1) for lag_s in track.lags_s),
        tuple(arrivals.counts(stream)),
    )


def fault_view(fault: Fault, now_ns: int) -> FaultView:
    """A fault, ``now_ns`` of the monotonic clock."""
    ago_s = (now_ns - fault.last_ns) / NS_PER_S
    return FaultView(
        fault.event,
        fault_text(fault.event),
        fault.cause,
        fault.remedy,
        fault.stream,
        fault.times,
        ago_s,
        fault.ended_ns is not None,
    )


def shard_views(owned: Mapping[int, Owned], owner: str, shards: int) -> list[ShardView]:
    """All shards, in order."""
    return [
        ShardView(
            shard,
            owner,
            sum(len(group.series) for group in owned[shard].groups),
            len(owned[shard].groups),
            owned[shard].ledger.entries,
            sum(len(owned[shard].ledger.holes(group.id)) for group in owned[shard].groups),
        )
        if shard in owned
        else ShardView(shard, "")
        for shard in range(shards)
    ]
