"""What stands on the bus, read back: events as runs, and what consumers were told last of each stream.

Called by ``streamer rebuild``, and by the daemon to tell a lost state from one that never was.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from typing import Protocol

import msgspec

from streamer.bus.records import Record
from streamer.errors import LedgerUntrusted
from streamer.ledger.rebuild import Published
from streamer.model import Interval, Series, SignalId, Value
from streamer.source.instants import parse_instant

LONGEST_RUN = 10_000
"""Events that are taken in at once."""

_Name = tuple[int, int, str | None, str | None]
"""Database, index, aggregation and resample period, as events have them."""


class Readable(Protocol):
    """A bus, as far as it is read."""

    def read(
        self, topic: str, *, last: int | None, follow: bool, shard: int | None = None
    ) -> AsyncGenerator[Record, None]:
        """Committed records of a topic, or of the part of it that a shard writes."""
        ...


class _Event(msgspec.Struct):
    database_id: int
    index: int
    timestamp: str
    value: Value
    aggregation: str | None
    resample_period: str | None
    revision: int
    late: bool
    stream: str


class _Hole(msgspec.Struct):
    database_id: int
    index: int
    start: str
    end: str
    cause: str


class _Completeness(msgspec.Struct):
    stream: str
    shard: int
    frontier: str
    watermark: str
    settled: str
    holes: list[_Hole]


@dataclass(frozen=True, slots=True)
class Told:
    """What consumers were told last of a stream in a shard.

    Attributes:
        settled_ns: no query would have come back to what is before, but for the holes.
        holes: of which signal, where and why.
    """

    frontier_ns: int
    settled_ns: int
    holes: tuple[tuple[SignalId, tuple[Interval, str]], ...]


_event = msgspec.json.Decoder(_Event)
_completeness = msgspec.json.Decoder(_Completeness)


async def refuse_lost_state(bus: Readable, shard: int) -> None:
    """Raise LedgerUntrusted when a shard without any state has published something: its ledger was lost."""
    async with aclosing(bus.read("samples", last=None, follow=False, shard=shard)) as records:
        async for _ in records:
            raise LedgerUntrusted(
                f"Shard {shard} has no state record 'head', though it has published events: its ledger is lost.",
                "Nothing was touched. `streamer rebuild` makes the ledger anew from the events that were published.",
            )


async def read_told(bus: Readable) -> dict[tuple[str, int], Told]:
    """By stream and shard, what consumers were told last. Raises LedgerUntrusted for what cannot be read."""
    newest: dict[tuple[str, int], Told] = {}
    async with aclosing(bus.read("completeness", last=None, follow=False)) as records:
        async for record in records:
            with _explained(record):
                event = _completeness.decode(record.value)
                newest[event.stream, event.shard] = _told(event)
    return newest


async def runs_of(records: AsyncIterator[Record], partition_of: Callable[[bytes], int]) -> AsyncIterator[Published]:
    """Events of the samples topic in their order, neighbours that are alike and ascending together.

    Args:
        records: partition by partition in order.
        partition_of: where a key belongs now.

    Raises:
        LedgerUntrusted: an event cannot be read, or stands in another partition than its key says now.
    """
    known: dict[_Name, Series] = {}
    run: Published | None = None
    instants_ns: list[int] = []
    values: list[Value] = []
    async for record in records:
        with _explained(record):
            event = _event.decode(record.value)
            instant_ns, _ = parse_instant(event.timestamp)
            name = (event.database_id, event.index, event.aggregation, event.resample_period)
            if name not in known:
                known[name] = _series(name)
                _check_partition(record, known[name], partition_of)
        about = (known[name], event.stream, event.revision, event.late)
        if run is None or run[:4] != about or instant_ns <= instants_ns[-1] or len(values) == LONGEST_RUN:
            if run is not None:
                yield run
            instants_ns, values = [], []
            run = Published(*about, instants_ns, values)
        instants_ns.append(instant_ns)
        values.append(event.value)
    if run is not None:
        yield run


def _series(name: _Name) -> Series:
    database_id, index, aggregation, period = name
    return Series.parse(f"{database_id}:{index}:{'raw' if period is None else f'{aggregation}@{period}'}")


def _told(event: _Completeness) -> Told:
    frontier_ns, settled_ns, watermark_ns = (
        parse_instant(text)[0] for text in (event.frontier, event.settled, event.watermark)
    )
    return Told(
        frontier_ns,
        min(settled_ns, watermark_ns),
        tuple(
            (
                SignalId(hole.database_id, hole.index),
                (Interval(parse_instant(hole.start)[0], parse_instant(hole.end)[0]), hole.cause),
            )
            for hole in event.holes
        ),
    )


def _check_partition(record: Record, series: Series, partition_of: Callable[[bytes], int]) -> None:
    wanted = partition_of(series.signal.key.encode())
    if record.partition != wanted:
        raise LedgerUntrusted(
            f"Events of {series.signal.key} stand in partition {record.partition}, its key belongs to {wanted} now.",
            "Set bus.shards, and the partitions of the samples topic, back to what they were.",
        )


@contextmanager
def _explained(record: Record) -> Iterator[None]:
    """Whatever is wrong with a record, by its place."""
    try:
        yield
    except (msgspec.MsgspecError, ValueError, KeyError) as exc:
        raise LedgerUntrusted(
            f"The record at offset {record.offset} of partition {record.partition} of {record.topic} cannot be read.",
            "Nothing was changed. It may be of another program, or of a newer version of this one.",
        ) from exc
