"""Where a repair looks for known samples of what is silent: beside the hole, or apart from it when far away."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from streamer.model import NS_PER_S, Hole, Interval, Lane, Query, Series
from streamer.planner.plan import Standing
from tests.unit.planner.makers import group_of, hole_of, place_of, planned, seconds, series_of, standing_of

ONE, TWO, THREE = series_of(group_of().stream, 1, 2, 3)


def repair_of(*holes: Hole, witnesses: Mapping[Series, float], reach: float, chunk: float = 20) -> Query:
    """The repair of some holes of a group whose known samples are at these seconds."""

    def witness(series: Series, interval: Interval) -> int | None:
        at = witnesses.get(series)
        return None if at is None else round(at * NS_PER_S)

    standing: Standing = replace(
        standing_of(place_of(1000), holes=holes, chunk=chunk), witness=witness, reach_ns=round(reach * NS_PER_S)
    )
    repair, *_ = (query for query in planned(standing, 1001) if query.lane is Lane.REPAIR)
    return repair


def test_a_known_sample_within_reach_is_asked_for_with_the_hole() -> None:
    repair = repair_of(hole_of(1, 500, 520), witnesses={ONE: 490}, reach=60)
    assert (repair.window, repair.stretched, repair.apart) == (seconds(500, 520), seconds(490, 520), ())


def test_one_that_is_out_of_reach_is_asked_for_by_itself_when_much_is_missing() -> None:
    repair = repair_of(hole_of(1, 500, 540), witnesses={ONE: 100.5}, reach=60)
    assert (repair.window, repair.stretched) == (seconds(500, 520), None)
    assert repair.apart == (seconds(100.5, 100.501),)


def test_no_more_than_one_question_of_holes_waits_for_three_answers_minutes_apart() -> None:
    assert repair_of(hole_of(1, 500, 520), witnesses={ONE: 100}, reach=60).apart == ()


def test_many_short_holes_are_much() -> None:
    repair = repair_of(hole_of(1, 500, 515), hole_of(1, 600, 615), witnesses={ONE: 100}, reach=60)
    assert len(repair.apart) == 1


def test_known_samples_that_are_close_together_take_one_question() -> None:
    holes = [hole_of(index, 500, 540) for index in (1, 2, 3)]
    repair = repair_of(*holes, witnesses={ONE: 100, TWO: 300, THREE: 110}, reach=60)
    assert [(part.start_ns // NS_PER_S, part.end_ns // NS_PER_S) for part in repair.apart] == [(100, 110), (300, 300)]


def test_what_was_never_seen_has_nothing_to_be_asked_for() -> None:
    repair = repair_of(hole_of(1, 500, 540), witnesses={}, reach=60)
    assert (repair.stretched, repair.apart) == (None, ())


def test_a_known_sample_past_the_bound_of_the_services_time_waits_until_it_is_not() -> None:
    repair = repair_of(hole_of(1, 500, 540), witnesses={ONE: 1001}, reach=1000)
    assert (repair.stretched, repair.apart) == (None, ())
    assert repair_of(hole_of(1, 500, 540), witnesses={ONE: 1000.5}, reach=1000).stretched is not None
