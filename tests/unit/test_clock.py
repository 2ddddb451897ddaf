"""The service's time: a lower bound that the host's wall clock has no say in."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.clock import DATE_TRUSTED_FOR_NS, DRIFT_PPM, ServiceTime, SystemClock
from streamer.model import NS_PER_MS, NS_PER_S

NOON_NS = 1_768_564_800 * NS_PER_S
"""2026-01-16T12:00:00Z."""


@dataclass
class HandClock:
    """Time passes when a test says so."""

    monotonic: int = 1_000 * NS_PER_S
    wall: int = NOON_NS

    def monotonic_ns(self) -> int:
        return self.monotonic

    def wall_ns(self) -> int:
        return self.wall

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("nothing here sleeps")


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def service_time(clock: HandClock) -> ServiceTime:
    return ServiceTime(clock)


def test_the_services_time_is_unknown_before_its_first_date(service_time: ServiceTime) -> None:
    assert service_time.now_ns() is None


def test_a_date_is_the_bound_at_its_arrival(service_time: ServiceTime) -> None:
    service_time.learn(NOON_NS)
    assert service_time.now_ns() == NOON_NS


def test_the_bound_runs_on_with_the_monotonic_clock_less_the_allowance_for_drift(
    clock: HandClock, service_time: ServiceTime
) -> None:
    service_time.learn(NOON_NS)
    clock.monotonic += 10 * NS_PER_S
    assert service_time.now_ns() == NOON_NS + 10 * NS_PER_S - NS_PER_MS


def test_a_later_date_raises_the_bound(clock: HandClock, service_time: ServiceTime) -> None:
    service_time.learn(NOON_NS)
    clock.monotonic += NS_PER_S
    service_time.learn(NOON_NS + 2 * NS_PER_S)
    assert service_time.now_ns() == NOON_NS + 2 * NS_PER_S


def test_a_date_that_says_less_than_is_known_changes_nothing(clock: HandClock, service_time: ServiceTime) -> None:
    service_time.learn(NOON_NS)
    clock.monotonic += NS_PER_S
    before = service_time.now_ns()
    service_time.learn(NOON_NS - 3600 * NS_PER_S)
    assert service_time.now_ns() == before


def test_the_hosts_wall_clock_does_not_move_the_bound(clock: HandClock, service_time: ServiceTime) -> None:
    service_time.learn(NOON_NS)
    clock.wall += 3600 * NS_PER_S
    assert service_time.now_ns() == NOON_NS


def test_the_time_is_known_five_minutes_after_a_date_and_then_no_more(
    clock: HandClock, service_time: ServiceTime
) -> None:
    service_time.learn(NOON_NS)
    clock.monotonic += DATE_TRUSTED_FOR_NS
    assert service_time.now_ns() is not None
    clock.monotonic += 1
    assert service_time.now_ns() is None


def test_an_old_date_is_a_sign_of_life_too(clock: HandClock, service_time: ServiceTime) -> None:
    service_time.learn(NOON_NS)
    clock.monotonic += DATE_TRUSTED_FOR_NS
    service_time.learn(NOON_NS)
    clock.monotonic += NS_PER_S
    assert service_time.now_ns() is not None


def test_an_unknown_time_is_known_again_with_the_next_date_and_has_not_gone_back(
    clock: HandClock, service_time: ServiceTime
) -> None:
    service_time.learn(NOON_NS)
    clock.monotonic += 2 * DATE_TRUSTED_FOR_NS
    service_time.learn(NOON_NS)
    now_ns = service_time.now_ns()
    assert now_ns is not None
    assert now_ns > NOON_NS + DATE_TRUSTED_FOR_NS


@given(
    drift_ppm=st.integers(-DRIFT_PPM + 1, DRIFT_PPM - 1),
    offset_ns=st.integers(0, NS_PER_S - 1),
    steps=st.lists(st.tuples(st.integers(0, 400 * NS_PER_S), st.integers(0, 5), st.booleans()), max_size=30),
)
def test_the_bound_never_passes_the_true_time_and_never_goes_back(
    drift_ppm: int, offset_ns: int, steps: list[tuple[int, int, bool]]
) -> None:
    clock = HandClock()
    service_time = ServiceTime(clock)
    true_ns, highest_ns = NOON_NS + offset_ns, 0
    for elapsed_ns, old_by_s, has_date in steps:
        true_ns += elapsed_ns
        clock.monotonic += elapsed_ns + elapsed_ns * drift_ppm // 1_000_000
        if has_date:
            service_time.learn((true_ns // NS_PER_S - old_by_s) * NS_PER_S)
        now_ns = service_time.now_ns()
        if now_ns is not None:
            assert highest_ns <= now_ns <= true_ns
            highest_ns = now_ns


def told(clock: HandClock, service_time: ServiceTime, date_ns: int, answers: int, *, each_s: int = 5) -> None:
    """Answers whose Date runs on, some seconds apart."""
    for number in range(answers):
        service_time.learn(date_ns + number * each_s * NS_PER_S)
        clock.monotonic += each_s * NS_PER_S


@pytest.mark.parametrize("absurd_ns", [4_070_908_800 * NS_PER_S, NOON_NS + 3600 * NS_PER_S, 0])
def test_one_absurd_date_moves_nothing(clock: HandClock, service_time: ServiceTime, absurd_ns: int) -> None:
    service_time.learn(NOON_NS)
    service_time.learn(absurd_ns)
    assert service_time.now_ns() == NOON_NS
    service_time.learn(NOON_NS + NS_PER_S)
    assert service_time.now_ns() == NOON_NS + NS_PER_S


def test_an_absurd_date_that_a_proxy_repeats_is_never_believed(clock: HandClock, service_time: ServiceTime) -> None:
    service_time.learn(NOON_NS)
    told(clock, service_time, NOON_NS + 3600 * NS_PER_S, 1)
    for _ in range(20):
        service_time.learn(NOON_NS + 3600 * NS_PER_S)
        clock.monotonic += 5 * NS_PER_S
    now_ns = service_time.now_ns()
    assert now_ns is not None
    assert now_ns <= NOON_NS + 105 * NS_PER_S


def test_an_absurd_date_between_right_ones_is_never_believed(clock: HandClock, service_time: ServiceTime) -> None:
    for number in range(20):
        service_time.learn(NOON_NS + number * 5 * NS_PER_S)
        service_time.learn(NOON_NS + (3600 + number * 5) * NS_PER_S)
        clock.monotonic += 5 * NS_PER_S
    now_ns = service_time.now_ns()
    assert now_ns is not None
    assert now_ns <= NOON_NS + 100 * NS_PER_S


def test_a_jump_ahead_that_answers_agree_on_is_believed(clock: HandClock, service_time: ServiceTime) -> None:
    """As after the host was suspended: its monotonic clock stood still."""
    service_time.learn(NOON_NS)
    told(clock, service_time, NOON_NS + 3600 * NS_PER_S, 2)
    assert (service_time.now_ns() or 0) < NOON_NS + 60 * NS_PER_S
    service_time.learn(NOON_NS + 3610 * NS_PER_S)
    assert service_time.now_ns() == NOON_NS + 3610 * NS_PER_S


def test_a_service_that_steps_back_makes_the_time_unknown_until_it_has_come_up_again(
    clock: HandClock, service_time: ServiceTime
) -> None:
    service_time.learn(NOON_NS)
    told(clock, service_time, NOON_NS - 3600 * NS_PER_S, 4)
    assert service_time.now_ns() is None
    clock.monotonic += 3600 * NS_PER_S
    service_time.learn(NOON_NS + 3560 * NS_PER_S)
    now_ns = service_time.now_ns()
    assert now_ns is not None
    assert now_ns >= NOON_NS + 3560 * NS_PER_S


def test_a_first_date_far_from_the_hosts_clock_waits_for_others_that_agree(
    clock: HandClock, service_time: ServiceTime
) -> None:
    clock.wall = 0
    told(clock, service_time, NOON_NS, 2)
    assert service_time.now_ns() is None
    service_time.learn(NOON_NS + 10 * NS_PER_S)
    assert service_time.now_ns() == NOON_NS + 10 * NS_PER_S


def test_how_far_the_host_is_ahead_is_known_with_the_services_time(clock: HandClock, service_time: ServiceTime) -> None:
    assert service_time.host_ahead_ns() is None
    service_time.learn(NOON_NS)
    clock.wall = NOON_NS + 7 * NS_PER_S
    assert service_time.host_ahead_ns() == 7 * NS_PER_S


async def test_a_sleep_of_the_hosts_clock_is_interrupted_by_cancellation() -> None:
    sleeping = asyncio.create_task(SystemClock().sleep(3600))
    await asyncio.sleep(0)
    sleeping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sleeping


def test_the_hosts_clocks_read_in_whole_nanoseconds() -> None:
    clock = SystemClock()
    assert all(type(reading) is int for reading in (clock.monotonic_ns(), clock.wall_ns()))
    assert clock.wall_ns() > NOON_NS - 365 * 86_400 * NS_PER_S
