"""One seed: a plant, a service, brokers, and daemons that come, are killed, freeze and thaw; then everything heals.

``python -m tests.simulation SEED`` replays one and prints its log.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from hashlib import blake2b
from random import Random
from typing import Any

from pydantic import SecretStr

from streamer.clock import ServiceTime
from streamer.config import Settings
from streamer.daemon import Daemon
from streamer.errors import ShardTaken
from streamer.metrics import Metrics
from streamer.model import NS_PER_S
from streamer.source.client import ApiClient
from streamer.source.throttle import Throttle
from streamer.source.token import TokenSource
from tests.simulation.kafka import SHARDS, Bus, Gate, Kafka, Logged
from tests.simulation.oracle import Oracle
from tests.simulation.plant import DATABASE, RAW, RESAMPLED, Plant
from tests.simulation.service import Line, Service, Violation
from tests.simulation.swarm import Swarm
from tests.support.virtual_time import EPOCH_NS, VirtualClock, run_virtually

FAULTY_S = 600.0
HEALED_S = 300.0
SLACK_NS = 150 * NS_PER_S
"""How far behind the end everything is settled: the last age, its slices, and the last back-off."""

POLICIES = {"poll_interval": "1s", "overlap": "3s", "lookback": ["10s", "60s"]}


@dataclass
class Process:
    """A daemon and what can be done to it."""

    gate: Gate
    task: asyncio.Task[None]


@dataclass
class Outcome:
    """What became of a seed. ``log`` is one line an event of the simulation itself; ``digest`` stands for it all."""

    seed: int
    violations: list[str] = field(default_factory=list)
    fired: dict[str, int] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)
    events: int = 0
    commits: int = 0
    requests: int = 0
    digest: str = ""


class Simulation:
    """The world of one seed."""

    def __init__(self, seed: int, faulty_s: float = FAULTY_S) -> None:
        self.outcome = Outcome(seed)
        self._faulty_s = faulty_s
        self._random = Random(f"{seed}/world")
        self._clock = VirtualClock()
        self._swarm = Swarm(Random(f"{seed}/swarm"))
        plant = Plant(seed)
        skew_ns = self._random.choice([0, 0, -2, -1, 1, 2]) * NS_PER_S
        self._service = Service(plant, self._clock, self._swarm, Random(f"{seed}/service"), skew_ns)
        self._oracle = Oracle(plant, self._service)
        self._kafka = Kafka(self._swarm, Random(f"{seed}/kafka"), self._committed)
        self._processes: list[Process] = []
        self._settings = self._configured(list(RAW), 3)
        self._born = 0
        self._is_over = asyncio.Event()

    async def run(self) -> Outcome:
        """Faults for a while, then health; then everything is counted."""
        actors = [asyncio.create_task(self._keep_alive())]
        for kind, act in self._acts().items():
            actors.append(asyncio.create_task(self._repeat(kind, act)))
        over = asyncio.create_task(self._is_over.wait())
        await asyncio.wait([over], timeout=self._faulty_s)
        self._heal()
        await asyncio.wait([over], timeout=HEALED_S)
        await self._end([*actors, over])
        if not self.outcome.violations:
            self._judge()
        outcome = self.outcome
        outcome.fired = dict(sorted(self._swarm.fired.items()))
        outcome.events = sum(map(len, self._oracle.chains.values()))
        outcome.commits, outcome.requests = self._oracle.commits, self._service.requests
        outcome.digest = blake2b("\n".join(outcome.log).encode(), digest_size=8).hexdigest()
        return outcome

    def _committed(self, changes: Any, records: list[Logged], shard: int) -> None:
        self._note(f"commit {shard}: {len(records)} records, {len(changes)} changes")
        try:
            self._oracle.committed(changes, records, shard)
        except Violation as exc:
            self._violated(str(exc))

    def _violated(self, what: str) -> None:
        self._note(f"VIOLATION: {what}")
        self.outcome.violations.append(what)
        self._is_over.set()

    def _judge(self) -> None:
        starts_ns = dict.fromkeys((*RAW, *RESAMPLED), EPOCH_NS - 30 * NS_PER_S)
        self.outcome.violations += self._oracle.missing(starts_ns, self._service.now_ns() - SLACK_NS)
        newest_ns = max((instant_ns for _, instant_ns in self._oracle.chains), default=0)
        if newest_ns < self._service.now_ns() - 15 * NS_PER_S:
            self.outcome.violations.append("no fresh sample arrives")

    def _note(self, what: str) -> None:
        self.outcome.log.append(f"{self._clock.monotonic_ns() / NS_PER_S:.6f} {what}")

    def _configured(self, raw: list[int], group_size: int) -> Settings:
        start = "2026-01-16T09:59:30Z"
        return Settings.model_validate(
            {
                "source": {"client_id": "id", "client_secret": "unused"},
                "streams": [
                    {
                        "name": "raw",
                        "database_id": DATABASE,
                        "signals": raw,
                        "group_size": group_size,
                        "start": start,
                        **POLICIES,
                    },
                    {
                        "name": "sums",
                        "database_id": DATABASE,
                        "signals": list(RESAMPLED),
                        "aggregation": "sum",
                        "resample_period": "5s",
                        "start": start,
                        **POLICIES,
                    },
                ],
                "bus": {"shards": SHARDS},
            }
        )

    def _begin(self) -> Process:
        self._born += 1
        gate, random = Gate(), Random(f"{self.outcome.seed}/process/{self._born}")
        clock, service = self._clock, self._service
        service_time = ServiceTime(clock)
        line = Line(service, gate)
        tokens = TokenSource(line, "id", lambda: SecretStr(service.secret), clock)
        throttle = Throttle(clock, random, max_in_flight=4)
        api = ApiClient(line, tokens, throttle, service_time, clock, random=random)
        daemon = Daemon(
            self._settings,
            api=api,
            bus=Bus(self._kafka, gate),
            service_time=service_time,
            clock=clock,
            metrics=Metrics(),
            random=random,
        )
        self._note(f"process {self._born} begins")
        return Process(gate, asyncio.create_task(daemon.run()))

    async def _keep_alive(self) -> None:
        """A process is begun anew when it ended; what ended it must be allowed to."""
        while True:
            for process in [process for process in self._processes if process.task.done()]:
                self._processes.remove(process)
                self._look_at(process)
            if not self._processes:
                self._processes.append(self._begin())
            await asyncio.wait([process.task for process in self._processes], timeout=0.5)

    def _look_at(self, ended: Process) -> None:
        error = None if ended.task.cancelled() else ended.task.exception()
        self._note(f"process ended: {type(error).__name__}")
        if error is not None and not isinstance(error, ShardTaken):
            self._violated(_told(error))

    async def _repeat(self, kind: str, act: Callable[[], Awaitable[None]]) -> None:
        while True:
            await asyncio.sleep(min(self._swarm.next_in_s(kind), 1e6))
            if self._swarm.is_healed:
                return
            self._swarm.fired[kind] += 1
            self._note(kind)
            await act()

    def _acts(self) -> dict[str, Callable[[], Awaitable[None]]]:
        return {
            "api_away": self._api_away,
            "token_service_away": self._token_service_away,
            "secret_rotated": self._secret_rotated,
            "signal_silent": self._signal_silent,
            "broker_away": self._broker_away,
            "killed": self._killed,
            "zombie": self._zombie,
            "wall_clock_stepped": self._wall_clock_stepped,
            "reconfigured": self._reconfigured,
        }

    async def _api_away(self) -> None:
        self._service.is_away = True
        await asyncio.sleep(self._random.choice([3, 20, 90, 200]))
        self._service.is_away = False

    async def _token_service_away(self) -> None:
        self._service.is_token_service_away = True
        await asyncio.sleep(self._random.choice([3, 20, 90]))
        self._service.is_token_service_away = False

    async def _secret_rotated(self) -> None:
        self._service.rotate()

    async def _signal_silent(self) -> None:
        until_s = self._clock.monotonic_ns() / NS_PER_S + self._random.choice([1, 10, 40, 100])
        self._service.silent[self._random.choice(RAW)] = until_s

    async def _broker_away(self) -> None:
        self._kafka.is_away = True
        await asyncio.sleep(self._random.choice([1, 6, 20, 60]))
        self._kafka.is_away = False

    async def _killed(self) -> None:
        await self._kill(self._random.choice(self._processes)) if self._processes else None

    async def _kill(self, process: Process) -> None:
        process.gate.is_dead = True
        process.task.cancel()
        await asyncio.wait([process.task])

    async def _zombie(self) -> None:
        """Frozen, replaced, thawed: it must write nothing that counts, notice, and end."""
        if not self._processes:
            return
        frozen = self._processes[0]
        frozen.gate.freeze()
        self._processes[0] = self._begin()
        await asyncio.sleep(self._random.choice([2, 12, 40]))
        frozen.gate.thaw()
        await asyncio.wait([frozen.task], timeout=self._random.choice([5, 120]))
        if not frozen.task.done():
            await self._kill(frozen)
        else:
            self._look_at(frozen)

    async def _wall_clock_stepped(self) -> None:
        self._clock.wall_offset_ns = self._random.choice([-86_400, -60, 60, 86_400]) * NS_PER_S

    async def _reconfigured(self) -> None:
        """Signals leave and return, groups are cut anew; each process that is there is begun anew with it."""
        kept = sorted(self._random.sample(RAW, self._random.randrange(3, len(RAW) + 1)))
        self._settings = self._configured(kept, self._random.randrange(1, 5))
        for process in list(self._processes):
            await self._kill(process)

    def _heal(self) -> None:
        self._note("healed")
        self._swarm.is_healed = True
        self._service.is_away = self._service.is_token_service_away = self._kafka.is_away = False
        self._service.silent.clear()
        self._settings = self._configured(list(RAW), 3)
        for process in self._processes:
            process.gate.is_dead = True
            process.task.cancel()

    async def _end(self, actors: list[asyncio.Task[Any]]) -> None:
        for process in self._processes:
            process.gate.is_dead = True
        tasks = [*actors, *(process.task for process in self._processes)]
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*actors, return_exceptions=True)
        await asyncio.gather(*tasks, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception):
                raise result


def _told(error: BaseException) -> str:
    if isinstance(error, BaseExceptionGroup):
        return "; ".join(_told(inner) for inner in error.exceptions)
    return f"{type(error).__name__}: {error}"


def simulate(seed: int, faulty_s: float = FAULTY_S) -> Outcome:
    """Run a seed to its end, on virtual time."""

    async def main() -> Outcome:
        return await Simulation(seed, faulty_s).run()

    return run_virtually(main())
