"""A restored ledger is the ledger that was stored, in what it holds and in what it does next."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamer.errors import LedgerUntrusted
from streamer.ledger.codec import HEAD, decode_head
from streamer.ledger.ledger import Ledger
from streamer.model import NS_PER_MS, NS_PER_S, Answer, Lane, Query, Value
from tests.unit.ledger.bench import STREAM, Bench, Event, column_of, events_of, every_second, group_of

INDEXES = (1, 2, 3)
MESSAGE_BYTES = 1_000_000


class Step(NamedTuple):
    """A question and what is answered: by index the value of each second, or none at all."""

    lane: Lane
    seconds: int
    values: dict[int, Value]
    every: int
    unreadable: set[int]
    is_committed: bool
    is_restart: bool


STEPS = st.builds(
    Step,
    lane=st.sampled_from([Lane.LIVE, Lane.LIVE, Lane.REVISIT, Lane.REPAIR]),
    seconds=st.integers(1, 100),
    values=st.dictionaries(st.sampled_from(INDEXES), st.sampled_from([1, 2.5, None, 2**53 + 1, -(2**70)])),
    every=st.integers(1, 4),
    unreadable=st.sets(st.sampled_from(INDEXES), max_size=1),
    is_committed=st.booleans(),
    is_restart=st.booleans(),
)


def query_of(bench: Bench, step: Step) -> Query | None:
    """A question that the group may be asked now."""
    frontier, revisited, floor = int(bench.frontier()), bench.revisited(), int(bench.floor())
    now = frontier + step.seconds
    if step.lane is Lane.LIVE:
        start = min(revisited) if step.seconds % 2 else max(floor, frontier - 3)
        return bench.ask(int(start), now + 2, at=now)
    if step.lane is Lane.REVISIT:
        start, end = int(min(revisited)), frontier - 3
        return bench.ask(start, min(end, start + step.seconds), lane=step.lane, at=now) if start < end else None
    holes = bench.holes()
    if not holes:
        return None
    index, start, end, _ = holes[step.seconds % len(holes)]
    return bench.ask(start, min(end, start + step.seconds), lane=step.lane, of=[index], at=now)


def take(bench: Bench, query: Query, step: Step) -> tuple[object, list[Event], list[object], int, int]:
    start, end = (bound // NS_PER_S for bound in query.window)
    asked = {one.signal.index for one in query.series}
    shown = {
        index: {second: value for second in range(start, end) if second % step.every == 0}
        for index, value in step.values.items()
        if index in asked
    }
    query = Query(bench.groups[0], query.lane, query.series, query.window, query.asked_at_ns, bench.place())
    applied = bench.apply(query, shown, step.unreadable & asked)
    return applied.outcome, events_of(applied), [*applied.opened], applied.nulls, applied.vanished


@settings(max_examples=150, deadline=None)
@given(st.lists(STEPS, min_size=5, max_size=40))
def test_a_restored_ledger_holds_and_does_the_same(steps: list[Step]) -> None:
    one, other = Bench(group_of(*INDEXES)), Bench(group_of(*INDEXES))
    for step in steps:
        query = query_of(one, step)
        if query is None:
            continue
        assert take(one, query, step) == take(other, query, step)
        if step.is_committed or step.is_restart:
            one.commit()
            other.commit()
            if step.is_restart:
                other.configure(*other.groups)
            restored = one.restored()
            group_id = one.groups[0].id
            for ledger in (other.ledger, restored):
                assert ledger.place(group_id) == one.place()
                assert ledger.holes(group_id) == one.ledger.holes(group_id)
                assert ledger.members() == one.ledger.members()
                assert ledger.entries == one.ledger.entries


def steady(bench: Bench, until: int) -> None:
    """A live query each second, and each twentieth second a revisit of every age."""
    for now in range(int(bench.frontier()) + 1, until + 1):
        start = max(int(bench.floor()), int(bench.frontier()) - 3)
        bench.live(start, now, {index: every_second(start, now) for index in INDEXES})
        if now % 20 == 0:
            start, end = int(min(bench.revisited())), now - 15
            if start < end:
                query = bench.ask(start, end, lane=Lane.REVISIT, at=now)
                bench.take(query, {index: every_second(start, end) for index in INDEXES})


def test_what_is_remembered_and_stored_stays_bounded() -> None:
    bench = Bench(group_of(*INDEXES))
    steady(bench, 400)
    entries, size = bench.ledger.entries, sum(map(len, bench.store.values()))
    assert entries <= len(INDEXES) * (120 + 20 + 1)
    steady(bench, 1200)
    assert bench.ledger.entries <= entries
    assert sum(map(len, bench.store.values())) <= 1.5 * size


def test_the_state_can_be_trusted_after_every_commit() -> None:
    bench = Bench(group_of(*INDEXES))
    for until in range(1, 400, 7):
        steady(bench, until)
        assert bench.restored().entries == bench.ledger.entries


@pytest.mark.parametrize("seconds", [0, 1, 50, 400])
def test_a_state_without_one_of_its_records_is_refused(seconds: int) -> None:
    bench = Bench(group_of(*INDEXES))
    steady(bench, seconds)
    for missing in bench.store:
        records = {key: value for key, value in bench.store.items() if key != missing}
        if records:
            with pytest.raises(LedgerUntrusted, match="head"):
                Ledger.restore(records, shard=0, shards=4, partitions=12, owner="test")


@pytest.mark.parametrize("value", [1.5, 2**53 + 1, None])
def test_a_large_commit_is_stored_in_records_that_each_fit_a_message(value: Value) -> None:
    bench = Bench(group_of(1, stream=replace(STREAM, has_null_events=True)))
    shown = Answer({1: column_of(dict.fromkeys(range(0, 100 * NS_PER_S, 2 * NS_PER_MS), value))})
    bench.ledger.apply(bench.ask(0, 100), shown)
    bench.commit()
    assert max(map(len, bench.store.values())) < MESSAGE_BYTES
    bench.configure(*bench.groups)
    assert bench.ledger.entries == 50_000
    assert bench.ledger.apply(bench.ask(0, 101), shown).runs == []


def test_a_fresh_ledger_knows_no_group() -> None:
    ledger = Ledger.restore({}, shard=0, shards=4, partitions=12, owner="test")
    assert (ledger.members(), ledger.entries) == ({}, 0)
    with pytest.raises(KeyError):
        ledger.place("all/raw/0")


def test_each_commit_has_the_next_sequence_and_the_owner() -> None:
    bench = Bench(group_of(1))
    sequences = []
    for until in (10, 20, 30):
        bench.live(max(0, until - 13), until, {1: every_second(max(0, until - 13), until)})
        sequences.append(decode_head(bench.store[HEAD]).sequence)
    bench.configure(*bench.groups)
    sequences.append(decode_head(bench.store[HEAD]).sequence)
    assert sequences == list(range(sequences[0], sequences[0] + 4))
    assert decode_head(bench.store[HEAD]).owner == "bench"


def with_an_old_hole() -> Bench:
    """A hole of a signal whose samples are known, far below the floor."""
    bench = Bench(group_of(1, 2))
    bench.live(0, 100, {1: every_second(0, 100), 2: every_second(0, 100)})
    bench.take(bench.ask(0, 20, lane=Lane.REVISIT, at=200), {1: every_second(0, 20)})
    bench.live(20, 400, {1: every_second(20, 400), 2: every_second(20, 400)})
    assert (bench.floor(), bench.holes()) == (280, [(2, 0, 20, "absent")])
    return bench


def test_what_an_open_hole_spans_is_remembered_across_a_restart() -> None:
    bench = with_an_old_hole()
    bench.configure(*bench.groups)
    shown = {2: {**every_second(0, 20), 5: 9.0}}
    repaired = bench.take(bench.ask(0, 20, lane=Lane.REPAIR, of=[2], at=400), shown)
    assert events_of(repaired) == [Event(2, 5, 9.0, 1, False)]


def test_a_closed_hole_lets_go_of_what_it_kept() -> None:
    bench = with_an_old_hole()
    entries = bench.ledger.entries
    bench.take(bench.ask(0, 20, lane=Lane.REPAIR, of=[2], at=400), {2: every_second(0, 20)})
    assert bench.ledger.entries == entries - 20
    assert bench.restored().entries == entries - 20


def test_a_long_silent_signal_keeps_its_newest_sample_across_restarts() -> None:
    bench = Bench(group_of(1))
    bench.live(0, 400, {1: {3: 2**53 + 1, 4: None, 5: 2**53 + 3}})
    for start, end in [(280, 500), (380, 600)]:
        bench.configure(*bench.groups)
        bench.live(start, end, {})
        assert (bench.floor(), bench.ledger.entries, bench.restored().entries) == (end - 120, 1, 1)
