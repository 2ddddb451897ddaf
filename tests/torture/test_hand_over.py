"""Replicas that come and go on a real Kafka: how long a signal pauses, and how often the service has to refuse them."""

from __future__ import annotations

import asyncio
import sys
import time
from asyncio.subprocess import Process
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from itertools import pairwise
from pathlib import Path

import pytest

from streamer.bus.kafka_clients import SESSION_TIMEOUT_S
from streamer.config import Settings
from streamer.model import NS_PER_S
from streamer.simulator.plants import SYNTHETIC, demo_world
from streamer.simulator.server import serve
from streamer.wiring import assembled
from tests.support.counted_run import BEHAVIOUR, SHARDS, configured, drained, life, until_restored

REPLICAS = 3
SIGNALS = 200
STEADY_S = 40.0
MOST_REFUSED = 0.001
"""Share of the requests in a steady run."""

GRACEFUL_S = 5.0
CRASHED_S = SESSION_TIMEOUT_S + 5.0
"""Most that a signal may pause when a replica is told to end, and when it dies."""

LATENCY_S = 0.08
"""With it the replicas want more than the four requests at once that the service takes, were they not to share them."""
HISTORY_NS = 30 * NS_PER_S


class Arrivals:
    """When events of each signal were there to be read, on the monotonic clock."""

    def __init__(self) -> None:
        self._at_s: dict[str, list[float]] = defaultdict(list)

    async def read(self, settings: Settings) -> None:
        """Read along for ever."""
        async with assembled(settings) as parts, aclosing(parts.bus.read("samples", last=0, follow=True)) as records:
            async for record in records:
                self._at_s[record.key or ""].append(time.monotonic())

    @property
    def signals(self) -> int:
        """How many have had any event."""
        return len(self._at_s)

    def longest_pause_s(self, since_s: float, until_s: float) -> float:
        """The longest time without an event of some signal."""
        pauses = []
        for arrived_s in self._at_s.values():
            inside = [since_s, *(at_s for at_s in arrived_s if since_s < at_s < until_s), until_s]
            pauses.append(max(later - earlier for earlier, later in pairwise(inside)))
        return max(pauses)


@asynccontextmanager
async def reading(settings: Settings) -> AsyncIterator[Arrivals]:
    arrivals = Arrivals()
    task = asyncio.create_task(arrivals.read(settings))
    try:
        yield arrivals
    finally:
        task.cancel()
        await asyncio.wait([task])


@pytest.mark.torture
@pytest.mark.kafka
@pytest.mark.timeout(300)
async def test_replicas_that_come_and_go_pause_a_signal_for_seconds_and_are_hardly_ever_refused(
    tmp_path: Path, kafka_bootstrap: str, capsys: pytest.CaptureFixture[str]
) -> None:
    world = demo_world(synthetic_signals=SIGNALS, behaviours={SYNTHETIC: BEHAVIOUR}, seed=7)
    file = tmp_path / "hand-over.yaml"
    async with AsyncExitStack() as stack:
        simulator = await stack.enter_async_context(serve(world, latency_s=LATENCY_S))
        settings, _ = configured(
            file, simulator, history_ns=HISTORY_NS, databases=[SYNTHETIC], kind="kafka", servers=kafka_bootstrap
        )
        async with assembled(settings) as parts:
            await parts.bus.open()  # the topics are there for the one who reads along
        arrivals = await stack.enter_async_context(reading(settings))
        log = stack.enter_context(file.with_suffix(".log").open("a+b"))

        async def begin() -> Process:
            return await stack.enter_async_context(life(file, log))

        replicas = [await begin() for _ in range(REPLICAS)]
        await until_restored(replicas[0], log, 0, SHARDS)
        await asyncio.sleep(2 * SESSION_TIMEOUT_S)  # whoever came last has its part

        asked, refused = simulator.requests, simulator.crowded
        await asyncio.sleep(STEADY_S)
        asked, refused = simulator.requests - asked, simulator.crowded - refused

        since_s = time.monotonic()
        replicas.append(await begin())
        await asyncio.sleep(GRACEFUL_S)
        assert await drained(replicas.pop(0)) == 0
        await asyncio.sleep(2 * GRACEFUL_S)
        graceful_s = arrivals.longest_pause_s(since_s, time.monotonic())

        since_s = time.monotonic()
        replicas[0].kill()
        await asyncio.sleep(2 * CRASHED_S)
        crashed_s = arrivals.longest_pause_s(since_s, time.monotonic())
        signals = arrivals.signals
        assert [await drained(process) for process in replicas[1:]] == [0] * (REPLICAS - 1)
    with capsys.disabled():
        sys.stdout.write(
            f"\n{REPLICAS} replicas, {signals} signals: {refused} of {asked:,} requests refused in {STEADY_S:g} s; "
            f"the longest pause of a signal was {graceful_s:.1f} s when one came and one was told to end, "
            f"{crashed_s:.1f} s when one was killed\n"
        )
    assert signals == SIGNALS
    assert refused <= MOST_REFUSED * asked
    assert graceful_s <= GRACEFUL_S
    assert crashed_s <= CRASHED_S
