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
