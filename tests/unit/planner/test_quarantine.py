"""Which series are asked for together when one of them spoils the answer."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamer.model import NS_PER_S, Group, Hole, Lane, Query, Series
from streamer.planner.quarantine import ALIKE_ALONE, Quarantine, divided
from tests.unit.planner.makers import RAW, group_of, place_of, seconds

FRONTIER = 1000
WINDOW = seconds(990, 1000)


class Table:
    """A group whose answers are spoilt by some of its series, asked as a desk asks."""

    def __init__(
        self, size: int = 20, bad: Collection[int] = (), kind: str = "500", holes: Sequence[Hole] = ()
    ) -> None:
        self.group: Group = group_of(RAW, *range(1, size + 1))
        self.bad = set(bad)
        self.kind = kind
        self.now_ns = 0
        self.holes: dict[Series, Hole] = {hole.series: hole for hole in holes}
        self.quarantine = Quarantine(self.group.series, holes, FRONTIER * NS_PER_S, 0)
        self.failures = 0

    def query(self, lane: Lane, series: Sequence[Series]) -> Query:
        return Query(self.group, lane, tuple(series), WINDOW, 0, place_of(FRONTIER))

    def ask(self, lane: Lane = Lane.LIVE, *, is_well: bool = True) -> bool:
        """Ask for what is asked together; whether it was answered."""
        return self.put(self.query(lane, self.quarantine.together(lane)), is_well=is_well)

    def repair(self) -> list[int]:
        """Repair what may be repaired; what was asked for, nothing when there was nothing to do."""
        holes, _ = self.quarantine.repairable(self.holes.values(), FRONTIER * NS_PER_S, self.now_ns)
        asked = [hole.series for hole in holes]
        if asked:
            self.put(self.query(Lane.REPAIR, asked))
        return indexes(asked)

    def put(self, query: Query, *, is_well: bool = True) -> bool:
        self.now_ns += NS_PER_S
        self.quarantine.begun(query)
        if self.bad.isdisjoint(indexes(query.series)):
            self.quarantine.answered(query)
            for series in query.series:
                self.holes.pop(series, None)
            if query.lane is not Lane.REPAIR:
                left_out = set(self.group.series).difference(query.series)
                self.holes.update({series: Hole(series, WINDOW, "aside") for series in left_out})
            return True
        self.failures += 1
        answered_ns = self.now_ns if is_well else 0
        self.quarantine.failed(query, self.kind, is_least=False, answered_ns=answered_ns, now_ns=self.now_ns)
        return False

    def settle(self, rounds: int = 40) -> None:
        for _ in range(rounds):
            self.ask()
            self.repair()

    def live(self) -> list[int]:
        return indexes(self.quarantine.together(Lane.LIVE))


def indexes(series: Collection[Series]) -> list[int]:
    return sorted(one.signal.index for one in series)


def test_all_series_are_asked_for_together_while_nothing_fails() -> None:
    table = Table(5)
    assert (table.live(), table.ask()) == ([1, 2, 3, 4, 5], True)


def test_one_failure_divides_nothing() -> None:
    table = Table(20, bad={7})
    table.ask()
    assert table.live() == list(range(1, 21))


def test_after_two_failures_alike_a_part_is_asked_for() -> None:
    table = Table(20, bad={7})
    table.ask()
    table.ask()
    assert table.live() == [1, 2, 3, 4, 5]


def test_failures_that_differ_divide_nothing() -> None:
    table = Table(20, bad={7})
    for table.kind in ("500", "400", "500", "400"):
        table.ask()
    assert table.live() == list(range(1, 21))


@pytest.mark.parametrize("kind", ["401", "403", "429", "503", "504", "timeout", "unreachable", "oversize"])
def test_what_is_not_about_the_series_never_divides_them(kind: str) -> None:
    table = Table(20, bad={7}, kind=kind)
    for _ in range(20):
        table.ask()
    assert table.live() == list(range(1, 21))


def test_a_window_that_cannot_be_narrower_is_divided_by_series() -> None:
    table = Table(4)
    query = table.query(Lane.LIVE, table.group.series)
    for _ in range(2):
        table.quarantine.failed(query, "504", is_least=True, answered_ns=10, now_ns=5)
    assert table.live() == [1]


def test_while_nothing_else_is_answered_more_failures_are_waited_for() -> None:
    table = Table(20, bad={7})
    for _ in range(ALIKE_ALONE - 1):
        table.ask(is_well=False)
        assert table.live() == list(range(1, 21))
    table.ask(is_well=False)
    assert table.live() == [1, 2, 3, 4, 5]


def test_when_every_series_fails_they_are_asked_for_together_again() -> None:
    table = Table(3, bad={1, 2, 3})
    sizes = []
    for _ in range(10):
        sizes.append(len(table.live()))
        table.ask()
    assert sizes == [3, 3, 1, 1, 1, 3, 3, 1, 1, 1]


def test_one_bad_series_of_twenty_is_found_and_all_others_are_asked_for_again() -> None:
    table = Table(20, bad={7})
    table.settle()
    assert table.live() == [index for index in range(1, 21) if index != 7]
    assert indexes(table.quarantine.quarantined) == [7]
    assert table.failures <= 6


def test_the_part_that_is_answered_first_goes_on_at_once() -> None:
    table = Table(20, bad={2})
    for _ in range(4):
        table.ask()
    assert table.live() == [6, 7, 8, 9, 10]


@settings(deadline=None)
@given(st.integers(1, 20), st.sets(st.integers(1, 20), max_size=5))
def test_whichever_are_bad_just_these_are_quarantined(size: int, drawn: set[int]) -> None:
    bad = {index for index in drawn if index <= size}
    table = Table(size, bad=bad)
    table.settle(120)
    if len(bad) < size:
        assert table.live() == [index for index in range(1, size + 1) if index not in bad]
        assert set(indexes(table.quarantine.quarantined)) == bad
    table.bad.clear()
    table.now_ns += 7200 * NS_PER_S
    table.settle(120)
    assert table.live() == list(range(1, size + 1))
    assert not table.holes


def test_a_quarantined_series_is_probed_after_a_minute_and_then_less_and_less() -> None:
    table = Table(4, bad={1})
    table.settle()
    probes = []
    for second in range(4 * 3600):
        table.now_ns = second * NS_PER_S
        if table.repair() == [1]:
            probes.append(second)
    pauses = [later - earlier for earlier, later in pairwise(probes)]
    assert [round(pause / 60) for pause in pauses][:6] == [2, 4, 8, 16, 32, 60]


def test_a_quarantined_series_that_answers_goes_back_to_the_others() -> None:
    table = Table(4, bad={1})
    table.settle()
    table.bad.clear()
    table.now_ns += 3600 * NS_PER_S
    assert table.repair() == [1]
    assert table.live() == [1, 2, 3, 4]
    assert table.quarantine.quarantined == frozenset()


def test_holes_of_healthy_series_are_repaired_in_turn_with_suspects() -> None:
    suspects = [Hole(one, WINDOW, "aside") for one in group_of(RAW, 1, 2, 3).series[:2]]
    table = Table(3, bad={1, 2}, holes=suspects)
    table.holes[table.group.series[2]] = Hole(table.group.series[2], WINDOW, "absent")
    assert [table.repair() for _ in range(3)] == [[1, 2], [3], [1]]


def test_a_bad_piece_of_the_past_rests_and_its_series_is_read_on() -> None:
    table = Table(4)
    table.holes = {one: Hole(one, WINDOW, "absent") for one in table.group.series}
    table.bad = {2}
    for _ in range(20):
        table.repair()
    assert list(table.holes) == [table.group.series[1]]
    assert indexes(table.quarantine.resting) == [2]
    assert table.live() == [1, 2, 3, 4]


def test_what_was_aside_when_the_ledger_was_stored_is_aside_again() -> None:
    one, two, three = group_of(RAW, 1, 2, 3).series
    reaching, behind = WINDOW, seconds(980, 985)
    holes = [Hole(one, reaching, "aside"), Hole(two, reaching, "quarantined"), Hole(three, behind, "quarantined")]
    table = Table(3, holes=holes)
    assert (table.live(), indexes(table.quarantine.quarantined)) == ([3], [2])
    assert table.repair() == [2]
    assert table.live() == [2, 3]


def test_two_lanes_that_are_divided_at_once_never_put_all_aside() -> None:
    table = Table(2, bad={1, 2})
    for lane in (Lane.LIVE, Lane.REVISIT):
        for _ in range(2):
            table.ask(lane)
    table.quarantine.failed(
        table.query(Lane.REVISIT, table.group.series[:1]), "500", is_least=False, answered_ns=9, now_ns=9
    )
    table.bad = set()
    in_flight = [table.query(lane, table.quarantine.together(lane)) for lane in (Lane.LIVE, Lane.REVISIT)]
    assert [indexes(query.series) for query in in_flight] == [[1], [2]]
    for query in in_flight:
        table.put(query)
    assert table.live() == [2]


def test_a_group_of_which_all_are_aside_asks_for_all() -> None:
    holes = [Hole(one, WINDOW, "aside") for one in group_of(RAW, 1, 2).series]
    assert Table(2, holes=holes).live() == [1, 2]


@given(st.lists(st.integers(), min_size=1, max_size=50, unique=True))
def test_parts_are_all_of_the_series_once_each_and_smaller(numbers: list[int]) -> None:
    series = group_of(RAW, *numbers).series
    parts = divided(series)
    assert [one for part in parts for one in part] == list(series)
    assert len(series) == 1 or max(map(len, parts)) < len(series)
