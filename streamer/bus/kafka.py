"""The bus on Kafka: events, what is said of them, and the ledger, to topics of their own in one transaction."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from secrets import token_hex

from aiokafka import ConsumerRecord, TopicPartition

from streamer.bus.kafka_check import RightsTrial
from streamer.bus.kafka_clients import CLIENT_ID, Admin, Consumer, KafkaClients, TransactionalProducer, closed
from streamer.bus.kafka_errors import GRANT, explained
from streamer.bus.kafka_group import describe, owners
from streamer.bus.kafka_hanging import Forgotten, find_forgotten, was_committed
from streamer.bus.kafka_membership import GroupMembership
from streamer.bus.kafka_reshape import REPLACED_WITHIN_S, refuse_members, state_records, widen, write_at_once
from streamer.bus.kafka_rights import Right, Rights, lacking
from streamer.bus.kafka_topics import count_partitions, prepare_topics
from streamer.bus.producer import KafkaWriter
from streamer.bus.records import Record
from streamer.bus.shards import partition_of, partitions_of_shard
from streamer.config import KafkaSettings
from streamer.errors import BusRefused, BusStalled, ConfigurationError
from streamer.model import NS_PER_MS

POLL_MS = 200

STALLED_AFTER_S = 30.0
"""Connecting, or reading state, that makes no progress for so long has failed.

