"""A model of Kafka's transactions at the seam of the producer: epochs, fencing, lost and delayed steps.

What a real broker guarantees holds here too: a transaction is visible whole or not at all, a producer whose epoch is
old writes nothing, ``init_transactions`` ends what its predecessor left open. What aiokafka gets wrong is modelled as
it is: a commit succeeds though a batch was lost, and a delayed EndTxn ends whatever is open when it arrives. So is
what a broker gets wrong: now and then it restarts between deciding on a commit and marking it in every partition, and
forgets to.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random
from typing import Any, NamedTuple

from aiokafka.errors import KafkaError, ProducerFenced

from streamer.bus.kafka import STALLED_AFTER_S
from streamer.bus.kafka_hanging import Forgotten, find_forgotten
from streamer.bus.producer import KafkaWriter
from streamer.bus.records import Record
from streamer.bus.shards import partition_of
from streamer.config import TopicSettings
from streamer.errors import BusStalled, BusUnreachable
from streamer.ownership import Membership
from tests.simulation.processes import Gate
from tests.simulation.swarm import Swarm

SAMPLES, STATE = "samples", "state"
TOPICS = TopicSettings(samples=SAMPLES, state=STATE, completeness="completeness", gaps="gaps", signals="signals")
BATCH_RECORDS = 40
TRANSACTION_TIMEOUT_S = 10.0
PARTITIONS = 4
"""Of the samples topic: a multiple of every number of shards that a shape has."""


class Logged(NamedTuple):
    """A record and its place."""

    topic: str
    partition: int
    offset: int
    key: bytes
    value: bytes | None


Place = tuple[str, int]
"""A topic and a partition."""

FORGOTTEN_SHARE = 0.3
"""Of the commits that nobody hears of."""


@dataclass
class Transaction:
    """What is open under one transactional id."""

    began_s: float
    records: list[Logged] = field(default_factory=list)

    @property
    def places(self) -> frozenset[Place]:
        """The partitions that it has records in."""
        return frozenset((record.topic, record.partition) for record in self.records)


@dataclass
class Coordinator:
    """What the broker knows of one transactional id.

    Attributes:
        was_committed: how the last transaction was decided, unless a producer has begun since.
        forgotten: a commit that was decided, and is not marked in every partition.
        marked: where it is.
    """

    epoch: int = 0
    open: Transaction | None = None
    was_committed: bool = False
    forgotten: Transaction | None = None
    marked: frozenset[Place] = frozenset()


Committed = Callable[[Mapping[bytes, bytes | None], list[Logged], int], None]
"""Called with state changes, all other records and the shard of each commit at the moment it counts."""


class Metadata(NamedTuple):
    """What is told of a batch that was delivered."""

    offset: int


class Kafka:
    """The brokers."""

    def __init__(self, swarm: Swarm, random: Random, on_commit: Committed) -> None:
        self.swarm = swarm
        self.random = random
        self.is_away = False
        self.state: dict[int, dict[bytes, bytes]] = {}
        self.ends: dict[Place, int] = {}
        self.log: list[Logged] = []
        """Everything but state that was committed, in the order of its commits."""
        self._coordinators: dict[str, Coordinator] = {}
        self._on_commit = on_commit
        self._memory = Random("what brokers forget")

    def coordinator(self, transactional_id: str) -> Coordinator:
        """Of an id, its transaction aborted when it took too long."""
        coordinator = self._coordinators.setdefault(transactional_id, Coordinator())
        if coordinator.open is not None and self.now_s() - coordinator.open.began_s > TRANSACTION_TIMEOUT_S:
            self.abort(coordinator)
            coordinator.epoch += 1
        return coordinator

    def now_s(self) -> float:
        return asyncio.get_running_loop().time()

    async def travel(self) -> None:
        """One way to a broker and back. A broker that is away leaves the request hanging."""
        await asyncio.sleep(self.random.uniform(0.001, 0.006))
        while self.is_away:  # noqa: ASYNC110  # of a model; time is virtual
            await asyncio.sleep(0.5)

    def end(self, transactional_id: str, epoch: int) -> None:
        """An EndTxn that arrives: commits whatever is open, if the epoch is still the producer's."""
        coordinator = self.coordinator(transactional_id)
        if coordinator.epoch != epoch:
            raise ProducerFenced
        transaction, coordinator.open = coordinator.open, None
        coordinator.was_committed = True
        if transaction is not None:
            self._commit(int(transactional_id), transaction, transaction.places)

    def is_forgotten(self) -> bool:
        """Whether a commit that nobody hears of is one that is not marked everywhere."""
        return self._memory.random() < FORGOTTEN_SHARE

    def forget(self, transactional_id: str, epoch: int) -> None:
        """An EndTxn that arrives and is decided on, but marked in some of the partitions only."""
        coordinator = self.coordinator(transactional_id)
        if coordinator.epoch != epoch:
            raise ProducerFenced
        transaction, coordinator.open = coordinator.open, None
        if transaction is not None:
            places = sorted(transaction.places)
            coordinator.was_committed, coordinator.forgotten = True, transaction
            coordinator.marked = frozenset(self._memory.sample(places, self._memory.randrange(len(places))))

    def remember(self, transactional_id: str, *, is_commit: bool) -> None:
        """A later producer ends what was forgotten: as it had been decided, or else it is torn."""
        coordinator = self.coordinator(transactional_id)
        transaction, coordinator.forgotten = coordinator.forgotten, None
        if transaction is not None:
            places = transaction.places if is_commit else coordinator.marked
            self._commit(int(transactional_id), transaction, places)

    def _commit(self, shard: int, transaction: Transaction, places: frozenset[Place]) -> None:
        """Make visible what a transaction has in some partitions."""
        self._mark(transaction)
        records = [record for record in transaction.records if (record.topic, record.partition) in places]
        changes = {record.key: record.value for record in records if record.topic == STATE}
        live = self.state.setdefault(shard, {})
        for key, value in changes.items():
            if value is None:
                live.pop(key, None)
            else:
                live[key] = value
        published = [record for record in records if record.topic != STATE]
        self.log += published
        self._on_commit(changes, published, shard)

    def abort(self, coordinator: Coordinator) -> None:
        """End what is open without making it visible; it keeps its offsets."""
        coordinator.was_committed = False
        transaction, coordinator.open = coordinator.open, None
        if transaction is not None:
            self._mark(transaction)

    def lose(self, shard: int) -> None:
        """The state of a shard is gone, and whatever was on its way there."""
        coordinator = self.coordinator(str(shard))
        self.abort(coordinator)
        coordinator.epoch += 1
        coordinator.forgotten = None
        self.state[shard] = {}

    def append(self, topic: str, partition: int, records: Sequence[tuple[bytes, bytes | None]]) -> list[Logged]:
        """Give records their offsets, whatever becomes of their transaction."""
        first = self.ends.get((topic, partition), 0)
        self.ends[topic, partition] = first + len(records)
        return [Logged(topic, partition, first + at, key, value) for at, (key, value) in enumerate(records)]

    def _mark(self, transaction: Transaction) -> None:
        """The end of a transaction takes an offset of each of its partitions."""
        for where in transaction.places:
            self.ends[where] += 1

    async def read(self, shard: int) -> dict[bytes, bytes]:
        """All that was committed before the call: waits for what is open, as long as the broker lets it be open."""
        await self.travel()
        began_s = self.now_s()
        while self._is_open(shard):
            await asyncio.sleep(0.1)
            if self.now_s() - began_s > STALLED_AFTER_S:
                raise BusStalled("what is open there is not ended")
        return dict(self.state.get(shard, {}))

    def _is_open(self, shard: int) -> bool:
        coordinator = self.coordinator(str(shard))
        return coordinator.open is not None or (STATE, shard) in self.unmarked(shard)

    def unmarked(self, shard: int) -> frozenset[Place]:
        """Where a shard has something open that the coordinator has forgotten."""
        coordinator = self.coordinator(str(shard))
        return frozenset() if coordinator.forgotten is None else coordinator.forgotten.places - coordinator.marked


