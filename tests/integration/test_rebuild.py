"""The state is lost for real: ``run`` refuses, ``rebuild`` makes the ledger anew, and every sample is counted."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import sys
import uuid
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiokafka.admin import AIOKafkaAdminClient

from streamer.config import Settings, load_settings
from streamer.demo_audit import audited, places_of
from streamer.errors import BusUnreachable
from streamer.ledger.codec import HEAD
from streamer.model import NS_PER_MS, NS_PER_S, align_down, instant_text
from streamer.simulator.behaviour import Behaviour
from streamer.simulator.plants import SYNTHETIC, demo_world
from streamer.simulator.server import serve
from streamer.wiring import assembled

HISTORY_NS = 30 * NS_PER_S
STARTED_WITHIN_S = 3.0
DELETED_WITHIN_S = 2.0
BEHAVIOUR = Behaviour(
    100 * NS_PER_MS,
    50 * NS_PER_MS,
    late_share=0.02,
    late_delay_ns=3 * NS_PER_S,
    revised_share=0.02,
    revised_after_ns=3 * NS_PER_S,
)


def configuration(kind: str, path: Path, url: str, start_ns: int, servers: str) -> dict[str, Any]:
    policies = {"all": True, "poll_interval": "300ms", "overlap": "1s", "lookback": ["2s", "5s"]}
    prefix = uuid.uuid4().hex[:8]
    topics = ("samples", "state", "shards", "completeness", "signals", "gaps")
    return {
        "source": {"base_url": url, "client_id": "demo", "client_secret": "demo"},
        "streams": [
            {"name": f"database-{number}", "database_id": number, "start": instant_text(start_ns), **policies}
            for number in (2, SYNTHETIC)
        ],
        "bus": {"kind": kind, "path": str(path / "bus.db"), "shards": 2},
        "kafka": {"bootstrap_servers": servers, "topics": {topic: f"{prefix}.{topic}" for topic in topics}},
        "status": {"port": 0},
        "log": {"level": "warning"},
    }


async def ended(file: Path, *arguments: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a command."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "streamer", *arguments, "--config", str(file)),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def life(file: Path, settings: Settings, until_ns: int) -> None:
    """A daemon that is killed when everything up to an instant is settled."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "streamer", "run", "--config", str(file))
    try:
        await asyncio.sleep(STARTED_WITHIN_S)
        async with asyncio.timeout(60):
            while await settled_to(settings) < until_ns:
                await asyncio.sleep(0.5)
                assert process.returncode is None, "the daemon ended by itself"
    finally:
        process.kill()
        await process.wait()


async def settled_to(settings: Settings) -> int:
    """Up to where everything is settled; 0 before anything is stored."""
    async with assembled(settings) as parts:
        try:
            places = await places_of(parts)
        except BusUnreachable:
            return 0
    return min((place.revisited[-1][1] for place in places if not place.holes), default=0)


async def damage(settings: Settings) -> None:
    """Cut the heads of the embedded bus's shards short; delete the state topic on Kafka."""
    if settings.bus.kind == "sqlite":
        with closing(sqlite3.connect(settings.bus.path)) as connection, connection:
            connection.execute("UPDATE state SET value = substr(value, 1, 20) WHERE key = ?", (HEAD,))
        return
    admin = AIOKafkaAdminClient(bootstrap_servers=list(settings.kafka.bootstrap_servers))
    await admin.start()
    await admin.delete_topics([settings.kafka.topics.state])
    await admin.close()
    await asyncio.sleep(DELETED_WITHIN_S)


@pytest.mark.timeout(240)
@pytest.mark.parametrize("kind", ["sqlite", pytest.param("kafka", marks=pytest.mark.kafka)])
async def test_a_lost_ledger_is_refused_and_rebuilt_without_a_gap_or_a_double(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    servers = request.getfixturevalue("kafka_bootstrap") if kind == "kafka" else "127.0.0.1:9092"
    world = demo_world(synthetic_signals=10, behaviours=dict.fromkeys((2, SYNTHETIC), BEHAVIOUR), seed=5)
    file = tmp_path / "streamer.yaml"
    async with serve(world) as simulator:
        start_ns = align_down(simulator.started_ns - HISTORY_NS, NS_PER_S)
        file.write_text(yaml.safe_dump(configuration(kind, tmp_path, simulator.url, start_ns, servers)))
        settings = load_settings(file, {})
        await life(file, settings, simulator.started_ns - 5 * NS_PER_S)
        await damage(settings)

        code, _, explained = await ended(file, "run")
        assert code == 70
        assert "state record '" in explained
        assert "`streamer rebuild`" in explained
        assert (await ended(file, "rebuild"))[0] == 2  # nobody is there to agree
        code, out, explained = await ended(file, "rebuild", "--yes", "--json")
        assert (code, "Traceback" in explained) == (0, False)
        assert {stream["stream"]: stream["series"] for stream in json.loads(out)}[f"database-{SYNTHETIC}"] == 10

        await life(file, settings, simulator.started_ns + 10 * NS_PER_S)
        verdict = await audited(settings, world, start_ns)
    assert verdict.examples == []
    assert verdict.is_clean
    assert verdict.published > 10 * 5 * HISTORY_NS / NS_PER_S
