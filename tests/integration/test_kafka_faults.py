"""Where aiokafka loses data in silence, shown on a real Kafka, and that the hardened producer does not."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Mapping

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic, RecordsToDelete

from streamer.bus.kafka import KafkaBus
from streamer.bus.records import Record
from streamer.config import KafkaSettings, TopicSettings
from streamer.errors import BusUnreachable, ConfigurationError, OutcomeUnknown
from streamer.model import Notice, Records

pytestmark = pytest.mark.kafka

SMALL = 2_000
"""Most bytes of a batch that the samples topic of these tests takes."""


@pytest.fixture
def settings(kafka_bootstrap: str) -> KafkaSettings:
    prefix = uuid.uuid4().hex[:8]
    return KafkaSettings(
        bootstrap_servers=(kafka_bootstrap,),
        compression="none",
        topics=TopicSettings.under(prefix),
    )


@pytest.fixture
async def admin(kafka_bootstrap: str) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_bootstrap)
    await admin.start()
    yield admin
    await admin.close()


async def opened(settings: KafkaSettings) -> KafkaBus:
    bus = KafkaBus(settings, shards=1, partitions=2)
    await bus.open()
    return bus


async def read(bus: KafkaBus) -> list[Record]:
    return [record async for record in bus.read("samples", last=None, follow=False)]


def events(*values: bytes) -> Records:
    return Records(0, b"1:1", list(values), [1_768_557_600_000_000_000] * len(values))


async def test_a_batch_that_the_broker_refuses_fails_the_commit_whole(
    settings: KafkaSettings, admin: AIOKafkaAdminClient
) -> None:
    """The commit of aiokafka itself succeeds here, and the events are gone."""
    await admin.create_topics(
        [NewTopic(settings.topics.samples, 2, 1, topic_configs={"max.message.bytes": str(SMALL)})]
    )
    bus = await opened(settings)
    writer = await bus.acquire(0)
    await writer.commit([events(b"small")], {b"head": b"1"})
    with pytest.raises(OutcomeUnknown, match="MessageSizeTooLarge"):
        await writer.commit([events(b"x" * 2 * SMALL)], {b"head": b"2"})
    again = await bus.acquire(0)
    assert await again.restore() == {b"head": b"1"}
    await again.commit([events(b"next")], {b"head": b"2"})
    assert [record.value for record in await read(bus)] == [b"small", b"next"]
    await again.close()


async def test_aiokafkas_own_commit_would_have_lost_the_batch(
    settings: KafkaSettings, admin: AIOKafkaAdminClient
) -> None:
    """Why the producer is hardened: should this test fail one day, aiokafka has become safer."""
    await admin.create_topics(
        [NewTopic(settings.topics.samples, 2, 1, topic_configs={"max.message.bytes": str(SMALL)})]
    )
    await opened(settings)
    producer = AIOKafkaProducer(bootstrap_servers=settings.bootstrap_servers[0], transactional_id=uuid.uuid4().hex)
    await producer.start()
    await producer.begin_transaction()
    batch = producer.create_batch()
    batch.append(timestamp=None, key=b"1:1", value=b"x" * 2 * SMALL)
    lost = await producer.send_batch(batch, settings.topics.samples, partition=0)
    await producer.commit_transaction()
    assert lost.exception() is not None
    await producer.stop()


async def test_what_an_owner_left_open_is_aborted_by_the_next(settings: KafkaSettings) -> None:
    bus = await opened(settings)
    first = await bus.acquire(0)
    await first.commit([events(b"committed")], {b"head": b"1"})
    producer = first._producer
    assert isinstance(producer, AIOKafkaProducer)
    await producer.begin_transaction()
    for topic in (settings.topics.samples, settings.topics.state):
        await (await producer.send(topic, key=b"head", value=b"open", partition=0))
    second = await bus.acquire(0)
    assert await second.restore() == {b"head": b"1"}
    assert [record.value for record in await read(bus)] == [b"committed"]
    await second.close()
    await first.close()


async def test_samples_end_is_where_a_consumer_gets_past_aborted_transactions(
    settings: KafkaSettings, kafka_bootstrap: str
) -> None:
    """What was aborted, and the marks of transactions, take offsets that no consumer sees."""
    bus = await opened(settings)
    told: list[Mapping[int, int]] = []

    def said(ends: Mapping[int, int]) -> list[Notice]:
        told.append(dict(ends))
        return [Notice("completeness", b"all:0", b"{}", 0)]

    writers = []
    for number in range(3):
        writer = await bus.acquire(0)
        writers.append(writer)
        await writer.commit([], {b"head": b"taken over"}, said)
        await writer.commit([events(b"%d" % number)], {b"head": b"1"}, said)
        producer = writer._producer
        assert isinstance(producer, AIOKafkaProducer)
        await producer.begin_transaction()
        await (await producer.send(settings.topics.samples, key=b"1:1", value=b"never", partition=0))
        await producer.flush()
    writers.append(await bus.acquire(0))
    await writers[-1].commit([], {b"head": b"2"}, said)
    for writer in writers:
        await writer.close()
    partition = TopicPartition(settings.topics.samples, 0)
    consumer = AIOKafkaConsumer(
        bootstrap_servers=kafka_bootstrap, isolation_level="read_committed", enable_auto_commit=False
    )
    await consumer.start()
    consumer.assign([partition])
    found = []
    for ends in told:
        await consumer.seek_to_beginning(partition)
        values = []
        async with asyncio.timeout(20):
            while await consumer.position(partition) < ends[0]:
                for messages in (await consumer.getmany(timeout_ms=100, max_records=1)).values():
                    values += [message.value for message in messages if message.offset < ends[0]]
        found.append(values)
    await consumer.stop()
    assert [len(values) for values in found] == [0, 1, 1, 2, 2, 3, 3]
    assert found[-1] == [b"0", b"1", b"2"]


async def test_restoring_reads_past_what_others_left_open_to_the_high_watermark(settings: KafkaSettings) -> None:
    """A read_committed consumer's own end would stop before the foreign transaction, and miss the newest commit."""
    bus = await opened(settings)
    writer = await bus.acquire(0)
    await writer.commit([], {b"head": b"1"})
    other = AIOKafkaProducer(bootstrap_servers=settings.bootstrap_servers[0], transactional_id=uuid.uuid4().hex)
    await other.start()
    await other.begin_transaction()
    await (await other.send(settings.topics.state, key=b"foreign", value=b"open", partition=0))
    await writer.commit([], {b"head": b"2"})
    restoring = asyncio.create_task(writer.restore())
    await asyncio.sleep(1)
    assert not restoring.done()
    await other.abort_transaction()
    async with asyncio.timeout(20):
        assert await restoring == {b"head": b"2"}
    await other.stop()
    await writer.close()


