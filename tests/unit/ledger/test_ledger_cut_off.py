"""Answers that show a signal and leave out one of its ends."""

from __future__ import annotations

from streamer.model import Lane
from tests.unit.ledger.bench import Bench, every_second, group_of


def steady(end: int = 100) -> Bench:
    """A group of one signal with a sample a second, read up to ``end``."""
    bench = Bench(group_of(1))
    bench.live(0, end, {1: every_second(0, end)})
    return bench


def revisited(bench: Bench, *shown: int) -> list[tuple[int, int, int, str]]:
    """The holes after a revisit of the first 60 s that shows these seconds."""
    bench.take(bench.ask(0, 60, lane=Lane.REVISIT, at=100), {1: dict.fromkeys(shown, 1.0)})
    return bench.holes()


def test_known_samples_after_the_last_one_shown_are_a_hole_from_that_one_on() -> None:
    assert revisited(steady(), *range(41)) == [(1, 40, 60, "absent")]


def test_known_samples_before_the_first_one_shown_are_a_hole_up_to_that_one() -> None:
    assert [hole[:3] for hole in revisited(steady(), *range(40, 60))] == [(1, 0, 40)]


def test_known_samples_on_both_sides_make_all_of_it_a_hole() -> None:
    assert revisited(steady(), *range(20, 40)) == [(1, 0, 60, "absent")]


def test_single_samples_that_vanished_in_between_are_no_hole() -> None:
    assert revisited(steady(), *range(20), *range(30, 60)) == []


def test_what_a_repair_does_not_show_beside_what_it_shows_has_vanished() -> None:
    bench = steady()
    revisited(bench, *range(41))
    applied = bench.take(bench.ask(40, 60, lane=Lane.REPAIR, at=200), {1: {40: 1.0}})
    assert (bench.holes(), applied.vanished) == ([], 0)


def test_an_end_that_is_silent_though_samples_are_due_is_a_hole() -> None:
    bench = steady()
    bench.take(bench.ask(97, 160, lane=Lane.CATCH_UP, at=500), {1: every_second(97, 120)})
    assert bench.holes() == [(1, 119, 160, "silent")]


def test_an_end_as_long_as_samples_take_to_arrive_is_none() -> None:
    bench = steady()
    bench.live(97, 110, {1: every_second(97, 104)})
    assert bench.holes() == []


def test_a_silent_end_that_a_repair_shows_again_is_believed_and_suspected_less() -> None:
    bench = steady()
    bench.take(bench.ask(97, 160, lane=Lane.CATCH_UP, at=500), {1: every_second(97, 120)})
    bench.take(bench.ask(119, 157, lane=Lane.REPAIR, at=510), {1: {119: 1.0}})
    assert bench.holes() == [(1, 157, 160, "silent")]
    bench.take(bench.ask(157, 164, lane=Lane.CATCH_UP, at=520), {})
    assert bench.holes() == [(1, 157, 160, "silent")]


def test_an_end_that_is_older_than_the_overlap_has_no_time_left_to_arrive() -> None:
    for asked_at, holes in ((110, []), (113, [(1, 105, 110, "silent")])):
        bench = steady()
        bench.take(bench.ask(97, 110, at=asked_at), {1: every_second(97, 106)})
        assert bench.holes() == holes


def test_a_beginning_that_is_silent_though_samples_are_due_is_a_hole_up_to_the_first_row() -> None:
    bench = steady()
    bench.take(bench.ask(97, 160, lane=Lane.CATCH_UP, at=500), {1: every_second(97, 100)})
    bench.take(bench.ask(157, 300, lane=Lane.CATCH_UP, at=500), {1: every_second(200, 300)})
    assert [hole[:3] for hole in bench.holes()] == [(1, 99, 200)]


def test_a_beginning_that_is_as_long_as_the_usual_distance_is_none() -> None:
    bench = steady()
    bench.live(97, 110, {1: {97: 1.0, 98: 1.0, 99: 1.0} | every_second(103, 110)})
    assert bench.holes() == []
