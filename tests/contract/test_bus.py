"""Events and ledger in one transaction, one writer a shard, and readers that see what was committed."""

from __future__ import annotations

import asyncio
from ast import literal_eval
from collections.abc import Mapping
from contextlib import aclosing

import pytest

from streamer.bus.records import Record
from streamer.errors import OutcomeUnknown
from streamer.model import NS_PER_MS, Notice, Records
from tests.contract.conftest import SHARDS, Acquire, MakeBus, ReadableBus

FIRST_NS = 1_768_557_600_000 * NS_PER_MS


def events(bus: ReadableBus, key: str, count: int, first: int = 0) -> Records:
    """Events of one signal, numbered on."""
    numbers = range(first, first + count)
    return Records(
        bus.partition_of(key.encode()),
        key.encode(),
        [b'{"value":%d}' % number for number in numbers],
        [FIRST_NS + number * NS_PER_MS for number in numbers],
    )


def key_of_shard(bus: ReadableBus, shard: int) -> str:
    return next(key for at in range(100) if bus.partition_of((key := f"1:{at}").encode()) % SHARDS == shard)


async def read(bus: ReadableBus, last: int | None = None, topic: str = "samples") -> list[Record]:
    async with aclosing(bus.read(topic, last=last, follow=False)) as records:
        return [record async for record in records]


def said(ends: Mapping[int, int]) -> list[Notice]:
    """A notice of each kind; one says where the samples end."""
    return [
        Notice("completeness", b"all:1", repr(dict(ends)).encode(), FIRST_NS),
        Notice("gaps", b"1:1", b"gap", FIRST_NS),
        Notice("signals", b"1:1", b"signal", FIRST_NS),
        Notice("signals", b"1:1", None, FIRST_NS),
    ]


async def test_a_new_shard_has_no_state(bus: ReadableBus, acquire: Acquire) -> None:
    assert await (await acquire(bus, 0)).restore() == {}
    assert await bus.read_state(0) == {}


async def test_a_commit_makes_events_and_state_visible_together(bus: ReadableBus, acquire: Acquire) -> None:
    writer = await acquire(bus, 0)
    key = key_of_shard(bus, 0)
    await writer.commit([events(bus, key, 3)], {b"head": b"1", b"place/x": b"{}"})
    records = await read(bus)
    assert [(record.key, record.value, record.timestamp_ns) for record in records] == [
        (key, b'{"value":%d}' % number, FIRST_NS + number * NS_PER_MS) for number in range(3)
    ]
    assert [record.partition for record in records] == [bus.partition_of(key.encode())] * 3
    assert await bus.read_state(0) == {b"head": b"1", b"place/x": b"{}"}


async def test_the_state_is_what_the_last_commits_left(bus: ReadableBus, acquire: Acquire) -> None:
    writer = await acquire(bus, 0)
    await writer.commit([], {b"a": b"1", b"b": b"1"})
    await writer.commit([], {b"a": b"2", b"c": b"1"})
    await writer.commit([], {b"b": None, b"never there": None})
    assert await writer.restore() == {b"a": b"2", b"c": b"1"}


async def test_the_events_of_a_shard_can_be_read_by_themselves(bus: ReadableBus, acquire: Acquire) -> None:
    for shard in range(SHARDS):
        key = key_of_shard(bus, shard)
        await (await acquire(bus, shard)).commit([events(bus, key, 3)], {b"head": b"1"})
        async with aclosing(bus.read("samples", last=None, follow=False, shard=shard)) as records:
            assert [record.key async for record in records] == [key] * 3
        assert not await bus.lacks_oldest(shard)


