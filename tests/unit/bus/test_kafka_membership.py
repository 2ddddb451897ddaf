"""Membership in the consumer group, on a consumer that is a fake: what aiokafka does not do for us is contained."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from itertools import pairwise
from typing import Any

import pytest
from aiokafka import ConsumerRebalanceListener, TopicPartition
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from aiokafka.errors import GroupAuthorizationFailedError, KafkaConnectionError
from structlog.testing import capture_logs

from streamer.bus.kafka_clients import SESSION_TIMEOUT_S, KafkaClients
from streamer.bus.kafka_membership import LEFT_WITHIN_S, GroupMembership, sticky_assignor
from streamer.bus.kafka_rights import Rights
from streamer.config import KafkaSettings
from tests.support.virtual_time import run_virtually

SETTINGS = KafkaSettings(bootstrap_servers=("127.0.0.1:9092",))
RIGHTS = Rights(SETTINGS).to_join()
SHARDS = 2
HOLDING_S = 3.0
POLLED_AT_LEAST_EVERY_S = 1.0


def now_s() -> float:
    return asyncio.get_running_loop().time()


async def forever() -> None:
    await asyncio.Event().wait()


class FakeConsumer:
    """A consumer of the group; ``failures`` are raised by its polls, one each."""

    def __init__(self, *failures: Exception, start: Exception | None = None, is_stuck: bool = False) -> None:
        self.polled_s: list[float] = []
        self.began_s = self.stopped_s = -1.0
        self._failures = list(failures)
        self._start = start
        self._is_stuck = is_stuck
        self._listener: ConsumerRebalanceListener

    async def start(self) -> None:
        self.began_s = now_s()
        if self._start is not None:
            raise self._start

    def subscribe(self, topics: list[str], listener: ConsumerRebalanceListener) -> None:
        assert topics == ["shards"]
        self._listener = listener

    async def see(self, topic: str) -> None:
        assert topic == "shards"

    async def getmany(self, *, timeout_ms: int) -> None:
        self.polled_s.append(now_s())
        await asyncio.sleep(timeout_ms / 1000)
        if self._failures:
            raise self._failures.pop(0)

    async def stop(self) -> None:
        self.stopped_s = now_s()
        if self._is_stuck:
            await forever()

    async def rebalance(self, *partitions: int) -> Any:
        """Do as aiokafka does, errors and all; returns what it would await without a heartbeat meanwhile."""
        with suppress(Exception):
            await self._listener.on_partitions_revoked(set())
        with suppress(Exception):
            return self._listener.on_partitions_assigned({TopicPartition("shards", number) for number in partitions})


class Owner:
    """Notes what it is told and when; what it fails at is raised."""

    def __init__(self) -> None:
        self.fails_at = ""
        self.told: list[tuple[str, float]] = []
        self.assigned: list[set[int]] = []

    async def hold(self) -> None:
        await asyncio.sleep(HOLDING_S)
        if self.fails_at == "hold":
            raise AssertionError(self.fails_at)
        self.told.append(("held", now_s()))

    def assign(self, shards: Collection[int]) -> None:
        if self.fails_at == "assign":
            raise AssertionError(self.fails_at)
        self.told.append(("assigned", now_s()))
        self.assigned.append(set(shards))


class Case:
    """A membership that runs, on one consumer after another."""

    def __init__(self, *consumers: FakeConsumer) -> None:
        self.owner = Owner()
        self._consumers = iter(consumers)
        self.membership = GroupMembership(self._make_consumer, "shards", SHARDS, RIGHTS)

    def _make_consumer(self, _: object) -> Any:
        return next(self._consumers)

    async def run(self, act: Callable[[Case], Awaitable[None]]) -> None:
        running = asyncio.create_task(self.membership.run(self.owner))
        await asyncio.sleep(0)
        await act(self)
        running.cancel()
        await asyncio.wait([running])
        assert running.cancelled()


def play(act: Callable[[Case], Awaitable[None]], *consumers: FakeConsumer) -> Owner:
    async def main() -> Owner:
        case = Case(*consumers)
        await case.run(act)
        return case.owner

    return run_virtually(main())


def test_an_assignment_is_noted_and_nothing_of_it_awaited() -> None:
    consumer = FakeConsumer()

    async def act(_: Case) -> None:
        assert await consumer.rebalance(0, 1) is None

    assert play(act, consumer).assigned == [{0, 1}]


def test_partitions_beyond_the_shards_stand_for_nothing() -> None:
    consumer = FakeConsumer()

    async def act(_: Case) -> None:
        await consumer.rebalance(1, SHARDS, SHARDS + 1)

    assert play(act, consumer).assigned == [{1}]


def test_commits_in_flight_have_ended_before_shards_move() -> None:
    consumer = FakeConsumer()

    async def act(_: Case) -> None:
        await consumer.rebalance(0)

    assert play(act, consumer).told == [("held", HOLDING_S), ("assigned", HOLDING_S)]


def test_a_member_that_only_holds_shards_polls_all_the_time_and_also_while_shards_move() -> None:
    consumer = FakeConsumer()

    async def act(_: Case) -> None:
        await consumer.rebalance(0, 1)
        await asyncio.sleep(3600)

    play(act, consumer)
    gaps = [after - before for before, after in pairwise(consumer.polled_s)]
    assert sum(gaps) > 3600
    assert max(gaps) <= POLLED_AT_LEAST_EVERY_S


def test_a_membership_that_breaks_is_begun_anew_and_takes_no_shard_away() -> None:
    broken, anew = FakeConsumer(GroupAuthorizationFailedError("powerp.state.owners")), FakeConsumer()

    async def act(_: Case) -> None:
        await broken.rebalance(0, 1)
        await asyncio.sleep(2)
        assert broken.stopped_s >= 0
        assert anew.polled_s

    with capture_logs() as logs:
        assert play(act, broken, anew).assigned == [{0, 1}]
    (lost,) = (line for line in logs if line["event"] == "bus.membership_lost")
    assert "lacks Read on group powerp.state.owners" in lost["cause"]


@pytest.mark.parametrize("told", ["hold", "assign"])
def test_an_error_of_whoever_is_told_ends_the_membership_though_aiokafka_swallows_it(told: str) -> None:
    consumer = FakeConsumer()

    async def main() -> None:
        case = Case(consumer)
        case.owner.fails_at = told
        running = asyncio.create_task(case.membership.run(case.owner))
        await asyncio.sleep(0)
        await consumer.rebalance(0, 1)
        with pytest.raises(AssertionError, match=told):
            await running

    run_virtually(main())
    assert consumer.stopped_s >= HOLDING_S


def test_a_group_that_cannot_be_joined_is_tried_at_growing_pauses() -> None:
    away = [FakeConsumer(start=KafkaConnectionError("away")) for _ in range(7)]

    async def act(_: Case) -> None:
        await asyncio.sleep(20)

    play(act, *away)
    began_s = [consumer.began_s for consumer in away]
    assert [after - before for before, after in pairwise(began_s)] == [0.5, 1, 2, 4, 5, 5]


def test_whoever_ends_leaves_the_group_but_does_not_wait_for_it_for_long() -> None:
    stuck = FakeConsumer(is_stuck=True)
    ended_s = []

    async def main() -> None:
        await Case(stuck).run(lambda _: asyncio.sleep(10))
        ended_s.append(now_s())

    run_virtually(main())
    assert stuck.stopped_s == 10
    assert ended_s == [10 + LEFT_WITHIN_S]


def test_a_contested_shard_waits_for_what_the_group_says() -> None:
    consumer = FakeConsumer()

    async def act(case: Case) -> None:
        contested = asyncio.create_task(case.membership.contested(0))
        await asyncio.sleep(1)
        assert not contested.done()
        await consumer.rebalance(1)
        await asyncio.sleep(0)
        assert contested.done()
        assert consumer.stopped_s < 0

    play(act, consumer)


def test_a_group_that_says_nothing_about_a_contested_shard_is_left_and_joined_again() -> None:
    silent, anew = FakeConsumer(), FakeConsumer()

    async def act(case: Case) -> None:
        contested = asyncio.create_task(case.membership.contested(0))
        await asyncio.sleep(SESSION_TIMEOUT_S + 2)
        assert SESSION_TIMEOUT_S <= silent.stopped_s <= SESSION_TIMEOUT_S + 1
        assert not contested.done()
        await anew.rebalance(0)
        await asyncio.sleep(0)
        assert contested.done()

    play(act, silent, anew)


def test_members_of_one_process_do_not_share_the_state_of_their_assignors() -> None:
    one, other = sticky_assignor(), sticky_assignor()
    one.on_generation_assignment(7)
    assert [assignor.generation for assignor in (one, other, StickyPartitionAssignor)] == [7, -1, -1]


async def test_a_member_is_known_to_the_group_by_the_name_of_its_replica() -> None:
    consumer = KafkaClients(SETTINGS, "pod-a").member(sticky_assignor())
    assert consumer._client._client_id == "pod-a"
    await consumer.stop()


async def test_a_member_has_one_assignor_no_static_identity_and_commits_no_offsets() -> None:
    assignor = sticky_assignor()
    consumer = KafkaClients(SETTINGS).member(assignor)
    assert consumer._partition_assignment_strategy == [assignor]
    assert consumer._group_instance_id is None
    assert not consumer._enable_auto_commit
    assert consumer._max_poll_interval_ms > POLLED_AT_LEAST_EVERY_S * 1000
    await consumer.stop()