async def test_a_state_of_many_records_is_restored_whole(settings: KafkaSettings) -> None:
    bus = await opened(settings)
    writer = await bus.acquire(0)
    for number in range(20):
        await writer.commit([], {b"%d/%d" % (number, at): bytes(1000) for at in range(1000)})
    await writer.commit([], {b"0/%d" % at: None for at in range(1000)})
    state = await writer.restore()
    assert state == {b"%d/%d" % (number, at): bytes(1000) for number in range(1, 20) for at in range(1000)}
    await writer.close()


async def test_a_state_topic_with_fewer_partitions_than_shards_is_refused(
    settings: KafkaSettings, admin: AIOKafkaAdminClient
) -> None:
    await admin.create_topics([NewTopic(settings.topics.state, 3, 1, topic_configs={"cleanup.policy": "compact"})])
    with pytest.raises(ConfigurationError, match=r"has 3 partitions; it needs as many as bus\.shards \(4\)") as refusal:
        await KafkaBus(settings, shards=4, partitions=4).open()
    assert "streamer reshard" in refusal.value.remedy


async def test_a_state_topic_with_more_partitions_than_shards_is_used_as_far_as_there_are_shards(
    settings: KafkaSettings, admin: AIOKafkaAdminClient
) -> None:
    await admin.create_topics([NewTopic(settings.topics.state, 3, 1, topic_configs={"cleanup.policy": "compact"})])
    writer = await (await opened(settings)).acquire(0)
    await writer.commit([], {b"head": b"1"})
    assert await writer.restore() == {b"head": b"1"}
    await writer.close()


