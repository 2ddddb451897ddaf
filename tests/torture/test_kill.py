"""Kill the daemon with SIGKILL at random moments under load, on both buses; then count every sample.

``KILLS`` says how often (10 unless told), ``SEED`` repeats the moments of a run.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import sys
import time
from pathlib import Path
from random import Random

import pytest

from streamer.demo_audit import audited
from streamer.model import NS_PER_S
from streamer.simulator.plants import SYNTHETIC, demo_world
from streamer.simulator.server import serve
from tests.support.counted_run import BEHAVIOUR, configured, drained, life, told, until_restored, until_settled

KILLS = int(os.environ.get("KILLS", "10"))
LIVES_S = (0.0, 3.0)
"""How long the daemon lives once it has its shards; on Kafka it waits for the session of the killed one to end."""

DATABASES = (1, 2, 3, SYNTHETIC)
"""All plants, and 100 synthetic signals: dense enough that there is always a commit under way."""

HISTORY_NS = 60 * NS_PER_S


@pytest.mark.torture
@pytest.mark.timeout(180 + 20 * KILLS)
@pytest.mark.parametrize("kind", ["sqlite", pytest.param("kafka", marks=pytest.mark.kafka)])
async def test_killing_the_daemon_loses_and_doubles_nothing(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    servers = request.getfixturevalue("kafka_bootstrap") if kind == "kafka" else "127.0.0.1:9092"
    seed = int(os.environ.get("SEED", secrets.randbelow(1_000_000)))
    world = demo_world(synthetic_signals=100, behaviours=dict.fromkeys(DATABASES, BEHAVIOUR), seed=seed)
    file = tmp_path / "torture.yaml"
    async with serve(world) as simulator:
        settings, start_ns = configured(
            file, simulator, history_ns=HISTORY_NS, databases=DATABASES, kind=kind, servers=servers
        )
        began_s = time.monotonic()
        await torture(file, Random(seed))
        killed_ns = simulator.started_ns + int((time.monotonic() - began_s) * NS_PER_S)
        with file.with_suffix(".log").open("ab") as log:
            async with life(file, log) as process:
                await until_settled(process, settings, killed_ns)
                assert await drained(process) == 0
        verdict = await audited(settings, world, start_ns)
    with capsys.disabled():
        sys.stdout.write(f"\n{kind}: {KILLS} kills (SEED={seed}), {told(verdict)}\n")
    assert verdict.examples == []
    assert verdict.is_clean
    assert verdict.published > 100 * 5 * HISTORY_NS / NS_PER_S


async def torture(file: Path, random: Random) -> None:
    """Kill the daemon again and again, at a random moment of its work."""
    path = file.with_suffix(".log")
    for _ in range(KILLS):
        with path.open("ab+") as log:
            since = log.tell()
            async with life(file, log) as process:
                await until_restored(process, log, since)
                await asyncio.sleep(random.uniform(*LIVES_S))
                assert process.returncode is None, "the daemon ended by itself"
