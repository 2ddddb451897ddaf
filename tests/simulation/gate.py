"""The mutation gate: ``python -m tests.simulation.gate`` proves that the simulation notices each mutant.

Each is tried with its own seed first, then with others, until one notices. ``--all`` tries all seeds, and tells how
many of them notice. ``NAME`` … tries some mutants only. A mutant runs in a process of its own, from changed source.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType

from tests.simulation.mutant import Mutant
from tests.simulation.mutants import MUTANTS

ROOT = Path(__file__).parents[2]
SEEDS = 24
"""So many seeds a mutant gets."""


class PatchFailed(Exception):
    """A mutant does not fit the source any more."""


def mutated(mutant: Mutant) -> str:
    """The source of the mutant's module, changed. Raises PatchFailed."""
    path = ROOT / "streamer" / f"{mutant.module.replace('.', '/')}.py"
    source = path.read_text(encoding="utf-8")
    found = source.count(mutant.old)
    if found != 1:
        raise PatchFailed(f"{mutant.name}: its text is {found} times in {path.relative_to(ROOT)}; mend the mutant")
    return source.replace(mutant.old, mutant.new)


class _MutatedLoader(SourceFileLoader):
    def __init__(self, name: str, path: str, source: str) -> None:
        super().__init__(name, path)
        self._source = source

    def get_code(self, fullname: str) -> CodeType:
        return compile(self._source, self.path, "exec", dont_inherit=True)


class _Mutation(MetaPathFinder):
    """Finds the mutant's module with its source changed."""

    def __init__(self, mutant: Mutant) -> None:
        self._name = f"streamer.{mutant.module}"
        self._source = mutated(mutant)

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name != self._name:
            return None
        spec = PathFinder.find_spec(name, path)
        assert spec is not None
        assert spec.origin is not None
        spec.loader = _MutatedLoader(name, spec.origin, self._source)
        return spec


def _noticing(mutant: Mutant, seeds: Sequence[int], *, has_all: bool) -> Iterator[tuple[int, str]]:
    """The seeds that notice, the first or all of them, with what they found. For a process of its own."""
    sys.meta_path.insert(0, _Mutation(mutant))
    from tests.simulation.run import simulate  # only now: it must import the mutant

    for seed in seeds:
        violations = simulate(seed).violations
        if violations:
            yield seed, violations[0]
            if not has_all:
                return


def _tried(mutant: Mutant, *, has_all: bool) -> list[tuple[int, str]]:
    """As ``_noticing``, from a process of its own."""
    command = [sys.executable, "-m", "tests.simulation.gate", mutant.name, "--here", *(["--all"] if has_all else [])]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if answer.returncode:
        raise PatchFailed(f"{mutant.name}: {answer.stderr.strip().splitlines()[-1]}")
    parts = (line.partition(" ") for line in answer.stdout.splitlines())
    return [(int(seed), found) for seed, _, found in parts]


def main() -> int:
    """See the module. The exit code is 1 when a mutant survives."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.gate", description=__doc__)
    parser.add_argument("names", nargs="*", help="mutants to try; all unless told")
    parser.add_argument("--all", action="store_true", help=f"tell how many of {SEEDS} seeds notice each")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="mutants at once")
    parser.add_argument("--here", action="store_true", help="try one mutant in this process")
    asked = parser.parse_args()
    chosen = [one for one in MUTANTS if one.name in asked.names or not (asked.names or one.survives)]
    if asked.here:
        [mutant] = chosen
        seeds = list(dict.fromkeys((mutant.seed, *range(1, SEEDS + 1))))
        for seed, found in _noticing(mutant, seeds, has_all=asked.all):
            sys.stdout.write(f"{seed} {found[:200]!r}\n")
        return 0
    return _gate(chosen, asked.workers, has_all=asked.all)


def _gate(mutants: Sequence[Mutant], workers: int, *, has_all: bool) -> int:
    began_s = time.monotonic()
    survivors = []
    sys.stdout.write("| mutant | rule | noticed by |\n| --- | --- | --- |\n")
    with ThreadPoolExecutor(workers) as pool:
        for mutant, noticed in zip(mutants, pool.map(lambda one: _tried(one, has_all=has_all), mutants), strict=True):
            by = f"{len(noticed)} of {SEEDS} seeds" if has_all else "".join(f"seed {seed}" for seed, _ in noticed)
            sys.stdout.write(f"| {mutant.name} | {mutant.rule} | {by or 'nobody'} |\n")
            sys.stdout.flush()
            if not noticed:
                survivors.append(mutant.name)
    sys.stdout.write(f"{len(mutants) - len(survivors)} of {len(mutants)} in {time.monotonic() - began_s:.0f} s\n")
    for mutant in MUTANTS:
        if mutant.survives:
            sys.stdout.write(f"not tried: {mutant.name} ({mutant.rule}): {mutant.survives}\n")
    if survivors:
        sys.stdout.write(f"nobody noticed: {', '.join(survivors)}\n")
    return int(bool(survivors))


if __name__ == "__main__":
    sys.exit(main())
