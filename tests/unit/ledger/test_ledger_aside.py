"""What a query that asks for a part of its group leaves behind."""

from __future__ import annotations

from dataclasses import replace

from streamer.model import Lane
from tests.unit.ledger.bench import Bench, Event, events_of, every_second, group_of


def live_of(
    bench: Bench, start: int, end: int, *indexes: int, bad: tuple[int, ...] = ()
) -> list[tuple[int, int, int, str]]:
    """The holes after a live query for a part of the group that is answered whole."""
    query = bench.ask(start, end, of=indexes)
    quarantined = frozenset(one for one in query.group.series if one.signal.index in bad)
    query = replace(query, quarantined=quarantined)
    bench.take(query, {index: every_second(start, end) for index in indexes})
    return bench.holes()


def test_a_series_that_is_not_asked_for_has_a_hole_over_the_whole_query_and_the_frontier_moves() -> None:
    bench = Bench(group_of(1, 2))
    bench.live(0, 10, {1: every_second(0, 10), 2: every_second(0, 10)})
    assert live_of(bench, 7, 20, 1) == [(2, 7, 20, "aside")]
    assert bench.frontier() == 20


def test_the_hole_grows_with_the_frontier() -> None:
    bench = Bench(group_of(1, 2))
    live_of(bench, 0, 10, 1)
    assert live_of(bench, 7, 20, 1) == [(2, 0, 20, "aside")]


def test_all_of_the_hole_of_a_series_that_is_found_to_be_bad_says_so() -> None:
    bench = Bench(group_of(1, 2))
    live_of(bench, 0, 10, 1)
    assert live_of(bench, 7, 25, 1, bad=(2,)) == [(2, 0, 25, "quarantined")]
    bench.configure(*bench.groups)
    assert bench.holes() == [(2, 0, 25, "quarantined")]


def test_a_revisit_leaves_a_hole_where_it_asked_and_a_repair_leaves_none() -> None:
    bench = Bench(group_of(1, 2))
    bench.live(0, 100, {1: every_second(0, 100), 2: every_second(0, 100)})
    bench.take(bench.ask(0, 60, lane=Lane.REVISIT, at=100, of=[1]), {1: every_second(0, 60)})
    assert bench.holes() == [(2, 0, 60, "aside")]
    bench.take(bench.ask(0, 30, lane=Lane.REPAIR, at=300, of=[2]), {2: every_second(0, 30)})
    assert bench.holes() == [(2, 30, 60, "aside")]


def test_a_series_that_returns_has_every_sample_once() -> None:
    bench = Bench(group_of(1, 2))
    live_of(bench, 0, 10, 1)
    live_of(bench, 7, 20, 1)
    whole = bench.live(17, 30, {1: every_second(17, 30), 2: every_second(17, 30)})
    on_time = [Event(2, second, 1.0, 0, False) for second in range(17, 30)]
    assert [event for event in whole if event.index == 2] == on_time
    repaired = bench.take(bench.ask(0, 17, lane=Lane.REPAIR, of=[2], at=30), {2: every_second(0, 17)})
    assert events_of(repaired) == [Event(2, second, 1.0, 0, True) for second in range(17)]
    assert bench.holes() == []
