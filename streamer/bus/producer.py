"""The hardened producer: one shard's writer on Kafka.

Contains what aiokafka 0.14 does not do by itself: it awaits every batch before the commit (a lost batch does not
fail aiokafka's commit), bounds every step in time (its retries have no deadline), takes every error of the
transactional path for the producer's death (its error classes do not tell), and is replaced long before its
sequence numbers overflow. A writer that has failed once stays dead: a new one, with the same transactional id,
fences whatever this one may still have under way, and ends what a broker has forgotten to end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

import structlog
from aiokafka.errors import KafkaError

from streamer.bus.kafka_errors import GRANT, KAFKA_FAILURES, missing, translated
from streamer.bus.kafka_hanging import Forgotten
from streamer.bus.kafka_rights import Right, lacking
from streamer.bus.shards import partition_of_notice
from streamer.config import TopicSettings
from streamer.errors import OutcomeUnknown
from streamer.failpoints import failpoint
from streamer.model import NS_PER_MS, Closing, Notice, Records

COMMIT_DEADLINE_S = 5.0
"""From the first record to the end of the transaction; a commit takes 4 to 6 ms."""

START_DEADLINE_S = 15.0
"""Connecting and ``init_transactions``; longer than the transaction timeout, which it may have to wait out."""

MAX_RECORDS = 1_000_000_000
"""Records of one producer before it is replaced: its sequence numbers turn negative at 2^31."""

_NO_HEADERS: list[tuple[str, bytes]] = []
"""aiokafka takes headers in a list only."""

_Row = tuple[int | None, bytes, bytes | None]
"""Timestamp in milliseconds, key and value of a record."""

_log = structlog.get_logger(__name__)


class Batch(Protocol):
    """A batch of aiokafka being filled."""

    def append(self, *, timestamp: int | None, key: bytes, value: bytes | None, headers: Sequence[Any] = ...) -> Any:
        """Append a record; None when the batch is full."""
        ...

    def record_count(self) -> int:
        """How many records it holds."""
        ...


class Producer(Protocol):
    """What is used of aiokafka's producer."""

    async def start(self) -> None:
        """Connect and fence every earlier producer of the transactional id."""
        ...

    async def begin_transaction(self) -> None:
        """Begin."""
        ...

    def create_batch(self) -> Batch:
        """An empty batch."""
        ...

    async def send_batch(self, batch: Batch, topic: str, *, partition: int) -> Awaitable[Any]:
        """Hand a batch over; the result resolves when the broker has it, to something with the first ``offset``."""
        ...

    async def commit_transaction(self) -> None:
        """Commit."""
        ...

    async def end(self, forgotten: Forgotten) -> None:
        """End what is open of earlier producers of the transactional id."""
        ...

    async def abandon(self) -> None:
        """Disconnect at once, whatever is under way; never hangs, never raises."""
        ...


