"""One seed: faults for a while, at times and places that the swarm draws; then health; then everything is counted."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from random import Random
from typing import Any

from streamer.model import NS_PER_S
from tests.simulation.plant import RAW, RESAMPLED
from tests.simulation.processes import Doom, Process
from tests.simulation.shape import Shape
from tests.simulation.steps import FAILPOINTS
from tests.simulation.swarm import LONG_OUTAGE_SHARE, LONG_OUTAGES, Swarm
from tests.simulation.world import World
from tests.support.virtual_time import run_virtually

FAULTY_S = 600.0
HEALED_S = 150.0
"""In health beyond what takes to settle: as much of the faulty time is judged completely."""

LONGEST_REPAIR_MIN = 120
"""Minutes of more health while there are holes: without a witness each takes three answers, three minutes apart."""

Act = Callable[[], Awaitable[None]]


@dataclass
class Outcome:
    """What became of a seed. ``log`` is all that was said; ``digest`` stands for it."""

    seed: int
    violations: list[str] = field(default_factory=list)
    fired: Mapping[str, int] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)
    virtual_s: float = 0.0
    samples: int = 0
    events: int = 0
    commits: int = 0
    requests: int = 0
    digest: str = ""


class Story:
    """What happens to the world of a seed."""

    def __init__(self, seed: int, faulty_s: float) -> None:
        self._seed = seed
        self._random = random = Random(f"{seed}/story")
        self._world = World(seed, Shape.drawn(Random(f"{seed}/shape")), Swarm(Random(f"{seed}/swarm")))
        self._long_outage = random.choice(LONG_OUTAGES) if random.random() < LONG_OUTAGE_SHARE else None
        self._long_outage_s = random.uniform(1200, 7200) if self._long_outage else 0.0
        self._faulty_s = faulty_s + self._long_outage_s

    async def run(self) -> Outcome:
        """From the beginning to the judgement."""
        world = self._world
        with world.attached():
            actors = [asyncio.create_task(self._repeat(kind, act)) for kind, act in self._acts().items()]
            if self._long_outage is not None:
                actors.append(asyncio.create_task(self._stay_away(self._long_outage)))
            over = asyncio.create_task(world.is_over.wait())
            await asyncio.wait([over], timeout=self._faulty_s)
            for actor in actors:
                actor.cancel()
            failed = [
                one for one in await asyncio.gather(*actors, return_exceptions=True) if isinstance(one, Exception)
            ]
            await world.heal()
            await asyncio.wait([over], timeout=world.shape.slack_s + HEALED_S)
            for _ in range(LONGEST_REPAIR_MIN):
                if world.oracle.has_holes and not world.is_over.is_set():
                    await asyncio.wait([over], timeout=60)
            world.judge()
            virtual_s = world.clock.monotonic_ns() / NS_PER_S
            await world.end()
            over.cancel()
        for error in failed:
            raise error
        return self._outcome(virtual_s)

    def _outcome(self, virtual_s: float) -> Outcome:
        world, chains = self._world, self._world.oracle.chains.values()
        return Outcome(
            seed=self._seed,
            violations=world.violations,
            fired=dict(sorted(world.swarm.fired.items())),
            log=world.chronicle.lines,
            virtual_s=virtual_s,
            samples=len(chains),
            events=sum(map(len, chains)),
            commits=world.oracle.commits,
            requests=world.service.requests,
            digest=blake2b("\n".join(world.chronicle.lines).encode(), digest_size=8).hexdigest(),
        )

    async def _repeat(self, kind: str, act: Act) -> None:
        while True:
            await asyncio.sleep(min(self._world.swarm.next_in_s(kind), 1e6))
            self._world.swarm.fired[kind] += 1
            self._world.chronicle.note(kind)
            await act()

    def _acts(self) -> dict[str, Act]:
        return {
            "api_away": self._api_away,
            "token_service_away": self._token_service_away,
            "secret_rotated": self._secret_rotated,
            "signal_silent": self._signal_silent,
            "bad_series": self._bad_series,
            "broker_away": self._broker_away,
            "killed": self._killed,
            "killed_at_step": self._killed_at_step,
            "killed_at_failpoint": self._killed_at_failpoint,
            "drained": self._drained,
            "zombie": self._zombie,
            "rolled_out": self._rolled_out,
            "suspended": self._suspended,
            "wall_clock_stepped": self._wall_clock_stepped,
            "reconfigured": self._reconfigured,
            "state_lost": self._world.lose_state,
        }

    async def _stay_away(self, kind: str) -> None:
        """For so long that the daemon must catch up in chunks."""
        world = self._world
        await asyncio.sleep(self._random.uniform(0, 300))
        world.swarm.fired[kind] += 1
        world.chronicle.note(kind)
        outside: Any = world.kafka if kind.startswith("broker") else world.service
        until_s = world.service.now_s() + self._long_outage_s
        while world.service.now_s() < until_s:
            outside.is_away = True
            await asyncio.sleep(1)  # a short outage that ends meanwhile changes nothing
        outside.is_away = False

    async def _api_away(self) -> None:
        self._world.service.is_away = True
        await asyncio.sleep(self._random.choice([3, 20, 90, 200]))
        self._world.service.is_away = False

    async def _token_service_away(self) -> None:
        self._world.service.is_token_service_away = True
        await asyncio.sleep(self._random.choice([3, 20, 90]))
        self._world.service.is_token_service_away = False

    async def _secret_rotated(self) -> None:
        self._world.service.rotate()

    async def _signal_silent(self) -> None:
        for index in self._random.sample((*RAW, *RESAMPLED), self._random.choice([1, 1, 2, 3])):
            self._world.silence(index, self._random.choice([1, 10, 40, 100, 300, 300]))

    async def _bad_series(self) -> None:
        until_s = self._world.service.now_s() + self._random.choice([10, 60, 200])
        self._world.service.bad[self._random.choice((*RAW, *RESAMPLED))] = until_s, self._random.choice([400, 404, 500])

    async def _broker_away(self) -> None:
        self._world.kafka.is_away = True
        await asyncio.sleep(self._random.choice([1, 6, 20, 60]))
        self._world.kafka.is_away = False

    def _one(self) -> Process | None:
        return self._random.choice(self._world.processes) if self._world.processes else None

    async def _killed(self) -> None:
        if (process := self._one()) is not None:
            await self._world.kill(process)

    async def _killed_at_step(self) -> None:
        if (process := self._one()) is not None:
            process.doomed(Doom(None, self._random.randrange(1, 1000)))

    async def _killed_at_failpoint(self) -> None:
        if (process := self._one()) is not None:
            process.doomed(Doom(self._random.choice(FAILPOINTS), self._random.choice([1, 1, 2, 5])))

    async def _drained(self) -> None:
        if (process := self._one()) is not None:
            await self._world.drain(process)

    async def _zombie(self) -> None:
        """Frozen, replaced, thawed: it must write nothing that counts, notice, and end."""
        if (process := self._one()) is not None:
            frozen_s, patience_s = self._random.choice([2, 12, 40]), self._random.choice([5, 120])
            await self._world.replace(process, frozen_s=frozen_s, patience_s=patience_s)

    async def _rolled_out(self) -> None:
        """A second process beside the first, as in a rolling update."""
        if (process := self._one()) is not None:
            await self._world.replace(process, frozen_s=0, patience_s=60)

    async def _suspended(self) -> None:
        if (process := self._one()) is not None:
            await self._world.suspend(process, self._random.choice([1, 8, 30, 90]))

    async def _wall_clock_stepped(self) -> None:
        if (process := self._one()) is not None:
            process.host.wall_offset_ns = self._random.choice([-86_400, -60, 60, 86_400]) * NS_PER_S

    async def _reconfigured(self) -> None:
        """Signals leave and return, groups are cut anew; each process that is there is begun anew with it."""
        kept = sorted(self._random.sample(RAW, self._random.randrange(3, len(RAW) + 1)))
        self._world.reconfigure(kept, self._random.randrange(1, 5))
        await self._world.begin_anew()


def simulate(seed: int, faulty_s: float = FAULTY_S) -> Outcome:
    """Run a seed to its end, on virtual time."""

    async def main() -> Outcome:
        return await Story(seed, faulty_s).run()

    return run_virtually(main())
