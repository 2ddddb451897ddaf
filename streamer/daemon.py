"""The long-running part: when to start, what to own, when to begin anew, and how to stop.

The daemon stays up through everything that can pass: an unreachable API or broker, a refused credential, a
failed commit. It ends when it is told to, when another instance has taken its shards, or when the stored ledger
cannot be believed.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Sequence
from random import Random
from typing import Protocol, TypeVar

import structlog

from streamer.clock import Clock, ServiceTime
from streamer.complaints import Complaints
from streamer.config import Settings
from streamer.errors import BusError, OutcomeUnknown, ShardTaken, SourceError
from streamer.failpoints import failpoint
from streamer.generation import Generation, Surroundings
from streamer.ledger.codec import HEAD, decode_head
from streamer.metrics import Metrics
from streamer.model import Signal
from streamer.pipeline import Source, Writer
from streamer.roster import Member, Roster, call_roll
from streamer.status.summary import Snapshot, summarise

CATALOGUE_EVERY_S = 300.0
"""How often the catalogue is read again; a new signal of a ``match`` appears within it."""

DRAIN_S = 8.0
"""After SIGTERM: Kubernetes and the contract give 10 s; what is not committed by then is fetched again."""

LONG_QUERIES = 8
"""Questions that may hold long answers in memory at once: two for each request in flight."""

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 5.0
"""Between attempts to reach the API or the bus, with full jitter."""

_log = structlog.get_logger(__name__)
_T = TypeVar("_T")


class Api(Source, Protocol):
    """The API: the source of answers and of the catalogue."""

    async def measurements(self) -> list[Signal]:
        """The catalogue. Raises a SourceError when it cannot be had."""
        ...


class Bus(Protocol):
    """Where events and ledger go, in one transaction a shard."""

    async def open(self) -> None:
        """Connect, and create or check what must be there."""
        ...

    async def acquire(self, shard: int) -> Writer:
        """Become the one writer of a shard."""
        ...

    async def read_state(self, shard: int) -> dict[bytes, bytes]:
        """The state records of a shard as last committed, without becoming its writer."""
        ...

    def partition_of(self, key: bytes) -> int:
        """The partition of the samples topic that a key belongs to."""
        ...


class Daemon:
    """One instance of the program. ``owned`` and ``roster`` are for those who show its state."""

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
    ) -> None:
        self._settings = settings
        self._api = api
        self._bus = bus
        self._clock = clock
        self._random = random
        self._complaints = Complaints(clock)
        self._owner = uuid.UUID(int=random.getrandbits(128), version=4).hex
        self._around = Surroundings(
            settings=settings,
            source=api,
            service_time=service_time,
            clock=clock,
            metrics=metrics,
            complaints=self._complaints,
            long_queries=asyncio.Semaphore(LONG_QUERIES),
            owner=self._owner,
        )
        self._stopping = asyncio.Event()
        self._renewed = asyncio.Event()
        self._signed: set[int] = set()
        self.roster = Roster()
        self.owned: dict[int, Generation] = {}

    @property
    def is_ready(self) -> bool:
        """Whether every shard is owned and restored."""
        return len(self.owned) == self._settings.bus.shards

    def snapshot(self) -> Snapshot:
        """How everything stands now."""
        now_ns = self._around.service_time.now_ns()
        parts = [(generation.ledger, generation.groups) for generation in self.owned.values()]
        return Snapshot(
            ready=self.is_ready,
            shards=tuple(sorted(self.owned)),
            streams=() if now_ns is None else tuple(summarise(parts, now_ns)),
            unknown_signals=tuple(f"{stream}: {signal_id.key}" for stream, signal_id in self.roster.unknown),
        )

    def stop(self) -> None:
        """Ask the daemon to drain: commit what has arrived, start nothing new."""
        self._stopping.set()

    async def run(self) -> None:
        """Run until stopped.

        Raises:
            ShardTaken: another instance writes one of the shards.
            LedgerUntrusted: a stored ledger cannot be believed.
            ConfigurationError: the bus does not fit the configuration.
        """
        work = asyncio.create_task(self._work())
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait({work, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                await asyncio.wait({work}, timeout=DRAIN_S if self.owned else 0)
            if work.done():
                work.result()
        finally:
            work.cancel()
            stopping.cancel()
            await asyncio.gather(work, stopping, return_exceptions=True)
        _log.info("daemon.drained")

    async def _work(self) -> None:
        await _until_all_end([self._persist("bus.unreachable", "bus.reached", self._bus.open), self._call_roll()])
        shards = range(self._settings.bus.shards)
        await _until_all_end([self._own(shard) for shard in shards], beside=[self._renew_roster()])

    async def _persist(self, fault: str, recovered: str, attempt: Callable[[], Awaitable[_T]]) -> _T:
        """The result of an attempt that is repeated until the outside world allows it."""
        failures = 0
        while True:
            try:
                result = await attempt()
            except ShardTaken:
                raise
            except (SourceError, BusError) as exc:
                self._complaints.say(fault, exc.what, remedy=exc.remedy)
                await self._pause(failures)
                failures += 1
            else:
                self._complaints.over(fault, recovered)
                return result

    async def _pause(self, failures: int) -> None:
        ceiling_s = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** min(failures, 10))
        await self._clock.sleep(self._random.uniform(ceiling_s / 10, ceiling_s))

    async def _call_roll(self) -> None:
        signals = await self._persist("source.unreachable", "source.reached", self._api.measurements)
        roster = call_roll(self._settings, signals)
        if roster == self.roster:
            return
        for stream, signal_id in roster.unknown:
            self._complaints.say("roster.signal_unknown", f"{stream}: {signal_id.key}", remedy="See: streamer signals.")
        for stream, series in roster.contested:
            self._complaints.say(
                "roster.series_contested", f"{stream}: {series.name}", remedy="Leave it in one stream."
            )
        self.roster = roster
        _log.info("roster.called", series=len(roster.members), unknown=len(roster.unknown))

    async def _renew_roster(self) -> None:
        while True:
            await self._clock.sleep(CATALOGUE_EVERY_S)
            before = self.roster
            await self._call_roll()
            if self.roster != before:
                self._renewed.set()
                self._renewed = asyncio.Event()

    async def _own(self, shard: int) -> None:
        """Own a shard, generation after generation, until stopped."""
        failures = 0
        while not self._stopping.is_set():
            try:
                await self._generation(shard)
                failures = 0
            except BusError as exc:
                if isinstance(exc, ShardTaken):
                    raise
                self._complaints.say("bus.commit_failed", exc.what, who=str(shard), remedy=exc.remedy, shard=shard)
                if isinstance(exc, OutcomeUnknown) and shard in self._signed:
                    await self._check_owner(shard)
                await self._pause(failures)
                failures += 1

    async def _check_owner(self, shard: int) -> None:
        """Raise ShardTaken when another instance has signed the ledger since this one did.

        Only the ledger tells: a fenced producer and one whose transaction the broker timed out look alike.
        """
        state = await self._persist("bus.unreachable", "bus.reached", lambda: self._bus.read_state(shard))
        if HEAD in state and decode_head(state[HEAD]).owner != self._owner:
            raise ShardTaken(
                f"Another instance writes shard {shard} now; this one stops.",
                "Run one instance for these topics; everything up to its last commit is published.",
            )

    async def _generation(self, shard: int) -> None:
        """One ownership of a shard, until the daemon stops, the roster is renewed or a commit fails."""
        renewed = self._renewed
        writer = await self._bus.acquire(shard)
        try:
            failpoint("shard.acquired")
            members = [member for member in self.roster.members if self._shard_of(member) == shard]
            partitions = [self._partition_of(member) for member in members]
            generation = await Generation.begin(self._around, shard, writer, members, partitions)
            await generation.adopt(members, await self._service_now())
            self._took_over(generation)
            await generation.serve([self._stopping, renewed])
        finally:
            self.owned.pop(shard, None)
            self._around.metrics.shards_owned.set(len(self.owned))
            await writer.close()

    def _took_over(self, generation: Generation) -> None:
        self._signed.add(generation.shard)
        self.owned[generation.shard] = generation
        self._around.metrics.acquired.inc()
        self._around.metrics.shards_owned.set(len(self.owned))
        self._complaints.over("bus.commit_failed", "bus.commit_recovered", who=str(generation.shard))
        _log.info(
            "ledger.restored",
            shard=generation.shard,
            groups=len(generation.groups),
            entries=generation.ledger.entries,
        )

    async def _service_now(self) -> int:
        """The service's time, learned from the catalogue when the bound is too old."""
        while (now_ns := self._around.service_time.now_ns()) is None:
            await self._persist("source.unreachable", "source.reached", self._api.measurements)
            if self._around.service_time.now_ns() is None:
                self._complaints.say("source.time_unknown", "no Date header", remedy="Let the Date header through.")
                await self._pause(10)
        return now_ns

    def _partition_of(self, member: Member) -> int:
        return self._bus.partition_of(member.signal.id.key.encode())

    def _shard_of(self, member: Member) -> int:
        return self._partition_of(member) % self._settings.bus.shards


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
