"""A daemon as the status room sees it: real ledgers and history, and the rest as a test says."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from streamer.arrival import Advice, Arrival, Bounds, Quantiles
from streamer.complaints import Fault
from streamer.config import BusSettings, StreamSettings
from streamer.errors import BusError
from streamer.history import History
from streamer.ledger.codec import HEAD, Digest, PlaceRecord, encode_head, encode_place, place_key, sealed
from streamer.ledger.ledger import Ledger
from streamer.metrics import Metrics
from streamer.model import NS_PER_S, Group, Lane, Series, Signal, SignalId, Stream
from streamer.roster import Member, Roster
from streamer.status.board import Board
from streamer.status.owners import Owners
from streamer.status.summary import Snapshot, summarise

DATABASE = 7
NOW_NS = 1_768_557_600 * NS_PER_S
"""The service's time: 2026-01-16T10:00:00Z."""

HOLE = tuple[int, int, int, str]
"""Position of the series, start and end in seconds before now, cause."""


def group_of(stream: str, *indexes: int, overlap_s: int = 3) -> Group:
    """A raw group of a stream that is polled each second."""
    policies = Stream(stream, NS_PER_S, overlap_s * NS_PER_S, (15 * NS_PER_S, 120 * NS_PER_S))
    series = tuple(Series(SignalId(DATABASE, index)) for index in indexes)
    return Group(f"{stream}/raw/{indexes[0]}", policies, 0, DATABASE, series)


def ledger_of(group: Group, holes: Sequence[HOLE] = (), *, behind_s: float = 1) -> Ledger:
    """A restored ledger that holds a group, its frontier so far behind now, with holes."""
    frontier_ns = NOW_NS - int(behind_s * NS_PER_S)
    place = PlaceRecord(
        stream=group.stream.name,
        database_id=group.database_id,
        series=[series.name for series in group.series],
        frontier=frontier_ns,
        revisited=[(15 * NS_PER_S, NOW_NS - 20 * NS_PER_S), (120 * NS_PER_S, NOW_NS - 130 * NS_PER_S)],
        floor=0,
        holes=[(at, NOW_NS - start * NS_PER_S, NOW_NS - end * NS_PER_S, cause) for at, start, end, cause in holes],
    )
    records = {place_key(group.id): encode_place(place)}
    head = sealed(Digest.of(records), sequence=1, shard=0, shards=1, partitions=1, owner="one")
    return Ledger.restore(records | {HEAD: encode_head(head)}, shard=0, shards=1, partitions=1, owner="another")


def arrival_of(*, late: int = 0, at_last_look: int = 0, advice: Sequence[Advice] = ()) -> Arrival:
    """How 2000 samples arrived, so many of them late or at the last age only."""
    second, four = Bounds(0.75, 1.0), Bounds(3.0, 4.0)
    quantiles = Quantiles(second, second, four)
    return Arrival(2000, quantiles, quantiles, late, at_last_look, tuple(advice))


@dataclass
class Shard:
    """An owned shard."""

    ledger: Ledger
    groups: tuple[Group, ...]


@dataclass
class FixedThrottle:
    """A budget that stands as a test says."""

    in_flight: int = 1
    limit: int = 4
    rate: float | None = None
    share: float = 1.0
    waiting: dict[Lane, int] = field(default_factory=lambda: dict.fromkeys(Lane, 0))
    held_for_s: float = 0.0
    is_reachable: bool = True


@dataclass
class HandClock:
    """Time passes when a test says so."""

    now_ns: int = 0

    def monotonic_ns(self) -> int:
        return self.now_ns

    def wall_ns(self) -> int:
        return NOW_NS + self.now_ns

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("nothing here sleeps")


@dataclass
class WatchedDaemon:
    """A daemon that serves what it is given."""

    owned: Mapping[int, Shard] = field(default_factory=dict)
    roster: Roster = field(default_factory=Roster)
    is_ready: bool = True
    assigned: Collection[int] = ()
    faults: Sequence[Fault] = ()
    history: History = field(default_factory=History)
    service_now_ns: int | None = NOW_NS
    throttle: FixedThrottle = field(default_factory=FixedThrottle)
    clock: HandClock = field(default_factory=HandClock)
    metrics: Metrics = field(default_factory=Metrics)
    arrivals: Mapping[str, Arrival] = field(default_factory=dict)
    ledger_bytes: int | None = None
    said_by_bus: Mapping[int, str] | BusError | None = field(default_factory=lambda: {1: "pod-b"})
    is_bus_stuck: bool = False
    shard: int = 0

    @classmethod
    def serving(cls, group: Group, holes: Sequence[HOLE] = (), *, behind_s: float = 1) -> WatchedDaemon:
        """One shard with one group; the tag of signal 3 is ``U1/3``."""
        settings = StreamSettings(name=group.stream.name, database_id=DATABASE, all=True)
        members = tuple(
            Member(series, group.stream, settings, Signal(series.signal, tag=f"U1/{series.signal.index}", unit="MW"))
            for series in group.series
        )
        ledger = ledger_of(group, holes, behind_s=behind_s)
        ledger.adopt([group], dict.fromkeys(group.series, 0))
        return cls({0: Shard(ledger, (group,))}, Roster(members))

    def shard_of(self, _: Member) -> int:
        """The one shard that all signals are in."""
        return self.shard

    async def ask_bus(self) -> Mapping[int, str] | None:
        """Who owns the shards, as the bus says."""
        if self.is_bus_stuck:
            await asyncio.Event().wait()
        if isinstance(self.said_by_bus, BusError):
            raise self.said_by_bus
        return self.said_by_bus

    def snapshot(self) -> Snapshot:
        parts = [(shard.ledger, shard.groups) for shard in self.owned.values()]
        streams = () if self.service_now_ns is None else tuple(summarise(parts, self.service_now_ns))
        for stream in streams:
            stream.arrival = self.arrivals.get(stream.stream)
        unknown = tuple(f"{stream}: {signal_id.key}" for stream, signal_id in self.roster.unknown)
        entries = sum(shard.ledger.entries for shard in self.owned.values())
        taken = 40 * entries if self.ledger_bytes is None else self.ledger_bytes
        return Snapshot(self.is_ready, tuple(self.owned), streams, unknown, entries, taken, clock_skew_s=0.25)

    def board(self, shards: int = 1) -> Board:
        """What is shown of it."""
        owners = Owners("pod-a", self.ask_bus, self.clock)
        return Board(self, self.throttle, self.metrics.arrival_delay, self.clock, BusSettings(shards=shards), owners)
