"""Three daemons that share the shards, killed and frozen at random moments under load; then every sample is counted.

``KILLS`` says how often one is killed (10 unless told), two freezes to five kills; ``SEED`` repeats the moments.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import sys
import time
from asyncio.subprocess import Process
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing
from pathlib import Path
from random import Random

import msgspec
import pytest

from streamer.bus.records import Record
from streamer.config import Settings
from streamer.demo_audit import audited
from streamer.model import NS_PER_S
from streamer.simulator.plants import SYNTHETIC, demo_world
from streamer.simulator.server import serve
from streamer.wiring import assembled
from tests.support.counted_run import BEHAVIOUR, configured, drained, life, told, until_settled

KILLS = int(os.environ.get("KILLS", "10"))
FREEZES = KILLS * 2 // 5
REPLICAS = 3
CALM_S = (0.0, 6.0)
FROZEN_S = (1.0, 12.0)
"""Shorter and longer than a session, 6 s."""

DATABASES = (1, 2, 3, SYNTHETIC)
HISTORY_NS = 60 * NS_PER_S


class _Event(msgspec.Struct):
    timestamp: str
    revision: int


class Replicas:
    """The processes; one that is killed is replaced at once."""

    def __init__(self, file: Path, stack: AsyncExitStack) -> None:
        self._file = file
        self._stack = stack
        self._log = stack.enter_context(file.with_suffix(".log").open("ab"))
        self.processes: list[Process] = []

    async def begin(self) -> None:
        self.processes.append(await self._stack.enter_async_context(life(self._file, self._log)))

    async def kill(self, random: Random) -> None:
        process = self.processes.pop(random.randrange(len(self.processes)))
        process.kill()
        await process.wait()
        await self.begin()

    async def freeze(self, random: Random) -> None:
        process = random.choice(self.processes)
        process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(random.uniform(*FROZEN_S))
        process.send_signal(signal.SIGCONT)


async def _read(records: AsyncIterator[Record], seen: Counter[tuple[str | None, str, int]]) -> None:
    decode = msgspec.json.Decoder(_Event).decode
    async for record in records:
        event = decode(record.value)
        seen[record.key, event.timestamp, event.revision] += 1


async def doubled(settings: Settings, until: asyncio.Event) -> int:
    """What a reader that reads along finds more than once, until an event is set."""
    seen: Counter[tuple[str | None, str, int]] = Counter()
    async with assembled(settings) as parts, aclosing(parts.bus.read("samples", last=None, follow=True)) as records:
        reading = asyncio.create_task(_read(records, seen))
        await until.wait()
        reading.cancel()
        await asyncio.wait([reading])
    return sum(count - 1 for count in seen.values())


@pytest.mark.torture
@pytest.mark.kafka
@pytest.mark.timeout(240 + 20 * (KILLS + FREEZES))
async def test_killing_and_freezing_replicas_loses_and_doubles_nothing(
    tmp_path: Path, kafka_bootstrap: str, capsys: pytest.CaptureFixture[str]
) -> None:
    seed = int(os.environ.get("SEED", secrets.randbelow(1_000_000)))
    random = Random(seed)
    world = demo_world(synthetic_signals=100, behaviours=dict.fromkeys(DATABASES, BEHAVIOUR), seed=seed)
    file, is_over = tmp_path / "torture.yaml", asyncio.Event()
    fates = ["kill"] * KILLS + ["freeze"] * FREEZES
    random.shuffle(fates)
    async with AsyncExitStack() as stack:
        simulator = await stack.enter_async_context(serve(world))
        settings, start_ns = configured(
            file, simulator, history_ns=HISTORY_NS, databases=DATABASES, kind="kafka", servers=kafka_bootstrap
        )
        began_s = time.monotonic()
        async with assembled(settings) as parts:
            await parts.bus.open()  # the topics are there for the one who reads along
        reader = asyncio.create_task(doubled(settings, is_over))
        replicas = Replicas(file, stack)
        for _ in range(REPLICAS):
            await replicas.begin()
        for fate in fates:
            await asyncio.sleep(random.uniform(*CALM_S))
            await (replicas.kill(random) if fate == "kill" else replicas.freeze(random))
        until_ns = simulator.started_ns + int((time.monotonic() - began_s) * NS_PER_S)
        await until_settled(replicas.processes[0], settings, until_ns)
        assert [await drained(process) for process in replicas.processes] == [0] * REPLICAS
        verdict = await audited(settings, world, start_ns)
        is_over.set()
        twice = await reader
    with capsys.disabled():
        sys.stdout.write(
            f"\n{REPLICAS} replicas: {KILLS} kills, {FREEZES} freezes (SEED={seed}), {told(verdict)}; "
            f"{twice} doubled for a reader meanwhile\n"
        )
    assert verdict.examples == []
    assert verdict.is_clean
    assert twice == 0
