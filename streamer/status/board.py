"""Everything the status server shows of a running daemon, gathered when asked. Reads only; holds the last lags."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields
from typing import Protocol

from streamer import __version__
from streamer.clock import Clock
from streamer.complaints import Fault
from streamer.config import BusSettings
from streamer.delays import Delays
from streamer.history import History
from streamer.model import NS_PER_MS, NS_PER_S, Signal, SignalId, align_down, instant_text
from streamer.roster import Member, Roster
from streamer.status.concerns import LAG_TOLERATED_S, Situation, concerns
from streamer.status.holes import hole_views
from streamer.status.owners import Owners
from streamer.status.signals import Found, SignalView, find, look_up
from streamer.status.summary import Snapshot
from streamer.status.timeline import Owned, Timeline, draw
from streamer.status.views import (
    Throttle,
    budget_view,
    fault_view,
    owners_view,
    shard_views,
    track_view,
)


class Watched(Protocol):
    """The daemon, as far as it is shown."""

    roster: Roster

    @property
    def is_ready(self) -> bool:
        """Whether every shard is owned and restored."""
        ...

    @property
    def assigned(self) -> Collection[int]:
        """The shards that it is to own."""
        ...

    @property
    def owned(self) -> Mapping[int, Owned]:
        """The shards that are owned and restored."""
        ...

    @property
    def faults(self) -> Sequence[Fault]:
        """The last faults, the newest first."""
        ...

    @property
    def history(self) -> History:
        """What happened lately."""
        ...

    @property
    def service_now_ns(self) -> int | None:
        """The service's time; None while it is unknown."""
        ...

    def shard_of(self, member: Member) -> int:
        """The shard of a series, whoever owns it."""
        ...

    def snapshot(self) -> Snapshot:
        """The lags."""
        ...


class Board:
    """What is shown of one daemon.

    Args:
        daemon: which.
        throttle: the budget of its credential.
        arrivals: how old samples were when they were first seen.
        clock: dates faults, and lags where the service's time is unknown.
        bus: how many shards there are, and what the ledger may take.
        owners: who owns the shards that this daemon does not.
    """

    def __init__(
        self,
        daemon: Watched,
        throttle: Throttle,
        arrivals: Delays,
        clock: Clock,
        bus: BusSettings,
        owners: Owners,
    ) -> None:
        self._daemon = daemon
        self._throttle = throttle
        self._arrivals = arrivals
        self._clock = clock
        self._bus = bus
        self._owners = owners
        self._holes_since_ns: dict[tuple[str, str], int] = {}
        self._roster = Roster()
        self._signals: dict[SignalId, Signal] = {}

    @property
    def is_ready(self) -> bool:
        """Whether every shard is owned and restored."""
        return self._daemon.is_ready

    def sample(self) -> None:
        """Note the lags, and which holes stand; to be called every ``LAG_EVERY_S``."""
        snapshot = self._daemon.snapshot()
        self._standing_s(snapshot)
        for stream in snapshot.streams:
            self._daemon.history.track(stream.stream).lags_s.append(stream.watermark_lag_s)

    async def renew(self) -> None:
        """Ask for what others have to be asked for: who owns the other shards. Takes a moment at most."""
        await self._owners.renew(self._daemon.assigned)

    async def close(self) -> None:
        """Ask nobody any more."""
        await self._owners.close()

    def status(self) -> dict[str, object]:
        """How everything stands, as JSON's values and dataclasses."""
        daemon, now_ns = self._daemon, self._clock.monotonic_ns()
        owned, snapshot = daemon.owned, daemon.snapshot()
        holes = hole_views(owned.values(), self._catalogued())
        faults = [fault_view(fault, now_ns) for fault in daemon.faults]
        budget = budget_view(self._throttle)
        tracks = [
            track_view(stream.stream, daemon.history.track(stream.stream), self._arrivals)
            for stream in snapshot.streams
        ]
        replica, said = self._owners.replica, self._owners.said
        shards = shard_views(self._bus.shards, owned, daemon.assigned, replica, said)
        situation = Situation(
            snapshot,
            daemon.service_now_ns is not None,
            budget,
            tracks,
            holes.counts,
            self._standing_s(snapshot),
            faults,
            shards,
        )
        return {
            "at": instant_text(align_down(self._clock.wall_ns(), NS_PER_MS)),
            "version": __version__,
            **{field.name: getattr(snapshot, field.name) for field in fields(snapshot)},
            "concerns": concerns(situation),
            "lag_tolerated_s": LAG_TOLERATED_S,
            "tracks": tracks,
            "delay_bounds_s": self._arrivals.bounds_s,
            "ownership": shards,
            "owners": owners_view(replica, said, now_ns),
            "ledger_limit_bytes": int(self._bus.ledger_memory),
            "budget": budget,
            "faults": faults,
            "hole_counts": holes.counts,
            "oldest_holes": holes.oldest,
            "quarantined": holes.quarantined,
        }

    def timeline(self, span: str) -> Timeline:
        """The ledger of the last hours, drawn. KeyError when there is no such span."""
        now_ns = self._daemon.service_now_ns or self._clock.wall_ns()
        return draw(self._daemon.owned.values(), self._daemon.history, now_ns, span)

    def find(self, text: str) -> list[Found]:
        """The wanted series whose tag, name or key contains a text."""
        return find(self._daemon.roster.members, text)

    def signal(self, series: str) -> SignalView | None:
        """What is remembered of a series; None when no stream wants it."""
        return look_up(self._daemon.roster.members, self._daemon.owned, self._daemon.shard_of, series)

    def _catalogued(self) -> dict[SignalId, Signal]:
        if self._roster is not self._daemon.roster:
            self._roster = self._daemon.roster
            self._signals = {member.signal.id: member.signal for member in self._roster.members}
        return self._signals

    def _standing_s(self, snapshot: Snapshot) -> dict[tuple[str, str], float]:
        """For how long each stream has had holes of each cause, as seen from one look to the next."""
        now_ns = self._clock.monotonic_ns()
        seen = {(stream.stream, cause) for stream in snapshot.streams for cause in stream.holes_by_cause}
        self._holes_since_ns = {about: self._holes_since_ns.get(about, now_ns) for about in seen}
        return {about: (now_ns - since_ns) / NS_PER_S for about, since_ns in self._holes_since_ns.items()}
