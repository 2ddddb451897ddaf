"""What commits add to the memory is read again as it was, in parts that a whole group shares."""

from __future__ import annotations

import gc
from collections import Counter
from itertools import chain

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamer.errors import LedgerUntrusted
from streamer.ledger.book import Account, Book
from streamer.ledger.codec import MEMORY_PREFIX, decode_memory, encode_place, place_key
from streamer.ledger.parts import Fresh
from streamer.ledger.recall import recalled
from streamer.ledger.segments import SEGMENT_BYTES, Segments
from streamer.model import Hole, Interval, Place, Value
from tests.unit.ledger.bench import DATABASE, fold, raw

INDEXES = range(1, 6)
NAMES = [raw(index).name for index in INDEXES]
VALUES: st.SearchStrategy[Value] = st.one_of(
    st.sampled_from([0.5, None, 2**53 + 1, -(10**40), float("nan")]), st.floats(), st.integers()
)
ANSWERS = st.dictionaries(st.sampled_from(NAMES), st.dictionaries(st.integers(0, 40), VALUES), max_size=len(NAMES))
COMMITS = st.lists(st.lists(ANSWERS, min_size=1, max_size=3), max_size=6)

Records = dict[bytes, bytes]


def book_of(*names: str, floor_ns: int = 0) -> Book:
    book = Book("all", DATABASE, (120,), Place(1000, (floor_ns,), floor_ns))
    book.accounts.update((name, Account()) for name in names)
    return book


def stored(records: Records, sequence: int, *books: Book) -> Records:
    """The records after a commit of what the books have not stored yet."""
    segments = Segments(sequence)
    for number, book in enumerate(books):
        book.store(segments)
        records[place_key(f"all/raw/{number}")] = encode_place(book.record())
    fold(records, {key: value for key, value, _ in segments.records()})
    return records


def publish(book: Book, answer: dict[str, dict[int, Value]]) -> None:
    """Take in what is new, and as the next revision what was known."""
    for name, samples in answer.items():
        account = book.accounts[name]
        by_revision: dict[int, list[int]] = {}
        for instant_ns in sorted(samples):
            by_revision.setdefault(revision_at(book, name, instant_ns) + 1, []).append(instant_ns)
        for revision, instants_ns in by_revision.items():
            account.record(Fresh(instants_ns, [samples[at] for at in instants_ns], revision))


def revision_at(book: Book, name: str, instant_ns: int) -> int:
    try:
        return book.accounts[name].memory.value_at(instant_ns)[1]
    except KeyError:
        return -1


def remembered(book: Book) -> dict[str, list[object]]:
    return {
        name: [(list(instants), list(map(repr, values)), at) for instants, values, at in account.memory.parts()]
        for name, account in book.accounts.items()
    }


def held(book: Book) -> dict[str, list[bytes]]:
    """The keys of the records that each series has a part in, part by part."""
    return {name: [stored.key for stored in account.stored] for name, account in book.accounts.items()}


def parts_in(records: Records) -> list[str]:
    """The series that each part names."""
    return [
        part.series
        for key, value in records.items()
        if key.startswith(MEMORY_PREFIX)
        for part in decode_memory(key, value)
    ]


@settings(deadline=None)
@given(COMMITS)
def test_whatever_was_published_is_remembered_as_it_was(commits: list[list[dict[str, dict[int, Value]]]]) -> None:
    book, records = book_of(*NAMES), Records()
    for sequence, answers in enumerate(commits):
        for answer in answers:
            publish(book, answer)
        stored(records, sequence, book)
    books, live_parts, removed = recalled(stored(records, 99, book))
    assert remembered(books["all/raw/0"]) == remembered(book)
    keys = held(book)
    assert held(books["all/raw/0"]) == keys
    assert live_parts == Counter(chain.from_iterable(keys.values()))
    assert removed == set()


