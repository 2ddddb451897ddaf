"""The books of a ledger, read again from the state records: at millions of samples a second, for a restart is as long.

Parts that name the same series are joined as they were written, and divided among the series once. What no query can
ask for again goes as it went from the books that were stored (rule 10). Called by the ledger alone.
"""

from __future__ import annotations

import gc
from array import array
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import accumulate, chain, cycle, repeat
from operator import attrgetter, itemgetter
from typing import NamedTuple

from streamer.ledger.book import Account, Book, Stored
from streamer.ledger.codec import (
    MEMORY_PREFIX,
    PLACE_PREFIX,
    SEPARATOR,
    Remembered,
    decode_memory,
    decode_place,
    decode_value,
)
from streamer.ledger.memory import Recorded
from streamer.model import Value

_BYTES = 8
"""Of an instant and of a value as they are stored."""

_ONE = array("I", [1]).tobytes()
"""A count as it is stored."""

_KEY = attrgetter("key")


class Recalled(NamedTuple):
    """What state records hold.

    Attributes:
        books: by group.
        live_parts: of each memory record of which something is needed, how many series still hold a part.
        removed: the keys of the other memory records.
    """

    books: dict[str, Book]
    live_parts: dict[bytes, int]
    removed: set[bytes]


@contextmanager
def _without_collection() -> Iterator[None]:
    """All that is read is kept: to look for garbage among it takes as long as to read it."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@_without_collection()
def recalled(records: Mapping[bytes, bytes]) -> Recalled:
    """The books of a state. Raises LedgerUntrusted when a record is unreadable."""
    places = {
        key.removeprefix(PLACE_PREFIX).decode(): decode_place(key, value)
        for key, value in records.items()
        if key.startswith(PLACE_PREFIX)
    }
    books = {group_id: Book.of(place) for group_id, place in places.items()}
    shelves = _Shelves(books.values())
    keys = sorted(key for key in records if key.startswith(MEMORY_PREFIX))
    for key in keys:
        for part in decode_memory(key, records[key]):
            shelves.put(part, key)
    live_parts = shelves.hand_out()
    for group_id, book in books.items():
        book.know_newest(places[group_id])
        book.trim()
    return Recalled(books, live_parts, {key for key in keys if key not in live_parts})


class _Held(NamedTuple):
    """What parts have of one series: its samples, and as what they are stored; both in the order of writing."""

    recorded: Recorded
    stored: Sequence[Stored]


class _Joined:
    """Parts that name the same series, joined as they were written.

    Args:
        width: how many series they name.
    """

    def __init__(self, width: int) -> None:
        self._width = width
        self._stored: list[Stored] = []
        self._counts: list[bytes] = []
        self._instants: list[bytes] = []
        self._values: list[bytes] = []
        self._exact: dict[int, dict[int, Value]] = {}
        """By position of the series, the value of each instant."""

    def put(self, part: Remembered, key: bytes) -> None:
        """Add a part of the record with this key."""
        instants = part.instants
        if len(instants) < len(part.values):  # all series share them
            instants *= self._width
        self._stored.append(Stored(part.first, part.last, key))
        self._counts.append(part.counts)
        self._instants.append(instants)
        self._values.append(part.values)
        if part.exact:
            ends, instants_ns = list(accumulate(array("I", part.counts))), array("q", instants)
            for position, text in part.exact.items():
                of_series = self._exact.setdefault(bisect_right(ends, position), {})
                of_series[instants_ns[position]] = decode_value(text)

    def divided(self) -> Iterator[_Held]:
        """What there is of each series."""
        counts, instants, values = b"".join(self._counts), b"".join(self._instants), b"".join(self._values)
        width, exact = self._width, self._exact
        if counts == _ONE * (width * len(self._stored)):
            all_ns, numbers = array("q", instants), array("d", values)
            for at in range(width):
                yield _Held(Recorded(all_ns[at::width], numbers[at::width], exact.get(at, {})), self._stored)
            return
        pieces: list[tuple[list[bytes], list[bytes], list[Stored]]] = [([], [], []) for _ in range(width)]
        of_parts = chain.from_iterable(repeat(stored, width) for stored in self._stored)
        start = 0
        for (of_instants, of_values, of_stored), count, stored in zip(
            cycle(pieces), array("I", counts), of_parts, strict=False
        ):
            if count:
                end = start + count * _BYTES
                of_instants.append(instants[start:end])
                of_values.append(values[start:end])
                of_stored.append(stored)
                start = end
        for at, (of_instants, of_values, of_stored) in enumerate(pieces):
            columns = array("q", b"".join(of_instants)), array("d", b"".join(of_values))
            yield _Held(Recorded(*columns, exact.get(at, {})), of_stored)


class _Shelf:
    """The parts that name some series, of which something is needed.

    Attributes:
        accounts: of the series; None of one that is not known.
        joined: parts of revision 0.
        revised: the others, each with its record's key.
    """

    def __init__(self, names: Sequence[str], owners: Mapping[str, tuple[Book, Account]]) -> None:
        self._keepers = [owners[name] for name in names if name in owners]
        self._floor_ns = min((book.place.floor_ns for book, _ in self._keepers), default=0)
        self.accounts = [owners[name][1] if name in owners else None for name in names]
        self.joined = _Joined(len(names))
        self.revised: list[tuple[Remembered, bytes]] = []

    def must_keep(self, part: Remembered) -> bool:
        """Whether something of a part may still be compared with an answer."""
        if part.last >= self._floor_ns:
            return bool(self._keepers)
        return any(account.must_keep(part.first, part.last, book.place.floor_ns) for book, account in self._keepers)

    def divided(self) -> Iterator[tuple[Account, _Held]]:
        """What there is of revision 0 of each series that is known."""
        return _known(self.accounts, self.joined)

    def revisions(self) -> Iterator[tuple[bytes, int, Account, _Held]]:
        """What there is of later revisions, with the keys of the records."""
        for part, key in self.revised:
            alone = _Joined(len(self.accounts))
            alone.put(part, key)
            for account, held in _known(self.accounts, alone):
                yield key, part.revision, account, held


def _known(accounts: Iterable[Account | None], joined: _Joined) -> Iterator[tuple[Account, _Held]]:
    for account, held in zip(accounts, joined.divided(), strict=True):
        if account is not None and held.stored:
            yield account, held


class _Shelves:
    """All parts of a state that are needed, until they are handed out."""

    def __init__(self, books: Iterable[Book]) -> None:
        self._owners = {name: (book, account) for book in books for name, account in book.accounts.items()}
        self._shelves: dict[str, _Shelf] = {}

    def put(self, part: Remembered, key: bytes) -> None:
        """Take a part of a record, unless nothing of it is needed."""
        shelf = self._shelves.get(part.series)
        if shelf is None:
            shelf = self._shelves[part.series] = _Shelf(part.series.split(SEPARATOR), self._owners)
        if not shelf.must_keep(part):
            return
        if part.revision:
            shelf.revised.append((part, key))
        else:
            shelf.joined.put(part, key)

    def hand_out(self) -> dict[bytes, int]:
        """Give each account its memory and what is stored of it; by record, how many series hold a part of it."""
        found: dict[Account, list[_Held]] = {}
        for shelf in self._shelves.values():
            for account, held in shelf.divided():
                found.setdefault(account, []).append(held)
        for account, some in found.items():
            account.memory.restore([held.recorded for held in some])
        for _, revision, account, held in sorted(
            (one for shelf in self._shelves.values() for one in shelf.revisions()), key=itemgetter(0, 1)
        ):
            account.memory.record(held.recorded.instants_ns, held.recorded.exactly(), revision)
            found.setdefault(account, []).append(held)
        live_parts: Counter[bytes] = Counter()
        for account, some in found.items():
            account.stored.extend(_in_order([held.stored for held in some]))
            live_parts.update(map(_KEY, account.stored))
        return dict(live_parts)


def _in_order(lists: Sequence[Sequence[Stored]]) -> Sequence[Stored]:
    """In the order of writing; each list is in order."""
    return lists[0] if len(lists) == 1 else sorted(chain.from_iterable(lists), key=_KEY)
