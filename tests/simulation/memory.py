"""Whether the daemon's memory stays flat: ``python -m tests.simulation.memory [HOURS]`` of virtual time, 24 by default.

One process lives through all of it, under every fault of requests and commits, with outages. What counts is what the
program itself has allocated (tracemalloc); the world around it forgets what is long past.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import tracemalloc
from itertools import count
from pathlib import Path
from random import Random
from statistics import mean

import streamer
from streamer.model import NS_PER_S
from tests.simulation.shape import Shape
from tests.simulation.swarm import COMMIT_FAULTS, REQUEST_FAULTS, Swarm
from tests.simulation.world import World
from tests.support.virtual_time import run_virtually

RATE = 0.01
WARM_UP_HOURS = 4
FLAT = 0.05
"""The mean of the last quarter may differ from that of the first after the warm-up by this share."""

OUTAGE_S = 240.0
KEPT_NS = 1800 * NS_PER_S


def held_bytes() -> int:
    """What the program holds, allocated by its own lines."""
    gc.collect()
    only_ours = tracemalloc.Filter(True, f"{Path(streamer.__file__).parent}/*")
    return sum(trace.size for trace in tracemalloc.take_snapshot().filter_traces([only_ours]).traces)


def _forget(world: World) -> None:
    """Let go of what the world remembers of earlier hours: much of it was allocated by the program."""
    before_ns = world.service.now_ns() - KEPT_NS
    world.chronicle.lines.clear()
    world.kafka.log.clear()
    world.oracle.forget(before_ns)
    world.witness.forget(before_ns)
    world.service.shown.forget(before_ns)


async def _lived_through(hours: int) -> list[int]:
    """What was held at the end of each hour."""
    swarm = Swarm(Random("memory/swarm"))
    swarm.rates = dict.fromkeys((*REQUEST_FAULTS, *COMMIT_FAULTS), RATE)
    world = World(1, Shape(poll_s=10, overlap_s=10, ages_s=(30, 120)), swarm)
    held: list[int] = []
    with world.attached():
        for hour in count(1):
            await asyncio.sleep(1800 - OUTAGE_S)
            world.service.is_away = True
            await asyncio.sleep(OUTAGE_S)
            world.service.is_away = False
            await asyncio.sleep(1800)
            if world.violations:
                raise AssertionError(world.violations)
            _forget(world)
            held.append(held_bytes())
            sys.stdout.write(f"hour {hour}: {held[-1] / 1024:,.0f} KiB\n")
            sys.stdout.flush()
            if hour == hours:
                break
        await world.end()
    return held


def main() -> int:
    """See the module. The exit code is 1 when it is not flat."""
    hours = int(sys.argv[1]) if len(sys.argv) > 1 else 24
    tracemalloc.start()
    held = run_virtually(_lived_through(hours))[WARM_UP_HOURS:]
    quarter = max(1, len(held) // 4)
    growth = mean(held[-quarter:]) / mean(held[:quarter]) - 1
    sys.stdout.write(f"from the first quarter after {WARM_UP_HOURS} hours to the last: {growth:+.1%}\n")
    return int(abs(growth) > FLAT)


if __name__ == "__main__":
    sys.exit(main())