async def test_notices_are_visible_with_their_commit_each_in_its_topic(bus: ReadableBus, acquire: Acquire) -> None:
    writer = await acquire(bus, 1)
    await writer.commit([events(bus, key_of_shard(bus, 1), 3)], {b"head": b"1"}, said)
    completeness, gaps, signals = [await read(bus, topic=topic) for topic in ("completeness", "gaps", "signals")]
    assert [(record.topic, record.key, record.partition) for record in completeness] == [("completeness", "all:1", 1)]
    assert [(record.topic, record.key, record.value) for record in gaps] == [("gaps", "1:1", b"gap")]
    assert [(record.topic, record.key, record.value) for record in signals] == [
        ("signals", "1:1", b"signal"),
        ("signals", "1:1", b"null"),
    ]
    assert [record.value for record in await read(bus, last=2, topic="signals")][-1:] == [b"null"]
    assert len(await read(bus)) == 3


async def test_a_notice_knows_where_the_samples_of_its_commit_end(bus: ReadableBus, acquire: Acquire) -> None:
    writer = await acquire(bus, 1)
    key = key_of_shard(bus, 1)
    for first in (0, 30_000):
        await writer.commit([events(bus, key, 30_000, first)], {b"head": b"1"}, said)
        newest = (await read(bus, last=2))[-1]
        ends = literal_eval((await read(bus, topic="completeness"))[-1].value.decode())
        assert ends[newest.partition] == newest.offset + 1


async def test_where_the_samples_of_a_former_owner_end_is_known(make_bus: MakeBus, acquire: Acquire) -> None:
    first = make_bus()
    await first.open()
    key = key_of_shard(first, 1)
    await (await acquire(first, 1)).commit([events(first, key, 3)], {b"head": b"1"})
    newest = (await read(first))[-1]
    await first.close()
    second = make_bus()
    await second.open()
    await (await acquire(second, 1)).commit([], {b"head": b"2"}, said)
    ends = literal_eval((await read(second, topic="completeness"))[-1].value.decode())
    assert newest.offset < ends[newest.partition] <= newest.offset + 2
    await second.close()


async def test_notices_of_a_commit_that_did_not_happen_are_not_there(bus: ReadableBus, acquire: Acquire) -> None:
    old = await acquire(bus, 1)
    await acquire(bus, 1)
    with pytest.raises(OutcomeUnknown):
        await old.commit([events(bus, "1:1", 1)], {b"head": b"zombie"}, said)
    assert [await read(bus, topic=topic) for topic in ("completeness", "gaps", "signals")] == [[], [], []]


async def test_shards_have_states_of_their_own(bus: ReadableBus, acquire: Acquire) -> None:
    writers = [await acquire(bus, shard) for shard in range(SHARDS)]
    await asyncio.gather(*(writer.commit([], {b"head": b"%d" % shard}) for shard, writer in enumerate(writers)))
    assert [await bus.read_state(shard) for shard in range(SHARDS)] == [{b"head": b"0"}, {b"head": b"1"}]


async def test_an_acquired_shard_is_restored_as_its_last_writer_left_it(make_bus: MakeBus, acquire: Acquire) -> None:
    first = make_bus()
    await first.open()
    writer = await acquire(first, 1)
    await writer.commit([], {b"head": b"1", b"binary\x00\xff": b"\x00\xff"})
    await writer.close()
    await first.close()
    second = make_bus()
    await second.open()
    assert await (await acquire(second, 1)).restore() == {b"head": b"1", b"binary\x00\xff": b"\x00\xff"}
    await second.close()


async def test_a_writer_whose_shard_was_acquired_anew_writes_nothing_more(bus: ReadableBus, acquire: Acquire) -> None:
    old = await acquire(bus, 0)
    await old.commit([events(bus, "1:1", 1)], {b"head": b"old"})
    new = await acquire(bus, 0)
    with pytest.raises(OutcomeUnknown):
        await old.commit([events(bus, "1:1", 1, first=1)], {b"head": b"zombie"})
    await new.commit([events(bus, "1:1", 1, first=2)], {b"head": b"new"})
    assert [record.value for record in await read(bus)] == [b'{"value":0}', b'{"value":2}']
    assert await bus.read_state(0) == {b"head": b"new"}


