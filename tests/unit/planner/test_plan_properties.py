"""What holds for every plan, however a group stands."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from streamer.model import NS_PER_MS, NS_PER_S, Group, Hole, Interval, Lane, Place, Query
from streamer.planner.chunks import RAW_LIMIT_NS
from streamer.planner.plan import AHEAD_NS, Standing, plan
from tests.unit.planner.makers import GRID, RAW, group_of

STREAMS = st.sampled_from(
    [
        RAW,
        replace(RAW, overlap_ns=900 * NS_PER_S, lookback_ns=(1000 * NS_PER_S, 4000 * NS_PER_S)),
        replace(RAW, overlap_ns=1790 * NS_PER_S, lookback_ns=(1000 * NS_PER_S, 4000 * NS_PER_S), is_live_first=True),
        replace(RAW, overlap_ns=0, poll_interval_ns=100 * NS_PER_MS),
        GRID,
        replace(GRID, settle_ns=1500 * NS_PER_MS, overlap_ns=700 * NS_PER_MS),
        replace(GRID, resample_period_ns=200 * NS_PER_MS),
        replace(GRID, resample_period_ns=7 * NS_PER_S),
    ]
)


@st.composite
def standings(draw: st.DrawFn) -> tuple[Standing, int]:
    """A group with a legal place, holes and queries in flight on its grid, and the time."""
    group = group_of(draw(STREAMS))
    quantum_ns = group.stream.quantum_ns
    longest_s = max(400, 3 * group.stream.overlap_ns // NS_PER_S)
    points = st.integers(0, longest_s * NS_PER_S // quantum_ns).map(lambda number: number * quantum_ns)
    floor_ns, *revisited_ns, frontier_ns = sorted(draw(st.lists(points, min_size=4, max_size=4)))
    place = Place(frontier_ns, tuple(reversed(revisited_ns)), floor_ns)
    bounds = st.tuples(points, points).map(sorted).filter(lambda pair: pair[0] < pair[1])
    windows = bounds.map(lambda pair: Interval(*pair))
    some = st.lists(st.sampled_from(group.series), min_size=1, unique=True).map(tuple)
    holes = draw(st.lists(st.builds(Hole, st.sampled_from(group.series), windows, st.just("absent")), max_size=4))
    lanes = st.sampled_from([lane for lane in Lane if lane is not Lane.BACKFILL])
    busy = st.builds(Query, st.just(group), lanes, some, windows, st.just(0), st.just(place))
    chunk_ns = min(max(draw(points), quantum_ns), RAW_LIMIT_NS)
    inside = [hole for hole in holes if hole.interval.end_ns <= place.frontier_ns]
    now_ns = draw(st.integers(0, 2 * longest_s * NS_PER_S))
    return Standing(group, place, inside, draw(st.lists(busy, max_size=3)), chunk_ns), now_ns


SITUATIONS = standings()


def collide(one: Query, other: Query) -> bool:
    """Whether two queries ask about the same instant of a signal."""
    return bool(set(one.series) & set(other.series)) and max(one.window.start_ns, other.window.start_ns) < min(
        one.window.end_ns, other.window.end_ns
    )


def all_planned(situation: tuple[Standing, int]) -> tuple[Group, Place, list[Query]]:
    standing, now_ns = situation
    return standing.group, standing.place, plan(standing, now_ns, is_poll_due=True)


@given(SITUATIONS)
def test_no_two_queries_ask_about_the_same_instant_of_a_signal(situation: tuple[Standing, int]) -> None:
    _, _, queries = all_planned(situation)
    busy = situation[0].busy
    assert not any(collide(query, other) for query in queries for other in busy)
    assert not any(collide(one, other) for one, other in combinations(queries, 2))


@given(SITUATIONS)
def test_each_lane_of_a_group_has_one_query_at_most(situation: tuple[Standing, int]) -> None:
    _, _, queries = all_planned(situation)
    lanes = [query.lane for query in queries]
    assert len(lanes) == len(set(lanes))
    assert not set(lanes) & {query.lane for query in situation[0].busy}


@given(SITUATIONS)
def test_all_bounds_are_multiples_of_the_quantum_and_windows_are_not_empty(situation: tuple[Standing, int]) -> None:
    group, _, queries = all_planned(situation)
    for query in queries:
        assert query.window.start_ns < query.window.end_ns
        assert query.window.start_ns % group.stream.quantum_ns == 0
        assert query.window.end_ns % group.stream.quantum_ns == 0


@given(SITUATIONS)
def test_no_query_but_a_repair_begins_below_the_floor_or_past_the_frontier(situation: tuple[Standing, int]) -> None:
    group, place, queries = all_planned(situation)
    for query in queries:
        if query.lane is not Lane.REPAIR and not group.stream.is_live_first:  # that skips, and makes a hole of it
            assert place.floor_ns <= query.window.start_ns <= place.frontier_ns


@given(SITUATIONS)
def test_only_raw_queries_ask_ahead_of_now(situation: tuple[Standing, int]) -> None:
    group, _, queries = all_planned(situation)
    is_raw = group.stream.resample_period_ns is None
    for query in queries:
        if query.lane in (Lane.LIVE, Lane.CATCH_UP):
            latest_ns = AHEAD_NS if is_raw else -group.stream.settle_ns
            assert query.window.end_ns <= query.asked_at_ns + latest_ns


@given(SITUATIONS)
def test_revisits_and_repairs_leave_the_overlap_to_the_live_queries(situation: tuple[Standing, int]) -> None:
    group, place, queries = all_planned(situation)
    overlap_ns = max(place.floor_ns, place.frontier_ns - group.stream.overlap_ns)
    for query in queries:
        if query.lane in (Lane.REVISIT, Lane.REPAIR):
            assert query.window.end_ns <= overlap_ns


@given(SITUATIONS)
def test_no_revisit_or_repair_is_longer_than_a_chunk(situation: tuple[Standing, int]) -> None:
    _, place, queries = all_planned(situation)
    for query in queries:
        start_ns = query.window.start_ns if query.lane in (Lane.REVISIT, Lane.REPAIR) else place.frontier_ns
        assert query.lane is Lane.LIVE or query.window.end_ns - start_ns <= situation[0].chunk_ns


@given(SITUATIONS)
def test_no_raw_query_is_longer_than_the_service_answers_raw(situation: tuple[Standing, int]) -> None:
    group, _, queries = all_planned(situation)
    for query in queries:
        assert group.stream.resample_period_ns or query.asked.end_ns - query.asked.start_ns <= RAW_LIMIT_NS


@given(SITUATIONS)
def test_a_query_that_moves_the_frontier_asks_for_what_is_past_it(situation: tuple[Standing, int]) -> None:
    _, place, queries = all_planned(situation)
    for query in queries:
        if query.lane in (Lane.LIVE, Lane.CATCH_UP) and not query.fills_holes:
            assert query.window.end_ns > place.frontier_ns


@given(SITUATIONS)
def test_a_repair_asks_only_for_series_with_a_hole_over_all_of_its_window(situation: tuple[Standing, int]) -> None:
    _, _, queries = all_planned(situation)
    for query in queries:
        if query.lane is Lane.REPAIR:
            for series in query.series:
                assert any(
                    hole.series == series
                    and hole.interval.start_ns <= query.window.start_ns
                    and query.window.end_ns <= hole.interval.end_ns
                    for hole in situation[0].holes
                )


@given(SITUATIONS)
def test_what_is_planned_is_ready_to_be_busy_with(situation: tuple[Standing, int]) -> None:
    standing, now_ns = situation
    queries = plan(standing, now_ns, is_poll_due=True)
    again = plan(replace(standing, busy=[*standing.busy, *queries]), now_ns, is_poll_due=True)
    assert not any(collide(query, other) for query in again for other in queries)
