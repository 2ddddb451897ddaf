"""Stop and kill the broker under load, with one daemon that lives through it; then count every sample.

``KILLS`` says how often (10 unless told), ``SEED`` repeats the moments of a run.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import sys
import time
from pathlib import Path
from random import Random

import pytest

from streamer.demo_audit import audited
from streamer.model import NS_PER_S
from streamer.simulator.plants import SYNTHETIC, demo_world
from streamer.simulator.server import serve
from tests.support.counted_run import BEHAVIOUR, configured, drained, life, told, until_settled
from tests.support.kafka_broker import Broker

KILLS = int(os.environ.get("KILLS", "10"))
PAUSES_S = (0.5, 6.0)
"""Between two faults: sometimes the daemon is still recovering from the last one."""

STANDSTILLS_S = (0.5, 15.0)
"""How long a stopped broker stands still; the deadline of a commit is 5 s, that of an open transaction 10 s."""

HISTORY_NS = 60 * NS_PER_S


@pytest.mark.torture
@pytest.mark.kafka
@pytest.mark.timeout(240 + 40 * KILLS)
async def test_stopping_and_killing_the_broker_loses_and_doubles_nothing(
    tmp_path: Path, local_broker: Broker, capsys: pytest.CaptureFixture[str]
) -> None:
    seed = int(os.environ.get("SEED", secrets.randbelow(1_000_000)))
    world = demo_world(synthetic_signals=100, behaviours={SYNTHETIC: BEHAVIOUR}, seed=seed)
    file = tmp_path / "torture.yaml"
    async with serve(world) as simulator:
        settings, start_ns = configured(
            file,
            simulator,
            history_ns=HISTORY_NS,
            databases=[SYNTHETIC],
            kind="kafka",
            servers=local_broker.bootstrap_servers,
        )
        with file.with_suffix(".log").open("ab") as log:
            async with life(file, log) as process:
                kills = await torture(local_broker, Random(seed))
                await until_settled(process, settings, time.time_ns())
                assert await drained(process) == 0
        verdict = await audited(settings, world, start_ns)
    with capsys.disabled():
        sys.stdout.write(f"\nbroker: {KILLS - kills} stops, {kills} kills (SEED={seed}), {told(verdict)}\n")
    assert verdict.examples == []
    assert verdict.is_clean
    assert verdict.published > 100 * 5 * HISTORY_NS / NS_PER_S


async def torture(broker: Broker, random: Random) -> int:
    """Do one of the two again and again; return how often it was a kill."""
    kills = 0
    for _ in range(KILLS):
        await asyncio.sleep(random.uniform(*PAUSES_S))
        if random.random() < 0.5:
            kills += 1
            await asyncio.to_thread(broker.stop, hard=True)
            await asyncio.to_thread(broker.start)
        else:
            os.kill(broker.pid, signal.SIGSTOP)
            await asyncio.sleep(random.uniform(*STANDSTILLS_S))
            os.kill(broker.pid, signal.SIGCONT)
    return kills