class Batch:
    """A batch being filled."""

    def __init__(self) -> None:
        self.records: list[tuple[bytes, bytes | None]] = []

    def append(self, *, timestamp: int | None, key: bytes, value: bytes | None, headers: Sequence[Any] = ()) -> Any:
        if len(self.records) == BATCH_RECORDS:
            return None
        self.records.append((key, value))
        return True

    def record_count(self) -> int:
        return len(self.records)


class Producer:
    """A transactional producer of one process."""

    def __init__(self, kafka: Kafka, gate: Gate, transactional_id: str) -> None:
        self._kafka = kafka
        self._gate = gate
        self._id = transactional_id
        self._epoch = -1

    async def start(self) -> None:
        await self._gate.passed()
        if self._kafka.swarm.strikes("start_slow"):
            await asyncio.sleep(self._kafka.random.uniform(0.5, 10))
        await self._kafka.travel()
        await self._gate.passed()
        if self._kafka.swarm.strikes("start_failed"):
            raise KafkaError
        coordinator = self._kafka.coordinator(self._id)
        coordinator.epoch += 1
        self._kafka.abort(coordinator)
        self._epoch = coordinator.epoch

    async def begin_transaction(self) -> None:
        await self._gate.passed()

    def create_batch(self) -> Batch:
        return Batch()

    async def send_batch(self, batch: Any, topic: str, *, partition: int) -> Awaitable[Any]:
        await self._gate.passed()
        return asyncio.ensure_future(self._deliver(batch, topic, partition))

    async def _deliver(self, batch: Batch, topic: str, partition: int) -> Metadata:
        await self._kafka.travel()
        await self._gate.passed()
        if self._kafka.swarm.strikes("batch_lost"):
            raise KafkaError
        coordinator = self._coordinator()
        if coordinator.open is None:
            coordinator.open = Transaction(self._kafka.now_s())
        records = self._kafka.append(topic, partition, batch.records)
        coordinator.open.records += records
        return Metadata(records[0].offset)

    async def commit_transaction(self) -> None:
        kafka = self._kafka
        await self._gate.passed()
        if kafka.swarm.strikes("end_delayed"):
            asyncio.get_running_loop().call_later(kafka.random.uniform(0.1, 20), self._end_late)
            await asyncio.Event().wait()
        await kafka.travel()
        if kafka.swarm.strikes("commit_refused"):
            raise KafkaError
        self._coordinator()
        is_lost = kafka.swarm.strikes("ack_lost")
        if is_lost and kafka.is_forgotten():
            kafka.forget(self._id, self._epoch)
            raise KafkaError
        kafka.end(self._id, self._epoch)
        await self._gate.passed()
        if is_lost:
            if kafka.random.random() < 0.5:
                raise KafkaError
            await asyncio.Event().wait()

    async def end(self, forgotten: Forgotten) -> None:
        self._kafka.remember(self._id, is_commit=forgotten.is_commit)

    async def abandon(self) -> None:
        pass

    def _end_late(self) -> None:
        with suppress(ProducerFenced):
            self._kafka.end(self._id, self._epoch)

    def _coordinator(self) -> Coordinator:
        coordinator = self._kafka.coordinator(self._id)
        if coordinator.epoch != self._epoch:
            raise ProducerFenced
        return coordinator


