"""Seeds of the simulation: nothing lost, doubled or wrong, and the same story each time."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulation.figures import replay
from tests.simulation.regressions import REGRESSIONS
from tests.simulation.run import simulate

SEEDS = range(1, 9)


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_is_lost_doubled_or_wrong(seed: int) -> None:
    outcome = simulate(seed)
    assert outcome.violations == [], f"replay it: {replay(seed)}"
    assert outcome.events > 1000


@pytest.mark.parametrize("seed", sorted(REGRESSIONS))
def test_what_a_seed_once_found_stays_mended(seed: int) -> None:
    assert simulate(seed).violations == [], REGRESSIONS[seed]


def test_a_seed_tells_the_same_story_in_every_process() -> None:
    """Whatever the hashes of texts are, and wherever objects lie in memory."""
    program = "from tests.simulation.run import simulate; print(simulate(3, faulty_s=200).digest)"
    digests = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(Path(__file__).parents[2])},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for hash_seed in ("0", "1", "4711")
    }
    assert len(digests) == 1
