"""What the source has no more of is declared lost, and what it only left out is not."""

from __future__ import annotations

import pytest

from streamer.model import NS_PER_S, Lane
from tests.unit.ledger.bench import Bench, every_second, group_of, raw


def after_an_outage(first: int | None, *, began: int | None = 0) -> Bench:
    """A signal that was read up to second 100 and is silent up to 400; its samples begin now at ``first``."""
    bench = Bench(group_of(1))
    begins(bench, began)
    bench.live(0, 100, {1: every_second(0, 100)})
    bench.take(bench.ask(97, 400, lane=Lane.CATCH_UP, at=900), {1: every_second(97, 100)})
    assert bench.holes() == [(1, 99, 400, "silent")]
    bench.configure(*bench.groups)
    begins(bench, first)
    return bench


def begins(bench: Bench, first: int | None) -> None:
    bench.ledger.begins({raw(1): None if first is None else first * NS_PER_S})


def lost(bench: Bench, shown: dict[int, float | None], *, start: int = 99) -> list[tuple[int, int]]:
    """What a repair declares lost whose answer shows these samples."""
    applied = bench.apply(bench.ask(start, 400, lane=Lane.REPAIR, at=1000), {1: shown})
    told = [one.hole for one in bench.ledger.tell_gaps(is_due=False) if one.event == "lost"]
    bench.commit()
    assert told == applied.lost
    return [(hole.interval.start_ns // NS_PER_S, hole.interval.end_ns // NS_PER_S) for hole in told]


def test_what_lies_before_the_oldest_sample_that_is_left_is_lost_and_the_rest_is_covered() -> None:
    bench = after_an_outage(300)
    assert lost(bench, every_second(300, 400)) == [(99, 300)]
    assert bench.holes() == []


def test_what_is_shown_after_all_is_not_lost() -> None:
    assert lost(after_an_outage(300), {150: 1.0, 350: 1.0}) == []


@pytest.mark.parametrize("first", [None, 0, 99])
def test_what_the_source_could_still_have_is_covered_by_an_answer_without_it(first: int | None) -> None:
    bench = after_an_outage(first)
    assert lost(bench, {399: 1.0}) == []
    assert bench.holes() == []


def test_what_was_never_there_is_not_lost() -> None:
    bench = Bench(group_of(1))
    begins(bench, 300)
    bench.live(0, 400, {}, at=900)
    assert lost(bench, {399: 1.0}, start=0) == []


def test_an_oldest_sample_from_before_a_restart_is_remembered_with_the_hole() -> None:
    bench = Bench(group_of(1))
    begins(bench, 50)
    bench.live(0, 400, {}, at=900)
    bench.configure(*bench.groups)
    begins(bench, 300)
    assert lost(bench, {399: 1.0}, start=0) == [(50, 300)]


def test_samples_that_are_remembered_prove_that_the_source_had_them() -> None:
    assert lost(after_an_outage(300, began=None), every_second(300, 400)) == [(99, 300)]


def test_a_doubtful_answer_loses_nothing() -> None:
    bench = after_an_outage(300)
    assert lost(bench, {}) == []
    assert bench.holes() == [(1, 99, 400, "silent")]
