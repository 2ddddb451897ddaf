"""How a changed configuration takes over the places: nothing is lost, nothing is published twice."""

from __future__ import annotations

from dataclasses import replace

import pytest

from streamer.ledger.ledger import Outcome
from streamer.model import NS_PER_S, Group, Lane
from streamer.planner.groups import arrange
from tests.unit.ledger.bench import DATABASE, STREAM, Bench, Event, events_of, every_second, group_of, raw


def advanced(*groups: Group, until: int = 300) -> Bench:
    """Groups that have all samples of their signals up to an instant."""
    bench = Bench(*groups)
    for number in range(len(groups)):
        advance(bench, until, number=number)
    return bench


def advance(bench: Bench, until: int, *, number: int = 0) -> list[Event]:
    """Ask one group for all samples from its oldest revisit on."""
    start = int(min(bench.revisited(number)))
    indexes = [series.signal.index for series in bench.groups[number].series]
    return bench.live(start, until, {index: every_second(start, until) for index in indexes}, number=number)


def repair(bench: Bench, index: int, *, number: int = 0) -> list[Event]:
    """Ask for every hole of a signal; what is published."""
    published: list[Event] = []
    for one, start, end, _ in bench.holes(number):
        if one == index:
            query = bench.ask(start, end, lane=Lane.REPAIR, of=[index], at=1000, number=number)
            applied = bench.take(query, {index: every_second(start, end)})
            assert applied.outcome is Outcome.COVERED
            published += events_of(applied)
    assert not any(one == index for one, *_ in bench.holes(number))
    return published


def test_an_unchanged_configuration_changes_no_place() -> None:
    bench = advanced(group_of(1, 2), group_of(3, number=1), until=200)
    before = bench.place(0), bench.place(1)
    bench.configure(*bench.groups, start=999)
    assert (bench.place(0), bench.place(1)) == before
    assert bench.holes(0) == bench.holes(1) == []


def test_a_taken_over_ledger_is_signed_even_if_nothing_changed() -> None:
    bench = advanced(group_of(1))
    ledger = bench.restored()
    for _ in range(2):
        ledger.adopt(bench.groups, {raw(1): 0})
        assert ledger.changes() != {}
        assert ledger.changes() == {}


def test_a_new_signal_in_a_known_group_has_a_hole_from_its_start() -> None:
    bench = advanced(group_of(1), until=300)
    bench.configure(group_of(1, 2), start=250)
    assert bench.frontier() == 300
    assert bench.holes() == [(2, 250, 300, "new")]


def test_a_new_signal_that_starts_below_the_floor_is_remembered_from_its_start() -> None:
    bench = advanced(group_of(1), until=300)
    bench.configure(group_of(1, 2), start=10)
    query = bench.ask(10, 60, lane=Lane.REPAIR, of=[2], at=305)
    assert len(events_of(bench.take(query, {2: every_second(10, 40)}, unreadable={2}))) == 30
    assert [event.second for event in repair(bench, 2) if event.second < 60] == list(range(40, 60))


def test_a_new_signal_that_starts_at_the_frontier_has_no_hole() -> None:
    bench = advanced(group_of(1), until=300)
    bench.configure(group_of(1, 2), start=300)
    assert bench.holes() == []


def test_a_new_group_begins_at_its_earliest_start() -> None:
    bench = Bench()
    bench.configure(group_of(1, 2), starts={1: 40, 2: 30})
    assert (bench.frontier(), bench.revisited(), bench.floor(), bench.holes()) == (30, [30, 30], 30, [])


def test_the_known_signals_of_a_group_do_not_notice_a_new_one() -> None:
    bench = advanced(group_of(1), until=300)
    before = bench.place()
    bench.configure(group_of(1, 2), start=0)
    assert bench.place() == before
    assert [event for event in advance(bench, 310) if event.index == 1] == [
        Event(1, second, 1.0, 0, False) for second in range(300, 310)
    ]


def test_a_removed_signal_that_returns_goes_on_where_it_was() -> None:
    bench = advanced(group_of(1, 2), until=300)
    bench.configure(group_of(1), start=999)
    advance(bench, 400)
    bench.configure(group_of(1, 2), start=999)
    assert bench.holes() == [(2, 180, 400, "moved")]
    assert [event.second for event in repair(bench, 2)] == list(range(300, 400))


def test_a_signal_removed_twice_is_still_known() -> None:
    bench = advanced(group_of(1, 2, 3), until=300)
    bench.configure(group_of(1, 2))
    bench.configure(group_of(1))
    advance(bench, 400)
    bench.configure(group_of(1, 2, 3), start=999)
    assert bench.holes() == [(2, 180, 400, "moved"), (3, 180, 400, "moved")]


def test_a_removed_group_that_returns_has_its_old_place() -> None:
    bench = advanced(group_of(1), group_of(2, number=1), until=300)
    before = bench.place(1)
    bench.configure(group_of(1))
    advance(bench, 400)
    bench.configure(group_of(1), group_of(2, number=1), start=999)
    assert (bench.place(1), bench.holes(1)) == (before, [])
    assert [event.second for event in advance(bench, 305, number=1)] == list(range(300, 305))


def test_a_signal_that_moves_ahead_has_a_hole_from_the_floor_of_its_old_place() -> None:
    bench = advanced(group_of(1, 2), group_of(3, number=1), until=200)
    advance(bench, 300, number=1)
    bench.configure(group_of(1), group_of(3, 2, number=1))
    assert (bench.frontier(0), bench.frontier(1)) == (200, 300)
    assert bench.holes(1) == [(2, 80, 300, "moved")]
    assert [event.second for event in repair(bench, 2, number=1)] == list(range(200, 300))