async def test_a_writer_that_failed_once_stays_dead(bus: ReadableBus, acquire: Acquire) -> None:
    old = await acquire(bus, 0)
    new = await acquire(bus, 0)
    for _ in range(2):
        with pytest.raises(OutcomeUnknown):
            await old.commit([], {b"head": b"zombie"})
    assert await new.restore() == {}


async def test_a_closed_writer_writes_nothing(bus: ReadableBus, acquire: Acquire) -> None:
    writer = await acquire(bus, 0)
    await writer.close()
    with pytest.raises(OutcomeUnknown):
        await writer.commit([], {b"head": b"1"})
    assert await bus.read_state(0) == {}


async def test_events_of_one_signal_keep_their_order_over_large_commits(bus: ReadableBus, acquire: Acquire) -> None:
    writer = await acquire(bus, 0)
    key = key_of_shard(bus, 0)
    await writer.commit([events(bus, key, 30_000)], {b"head": b"1", b"large": bytes(400_000)})
    await writer.commit([events(bus, key, 10, first=30_000)], {b"head": b"2"})
    assert [record.value for record in await read(bus)] == [b'{"value":%d}' % number for number in range(30_010)]
    assert await writer.restore() == {b"head": b"2", b"large": bytes(400_000)}


async def test_headers_come_out_as_they_went_in(bus: ReadableBus, acquire: Acquire) -> None:
    writer = await acquire(bus, 0)
    partition, key, values, timestamps_ns, _ = events(bus, "1:1", 2)
    headers = [[("ce_id", b"1:1:raw:5:0"), ("content-type", b"application/json")], [("ce_id", b"\xc3\xa9")]]
    await writer.commit([Records(partition, key, values, timestamps_ns, headers)], {})
    assert [record.headers for record in await read(bus)] == [
        {"ce_id": "1:1:raw:5:0", "content-type": "application/json"},
        {"ce_id": "é"},
    ]


async def test_reading_may_begin_near_the_end(bus: ReadableBus, acquire: Acquire) -> None:
    writer = await acquire(bus, 0)
    key = key_of_shard(bus, 0)
    await writer.commit([events(bus, key, 10)], {b"head": b"1"})
    newest = [record.value for record in await read(bus, last=3)]
    assert newest
    assert newest == [b'{"value":%d}' % number for number in range(10 - len(newest), 10)]
    assert len(newest) <= 3


async def test_a_follower_sees_what_is_committed_later(bus: ReadableBus, acquire: Acquire) -> None:
    writer = await acquire(bus, 0)
    await writer.commit([events(bus, "1:1", 2)], {b"head": b"1"})
    seen: list[bytes] = []
    has_caught_up = asyncio.Event()

    async def follow() -> None:
        async with aclosing(bus.read("samples", last=None, follow=True)) as records:
            async for record in records:
                seen.append(record.value)
                if len(seen) == 2:
                    has_caught_up.set()
                if len(seen) == 4:
                    return

    following = asyncio.create_task(follow())
    async with asyncio.timeout(20):
        await has_caught_up.wait()
    await writer.commit([events(bus, "1:1", 2, first=2)], {b"head": b"2"})
    async with asyncio.timeout(20):
        await following
    assert seen == [b'{"value":%d}' % number for number in range(4)]


async def test_a_commit_that_is_cancelled_leaves_no_half(bus: ReadableBus, acquire: Acquire) -> None:
    for attempt in range(10):
        writer = await acquire(bus, 0)
        before = await writer.restore()
        commit = asyncio.create_task(
            writer.commit([events(bus, "1:1", 100, first=attempt * 100)], {b"head": b"%d" % attempt})
        )
        await asyncio.sleep(attempt / 1000)
        commit.cancel()
        await asyncio.gather(commit, return_exceptions=True)
        await writer.close()
        after = await (await acquire(bus, 0)).restore()
        count = sum(record.key == "1:1" for record in await read(bus))
        assert after in (before, {b"head": b"%d" % attempt})
        assert count % 100 == 0
