"""What the operator's page shows of the daemon beside its lags, as plain values. Pure.

Made by ``board.py`` from ledgers, history, faults and the budget as they are.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from streamer.complaints import Fault
from streamer.delays import Delays
from streamer.history import Track
from streamer.model import NS_PER_S
from streamer.status.causes import fault_text
from streamer.status.collector import Budget
from streamer.status.owners import Said
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
class OwnersView:
    """How well the owners of shards are known.

    Attributes:
        replica: what this one is called.
        asked_ago_s: how old is what is said of the others; None while nothing is known.
        fault: why it is not known.
    """

    replica: str
    asked_ago_s: float | None
    fault: str


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


State = Literal["here", "restoring", "elsewhere", "nobody", "deciding", "unknown"]
"""Of a shard: owned here and restored; to be owned here; owned by another replica; by none; the group decides anew; it
cannot be told."""


@dataclass(frozen=True, slots=True)
class ShardView:
    """One shard, seen from this replica; its counts are known where the shard is here.

    Attributes:
        owner: what the replica is called; empty where there is none, or it is not known.
    """

    shard: int
    owner: str
    state: State
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


def owners_view(replica: str, said: Said | None, now_ns: int) -> OwnersView:
    """What was said of the owners, ``now_ns`` of the monotonic clock."""
    if said is None:
        return OwnersView(replica, None, "")
    return OwnersView(replica, (now_ns - said.at_ns) / NS_PER_S, said.fault)


def shard_views(
    shards: int, owned: Mapping[int, Owned], assigned: Collection[int], replica: str, said: Said | None
) -> list[ShardView]:
    """All shards, in order.

    Of those that it serves a replica knows best; what the bus said a few seconds ago counts for all others.

    Args:
        shards: how many there are.
        owned: those that are owned here and restored.
        assigned: those that this replica is to own.
        replica: what it is called.
        said: of all shards, by the bus; None while nothing is known.
    """
    views = []
    for shard in range(shards):
        view = _here(shard, replica, owned[shard]) if shard in owned else _there(shard, said)
        if shard in assigned and shard not in owned and view.owner in ("", replica):
            view = ShardView(shard, replica, "restoring")
        views.append(view)
    return views


def _here(shard: int, replica: str, owned: Owned) -> ShardView:
    return ShardView(
        shard,
        replica,
        "here",
        sum(len(group.series) for group in owned.groups),
        len(owned.groups),
        owned.ledger.entries,
        sum(len(owned.ledger.holes(group.id)) for group in owned.groups),
    )


def _there(shard: int, said: Said | None) -> ShardView:
    if said is None or said.fault:
        return ShardView(shard, "", "unknown")
    if said.owners is None:
        return ShardView(shard, "", "deciding")
    owner = said.owners.get(shard, "")
    return ShardView(shard, owner, "elsewhere" if owner else "nobody")
