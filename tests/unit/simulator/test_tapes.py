"""Tapes: pure functions of time, without a seam."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.model import NS_PER_S
from streamer.simulator.tapes import LoopTape, Sample, SyntheticTape, Tape

NOW_NS = 1_768_557_600 * NS_PER_S
LOOP = LoopTape([0, 300, 400, 900], [1, 2.5, 3, 4], 1_000)
SYNTHETIC = SyntheticTape(1001, 5.0)

starts = st.integers(0, 3_000)
lengths = st.integers(0, 5_000)


@pytest.mark.parametrize(("tape", "unit_ns"), [(LOOP, 1), (SYNTHETIC, 10**7)])
@given(start=starts, first=lengths, second=lengths)
def test_two_halves_of_a_range_give_the_whole(tape: Tape, unit_ns: int, start: int, first: int, second: int) -> None:
    start_ns, middle_ns, end_ns = (NOW_NS + unit_ns * at for at in (start, start + first, start + first + second))
    halves = tape.samples(start_ns, middle_ns) + tape.samples(middle_ns, end_ns)
    assert halves == tape.samples(start_ns, end_ns)


@given(start=starts, length=lengths)
def test_samples_ascend_inside_of_the_range(start: int, length: int) -> None:
    instants = [instant for instant, _ in LOOP.samples(start, start + length)]
    assert instants == sorted(set(instants))
    assert all(start <= instant < start + length for instant in instants)


def test_a_range_includes_its_start_and_not_its_end() -> None:
    assert LOOP.samples(1_300, 1_400) == [Sample(1_300, 2.5)]


def test_loops_are_anchored_to_the_epoch() -> None:
    assert LOOP.samples(5_000, 5_301) == [Sample(5_000, 1), Sample(5_300, 2.5)]


def test_a_range_may_span_many_loops() -> None:
    assert len(LOOP.samples(0, 10_000)) == 40


def test_a_loop_without_samples_is_silent() -> None:
    assert LoopTape([], [], 1_000).samples(0, 10_000) == []


def test_synthetic_samples_come_at_their_rate() -> None:
    samples = SYNTHETIC.samples(NOW_NS, NOW_NS + NS_PER_S)
    assert [instant_ns - NOW_NS for instant_ns, _ in samples] == [0, 2 * 10**8, 4 * 10**8, 6 * 10**8, 8 * 10**8]


def test_synthetic_signals_share_no_value() -> None:
    values = [{value for _, value in SyntheticTape(index, 5.0).samples(0, 20_000 * NS_PER_S)} for index in (1001, 1002)]
    assert not values[0] & values[1]


def test_neighbouring_synthetic_samples_differ() -> None:
    values = [value for _, value in SYNTHETIC.samples(NOW_NS, NOW_NS + 3_600 * NS_PER_S)]
    assert len(set(values)) == len(values) == 18_000


def test_synthetic_values_lie_within_what_the_signal_claims() -> None:
    values = [value for _, value in SYNTHETIC.samples(0, 20_000 * NS_PER_S)]
    assert (min(values), max(values)) == (SYNTHETIC.minimum, SYNTHETIC.maximum)


@pytest.mark.parametrize("rate_hz", [3.0, 7.0, 30.0, 59.94])
def test_instants_of_any_rate_can_be_written(rate_hz: float) -> None:
    assert {instant_ns % 100 for instant_ns, _ in SyntheticTape(1, rate_hz).samples(0, 10 * NS_PER_S)} == {0}
