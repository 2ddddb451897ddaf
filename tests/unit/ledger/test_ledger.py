"""What an answer moves: frontiers and holes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from streamer.ledger.ledger import Outcome
from streamer.model import NS_PER_MS, NS_PER_S, Interval, Lane
from tests.unit.ledger.bench import STREAM, Bench, Event, answer_of, events_of, every_second, group_of, raw

GRID = replace(STREAM, aggregation="mean", resample_period_ns=2 * NS_PER_S)


def test_a_group_begins_at_its_start() -> None:
    bench = Bench(group_of(1), start=5)
    assert (bench.frontier(), bench.revisited(), bench.floor(), bench.holes()) == (5, [5, 5], 5, [])


def test_the_frontier_moves_to_the_end_of_a_window_of_the_past() -> None:
    bench = Bench(group_of(1))
    bench.live(0, 10, {1: every_second(0, 10)}, at=14)
    assert bench.frontier() == 10


def test_the_frontier_does_not_pass_the_instant_of_asking() -> None:
    bench = Bench(group_of(1))
    bench.live(0, 12, {1: every_second(0, 12)}, at=10)
    assert bench.frontier() == 10


def test_the_frontier_of_a_resampled_group_stays_on_its_grid() -> None:
    bench = Bench(group_of(1, stream=GRID))
    bench.live(0, 12, {1: {0: 1.0, 2: 1.0}}, at=9)
    assert bench.frontier() == 8


def test_the_frontier_of_a_raw_group_stays_on_whole_milliseconds() -> None:
    bench = Bench(group_of(1))
    query = replace(bench.ask(0, 12), asked_at_ns=10 * NS_PER_S + 1_500_000)
    bench.take(query, {1: every_second(0, 10)})
    assert bench.place().frontier_ns == 10 * NS_PER_S + NS_PER_MS


def test_a_revisit_moves_its_ages_by_when_it_was_asked_and_not_the_frontier() -> None:
    bench = Bench(group_of(1))
    bench.live(0, 200, {1: every_second(0, 200)}, at=200)
    assert bench.revisited() == [185, 80]
    bench.take(bench.ask(80, 195, lane=Lane.REVISIT, at=210), {1: every_second(80, 195)})
    assert (bench.frontier(), bench.revisited()) == (200, [195, 90])


def test_an_answer_that_comes_late_counts_for_when_it_was_asked() -> None:
    bench = Bench(group_of(1))
    query = bench.ask(0, 20, at=20)
    applied = bench.ledger.apply(query, replace(answer_of({1: every_second(0, 20)}), received_wall_ns=10**30))
    assert applied.outcome is Outcome.COVERED
    assert (bench.frontier(), bench.revisited()) == (20, [5, 0])


def test_a_live_query_that_begins_at_the_revisits_moves_them_along() -> None:
    bench = Bench(group_of(1))
    bench.live(0, 130, {1: every_second(0, 130)}, at=140)
    assert (bench.frontier(), bench.revisited()) == (130, [125, 20])


def test_a_query_that_begins_past_a_revisit_does_not_move_it() -> None:
    bench = Bench(group_of(1))
    bench.live(0, 20, {1: every_second(0, 20)})
    bench.live(17, 300, {1: every_second(17, 300)})
    assert (bench.frontier(), bench.revisited()) == (300, [5, 0])


def test_a_revisit_never_takes_a_frontier_back() -> None:
    bench = Bench(group_of(1))
    bench.live(0, 200, {1: every_second(0, 200)})
    bench.take(bench.ask(80, 100, lane=Lane.REVISIT, at=210), {1: every_second(80, 100)})
    assert bench.revisited() == [185, 90]


def test_a_known_signal_left_out_has_a_hole_from_the_lower_end_of_the_query() -> None:
    bench = Bench(group_of(1, 2))
    bench.live(0, 10, {1: every_second(0, 10), 2: every_second(0, 10)})
    applied = bench.take(bench.ask(7, 22, at=20), {1: every_second(7, 22)})
    assert [hole.cause for hole in applied.opened] == ["absent"]
    assert (bench.frontier(), bench.holes()) == (20, [(2, 7, 20, "absent")])


def test_a_signal_of_which_nothing_is_known_may_be_silent() -> None:
    bench = Bench(group_of(1, 2))
    bench.live(0, 10, {1: every_second(0, 10), 2: every_second(0, 6)})
    bench.live(7, 20, {1: every_second(7, 20)})
    assert (bench.frontier(), bench.holes()) == (20, [])


def test_a_known_signal_left_out_by_a_revisit_has_a_hole() -> None:
    bench = Bench(group_of(1, 2))
    bench.live(0, 100, {1: every_second(0, 100), 2: every_second(0, 100)})
    bench.take(bench.ask(0, 60, lane=Lane.REVISIT, at=100), {1: every_second(0, 60)})
    assert bench.holes() == [(2, 0, 60, "absent")]


def test_a_signal_with_an_unreadable_row_has_a_hole_and_its_other_rows_are_published() -> None:
    bench = Bench(group_of(1, 2))
    applied = bench.take(bench.ask(0, 10), {1: every_second(0, 10), 2: {4: 1.0}}, unreadable={2})
    assert Event(2, 4, 1.0, 0, False) in events_of(applied)
    assert bench.holes() == [(2, 0, 10, "rejected")]


def test_a_signal_with_unreadable_rows_only_has_a_hole() -> None:
    bench = Bench(group_of(1, 2))
    bench.take(bench.ask(0, 10), {1: every_second(0, 10)}, unreadable={2})
    assert bench.holes() == [(2, 0, 10, "rejected")]


def test_a_query_that_asks_only_ahead_opens_no_hole() -> None:
    bench = Bench(group_of(1), start=10)
    bench.take(bench.ask(10, 12, at=10), {}, unreadable={1})
    assert (bench.frontier(), bench.holes()) == (10, [])


def test_a_hole_is_closed_by_what_covers_it_and_its_samples_are_late() -> None:
    bench = Bench(group_of(1, 2))
    bench.live(0, 10, {1: every_second(0, 10), 2: every_second(0, 10)})
    bench.live(7, 20, {1: every_second(7, 20)})
    applied = bench.take(bench.ask(7, 16, lane=Lane.REPAIR, of=[2], at=25), {2: every_second(7, 16)})
    assert bench.holes() == [(2, 16, 20, "absent")]
    assert events_of(applied) == [Event(2, second, 1.0, 0, True) for second in range(10, 16)]


def test_a_repair_moves_no_frontier() -> None:
    bench = Bench(group_of(1, 2))
    bench.live(0, 10, {1: every_second(0, 10), 2: every_second(0, 10)})
    bench.live(0, 20, {1: every_second(0, 20)})
    before = bench.place()
    bench.take(bench.ask(0, 20, lane=Lane.REPAIR, of=[2], at=500), {2: every_second(0, 20)})
    assert (bench.holes(), bench.place()) == ([], before)


def test_a_revisit_past_the_frontier_does_not_move_it() -> None:
    bench = Bench(group_of(1))
    bench.live(0, 20, {1: every_second(0, 20)})
    bench.take(bench.ask(0, 30, lane=Lane.REVISIT, at=50), {1: every_second(0, 30)})
    assert (bench.frontier(), bench.revisited()) == (20, [30, 0])


def test_a_hole_that_is_left_out_again_stays_and_is_said_so() -> None:
    bench = Bench(group_of(1, 2, 3))
    bench.live(0, 10, {index: every_second(0, 10) for index in (1, 2, 3)})
    bench.live(7, 20, {1: every_second(7, 20)})
    applied = bench.take(bench.ask(7, 17, lane=Lane.REPAIR, of=[2, 3], at=25), {2: every_second(7, 17)})
    assert [hole.series.signal.index for hole in applied.opened] == [3]
    assert bench.holes() == [(2, 17, 20, "absent"), (3, 7, 20, "absent")]


def test_an_empty_answer_to_a_group_with_known_samples_is_a_failed_query() -> None:
    bench = Bench(group_of(1, 2))
    bench.live(0, 10, {1: every_second(0, 10)})
    before = bench.place(), bench.holes()
    applied = bench.ledger.apply(bench.ask(7, 20), answer_of({}))
    assert (applied.outcome, applied.runs, applied.opened) == (Outcome.EMPTY, [], [])
    assert (bench.place(), bench.holes()) == before
    assert bench.ledger.changes() == {}


@pytest.mark.parametrize(("later", "outcome"), [(179, Outcome.EMPTY), (180, Outcome.COVERED)])
def test_answers_that_are_empty_for_three_minutes_are_believed_and_leave_a_hole_where_samples_are_known(
    later: int, outcome: Outcome
) -> None:
    bench = Bench(group_of(1, 2))
    bench.live(0, 10, {1: every_second(0, 10)})
    bench.ledger.apply(bench.ask(7, 20, at=100), answer_of({}))
    applied = bench.take(bench.ask(7, 20, at=100 + later), {})
    assert applied.outcome is outcome
    assert bench.holes() == ([(1, 7, 20, "absent")] if outcome is Outcome.COVERED else [])


def test_an_answer_with_rows_makes_an_empty_one_a_failed_query_again() -> None:
    bench = Bench(group_of(1, 2))
    bench.live(0, 10, {1: every_second(0, 10)})
    bench.ledger.apply(bench.ask(7, 20, at=100), answer_of({}))
    bench.take(bench.ask(7, 20, at=101), {1: every_second(7, 20)})
    assert bench.apply(bench.ask(17, 30, at=400), {}).outcome is Outcome.EMPTY


def test_an_empty_answer_about_what_the_source_says_is_gone_counts() -> None:
    bench = Bench(group_of(1))
    bench.live(0, 10, {1: every_second(0, 10)})
    bench.ledger.begins({raw(1): 20 * NS_PER_S})
    assert bench.take(bench.ask(7, 20, at=400), {}).outcome is Outcome.COVERED
    assert bench.holes() == [(1, 7, 20, "absent")]


def test_an_empty_answer_to_a_group_with_no_known_samples_covers() -> None:
    bench = Bench(group_of(1, 2))
    bench.live(0, 10, {})
    assert bench.frontier() == 10


def test_a_window_in_which_a_signal_is_absent_twice_is_one_hole() -> None:
    bench = Bench(group_of(1, 2))
    bench.live(0, 30, {1: every_second(0, 30), 2: every_second(0, 30)})
    for start in (5, 10):
        bench.take(bench.ask(start, start + 5, lane=Lane.REVISIT, at=40), {1: every_second(start, start + 5)})
    assert [hole.interval for hole in bench.ledger.holes(bench.groups[0].id)] == [Interval(5 * NS_PER_S, 15 * NS_PER_S)]


def test_an_early_repair_leaves_a_hole_on_the_grid() -> None:
    bench = Bench(group_of(1, stream=GRID), start=100)
    bench.live(100, 120, {1: every_second(100, 120)})
    bench.configure(group_of(1, 2, stream=GRID), starts={1: 100, 2: 80})
    query = replace(bench.ask(80, 120, lane=Lane.REPAIR, of=[2]), asked_at_ns=211_500_000_000)
    bench.take(query, {2: every_second(80, 120)})
    assert bench.holes() == [(2, 90, 100, "new")]
