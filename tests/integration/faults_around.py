"""Faults of what is around a daemon: its broker, its API, its host's clock, its disk."""

from __future__ import annotations

import asyncio
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from datetime import datetime
from pathlib import Path

import pytest

from streamer.simulator.audit import Verdict
from streamer.simulator.plants import demo_world
from tests.support.kafka_broker import Broker, free_port
from tests.support.local_kafka import local_kafka
from tests.support.trial import Trial, on_trial

SIGNALS = 10
WORLD = demo_world(synthetic_signals=SIGNALS)
DAY_S = 86_400


async def the_broker_is_stopped_and_later_killed(directory: Path, _: Broker) -> Verdict:
    """It stands still for 20 s and goes on; then it dies, and comes back with its data."""
    async with broker_of_its_own() as broker, on_trial(directory / "streamer.yaml", WORLD, broker=broker) as trial:
        await trial.start()
        os.kill(broker.pid, signal.SIGSTOP)
        await asyncio.sleep(20)
        os.kill(broker.pid, signal.SIGCONT)
        await trial.progress()
        await asyncio.to_thread(broker.stop, hard=True)
        await asyncio.to_thread(broker.start)
        await trial.progress()
        return await trial.verdict()


@asynccontextmanager
async def broker_of_its_own() -> AsyncIterator[Broker]:
    """A broker that nobody else uses."""
    stack = ExitStack()
    try:
        yield await asyncio.to_thread(stack.enter_context, local_kafka())
    finally:
        await asyncio.to_thread(stack.close)


async def the_api_is_killed_and_comes_back(directory: Path, broker: Broker) -> Verdict:
    port = free_port()
    async with AsyncExitStack() as stack:
        api = await stack.enter_async_context(api_process(port))
        trial = await stack.enter_async_context(
            on_trial(directory / "streamer.yaml", WORLD, broker=broker, api_port=port)
        )
        await trial.start()
        for _ in range(2):
            api.kill()
            await asyncio.sleep(5)
            api = await stack.enter_async_context(api_process(port))
            await trial.progress()
        return await trial.verdict()


@asynccontextmanager
async def api_process(port: int) -> AsyncIterator[Process]:
    """The simulated API, showing the world of these tests."""
    options = ("--port", str(port), "--signals", str(SIGNALS))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "streamer", "simulate", *options), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    await process.stdout.readline()
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def the_hosts_clock_jumps(directory: Path, broker: Broker) -> Verdict:
    """A day back, then a day ahead: the log follows the clock, the data does not."""
    offset = directory / "offset"
    async with on_trial(directory / "streamer.yaml", WORLD, broker=broker) as trial:
        trial.environ = {
            "LD_PRELOAD": str(libfaketime()),
            "FAKETIME_TIMESTAMP_FILE": str(offset),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
        offset.write_text("+0", "utf-8")
        await trial.start()
        for seconds in (-DAY_S, DAY_S):
            offset.write_text(f"{seconds:+}", "utf-8")
            await asyncio.sleep(5)
            await trial.progress()
        verdict = await trial.verdict()
        (drained_at,) = (datetime.fromisoformat(record["timestamp"]) for record in trial.said("daemon.drained"))
        assert abs(drained_at.timestamp() - time.time() - DAY_S) < 60
        return verdict


def libfaketime() -> Path:
    """The library that moves a process's clock; skipped where it is missing, but not in CI."""
    found = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
    if found is None:
        if os.environ.get("STREAMER_REQUIRE_FAKETIME") == "1":
            pytest.fail("STREAMER_REQUIRE_FAKETIME=1, and there is no libfaketime")
        pytest.skip("no libfaketime (Debian's package of that name)")
    return found


async def the_disk_is_full_for_a_while(directory: Path, _: Broker) -> Verdict:
    """The daemon says so, stays up, and goes on when there is room."""
    disk = directory / "disk"
    with small_disk(disk):
        async with on_trial(directory / "streamer.yaml", WORLD, database=disk / "bus.db") as trial:
            await trial.start()
            filler = disk / "filler"
            while room := shutil.disk_usage(disk).free:
                with filler.open("ab") as file:
                    file.write(bytes(room))
            await until_complaint(trial, "full")
            await asyncio.sleep(5)
            assert trial.process.returncode is None
            filler.unlink()
            await trial.progress()
            return await trial.verdict()


async def the_file_may_grow_no_more_for_a_while(directory: Path, _: Broker) -> Verdict:
    """The limit on files of a process, or a quota."""
    async with on_trial(directory / "streamer.yaml", WORLD) as trial:
        await trial.start()
        soft, hard = resource.prlimit(trial.process.pid, resource.RLIMIT_FSIZE)
        log_bytes = trial.log.stat().st_size + 65_536
        resource.prlimit(trial.process.pid, resource.RLIMIT_FSIZE, (log_bytes, hard))
        await until_complaint(trial, "I/O error")
        resource.prlimit(trial.process.pid, resource.RLIMIT_FSIZE, (soft, hard))
        await trial.progress()
        return await trial.verdict()


async def until_complaint(trial: Trial, word: str) -> None:
    """Wait until the daemon says that its commits fail, and why."""
    async with asyncio.timeout(20):
        while not any(word in str(record) for record in trial.said("bus.commit_failed")):  # noqa: ASYNC110  # in a file
            await asyncio.sleep(0.2)


@contextmanager
def small_disk(mountpoint: Path) -> Iterator[None]:
    """A file system of 4 MiB in memory; skipped where it cannot be mounted."""
    mountpoint.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(mountpoint)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no disk to fill: {mounted.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", str(mountpoint)], check=True)
