"""Lose each of three brokers in turn under load, with one daemon that lives through it; then count every sample."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from asyncio.subprocess import Process
from collections import defaultdict
from collections.abc import Iterator
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import pytest

from streamer.demo_audit import audited
from streamer.model import NS_PER_S
from streamer.simulator.plants import SYNTHETIC, demo_world
from streamer.simulator.server import serve
from tests.support.counted_run import BEHAVIOUR, configured, drained, life, told, until_settled
from tests.support.kafka_cluster import NODES, Cluster, Partition, three_brokers
from tests.support.required import required

SIGNALS = 50
HISTORY_NS = 30 * NS_PER_S

WITHOUT_S = 2.0
"""How long a broker stays away once others lead: the daemon goes on with two."""

NOBODY = -1


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """Three brokers; the test is skipped where none can be had, or fails in CI."""
    yield from required(three_brokers())


@pytest.mark.torture
@pytest.mark.kafka
@pytest.mark.timeout(420)
async def test_losing_each_of_three_brokers_in_turn_loses_and_doubles_nothing(
    tmp_path: Path, cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    world = demo_world(synthetic_signals=SIGNALS, behaviours={SYNTHETIC: BEHAVIOUR})
    file = tmp_path / "torture.yaml"
    async with AsyncExitStack() as stack:
        simulator = await stack.enter_async_context(serve(world))
        settings, start_ns = configured(
            file,
            simulator,
            history_ns=HISTORY_NS,
            databases=[SYNTHETIC],
            kind="kafka",
            servers=cluster.bootstrap_servers,
        )
        log = stack.enter_context(file.with_suffix(".log").open("ab"))
        process = await stack.enter_async_context(life(file, log))
        await until_settled(process, settings, start_ns + HISTORY_NS // 2)
        leaders = await lose_each(cluster, process)
        await until_settled(process, settings, time.time_ns())
        assert await drained(process) == 0
        verdict = await audited(settings, world, start_ns)
    with capsys.disabled():
        sys.stdout.write(f"\nthree brokers, each killed once: {told(verdict)}\n")
    assert verdict.examples == []
    assert verdict.is_clean
    assert verdict.published > SIGNALS * 5 * HISTORY_NS / NS_PER_S
    # So did the coordinators of all transactions and of the group: they are who leads the brokers' own topics.
    assert all(len(led) > 1 for led in leaders.values()), leaders
    check_log(file.with_suffix(".log"))


async def lose_each(cluster: Cluster, process: Process) -> dict[tuple[str, int], set[int]]:
    """Kill each broker, wait for other leaders, and for it to be in sync again; then let the first ones lead again.

    Returns all that have led each partition.
    """
    seen = [await cluster.until(is_whole)]
    for broker in cluster.brokers:
        await asyncio.to_thread(broker.stop, hard=True)
        seen.append(await cluster.until(partial(is_led_without, broker.node)))
        await asyncio.sleep(WITHOUT_S)
        await asyncio.to_thread(broker.start)
        seen.append(await cluster.until(is_whole))
        assert process.returncode is None, "the daemon ended by itself"
    await asyncio.to_thread(cluster.brokers[0].prefer_leaders)
    seen.append(await cluster.until(lambda partition: partition.leader == partition.preferred))
    assert seen[-1] != seen[-2], "no leader has moved without a loss"
    leaders = defaultdict(set)
    for partitions in seen:
        for place, partition in partitions.items():
            leaders[place].add(partition.leader)
    return leaders


def is_led_without(lost: int, partition: Partition) -> bool:
    """Whether it has a leader, and another than the one that is lost."""
    return partition.leader not in {lost, NOBODY}


def is_whole(partition: Partition) -> bool:
    """Whether it has a leader, and no broker is missing from it."""
    return partition.leader != NOBODY and partition.in_sync == set(NODES)


def check_log(log: Path) -> None:
    """The daemon has said what happened, with what to do, and that it is over; nothing else but such lines."""
    said = [json.loads(line) for line in log.read_text("utf-8").splitlines()]
    failed = [one for one in said if one["event"] == "bus.commit_failed"]
    assert failed
    assert all(one["cause"] and one["remedy"] for one in failed)
    about_commits = [one["event"] for one in said if one["event"].startswith("bus.commit")]
    assert about_commits[-1] == "bus.commit_recovered"