A transaction that a killed process left open ends within 20 s: its timeout, and the interval of the broker's check.
"""


class KafkaBus:
    """Topics and shards on one cluster.

    Args:
        settings: the ``kafka`` section.
        shards: how many there are; the state topic has a partition for each.
        partitions: of the samples topic, should it have to be created.
        replica: what this process is called where replicas are told apart.
    """

    def __init__(self, settings: KafkaSettings, *, shards: int, partitions: int, replica: str = CLIENT_ID) -> None:
        self._settings = settings
        self._topics = settings.topics
        self._shards = shards
        self._partitions = {"samples": partitions}
        self._is_reshaping = False
        self._clients = KafkaClients(settings, replica)
        self._rights = Rights(settings)

    async def open(self) -> None:
        """Create or check the topics.

        Raises:
            BusUnreachable, BusRefused: see ``kafka_errors``.
            ConfigurationError: a topic does not fit.
        """
        with explained("Connecting to Kafka", self._rights.to_see()):
            async with self._admin() as admin:
                self._partitions = await prepare_topics(
                    admin, self._settings, shards=self._shards, partitions=self._partitions["samples"]
                )

    async def open_to_reshape(self) -> int:
        """As ``open``, but with the topics made to fit; how many shards may have a state.

        Raises:
            ShardTaken: a replica runs.
            BusUnreachable, BusRefused: see ``kafka_errors``.
            ConfigurationError: a topic cannot be made to fit.
        """
        with explained("Changing the topics", [*self._rights.to_see(), *self._rights.to_join()]):
            async with self._admin() as admin:
                await refuse_members(admin, self._settings.owners)
                await widen(
                    admin, self._topics, self._rights, shards=self._shards, partitions=self._settings.partitions
                )
        await self.open()
        self._is_reshaping = True
        return self._partitions["state"]

    async def replace_states(self, states: Mapping[int, Mapping[bytes, bytes | None]]) -> None:
        """Change the states of all shards in one transaction, and take back the catalogue, which is told anew.

        Raises BusUnreachable or BusRefused; all of it has happened, or nothing has.
        """
        catalogue = {record.key: record async for record in self.read("signals", last=None, follow=False)}
        told = [
            (self._topics.signals, record.partition, record.key.encode(), None)
            for record in catalogue.values()
            if record.key is not None and record.value != b"null"
        ]
        transactional_id = f"{self._topics.state}-reshard"
        with explained("Replacing the states of all shards", self._rights.to_write(transactional_id)):
            producer = self._clients.producer(transactional_id, transaction_timeout_ms=int(REPLACED_WITHIN_S * 1000))
            try:
                await producer.start()
                await write_at_once(producer, [*told, *state_records(self._topics.state, states)])
            finally:
                await producer.abandon()

    async def close(self) -> None:
        """Nothing to do: each client lives as long as what it was made for."""

    @property
    def partitions(self) -> int:
        """Of the samples topic; final once the bus is open."""
        return self._partitions["samples"]

    def partition_of(self, key: bytes) -> int:
        """The partition of the samples topic that a key belongs to; final once the bus is open."""
        return partition_of(key, self._partitions["samples"])

    def membership(self) -> GroupMembership:
        """The group's, which hands out the shards among all processes with this ``group_id``."""
        return GroupMembership(self._clients.member, self._topics.shards, self._shards, self._rights.to_join())

    async def owners(self) -> dict[int, str] | None:
        """Which replica the group gave each shard to; a shard that nobody has is missing. None while it decides anew.

        Connects anew each time, so that it shares nothing with what commits. Raises BusUnreachable or BusRefused.
        """
        with explained("Asking the group who owns the shards", self._rights.to_join()):
            async with self._admin() as admin:
                return owners(await describe(admin, self._settings.owners), self._topics.shards)

    async def acquire(self, shard: int) -> KafkaWriter:
        """Become the one writer of a shard, fencing any other. Raises BusUnreachable or BusRefused."""
        transactional_id = f"{self._topics.state}-{shard}"

        def make_producer() -> TransactionalProducer:
            return self._clients.producer(transactional_id)

        writer = KafkaWriter(
            make_producer,
            topics=self._topics,
            partitions=self._partitions,
            shard=shard,
            rights=self._rights.to_write(transactional_id),
            read_state=lambda: self.read_state(shard),
            read_ends=lambda: self._read_ends(shard),
            find_forgotten=lambda: self._find_forgotten(shard, transactional_id),
        )
        await writer.start()
        return writer

    async def read_state(self, shard: int) -> dict[bytes, bytes]:
        """The live state records of a shard: all that was committed before the call.

        Behind a fence nothing can follow them. Raises BusStalled, BusUnreachable or BusRefused.
        """
        with explained(f"Reading the state of shard {shard}", [self._rights.on("Read", "state")]):
            try:
                return await self._read_state(TopicPartition(self._topics.state, shard))
            except TimeoutError as exc:
                what = f"Reading the state of shard {shard} makes no progress."
                raise BusStalled(what, "Check the brokers, and whether a transaction is open there.") from exc

    async def _read_state(self, partition: TopicPartition) -> dict[bytes, bytes]:
        """Raises TimeoutError when there is no progress."""
        state: dict[bytes, bytes] = {}
        async with asyncio.timeout(STALLED_AFTER_S) as patience:
            end = (await self._high_watermarks([partition]))[partition]
            async with self._consumer(partition.topic) as consumer:
                consumer.assign([partition])
                await consumer.seek_to_beginning(partition)
                while await consumer.position(partition) < end:
                    for messages in (await consumer.getmany(timeout_ms=POLL_MS)).values():
                        patience.reschedule(asyncio.get_running_loop().time() + STALLED_AFTER_S)
                        for message in messages:
                            if message.value is None:
                                state.pop(message.key, None)
                            else:
                                state[message.key] = message.value
        return state

    async def read(
        self, topic: str, *, last: int | None, follow: bool, shard: int | None = None
    ) -> AsyncGenerator[Record, None]:
        """Committed records of a topic, partition by partition in order.

        Args:
            topic: logical name (``samples``).
            last: begin that many offsets before each partition's end; None for the beginning.
            follow: wait for more at the end.
            shard: only the partitions that this shard writes; None for all.

        Raises:
            BusUnreachable, BusRefused: see ``kafka_errors``.
            ConfigurationError: the topic does not exist.
        """
        name = getattr(self._topics, topic)
        with explained(f"Reading {name}", [self._rights.on("Read", topic)]):
            async with self._admin() as admin:
                count = (await count_partitions(admin, [name])).get(name, 0)
            if not count:
                problem = f"topic {name} is not there yet; `streamer run` creates it"
                raise ConfigurationError([(f"kafka.topics.{topic}", problem)])
            async with self._consumer(name) as consumer:
                numbers = range(count) if shard is None else range(shard, count, self._shards)
                partitions = [TopicPartition(name, number) for number in numbers]
                consumer.assign(partitions)
                ends = await self._high_watermarks(partitions)
                beginnings = await consumer.beginning_offsets(partitions)
                for partition in partitions:
                    offset = 0 if last is None else ends[partition] - last
                    consumer.seek(partition, max(beginnings[partition], offset))
                rest = set(partitions)
                while follow or rest:
                    for messages in (await consumer.getmany(timeout_ms=POLL_MS)).values():
                        for message in messages:
                            if follow or message.offset < ends[TopicPartition(name, message.partition)]:
                                yield _record(topic, message)
                    rest = {one for one in rest if await consumer.position(one) < ends[one]}

    async def lacks_oldest(self, shard: int) -> bool:
        """Whether retention has taken events of a shard already."""
        with explained(f"Reading where {self._topics.samples} begins", self._samples_rights):
            async with self._consumer(self._topics.samples) as consumer:
                return any((await consumer.beginning_offsets(self._samples_of(shard))).values())

    async def check(self) -> str:
        """Connect and try every right that ``run`` needs, in transactions that are taken back.

        Each time as a writer of its own: two at once would fence each other.
        """
        await self.open()
        rights = self._rights.of_run()
        with explained("Trying the rights on Kafka", rights):
            missing = await RightsTrial(self._clients, f"{self._topics.state}-check-{token_hex(4)}").missing(rights)
        if missing:
            raise BusRefused(f"Kafka would refuse what `streamer run` does: {lacking(missing)}.", GRANT)
        found = (f"{getattr(self._topics, topic)} ({count})" for topic, count in self._partitions.items())
        return f"topics (partitions): {', '.join(found)}; may read, write and commit"

    async def _read_ends(self, shard: int) -> dict[int, int]:
        """The ends of the partitions of the samples topic that a shard writes; behind a fence they are its own."""
        with explained(f"Reading where {self._topics.samples} ends", self._samples_rights):
            async with asyncio.timeout(STALLED_AFTER_S):
                ends = await self._high_watermarks(self._samples_of(shard))
        return {partition.partition: end for partition, end in ends.items()}

    async def _find_forgotten(self, shard: int, transactional_id: str) -> Forgotten | None:
        async def ask() -> bool | None:
            async with self._clients.raw() as client:
                return await was_committed(client, transactional_id)

        with explained(f"Becoming the writer of shard {shard}", self._rights.to_write(transactional_id)):
            async with asyncio.timeout(STALLED_AFTER_S):
                return await find_forgotten(lambda: self._open_of(shard), ask)

    async def _open_of(self, shard: int) -> list[tuple[str, int]]:
        """The partitions that a shard writes in which a transaction is open, by topic and number."""
        owned = [
            TopicPartition(getattr(self._topics, topic), partition)
            for topic, partition in partitions_of_shard(
                shard, 1 if self._is_reshaping else self._shards, self._partitions
            )
        ]
        ends = await self._high_watermarks(owned)
        async with self._consumer(*{one.topic for one in owned}) as consumer:
            stable = await consumer.end_offsets(owned)
        return [(one.topic, one.partition) for one in owned if stable[one] < ends[one]]

    @property
    def _samples_rights(self) -> list[Right]:
        """Any of them is enough to know where the samples topic begins and ends."""
        return [self._rights.on("Write", "samples"), self._rights.on("Read", "samples")]

    def _samples_of(self, shard: int) -> list[TopicPartition]:
        """The partitions of the samples topic that a shard writes."""
        numbers = range(shard, self._partitions["samples"], self._shards)
        return [TopicPartition(self._topics.samples, number) for number in numbers]

    async def _high_watermarks(self, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
        """The ends of partitions, with what is open or was committed this instant.

        A read_committed consumer's own ends are the last stable offsets: a transaction that is open, or whose markers
        are still being written, holds them back, so reading up to them may miss what was committed already.
        """
        async with self._consumer(*{one.topic for one in partitions}, is_committed_only=False) as consumer:
            return dict(await consumer.end_offsets(partitions))

    @asynccontextmanager
    async def _admin(self) -> AsyncIterator[Admin]:
        admin = self._clients.admin()
        try:
            async with asyncio.timeout(STALLED_AFTER_S):
                await self._clients.start(admin)
            yield admin
        finally:
            await closed(admin.close())

    @asynccontextmanager
    async def _consumer(self, *topics: str, is_committed_only: bool = True) -> AsyncIterator[Consumer]:
        consumer = self._clients.consumer(is_committed_only=is_committed_only)
        try:
            async with asyncio.timeout(STALLED_AFTER_S):
                await self._clients.start(consumer)
                await consumer.see(*topics)
            yield consumer
        finally:
            await closed(consumer.stop())


def _record(topic: str, message: ConsumerRecord[bytes, bytes]) -> Record:
    return Record(
        topic=topic,
        partition=message.partition,
        offset=message.offset,
        key=None if message.key is None else message.key.decode(errors="backslashreplace"),
        headers={name: value.decode(errors="backslashreplace") for name, value in message.headers},
        value=message.value or b"null",
        timestamp_ns=message.timestamp * NS_PER_MS,
    )
