"""The long-running part: when to start, what to own, when to begin anew, and how to stop.

The daemon stays up through everything that can pass: an unreachable API or broker, a refused credential, a
failed commit. It ends when it is told to, when another instance has taken its shards, or when the stored ledger
cannot be believed.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from random import Random
from typing import Protocol

import structlog

from streamer import ownership
from streamer.arrival import Arrivals
from streamer.clock import Clock, ServiceTime
from streamer.complaints import Complaints, Fault
from streamer.config import Settings
from streamer.errors import SourceError
from streamer.generation import Generation, Surroundings
from streamer.history import History
from streamer.inquiry import Inquiry
from streamer.metrics import Metrics
from streamer.model import NS_PER_S, Lane, Signal
from streamer.ownership import Membership, Ownership, Wanted
from streamer.patience import Patience
from streamer.pipeline import Source
from streamer.roster import Member, Roster, call_roll
from streamer.rounds import LONG_QUERIES, TIME_REMEDY
from streamer.sizing import BYTES_A_SAMPLE, LedgerMemory, density, groups_of, needed_bytes, refuse_unless_it_fits
from streamer.status.summary import Snapshot, summarise

CATALOGUE_EVERY_S = 300.0
"""How often the catalogue is read again; a new signal of a ``match`` appears within it."""

DRAIN_S = 4.0
"""After SIGTERM, for commits, which take milliseconds. What is not committed by then is fetched again.

