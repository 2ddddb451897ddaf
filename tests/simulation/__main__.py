"""Replay seeds: ``python -m tests.simulation FIRST [LAST] [--log]``."""

from __future__ import annotations

import sys
import time

from streamer.logs import configure_logs
from tests.simulation.run import simulate

if __name__ == "__main__":
    numbers = [int(argument) for argument in sys.argv[1:] if argument.isdigit()]
    configure_logs("console", "debug" if "--log" in sys.argv else "critical")
    failed = 0
    for seed in range(numbers[0], numbers[-1] + 1):
        began_s = time.perf_counter()
        outcome = simulate(seed)
        if "--log" in sys.argv:
            sys.stdout.write("\n".join(outcome.log) + "\n")
        sys.stdout.write(
            f"seed {seed}: {outcome.digest} {outcome.events} events, {outcome.commits} commits, {outcome.requests} "
            f"requests, {time.perf_counter() - began_s:.1f} s {outcome.violations[:3] or 'clean'}\n"
        )
        failed += bool(outcome.violations)
    sys.exit(bool(failed))
