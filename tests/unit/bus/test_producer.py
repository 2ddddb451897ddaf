"""The hardened producer against a producer that fails as aiokafka does."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NamedTuple

import pytest
from aiokafka.errors import (
    IllegalOperation,
    KafkaError,
    OutOfOrderSequenceNumber,
    ProducerFenced,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
    for_code,
)

from streamer.bus import producer as module
from streamer.bus.kafka_hanging import Forgotten
from streamer.bus.kafka_rights import Right
from streamer.bus.producer import COMMIT_DEADLINE_S, START_DEADLINE_S, Batch, KafkaWriter
from streamer.bus.shards import partition_of
from streamer.config import TopicSettings
from streamer.errors import BusRefused, BusUnreachable, OutcomeUnknown
from streamer.model import Notice, Records
from tests.support.virtual_time import run_virtually

EVENTS = Records(0, b"1:1", [b"{}", b"{}"], [0, 1_000_000])
TOPICS = TopicSettings(samples="samples", state="state", completeness="completeness", gaps="gaps", signals="signals")
RIGHTS = [Right("User:a", "Write", "transactional id", "state-2"), Right("User:a", "Write", "topic", "gaps")]
ROOM = 3
"""Records that fit into a batch of the fake."""


class Metadata(NamedTuple):
    """Where a batch went."""

    offset: int


class FakeBatch:
    """Holds ``ROOM`` records."""

    def __init__(self) -> None:
        self.records: list[tuple[int | None, bytes, bytes | None]] = []

    def append(self, *, timestamp: int | None, key: bytes, value: bytes | None, headers: Sequence[Any] = ()) -> Any:
        if len(self.records) == ROOM:
            return None
        self.records.append((timestamp, key, value))
        return object()

    def record_count(self) -> int:
        return len(self.records)


class FakeProducer:
    """Succeeds, unless a step is given something else to do."""

    def __init__(self, **steps: Callable[[], Awaitable[None]]) -> None:
        self.steps = steps
        self.done: list[str] = []
        self.sent: list[tuple[str, int, FakeBatch]] = []
        self.first = 100
        self.ends: dict[tuple[str, int], int] = {}
        self.ended: Forgotten | None = None

    async def _step(self, name: str) -> None:
        self.done.append(name)
        if name in self.steps:
            await self.steps[name]()

    async def start(self) -> None:
        await self._step("start")

    async def begin_transaction(self) -> None:
        await self._step("begin")

    def create_batch(self) -> FakeBatch:
        return FakeBatch()

    async def send_batch(self, batch: Batch, topic: str, *, partition: int) -> Awaitable[Any]:
        assert isinstance(batch, FakeBatch)
        await self._step("send")
        self.sent.append((topic, partition, batch))
        return asyncio.ensure_future(self._deliver(topic, partition, batch))

    async def _deliver(self, topic: str, partition: int, batch: FakeBatch) -> Metadata:
        offset = self.ends.get((topic, partition), self.first)
        self.ends[topic, partition] = offset + len(batch.records)
        await self._step("delivery")
        return Metadata(offset)

    async def commit_transaction(self) -> None:
        await self._step("commit")

    async def end(self, forgotten: Forgotten) -> None:
        self.ended = forgotten
        await self._step("end")

    async def abandon(self) -> None:
        await self._step("abandon")


def fails(error: BaseException) -> Callable[[], Awaitable[None]]:
    async def step() -> None:
        raise error

    return step


async def hangs() -> None:
    await asyncio.Event().wait()


async def ends() -> dict[int, int]:
    return {2: 20, 6: 60}


async def started(
    *producers: FakeProducer,
    read_ends: Callable[[], Awaitable[Any]] = ends,
    forgotten: Forgotten | None = None,
) -> KafkaWriter:
    rest = list(producers)

    async def read_state() -> dict[bytes, bytes]:
        return {}

    async def find_forgotten() -> Forgotten | None:
        assert len(rest) == len(producers), "behind the fence nobody knows how it was decided"
        return forgotten

    writer = KafkaWriter(
        lambda: rest.pop(0),
        topics=TOPICS,
        partitions={"completeness": 4, "gaps": 8, "signals": 4},
        shard=2,
        rights=RIGHTS,
        read_state=read_state,
        read_ends=read_ends,
        find_forgotten=find_forgotten,
    )
    await writer.start()
    return writer


async def test_a_commit_awaits_every_delivery_before_it_ends_the_transaction() -> None:
    producer = FakeProducer()
    await (await started(producer)).commit([EVENTS], {b"head": b"1"})
    assert producer.done == ["start", "begin", "send", "send", "delivery", "delivery", "commit"]


async def test_records_go_to_their_partitions_in_order_and_state_to_the_shards_own() -> None:
    producer = FakeProducer()
    others = Records(7, b"1:2", [b"%d" % at for at in range(5)], [at * 1_000_000 for at in range(5)])
    await (await started(producer)).commit([others, EVENTS], {b"head": b"1", b"gone": None})
    assert [(topic, partition, batch.records) for topic, partition, batch in sorted(producer.sent, key=repr_of)] == [
        ("samples", 0, [(0, b"1:1", b"{}"), (1, b"1:1", b"{}")]),
        ("samples", 7, [(0, b"1:2", b"0"), (1, b"1:2", b"1"), (2, b"1:2", b"2")]),
        ("samples", 7, [(3, b"1:2", b"3"), (4, b"1:2", b"4")]),
        ("state", 2, [(None, b"head", b"1"), (None, b"gone", None)]),
    ]


def repr_of(sent: tuple[str, int, FakeBatch]) -> Any:
    return sent[0], sent[1], sent[2].records[0][2]


def said(ends: Mapping[int, int]) -> list[Notice]:
    """Notices that say where the samples end."""
    return [
        Notice("completeness", b"all:2", repr(sorted(ends.items())).encode(), 7_000_000),
        Notice("signals", b"1:1", None, 8_000_000),
    ]


async def test_notices_follow_the_events_that_they_speak_of_and_know_where_these_end() -> None:
    producer = FakeProducer()
    many = Records(2, b"1:1", [b"%d" % at for at in range(5)], [0] * 5)
    await (await started(producer)).commit([many], {b"head": b"1"}, said)
    assert [name for name in producer.done if name not in ("send", "delivery")] == ["start", "begin", "commit"]
    assert [(topic, partition, batch.records) for topic, partition, batch in producer.sent[-2:]] == [
        ("completeness", 2, [(7, b"all:2", b"[(2, 105), (6, 60)]")]),
        ("signals", partition_of(b"1:1", 4), [(8, b"1:1", None)]),
    ]


async def test_a_partition_ends_where_it_did_until_something_is_written_to_it() -> None:
    producer = FakeProducer()
    writer = await started(producer)
    await writer.commit([Records(6, b"1:1", [b"1"], [0])], {})
    await writer.commit([], {b"head": b"1"}, said)
    assert producer.sent[-2][2].records[0][2] == b"[(2, 20), (6, 101)]"


async def test_a_batch_of_which_the_broker_does_not_know_the_place_fails_the_commit() -> None:
    producer = FakeProducer()
    producer.first = -1
    with pytest.raises(OutcomeUnknown):
        await (await started(producer)).commit([EVENTS], {})
    assert "commit" not in producer.done


async def test_a_notice_that_is_lost_fails_the_commit() -> None:
    producer = FakeProducer()
    writer = await started(producer)

    def lost(ends: Mapping[int, int]) -> list[Notice]:
        producer.steps["delivery"] = fails(KafkaError("batch lost"))
        return said(ends)

    with pytest.raises(OutcomeUnknown):
        await writer.commit([EVENTS], {}, lost)
    assert (producer.done[-1], "commit" in producer.done) == ("abandon", False)


async def test_a_writer_that_cannot_learn_where_the_samples_end_lets_go_of_its_producer() -> None:
    producer = FakeProducer()
    with pytest.raises(BusUnreachable):
        await started(producer, read_ends=fails(BusUnreachable("away")))
    assert producer.done == ["start", "abandon"]


FORGOTTEN = Forgotten([("state", 2), ("samples", 6)], is_commit=True)


async def test_what_was_forgotten_is_ended_behind_the_fence_before_anything_is_read() -> None:
    producer = FakeProducer()

    async def read_ends() -> dict[int, int]:
        assert producer.done == ["start", "end"]
        return {}

    await started(producer, read_ends=read_ends, forgotten=FORGOTTEN)
    assert producer.ended is FORGOTTEN


async def test_a_writer_that_cannot_end_what_was_forgotten_lets_go_of_its_producer() -> None:
    producer = FakeProducer(end=fails(ProducerFenced()))
    with pytest.raises(BusUnreachable, match="writer of shard 2"):
        await started(producer, forgotten=FORGOTTEN)
    assert producer.done == ["start", "end", "abandon"]


ERRORS = [
    KafkaError(),
    ProducerFenced(),
    OutOfOrderSequenceNumber(),
    IllegalOperation(),
    AssertionError(),
    ConnectionResetError(),
    TimeoutError(),
    for_code(82)(),  # fenced instance, and 90, producer fenced: aiokafka has no classes for them
    for_code(90)(),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("step", ["begin", "send", "delivery", "commit"])
async def test_any_failure_of_any_step_means_an_unknown_outcome_and_a_dead_writer(step: str, error: Exception) -> None:
    producer = FakeProducer(**{step: fails(error)})
    writer = await started(producer)
    with pytest.raises(OutcomeUnknown, match="shard 2"):
        await writer.commit([EVENTS], {b"head": b"1"})
    assert producer.done[-1] == "abandon"
    steps = len(producer.done)
    with pytest.raises(OutcomeUnknown, match="is dead"):
        await writer.commit([EVENTS], {b"head": b"1"})
    assert len(producer.done) == steps


async def test_a_lost_batch_fails_a_commit_that_the_producer_would_have_made() -> None:
    producer = FakeProducer(delivery=fails(KafkaError("batch lost")))
    with pytest.raises(OutcomeUnknown):
        await (await started(producer)).commit([EVENTS], {b"head": b"1"})
    assert "commit" not in producer.done


@pytest.mark.parametrize("step", ["begin", "send", "delivery", "commit"])
def test_a_step_that_hangs_is_given_up_at_the_deadline(step: str) -> None:
    async def main() -> None:
        writer = await started(FakeProducer(**{step: hangs}))
        began = asyncio.get_running_loop().time()
        with pytest.raises(OutcomeUnknown):
            await writer.commit([EVENTS], {b"head": b"1"})
        assert asyncio.get_running_loop().time() - began == pytest.approx(COMMIT_DEADLINE_S)

    run_virtually(main())


def test_a_start_that_hangs_is_given_up_at_the_deadline() -> None:
    async def main() -> None:
        producer = FakeProducer(start=hangs)
        with pytest.raises(BusUnreachable, match="writer of shard 2"):
            await started(producer)
        assert asyncio.get_running_loop().time() == pytest.approx(START_DEADLINE_S)
        assert producer.done == ["start", "abandon"]

    run_virtually(main())


async def test_a_start_that_is_not_allowed_names_the_right_that_is_missing() -> None:
    with pytest.raises(BusRefused, match="User:a lacks Write on transactional id state-2\\."):
        await started(FakeProducer(start=fails(TransactionalIdAuthorizationFailed("state-2"))))


async def test_a_commit_that_is_not_allowed_names_the_right_and_still_has_an_unknown_outcome() -> None:
    writer = await started(FakeProducer(commit=fails(TopicAuthorizationFailedError({"gaps"}))))
    with pytest.raises(OutcomeUnknown, match="User:a lacks Write on topic gaps\\."):
        await writer.commit([EVENTS], {b"head": b"1"})


async def test_a_bug_travels_as_what_it_is_and_leaves_no_producer() -> None:
    producer = FakeProducer(begin=fails(ZeroDivisionError()))
    with pytest.raises(ZeroDivisionError):
        await (await started(producer)).commit([EVENTS], {b"head": b"1"})
    assert producer.done[-1] == "abandon"


async def test_a_cancelled_commit_leaves_no_producer() -> None:
    is_committing = asyncio.Event()

    async def commits() -> None:
        is_committing.set()
        await hangs()

    producer = FakeProducer(commit=commits)
    commit = asyncio.create_task((await started(producer)).commit([EVENTS], {b"head": b"1"}))
    await is_committing.wait()
    commit.cancel()
    with pytest.raises(asyncio.CancelledError):
        await commit
    assert producer.done[-1] == "abandon"


async def test_a_producer_is_replaced_before_its_sequence_numbers_overflow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_RECORDS", 7)
    first, second = FakeProducer(), FakeProducer()
    writer = await started(first, second)
    for _ in range(3):
        await writer.commit([EVENTS], {b"head": b"1"})
    assert (first.done.count("commit"), first.done[-1]) == (2, "abandon")
    assert (second.done[0], second.done.count("commit")) == ("start", 1)


def test_an_interpreter_without_assertions_is_refused() -> None:
    program = (
        "from streamer.bus.producer import KafkaWriter\n"
        "KafkaWriter(None, topics=None, partitions=None, shard=0, rights=(), read_state=None, read_ends=None,"
        " find_forgotten=None)"
    )
    result = subprocess.run([sys.executable, "-O", "-c", program], capture_output=True, text=True, check=False)
    assert "do not run Python with -O" in result.stderr
