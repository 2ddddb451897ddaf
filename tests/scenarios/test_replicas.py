"""Several daemons that share the shards by a group: whatever happens to them, nothing is lost and nothing doubled."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any

import pytest

from streamer.daemon import DRAIN_S, Daemon
from streamer.model import NS_PER_S
from tests.scenarios.conftest import Site
from tests.support.group import SESSION_S, Group, Member
from tests.support.virtual_time import run_virtually

SHARDS = 4


class Replica:
    """A daemon in a group."""

    def __init__(self, site: Site, shares: list[float]) -> None:
        self.daemon = site.daemon(on_share=shares.append)
        membership = self.daemon.ownership.membership
        assert isinstance(membership, Member)
        self.member = membership
        self.task = asyncio.create_task(self.daemon.run())

    async def stopped(self) -> None:
        self.daemon.stop()
        await self.task

    async def killed(self, group: Group) -> None:
        """SIGKILL: no farewell; the group finds out when the session is over."""
        group.silence(self.member)
        self.member.owner = None
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


def grouped() -> tuple[Site, Group]:
    site = Site(shards=SHARDS)
    site.plant.signals = 12
    site.bus.group = group = Group(SHARDS)
    return site, group


def run(main: Callable[[Site, Group], Coroutine[Any, Any, None]]) -> None:
    """Run with a site and its group on virtual time."""

    async def whole() -> None:
        site, group = grouped()
        await main(site, group)
        await group.ended()

    run_virtually(whole())


def owned(*daemons: Daemon) -> list[int]:
    return sorted(shard for daemon in daemons for shard in daemon.ownership.generations)


def test_replicas_share_the_shards_and_their_part_of_the_budget() -> None:
    async def main(site: Site, group: Group) -> None:
        shares: list[list[float]] = [[], [], []]
        replicas = []
        for share in shares:
            replicas.append(Replica(site, share))
            await asyncio.sleep(20)
        assert owned(*(replica.daemon for replica in replicas)) == [0, 1, 2, 3]
        assert shares[0] == [1.0, 0.5, 0.5]
        assert sum(share[-1] for share in shares) == 1.0
        for replica in replicas[:2]:
            await replica.stopped()
            await asyncio.sleep(10)
        assert owned(replicas[2].daemon) == [0, 1, 2, 3]
        await asyncio.sleep(400)
        await replicas[2].stopped()
        assert site.faults(site.settled_ns()) == []

    run(main)


def test_a_shard_that_stays_is_not_restarted() -> None:
    async def main(site: Site, group: Group) -> None:
        first = Replica(site, [])
        await asyncio.sleep(20)
        before = first.daemon.ownership.generations
        second = Replica(site, [])
        await asyncio.sleep(20)
        after = first.daemon.ownership.generations
        assert len(after) == 2
        assert all(before[shard] is after[shard] for shard in after)
        await first.stopped()
        await second.stopped()

    run(main)


def test_a_graceful_hand_over_pauses_a_signal_for_less_than_five_seconds() -> None:
    async def main(site: Site, group: Group) -> None:
        first = Replica(site, [])
        await asyncio.sleep(60)
        second = Replica(site, [])
        await asyncio.sleep(60)
        await first.stopped()
        await asyncio.sleep(60)
        await second.stopped()
        assert max(site.pauses_s()) < 5

    run(main)


def test_a_replica_leaves_the_group_though_the_drain_ends_while_it_waits_for_a_transaction_to_be_ended() -> None:
    async def main(site: Site, group: Group) -> None:
        replica = Replica(site, [])
        await asyncio.sleep(30)
        site.bus.commit_s, site.bus.acquired_s = DRAIN_S, 1000.0
        site.bus.fail_commits = ["unknown"] * SHARDS
        await asyncio.sleep(1)
        await replica.stopped()
        assert replica.member.owner is None

    run(main)


def test_hand_overs_that_follow_each_other_break_no_commit_and_fence_nobody() -> None:
    async def main(site: Site, group: Group) -> None:
        site.bus.commit_s = 0.7  # so that there is one in flight at any time, also while a shard is acquired
        replicas = [Replica(site, [])]
        for pause_s in (20.0, 0.3, 0.9, 3.0, 0.2, 20.0):
            await asyncio.sleep(pause_s)
            replicas.append(Replica(site, []))
        for replica in replicas:
            await replica.stopped()
            await asyncio.sleep(5)
        assert site.bus.broken == 0
        assert site.metrics.total("shards_fenced") == 0
        assert group.rebalances > 8

    run(main)


def test_a_crash_pauses_a_signal_for_less_than_the_session_and_five_seconds() -> None:
    async def main(site: Site, group: Group) -> None:
        first, second = Replica(site, []), Replica(site, [])
        await asyncio.sleep(60)
        await first.killed(group)
        await asyncio.sleep(60)
        await second.stopped()
        assert SESSION_S - 2 < max(site.pauses_s()) < SESSION_S + 5

    run(main)


def test_a_frozen_replica_that_thaws_writes_nothing_drops_its_shards_and_rejoins() -> None:
    async def main(site: Site, group: Group) -> None:
        frozen, other = Replica(site, []), Replica(site, [])
        await asyncio.sleep(60)
        group.silence(frozen.member)  # its heartbeats are lost; the daemon itself goes on writing: the worst zombie
        await asyncio.sleep(SESSION_S + 30)
        assert owned(other.daemon) == [0, 1, 2, 3]
        assert owned(frozen.daemon) == []
        await group.thaw(frozen.member)
        await asyncio.sleep(20)
        assert owned(frozen.daemon, other.daemon) == [0, 1, 2, 3]
        assert len(owned(frozen.daemon)) == 2
        await asyncio.sleep(400)
        await frozen.stopped()
        await other.stopped()
        assert site.faults(site.settled_ns()) == []

    run(main)


@pytest.mark.parametrize("seed", range(6))
def test_replicas_that_come_go_die_and_freeze_lose_and_double_nothing(seed: int) -> None:
    async def main(site: Site, group: Group) -> None:
        random = Random(seed)
        replicas = [Replica(site, [])]
        for _ in range(30):
            await asyncio.sleep(random.expovariate(1 / 6))
            fate = random.choice(["come", "go", "die", "freeze", "unknown"])
            if fate == "unknown":
                site.bus.fail_commits.append(random.choice(["lost", "unknown"]))
            elif fate == "come" or len(replicas) < 2:
                replicas.append(Replica(site, []))
            elif fate == "freeze":
                group.silence(replicas[0].member)
                await asyncio.sleep(random.choice([3, 20]))
                await group.thaw(replicas[0].member)
            else:
                replica = replicas.pop(random.randrange(len(replicas)))
                await (replica.stopped() if fate == "go" else replica.killed(group))
        await asyncio.sleep(400)
        assert owned(*(replica.daemon for replica in replicas)) == [0, 1, 2, 3]
        for replica in replicas:
            await replica.stopped()
        assert site.faults(site.settled_ns()) == []
        assert max(at for records in site.bus.records for at in records.timestamps_ns) > (
            site.clock.service_ns() - 30 * NS_PER_S
        )

    run(main)
