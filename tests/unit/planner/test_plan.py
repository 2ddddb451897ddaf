"""What is asked next, and of what windows."""

from __future__ import annotations

from dataclasses import replace

import pytest

from streamer.model import NS_PER_S, Lane
from tests.unit.planner.makers import (
    GRID,
    RAW,
    asked,
    busy_with,
    group_of,
    hole_of,
    place_of,
    planned,
    seconds,
    standing_of,
)

AT_1000 = place_of(1000)
"""A group that keeps up; its slices of revisits are 20 s long, so none is due."""


def test_a_live_query_asks_from_the_overlap_to_a_little_ahead_of_now() -> None:
    assert asked(standing_of(AT_1000), 1001) == [(Lane.LIVE, 997, 1003)]


def test_a_query_says_what_it_was_planned_with() -> None:
    standing = standing_of(AT_1000)
    (query,) = planned(standing, 1001.5)
    assert (query.group, query.series) == (standing.group, standing.group.series)
    assert (query.asked_at_ns, query.planned_with) == (1001.5 * NS_PER_S, AT_1000)


def test_a_live_query_does_not_begin_below_the_floor() -> None:
    assert asked(standing_of(place_of(1000, 999, 999, floor=999)), 1001) == [(Lane.LIVE, 999, 1003)]


@pytest.mark.parametrize("now", [990, 999.9, 1000, 1000.0005])
def test_there_is_nothing_to_do_while_the_service_is_not_past_the_frontier(now: float) -> None:
    assert asked(standing_of(AT_1000), now) == []


def test_no_live_query_is_asked_before_its_poll() -> None:
    assert asked(standing_of(AT_1000), 1005, is_poll_due=False) == []


def test_a_resampled_query_ends_on_the_grid_and_never_ahead() -> None:
    standing = standing_of(AT_1000, group=group_of(GRID))
    assert asked(standing, 1003.9) == [(Lane.LIVE, 996, 1002)]


def test_a_resampled_query_ends_before_what_has_not_settled() -> None:
    group = group_of(replace(GRID, settle_ns=2 * NS_PER_S))
    assert asked(standing_of(AT_1000, group=group), 1005.9) == [(Lane.LIVE, 996, 1002)]
    assert asked(standing_of(AT_1000, group=group), 1003.9) == []


def test_the_settling_time_is_not_for_raw_queries() -> None:
    group = group_of(replace(RAW, settle_ns=5 * NS_PER_S))
    assert asked(standing_of(AT_1000, group=group), 1001) == [(Lane.LIVE, 997, 1003)]


def test_a_live_query_in_flight_is_not_doubled() -> None:
    standing = standing_of(AT_1000)
    busy = busy_with(standing, Lane.LIVE, 997, 1003)
    assert asked(replace(standing, busy=[busy]), 1010) == []


def test_a_revisit_waits_until_its_slice_is_long_enough() -> None:
    standing = standing_of(place_of(1000, 965.1, 1000 - 121))
    assert asked(standing, 1000, is_poll_due=False) == []
    assert asked(standing, 1000.1, is_poll_due=False) == [(Lane.REVISIT, 965.1, 985.1)]


def test_slices_of_revisits_are_a_tenth_of_the_live_queries_together() -> None:
    three_ages = replace(RAW, lookback_ns=(15 * NS_PER_S, 30 * NS_PER_S, 60 * NS_PER_S), poll_interval_ns=2 * NS_PER_S)
    standing = standing_of(place_of(1000, 985, 970, 880), group=group_of(three_ages))
    assert asked(standing, 1000 - 0.1, is_poll_due=False) == []
    assert asked(standing, 1000, is_poll_due=False) == [(Lane.REVISIT, 880, 940)]


def test_the_oldest_age_is_revisited_first() -> None:
    standing = standing_of(place_of(1000, 900, 800))
    assert asked(standing, 1000, is_poll_due=False) == [(Lane.REVISIT, 800, 860)]


