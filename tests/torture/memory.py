"""Watch the resident memory of a daemon under faults: ``python -m tests.torture.memory 1h``, or ``make memory``.

Every few seconds something happens to its connections, to the API or to Kafka. Prints the memory minute by minute, and
fails when it is not flat: when after the warm-up the last tenth of the time differs by more than 5 % from the first, or
when a sample was lost or doubled meanwhile.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from random import Random
from statistics import median

from streamer.model import NS_PER_S
from streamer.settings_types import parse_duration
from streamer.simulator.plants import SYNTHETIC, demo_world
from tests.support.counted_run import BEHAVIOUR, told
from tests.support.fault_proxy import Api, Side
from tests.support.kafka_jars import NoKafka
from tests.support.local_kafka import local_kafka
from tests.support.trial import Trial, on_trial

SIGNALS = 40
WARM_UP = 0.2
"""Share of the time before anything counts: imports, caches, and the heap finding its size."""

DRIFT = 0.05
EVERY_S = 5.0


async def disturb(trial: Trial, random: Random) -> str:
    """Do one thing to the daemon's surroundings; return what it was, once it is over."""
    kind = random.choice(["api cut", "api stalled", "answer cut", "kafka cut", "kafka stalled", "ack lost", "end held"])
    if kind == "api cut":
        trial.api.cut()
    elif kind == "api stalled":
        trial.api.stall()
        await asyncio.sleep(random.uniform(0.5, 12))
        trial.api.flow()
    elif kind == "answer cut":
        trial.api.cut_after_bytes = 1500
        await asyncio.sleep(random.uniform(0.5, 4))
        trial.api.cut_after_bytes = None
    elif kind == "kafka cut":
        trial.kafka.cut()
    elif kind == "kafka stalled":
        trial.kafka.stall()
        await asyncio.sleep(random.uniform(0.5, 8))
        trial.kafka.flow()
    else:
        trap = trial.kafka.trap(random.choice([Api.PRODUCE, Api.END_TXN]), random.choice(list(Side)))
        await trap.caught.wait()
        await asyncio.sleep(random.uniform(0, 6))
        (trap.cut if kind == "ack lost" else trap.release)()
    return kind


async def keep_disturbing(trial: Trial, random: Random) -> None:
    """One thing after another, with a pause in which the daemon recovers."""
    while True:
        await asyncio.sleep(random.uniform(1, 8))
        await disturb(trial, random)


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def resident_bytes(pid: int) -> int:
    """The resident memory of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[1])
    return pages * 4096


async def watch(trial: Trial, duration_s: float) -> list[int]:
    """Resident bytes every few seconds."""
    taken: list[int] = []
    began_s = time.monotonic()
    while (passed_s := time.monotonic() - began_s) < duration_s:
        await asyncio.sleep(EVERY_S)
        assert trial.process.returncode is None, "the daemon ended by itself"
        taken.append(resident_bytes(trial.process.pid))
        if int(passed_s / 60) != int((passed_s + EVERY_S) / 60):
            say(f"{passed_s / 60:5.0f} min {taken[-1] / 2**20:7.2f} MiB")
    return taken


def drift(taken: Sequence[int]) -> float:
    """How much the last tenth differs from the first after the warm-up, as a share."""
    counted = taken[int(len(taken) * WARM_UP) :]
    tenth = max(1, len(counted) // 10)
    return median(counted[-tenth:]) / median(counted[:tenth]) - 1


async def main(duration_s: float) -> int:
    """Run for so long, then count; 0 when memory stayed flat and nothing was lost."""
    seed = int(time.time())
    world = demo_world(synthetic_signals=SIGNALS, behaviours={SYNTHETIC: BEHAVIOUR})
    with local_kafka() as broker, tempfile.TemporaryDirectory() as directory:
        async with on_trial(Path(directory) / "memory.yaml", world, broker=broker) as trial:
            await trial.start()
            disturbing = asyncio.create_task(keep_disturbing(trial, Random(seed)))
            taken = await watch(trial, duration_s)
            disturbing.cancel()
            await asyncio.gather(disturbing, return_exceptions=True)
            trial.heal()
            verdict = await trial.verdict()
    change = drift(taken)
    say(f"{change:+.1%} after the warm-up; {told(verdict)}")
    return 0 if verdict.is_clean and abs(change) <= DRIFT else 1


if __name__ == "__main__":
    try:
        sys.exit(asyncio.run(main(parse_duration(sys.argv[1]) / NS_PER_S)))
    except NoKafka as exc:
        sys.exit(str(exc))