@settings(deadline=None)
@given(COMMITS, st.integers(0, 45), st.sets(st.sampled_from(INDEXES)), st.integers(0, 40), st.integers(1, 10))
def test_what_is_forgotten_does_not_come_back(
    commits: list[list[dict[str, dict[int, Value]]]], floor_ns: int, open_in: set[int], start_ns: int, span_ns: int
) -> None:
    book, records = book_of(*NAMES), Records()
    for index in open_in:
        hole = Hole(raw(index), Interval(start_ns, start_ns + span_ns), "absent")
        book.accounts[raw(index).name].open_hole(hole)
    for sequence, answers in enumerate(commits):
        for answer in answers:
            publish(book, answer)
        stored(records, sequence, book)
    book.place = Place(1000, (floor_ns,), floor_ns)
    book.trim()
    books, live_parts, removed = recalled(stored(records, 99, book))
    assert remembered(books["all/raw/0"]) == remembered(book)
    assert removed | set(live_parts) == {key for key in records if key.startswith(MEMORY_PREFIX)}


def test_a_group_that_is_answered_together_is_one_part() -> None:
    book, records = book_of(*NAMES), Records()
    for sequence in range(3):
        publish(book, {name: {10 * sequence + at: 1.0 for at in range(index)} for index, name in enumerate(NAMES, 1)})
        stored(records, sequence, book)
    assert parts_in(records) == [" ".join(NAMES)] * 3


def test_instants_that_a_group_shares_are_written_once() -> None:
    sizes = []
    for step in (0, 1):
        book = book_of(*NAMES)
        publish(book, {name: {5 + step * at: 1.0, 50: 2.0} for at, name in enumerate(NAMES)})
        sizes.append(sum(map(len, stored({}, 1, book).values())))
    assert sizes[1] - sizes[0] == 2 * 8 * (len(NAMES) - 1)


def test_a_series_that_is_alone_in_a_large_group_is_named_alone() -> None:
    book = book_of(*NAMES)
    publish(book, {NAMES[2]: {5: 1.0}})
    assert parts_in(stored({}, 1, book)) == [NAMES[2]]


def test_a_series_that_moved_finds_its_memory_in_the_parts_of_its_old_group() -> None:
    old, records = book_of(*NAMES), Records()
    publish(old, {name: {5: 1.0, 6: None} for name in NAMES})
    stored(records, 1, old)
    before = remembered(old)
    new = book_of()
    new.accounts[NAMES[3]] = old.accounts.pop(NAMES[3])
    books, live_parts, _ = recalled(stored(records, 2, old, new))
    assert remembered(books["all/raw/0"]) | remembered(books["all/raw/1"]) == before
    assert list(live_parts.values()) == [len(NAMES)]


def test_a_series_that_no_place_names_is_left_out() -> None:
    book, records = book_of(*NAMES), Records()
    publish(book, {name: {5: 1.0} for name in NAMES})
    stored(records, 1, book)
    del book.accounts[NAMES[0]]
    books, live_parts, _ = recalled(stored(records, 2, book))
    assert remembered(books["all/raw/0"]) == remembered(book)
    assert list(live_parts.values()) == [len(NAMES) - 1]


def test_a_part_of_many_series_with_huge_values_is_split_between_series_and_between_samples() -> None:
    names = [raw(index).name for index in range(1, 201)]
    book = book_of(*names)
    publish(book, {name: {at: 10**4000 + at for at in range(3)} for name in names})
    publish(book, {names[0]: dict.fromkeys(range(100, 300), 10**4000)})
    records = stored({}, 1, book)
    assert max(map(len, records.values())) <= 1.1 * SEGMENT_BYTES
    assert remembered(recalled(records).books["all/raw/0"]) == remembered(book)


def test_garbage_is_collected_again_after_a_restore_and_after_one_that_failed() -> None:
    book = book_of(*NAMES)
    publish(book, {name: {5: 1.0} for name in NAMES})
    records = stored({}, 1, book)
    recalled(records)
    assert gc.isenabled()
    with pytest.raises(LedgerUntrusted):
        recalled(dict.fromkeys(records, b"garbage"))
    assert gc.isenabled()
