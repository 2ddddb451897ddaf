"""The ledger of a shard made anew from what it has published, when its state is lost or cannot be believed.

What was published is known to the sample; what was asked for is not. So every series is remembered from an instant
on up to which nothing will ever be asked again, and all from there to the newest sample lies in a hole: it is asked
for once more, at the last age or later, and compared. Live queries go on behind the newest sample at once.

No clock, no I/O. Called by ``streamer rebuild`` alone.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from streamer.ledger.book import Account, Book
from streamer.ledger.codec import MEMORY_PREFIX
from streamer.ledger.ledger import Ledger
from streamer.ledger.memory import Memory
from streamer.ledger.parts import Fresh
from streamer.model import NS_PER_MS, Group, Hole, Interval, Place, Series, Value, align_down

MARK = b"rebuilding"
"""Stands in a state that is being replaced in several transactions: without its head nothing believes it."""

TRANSACTION_BYTES = 4 * 1024 * 1024
"""Most that one transaction replaces, unless a single record has more: far from the deadline of a commit."""


class Published(NamedTuple):
    """Events of one series as they stand in the samples topic: alike in revision and lateness, ascending."""

    series: Series
    stream: str
    revision: int
    is_late: bool
    instants_ns: Sequence[int]
    values: Sequence[Value]


@dataclass(frozen=True, slots=True)
class Scope:
    """What may still be asked for of a series.

    Attributes:
        since_ns: everything before was asked for at the last age, or is not wanted; None when nobody knows.
        start_ns: then, where the series was configured to begin; None when it began with the present.
        age_ns: the last age; before its oldest sample such a series is asked for as far as that.
        margin_ns: how far ahead of a sample that is not late those that were published before it lie at most.
        holes: what else was open, before ``since_ns``.
    """

    since_ns: int | None = None
    start_ns: int | None = None
    age_ns: int = 0
    margin_ns: int = 0
    holes: tuple[Hole, ...] = ()

    def aligned(self, quantum_ns: int) -> Scope:
        """The scope from the beginning of a whole quantum on: that is where queries start, and memory has to."""
        return self if self.since_ns is None else replace(self, since_ns=align_down(self.since_ns, quantum_ns))


@dataclass(slots=True)
class Trace:
    """What the events say of one series. ``repeated`` counts those whose revision had been there already."""

    scope: Scope
    memory: Memory
    stream: str
    oldest_ns: int | None = None
    on_time_ns: int | None = None
    repeated: int = 0

    @property
    def since_ns(self) -> int | None:
        """From where on it is remembered completely; None for a series without events of which nobody knows."""
        scope = self.scope
        if scope.since_ns is not None or self.oldest_ns is None:
            return scope.start_ns if scope.since_ns is None else scope.since_ns
        return self.oldest_ns - scope.age_ns if scope.start_ns is None else min(self.oldest_ns, scope.start_ns)

    @property
    def certain_from_ns(self) -> int | None:
        """No sample from here on was published before the oldest event that is left; None when nothing tells.

        A sample that is not late lies at the watermark of its commit or ahead of it, and nothing that was published
        earlier lies further ahead of that watermark than the margin.
        """
        return None if self.on_time_ns is None else self.on_time_ns + self.scope.margin_ns

    def take(self, published: Published) -> None:
        """Remember events, and forget those that nothing can be compared with."""
        instants_ns, values = published.instants_ns, published.values
        first_ns, newest_ns = instants_ns[0], self.memory.newest_ns
        self.oldest_ns = first_ns if self.oldest_ns is None else min(self.oldest_ns, first_ns)
        if not published.is_late and not published.revision:
            self.on_time_ns = first_ns if self.on_time_ns is None else min(self.on_time_ns, first_ns)
        if newest_ns is not None and first_ns <= newest_ns:
            next_ones = [at for at, one_ns in enumerate(instants_ns) if self._is_next(one_ns, published.revision)]
            self.repeated += len(instants_ns) - len(next_ones)
            instants_ns = [instants_ns[at] for at in next_ones]
            values = [values[at] for at in next_ones]
        self.memory.record(instants_ns, values, published.revision)
        if self.scope.since_ns is not None and first_ns < self.scope.since_ns:
            self.memory.forget(self.scope.since_ns, [hole.interval for hole in self.scope.holes])

    def _is_next(self, instant_ns: int, revision: int) -> bool:
        try:
            return self.memory.value_at(instant_ns)[1] < revision
        except KeyError:
            return True

    def account(self, series: Series, frontier_ns: int, since_ns: int) -> Account:
        """The account behind a frontier: everything from ``since_ns`` on is a hole."""
        account = Account()
        account.memory = self.memory
        account.fresh = [Fresh(*part) for part in self.memory.parts()]
        for hole in self.scope.holes:
            account.open_hole(hole)
        if since_ns < frontier_ns:
            account.open_hole(Hole(series, Interval(since_ns, frontier_ns), "rebuilt"))
        return account


class Rebuilding:
    """One pass over everything that a shard has published.

    Args:
        groups: the configured groups of the shard.
        scopes: of each of their series.
        frontiers_ns: by stream, what a consumer was told of the frontier: it is not taken back.
        parked_ages_ns: the ages of a series that is configured no more and waits to come back.
        parked_span_ns: how much of it is remembered, back from its newest sample.
        most_samples: the memory's limit. Past it nothing is remembered any more, only counted.
    """

    def __init__(
        self,
        groups: Iterable[Group],
        scopes: Mapping[Series, Scope],
        frontiers_ns: Mapping[str, int],
        *,
        parked_ages_ns: tuple[int, ...],
        parked_span_ns: int,
        most_samples: int,
    ) -> None:
        self.groups = tuple(groups)
        self._frontiers_ns = frontiers_ns
        self._parked_ages_ns = parked_ages_ns
        self._parked_span_ns = parked_span_ns
        self._most_samples = most_samples
        self.traces = {
            series: Trace(scopes[series].aligned(group.stream.quantum_ns), Memory(), group.stream.name)
            for group in self.groups
            for series in group.series
        }
        self.parked: dict[Series, Trace] = {}
        self.samples = 0

    @property
    def fits(self) -> bool:
        """Whether everything is remembered."""
        return self.samples <= self._most_samples

    def take(self, published: Published) -> None:
        """Take in the next events of the shard, in the order of their partition."""
        trace = self.traces.get(published.series)
        if trace is None:
            self._park(published)
            return
        if not self.fits:
            since_ns = trace.scope.since_ns
            self.samples += sum(since_ns is None or at_ns >= since_ns for at_ns in published.instants_ns)
            return
        before = len(trace.memory)
        trace.take(published)
        self.samples += len(trace.memory) - before

    def _park(self, published: Published) -> None:
        trace = self.parked.get(published.series)
        if trace is None:
            trace = self.parked[published.series] = Trace(Scope(), Memory(), published.stream)
        before = len(trace.memory)
        trace.take(published)
        trace.memory.forget((trace.memory.newest_ns or 0) - self._parked_span_ns, ())
        self.samples += len(trace.memory) - before

    def uncertain(self) -> dict[Series, int | None]:
        """Series of which a sample may have been published that is not known any more, though it may be asked for.

        To be looked at when the topic has lost its oldest events. Each with the first instant from which on all is
        known, None when nothing tells.
        """
        result: dict[Series, int | None] = {}
        for series, trace in self.traces.items():
            needed_ns = [hole.interval.start_ns for hole in trace.scope.holes]
            if trace.since_ns is not None:
                needed_ns.append(trace.since_ns)
            certain_ns = trace.certain_from_ns
            if not needed_ns or certain_ns is None or min(needed_ns) < certain_ns:
                result[series] = certain_ns
        return result

    def ledger(self, *, shard: int, shards: int, partitions: int, owner: str) -> Ledger:
        """The ledger; its first changes write all of it."""
        books = {group.id: book for group in self.groups if (book := self._book(group)) is not None}
        for series, trace in self.parked.items():
            books[f"{trace.stream}/{series.label}/{series.signal.key}~1"] = self._parked_book(series, trace)
        return Ledger.of_books(books, shard=shard, shards=shards, partitions=partitions, owner=owner)

    def _book(self, group: Group) -> Book | None:
        """The book of a group; None when nothing is known of its stream: then it begins where it is configured to.

        What is not known of a series or of the whole group is taken from the rest of the stream.
        """
        stream, traces = group.stream, [self.traces[series] for series in group.series]
        alike = [trace for trace in self.traces.values() if trace.stream == stream.name]
        newest_ns = max(_newest(traces) or _newest(alike), default=None)
        told_ns = self._frontiers_ns.get(stream.name)
        if newest_ns is None and told_ns is None:
            return None
        frontier_ns = align_down(max(newest_ns or 0, told_ns or 0), stream.quantum_ns)
        oldest_ns = min((trace.since_ns for trace in alike if trace.since_ns is not None), default=frontier_ns)
        place = Place(frontier_ns, tuple(frontier_ns for _ in stream.lookback_ns), frontier_ns)
        book = Book(stream.name, group.database_id, stream.lookback_ns, place)
        for series, trace in zip(group.series, traces, strict=True):
            since_ns = oldest_ns if trace.since_ns is None else trace.since_ns
            book.accounts[series.name] = trace.account(series, frontier_ns, align_down(since_ns, stream.quantum_ns))
        return book

    def _parked_book(self, series: Series, trace: Trace) -> Book:
        """A book that waits for its series to come back: behind its floor it counts as settled."""
        newest_ns, quantum_ns = trace.memory.newest_ns or 0, series.resample_period_ns or NS_PER_MS
        frontier_ns = align_down(newest_ns, quantum_ns)
        floor_ns = min(frontier_ns, align_down(newest_ns - self._parked_span_ns, quantum_ns) + quantum_ns)
        ages_ns = self._parked_ages_ns
        place = Place(frontier_ns, (floor_ns,) * len(ages_ns), floor_ns)
        book = Book(trace.stream, series.signal.database_id, ages_ns, place)
        book.accounts[series.name] = trace.account(series, frontier_ns, frontier_ns)
        return book


def _newest(traces: Iterable[Trace]) -> list[int]:
    return [trace.memory.newest_ns for trace in traces if trace.memory.newest_ns is not None]


def transactions(old: Collection[bytes], new: Mapping[bytes, bytes | None]) -> list[dict[bytes, bytes | None]]:
    """The changes that put a new state in the place of an old one.

    One transaction where it fits into one. Else several, and the state cannot be believed before the last of them.
    """
    replaced: dict[bytes, bytes | None] = dict.fromkeys(old)
    if sum(len(key) + len(value or b"") for key, value in new.items()) <= TRANSACTION_BYTES:
        return [{**replaced, **new}]
    lots: list[dict[bytes, bytes | None]] = [{**replaced, MARK: b"The ledger is being rebuilt."}]
    size = TRANSACTION_BYTES
    for key, value in new.items():
        if not key.startswith(MEMORY_PREFIX):
            continue
        size += len(key) + len(value or b"")
        if size > TRANSACTION_BYTES:
            lots.append({})
            size = len(key) + len(value or b"")
        lots[-1][key] = value
    lots.append({**{key: value for key, value in new.items() if not key.startswith(MEMORY_PREFIX)}, MARK: None})
    return lots
