"""A transaction that a broker has forgotten to end, on a real one: the next writer ends it as it had been decided."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from aiokafka.structs import TopicPartition

from streamer.bus.kafka import KafkaBus
from streamer.bus.kafka_clients import KafkaClients
from streamer.config import KafkaSettings
from streamer.model import Records
from tests.support.kafka_broker import ALONE, Broker
from tests.support.kafka_jars import check_java
from tests.support.required import required

SHARDS = 2
UNVERIFIED = {"transaction.partition.verification.enable": "false"}
"""As before Kafka 3.6: a partition takes records of a transaction that its coordinator knows nothing of."""


@pytest.fixture
def forgetful(tmp_path: Path) -> Iterator[Broker]:
    """A broker of each test's own, on which a transaction can be left open."""
    yield from required(one(tmp_path))


@contextmanager
def one(directory: Path) -> Iterator[Broker]:
    check_java()
    broker = Broker(directory, {**ALONE, **UNVERIFIED})
    broker.start()
    try:
        yield broker
    finally:
        broker.stop()


@pytest.fixture
def settings(forgetful: Broker) -> KafkaSettings:
    return KafkaSettings(bootstrap_servers=[forgetful.bootstrap_servers])


async def leave_open(settings: KafkaSettings, *, is_commit: bool) -> None:
    """Decide on a transaction of shard 0, and leave records of it open as if its markers had been forgotten."""
    topics = settings.topics
    producer = KafkaClients(settings).producer(f"{topics.state}-0")
    await producer.start()
    try:
        await producer.begin_transaction()
        await (await producer.send(topics.gaps, b"decided", partition=0))
        await (producer.commit_transaction() if is_commit else producer.abort_transaction())
        await producer.begin_transaction()
        for topic in (topics.state, topics.samples):
            producer._txn_manager._txn_partitions.add(TopicPartition(topic, 0))  # without telling the coordinator
            await (await producer.send(topic, b"1", b"forgotten", partition=0))
    finally:
        await producer.abandon()


async def samples_of(bus: KafkaBus) -> list[bytes]:
    return [record.value async for record in bus.read("samples", last=None, follow=False)]


@pytest.mark.kafka
async def test_a_cluster_that_never_had_a_group_or_a_transaction_is_asked_until_it_has_coordinators(
    settings: KafkaSettings,
) -> None:
    bus = KafkaBus(settings, shards=SHARDS, partitions=4)
    await bus.open_to_reshape()
    assert await bus.owners() == {}
    await (await bus.acquire(0)).close()


@pytest.mark.kafka
@pytest.mark.parametrize("is_commit", [True, False])
async def test_the_next_writer_ends_what_a_broker_forgot_as_it_had_been_decided(
    settings: KafkaSettings, is_commit: bool
) -> None:
    bus = KafkaBus(settings, shards=SHARDS, partitions=4)
    await bus.open()
    await leave_open(settings, is_commit=is_commit)
    writer = await bus.acquire(0)
    try:
        assert (b"forgotten" in await writer.restore()) is is_commit
        await writer.commit([Records(0, b"7:1", [b"2"], [0])], {b"head": b"1"})
        assert await samples_of(bus) == ([b"1", b"2"] if is_commit else [b"2"])
    finally:
        await writer.close()


@pytest.mark.kafka
async def test_a_writer_ends_nothing_where_nothing_was_forgotten(
    settings: KafkaSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    bus = KafkaBus(settings, shards=SHARDS, partitions=4)
    await bus.open()
    for at in range(3):
        writer = await bus.acquire(0)
        await writer.commit([Records(0, b"7:1", [b"%d" % at], [0])], {b"head": b"%d" % at})
        await writer.close()
    assert await samples_of(bus) == [b"0", b"1", b"2"]
    assert "bus.transaction_ended" not in capsys.readouterr().out
