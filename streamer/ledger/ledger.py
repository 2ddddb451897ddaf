"""The ledger of one shard: what is covered, what is not, and what was published.

``apply`` takes an answer and says what must be published; ``changes`` gives the state records that belong into
the same transaction. The ledger runs ahead of what is stored between the two and the commit: when a commit does
not succeed, the ledger is dropped and restored from what is stored (rule 9), never rolled back.

No clock, no I/O. Called by the pipeline; the planner sees its places and holes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from streamer.ledger.adoption import Adoption
from streamer.ledger.book import Book
from streamer.ledger.catalogued import Catalogued
from streamer.ledger.codec import (
    HEAD,
    Digest,
    check_partitions,
    encode_head,
    encode_place,
    place_key,
    sealed,
    verify,
)
from streamer.ledger.coverage import (
    clipped,
    covered_by,
    is_failed,
    is_of_silence,
    left_out_by,
    moved_by,
    resumed_by,
    shows_any,
    skipped_by,
    skipped_cause,
    spoken_for,
    uncovered_by,
    vanished_by,
)
from streamer.ledger.memory import Known
from streamer.ledger.recall import recalled
from streamer.ledger.segments import Segments
from streamer.model import Answer, Group, Hole, Interval, Lane, Place, Query, Run, Series, Transition


class Outcome(Enum):
    """What became of an answer."""

    COVERED = "covered"
    VOID = "void"
    """What the query would move has moved since it was planned; ask again (rule 7)."""
    EMPTY = "empty"
    """No rows at all though samples are known in the window: a failed query (rule 4d)."""


@dataclass(slots=True)
class Applied:
    """What follows from an answer.

    Attributes:
        runs: the samples to publish.
        opened: holes that the answer opened, or left open.
        nulls: samples left out because their value is null.
        lost: what is given up, because the source does not have it any more.
        vanished: published samples that the answer no longer shows.
        frontier_ns: the group's frontier before the commit.
        was_silent: whether the answer is to a repair of nothing but silence: samples that had not come before.
    """

    outcome: Outcome
    runs: list[Run] = field(default_factory=list)
    opened: list[Hole] = field(default_factory=list)
    lost: list[Hole] = field(default_factory=list)
    nulls: int = 0
    vanished: int = 0
    frontier_ns: int = 0
    was_silent: bool = False


class Ledger:
    """Frontiers, holes and memory of all series of one shard.

    Invariant: for every series, each instant from its start on and before its group's frontier was asked for and
    is reflected in the memory or in what was published before the floor, or lies in a hole.
    """

    def __init__(self, *, shard: int, shards: int, partitions: int, owner: str) -> None:
        self.shard = shard
        self._shards = shards
        self._partitions = partitions
        self._owner = owner
        self._sequence = 0
        self._books: dict[str, Book] = {}
        self._digest = Digest()
        self._dirty: dict[str, None] = {}
        self._removed: set[bytes] = set()
        self._live_parts: dict[bytes, int] = {}
        self._is_signed = False
        self.catalogued = Catalogued()

    @classmethod
    def restore(cls, records: Mapping[bytes, bytes], *, shard: int, shards: int, partitions: int, owner: str) -> Ledger:
        """The ledger that a shard's state records hold (rule 10); a fresh one when there are none.

        Args:
            records: the state.
            shard: which one it is.
            shards: how many there are.
            partitions: of the samples topic.
            owner: in whose name what is written from now on is signed.

        Raises:
            LedgerUntrusted: the records cannot be believed; names the key.
            ConfigurationError: they were written with other shards or partitions.
        """
        ledger = cls(shard=shard, shards=shards, partitions=partitions, owner=owner)
        digest = Digest.of(records)
        head = verify(records, shard=shard, shards=shards, digest=digest)
        if head is None:
            return ledger
        check_partitions(head, partitions)
        ledger._sequence, ledger._digest = head.sequence, digest
        ledger.catalogued = Catalogued.restore(records)
        recall = recalled(records)
        ledger._books, ledger._live_parts = recall.books, recall.live_parts
        ledger._removed |= recall.removed
        return ledger

    @classmethod
    def of_books(cls, books: Mapping[str, Book], *, shard: int, shards: int, partitions: int, owner: str) -> Ledger:
        """A ledger of books of which nothing is stored; its first changes write all of it."""
        ledger = cls(shard=shard, shards=shards, partitions=partitions, owner=owner)
        ledger._books = dict(books)
        ledger._dirty = dict.fromkeys(books)
        return ledger

    @property
    def books(self) -> Mapping[str, Book]:
        """The books by group, also of those that no configuration claims now."""
        return self._books

    def place(self, group_id: str) -> Place:
        """A group's place. KeyError when the ledger does not know the group."""
        return self._books[group_id].place

    def holes(self, group_id: str) -> tuple[Hole, ...]:
        """A group's holes, series by series, ascending."""
        return tuple(self._books[group_id].holes)

    def known(self, group_id: str, series: Series, most: int) -> tuple[list[Known], list[Known]]:
        """What is remembered of a series: its newest samples, and the newest that were revised; ascending."""
        memory = self._books[group_id].accounts[series.name].memory
        return memory.last(most), memory.last_revised(most)

    def members(self) -> dict[str, tuple[str, ...]]:
        """The names of the series of each group that the ledger knows, also those no configuration claims now."""
        return {group_id: tuple(book.accounts) for group_id, book in self._books.items()}

    @property
    def is_fresh(self) -> bool:
        """Whether nothing was stored of it yet."""
        return self._sequence == 0

    @property
    def entries(self) -> int:
        """How many samples are remembered."""
        return sum(len(account.memory) for book in self._books.values() for account in book.accounts.values())

    def adopt(self, groups: Iterable[Group], starts_ns: Mapping[Series, int]) -> None:
        """Take over the configured groups: places are kept, new and moved series get their holes (rule 5).

        The next changes are never empty: they sign the ledger in the owner's name.

        Args:
            groups: all groups of this shard.
            starts_ns: where each series begins that the ledger does not know yet.
        """
        self._is_signed = False
        adoption = Adoption(self._books, starts_ns)
        for group in groups:
            adoption.take(group)
        adoption.finish()
        self._dirty.update(dict.fromkeys(sorted(adoption.changed)))
        for group_id in adoption.abandoned:
            self._dirty.pop(group_id, None)
            self._removed.add(place_key(group_id))

    def begins(self, firsts_ns: Mapping[Series, int | None]) -> None:
        """Take note of where the source's samples of configured series begin now; None where nobody knows."""
        for book in self._books.values():
            for series in book.group.series if book.group is not None else ():
                account = book.accounts[series.name]
                account.extent.learn(firsts_ns[series], account.memory.oldest_ns)

    def newest(self, group_id: str, series: Series) -> Sequence[int]:
        """The newest instants known of a series, ascending: enough for its cadence."""
        return self._books[group_id].accounts[series.name].memory.newest()

    def witness(self, group_id: str, series: Series, interval: Interval) -> int | None:
        """The known sample that is to show that a series is read where it is asked for; None when there is none.

        Where samples are known inside they will do, until a repair has not shown them. Then it takes one past the
        hole: an answer that is cut short may show what lies before it.
        """
        account = self._books[group_id].accounts[series.name]
        if not account.memory.knows_any(interval):
            return account.memory.nearest_ns(interval)
        if not account.silence.is_doubted:
            return None
        ends_ns = (hole.interval.end_ns for hole in account.holes if hole.interval.overlaps(interval))
        return account.memory.first_ns(max(ends_ns, default=interval.end_ns))

    def is_doubted(self, group_id: str, series: Series) -> bool:
        """Whether the last repair of a series showed nothing of it, not even a witness."""
        return self._books[group_id].accounts[series.name].silence.is_doubted

    def apply(self, query: Query, answer: Answer) -> Applied:
        """Take in an answer: compare it with the memory as it is now and move what it covers.

        An answer moves the ledger only as far as its query was asked: coverage ends at the lower bound of the
        service's time at planning, whatever lies beyond was merely seen early.
        """
        book = self._books.get(query.group.id)
        if book is None or self._is_void(book, query):
            return Applied(Outcome.VOID)
        accounts = [(series, book.accounts[series.name]) for series in query.series]
        if is_failed(query, answer, book):
            return Applied(Outcome.EMPTY)
        stream = query.group.stream
        covered = covered_by(query)
        place = resumed_by(query, book.place, book.ages_ns)
        moved = moved_by(query, place, book.ages_ns)
        last_look = Interval(place.revisited_ns[-1], moved.revisited_ns[-1])
        frontier_ns = book.stored_frontier_ns
        watermark_ns = frontier_ns - stream.overlap_ns
        applied = Applied(Outcome.COVERED, opened=self._skip(book, query), frontier_ns=frontier_ns)
        applied.was_silent = is_of_silence(query, (account for _, account in accounts))
        for series, account in accounts:
            column = answer.columns.get(series.signal.index)
            uncovered = uncovered_by(query, answer, series, account, last_look)
            if column is not None:
                kept = account.keep_unseen(series, clipped(column, query.window), watermark_ns, stream.has_null_events)
                applied.runs += kept.runs
                applied.nulls += kept.nulls
                applied.vanished += kept.vanished
            if uncovered is None:
                applied.vanished += vanished_by(query, answer, series, account)
            if account.holes and (column is not None or query.fills_holes):  # silence alone closes no hole
                for part in spoken_for(query, covered, place):
                    gone = account.extent.gone(part)
                    if gone is not None and uncovered is None and not shows_any(column, gone):
                        applied.lost += account.lose(gone)
                    account.cover(part)
            if uncovered is not None:
                account.open_hole(uncovered)
                applied.opened.append(uncovered)
        for hole in left_out_by(query):
            book.accounts[hole.series.name].put_aside(hole)
        book.place = moved
        self._dirty[query.group.id] = None
        return applied

    def _skip(self, book: Book, query: Query) -> list[Hole]:
        """Open the holes of all series of a group over what a query skips."""
        skipped = skipped_by(query, book.place)
        if skipped is None:
            return []
        cause = skipped_cause(book.place)
        holes = [Hole(series, skipped, cause) for series in query.group.series]
        for hole in holes:
            book.accounts[hole.series.name].open_hole(hole)
        return holes

    def _is_void(self, book: Book, query: Query) -> bool:
        if query.fills_holes:
            return not all(
                series.name in book.accounts and book.accounts[series.name].has_hole_over(query.window)
                for series in query.series
            )
        if query.group is not book.group or query.window.start_ns < book.place.floor_ns:
            return True
        return query.lane != Lane.REVISIT and query.planned_with.frontier_ns != book.place.frontier_ns

    @property
    def is_changed(self) -> bool:
        """Whether there is anything to commit."""
        return bool(self._dirty or self._removed or self.catalogued.is_changed or not self._is_signed)

    def tell_gaps(self, *, is_due: bool) -> list[Transition]:
        """What became of holes since the last call, to be told in the transaction of the next changes.

        What was told to be open, less what was told to be healed or lost, is open or was a moment ago.

        Args:
            is_due: whether holes that have stood since the last due call are told; else only what is lost.
        """
        result = []
        for group_id in list(self._books if is_due else self._dirty):
            book = self._books[group_id]
            for account in book.accounts.values():
                before = account.told
                told = account.tell(is_due=is_due)
                if told or account.told != before:
                    self._dirty[group_id] = None
                result += [Transition(event, book.stream, hole) for event, hole in told]
        return result

    def changes(self) -> dict[bytes, bytes | None]:
        """The state records of everything since the last call; None takes a record away. Empty when nothing changed.

        They belong into the transaction of the events that ``apply`` gave since then.
        """
        if not self.is_changed:
            return {}
        self._is_signed = True
        self._sequence += 1
        result: dict[bytes, bytes | None] = dict.fromkeys(self._removed)
        result |= self.catalogued.changes()
        segments = Segments(self._sequence)
        for group_id in self._dirty:
            book = self._books[group_id]
            if book.group is not None:
                book.raise_floor(book.group.stream.overlap_ns, book.group.stream.quantum_ns)
            book.store(segments)
            result[place_key(group_id)] = encode_place(book.record())
        for key, value, held in segments.records():
            result[key] = value
            self._live_parts[key] = held
        for group_id in self._dirty:
            result.update(dict.fromkeys(self._forgotten(self._books[group_id])))
        self._digest.follow(result.items())
        result[HEAD] = encode_head(
            sealed(
                self._digest,
                sequence=self._sequence,
                shard=self.shard,
                shards=self._shards,
                partitions=self._partitions,
                owner=self._owner,
            )
        )
        self._dirty.clear()
        self._removed.clear()
        return result

    def _forgotten(self, book: Book) -> Iterable[bytes]:
        """Keys of stored records of which nothing is needed any more."""
        floor_ns = book.place.floor_ns
        for account in book.accounts.values():
            stored = account.stored
            while stored and not account.must_keep(stored[0].first_ns, stored[0].last_ns, floor_ns):
                key = stored.popleft().key
                self._live_parts[key] -= 1
                if not self._live_parts[key]:
                    del self._live_parts[key]
                    yield key
