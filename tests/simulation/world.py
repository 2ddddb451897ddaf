"""The world of one seed: a plant, a service, brokers, processes, and everything that can be done to them.

Nothing here happens by itself but what the swarm says of single requests and commits; a ``Story`` or a state machine
does the rest. A process that has ended is begun anew, as Kubernetes would.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from random import Random

from prometheus_client import generate_latest
from pydantic import SecretStr

from streamer import failpoints
from streamer.bus.membership import Alone
from streamer.clock import ServiceTime
from streamer.daemon import Daemon
from streamer.errors import BusError, LedgerUntrusted, ShardTaken
from streamer.ledger.codec import HEAD
from streamer.logs import register_secret
from streamer.metrics import Metrics
from streamer.model import NS_PER_S
from streamer.rebuild import Rebuild
from streamer.source.throttle import Throttle
from streamer.source.token import TokenSource
from tests.simulation.asking import WatchedClient
from tests.simulation.chronicle import SECRET_MARK, Chronicle, daemon_heard
from tests.simulation.kafka import SAMPLES, Bus, Kafka, Logged
from tests.simulation.oracle import Oracle
from tests.simulation.plant import RAW, RESAMPLED, Plant
from tests.simulation.processes import MOST_DRIFT_PPM, Gate, Host, Process, Replica, passed
from tests.simulation.service import Line, Service, Violation
from tests.simulation.shape import Shape
from tests.simulation.swarm import Swarm
from tests.simulation.witness import Witness
from tests.support.group import Group
from tests.support.virtual_time import VirtualClock

DRAINED_WITHIN_S = 10.0
"""SIGTERM to exit 0."""

COMMITS_WITHIN_S = 240.0
"""Longer than every pause that a process makes by itself: 60 s after failures, 20 s for Retry-After, 30 s of polls."""

FRESH_WITHIN_S = 20.0
"""How long ago the newest sample that must have arrived in health was shown, polls aside."""

REGULAR = (1, 2, 5)


class World:
    """See the module.

    Attributes:
        violations: what the daemon did and must never do; the run is over with the first.
        is_over: set then.
        processes: those that run, the newest last.
    """

    def __init__(self, seed: int, shape: Shape, swarm: Swarm) -> None:
        self.shape = shape
        self.swarm = swarm
        self.random = Random(f"{seed}/world")
        self.clock = VirtualClock(self.random.uniform(-MOST_DRIFT_PPM, MOST_DRIFT_PPM))
        self.violations: list[str] = []
        self.is_over = asyncio.Event()
        self.chronicle = Chronicle(self.violated)
        plant = Plant(seed, shape.last_age_ns)
        skew_ns = self.random.choice([0, 0, -2, -1, 1, 2]) * NS_PER_S
        self.service = Service(
            plant, self.clock, swarm, Random(f"{seed}/service"), period_ns=shape.period_ns, skew_ns=skew_ns
        )
        self.oracle = Oracle(plant, self.service, shape)
        self.witness = Witness(shape)
        self.kafka = Kafka(swarm, Random(f"{seed}/kafka"), self._committed)
        self.processes: list[Process] = []
        self._seed = seed
        self._born = 0
        self._group = Group(shape.shards)
        self._lost: set[int] = set()
        self._is_halted = False
        self._calm_since_s = 0.0
        self._committed_s: dict[int, float] = {}
        self._calm: tuple[object, ...] = ()
        self.reconfigure(self.random.choice([RAW, RAW, RAW[2:]]), shape.group_size)
        self._keeper = asyncio.create_task(self._keep_alive())

    def begin(self) -> Process:
        """Start another process."""
        self._born += 1
        gate, random, metrics = Gate(), Random(f"{self._seed}/process/{self._born}"), Metrics()
        host = Host(self.clock, origin_ns=random.randrange(10**6) * NS_PER_S)
        service_time = ServiceTime(host)
        line = Line(self.service, gate)
        tokens = TokenSource(line, "id", self._read_secret, host, on_token=register_secret)
        throttle = Throttle(host, random, max_in_flight=4)
        replica = Replica(self._group) if self.shape.replicas > 1 else None
        membership = Alone(self.shape.shards) if replica is None else replica.member
        api = WatchedClient(line, tokens, throttle, service_time, host, random=random)
        daemon = Daemon(
            self._settings,
            api=api,
            bus=Bus(self.kafka, gate, self.shape.shards, membership),
            service_time=service_time,
            clock=host,
            metrics=metrics,
            random=random,
        )
        process = Process(self._born, gate, host, api, daemon, metrics, replica, self.chronicle.note)
        self.chronicle.note(f"process {process.number} begins")
        process.start()
        self.processes.append(process)
        return process

    async def kill(self, process: Process) -> None:
        """As by SIGKILL."""
        process.die()
        await asyncio.wait([process.task])

    async def drain(self, process: Process) -> None:
        """As by SIGTERM: it must end by itself, soon, and say that all is well."""
        process.daemon.stop()
        await asyncio.wait([process.task], timeout=DRAINED_WITHIN_S)
        if not process.task.done():
            self.violated(f"process {process.number} does not drain within {DRAINED_WITHIN_S} s")

    async def replace(self, process: Process, *, frozen_s: float, patience_s: float) -> None:
        """Another process takes over, from a frozen one if frozen at all: it must notice, and end or be ended."""
        if frozen_s:
            process.freeze()
        self.begin()
        await asyncio.sleep(frozen_s)
        if frozen_s:
            await process.thaw()
        await asyncio.wait([process.task], timeout=patience_s)
        await self.kill(process)

    async def suspend(self, process: Process, seconds: float) -> None:
        """The host stands still, its monotonic clock too."""
        process.freeze()
        process.host.suspend()
        await asyncio.sleep(seconds)
        process.host.resume()
        await process.thaw()

    def silence(self, index: int, seconds: float) -> None:
        """The service leaves a signal out of all its answers for a while, and says nothing of it."""
        until_s = self.service.now_s() + seconds
        self.service.silent[index] = max(until_s, self.service.silent.get(index, 0.0))

    def reconfigure(self, raw: Sequence[int], group_size: int) -> None:
        """Whatever begins from now on has these raw signals, in groups of this size."""
        self._settings = self.shape.settings(raw, group_size)

    async def begin_anew(self) -> None:
        """Kill all processes; others take their place."""
        for process in list(self.processes):
            await self.kill(process)

    async def lose_state(self) -> None:
        """The state records of a shard that has published something are gone. What begins then must refuse."""
        published = sorted({one.partition % self.shape.shards for one in self.kafka.log if one.topic == SAMPLES})
        if not published or self._lost:
            return
        await self.begin_anew()
        shard = self.random.choice(published)
        self._lost.add(shard)
        self.kafka.lose(shard)
        self.oracle.is_lost = True
        await asyncio.sleep(self.random.choice([0, 20]))
        await self.rebuild()

    async def rebuild(self) -> None:
        """Scale to zero, and make anew what is lost: cut short at first, then until it succeeds."""
        self._is_halted = True
        try:
            await self.begin_anew()
            await self._rebuild_until_done(self.random.uniform(0, 0.1))
        finally:
            self._is_halted = False

    async def _rebuild_until_done(self, within_s: float | None) -> None:
        while self._lost:
            for shard in self._lost:
                if HEAD not in self.kafka.state.get(shard, {}):  # else it is whole, though nobody was told
                    self.witness.forgotten(shard)
            gate = Gate()
            making = asyncio.create_task(self._rebuilt(gate))
            try:
                await asyncio.wait([making], timeout=within_s)
            finally:  # what is healed meanwhile begins a rebuild of its own
                gate.is_dead, within_s = not making.done(), None
                making.cancel()
            await asyncio.wait([making])
            error = None if making.cancelled() else making.exception()
            if not making.cancelled() and error is None:
                self._lost.clear()
                self.oracle.is_lost = False
            elif error is not None and not isinstance(error, BusError):
                self.violated(f"rebuild: {error!r}")
                return
            await asyncio.sleep(0.5)

    async def _rebuilt(self, gate: Gate) -> None:
        bus = Bus(self.kafka, gate, self.shape.shards, Alone(self.shape.shards))
        making = Rebuild(
            self._settings,
            bus=bus,
            api=self.service,
            owner="rebuild",
            since_ns=None,
            progress=lambda shard, events: None,
        )
        shards = await making.doubts()
        await making.run(shards)
        self.chronicle.note(f"rebuilt {sorted(shards)}")

    @contextmanager
    def attached(self) -> Iterator[None]:
        """Until the end of the block, the world hears what the program logs, and at which failpoint it is."""
        with daemon_heard(self.chronicle), failpoints.armed(passed):
            yield

    async def heal(self) -> None:
        """Nothing is wrong any more; everything begins anew as it was configured in the beginning."""
        self.chronicle.note("healed")
        self.swarm.is_healed = True
        self.service.is_away = self.service.is_token_service_away = self.kafka.is_away = False
        self.service.silent.clear()
        self.service.bad.clear()
        if self._lost:
            await self.rebuild()
        self.reconfigure(RAW, self.shape.group_size)
        await self.begin_anew()

    def judge(self) -> None:
        """After health for long enough: everything that the guarantee asks for must be there."""
        if self.violations:
            return
        now_ns = self.service.now_ns()
        until_ns = now_ns - int(self.shape.slack_s * NS_PER_S)
        self.violations += self.oracle.missing((*RAW, *RESAMPLED), until_ns)
        is_live = self.shape.overlap_s * NS_PER_S > self.service.skew_ns() + NS_PER_S // 2
        patience_s = FRESH_WITHIN_S + 2 * self.shape.poll_s
        since_ns = now_ns - int(patience_s * NS_PER_S) if is_live else until_ns  # else the first revisit finds them
        self.violations += [
            f"{index}: no fresh sample" for index in REGULAR if not self.oracle.is_fresh(index, since_ns)
        ]

    async def end(self) -> None:
        """End all that is left."""
        self._keeper.cancel()
        for process in self.processes:
            self._inspect(process)
            process.die()
        await asyncio.gather(self._keeper, *(process.task for process in self.processes), return_exceptions=True)
        await self._group.ended()

    def violated(self, what: str) -> None:
        """The daemon did what it must never do."""
        self.violations.append(what)
        self.chronicle.note(f"VIOLATION: {what}")
        self.is_over.set()

    def _read_secret(self) -> SecretStr:
        return SecretStr(self.service.secret)

    async def _keep_alive(self) -> None:
        while True:
            for process in [process for process in self.processes if process.task.done()]:
                self.processes.remove(process)
                self._look_at(process)
            while len(self.processes) < self.shape.replicas and not self._is_halted:
                self.begin()
            self._check_lively()
            tasks = [process.task for process in self.processes]
            await (asyncio.wait(tasks, timeout=0.5) if tasks else asyncio.sleep(0.5))

    def _check_lively(self) -> None:
        """While nothing is in the way, each shard that has anything to commit commits."""
        is_away = self.service.is_away or self.service.is_token_service_away or self.kafka.is_away
        outside = is_away or bool(self._lost)
        frozen = any(process.gate.is_frozen for process in self.processes)
        calm = (outside, frozen, *(process.number for process in self.processes))
        now_s = self.service.now_s()
        if outside or frozen or calm != self._calm:
            self._calm, self._calm_since_s = calm, now_s
        for shard, committed_s in self._committed_s.items():
            if now_s - max(self._calm_since_s, committed_s) > COMMITS_WITHIN_S:
                self.violated(f"no commit of shard {shard} for {COMMITS_WITHIN_S} s, and nothing in the way")

    def _look_at(self, ended: Process) -> None:
        """What ended a process must be allowed to."""
        self._inspect(ended)
        error = None if ended.task.cancelled() else ended.task.exception()
        self.chronicle.note(f"process {ended.number} ended: {type(error).__name__}")
        if error is not None:
            self.chronicle.inspect("an error", _told(error))
            if not isinstance(error, ShardTaken) and not (self._lost and isinstance(error, LedgerUntrusted)):
                self.violated(_told(error))

    def _inspect(self, process: Process) -> None:
        """Look for secrets in what operators are shown."""
        self.chronicle.inspect("the metrics", generate_latest(process.metrics.registry).decode())
        self.chronicle.inspect("the status", repr(process.daemon.snapshot()))

    def _committed(self, changes: Mapping[bytes, bytes | None], records: list[Logged], shard: int) -> None:
        self.chronicle.note(f"commit {shard}: {len(records)} records, {len(changes)} changes")
        self._committed_s[shard] = self.service.now_s()
        mark = SECRET_MARK.encode()
        for value in (*(record.value for record in records), *changes.values()):
            if value is not None and mark in value:
                self.violated(f"a secret on the bus: {value!r}")
        try:
            self.oracle.committed(changes, records)
            self.witness.committed(changes, records, shard)
        except Violation as exc:
            self.violated(str(exc))


def _told(error: BaseException) -> str:
    if isinstance(error, BaseExceptionGroup):
        return "; ".join(_told(inner) for inner in error.exceptions)
    return f"{type(error).__name__}: {error}"
