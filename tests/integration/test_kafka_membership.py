"""What costs a member of a consumer group its membership, shown on a real Kafka, and that ours keeps it."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Collection

import pytest
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition

from streamer.bus.kafka import KafkaBus
from streamer.bus.kafka_clients import HEARTBEAT_S, SESSION_TIMEOUT_S
from streamer.config import KafkaSettings, TopicSettings

pytestmark = pytest.mark.kafka

SHARDS = 4
RESTORING_S = SESSION_TIMEOUT_S + 2


class Owner:
    """Restores what it is assigned in a task, for longer than a session."""

    def __init__(self) -> None:
        self.assigned: list[set[int]] = []
        self.restoring: list[asyncio.Task[None]] = []

    async def hold(self) -> None:
        pass

    def assign(self, shards: Collection[int]) -> None:
        self.assigned.append(set(shards))
        self.restoring.append(asyncio.create_task(asyncio.sleep(RESTORING_S)))


class Replica:
    """A member of the group under a name of its own, until it leaves."""

    def __init__(self, settings: KafkaSettings, name: str) -> None:
        self.bus = KafkaBus(settings, shards=SHARDS, partitions=SHARDS, replica=name)
        self.owner = Owner()
        self.member = asyncio.create_task(self.bus.membership().run(self.owner))

    async def joined(self) -> None:
        async with asyncio.timeout(60):
            while not self.owner.assigned:  # noqa: ASYNC110  # a broker's state
                await asyncio.sleep(0.1)

    async def leave(self) -> None:
        for task in (self.member, *self.owner.restoring):
            task.cancel()
        await asyncio.wait([self.member, *self.owner.restoring])


async def settled(asked: KafkaBus, *replicas: str) -> dict[int, str]:
    """The owners, once these replicas and no others have all shards between them."""
    async with asyncio.timeout(60):
        while True:
            owners = await asked.owners()
            if owners is not None and set(owners.values()) == set(replicas):
                return owners
            await asyncio.sleep(0.1)


class Restoring(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka is untyped
    """Restores where aiokafka says to: while its callback is awaited."""

    def __init__(self) -> None:
        self.times = 0

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        pass

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        self.times += 1
        if self.times == 1:
            await asyncio.sleep(RESTORING_S)


async def expelled(settings: KafkaSettings) -> None:
    """Return when a member that restores in its callback was expelled, and had to join again."""
    listener = Restoring()
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.bootstrap_servers[0],
        group_id=uuid.uuid4().hex,
        session_timeout_ms=int(SESSION_TIMEOUT_S * 1000),
        heartbeat_interval_ms=int(HEARTBEAT_S * 1000),
        enable_auto_commit=False,
    )
    await consumer.start()
    try:
        consumer.subscribe([settings.topics.shards], listener=listener)
        async with asyncio.timeout(60):
            while listener.times < 2:
                await consumer.getmany(timeout_ms=200)
    finally:
        await consumer.stop()


async def test_the_group_names_the_replica_of_each_shard_as_they_come_and_go(kafka_bootstrap: str) -> None:
    topics = TopicSettings.under(uuid.uuid4().hex[:8])
    settings = KafkaSettings(bootstrap_servers=(kafka_bootstrap,), topics=topics)
    looker = KafkaBus(settings, shards=SHARDS, partitions=SHARDS)
    await looker.open()
    one = Replica(settings, "pod-a")
    await one.joined()
    assert await settled(looker, "pod-a") == dict.fromkeys(range(SHARDS), "pod-a")
    other = Replica(settings, "pod-b")
    owners = await settled(looker, "pod-a", "pod-b")
    assert {shard for shard, name in owners.items() if name == "pod-a"} == one.owner.assigned[-1]
    assert {shard for shard, name in owners.items() if name == "pod-b"} == other.owner.assigned[-1]
    assert sorted(owners) == list(range(SHARDS))
    await other.leave()
    assert await settled(looker, "pod-a") == dict.fromkeys(range(SHARDS), "pod-a")
    await one.leave()
    assert await settled(looker) == {}


class Failing(Owner):
    """Cannot take what it is assigned."""

    def assign(self, shards: Collection[int]) -> None:
        raise LookupError(f"shards {sorted(shards)} are not wanted")


async def test_an_error_about_an_assignment_ends_the_membership_and_is_not_swallowed(kafka_bootstrap: str) -> None:
    """By itself aiokafka goes on with a member whose shards nobody owns."""
    topics = TopicSettings.under(uuid.uuid4().hex[:8])
    settings = KafkaSettings(bootstrap_servers=(kafka_bootstrap,), topics=topics)
    bus = KafkaBus(settings, shards=2, partitions=2)
    await bus.open()
    async with asyncio.timeout(60):
        with pytest.raises(LookupError, match=r"shards \[0, 1\]"):
            await bus.membership().run(Failing())
        assert await settled(bus) == {}


async def test_restoring_for_longer_than_a_session_costs_no_membership(kafka_bootstrap: str) -> None:
    """A member that restores in the callback is expelled; should that stop, aiokafka has become better."""
    topics = TopicSettings.under(uuid.uuid4().hex[:8])
    settings = KafkaSettings(bootstrap_servers=(kafka_bootstrap,), topics=topics)
    bus = KafkaBus(settings, shards=2, partitions=2)
    await bus.open()
    owner = Owner()
    member = asyncio.create_task(bus.membership().run(owner))
    await expelled(settings)
    await asyncio.wait(owner.restoring)
    assert owner.assigned == [{0, 1}]
    member.cancel()
    await asyncio.wait([member])
