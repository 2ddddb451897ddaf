"""The book of one group: its place, and for each of its series the memory, the holes and what is stored of it.

Called by the ledger alone. A book never decides what an answer means; it keeps the figures.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from streamer.ledger.codec import PlaceRecord, decode_value, encode_value
from streamer.ledger.extent import Extent
from streamer.ledger.intervals import joined, punched
from streamer.ledger.memory import Memory
from streamer.ledger.parts import Fresh, parts_of
from streamer.ledger.segments import Segments
from streamer.ledger.silence import Silence
from streamer.ledger.transitions import standing, transitions, without_any
from streamer.model import Column, GapEvent, Group, Hole, Interval, Place, Run, Series, align_down


class Stored(NamedTuple):
    """A stored part of some series: its first and last instant, and the key of the record that holds it."""

    first_ns: int
    last_ns: int
    key: bytes


class Account:
    """What the ledger holds of one series.

    Attributes:
        told: the holes that were told to be open.
        seen: those that were open when it was last told.
        lost: what was given up since then.
        extent: where the source's samples of it begin.
    """

    __slots__ = ("extent", "fresh", "holes", "lost", "memory", "seen", "silence", "stored", "told")

    def __init__(self) -> None:
        self.memory = Memory()
        self.silence = Silence()
        self.extent = Extent()
        self.holes: list[Hole] = []
        self.told: list[Hole] = []
        self.seen: list[Hole] = []
        self.lost: list[Hole] = []
        self.stored: deque[Stored] = deque()
        self.fresh: list[Fresh] = []

    def open_hole(self, hole: Hole) -> None:
        """Add a hole; one that touches another becomes part of it."""
        self.holes = joined([*self.holes, hole])

    def put_aside(self, hole: Hole) -> None:
        """Add a hole of a series that was not asked for; what it becomes part of takes its cause."""
        self.open_hole(hole)
        self.holes = [
            held._replace(cause=hole.cause) if held.interval.overlaps(hole.interval) else held for held in self.holes
        ]

    def cover(self, interval: Interval) -> None:
        """Take an interval out of the holes."""
        if self.holes:
            self.holes = punched(self.holes, interval)

    def lose(self, interval: Interval) -> list[Hole]:
        """Give up an interval of the holes that nobody can cover; it is returned, and told with the next commit."""
        kept = punched(self.holes, interval)
        lost = without_any(self.holes, kept)
        self.lost += lost
        self.holes = kept
        return lost

    def tell(self, *, is_due: bool) -> list[tuple[GapEvent, Hole]]:
        """What became of the holes since the last call.

        What is lost is told at once. A hole is told when it has stood from one due call to the next: most are an
        answer that is doubted for a moment, and nobody's concern.
        """
        events: list[tuple[GapEvent, Hole]] = []
        if self.lost:
            events += (("lost", hole) for hole in self.lost)
            self.told = without_any(self.told, self.lost)
            self.lost = []
        if is_due:
            stood = standing(self.holes, self.told, self.seen)
            events += transitions(self.told, stood)
            self.told, self.seen = stood, list(self.holes)
        return events

    def has_hole_over(self, interval: Interval) -> bool:
        """Whether one hole contains the whole interval."""
        return any(
            hole.interval.start_ns <= interval.start_ns and interval.end_ns <= hole.interval.end_ns
            for hole in self.holes
        )

    def must_keep(self, first_ns: int, last_ns: int, floor_ns: int) -> bool:
        """Whether something between two instants (inclusive) may still be compared with an answer."""
        if last_ns >= floor_ns:
            return True
        return any(hole.interval.overlaps(Interval(first_ns, last_ns + 1)) for hole in self.holes)

    def record(self, fresh: Fresh) -> None:
        """Remember samples as published."""
        self.memory.record(*fresh)
        self.fresh.append(fresh)

    def keep_unseen(self, series: Series, column: Column, watermark_ns: int, has_null_events: bool) -> Kept:
        """Compare a column with the memory, remember what differs, and say what is to be published (rule 6)."""
        if not column.instants_ns:
            return Kept([], 0, 0)
        difference = self.memory.compare(column)
        runs: list[Run] = []
        new = _picked(column, difference.new)
        nulls = 0
        if not has_null_events and None in new.values:
            known = [at for at, value in enumerate(new.values) if value is not None]
            nulls = len(new.values) - len(known)
            new = _picked(new, known)
        if new.instants_ns:
            self.silence.broken()
            self.record(Fresh(new.instants_ns, new.values, 0))
            late = bisect_left(new.instants_ns, watermark_ns)
            if late:
                runs.append(Run(series, 0, True, *_picked(new, range(late))))
            if late < len(new.instants_ns):
                runs.append(Run(series, 0, False, *_picked(new, range(late, len(new.instants_ns)))))
        for revision in sorted({revision for _, revision in difference.revised}):
            changed = _picked(column, [at for at, other in difference.revised if other == revision])
            self.record(Fresh(changed.instants_ns, changed.values, revision))
            runs.append(Run(series, revision, False, *changed))
        return Kept(runs, nulls, difference.vanished)


class Kept(NamedTuple):
    """What is to be published of a column, nulls left out, and remembered samples that were not in it."""

    runs: list[Run]
    nulls: int
    vanished: int


class Book:
    """The place and the accounts of the series of one group.

    Attributes:
        group: None until the configuration claims it.
        stored_frontier_ns: of the place as it was stored last: what is late, the watermark before a commit says.
        empty_since_ns: since when answers about the group have had no rows at all, None while they have some.
    """

    def __init__(self, stream: str, database_id: int, ages_ns: tuple[int, ...], place: Place) -> None:
        self.stream = stream
        self.database_id = database_id
        self.ages_ns = ages_ns
        self.place = place
        self.stored_frontier_ns = place.frontier_ns
        self.empty_since_ns: int | None = None
        self.group: Group | None = None
        self.accounts: dict[str, Account] = {}

    @property
    def holes(self) -> Iterable[Hole]:
        """All holes, series by series."""
        return (hole for account in self.accounts.values() for hole in account.holes)

    def revisited_at(self, age_ns: int) -> int:
        """Every instant before it was asked for again at that age or an older one; the floor when none was."""
        known = [self.place.revisited_ns[at] for at, age in enumerate(self.ages_ns) if age >= age_ns]
        return max([self.place.floor_ns, *known])

    def raise_floor(self, overlap_ns: int, quantum_ns: int) -> None:
        """Let go of what no query of this group can ask for again (rule 10); what open holes need stays."""
        place = self.place
        lowest_ns = min(*place.revisited_ns, align_down(place.frontier_ns - overlap_ns, quantum_ns))
        floor_ns = max(place.floor_ns, lowest_ns)
        self.place = Place(place.frontier_ns, place.revisited_ns, floor_ns)
        self.trim()

    def trim(self) -> None:
        """Forget what lies before the floor and in no open hole, except the newest sample of each series."""
        floor_ns = self.place.floor_ns
        for account in self.accounts.values():
            account.memory.forget(floor_ns, [hole.interval for hole in account.holes])

    def store(self, segments: Segments) -> None:
        """Put what the accounts have not stored yet and may need again into a commit's records."""
        self.stored_frontier_ns = self.place.frontier_ns
        floor_ns, fresh = self.place.floor_ns, {}
        for name, account in self.accounts.items():
            fresh[name] = [_needed(account, lot, floor_ns) for lot in account.fresh]
            account.fresh.clear()
        for part in parts_of(fresh):
            key = segments.add(part.written, len(part.names))
            stored = Stored(part.written.first, part.written.last, key)
            for name in part.names:
                self.accounts[name].stored.append(stored)

    def record(self) -> PlaceRecord:
        """The place as it is written down."""
        names = list(self.accounts)
        holes, told, newest, silences, began = [], [], [], [], []
        for at, account in enumerate(self.accounts.values()):
            for hole in account.holes:
                holes.append((at, *hole.interval, hole.cause))
            for hole in account.told:
                told.append((at, *hole.interval, hole.cause))
            if account.holes and account.extent.began_ns is not None:
                began.append((at, account.extent.began_ns))
            if any(account.silence.figures):
                silences.append((at, *account.silence.figures))
            newest_ns = account.memory.newest_ns
            if newest_ns is not None and not account.must_keep(newest_ns, newest_ns, self.place.floor_ns):
                value, revision = account.memory.value_at(newest_ns)
                newest.append((at, newest_ns, encode_value(value), revision))
        return PlaceRecord(
            stream=self.stream,
            database_id=self.database_id,
            series=names,
            frontier=self.place.frontier_ns,
            revisited=list(zip(self.ages_ns, self.place.revisited_ns, strict=True)),
            floor=self.place.floor_ns,
            holes=holes,
            told=None if told == holes else told,
            newest=newest,
            silences=silences,
            began=began,
        )

    @classmethod
    def of(cls, record: PlaceRecord) -> Book:
        """A book as it was written down; the memory follows from its own records."""
        ages = tuple(age for age, _ in record.revisited)
        place = Place(record.frontier, tuple(frontier for _, frontier in record.revisited), record.floor)
        book = cls(record.stream, record.database_id, ages, place)
        book.accounts = {name: Account() for name in record.series}
        accounts = list(book.accounts.items())
        for at, start_ns, end_ns, cause in record.holes:
            name, account = accounts[at]
            account.open_hole(Hole(Series.parse(name), Interval(start_ns, end_ns), cause))
        for at, start_ns, end_ns, cause in record.holes if record.told is None else record.told:
            name, account = accounts[at]
            account.told.append(Hole(Series.parse(name), Interval(start_ns, end_ns), cause))
        for at, *figures in record.silences:
            accounts[at][1].silence = Silence(*figures)
        for at, began_ns in record.began:
            accounts[at][1].extent = Extent(began_ns)
        return book

    def know_newest(self, record: PlaceRecord) -> None:
        """Remember the newest samples that were written down with the place, as nothing else holds them."""
        accounts = list(self.accounts.values())
        for at, instant_ns, value, revision in record.newest:
            accounts[at].memory.record([instant_ns], [decode_value(value)], revision)


def _needed(account: Account, fresh: Fresh, floor_ns: int) -> Fresh:
    """The part of some samples that may still be compared with an answer."""
    if fresh.instants_ns[0] >= floor_ns:
        return fresh
    if not account.holes:
        cut = bisect_left(fresh.instants_ns, floor_ns)
        return Fresh(fresh.instants_ns[cut:], fresh.values[cut:], fresh.revision)
    kept = [
        at for at, instant_ns in enumerate(fresh.instants_ns) if account.must_keep(instant_ns, instant_ns, floor_ns)
    ]
    return Fresh([fresh.instants_ns[at] for at in kept], [fresh.values[at] for at in kept], fresh.revision)


def _picked(column: Column, positions: Sequence[int]) -> Column:
    if isinstance(positions, range):
        part = slice(positions.start, positions.stop)
        return Column(column.instants_ns[part], column.texts[part], column.values[part])
    return Column(*([source[at] for at in positions] for source in column))  # type: ignore[arg-type]