def test_a_group_takes_the_furthest_place_of_those_its_signals_come_from() -> None:
    bench = advanced(group_of(1), group_of(2, number=1), until=200)
    advance(bench, 300, number=1)
    bench.configure(group_of(1, 2, number=2))
    assert (bench.frontier(), bench.revisited(), bench.floor()) == (300, [285, 180], 180)
    assert bench.holes() == [(1, 80, 300, "moved")]
    assert list(bench.ledger.members()) == ["all/raw/2"]


def test_a_group_is_remembered_as_far_back_as_all_of_its_signals_are() -> None:
    bench = advanced(group_of(1), group_of(2, number=1), until=200)
    advance(bench, 300, number=1)
    ledger, group = bench.restored(), group_of(1, 2, number=2)
    ledger.adopt([group], {})
    assert ledger.place(group.id).floor_ns == 180 * NS_PER_S


def test_a_signal_that_moved_is_stored_in_its_new_group_only() -> None:
    bench = advanced(group_of(1, 2))
    bench.configure(group_of(1, number=5))
    assert bench.restored().members() == {"all/raw/0": ("7:2:raw",), "all/raw/5": ("7:1:raw",)}


def test_a_signal_that_moves_between_equal_places_has_no_hole_and_is_not_published_again() -> None:
    bench = advanced(group_of(1, 2), group_of(3, number=1), until=200)
    bench.configure(group_of(1), group_of(3, 2, number=1))
    assert bench.holes(1) == []
    assert [event.second for event in advance(bench, 201, number=1)] == [200, 200]


def test_a_signal_that_moves_to_a_place_further_revisited_has_a_hole() -> None:
    bench = Bench(group_of(1), group_of(2, number=1))
    for number in (0, 1):
        advance(bench, 100, number=number)
        advance(bench, 200, number=number)
    bench.take(bench.ask(80, 150, lane=Lane.REVISIT, at=260, number=1), {2: every_second(80, 150)})
    bench.configure(group_of(1, 2))
    assert bench.revisited() == [185, 140]
    assert bench.holes() == [(1, 80, 200, "moved")]


def test_the_holes_of_a_signal_move_with_it() -> None:
    bench = advanced(group_of(1, 2), group_of(3, number=1), until=200)
    bench.take(bench.ask(120, 150, lane=Lane.REVISIT, at=200), {1: every_second(120, 150)})
    bench.configure(group_of(1), group_of(3, 2, number=1))
    assert (bench.holes(0), bench.holes(1)) == ([], [(2, 120, 150, "absent")])


def test_two_signals_that_change_places_are_both_kept() -> None:
    bench = advanced(group_of(1, 2), group_of(3, 4, number=1), until=200)
    advance(bench, 300, number=1)
    bench.configure(group_of(1, 3), group_of(2, 4, number=1))
    assert bench.holes(0) == [(1, 80, 300, "moved")]
    assert bench.holes(1) == [(2, 80, 300, "moved")]


def test_a_longer_last_age_begins_at_the_floor() -> None:
    bench = advanced(group_of(1), until=300)
    longer = replace(STREAM, lookback_ns=(*STREAM.lookback_ns, 600 * NS_PER_S))
    bench.configure(group_of(1, stream=longer))
    assert (bench.frontier(), bench.revisited(), bench.floor(), bench.holes()) == (300, [285, 180, 180], 180, [])


def test_a_shorter_last_age_has_what_the_longer_one_had_at_least() -> None:
    bench = advanced(group_of(1), until=300)
    shorter = replace(STREAM, lookback_ns=(60 * NS_PER_S,))
    bench.configure(group_of(1, stream=shorter))
    assert (bench.frontier(), bench.revisited(), bench.holes()) == (300, [180], [])


def test_a_longer_overlap_does_not_reach_below_the_floor() -> None:
    bench = advanced(group_of(1), until=300)
    longer = replace(STREAM, overlap_ns=200 * NS_PER_S)
    bench.configure(group_of(1, stream=longer))
    bench.live(180, 310, {1: every_second(180, 310)})
    assert bench.floor() == 180


@pytest.mark.parametrize("sizes", [(1, 4), (4, 1), (4, 3, 2, 4), (2, 3)])
def test_another_group_size_loses_and_doubles_nothing(sizes: tuple[int, ...]) -> None:
    bench = Bench()
    published: list[tuple[int, int]] = []
    for round_, size in enumerate(sizes, start=1):
        stream = replace(STREAM, group_size=size)
        series = [raw(index) for index in (1, 2, 3, 4)]
        bench.configure(*arrange(stream, DATABASE, 0, series, bench.ledger.members()))
        for number, group in enumerate(bench.groups):
            events = [
                event for one in group.series for event in repair(bench, one.signal.index, number=number)
            ] + advance(bench, 100 * round_ + 10 * number, number=number)
            published += [(event.index, event.second) for event in events]
    assert len(published) == len(set(published))
    for group in bench.groups:
        end = bench.ledger.place(group.id).frontier_ns // NS_PER_S
        for one in group.series:
            assert {second for index, second in published if index == one.signal.index} == set(range(end))


def test_a_moved_signal_keeps_its_newest_sample() -> None:
    bench = Bench(group_of(1), group_of(2, number=1))
    for number, index in enumerate((1, 2)):
        bench.live(0, 10, {index: every_second(0, 10)}, number=number)
        bench.live(0, 500, {index: every_second(0, 10)}, number=number)
    assert bench.ledger.entries == 2
    bench.configure(group_of(1, 2))
    assert bench.ledger.entries == 2
    assert bench.restored().entries == 2
