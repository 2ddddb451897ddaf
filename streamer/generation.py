"""One generation: the time that one writer owns a shard, from restoring the ledger to letting go.

Whatever a generation has fetched and not committed ends with it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from streamer.arrival import Arrivals
from streamer.bulletin import Bulletin
from streamer.bus import catalogue
from streamer.bus.events import EventEncoder
from streamer.clock import Clock, ServiceTime
from streamer.complaints import Complaints
from streamer.config import Settings
from streamer.desk import Desk
from streamer.failpoints import failpoint
from streamer.history import History
from streamer.inquiry import Inquiry
from streamer.ledger.ledger import Ledger
from streamer.metrics import Metrics
from streamer.model import Group, Lane, align_down
from streamer.pipeline import Pipeline, Writer
from streamer.planner.groups import arrange
from streamer.planner.pace import Pace, phase_ns
from streamer.planner.quarantine import Quarantine
from streamer.roster import Member
from streamer.rounds import Rounds
from streamer.sizing import LedgerMemory
from streamer.tally import Tally


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all generations of a process share.

    Attributes:
        owner: in whose name ledgers are signed; new at every start of the program.
        arrivals: how late samples are; it outlives what is owned.
        history: told what every commit brought.
        long_queries: bounds, by lane, how many long answers are in memory at once.
        memory: what all ledgers of the process take of what they may.
    """

    settings: Settings
    inquiry: Inquiry
    memory: LedgerMemory
    service_time: ServiceTime
    clock: Clock
    metrics: Metrics
    complaints: Complaints
    arrivals: Arrivals
    long_queries: Mapping[Lane, asyncio.Semaphore]
    owner: str
    history: History


class Partitioned(Protocol):
    """The samples topic, as far as it matters which partition a signal is in."""

    @property
    def partitions(self) -> int:
        """How many there are."""
        ...

    def partition_of(self, key: bytes) -> int:
        """The partition that a key belongs to."""
        ...


