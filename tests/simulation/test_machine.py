"""Hypothesis writes the story: the same world, one fault after the other, so that a failure shrinks to its core."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from random import Random

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.simulation.plant import RAW, RESAMPLED
from tests.simulation.processes import Doom
from tests.simulation.shape import Shape
from tests.simulation.steps import FAILPOINTS
from tests.simulation.swarm import COMMIT_FAULTS, REQUEST_FAULTS, Swarm
from tests.simulation.world import World
from tests.support.virtual_time import VirtualTimeLoop

FAULTS = st.dictionaries(
    st.sampled_from([*REQUEST_FAULTS, *COMMIT_FAULTS]), st.sampled_from([0.02, 0.1, 0.3]), max_size=4
)
SHAPES = st.builds(
    Shape,
    ages_s=st.sampled_from([(20,), (6, 20)]),
    period_s=st.sampled_from([1, 5]),
    group_size=st.integers(1, 6),
    shards=st.sampled_from([1, 2]),
    nulls=st.sampled_from(["skip", "publish"]),
)
HEALED_S = 30.0


class SimulationMachine(RuleBasedStateMachine):
    """What may happen to a world, and what must hold whenever it does."""

    world: World

    def __init__(self) -> None:
        super().__init__()
        self._runner = asyncio.Runner(loop_factory=VirtualTimeLoop)
        self._stack = ExitStack()

    @initialize(seed=st.integers(0, 2**16), shape=SHAPES, faults=FAULTS)
    def begin(self, seed: int, shape: Shape, faults: dict[str, float]) -> None:
        self._runner.run(self._begin(seed, shape, faults))

    async def _begin(self, seed: int, shape: Shape, faults: dict[str, float]) -> None:
        swarm = Swarm(Random(f"{seed}/swarm"))
        swarm.rates = faults
        self.world = World(seed, shape, swarm)
        self._stack.enter_context(self.world.attached())

    @rule(seconds=st.integers(1, 40))
    def wait(self, seconds: int) -> None:
        self._runner.run(asyncio.sleep(seconds))

    @precondition(lambda self: self.world.processes)
    @rule()
    def kill(self) -> None:
        self._runner.run(self.world.kill(self.world.processes[-1]))

    @precondition(lambda self: self.world.processes)
    @rule(failpoint=st.sampled_from(FAILPOINTS), countdown=st.integers(1, 4))
    def doom_at_a_failpoint(self, failpoint: str, countdown: int) -> None:
        self.world.processes[-1].doomed(Doom(failpoint, countdown))

    @precondition(lambda self: self.world.processes)
    @rule(countdown=st.integers(1, 500))
    def doom_at_a_step(self, countdown: int) -> None:
        self.world.processes[-1].doomed(Doom(None, countdown))

    @precondition(lambda self: self.world.processes)
    @rule(frozen_s=st.sampled_from([0, 2, 15]))
    def replace(self, frozen_s: int) -> None:
        self._runner.run(self.world.replace(self.world.processes[-1], frozen_s=frozen_s, patience_s=20))

    @precondition(lambda self: self.world.processes)
    @rule()
    def drain(self) -> None:
        self._runner.run(self.world.drain(self.world.processes[-1]))

    @rule(index=st.sampled_from([*RAW, *RESAMPLED]), seconds=st.sampled_from([2, 30]))
    def silence(self, index: int, seconds: int) -> None:
        self._runner.run(self._silenced(index, seconds))

    async def _silenced(self, index: int, seconds: int) -> None:
        self.world.silence(index, seconds)

    @rule(is_away=st.booleans())
    def take_the_api(self, is_away: bool) -> None:
        self.world.service.is_away = is_away

    @rule(is_away=st.booleans())
    def take_the_broker(self, is_away: bool) -> None:
        self.world.kafka.is_away = is_away

    @rule()
    def rotate_the_secret(self) -> None:
        self.world.service.rotate()

    @rule(raw=st.sets(st.sampled_from(RAW), min_size=1), group_size=st.integers(1, 4))
    def reconfigure(self, raw: set[int], group_size: int) -> None:
        self.world.reconfigure(sorted(raw), group_size)
        self._runner.run(self.world.begin_anew())

    @invariant()
    def nothing_is_violated(self) -> None:
        assert self.world.violations == []

    def teardown(self) -> None:
        try:
            if hasattr(self, "world"):
                self._runner.run(self._judged())
        finally:
            self._stack.close()
            self._runner.close()
        assert not hasattr(self, "world") or self.world.violations == []

    async def _judged(self) -> None:
        if not self.world.violations:
            await self.world.heal()
            await asyncio.sleep(self.world.shape.slack_s + HEALED_S)
            self.world.judge()
        await self.world.end()


def test_no_story_breaks_the_guarantee() -> None:
    run_state_machine_as_test(
        SimulationMachine,
        settings=settings(
            max_examples=6, stateful_step_count=12, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
