"""A ledger that was lost and made anew: no double, no gap, revisions go on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from random import Random

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule, run_state_machine_as_test

from streamer.errors import LedgerUntrusted
from streamer.ledger.codec import HEAD, verify
from streamer.ledger.rebuild import TRANSACTION_BYTES, Published, Rebuilding, Scope, transactions
from streamer.model import NS_PER_S, Group, Hole, Lane, Series, Stream, Value
from tests.unit.ledger.bench import Bench, Event, Samples, events_of, every_second, fold, group_of, raw, seconds
from tests.unit.ledger.test_ledger_machine import LAGS, LedgerMachine
from tests.unit.ledger.world import LAST_AGE_NS, World

STREAM = Stream("all", NS_PER_S, overlap_ns=3 * NS_PER_S, lookback_ns=(6 * NS_PER_S, LAST_AGE_NS))
SPAN_NS = 60 * NS_PER_S


def rebuilding(
    groups: Iterable[Group],
    scopes: dict[Series, Scope],
    frontiers_ns: dict[str, int] | None = None,
    most_samples: int = 10**6,
) -> Rebuilding:
    return Rebuilding(
        groups,
        scopes,
        frontiers_ns or {},
        parked_ages_ns=STREAM.lookback_ns,
        parked_span_ns=SPAN_NS,
        most_samples=most_samples,
    )


def published(index: int, samples: dict[int, Value], revision: int = 0, *, is_late: bool = False) -> Published:
    """Events of a signal by second."""
    instants = [second * NS_PER_S for second in sorted(samples)]
    return Published(raw(index), "all", revision, is_late, instants, [samples[second] for second in sorted(samples)])


def stored(made: Rebuilding) -> dict[bytes, bytes]:
    store: dict[bytes, bytes] = {}
    fold(store, made.ledger(shard=0, shards=4, partitions=12, owner="rebuild").changes())
    return store


def benched(made: Rebuilding, *groups: Group) -> Bench:
    """The rebuilt ledger on the bench, with these groups configured."""
    bench = Bench()
    bench.store = stored(made)
    bench.configure(*groups)
    return bench


def test_live_queries_go_on_behind_the_newest_sample_and_all_before_is_a_hole() -> None:
    group = group_of(1, 2)
    made = rebuilding([group], {raw(1): Scope(since_ns=10 * NS_PER_S), raw(2): Scope(since_ns=12 * NS_PER_S)})
    made.take(published(1, every_second(0, 50)))
    made.take(published(2, every_second(0, 40)))
    bench = benched(made, group)
    assert (bench.frontier(), bench.revisited(), bench.floor()) == (49, [49, 49], 49)
    assert bench.holes() == [(1, 10, 49, "rebuilt"), (2, 12, 49, "rebuilt")]


def test_only_what_may_be_asked_for_again_is_remembered_and_the_newest_sample() -> None:
    group = group_of(1, 2)
    made = rebuilding([group], dict.fromkeys(group.series, Scope(since_ns=40 * NS_PER_S)))
    made.take(published(1, every_second(0, 50)))
    made.take(published(2, every_second(0, 20)))
    assert made.samples == made.ledger(shard=0, shards=4, partitions=12, owner="rebuild").entries == 11


def test_a_grid_is_remembered_from_the_beginning_of_the_window_that_is_asked_for_again() -> None:
    stream = replace(STREAM, aggregation="sum", resample_period_ns=2 * NS_PER_S)
    group = group_of(1, stream=stream)
    made = rebuilding([group], {group.series[0]: Scope(since_ns=11 * NS_PER_S)})
    instants = range(0, 50 * NS_PER_S, 2 * NS_PER_S)
    made.take(Published(group.series[0], "all", 0, False, instants, [1.0] * len(instants)))
    assert benched(made, group).holes() == [(1, 10, 48, "rebuilt")]
    assert made.traces[group.series[0]].memory.value_at(10 * NS_PER_S) == (1.0, 0)


def test_a_sample_that_was_published_is_not_published_again_and_a_missing_one_is() -> None:
    group = group_of(1)
    made = rebuilding([group], {raw(1): Scope(since_ns=0)})
    made.take(published(1, {second: 1.0 for second in range(50) if second != 20}))
    bench = benched(made, group)
    bench.live(49, 300, {1: every_second(49, 300)})
    applied = bench.take(bench.ask(0, 49, lane=Lane.REPAIR, at=300), {1: every_second(0, 49)})
    assert events_of(applied) == [Event(1, 20, 1.0, 0, is_late=True)]
    assert bench.holes() == []


def test_a_value_that_changed_meanwhile_becomes_the_next_revision() -> None:
    group = group_of(1)
    made = rebuilding([group], {raw(1): Scope(since_ns=0)})
    made.take(published(1, every_second(0, 50)))
    made.take(published(1, {7: 2.0}, revision=1))
    made.take(published(1, {7: None}, revision=2))
    bench = benched(made, group)
    bench.live(49, 300, {1: every_second(49, 300)})
    applied = bench.take(bench.ask(0, 49, lane=Lane.REPAIR, at=300), {1: every_second(0, 49)})
    assert events_of(applied) == [Event(1, 7, 1.0, 3, is_late=False)]


@pytest.mark.parametrize("value", [2**53 + 1, 10**40, 0.1, -0.0, None])
def test_values_are_remembered_exactly(value: Value) -> None:
    group = group_of(1)
    made = rebuilding([group], {raw(1): Scope(since_ns=0)})
    made.take(published(1, {7: value}))
    made.take(published(1, {9: value}, revision=1))
    bench = benched(made, group)
    shown: Samples = {1: {7: value, 9: value}}
    assert events_of(bench.apply(bench.ask(0, 9, lane=Lane.REPAIR, at=300), shown)) == []
    assert bench.live(9, 300, shown) == []


def test_an_order_of_events_in_which_a_revision_is_overtaken_counts_the_repeated_ones() -> None:
    group = group_of(1)
    made = rebuilding([group], {raw(1): Scope(since_ns=0)})
    made.take(published(1, {7: 1.0}))
    made.take(published(1, {7: 2.0}, revision=1))
    made.take(published(1, {7: 1.0, 8: 1.0}))
    assert made.traces[raw(1)].repeated == 1
    assert made.traces[raw(1)].memory.value_at(7 * NS_PER_S) == (2.0, 1)


def test_what_a_consumer_was_told_of_the_frontier_is_not_taken_back() -> None:
    group = group_of(1)
    made = rebuilding([group], {raw(1): Scope(since_ns=10 * NS_PER_S)}, {"all": 60 * NS_PER_S})
    made.take(published(1, every_second(0, 50)))
    bench = benched(made, group)
    assert bench.frontier() == 60
    assert bench.holes() == [(1, 10, 60, "rebuilt")]


def test_a_hole_that_was_open_before_stays_open_and_remembered() -> None:
    group = group_of(1)
    hole = Hole(raw(1), seconds(5, 9), "absent")
    made = rebuilding([group], {raw(1): Scope(since_ns=40 * NS_PER_S, holes=(hole,))})
    made.take(published(1, {second: 1.0 for second in range(50) if second != 7}))
    bench = benched(made, group)
    assert bench.holes() == [(1, 5, 9, "absent"), (1, 40, 49, "rebuilt")]
    applied = bench.take(bench.ask(5, 9, lane=Lane.REPAIR, at=300), {1: every_second(5, 9)})
    assert events_of(applied) == [Event(1, 7, 1.0, 0, is_late=True)]


def test_without_anything_told_a_series_is_asked_for_from_its_start_or_from_an_age_before_its_oldest_sample() -> None:
    group = group_of(1, 2, 3)
    made = rebuilding(
        [group],
        {
            raw(1): Scope(start_ns=5 * NS_PER_S, age_ns=15 * NS_PER_S),
            raw(2): Scope(age_ns=15 * NS_PER_S),
            raw(3): Scope(age_ns=15 * NS_PER_S),
        },
    )
    made.take(published(1, every_second(30, 50)))
    made.take(published(2, every_second(30, 50)))
    assert benched(made, group).holes() == [(1, 5, 49, "rebuilt"), (2, 15, 49, "rebuilt"), (3, 5, 49, "rebuilt")]


def test_a_group_of_which_nothing_is_known_is_left_to_begin_where_it_is_configured_to() -> None:
    group = group_of(1)
    assert benched(rebuilding([group], {raw(1): Scope(age_ns=NS_PER_S)}), group).holes() == []


def test_a_series_that_is_configured_no_more_goes_on_where_it_was_when_it_comes_back() -> None:
    made = rebuilding([], {})
    made.take(published(1, every_second(0, 200)))
    made.take(published(1, {150: 2.0}, revision=1))
    bench = benched(made)
    group = group_of(1, stream=STREAM)
    bench.configure(group)
    changed: dict[int, Value] = {**every_second(140, 300), 150: 3.0}
    assert made.samples == 61
    assert bench.frontier() == 199
    assert bench.floor() == pytest.approx(139, abs=0.01)
    applied = bench.take(bench.ask(140, 199, lane=Lane.REVISIT, at=300), {1: changed})
    assert events_of(applied) == [Event(1, 150, 3.0, 2, is_late=False)]


def test_past_the_memory_s_limit_samples_are_counted_and_not_remembered() -> None:
    group = group_of(1)
    made = rebuilding([group], {raw(1): Scope(since_ns=100 * NS_PER_S)}, most_samples=100)
    for start in range(100, 1000, 10):
        made.take(published(1, every_second(start, start + 10)))
    assert not made.fits
    assert made.samples == 900


def test_a_topic_without_its_oldest_events_is_trusted_from_where_nothing_earlier_can_lie() -> None:
    group = group_of(1, 2, 3)
    margin_ns = 5 * NS_PER_S
    made = rebuilding([group], {series: Scope(since_ns=40 * NS_PER_S, margin_ns=margin_ns) for series in group.series})
    made.take(published(1, {20: 1.0}, is_late=True))
    made.take(published(1, every_second(35, 50)))
    made.take(published(2, every_second(38, 50)))
    assert made.uncertain() == {raw(2): 43 * NS_PER_S, raw(3): None}


@pytest.mark.parametrize("value_bytes", [100, TRANSACTION_BYTES])
def test_a_state_that_is_replaced_halfway_is_never_believed(value_bytes: int) -> None:
    old = stored(rebuilding([group_of(1)], {raw(1): Scope(since_ns=0)}))
    new: dict[bytes, bytes | None] = {f"memory/{number}".encode(): b"m" * value_bytes for number in range(5)}
    new |= {b"place/all": b"{}", HEAD: b"{}"}
    store = dict(old)
    for changes in transactions(old, new)[:-1]:
        fold(store, changes)
        with pytest.raises(LedgerUntrusted, match="no state record 'head'"):
            verify(store, shard=0, shards=4)
    fold(store, transactions(old, new)[-1])
    assert store == new


def test_each_transaction_is_small_unless_one_record_is_not() -> None:
    new: dict[bytes, bytes | None] = {f"memory/{number}".encode(): b"m" * 400_000 for number in range(50)}
    lots = transactions([], {**new, HEAD: b"{}"})
    sizes = [sum(len(value or b"") for value in changes.values()) for changes in lots]
    assert max(sizes) <= TRANSACTION_BYTES
    assert len(lots) == 2 + 5


def test_a_small_state_is_replaced_in_one_transaction() -> None:
    assert transactions([b"memory/1", b"head"], {b"head": b"{}"}) == [{b"memory/1": None, b"head": b"{}"}]


class RebuildMachine(LedgerMachine):
    """The ledger may be lost at any moment, be it that consumers were told how far it was or not."""

    rebuilt_ns = 0

    @precondition(lambda self: self.world.events and sorted(self.world.starts_ns) == self.world.indexes)
    @rule(is_told=st.booleans(), lag_ns=LAGS)
    def lose_the_state(self, is_told: bool, lag_ns: int) -> None:
        self.world.lose(is_told=is_told, lag_ns=lag_ns)
        places = [self.world.process.ledger.place(group.id) for group in self.world.process.groups]
        self.rebuilt_ns = max(self.rebuilt_ns, *(place.frontier_ns for place in places))

    @invariant()
    def no_frontier_is_ahead_of_the_service(self) -> None:
        """But for what lies in the holes of a rebuilt ledger."""
        for group in self.world.process.groups:
            place = self.world.process.ledger.place(group.id)
            assert place.frontier_ns <= max(self.world.now_ns, self.rebuilt_ns)
            for age_ns, revisited_ns in zip(group.stream.lookback_ns, place.revisited_ns, strict=True):
                starts_ns = (self.rebuilt_ns, *self.world.starts_ns.values())
                assert revisited_ns <= max(self.world.now_ns - age_ns, *starts_ns)


def test_nothing_is_lost_or_doubled_when_the_state_is_lost() -> None:
    run_state_machine_as_test(RebuildMachine, settings=settings(max_examples=60, stateful_step_count=40, deadline=None))


@pytest.mark.parametrize("seed", range(6))
def test_a_rebuilt_ledger_ends_with_what_one_that_was_never_lost_has(seed: int) -> None:
    finals = []
    for is_lost in (False, True):
        world = World(replace(STREAM, has_null_events=True), seed)
        world.begin(world.stream, [1, 2, 3], lag_ns=0)
        world.stumble(60, Random(seed))
        end_ns = world.now_ns
        if is_lost:
            world.lose(is_told=True, lag_ns=0)
        world.heal()
        finals.append({about: repr(values[-1]) for about, values in world.published.items() if about[1] < end_ns})
    kept, rebuilt = finals
    assert len(kept) > 150
    assert kept == rebuilt
