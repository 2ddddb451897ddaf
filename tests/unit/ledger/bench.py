"""A ledger on the bench: with what is stored of it, and with questions and answers in whole seconds."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from streamer.ledger.ledger import Applied, Ledger, Outcome
from streamer.model import (
    NS_PER_S,
    Answer,
    Column,
    Group,
    Interval,
    Lane,
    Place,
    Query,
    Series,
    SignalId,
    Stream,
    Value,
)

DATABASE = 7
STREAM = Stream("all", NS_PER_S, overlap_ns=3 * NS_PER_S, lookback_ns=(15 * NS_PER_S, 120 * NS_PER_S))

Samples = Mapping[int, Mapping[int, Value]]
"""What an answer shows: by index, by second, the value."""


@dataclass(frozen=True, order=True)
class Event:
    """A sample to be published."""

    index: int
    second: int
    value: Value
    revision: int
    is_late: bool


def raw(index: int) -> Series:
    return Series(SignalId(DATABASE, index))


def group_of(*indexes: int, number: int = 0, stream: Stream = STREAM) -> Group:
    """The group of some signals; its label and period are the stream's."""
    series = [Series(SignalId(DATABASE, index), stream.aggregation, stream.resample_period_ns) for index in indexes]
    return Group(f"{stream.name}/{series[0].label}/{number}", stream, 0, DATABASE, tuple(series))


def seconds(start: int, end: int) -> Interval:
    return Interval(start * NS_PER_S, end * NS_PER_S)


def column_of(samples: Mapping[int, Value]) -> Column:
    """A column of values by instant."""
    instants = sorted(samples)
    return Column(instants, [f"t{at}" for at in instants], [samples[at] for at in instants])


def answer_of(shown: Samples, unreadable: Iterable[int] = (), read: Iterable[int] = ()) -> Answer:
    """An answer of values by index and second; a signal without samples is absent."""
    columns = {
        index: column_of({second * NS_PER_S: value for second, value in samples.items()})
        for index, samples in shown.items()
        if samples
    }
    return Answer(columns, frozenset(unreadable), received_wall_ns=10**18, read=frozenset(read))


def every_second(start: int, end: int, value: Value = 1.0) -> dict[int, Value]:
    """The same value each second of ``[start, end)``."""
    return dict.fromkeys(range(start, end), value)


def events_of(applied: Applied) -> list[Event]:
    """What is to be published, ascending."""
    return sorted(
        Event(run.series.signal.index, instant_ns // NS_PER_S, value, run.revision, run.is_late)
        for run in applied.runs
        for instant_ns, value in zip(run.instants_ns, run.values, strict=True)
    )


def fold(store: dict[bytes, bytes], changes: Mapping[bytes, bytes | None]) -> None:
    """What a commit does to the stored records."""
    for key, value in changes.items():
        if value is None:
            store.pop(key, None)
        else:
            store[key] = value


class Bench:
    """A ledger and its store. Questions are planned with the place as it is when they are asked."""

    def __init__(self, *groups: Group, start: int = 0) -> None:
        self.store: dict[bytes, bytes] = {}
        self.ledger = self.restored()
        self.groups: tuple[Group, ...] = ()
        self.configure(*groups, start=start)

    def restored(self) -> Ledger:
        """The ledger that is stored."""
        return Ledger.restore(dict(self.store), shard=0, shards=4, partitions=12, owner="bench")

    def configure(self, *groups: Group, start: int = 0, starts: Mapping[int, int] | None = None) -> None:
        """Restart with these groups; new series begin at ``start`` or at their own second of ``starts``."""
        self.groups = groups
        self.ledger = self.restored()
        own = starts or {}
        self.ledger.adopt(
            groups,
            {one: own.get(one.signal.index, start) * NS_PER_S for group in groups for one in group.series},
        )
        self.commit()

    def commit(self) -> None:
        fold(self.store, self.ledger.changes())

    def place(self, number: int = 0) -> Place:
        return self.ledger.place(self.groups[number].id)

    def frontier(self, number: int = 0) -> float:
        return self.place(number).frontier_ns / NS_PER_S

    def revisited(self, number: int = 0) -> list[float]:
        return [frontier_ns / NS_PER_S for frontier_ns in self.place(number).revisited_ns]

    def floor(self, number: int = 0) -> float:
        return self.place(number).floor_ns / NS_PER_S

    def holes(self, number: int = 0) -> list[tuple[int, int, int, str]]:
        """Index, first and last second, cause."""
        return [
            (
                hole.series.signal.index,
                hole.interval.start_ns // NS_PER_S,
                hole.interval.end_ns // NS_PER_S,
                hole.cause,
            )
            for hole in self.ledger.holes(self.groups[number].id)
        ]

    def ask(
        self,
        start: int,
        end: int,
        *,
        lane: Lane = Lane.LIVE,
        at: int | None = None,
        of: Collection[int] = (),
        number: int = 0,
    ) -> Query:
        """A question about ``[start, end)``, asked at its end unless told otherwise."""
        group = self.groups[number]
        series = tuple(one for one in group.series if not of or one.signal.index in of)
        asked_at_ns = (end if at is None else at) * NS_PER_S
        return Query(group, lane, series, seconds(start, end), asked_at_ns, self.ledger.place(group.id))

    def take(self, query: Query, shown: Samples, unreadable: Iterable[int] = (), read: Iterable[int] = ()) -> Applied:
        """Apply an answer and commit."""
        applied = self.apply(query, shown, unreadable, read)
        self.commit()
        return applied

    def apply(self, query: Query, shown: Samples, unreadable: Iterable[int] = (), read: Iterable[int] = ()) -> Applied:
        """Apply an answer, with the commit still to come."""
        return self.ledger.apply(query, answer_of(shown, unreadable, read))

    def live(self, start: int, end: int, shown: Samples, *, at: int | None = None, number: int = 0) -> list[Event]:
        """A live query that is answered and covers; what is published."""
        applied = self.take(self.ask(start, end, at=at, number=number), shown)
        assert applied.outcome is Outcome.COVERED
        return events_of(applied)
