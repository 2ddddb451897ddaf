"""Kill the daemon with SIGKILL at random moments under load, on both buses; then count every sample.

``KILLS`` says how often (10 unless told), ``SEED`` repeats the moments of a run.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import sys
import uuid
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest
import yaml

from streamer.config import Settings, TopicSettings, load_settings
from streamer.demo_audit import audited, places_of
from streamer.model import NS_PER_MS, NS_PER_S, align_down
from streamer.simulator.behaviour import Behaviour
from streamer.simulator.plants import SYNTHETIC, demo_world
from streamer.simulator.server import serve
from streamer.source.instants import instant_text
from streamer.wiring import assembled

KILLS = int(os.environ.get("KILLS", "10"))
LIVES_S = (0.3, 3.0)
"""How long each life of the daemon lasts; it is up and running after less than a second."""

HISTORY_NS = 60 * NS_PER_S
LOOKBACK = ["4s", "12s"]
SETTLED_WITHIN_S = 90.0
BEHAVIOUR = Behaviour(
    100 * NS_PER_MS,
    50 * NS_PER_MS,
    late_share=0.01,
    late_delay_ns=10 * NS_PER_S,
    revised_share=0.01,
    revised_after_ns=9 * NS_PER_S,
)


def configuration(kind: str, path: Path, url: str, start_ns: int, servers: str) -> dict[str, Any]:
    """Streams over all plants and 100 synthetic signals, dense enough that there is always a commit under way."""
    policies = {"all": True, "poll_interval": "300ms", "overlap": "2s", "lookback": LOOKBACK, "group_size": 20}
    prefix = uuid.uuid4().hex[:8]
    return {
        "source": {"base_url": url, "client_id": "demo", "client_secret": "demo"},
        "streams": [
            {"name": f"database-{number}", "database_id": number, "start": instant_text(start_ns), **policies}
            for number in (1, 2, 3, SYNTHETIC)
        ],
        "bus": {"kind": kind, "path": str(path / "torture.db")},
        "kafka": {
            "bootstrap_servers": servers,
            "topics": TopicSettings.under(prefix).model_dump(),
        },
        "status": {"port": 0},
        "log": {"level": "warning"},
    }


@asynccontextmanager
async def life(file: Path) -> AsyncIterator[Process]:
    """A daemon that does not outlive the test."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "streamer", "run", "--config", str(file))
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def settled_to(settings: Settings) -> int:
    """Up to where everything is settled."""
    async with assembled(settings) as parts:
        places = await places_of(parts)
    return min((place.revisited[-1][1] for place in places), default=0)


@pytest.mark.torture
@pytest.mark.timeout(120 + 15 * KILLS)
@pytest.mark.parametrize("kind", ["sqlite", pytest.param("kafka", marks=pytest.mark.kafka)])
async def test_killing_the_daemon_loses_and_doubles_nothing(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    servers = request.getfixturevalue("kafka_bootstrap") if kind == "kafka" else "127.0.0.1:9092"
    seed = int(os.environ.get("SEED", secrets.randbelow(1_000_000)))
    world = demo_world(synthetic_signals=100, behaviours=dict.fromkeys((1, 2, 3, SYNTHETIC), BEHAVIOUR), seed=seed)
    file = tmp_path / "torture.yaml"
    async with serve(world) as simulator:
        start_ns = align_down(simulator.started_ns - HISTORY_NS, NS_PER_S)
        file.write_text(yaml.safe_dump(configuration(kind, tmp_path, simulator.url, start_ns, servers)))
        settings = load_settings(file, {})
        lives = await torture(file, Random(seed))
        killed_ns = simulator.started_ns + sum(int(life_s * NS_PER_S) for life_s in lives)
        await live_on(file, settings, killed_ns)
        verdict = await audited(settings, world, start_ns)
    with capsys.disabled():
        sys.stdout.write(
            f"\n{kind}: {len(lives)} kills (SEED={seed}), {verdict.published:,} events: "
            f"{verdict.lost} lost, {verdict.doubled} doubled, {verdict.wrong} wrong\n"
        )
    assert verdict.examples == []
    assert verdict.is_clean
    assert verdict.published > 100 * 5 * HISTORY_NS / NS_PER_S


async def torture(file: Path, random: Random) -> list[float]:
    """Kill the daemon again and again; return how long it lived each time."""
    lives = []
    for _ in range(KILLS):
        lives.append(random.uniform(*LIVES_S))
        async with life(file) as process:
            await asyncio.sleep(lives[-1])
            assert process.returncode is None, "the daemon ended by itself"
    return lives


async def live_on(file: Path, settings: Settings, until_ns: int) -> None:
    """One last life, until everything up to an instant is settled; then a drain within ten seconds."""
    async with life(file) as process:
        async with asyncio.timeout(SETTLED_WITHIN_S):
            while await settled_to(settings) < until_ns:
                await asyncio.sleep(1)
                assert process.returncode is None, "the daemon ended by itself"
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(10):
            assert await process.wait() == 0