class KafkaWriter:
    """The one writer of a shard. Built by ``KafkaBus.acquire``, which has started the producer.

    Args:
        make_producer: a producer with the shard's transactional id, not started.
        topics: names of the topics. State goes to the partition of the shard's number.
        partitions: of the topics of notices, by their logical names.
        shard: the shard.
        rights: those that it needs.
        read_state: reads the live state records behind the fence.
        read_ends: reads the ends of the shard's partitions of the samples topic behind the fence.
        find_forgotten: looks, before the fence, for a transaction that a broker has forgotten to end.
    """

    def __init__(
        self,
        make_producer: Callable[[], Producer],
        *,
        topics: TopicSettings,
        partitions: Mapping[str, int],
        shard: int,
        rights: Sequence[Right],
        read_state: Callable[[], Awaitable[dict[bytes, bytes]]],
        read_ends: Callable[[], Awaitable[dict[int, int]]],
        find_forgotten: Callable[[], Awaitable[Forgotten | None]],
    ) -> None:
        if not __debug__:
            raise RuntimeError("aiokafka guards its states with assert: do not run Python with -O")
        self._make_producer = make_producer
        self._topics = topics
        self._partitions = partitions
        self._shard = shard
        self._rights = rights
        self._read_state = read_state
        self._read_ends = read_ends
        self._find_forgotten = find_forgotten
        self._ends: dict[int, int] = {}
        self._producer: Producer | None = None
        self._records = 0

    async def start(self) -> None:
        """Fence every earlier writer of the shard. Raises BusUnreachable or BusRefused."""
        await self._begin(await self._find_forgotten())
        try:
            self._ends = await self._read_ends()
        except BaseException:
            await self.close()
            raise

    async def restore(self) -> dict[bytes, bytes]:
        """The live state records, read after the fence, so that nothing can follow them."""
        return await self._read_state()

    async def commit(
        self, records: Sequence[Records], state: Mapping[bytes, bytes | None], closing: Closing | None = None
    ) -> None:
        """Write events, state records and what is to be said of them in one transaction.

        Args:
            records: the events.
            state: the state records; None takes one away.
            closing: makes the notices from where the events end, once the broker has all of them.

        Raises:
            OutcomeUnknown: the transaction may or may not have happened; only the stored ledger can tell. The
                writer is dead from then on.
        """
        count = len(state) + sum(len(some.values) for some in records)
        if self._producer is not None and self._records + count > MAX_RECORDS:
            await self._replace()
        producer, self._producer = self._producer, None
        if producer is None:
            raise OutcomeUnknown(f"The writer of shard {self._shard} is dead.")
        try:
            async with asyncio.timeout(COMMIT_DEADLINE_S):
                await producer.begin_transaction()
                failpoint("transaction.begun")
                await self._send(producer, records, state)
                failpoint("transaction.sent")
                if closing is not None:
                    count += await self._send_notices(producer, closing(self._ends))
                    failpoint("transaction.closed")
                await producer.commit_transaction()
                failpoint("transaction.ended")
        except BaseException as exc:
            await producer.abandon()
            if isinstance(exc, KAFKA_FAILURES):
                raise self._unknown(exc) from exc
            raise
        self._producer = producer
        self._records += count

    async def close(self) -> None:
        """Let go. Nothing is under way then: a commit has ended or has killed the writer."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await producer.abandon()

    def _unknown(self, error: BaseException) -> OutcomeUnknown:
        """A commit failed. Be it a right that is missing: what became of the transaction only the ledger tells."""
        lacked = missing(error, self._rights)
        if lacked:
            return OutcomeUnknown(f"The commit of shard {self._shard} was refused by Kafka: {lacking(lacked)}.", GRANT)
        what = f"The commit of shard {self._shard} has an unknown outcome ({type(error).__name__})."
        return OutcomeUnknown(what, "The ledger is read again and tells.")

    async def _begin(self, forgotten: Forgotten | None = None) -> None:
        """Fence, and at once end what was forgotten: nobody else will know how."""
        producer = self._make_producer()
        try:
            async with asyncio.timeout(START_DEADLINE_S):
                await producer.start()
                if forgotten is not None:
                    await producer.end(forgotten)
                failpoint("producer.fenced")
        except BaseException as exc:
            await producer.abandon()
            if isinstance(exc, KAFKA_FAILURES):
                raise translated(exc, f"Becoming the writer of shard {self._shard}", self._rights) from exc
            raise
        self._producer, self._records = producer, 0
        if forgotten is not None:
            names = [f"{topic}/{partition}" for topic, partition in forgotten.partitions]
            _log.warning("bus.transaction_ended", shard=self._shard, partitions=names, is_committed=forgotten.is_commit)

    async def _replace(self) -> None:
        _log.info("bus.producer_replaced", shard=self._shard, records=self._records)
        await self.close()
        await self._begin()

    async def _send(self, producer: Producer, records: Sequence[Records], state: Mapping[bytes, bytes | None]) -> None:
        """Send events and state, and learn where the events end."""
        samples = self._topics.samples
        full: dict[tuple[str, int], list[Batch]] = {}
        for partition, group in _by_partition(records).items():
            full[samples, partition] = _filled(producer, group)
        if state:
            full[self._topics.state, self._shard] = _filled_one_by_one(
                producer, ((None, key, value) for key, value in state.items())
            )
        ends = await _delivered(producer, full)
        self._ends.update((partition, end) for (topic, partition), end in ends.items() if topic == samples)

    async def _send_notices(self, producer: Producer, notices: Sequence[Notice]) -> int:
        """Send notices; return how many."""
        rows: dict[tuple[str, int], list[_Row]] = {}
        for notice in notices:
            partition = partition_of_notice(notice, self._shard, self._partitions[notice.topic])
            row = notice.timestamp_ns // NS_PER_MS, notice.key, notice.value
            rows.setdefault((getattr(self._topics, notice.topic), partition), []).append(row)
        await _delivered(producer, {where: _filled_one_by_one(producer, some) for where, some in rows.items()})
        return len(notices)


async def _delivered(producer: Producer, full: Mapping[tuple[str, int], list[Batch]]) -> dict[tuple[str, int], int]:
    """Send all batches, partitions side by side, await every one of them, and return where each partition ends."""
    # A lost batch fails nothing but its own future: each is awaited, and the first failure ends the commit.
    results = await asyncio.gather(
        *(_send_in_order(producer, *where, batches) for where, batches in full.items()), return_exceptions=True
    )
    ends: dict[tuple[str, int], int] = {}
    for where, result in zip(full, results, strict=True):
        if isinstance(result, BaseException):
            raise result
        ends[where] = result
    return ends


async def _send_in_order(producer: Producer, topic: str, partition: int, batches: list[Batch]) -> int:
    """Send batches to one partition; return the offset behind the last record."""
    sent = [await producer.send_batch(batch, topic, partition=partition) for batch in batches]
    end = 0
    for batch, result in zip(batches, await asyncio.gather(*sent, return_exceptions=True), strict=True):
        if isinstance(result, BaseException):
            raise result
        if result.offset < 0:  # a duplicate that the broker no longer knows the place of
            raise KafkaError(f"the place of a batch in {topic}/{partition} is unknown")
        end = max(end, result.offset + batch.record_count())
    return end


def _by_partition(records: Sequence[Records]) -> dict[int, list[Records]]:
    result: dict[int, list[Records]] = {}
    for some in records:
        result.setdefault(some.partition, []).append(some)
    return result


def _filled(producer: Producer, records: Sequence[Records]) -> list[Batch]:
    batch = producer.create_batch()
    batches, append = [batch], batch.append
    for _, key, values, timestamps_ns, headers in records:
        for at, (value, timestamp_ns) in enumerate(zip(values, timestamps_ns, strict=True)):
            with_headers = headers[at] if headers else _NO_HEADERS
            timestamp = timestamp_ns // NS_PER_MS
            if append(timestamp=timestamp, key=key, value=value, headers=with_headers) is None:
                batch = producer.create_batch()
                batches.append(batch)
                append = batch.append
                append(timestamp=timestamp, key=key, value=value, headers=with_headers)
    return batches


def _filled_one_by_one(producer: Producer, rows: Iterable[_Row]) -> list[Batch]:
    batches = [producer.create_batch()]
    for timestamp, key, value in rows:
        if batches[-1].append(timestamp=timestamp, key=key, value=value) is None:
            batches.append(producer.create_batch())
            batches[-1].append(timestamp=timestamp, key=key, value=value)
    return batches
