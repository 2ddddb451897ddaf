"""The topics on Kafka: created as they should be, or checked to be fit. Called by the Kafka bus when it opens."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

import structlog
from aiokafka.admin import NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import BrokerResponseError, TopicAlreadyExistsError, TopicAuthorizationFailedError, for_code

from streamer.bus.kafka_clients import Admin
from streamer.bus.kafka_errors import explained
from streamer.bus.kafka_rights import Rights
from streamer.config import KafkaSettings
from streamer.errors import ConfigurationError

STATE_CONFIGURATION = {
    "cleanup.policy": "compact",
    # Records are small and live for minutes: short segments, cleaned early, keep a restart fast.
    "segment.bytes": str(4 * 1024 * 1024),
    "segment.ms": "600000",
    "min.cleanable.dirty.ratio": "0.1",
    # Each commit takes as much away as it adds. A broker keeps tombstones and the ends of transactions for a day unless
    # told otherwise: over a million of each in a shard. A restart reads all of them, in far less than this.
    "delete.retention.ms": "600000",
    "message.timestamp.type": "LogAppendTime",
}
SAMPLES_CONFIGURATION = {"cleanup.policy": "delete", "message.timestamp.type": "CreateTime"}
# Their times are the broker's: the host's clock may be wrong, and a broker refuses times too far from its own.
NOTICES_CONFIGURATION = {"cleanup.policy": "delete", "message.timestamp.type": "LogAppendTime"}
SHARDS_CONFIGURATION = {"cleanup.policy": "delete"}
SIGNALS_CONFIGURATION = {"cleanup.policy": "compact", "message.timestamp.type": "LogAppendTime"}

LED_WITHIN_S = 10.0
"""How long the partitions of a new topic may take to get their leaders."""

BROKER_DEFAULT = -1

REMEDY = (
    "Nothing was written. Correct the topics, or name others; when bus.shards was changed, `streamer reshard` gives "
    "them the partitions that they need and moves the ledger."
)

_log = structlog.get_logger(__name__)


class Shape(NamedTuple):
    """How a topic is created, and what is asked of one that is there.

    Attributes:
        partitions: how many it is created with.
        configuration: what it is created with; a topic that is to be compacted must be.
        is_one_a_shard: it needs a partition a shard, of which more are not used; else any multiple of them.
    """

    partitions: int
    configuration: Mapping[str, str]
    is_one_a_shard: bool = False

    @property
    def is_compacted(self) -> bool:
        """Whether only the newest record of each key counts."""
        return self.configuration["cleanup.policy"] == "compact"


def shapes(shards: int, samples_partitions: int) -> dict[str, Shape]:
    """The shape of each topic, by its logical name."""
    return {
        "samples": Shape(samples_partitions, SAMPLES_CONFIGURATION),
        "state": Shape(shards, STATE_CONFIGURATION, is_one_a_shard=True),
        "shards": Shape(shards, SHARDS_CONFIGURATION, is_one_a_shard=True),
        "completeness": Shape(shards, NOTICES_CONFIGURATION, is_one_a_shard=True),
        "gaps": Shape(shards, NOTICES_CONFIGURATION),
        "signals": Shape(shards, SIGNALS_CONFIGURATION),
    }


async def prepare_topics(admin: Admin, settings: KafkaSettings, *, shards: int, partitions: int) -> dict[str, int]:
    """Make sure that the topics are there and fit; return the partitions of each by its logical name.

    Args:
        admin: a started client.
        settings: names, replication.
        shards: how many there are.
        partitions: of the samples topic, should it have to be created.

    Raises:
        ConfigurationError: a topic is there and does not fit.
        KafkaError: of any other kind, from aiokafka.
    """
    wanted = shapes(shards, partitions)
    names = {topic: str(getattr(settings.topics, topic)) for topic in wanted}
    rights = Rights(settings)
    found = await count_partitions(admin, names.values())
    missing = [
        _new_topic(names[topic], shape, settings.replication_factor)
        for topic, shape in wanted.items()
        if not found.get(names[topic])
    ]
    if missing:
        with explained("Creating the topics", rights.to_create()):
            await _create(admin, missing)
        async with asyncio.timeout(LED_WITHIN_S):
            while not all(found.get(name) for name in names.values()):
                await asyncio.sleep(0.1)
                found = await count_partitions(admin, names.values())
    problems = []
    for topic, shape in wanted.items():
        with explained(f"Reading the configuration of {names[topic]}", [rights.on("DescribeConfigs", topic)]):
            problem = await _misfit(admin, names[topic], shape, found[names[topic]], shards)
        if problem:
            problems.append((f"kafka.topics.{topic}", f"{names[topic]} {problem}"))
    if problems:
        raise ConfigurationError(problems, REMEDY)
    return {topic: found[name] for topic, name in names.items()}


async def _misfit(admin: Admin, name: str, shape: Shape, partitions: int, shards: int) -> str:
    """What is wrong with a topic that is there; empty when it fits."""
    if shape.is_one_a_shard and partitions < shards:
        return f"has {partitions} partitions; it needs as many as bus.shards ({shards})"
    if not shape.is_one_a_shard and partitions % shards:
        return f"has {partitions} partitions; it needs a multiple of bus.shards ({shards})"
    if shape.is_compacted and not await _is_compacted(admin, name):
        return "is not compacted; set its cleanup.policy to compact"
    return ""


async def count_partitions(admin: Admin, names: Collection[str]) -> dict[str, int]:
    """How many partitions each topic has that is there; one without leaders yet is left out.

    Raises:
        TopicAuthorizationFailedError: some are hidden from this client, all of which are named.
    """
    result = {}
    hidden = set()
    for topic in await admin.describe_topics(list(names)):
        error = for_code(topic["error_code"])
        if error.errno in (3, 5):  # not there; no leader yet
            continue
        if error is TopicAuthorizationFailedError:
            hidden.add(topic["topic"])
        elif error.errno:
            raise error(f"topic {topic['topic']}")
        elif all(partition["leader"] >= 0 for partition in topic["partitions"]):
            result[topic["topic"]] = len(topic["partitions"])
    if hidden:
        raise TopicAuthorizationFailedError(hidden)
    return result


def _new_topic(name: str, shape: Shape, replication: int | None) -> NewTopic:
    configuration = dict(shape.configuration)
    if replication is None:  # aiokafka wants to see an assignment, be it empty, beside the broker's default
        return NewTopic(name, shape.partitions, BROKER_DEFAULT, replica_assignments={}, topic_configs=configuration)
    return NewTopic(name, shape.partitions, replication, topic_configs=configuration)


async def _create(admin: Admin, topics: list[NewTopic]) -> None:
    response = await admin.create_topics(topics)
    refused = set()
    for name, code, *rest in response.topic_errors:
        error = for_code(code)
        if error is TopicAlreadyExistsError:  # someone else was quicker
            continue
        if error is TopicAuthorizationFailedError:
            refused.add(name)
        elif code:
            raise _creation_error(error, name, rest)
        else:
            _log.info("bus.topic_created", topic=name)
    if refused:
        raise TopicAuthorizationFailedError(refused)


def _creation_error(error: type[BrokerResponseError], name: str, rest: list[Any]) -> BrokerResponseError:
    detail = rest[0] if rest and rest[0] else error.description
    return error(f"topic {name} could not be created: {detail}")


async def _is_compacted(admin: Admin, topic: str) -> bool:
    resource = ConfigResource(ConfigResourceType.TOPIC, topic, {"cleanup.policy": None})
    for response in await admin.describe_configs([resource]):
        for code, _message, _type, _name, entries in response.resources:
            if code:
                raise for_code(code)(topic)
            return any(entry[0] == "cleanup.policy" and "compact" in entry[1] for entry in entries)
    return False
