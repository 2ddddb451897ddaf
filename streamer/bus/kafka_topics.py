"""The topics on Kafka: created as they should be, or checked to be fit. Called by the Kafka bus when it opens."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from typing import Any

import structlog
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import BrokerResponseError, TopicAlreadyExistsError, for_code

from streamer.config import KafkaSettings
from streamer.errors import ConfigurationError

STATE_CONFIGURATION = {
    "cleanup.policy": "compact",
    # Records are small and live for minutes: short segments, cleaned early, keep a restart fast.
    "segment.bytes": str(16 * 1024 * 1024),
    "segment.ms": "600000",
    "min.cleanable.dirty.ratio": "0.1",
}
SAMPLES_CONFIGURATION = {"cleanup.policy": "delete", "message.timestamp.type": "CreateTime"}

LED_WITHIN_S = 10.0
"""How long the partitions of a new topic may take to get their leaders."""

BROKER_DEFAULT = -1

_log = structlog.get_logger(__name__)


async def prepare_topics(admin: AIOKafkaAdminClient, settings: KafkaSettings, *, shards: int, partitions: int) -> int:
    """Make sure that the topics of samples and state are there and fit; return the partitions of the samples topic.

    Args:
        admin: a started client.
        settings: names, replication.
        shards: partitions of the state topic.
        partitions: of the samples topic, should it have to be created.

    Raises:
        ConfigurationError: a topic is there and does not fit.
        KafkaError: of any other kind, from aiokafka.
    """
    topics = settings.topics
    wanted = {topics.samples: (partitions, SAMPLES_CONFIGURATION), topics.state: (shards, STATE_CONFIGURATION)}
    found = await count_partitions(admin, wanted)
    missing = [
        _new_topic(name, count, settings.replication_factor, configuration)
        for name, (count, configuration) in wanted.items()
        if not found.get(name)
    ]
    if missing:
        await _create(admin, missing)
        async with asyncio.timeout(LED_WITHIN_S):
            while not all(found.get(name) for name in wanted):
                await asyncio.sleep(0.1)
                found = await _led_partitions(admin, wanted)
    problems = []
    samples, state = found[topics.samples], found[topics.state]
    if samples % shards:
        problem = f"{topics.samples} has {samples} partitions; it needs a multiple of bus.shards ({shards})"
        problems.append(("kafka.topics.samples", problem))
    if state != shards:
        problem = f"{topics.state} has {state} partitions; it needs as many as bus.shards ({shards})"
        problems.append(("kafka.topics.state", problem))
    elif not await _is_compacted(admin, topics.state):
        problem = f"{topics.state} is not compacted; set its cleanup.policy to compact"
        problems.append(("kafka.topics.state", problem))
    if problems:
        raise ConfigurationError(problems, "Nothing was written. Correct the topics, or name others.")
    return samples


async def count_partitions(admin: AIOKafkaAdminClient, names: Collection[str]) -> dict[str, int]:
    """How many partitions each topic has that is there.

    All topics are listed first: a broker may create any topic that it is asked about by name, in its own shape.
    """
    there = set(await admin.list_topics())
    return await _led_partitions(admin, [name for name in names if name in there])


async def _led_partitions(admin: AIOKafkaAdminClient, names: Collection[str]) -> dict[str, int]:
    """How many partitions each topic has; a topic without leaders yet is left out."""
    if not names:
        return {}
    result = {}
    for topic in await admin.describe_topics(list(names)):
        error = for_code(topic["error_code"])
        if error.errno in (3, 5):  # not there; no leader yet
            continue
        if error.errno:
            raise error(f"topic {topic['topic']}")
        if all(partition["leader"] >= 0 for partition in topic["partitions"]):
            result[topic["topic"]] = len(topic["partitions"])
    return result


def _new_topic(name: str, partitions: int, replication: int | None, configuration: Mapping[str, str]) -> NewTopic:
    if replication is None:  # aiokafka wants to see an assignment, be it empty, beside the broker's default
        return NewTopic(name, partitions, BROKER_DEFAULT, replica_assignments={}, topic_configs=dict(configuration))
    return NewTopic(name, partitions, replication, topic_configs=dict(configuration))


async def _create(admin: AIOKafkaAdminClient, topics: list[NewTopic]) -> None:
    response = await admin.create_topics(topics)
    for name, code, *rest in response.topic_errors:
        error = for_code(code)
        if error is TopicAlreadyExistsError:  # someone else was quicker
            continue
        if code:
            raise _creation_error(error, name, rest)
        _log.info("bus.topic_created", topic=name)


def _creation_error(error: type[BrokerResponseError], name: str, rest: list[Any]) -> BrokerResponseError:
    detail = rest[0] if rest and rest[0] else error.description
    return error(f"topic {name} could not be created: {detail}")


async def _is_compacted(admin: AIOKafkaAdminClient, topic: str) -> bool:
    resource = ConfigResource(ConfigResourceType.TOPIC, topic, {"cleanup.policy": None})
    for response in await admin.describe_configs([resource]):
        for code, _message, _type, _name, entries in response.resources:
            if code:
                raise for_code(code)(f"the configuration of topic {topic}")
            return any(entry[0] == "cleanup.policy" and "compact" in entry[1] for entry in entries)
    return False
