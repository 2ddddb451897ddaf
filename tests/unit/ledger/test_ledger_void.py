"""Answers that are thrown away: what they would move has moved since they were planned."""

from __future__ import annotations

import pytest

from streamer.ledger.ledger import Outcome
from streamer.model import Lane, Query
from tests.unit.ledger.bench import Bench, answer_of, every_second, group_of


def _void(bench: Bench, query: Query) -> bool:
    """Whether an answer to the query is thrown away whole."""
    group_ids = list(bench.ledger.members())
    before = [(bench.ledger.place(one), bench.ledger.holes(one)) for one in group_ids]
    applied = bench.ledger.apply(query, answer_of({index: every_second(0, 500, 9.0) for index in (1, 2, 3)}))
    is_void = applied.outcome is Outcome.VOID
    if is_void:
        assert (applied.runs, applied.opened) == ([], [])
        assert [(bench.ledger.place(one), bench.ledger.holes(one)) for one in group_ids] == before
        assert bench.ledger.changes() == {}
    return is_void


@pytest.mark.parametrize("lane", [Lane.LIVE, Lane.CATCH_UP])
def test_an_answer_is_void_when_the_frontier_has_moved_since(lane: Lane) -> None:
    bench = Bench(group_of(1))
    query = bench.ask(0, 12, lane=lane)
    bench.live(0, 10, {1: every_second(0, 10)})
    assert _void(bench, query)


def test_a_revisit_is_not_void_when_the_frontier_has_moved_since() -> None:
    bench = Bench(group_of(1))
    bench.live(0, 100, {1: every_second(0, 100)})
    query = bench.ask(0, 60, lane=Lane.REVISIT, at=100)
    bench.live(97, 110, {1: every_second(97, 110)})
    assert not _void(bench, query)


@pytest.mark.parametrize("lane", [Lane.LIVE, Lane.REVISIT, Lane.CATCH_UP])
def test_an_answer_is_void_when_its_group_has_changed_since(lane: Lane) -> None:
    bench = Bench(group_of(1, 2))
    query = bench.ask(0, 12, lane=lane)
    bench.configure(group_of(1, 2, 3))
    assert _void(bench, query)


def test_an_answer_is_void_when_its_group_is_no_more() -> None:
    bench = Bench(group_of(1))
    query = bench.ask(0, 12)
    bench.configure(group_of(1, number=4))
    assert _void(bench, query)


def test_an_answer_is_void_when_it_begins_below_the_floor() -> None:
    bench = Bench(group_of(1))
    bench.live(0, 300, {1: every_second(0, 300)})
    assert bench.floor() == 180
    assert _void(bench, bench.ask(179, 290, lane=Lane.REVISIT, at=310))
    assert not _void(bench, bench.ask(180, 290, lane=Lane.REVISIT, at=310))


def test_a_repair_is_void_when_its_hole_is_closed() -> None:
    bench = Bench(group_of(1, 2))
    bench.live(0, 10, {1: every_second(0, 10), 2: every_second(0, 10)})
    bench.live(7, 20, {1: every_second(7, 20)})
    query = bench.ask(7, 17, lane=Lane.REPAIR, of=[2], at=20)
    bench.take(query, {2: every_second(7, 17)})
    assert _void(bench, query)


def test_a_repair_is_void_when_the_hole_of_one_of_its_signals_is_partly_closed() -> None:
    bench = Bench(group_of(1, 2, 3))
    bench.live(0, 10, {index: every_second(0, 10) for index in (1, 2, 3)})
    bench.live(7, 20, {1: every_second(7, 20)})
    query = bench.ask(7, 17, lane=Lane.REPAIR, of=[2, 3], at=20)
    bench.take(bench.ask(16, 17, lane=Lane.REPAIR, of=[3], at=20), {3: every_second(16, 17)})
    assert _void(bench, query)


def test_a_repair_is_void_where_there_never_was_a_hole() -> None:
    bench = Bench(group_of(1))
    bench.live(0, 20, {1: every_second(0, 20)})
    assert _void(bench, bench.ask(5, 10, lane=Lane.REPAIR, at=20))
