"""The ledger moves to other shards between two lives of the daemon, and every sample is counted."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from streamer.config import load_settings
from streamer.demo_audit import audited
from streamer.model import NS_PER_S, align_down
from streamer.simulator.plants import SYNTHETIC, demo_world
from streamer.simulator.server import serve
from tests.support.counted_run import BEHAVIOUR, drained, life, until_restored, until_settled, write_configuration

HISTORY_NS = 20 * NS_PER_S
POLICIES = {"all": True, "poll_interval": "300ms", "overlap": "2s", "lookback": ["2s", "5s"], "group_size": 20}
DATABASES = (2, SYNTHETIC)


async def command(file: Path, *arguments: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "streamer", *arguments, "--config", str(file)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


def divide(file: Path, shards: int) -> None:
    """Configure another number of shards."""
    configuration: dict[str, Any] = yaml.safe_load(file.read_text())
    configuration["bus"]["shards"] = shards
    file.write_text(yaml.safe_dump(configuration))


@pytest.mark.timeout(240)
@pytest.mark.parametrize("kind", ["sqlite", pytest.param("kafka", marks=pytest.mark.kafka)])
async def test_a_ledger_that_moves_to_other_shards_loses_and_doubles_nothing(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    servers = request.getfixturevalue("kafka_bootstrap") if kind == "kafka" else "127.0.0.1:9092"
    world = demo_world(synthetic_signals=20, behaviours=dict.fromkeys(DATABASES, BEHAVIOUR))
    file = tmp_path / "streamer.yaml"
    async with serve(world) as simulator:
        start_ns = align_down(simulator.started_ns - HISTORY_NS, NS_PER_S)
        write_configuration(
            file,
            url=simulator.url,
            start_ns=start_ns,
            databases=DATABASES,
            kind=kind,
            path=tmp_path / "bus.db",
            servers=servers,
            policies=POLICIES,
        )
        until_ns = simulator.started_ns
        with (tmp_path / "log").open("ab+") as log:
            for shards in (4, 6, 3):
                divide(file, shards)
                if shards != 4:
                    code, _, err = await command(file, "run")
                    assert (code, "streamer reshard" in err) == (78, True)
                    code, out, _ = await command(file, "reshard", "--json")
                    done = json.loads(out)
                    assert (code, done["after"]["shards"], done["series"]) == (0, shards, 46)
                    assert done["moved"] > 0
                    code, out, _ = await command(file, "reshard")
                    assert (code, "already" in out) == (0, True)
                since = log.tell()
                async with life(file, log) as process:
                    await until_restored(process, log, since, shards)
                    settings = load_settings(file, {})
                    await until_settled(process, settings, until_ns)
                    if kind == "kafka":
                        code, _, err = await command(file, "reshard")
                        assert (code, "Stop them all" in err) == (75, True)
                    assert await drained(process) == 0
                until_ns += 8 * NS_PER_S
        verdict = await audited(settings, world, start_ns)
    assert verdict.examples == []
    assert verdict.is_clean
    assert verdict.published > 1000
