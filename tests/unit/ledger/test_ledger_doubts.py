"""Repairs that show nothing of a signal, not even a witness."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from streamer.ledger.ledger import Applied
from streamer.model import NS_PER_S, Lane
from tests.unit.ledger.bench import Bench, every_second, group_of, seconds


def holes_after(*asked_at: int) -> list[tuple[int, int, int, str]]:
    """The holes of a signal of which nothing was ever seen, after repairs at these seconds that show nothing."""
    bench = Bench(group_of(1, 2))
    bench.live(0, 200, {1: every_second(0, 200)}, at=200)
    assert bench.holes() == [(2, 0, 80, "silent")]
    repair(bench, asked_at)
    return bench.holes()


def repair(bench: Bench, asked_at: Iterable[int]) -> None:
    for second in asked_at:
        bench.take(bench.ask(0, 80, lane=Lane.REPAIR, of=[2], at=second), {})


def test_three_such_answers_three_minutes_apart_are_believed() -> None:
    assert holes_after(300, 480) == [(2, 0, 80, "silent")]
    assert holes_after(300, 480, 660) == []


def test_answers_close_together_count_once() -> None:
    assert holes_after(300, 301, 303, 307, 340, 479) == [(2, 0, 80, "silent")]


def test_new_samples_of_the_signal_elsewhere_take_nothing_from_it() -> None:
    bench = Bench(group_of(1, 2))
    bench.live(0, 200, {1: every_second(0, 200)}, at=200)
    repair(bench, [300, 480])
    bench.live(197, 485, {1: every_second(197, 485), 2: every_second(480, 485)}, at=485)
    repair(bench, [660])
    assert (2, 0, 80, "silent") not in bench.holes()


def test_a_restart_in_between_makes_nothing_faster() -> None:
    bench = Bench(group_of(1, 2))
    bench.live(0, 200, {1: every_second(0, 200)}, at=200)
    for second in (300, 310, 320, 330):
        repair(bench, [second])
        bench.configure(*bench.groups)
    assert bench.holes() == [(2, 0, 80, "silent")]


def test_known_samples_that_a_repair_does_not_show_ask_for_a_witness_from_elsewhere() -> None:
    bench = Bench(group_of(1, 2))
    bench.live(0, 100, {1: every_second(0, 100), 2: every_second(0, 100)})
    bench.take(bench.ask(40, 60, lane=Lane.REVISIT, at=110), {1: every_second(40, 60)})
    group, hole = bench.groups[0].id, bench.ledger.holes(bench.groups[0].id)[0]
    assert bench.ledger.witness(group, hole.series, hole.interval) is None
    query = bench.ask(40, 60, lane=Lane.REPAIR, of=[2], at=120)
    bench.take(query, {})
    assert bench.holes() == [(2, 40, 60, "absent")]
    assert bench.ledger.witness(group, hole.series, hole.interval) == 60 * NS_PER_S
    applied = bench.take(replace(query, stretched=seconds(40, 61)), {2: {60: 1.0}})
    assert (bench.holes(), applied.vanished) == ([], 20)


def beside(bench: Bench, *asked: tuple[int, int]) -> list[Applied]:
    """Repairs from and to these seconds that show nothing, each just after a known sample of the signal was shown."""
    return [
        bench.take(bench.ask(start, end, lane=Lane.REPAIR, of=[2], at=300 + number), {}, read=[2])
        for number, (start, end) in enumerate(asked)
    ]


def silent_bench() -> Bench:
    """A signal that was seen for ten seconds, and not for the three minutes that follow."""
    bench = Bench(group_of(1, 2))
    bench.live(0, 10, {1: every_second(0, 10), 2: every_second(0, 10)}, at=10)
    bench.live(7, 200, {1: every_second(7, 200)}, at=200)
    assert bench.holes() == [(2, 7, 200, "absent")]
    return bench


def test_three_such_answers_are_believed_at_once_when_a_known_sample_was_shown_before_each() -> None:
    bench = silent_bench()
    beside(bench, (10, 80), (10, 80))
    assert bench.holes() == [(2, 7, 200, "absent")]
    beside(bench, (10, 80))
    assert bench.holes() == [(2, 7, 10, "absent"), (2, 80, 200, "absent")]


def test_answers_about_different_pieces_do_not_add_up() -> None:
    bench = silent_bench()
    beside(bench, (10, 80), (11, 80), (12, 80))
    assert bench.holes() == [(2, 7, 200, "absent")]


def test_published_samples_that_three_such_answers_do_not_show_have_vanished() -> None:
    bench = silent_bench()
    applied = beside(bench, (7, 80), (7, 80), (7, 80))
    assert [one.vanished for one in applied] == [0, 0, 3]
    assert bench.holes() == [(2, 80, 200, "absent")]
