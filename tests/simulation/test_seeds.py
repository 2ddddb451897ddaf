"""Seeds of the simulation: nothing lost, doubled or wrong, and the same story each time."""

from __future__ import annotations

import pytest

from tests.simulation.run import simulate

SEEDS = range(1, 13)


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_is_lost_doubled_or_wrong(seed: int) -> None:
    outcome = simulate(seed)
    assert outcome.violations == [], f"replay it: python -m tests.simulation {seed} --log"
    assert outcome.events > 1000


def test_a_seed_tells_the_same_story_each_time() -> None:
    assert simulate(3, faulty_s=120).digest == simulate(3, faulty_s=120).digest


def test_every_kind_of_fault_fires_in_some_seed() -> None:
    fired = {kind for seed in range(1, 7) for kind in simulate(seed, faulty_s=300).fired}
    assert len(fired) > 20
