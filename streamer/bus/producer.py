"""The hardened producer: one shard's writer on Kafka.

Contains what aiokafka 0.14 does not do by itself: it awaits every batch before the commit (a lost batch does not
fail aiokafka's commit), bounds every step in time (its retries have no deadline), takes every error of the
transactional path for the producer's death (its error classes do not tell), and is replaced long before its
sequence numbers overflow. A writer that has failed once stays dead: a new one, with the same transactional id,
fences whatever this one may still have under way.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

import structlog

from streamer.bus.kafka_errors import KAFKA_FAILURES, translated
from streamer.errors import OutcomeUnknown
from streamer.failpoints import failpoint
from streamer.model import NS_PER_MS, Records

COMMIT_DEADLINE_S = 5.0
"""From the first record to the end of the transaction; a commit takes 4 to 6 ms."""

START_DEADLINE_S = 15.0
"""Connecting and ``init_transactions``; longer than the transaction timeout, which it may have to wait out."""

MAX_RECORDS = 1_000_000_000
"""Records of one producer before it is replaced: its sequence numbers turn negative at 2^31."""

_NO_HEADERS: list[tuple[str, bytes]] = []
"""aiokafka takes headers in a list only."""

_log = structlog.get_logger(__name__)


class Batch(Protocol):
    """A batch of aiokafka being filled."""

    def append(self, *, timestamp: int | None, key: bytes, value: bytes | None, headers: Sequence[Any] = ...) -> Any:
        """Append a record; None when the batch is full."""
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
        """Hand a batch over; the result resolves when the broker has it."""
        ...

    async def commit_transaction(self) -> None:
        """Commit."""
        ...

    async def abandon(self) -> None:
        """Disconnect at once, whatever is under way; never hangs, never raises."""
        ...


class KafkaWriter:
    """The one writer of a shard. Built by ``KafkaBus.acquire``, which has started the producer.

    Args:
        make_producer: a producer with the shard's transactional id, not started.
        samples_topic: where events go.
        state_topic: where state records go, to the partition of the shard's number.
        shard: the shard.
        read_state: reads the live state records behind the fence.
    """

    def __init__(
        self,
        make_producer: Callable[[], Producer],
        *,
        samples_topic: str,
        state_topic: str,
        shard: int,
        read_state: Callable[[], Awaitable[dict[bytes, bytes]]],
    ) -> None:
        if not __debug__:
            raise RuntimeError("aiokafka guards its states with assert: do not run Python with -O")
        self._make_producer = make_producer
        self._samples_topic = samples_topic
        self._state_topic = state_topic
        self._shard = shard
        self._read_state = read_state
        self._producer: Producer | None = None
        self._records = 0

    async def start(self) -> None:
        """Fence every earlier writer of the shard. Raises BusUnreachable or BusRefused."""
        producer = self._make_producer()
        try:
            async with asyncio.timeout(START_DEADLINE_S):
                await producer.start()
                failpoint("producer.fenced")
        except BaseException as exc:
            await producer.abandon()
            if isinstance(exc, KAFKA_FAILURES):
                raise translated(exc, f"Becoming the writer of shard {self._shard}") from exc
            raise
        self._producer, self._records = producer, 0

    async def restore(self) -> dict[bytes, bytes]:
        """The live state records, read after the fence, so that nothing can follow them."""
        return await self._read_state()

    async def commit(self, records: Sequence[Records], state: Mapping[bytes, bytes | None]) -> None:
        """Write events and state records in one transaction.

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
                await producer.commit_transaction()
                failpoint("transaction.ended")
        except BaseException as exc:
            await producer.abandon()
            if isinstance(exc, KAFKA_FAILURES):
                what = f"The commit of shard {self._shard} has an unknown outcome ({type(exc).__name__})."
                raise OutcomeUnknown(what, "The ledger is read again and tells.") from exc
            raise
        self._producer = producer
        self._records += count

    async def close(self) -> None:
        """Let go. Nothing is under way then: a commit has ended or has killed the writer."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await producer.abandon()

    async def _replace(self) -> None:
        _log.info("bus.producer_replaced", shard=self._shard, records=self._records)
        await self.close()
        await self.start()

    async def _send(self, producer: Producer, records: Sequence[Records], state: Mapping[bytes, bytes | None]) -> None:
        """Send all batches, partitions side by side, and await every one of them."""
        full: dict[tuple[str, int], list[Batch]] = {}
        for partition, group in _by_partition(records).items():
            full[self._samples_topic, partition] = _filled(producer, group)
        if state:
            full[self._state_topic, self._shard] = _filled_with_state(producer, state)
        # A lost batch fails nothing but its own future: each is awaited, and the first failure ends the commit.
        results = await asyncio.gather(
            *(_send_in_order(producer, *where, batches) for where, batches in full.items()), return_exceptions=True
        )
        for result in results:
            if isinstance(result, BaseException):
                raise result


async def _send_in_order(producer: Producer, topic: str, partition: int, batches: list[Batch]) -> None:
    sent = [await producer.send_batch(batch, topic, partition=partition) for batch in batches]
    for result in await asyncio.gather(*sent, return_exceptions=True):
        if isinstance(result, BaseException):
            raise result


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


def _filled_with_state(producer: Producer, state: Mapping[bytes, bytes | None]) -> list[Batch]:
    batches = [producer.create_batch()]
    for key, value in state.items():
        if batches[-1].append(timestamp=None, key=key, value=value) is None:
            batches.append(producer.create_batch())
            batches[-1].append(timestamp=None, key=key, value=value)
    return batches