class Bus:
    """The bus of one process: the real writer on modelled producers."""

    def __init__(self, kafka: Kafka, gate: Gate, shards: int, membership: Membership) -> None:
        self._kafka = kafka
        self._gate = gate
        self._shards = shards
        self._membership = membership

    async def open(self) -> None:
        await self._reached()

    def membership(self) -> Membership:
        return self._membership

    @property
    def partitions(self) -> int:
        return PARTITIONS

    def partition_of(self, key: bytes) -> int:
        return partition_of(key, PARTITIONS)

    async def acquire(self, shard: int) -> KafkaWriter:
        writer = KafkaWriter(
            lambda: Producer(self._kafka, self._gate, str(shard)),
            topics=TOPICS,
            partitions=dict.fromkeys(("completeness", "gaps", "signals"), self._shards),
            shard=shard,
            rights=(),
            read_state=lambda: self.read_state(shard),
            read_ends=lambda: self._read_ends(shard),
            find_forgotten=lambda: find_forgotten(lambda: self._read_open(shard), lambda: self._was_committed(shard)),
        )
        await writer.start()
        return writer

    async def read_state(self, shard: int) -> dict[bytes, bytes]:
        await self._reached()
        state = await self._kafka.read(shard)
        await self._gate.passed()
        return state

    async def read(
        self, topic: str, *, last: int | None, follow: bool, shard: int | None = None
    ) -> AsyncGenerator[Record, None]:
        await self._reached()
        for one in self._kafka.log:
            if one.topic == topic and (shard is None or one.partition % self._shards == shard):
                yield Record(topic, one.partition, one.offset, one.key.decode(), {}, one.value or b"null", 0)

    async def lacks_oldest(self, shard: int) -> bool:
        return False

    async def _read_ends(self, shard: int) -> dict[int, int]:
        await self._reached()
        return {at: self._kafka.ends.get((SAMPLES, at), 0) for at in range(shard, PARTITIONS, self._shards)}

    async def _was_committed(self, shard: int) -> bool | None:
        await self._gate.passed()
        coordinator = self._kafka.coordinator(str(shard))
        return coordinator.was_committed if coordinator.open is None else None

    async def _read_open(self, shard: int) -> list[Place]:
        await self._gate.passed()
        return sorted(self._kafka.unmarked(shard))

    async def _reached(self) -> None:
        await self._gate.passed()
        await asyncio.sleep(0.002)
        if self._kafka.is_away:
            raise BusUnreachable("The brokers are away.")
