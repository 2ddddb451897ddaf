"""When a group is due."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.model import NS_PER_MS, NS_PER_S
from streamer.planner.pace import LONGEST_PAUSE_NS, Pace, phase_ns
from tests.unit.planner.makers import RAW, hole_of, series_of

PHASE_NS = 300 * NS_PER_MS


def pace_of(interval: float = 1, *, now: float = 100) -> Pace:
    return Pace(round(interval * NS_PER_S), PHASE_NS, round(now * NS_PER_S))


def due(pace: Pace) -> float:
    return pace.due_ns / NS_PER_S


def pauses(pace: Pace, refusals: int) -> list[float]:
    """How long each refusal in a row delays the next poll, in seconds."""
    waited = []
    for _ in range(refusals):
        pace.refused(0)
        waited.append(due(pace))
    return waited


def hole_pauses(pace: Pace, times: int) -> list[int]:
    """How many whole seconds each repair in vain keeps a hole from being asked for."""
    hole, waited = hole_of(1, 0, 10), []
    for _ in range(times):
        pace.unrepaired([hole.series], 0)
        waited.append(next(second for second in range(100) if pace.ready([hole], second * NS_PER_S)))
    return waited


@pytest.mark.parametrize("groups", [2, 3, 5, 10, 50, 200])
def test_phases_are_spread_evenly_over_the_interval(groups: int) -> None:
    phases = sorted(phase_ns(number, NS_PER_S) for number in range(groups))
    gaps = [after - before for before, after in zip(phases, [*phases[1:], phases[0] + NS_PER_S], strict=True)]
    assert all(0 <= phase < NS_PER_S for phase in phases)
    assert max(gaps) < 2 * NS_PER_S / groups
    assert min(gaps) > NS_PER_S / groups / 3


@given(st.integers(0, 10_000), st.integers(1, 3600 * NS_PER_S))
def test_a_phase_lies_in_its_interval(number: int, interval_ns: int) -> None:
    assert 0 <= phase_ns(number, interval_ns) < interval_ns


def test_the_first_poll_is_due_at_once() -> None:
    assert due(pace_of(now=100)) == 100


def test_a_poll_makes_the_next_due_at_the_next_point_of_the_grid() -> None:
    pace = pace_of()
    pace.polled(100 * NS_PER_S)
    assert due(pace) == 100.3
    pace.polled(round(100.3 * NS_PER_S))
    assert due(pace) == 101.3


def test_a_late_poll_does_not_shift_the_next_and_missed_ones_are_left_out() -> None:
    pace = pace_of()
    pace.polled(round(104.9 * NS_PER_S))
    assert due(pace) == 105.3


@given(st.integers(1, 10 * NS_PER_S), st.integers(0, 10 * NS_PER_S), st.integers(0, 10**12))
def test_the_next_poll_is_on_the_grid_and_at_most_an_interval_away(
    interval_ns: int, offset_ns: int, now_ns: int
) -> None:
    pace = Pace(interval_ns, offset_ns, 0)
    pace.polled(now_ns)
    assert now_ns < pace.due_ns <= now_ns + interval_ns
    assert (pace.due_ns - offset_ns) % interval_ns == 0


def test_refusals_double_the_pause_up_to_a_minute() -> None:
    assert pauses(pace_of(1), 10) == [1, 2, 4, 8, 16, 32, 60, 60, 60, 60]


def test_a_refusal_pauses_a_fast_group_for_a_second_at_least() -> None:
    assert pauses(pace_of(0.2), 2) == [1, 2]


def test_a_refusal_never_makes_a_slow_group_faster() -> None:
    assert pauses(pace_of(300), 3) == [300, 300, 300]


def test_an_answer_makes_refusals_forgotten() -> None:
    pace = pace_of()
    pauses(pace, 5)
    pace.answered()
    assert pauses(pace, 2) == [1, 2]


def test_a_hole_never_asked_for_is_ready() -> None:
    hole = hole_of(1, 0, 10)
    assert pace_of().ready([hole], 0) == [hole]


def test_repairs_in_vain_double_the_pause_up_to_a_minute() -> None:
    assert hole_pauses(pace_of(), 9) == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_a_repair_makes_the_pause_forgotten() -> None:
    pace = pace_of()
    hole_pauses(pace, 5)
    pace.repaired(series_of(RAW, 1))
    assert pace.ready([hole_of(1, 0, 10)], 0) == [hole_of(1, 0, 10)]
    assert hole_pauses(pace, 1) == [1]


def test_a_series_that_pauses_holds_up_no_other() -> None:
    pace = pace_of()
    pace.unrepaired(series_of(RAW, 1, 2), 0)
    holes = [hole_of(1, 0, 10), hole_of(3, 0, 10), hole_of(2, 5, 6)]
    assert pace.ready(holes, LONGEST_PAUSE_NS - 1) == holes
    assert pace.ready(holes, 0) == [hole_of(3, 0, 10)]
