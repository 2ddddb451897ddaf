"""The daemon as a process on a simulated API, until everything is settled; then every sample is counted.

For tests and tortures that do something to the process, or to what is around it, while it runs.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import uuid
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO, Any

import yaml

from streamer.config import Settings, TopicSettings, load_settings
from streamer.demo_audit import places_of
from streamer.errors import BusUnreachable
from streamer.model import NS_PER_MS, NS_PER_S, align_down, instant_text
from streamer.simulator.audit import Verdict
from streamer.simulator.behaviour import Behaviour
from streamer.simulator.server import Simulator
from streamer.wiring import assembled

DRAINED_WITHIN_S = 10.0
SHARDS = 4
"""As ``bus.shards`` is by default."""

POLICIES = {"all": True, "poll_interval": "300ms", "overlap": "2s", "lookback": ["4s", "12s"], "group_size": 20}
BEHAVIOUR = Behaviour(
    100 * NS_PER_MS,
    50 * NS_PER_MS,
    late_share=0.01,
    late_delay_ns=10 * NS_PER_S,
    revised_share=0.01,
    revised_after_ns=9 * NS_PER_S,
)
"""Some of all samples are late, and some are revised, as late as the last age of ``POLICIES`` allows."""


def write_configuration(
    file: Path,
    *,
    url: str,
    start_ns: int,
    databases: Iterable[int],
    kind: str,
    path: Path,
    servers: str = "127.0.0.1:9092",
    policies: Mapping[str, Any] = POLICIES,
    shards: int = 4,
) -> None:
    """One stream a database, beginning at an instant, to a file or topics of its own."""
    configuration: Mapping[str, Any] = {
        "source": {"base_url": url, "client_id": "demo", "client_secret": "demo", "timeout": "10s"},
        "streams": [
            {"name": f"database-{number}", "database_id": number, "start": instant_text(start_ns), **policies}
            for number in databases
        ],
        "bus": {"kind": kind, "path": str(path), "shards": shards},
        "kafka": {
            "bootstrap_servers": servers,
            "topics": TopicSettings.under(uuid.uuid4().hex[:8]).model_dump(),
        },
        "status": {"port": 0},
    }
    file.write_text(yaml.safe_dump(configuration), "utf-8")


def configured(
    file: Path, simulator: Simulator, *, history_ns: int, databases: Iterable[int], kind: str, servers: str
) -> tuple[Settings, int]:
    """The settings for a simulated API, written to a file, and where its streams begin: before the API's start."""
    start_ns = align_down(simulator.started_ns - history_ns, NS_PER_S)
    write_configuration(
        file,
        url=simulator.url,
        start_ns=start_ns,
        databases=databases,
        kind=kind,
        path=file.with_suffix(".db"),
        servers=servers,
    )
    return load_settings(file, {}), start_ns


@asynccontextmanager
async def life(file: Path, log: IO[bytes], environ: Mapping[str, str] | None = None) -> AsyncIterator[Process]:
    """A daemon that does not outlive the test."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "streamer", "run", "--config", str(file)),
        stderr=log,
        env={**os.environ, **(environ or {})},
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def until_restored(
    process: Process, log: IO[bytes], since: int, shards: int = SHARDS, within_s: float = 60.0
) -> None:
    """Wait until a process that logs behind an offset of a file has acquired and restored so many shards."""
    async with asyncio.timeout(within_s):
        while os.pread(log.fileno(), 2**20, since).count(b'"ledger.restored"') < shards:
            await asyncio.sleep(0.02)
            assert process.returncode is None, "the daemon ended by itself"


async def drained(process: Process) -> int:
    """The exit code after SIGTERM, within the ten seconds that a drain may take."""
    process.send_signal(signal.SIGTERM)
    async with asyncio.timeout(DRAINED_WITHIN_S):
        return await process.wait()


async def settled_to(settings: Settings) -> int:
    """Up to where everything is settled; 0 while it cannot be read, as a broker has yet to abort what is open."""
    try:
        async with assembled(settings) as parts:
            places = await places_of(parts)
    except BusUnreachable:
        return 0
    return min((place.revisited[-1][1] for place in places), default=0)


async def until_settled(process: Process, settings: Settings, until_ns: int, within_s: float = 120.0) -> None:
    """Wait until everything before an instant is settled; the daemon must stay up meanwhile."""
    async with asyncio.timeout(within_s):
        while await settled_to(settings) < until_ns:
            await asyncio.sleep(1)
            assert process.returncode is None, "the daemon ended by itself"


def told(verdict: Verdict) -> str:
    """A verdict in a line."""
    return f"{verdict.published:,} events: {verdict.lost} lost, {verdict.doubled} doubled, {verdict.wrong} wrong"