class Generation:
    """A shard that is owned and restored."""

    def __init__(
        self,
        around: Surroundings,
        shard: int,
        writer: Writer,
        ledger: Ledger,
        bulletin: Bulletin,
        pipeline: Pipeline,
    ) -> None:
        self.shard = shard
        self.ledger = ledger
        self.groups: tuple[Group, ...] = ()
        self._around = around
        self._writer = writer
        self._bulletin = bulletin
        self._pipeline = pipeline

    @classmethod
    async def begin(
        cls, around: Surroundings, shard: int, writer: Writer, members: Sequence[Member], samples: Partitioned
    ) -> Generation:
        """Restore the ledger of a shard that was just acquired.

        Args:
            around: what is shared.
            shard: the shard.
            writer: its writer, just acquired.
            members: the wanted series of the shard.
            samples: the topic of the events.

        Raises:
            LedgerUntrusted: the stored ledger cannot be believed; nothing was written.
            ConfigurationError: it was written with other shards or partitions; nothing was written.
        """
        settings = around.settings
        records = await writer.restore()
        failpoint("ledger.read")
        ledger = Ledger.restore(
            records, shard=shard, shards=settings.bus.shards, partitions=samples.partitions, owner=around.owner
        )
        has_cloudevents = settings.bus.headers == "cloudevents"
        bulletin = Bulletin(ledger, around.clock)
        pipeline = Pipeline(
            ledger=ledger,
            bulletin=bulletin,
            writer=writer,
            encoders={
                member.series: EventEncoder(
                    member.signal,
                    member.series,
                    member.stream.name,
                    samples.partition_of(member.signal.id.key.encode()),
                    has_cloudevents,
                )
                for member in members
            },
            clock=around.clock,
            tally=Tally(around.metrics, around.service_time, around.history, around.arrivals, around.complaints),
            commit_interval_ns=settings.bus.commit_interval,
        )
        return cls(around, shard, writer, ledger, bulletin, pipeline)

    async def adopt(self, members: Sequence[Member], now_ns: int) -> None:
        """Commit what follows from the configuration, before anything else (rule 10)."""
        known = self.ledger.members()
        parts: dict[object, list[Member]] = {}
        for member in members:
            parts.setdefault((member.stream, member.signal.id.database_id), []).append(member)
        self.groups = tuple(
            group
            for part in parts.values()
            for group in arrange(
                part[0].stream, part[0].signal.id.database_id, self.shard, [member.series for member in part], known
            )
        )
        self.ledger.adopt(self.groups, {member.series: start_ns(member, now_ns) for member in members})
        for group in self.groups:
            self._around.history.began(group.stream.name, self.ledger.place(group.id).frontier_ns)
            self._around.metrics.lost_seconds.labels(group.stream.name)  # there from 0 on: an increase is looked for
        failpoint("ledger.adopted")
        self._bulletin.begin(self.groups)
        self.learn(members)
        await self._pipeline.take_over()
        failpoint("ledger.signed")

    def learn(self, members: Sequence[Member]) -> None:
        """Take note of what the catalogue says of the adopted series now."""
        self.ledger.begins({member.series: member.signal.first_instant_ns for member in members})
        self._bulletin.renew(catalogue_of(members))

    async def hold(self) -> None:
        """Start no commit from now on; return when none is in flight."""
        await self._pipeline.hold()

    def resume(self) -> None:
        """Commit again."""
        self._pipeline.resume()

    async def serve(self, ended: Sequence[asyncio.Event]) -> None:
        """Ask and commit until one of the events is set; then commit what has arrived, unless held, and return."""
        around = self._around
        rounds = Rounds(
            desks=[self._desk(number, group) for number, group in enumerate(self.groups)],
            ledger=self.ledger,
            pipeline=self._pipeline,
            inquiry=around.inquiry,
            memory=around.memory,
            service_time=around.service_time,
            clock=around.clock,
            metrics=around.metrics,
            complaints=around.complaints,
            long_queries=around.long_queries,
        )
        asking = asyncio.create_task(rounds.run())
        committing = asyncio.create_task(self._pipeline.run())
        ending = [asyncio.create_task(event.wait()) for event in ended]
        try:
            await asyncio.wait([asking, committing, *ending], return_when=asyncio.FIRST_COMPLETED)
            if asking.done():
                asking.result()
            if self._pipeline.is_held:
                return
            if not committing.done():
                asking.cancel()
                self._pipeline.drain()
            await committing
        finally:
            for task in (asking, committing, *ending):
                task.cancel()
            await asyncio.gather(asking, committing, *ending, return_exceptions=True)

    def _desk(self, number: int, group: Group) -> Desk:
        holes, frontier_ns = self.ledger.holes(group.id), self.ledger.place(group.id).frontier_ns
        quarantine = Quarantine(group.series, holes, frontier_ns, self._around.clock.monotonic_ns())
        return Desk(group, self._pace(number, group), quarantine)

    def _pace(self, number: int, group: Group) -> Pace:
        interval_ns = group.stream.poll_interval_ns
        number = number * self._around.settings.bus.shards + self.shard
        return Pace(interval_ns, phase_ns(number, interval_ns), self._around.clock.monotonic_ns())


def catalogue_of(members: Sequence[Member]) -> dict[str, bytes]:
    """What the catalogue is told of each signal of which series are wanted, by the signal's key."""
    signals: dict[str, list[Member]] = {}
    for member in members:
        signals.setdefault(member.signal.id.key, []).append(member)
    return {
        key: catalogue.encode(some[0].signal, [(member.stream.name, member.series) for member in some])
        for key, some in signals.items()
    }


def start_ns(member: Member, now_ns: int) -> int:
    """Where a series begins that the ledger does not know (``start`` of its stream), on the stream's grid."""
    start = member.settings.start
    instant_ns = now_ns
    if start.kind == "earliest":
        instant_ns = min(member.signal.first_instant_ns or now_ns, now_ns)
    elif start.kind == "at":
        instant_ns = start.ns
    elif start.kind == "ago":
        instant_ns = now_ns - start.ns
    return align_down(instant_ns, member.stream.quantum_ns)
