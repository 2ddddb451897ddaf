"""Arithmetic of intervals agrees with that of sets of instants."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from streamer.ledger.intervals import joined, punched, without
from streamer.model import Hole, Interval
from tests.unit.ledger.bench import raw


def _interval(bounds: tuple[int, int]) -> Interval:
    return Interval(min(bounds), max(bounds) + 1)


INTERVALS = st.tuples(st.integers(0, 40), st.integers(0, 40)).map(_interval)
HOLES = st.lists(st.builds(Hole, st.just(raw(1)), INTERVALS, st.sampled_from(["absent", "new", "moved"])))


def instants(*intervals: Interval) -> set[int]:
    return {at for interval in intervals for at in range(interval.start_ns, interval.end_ns)}


def intervals(holes: list[Hole]) -> list[Interval]:
    return [hole.interval for hole in holes]


@given(INTERVALS, INTERVALS)
def test_two_intervals_overlap_when_they_share_an_instant(one: Interval, other: Interval) -> None:
    assert one.overlaps(other) == bool(instants(one) & instants(other))


@given(INTERVALS, INTERVALS)
def test_taking_an_interval_away_leaves_the_difference_in_whole_pieces(interval: Interval, covered: Interval) -> None:
    pieces = without(interval, covered)
    assert instants(*pieces) == instants(interval) - instants(covered)
    assert all(piece.start_ns < piece.end_ns for piece in pieces)


@given(HOLES, INTERVALS)
def test_punching_takes_exactly_the_covered_instants_away(holes: list[Hole], covered: Interval) -> None:
    left = intervals(punched(joined(holes), covered))
    assert instants(*left) == instants(*intervals(holes)) - instants(covered)
    assert left == sorted(left)
    assert sum(end - start for start, end in left) == len(instants(*left))


@given(HOLES)
def test_joining_keeps_the_same_instants_in_the_fewest_pieces(holes: list[Hole]) -> None:
    pieces = intervals(joined(holes))
    assert instants(*pieces) == instants(*intervals(holes))
    assert all(one.end_ns < following.start_ns for one, following in pairwise(pieces))


@given(HOLES)
def test_a_joined_hole_has_the_cause_of_one_that_it_is_made_of(holes: list[Hole]) -> None:
    for one in joined(holes):
        assert one.cause in {hole.cause for hole in holes if hole.interval.overlaps(one.interval)}


def test_a_joined_hole_has_the_cause_of_the_longer_one() -> None:
    short, long = Hole(raw(1), Interval(0, 3), "absent"), Hole(raw(1), Interval(2, 90), "outage")
    assert joined([short, long]) == [Hole(raw(1), Interval(0, 90), "outage")]


def test_holes_that_touch_become_one_and_those_apart_stay_two() -> None:
    holes = [Hole(raw(1), Interval(*bounds), "absent") for bounds in [(6, 8), (0, 2), (2, 5)]]
    assert intervals(joined(holes)) == [Interval(0, 5), Interval(6, 8)]


def test_punching_keeps_the_cause_of_both_pieces() -> None:
    hole = Hole(raw(1), Interval(0, 10), "moved")
    left = punched([hole], Interval(4, 6))
    assert left == [Hole(raw(1), Interval(0, 4), "moved"), Hole(raw(1), Interval(6, 10), "moved")]
