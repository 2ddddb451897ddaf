"""Run seeds on all cores: ``python -m tests.simulation FIRST [LAST]``, or ``--hours N`` of virtual time.

``--log`` prints all that was said, for one seed. The exit code is 1 when a seed is not clean or a fault never happened.
Ctrl-C begins no more seeds; the figures are of those that were begun, and the exit code is 130.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import count

from tests.simulation.figures import Figures, replay
from tests.simulation.run import Outcome, simulate

EACH_FIRES_IN_SEEDS = 100
"""In so many seeds every kind of fault must have happened."""

PROGRESS_EVERY_S = 30.0


def main() -> int:
    """See the module."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("first", type=int, nargs="?", default=1, help="first seed")
    parser.add_argument("last", type=int, nargs="?", help="last seed; the first one unless told")
    parser.add_argument("--hours", type=float, help="go on from the first seed until so much virtual time has passed")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--log", action="store_true", help="print all that was said")
    asked = parser.parse_args()
    seeds: Iterator[int] = count(asked.first)
    if asked.hours is None:
        seeds = iter(range(asked.first, (asked.last or asked.first) + 1))
    interrupted = threading.Event()
    signal.signal(signal.SIGINT, lambda *_: interrupted.set())
    figures = _run(seeds, asked.workers, asked.hours, interrupted, has_log=asked.log)
    _say(figures.table())
    for seed, violations in figures.violated.items():
        _say(f"seed {seed} is not clean: {violations[0]}\n    replay it: {replay(seed)}")
    is_unfired = figures.seeds >= EACH_FIRES_IN_SEEDS and bool(figures.unfired)
    if is_unfired:
        _say(f"never happened: {', '.join(figures.unfired)}")
    if figures.violated or is_unfired:
        return 1
    return 130 if interrupted.is_set() else 0


def _run(
    seeds: Iterator[int], workers: int, hours: float | None, interrupted: threading.Event, *, has_log: bool
) -> Figures:
    figures, began_s = Figures(), time.monotonic()
    said_s = began_s

    def is_enough() -> bool:
        return interrupted.is_set() or (hours is not None and figures.hours >= hours)

    for outcome in _outcomes(seeds, workers, is_enough):
        figures.add(outcome)
        if has_log:
            _say("\n".join(outcome.log))
        if outcome.violations or figures.seeds <= 1 or (hours is None and workers == 1):
            _say(_line(outcome))
        if time.monotonic() - said_s > PROGRESS_EVERY_S:
            said_s = time.monotonic()
            _say(f"{figures.hours:.1f} virtual hours, {figures.seeds} seeds in {said_s - began_s:.0f} s")
    _say(f"{figures.hours:.1f} virtual hours in {time.monotonic() - began_s:.0f} s")
    return figures


def _outcomes(seeds: Iterator[int], workers: int, is_enough: Callable[[], bool]) -> Iterator[Outcome]:
    """In the order of the seeds; so many at once as there are workers, and no more begun once it is enough."""
    ignoring = (signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the workers too, and they are to end their seeds
    with ProcessPoolExecutor(workers, initializer=signal.signal, initargs=ignoring) as pool:
        begun = [pool.submit(simulate, seed) for _, seed in zip(range(2 * workers), seeds, strict=False)]
        while begun:
            yield begun.pop(0).result()
            if not is_enough():
                begun += [pool.submit(simulate, seed) for seed in (next(seeds, None),) if seed is not None]


def _line(outcome: Outcome) -> str:
    return (
        f"seed {outcome.seed}: {outcome.digest} {outcome.events} events, {outcome.commits} commits, "
        f"{outcome.requests} requests, {outcome.virtual_s / 60:.0f} min {outcome.violations[:3] or 'clean'}"
    )


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