def test_one_revisit_of_a_group_is_in_flight_at_a_time() -> None:
    standing = standing_of(place_of(1000, 900, 800))
    busy = busy_with(standing, Lane.REVISIT, 800, 860)
    assert asked(replace(standing, busy=[busy]), 1000, is_poll_due=False) == []


def test_the_next_age_is_revisited_when_the_oldest_is_not_due() -> None:
    standing = standing_of(place_of(1000, 900, 879))
    assert asked(standing, 1000, is_poll_due=False) == [(Lane.REVISIT, 900, 960)]


def test_a_revisit_ends_where_its_age_does() -> None:
    assert asked(standing_of(place_of(1000, 960, 879)), 1000, is_poll_due=False) == [(Lane.REVISIT, 960, 985)]


def test_a_revisit_ends_at_the_overlap() -> None:
    standing = standing_of(place_of(1000, 960, 979), chunk=200)
    assert asked(standing, 1100, is_poll_due=False) == [(Lane.REVISIT, 960, 997)]


def test_a_revisit_is_at_most_a_chunk() -> None:
    assert asked(standing_of(place_of(1000, 900, 700), chunk=25), 1000) == [(Lane.REVISIT, 700, 725)]


def test_a_group_past_the_last_age_brings_its_revisits_up_first() -> None:
    assert asked(standing_of(place_of(1000, 985, 880)), 2000) == [(Lane.REVISIT, 880, 940)]
    assert asked(standing_of(place_of(1000, 985, 940)), 2000) == [(Lane.REVISIT, 940, 997)]


def test_a_group_past_the_last_age_then_serves_all_with_one_query() -> None:
    assert asked(standing_of(place_of(1000, 997, 997)), 2000) == [(Lane.CATCH_UP, 997, 1060)]


def test_catching_up_does_not_wait_for_a_poll() -> None:
    assert asked(standing_of(place_of(1000, 997, 997)), 2000, is_poll_due=False) == [(Lane.CATCH_UP, 997, 1060)]


def test_a_group_behind_by_more_than_a_chunk_catches_up_in_chunks() -> None:
    assert asked(standing_of(AT_1000, chunk=10), 1011) == [(Lane.CATCH_UP, 997, 1010)]
    assert asked(standing_of(AT_1000, chunk=10), 1010) == [(Lane.LIVE, 997, 1010)]


def test_a_chunk_shorter_than_the_overlap_shortens_the_live_query_on_both_sides_of_the_frontier() -> None:
    assert asked(standing_of(AT_1000, chunk=1), 1001) == [(Lane.LIVE, 999, 1001)]
    assert asked(standing_of(AT_1000, chunk=1), 1005) == [(Lane.CATCH_UP, 999, 1001)]


@pytest.mark.parametrize(("overlap", "starts", "ends"), [(60, 9_940, 11_680), (1200, 9_130, 10_870)])
def test_a_chunk_and_the_overlap_together_are_no_longer_than_what_the_service_answers_raw(
    overlap: int, starts: int, ends: int
) -> None:
    group = group_of(replace(RAW, overlap_ns=overlap * NS_PER_S))
    standing = standing_of(place_of(10_000, 10_000 - overlap, 10_000 - overlap), group=group, chunk=1740)
    assert asked(standing, 20_000) == [(Lane.CATCH_UP, starts, ends)]


def test_a_live_query_keeps_a_long_overlap_while_it_is_answered_raw() -> None:
    group = group_of(replace(RAW, overlap_ns=1200 * NS_PER_S, lookback_ns=(1300 * NS_PER_S,)))
    standing = standing_of(place_of(10_000, 8_700), group=group, chunk=1740)
    assert asked(standing, 10_001) == [(Lane.LIVE, 8_800, 10_003)]


def test_the_last_chunk_of_catching_up_ends_as_a_live_query_does() -> None:
    standing = standing_of(place_of(1000, 997, 997), chunk=500)
    assert asked(standing, 1121) == [(Lane.CATCH_UP, 997, 1123)]


