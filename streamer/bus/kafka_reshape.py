"""Another shape of the topics and of the state on Kafka. Called by the Kafka bus for ``streamer reshard`` alone."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping

import structlog
from aiokafka.admin import NewPartitions
from aiokafka.errors import for_code

from streamer.bus.kafka_clients import Admin, TransactionalProducer
from streamer.bus.kafka_errors import explained
from streamer.bus.kafka_group import describe
from streamer.bus.kafka_rights import Rights
from streamer.bus.kafka_topics import LED_WITHIN_S, count_partitions, shapes
from streamer.config import TopicSettings
from streamer.errors import ConfigurationError, ShardTaken

REPLACED_WITHIN_S = 300.0
"""How long the one transaction may take that replaces all states: minutes for gigabytes."""

_log = structlog.get_logger(__name__)

Placed = tuple[str, int, bytes, bytes | None]
"""A record and where it goes: topic, partition, key, value."""


async def widen(admin: Admin, topics: TopicSettings, rights: Rights, *, shards: int, partitions: int | None) -> None:
    """Give each topic that is there the partitions that so many shards need; none ever loses one.

    Args:
        admin: a started client.
        topics: their names.
        rights: those that may be missing.
        shards: how many there are to be.
        partitions: of the samples topic, as configured; None for the least multiple of the shards.

    Raises:
        ConfigurationError: the samples topic has more partitions than are configured.
        KafkaError: of any other kind, from aiokafka.
    """
    wanted = shapes(shards, partitions or shards)
    names = {topic: str(getattr(topics, topic)) for topic in wanted}
    found = await count_partitions(admin, names.values())
    for topic, name in names.items():
        there = found.get(name, 0)
        needed = shards if wanted[topic].is_one_a_shard else -(-there // shards) * shards
        if topic == "samples" and partitions is not None:
            needed = partitions
            if there > needed:
                problem = f"is {needed}, and {name} has {there}: a topic cannot lose partitions"
                raise ConfigurationError([("kafka.partitions", problem)], "Nothing was changed.")
        if 0 < there < needed:
            with explained(f"Giving {name} {needed} partitions", [rights.on("Alter", topic)]):
                response = await admin.create_partitions({name: NewPartitions(needed)})
                for _, code, message in response.topic_errors:
                    if code:
                        raise for_code(code)(f"topic {name} could not be given {needed} partitions: {message}")
            _log.info("bus.topic_widened", topic=name, partitions=needed)
            await _led(admin, name, needed)


async def _led(admin: Admin, name: str, partitions: int) -> None:
    """Wait until so many partitions have their leaders."""
    async with asyncio.timeout(LED_WITHIN_S):
        while (await count_partitions(admin, [name])).get(name, 0) < partitions:  # noqa: ASYNC110  # a broker's state
            await asyncio.sleep(0.1)


async def refuse_members(admin: Admin, group: str) -> None:
    """Raise ShardTaken while a replica is a member of the group, and KafkaError when that cannot be told."""
    members = (await describe(admin, group)).members
    if members:
        raise ShardTaken(f"{len(members)} replicas run as the group {group}.", "Stop them all, then run this again.")


async def write_at_once(producer: TransactionalProducer, records: Iterable[Placed]) -> None:
    """Write all records in one transaction, so that whoever reads sees all of them or none."""
    by_place: dict[tuple[str, int], list[tuple[bytes, bytes | None]]] = {}
    for topic, partition, key, value in records:
        by_place.setdefault((topic, partition), []).append((key, value))
    async with asyncio.timeout(REPLACED_WITHIN_S):
        await producer.begin_transaction()
        for (topic, partition), written in by_place.items():
            await _write(producer, topic, partition, written)
        await producer.commit_transaction()


async def _write(
    producer: TransactionalProducer, topic: str, partition: int, records: Iterable[tuple[bytes, bytes | None]]
) -> None:
    batch = producer.create_batch()
    for key, value in records:
        if batch.append(timestamp=None, key=key, value=value) is None:
            await (await producer.send_batch(batch, topic, partition=partition))
            batch = producer.create_batch()
            batch.append(timestamp=None, key=key, value=value)
    await (await producer.send_batch(batch, topic, partition=partition))


def state_records(topic: str, states: Mapping[int, Mapping[bytes, bytes | None]]) -> Iterable[Placed]:
    """The changes of each shard's state as records."""
    return ((topic, shard, key, value) for shard, changes in states.items() for key, value in changes.items())