Kubernetes and the contract give 10 s; the rest is for ending what was left open, and for leaving the group.
"""

_log = structlog.get_logger(__name__)


class Api(Source, Protocol):
    """The API: the source of answers and of the catalogue."""

    async def measurements(self) -> list[Signal]:
        """The catalogue. Raises a SourceError when it cannot be had."""
        ...


class Bus(ownership.Bus, Protocol):
    """Where events and ledger go, in one transaction a shard."""

    async def open(self) -> None:
        """Connect, and create or check what must be there."""
        ...

    def membership(self) -> Membership:
        """What decides which shards this process owns."""
        ...


class Daemon:
    """One instance of the program. ``ownership`` and ``roster`` are for those who show its state.

    Args:
        settings: the whole configuration.
        api: the source.
        bus: where events and ledger go.
        service_time: fed by the source.
        clock: times the catalogue and pauses.
        metrics: what is counted.
        random: jitter, and the name of this instance.
        on_share: told which part of all shards this process is to own, whenever that is decided anew.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        api: Api,
        bus: Bus,
        service_time: ServiceTime,
        clock: Clock,
        metrics: Metrics,
        random: Random,
        on_share: Callable[[float], None] = lambda share: None,
    ) -> None:
        self._settings = settings
        self._api = api
        self._bus = bus
        self._clock = clock
        self._complaints = Complaints(clock)
        self._patience = Patience(clock, random, self._complaints)
        self._around = Surroundings(
            settings=settings,
            inquiry=Inquiry(api, clock, metrics),
            memory=LedgerMemory(int(settings.bus.ledger_memory), self._complaints),
            service_time=service_time,
            clock=clock,
            metrics=metrics,
            complaints=self._complaints,
            arrivals=Arrivals(metrics.arrival_delay),
            long_queries={lane: asyncio.Semaphore(LONG_QUERIES) for lane in Lane},
            owner=uuid.UUID(int=random.getrandbits(128), version=4).hex,
            history=History(),
        )
        self._stopping = asyncio.Event()
        self._renewed = asyncio.Event()
        self.roster = Roster()
        self.ownership = Ownership(
            self._around,
            bus=bus,
            membership=bus.membership(),
            patience=self._patience,
            wanted=self._wanted,
            service_now=self._service_now,
            on_assigned=lambda count: on_share(count / settings.bus.shards),
        )

    @property
    def is_ready(self) -> bool:
        """Whether it was decided which shards this process owns, and all of them are owned and restored."""
        return self.ownership.is_ready

    @property
    def assigned(self) -> Collection[int]:
        """The shards that this process is to own."""
        return self.ownership.assigned

    @property
    def owned(self) -> Mapping[int, Generation]:
        """The shards that are owned and restored."""
        return self.ownership.generations

    @property
    def faults(self) -> Sequence[Fault]:
        """The last faults, the newest first."""
        return self._complaints.faults

    @property
    def history(self) -> History:
        """What was published and missing lately."""
        return self._around.history

    @property
    def service_now_ns(self) -> int | None:
        """The service's time; None while it is unknown."""
        return self._around.service_time.now_ns()

    def snapshot(self) -> Snapshot:
        """How everything stands now."""
        now_ns, ahead_ns = self._around.service_time.now_ns(), self._around.service_time.host_ahead_ns()
        owned = self.ownership.generations
        parts = [(generation.ledger, generation.groups) for generation in owned.values()]
        entries = sum(generation.ledger.entries for generation in owned.values())
        return Snapshot(
            ready=self.is_ready,
            shards=tuple(sorted(owned)),
            streams=() if now_ns is None else tuple(summarise(parts, now_ns, self._around.arrivals)),
            unknown_signals=tuple(f"{stream}: {signal_id.key}" for stream, signal_id in self.roster.unknown),
            ledger_entries=entries,
            ledger_bytes=entries * BYTES_A_SAMPLE,
            clock_skew_s=None if ahead_ns is None else ahead_ns / NS_PER_S,
        )

    def shard_of(self, member: Member) -> int:
        """The shard of a series, whoever owns it."""
        return self._bus.partition_of(member.signal.id.key.encode()) % self._settings.bus.shards

    def stop(self) -> None:
        """Ask the daemon to drain: commit what has arrived, start nothing new."""
        self._stopping.set()

    async def run(self) -> None:
        """Run until stopped.

        Raises:
            ShardTaken: another instance writes one of the shards.
            LedgerUntrusted: a stored ledger cannot be believed.
            ConfigurationError: the bus does not fit the configuration, or the ledger what it may take.
        """
        work = asyncio.create_task(self._work())
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait({work, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                await asyncio.wait({work}, timeout=DRAIN_S if self.ownership.generations else 0)
            if work.done():
                work.result()
        finally:
            work.cancel()
            stopping.cancel()
            await asyncio.gather(work, stopping, return_exceptions=True)
        _log.info("daemon.drained")

    async def _work(self) -> None:
        await _until_all_end(
            [self._patience.persist("bus.unreachable", "bus.reached", self._bus.open), self._call_roll()]
        )
        await _until_all_end([self._check_size()])
        await _until_all_end([self.ownership.run(self._stopping)], beside=[self._renew_roster()])

    def _wanted(self, shard: int) -> Wanted:
        return [member for member in self.roster.members if self.shard_of(member) == shard], self._renewed

    async def _call_roll(self) -> None:
        signals = await self._patience.persist("source.unreachable", "source.reached", self._api.measurements)
        roster, before = call_roll(self._settings, signals), self.roster
        self.roster = roster
        if roster == before:
            return
        self._complain_of(roster, before)
        _log.info("roster.called", series=len(roster.members), unknown=len(roster.unknown))

    def _complain_of(self, roster: Roster, before: Roster) -> None:
        """Say what is wanted and cannot be had, and what of that can be had now."""
        complaints = self._complaints
        for stream, signal_id in roster.unknown:
            cause, remedy = f"{stream}: {signal_id.key}", "See: streamer signals."
            complaints.say("roster.signal_unknown", cause, who=cause, stream=stream, remedy=remedy)
        for stream, signal_id in before.unknown:
            if (stream, signal_id) not in roster.unknown:
                complaints.over("roster.signal_unknown", "roster.signals_known", who=f"{stream}: {signal_id.key}")
        for stream, series in roster.contested:
            cause, remedy = f"{stream}: {series.name}", "Leave it in one stream."
            complaints.say("roster.series_contested", cause, who=cause, stream=stream, remedy=remedy)
        for stream, series in before.contested:
            if (stream, series) not in roster.contested:
                complaints.over("roster.series_contested", "roster.series_uncontested", who=f"{stream}: {series.name}")

    async def _check_size(self) -> None:
        """Raise ConfigurationError when the ledger of all series cannot fit (rule 12).

        Where the density of a raw stream cannot be learned now, its ledger is only watched as it grows.
        """
        groups = groups_of(self.roster.members, self.shard_of)
        raw = [group for group in groups if group.stream.resample_period_ns is None]
        now_ns = self._around.service_time.now_ns()
        samples_a_second: Mapping[str, float] = {}
        if raw and now_ns is not None:
            try:
                samples_a_second = (await density(self._api, raw, now_ns, self._clock)).samples_a_second
            except SourceError as exc:
                self._complaints.say("source.density_unknown", exc.what, remedy=exc.remedy)
        needed = needed_bytes(self.roster.members, samples_a_second)
        refuse_unless_it_fits(needed, int(self._settings.bus.ledger_memory))

    async def _renew_roster(self) -> None:
        while True:
            await self._clock.sleep(CATALOGUE_EVERY_S)
            before = self.roster
            await self._call_roll()
            if self.roster != before:
                self._renewed.set()
                self._renewed = asyncio.Event()
                continue
            for shard, generation in self.ownership.generations.items():
                generation.learn(self._wanted(shard)[0])

    async def _service_now(self) -> int:
        """The service's time, learned from the catalogue when the bound is too old."""
        service_time = self._around.service_time
        while (now_ns := service_time.now_ns()) is None:
            await self._patience.persist("source.unreachable", "source.reached", self._api.measurements)
            if service_time.now_ns() is None:
                self._complaints.say("source.time_unknown", service_time.why_unknown, remedy=TIME_REMEDY)
                await self._patience.pause(10)
        return now_ns


async def _until_all_end(parts: Sequence[Awaitable[None]], beside: Sequence[Awaitable[None]] = ()) -> None:
    """Run parts until all are done, and others beside them; the first failure of any ends all and is raised bare."""
    awaited = [asyncio.ensure_future(part) for part in parts]
    running = [*awaited, *(asyncio.ensure_future(part) for part in beside)]
    try:
        while not all(part.done() for part in awaited):
            pending = [part for part in running if not part.done()]
            await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            for part in pending:
                if part.done():
                    part.result()
    finally:
        for part in running:
            part.cancel()
        await asyncio.gather(*running, return_exceptions=True)