def test_catching_up_is_not_doubled() -> None:
    standing = standing_of(place_of(1000, 997, 997))
    busy = busy_with(standing, Lane.CATCH_UP, 997, 1060)
    assert asked(replace(standing, busy=[busy]), 2000) == []


def test_a_hole_is_repaired_beside_the_live_query() -> None:
    standing = standing_of(AT_1000, holes=[hole_of(2, 930, 950)])
    live, repair = planned(standing, 1001)
    assert live.lane is Lane.LIVE
    assert (repair.lane, repair.window) == (Lane.REPAIR, seconds(930, 950))
    assert [series.signal.index for series in repair.series] == [2]


def test_the_oldest_hole_is_repaired_first() -> None:
    standing = standing_of(AT_1000, holes=[hole_of(1, 950, 960), hole_of(2, 930, 940), hole_of(3, 940, 990)])
    assert asked(standing, 1001, is_poll_due=False) == [(Lane.REPAIR, 930, 940)]


def test_a_hole_is_repaired_in_chunks() -> None:
    standing = standing_of(AT_1000, holes=[hole_of(2, 900, 990)], chunk=25)
    assert asked(standing, 1001, is_poll_due=False) == [(Lane.REPAIR, 900, 925)]


def test_a_repair_ends_before_the_overlap() -> None:
    standing = standing_of(AT_1000, holes=[hole_of(2, 990, 1000)])
    assert asked(standing, 1001, is_poll_due=False) == [(Lane.REPAIR, 990, 997)]


def test_a_hole_inside_the_overlap_is_left_to_the_live_queries() -> None:
    standing = standing_of(AT_1000, holes=[hole_of(2, 997, 1000)])
    assert asked(standing, 1001) == [(Lane.LIVE, 997, 1003)]


def test_a_repair_takes_along_all_series_whose_hole_contains_the_piece() -> None:
    holes = [hole_of(1, 930, 950), hole_of(2, 920, 950), hole_of(3, 910, 950)]
    (query,) = planned(standing_of(AT_1000, holes=holes, chunk=5), 1001, is_poll_due=False)
    assert (query.window, [one.signal.index for one in query.series]) == (seconds(910, 915), [3])
    holes = [hole_of(1, 900, 950), hole_of(2, 920, 950), hole_of(3, 900, 920)]
    (query,) = planned(standing_of(AT_1000, holes=holes, chunk=20), 1001, is_poll_due=False)
    assert (query.window, [one.signal.index for one in query.series]) == (seconds(900, 920), [1, 3])
    (query,) = planned(standing_of(AT_1000, holes=holes[:2], chunk=60), 1001, is_poll_due=False)
    assert (query.window, [one.signal.index for one in query.series]) == (seconds(900, 950), [1])


def test_a_repair_waits_for_what_asks_about_the_same_instants() -> None:
    standing = standing_of(AT_1000, holes=[hole_of(2, 930, 950)])
    busy = busy_with(standing, Lane.REVISIT, 940, 985)
    assert asked(replace(standing, busy=[busy]), 1001) == [(Lane.LIVE, 997, 1003)]


def test_a_repair_does_not_wait_for_what_asks_about_other_signals_or_instants() -> None:
    standing = standing_of(AT_1000, holes=[hole_of(2, 930, 950)])
    busy = [busy_with(standing, Lane.BACKFILL, 940, 985, 1, 3), busy_with(standing, Lane.REVISIT, 950, 985, 2)]
    assert asked(replace(standing, busy=busy), 1001, is_poll_due=False) == [(Lane.REPAIR, 930, 950)]


def test_a_revisit_goes_before_a_repair_of_the_same_instants() -> None:
    standing = standing_of(place_of(1000, 985, 860), holes=[hole_of(2, 860, 870)])
    assert asked(standing, 1001, is_poll_due=False) == [(Lane.REVISIT, 860, 881)]
