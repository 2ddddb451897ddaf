"""Every mutant fits the source as it is now; whether the simulation notices each, ``make mutants`` proves."""

from __future__ import annotations

import pytest

from tests.simulation.gate import mutated
from tests.simulation.mutant import Mutant
from tests.simulation.mutants import MUTANTS


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_is_another_program(mutant: Mutant) -> None:
    compile(mutated(mutant), mutant.module, "exec")


def test_each_mutant_has_a_name_of_its_own() -> None:
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS) >= 20