async def test_a_state_topic_that_is_not_compacted_is_refused(
    settings: KafkaSettings, admin: AIOKafkaAdminClient
) -> None:
    await admin.create_topics([NewTopic(settings.topics.state, 1, 1)])
    with pytest.raises(ConfigurationError, match="is not compacted"):
        await opened(settings)


@pytest.mark.parametrize(
    ("topic", "partitions", "problem"),
    [
        ("completeness", 1, r"has 1 partitions; it needs as many as bus\.shards \(2\)"),
        ("gaps", 3, r"has 3 partitions; it needs a multiple of bus\.shards \(2\)"),
        ("signals", 2, "is not compacted"),
    ],
)
async def test_a_topic_of_notices_that_does_not_fit_is_refused(
    settings: KafkaSettings, admin: AIOKafkaAdminClient, topic: str, partitions: int, problem: str
) -> None:
    await admin.create_topics([NewTopic(getattr(settings.topics, topic), partitions, 1)])
    with pytest.raises(ConfigurationError, match=problem):
        await KafkaBus(settings, shards=2, partitions=4).open()


async def test_a_samples_topic_that_shards_cannot_share_is_refused(
    settings: KafkaSettings, admin: AIOKafkaAdminClient
) -> None:
    await admin.create_topics([NewTopic(settings.topics.samples, 3, 1)])
    with pytest.raises(ConfigurationError, match="needs a multiple"):
        await KafkaBus(settings, shards=2, partitions=4).open()


async def test_partitions_that_are_there_win_over_configured_ones(
    settings: KafkaSettings, admin: AIOKafkaAdminClient
) -> None:
    await admin.create_topics([NewTopic(settings.topics.samples, 6, 1)])
    bus = KafkaBus(settings, shards=2, partitions=4)
    await bus.open()
    assert {bus.partition_of(b"1:%d" % index) for index in range(100)} == set(range(6))


async def test_reading_a_topic_that_is_not_there_creates_none(
    settings: KafkaSettings, admin: AIOKafkaAdminClient
) -> None:
    with pytest.raises(ConfigurationError, match="is not there yet"):
        await read(KafkaBus(settings, shards=1, partitions=2))
    assert settings.topics.samples not in await admin.list_topics()


async def test_checking_publishes_nothing(settings: KafkaSettings) -> None:
    bus = await opened(settings)
    writer = await bus.acquire(0)
    assert "may read, write and commit" in await bus.check()
    await writer.commit([events(b"1")], {b"head": b"1"})
    assert [record.value for record in await read(bus)] == [b"1"]
    assert await writer.restore() == {b"head": b"1"}
    await writer.close()


async def test_two_checks_at_once_do_not_fence_each_other(settings: KafkaSettings) -> None:
    bus = await opened(settings)
    for _ in range(3):
        for found in await asyncio.gather(bus.check(), bus.check(), bus.check()):
            assert "may read, write and commit" in found


async def test_an_absent_broker_is_said_in_words() -> None:
    bus = KafkaBus(KafkaSettings(bootstrap_servers=("127.0.0.1:1",)), shards=1, partitions=1)
    with pytest.raises(BusUnreachable, match="no broker answers"):
        await bus.open()


async def test_events_that_retention_took_are_noticed(settings: KafkaSettings, admin: AIOKafkaAdminClient) -> None:
    bus = await opened(settings)
    writer = await bus.acquire(0)
    await writer.commit([events(b"1", b"2")], {b"head": b"1"})
    await writer.close()
    assert not await bus.lacks_oldest(0)
    await admin.delete_records({TopicPartition(settings.topics.samples, 0): RecordsToDelete(before_offset=1)})
    assert await bus.lacks_oldest(0)
    assert [record.value for record in await read(bus)] == [b"2"]
