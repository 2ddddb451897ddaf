"""Planner and ledger together, in any order of things: nothing lost, nothing doubled, whatever dies and when."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from random import Random

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from streamer.ledger.codec import PLACE_PREFIX, decode_place
from streamer.ledger.intervals import joined
from streamer.ledger.ledger import Ledger
from streamer.model import NS_PER_MS, NS_PER_S, Hole, Interval, Series, Stream
from tests.unit.ledger.world import CHUNKS_NS, LAST_AGE_NS, World

SIGNALS = (1, 2, 3, 4)
RAW = Stream("all", NS_PER_S, overlap_ns=3 * NS_PER_S, lookback_ns=(6 * NS_PER_S, LAST_AGE_NS))

NUMBERS = st.integers(0, 11)
CHUNKS = st.sampled_from(CHUNKS_NS)
LAGS = st.integers(0, 1000).map(lambda lag_ms: lag_ms * NS_PER_MS)
SUBSETS = st.sets(st.sampled_from(SIGNALS), min_size=1)
FEW = st.sets(st.sampled_from(SIGNALS), max_size=2)


class LedgerMachine(RuleBasedStateMachine):
    """What may happen to a daemon, and what must hold whenever it does."""

    world: World

    @initialize(
        salt=st.integers(0, 2**32),
        group_size=st.integers(1, 4),
        indexes=SUBSETS,
        is_resampled=st.booleans(),
        has_null_events=st.booleans(),
        is_live_first=st.booleans(),
        settle_ns=st.sampled_from([0, NS_PER_S]),
    )
    def begin(
        self,
        salt: int,
        group_size: int,
        indexes: set[int],
        is_resampled: bool,
        has_null_events: bool,
        is_live_first: bool,
        settle_ns: int,
    ) -> None:
        stream = replace(RAW, group_size=group_size, has_null_events=has_null_events, is_live_first=is_live_first)
        if is_resampled:
            stream = replace(stream, aggregation="sum", resample_period_ns=2 * NS_PER_S, settle_ns=settle_ns)
        self.world = World(stream, salt)
        self.world.begin(stream, indexes, lag_ns=0)

    @rule(milliseconds=st.integers(1, 4000))
    def wait(self, milliseconds: int) -> None:
        self.world.now_ns += milliseconds * NS_PER_MS

    @rule(seconds=st.integers(10, 90))
    def stall(self, seconds: int) -> None:
        self.world.now_ns += seconds * NS_PER_S

    @rule(turns=st.integers(1, 40), seed=st.integers(0, 2**32))
    def stumble(self, turns: int, seed: int) -> None:
        self.world.stumble(turns, Random(seed))

    @rule(turns=st.integers(1, 20), chunk_ns=CHUNKS)
    def go_well(self, turns: int, chunk_ns: int) -> None:
        for _ in range(turns):
            self.world.now_ns += NS_PER_S
            self.world.ask(chunk_ns=chunk_ns)
            for query in list(self.world.process.flying):
                self.world.answer(query)
            self.world.commit(list(self.world.process.arrived))

    @rule(chunk_ns=CHUNKS, is_poll_due=st.booleans())
    def ask(self, chunk_ns: int, is_poll_due: bool) -> None:
        self.world.ask(chunk_ns=chunk_ns, is_poll_due=is_poll_due)

    @precondition(lambda self: self.world.process.flying)
    @rule(number=NUMBERS, left_out=FEW, unreadable=FEW)
    def answer(self, number: int, left_out: set[int], unreadable: set[int]) -> None:
        flying = self.world.process.flying
        self.world.answer(flying[number % len(flying)], left_out, unreadable if number % 4 == 0 else ())

    @precondition(lambda self: self.world.process.flying)
    @rule(number=NUMBERS)
    def answer_nothing(self, number: int) -> None:
        flying = self.world.process.flying
        self.world.answer_empty(flying[number % len(flying)])

    @precondition(lambda self: self.world.process.flying)
    @rule(number=NUMBERS)
    def lose_a_question(self, number: int) -> None:
        flying = self.world.process.flying
        flying.pop(number % len(flying))

    @precondition(lambda self: self.world.process.arrived)
    @rule(numbers=st.lists(NUMBERS, min_size=1, max_size=6), is_lost=st.sampled_from([False, False, False, True]))
    def commit(self, numbers: list[int], is_lost: bool) -> None:
        arrived = self.world.process.arrived
        positions = dict.fromkeys(number % len(arrived) for number in numbers)
        self.world.commit([arrived[position] for position in positions], is_lost=is_lost)

    @rule(lag_ns=LAGS)
    def crash(self, lag_ns: int) -> None:
        self.world.begin(self.world.stream, self.world.indexes, lag_ns=lag_ns)

    @rule(
        indexes=SUBSETS,
        group_size=st.integers(1, 4),
        overlap_ns=st.sampled_from([NS_PER_S, 3 * NS_PER_S, 5 * NS_PER_S]),
        history_ns=st.sampled_from([0, 10 * NS_PER_S, 100 * NS_PER_S]),
        lag_ns=LAGS,
    )
    def reconfigure(self, indexes: set[int], group_size: int, overlap_ns: int, history_ns: int, lag_ns: int) -> None:
        stream = replace(self.world.stream, group_size=group_size, overlap_ns=overlap_ns)
        self.world.begin(stream, indexes, lag_ns=lag_ns, history_ns=history_ns)

    @invariant()
    def no_frontier_is_ahead_of_the_service(self) -> None:
        process = self.world.process
        for group in process.groups:
            place = process.ledger.place(group.id)
            assert place.frontier_ns <= self.world.now_ns
            for age_ns, revisited_ns in zip(group.stream.lookback_ns, place.revisited_ns, strict=True):
                assert revisited_ns <= max(self.world.now_ns - age_ns, *self.world.starts_ns.values())

    @invariant()
    def no_two_questions_are_about_the_same_instant_of_a_signal(self) -> None:
        process = self.world.process
        asked = [*process.flying, *(one.query for one in process.arrived)]
        for one, other in combinations(asked, 2):
            assert not one.window.overlaps(other.window) or not set(one.series) & set(other.series)

    @invariant()
    def what_is_stored_can_be_restored(self) -> None:
        restored = Ledger.restore(dict(self.world.store), shard=0, shards=1, partitions=12, owner="other")
        assert set(restored.members()) == set(self.world.process.ledger.members())

    @invariant()
    def what_was_told_of_holes_adds_up_to_what_is_stored(self) -> None:
        stored: dict[Series, list[Hole]] = {}
        for key, value in self.world.store.items():
            if key.startswith(PLACE_PREFIX):
                place = decode_place(key, value)
                for at, start_ns, end_ns, cause in place.holes if place.told is None else place.told:
                    series = Series.parse(place.series[at])
                    stored.setdefault(series, []).append(Hole(series, Interval(start_ns, end_ns), cause))
        told = {series: holes for series, holes in self.world.told.items() if holes}
        assert {series: [hole.interval for hole in holes] for series, holes in told.items()} == {
            series: [hole.interval for hole in joined(holes)] for series, holes in stored.items()
        }

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        for indexes in (self.world.indexes, list(self.world.starts_ns)):
            if sorted(indexes) != self.world.indexes:
                self.world.begin(self.world.stream, indexes, lag_ns=0)
            end_ns = self.world.now_ns
            self.world.heal()
            assert self.world.faults(end_ns) == []


def test_nothing_is_lost_or_doubled_in_any_order_of_things() -> None:
    run_state_machine_as_test(LedgerMachine, settings=settings(max_examples=200, stateful_step_count=50, deadline=None))
