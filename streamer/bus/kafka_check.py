"""Every right that ``run`` needs, tried one by one; nothing is left behind. Called by the Kafka bus's check."""

from __future__ import annotations

import asyncio
from typing import Any

from aiokafka import TopicPartition
from aiokafka.client import AIOKafkaClient, CoordinationType
from aiokafka.errors import GroupAuthorizationFailedError, KafkaError, TopicAuthorizationFailedError, for_code
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.protocol.group import HeartbeatRequest

from streamer.bus.kafka_clients import KafkaClients
from streamer.bus.kafka_errors import KAFKA_FAILURES, missing
from streamer.bus.kafka_rights import Right

TRIED_WITHIN_S = 15.0
"""Trying one right; a new group or transactional id may have to wait for its coordinator."""

_PAUSE_S = 0.1


class RightsTrial:
    """One trial. What opening the bus has tried already, DescribeConfigs, is taken for granted.

    Args:
        clients: of the cluster.
        transactional_id: one that no shard uses.
    """

    def __init__(self, clients: KafkaClients, transactional_id: str) -> None:
        self._clients = clients
        self._transactional_id = transactional_id

    async def missing(self, rights: list[Right]) -> list[Right]:
        """Those of the rights that are missing. Raises ``KAFKA_FAILURES`` for anything else that goes wrong.

        Where transactions are refused, writing cannot be tried.
        """
        lacked: list[Right] = []
        async with self._clients.raw() as client:
            for right in sorted(rights, key=lambda right: right.resource != "transactional id"):
                has_transactions = not any(lack.resource == "transactional id" for lack in lacked)
                try:
                    async with asyncio.timeout(TRIED_WITHIN_S):
                        if right.operation == "Write" and has_transactions:
                            await self._write(None if right.resource == "transactional id" else right.name)
                        elif right.operation == "Read":
                            await (_read if right.resource == "topic" else _beat)(client, right.name)
                except KAFKA_FAILURES as exc:
                    refused = missing(exc, [right])
                    if not refused:
                        raise
                    lacked += refused
        return lacked

    async def _write(self, topic: str | None) -> None:
        """Write to a topic in a transaction that is taken back; without one, only become its writer."""
        producer = self._clients.producer(self._transactional_id)
        try:
            await producer.start()
            if topic is not None:
                await producer.begin_transaction()
                await (await producer.send(topic, key=b"check", value=b"{}", partition=0))
                await producer.abort_transaction()
        finally:
            await producer.abandon()


async def _read(client: AIOKafkaClient, topic: str) -> None:
    """Ask the leader of a partition for whatever is there: a consumer of an empty topic would not notice a refusal."""
    await client.set_topics([topic])
    request = FetchRequest(0, 0, 1, 0, [(topic, [(0, 0, 1)])])
    while (node := client.cluster.leader_for_partition(TopicPartition(topic, 0))) in (None, -1):
        if topic in client.cluster.unauthorized_topics:
            raise TopicAuthorizationFailedError(topic)
        await asyncio.sleep(_PAUSE_S)
        await client.force_metadata_update()
    answer = await _asked(client, node, request)
    error = for_code(answer.topics[0][1][0][1])
    if error is TopicAuthorizationFailedError:
        raise error(topic)


async def _beat(client: AIOKafkaClient, group: str) -> None:
    """Send the heartbeat of a member that there is not: the group takes no notice, but tells who may not read it."""
    while True:
        try:
            node = await client.coordinator_lookup(CoordinationType.GROUP, group)
            answer = await _asked(client, node, HeartbeatRequest(group, -1, "check"))
        except GroupAuthorizationFailedError:
            raise
        except KafkaError as exc:
            if not exc.retriable:
                raise
        else:
            error = for_code(answer.error_code)
            if error is GroupAuthorizationFailedError:
                raise error(group)
            if not error.retriable:
                return
        await asyncio.sleep(_PAUSE_S)


async def _asked(client: AIOKafkaClient, node: int, request: Any) -> Any:
    while not await client.ready(node):  # noqa: ASYNC110  # a broker's state
        await asyncio.sleep(_PAUSE_S)
    return await client.send(node, request)
