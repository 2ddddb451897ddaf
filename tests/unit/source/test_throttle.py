"""One budget for all: permits are waited for, given out, and taken back."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random

import pytest

from streamer.model import Lane
from streamer.source.throttle import Permit, Throttle, jittered_backoff_s
from tests.unit.source.fakes import VirtualClock, settle


@asynccontextmanager
async def permit(throttle: Throttle, lane: Lane) -> AsyncIterator[Permit]:
    one = await throttle.acquire(lane)
    try:
        yield one
    finally:
        throttle.release(one)


async def hold_for(throttle: Throttle, clock: VirtualClock, lane: Lane, order: list[Lane], seconds: float = 1) -> None:
    async with permit(throttle, lane):
        order.append(lane)
        await clock.sleep(seconds)


def asking(throttle: Throttle, clock: VirtualClock, count: int, seconds: float = 1) -> list[asyncio.Task[None]]:
    """So many live requests that take so long each."""
    return [asyncio.create_task(hold_for(throttle, clock, Lane.LIVE, [], seconds)) for _ in range(count)]


async def test_never_more_than_four_are_in_flight() -> None:
    clock = VirtualClock()
    throttle = Throttle(clock, Random(1))
    most = 0

    async def ask() -> None:
        nonlocal most
        async with permit(throttle, Lane.LIVE):
            most = max(most, throttle.in_flight)
            await clock.sleep(0.01)

    async def ask_all() -> None:
        await asyncio.gather(*(ask() for _ in range(100)))

    await clock.run(ask_all())
    assert most == 4
    assert throttle.in_flight == 0


async def test_the_better_lane_goes_first_and_in_a_lane_the_first_comer() -> None:
    clock = VirtualClock()
    throttle = Throttle(clock, Random(1), max_in_flight=1)
    order: list[tuple[Lane, int]] = []

    async def ask(lane: Lane, number: int) -> None:
        async with permit(throttle, lane):
            order.append((lane, number))
            await clock.sleep(1)

    async def ask_all() -> None:
        lanes = [Lane.BACKFILL, Lane.REPAIR, Lane.REVISIT, Lane.LIVE, Lane.LIVE]
        await asyncio.gather(*(ask(lane, number) for number, lane in enumerate(lanes)))

    await clock.run(ask_all())
    assert order == [(Lane.BACKFILL, 0), (Lane.LIVE, 3), (Lane.LIVE, 4), (Lane.REVISIT, 2), (Lane.REPAIR, 1)]


async def test_every_lane_has_its_share_under_load() -> None:
    clock = VirtualClock()
    throttle = Throttle(clock, Random(1), max_in_flight=1)
    order: list[Lane] = []
    askers = [
        asyncio.create_task(hold_for(throttle, clock, lane, order)) for _ in range(1_000) for lane in reversed(Lane)
    ]
    await clock.advance(999)
    for asker in askers:
        asker.cancel()
    await asyncio.wait(askers)
    shares = Counter(order)
    expected = {Lane.LIVE: 500, Lane.REVISIT: 200, Lane.REPAIR: 150, Lane.CATCH_UP: 100, Lane.BACKFILL: 50}
    assert all(abs(shares[lane] - count) <= 10 for lane, count in expected.items()), shares
    assert throttle.in_flight == 0


async def test_retry_after_closes_the_gate_for_every_lane() -> None:
    clock = VirtualClock()
    throttle = Throttle(clock, Random(1))
    order: list[Lane] = []
    async with permit(throttle, Lane.LIVE) as refused:
        throttle.overloaded(refused, 7)
    askers = [asyncio.create_task(hold_for(throttle, clock, lane, order)) for lane in Lane]
    await clock.advance(6.9)
    assert order == []
    assert throttle.held_for_s == pytest.approx(0.1)
    assert throttle.waiting[Lane.LIVE] == 1
    await clock.advance(0.2)
    assert len(order) == 2
    await clock.advance(10)
    await asyncio.gather(*askers)


async def test_a_shorter_retry_after_does_not_open_the_gate_early() -> None:
    clock = VirtualClock()
    throttle = Throttle(clock, Random(1))
    first, second = await throttle.acquire(Lane.LIVE), await throttle.acquire(Lane.LIVE)
    throttle.refused(first, 90)
    throttle.refused(second, 1)
    assert throttle.held_for_s == 90


async def test_while_the_source_is_unreachable_one_probe_passes() -> None:
    clock = VirtualClock()
    throttle = Throttle(clock, Random(1))
    async with permit(throttle, Lane.LIVE) as unanswered:
        throttle.lost(unanswered)
    assert not throttle.is_reachable
    probing = asyncio.create_task(throttle.acquire(Lane.LIVE))
    await settle()
    assert not probing.done()
    askers = asking(throttle, clock, 8, 5)
    await clock.advance(1)
    assert (throttle.in_flight, throttle.limit) == (1, 1)
    throttle.succeeded(await probing)
    await settle()
    assert throttle.is_reachable
    assert throttle.in_flight == 4
    throttle.release(await probing)
    await clock.advance(20)
    await asyncio.gather(*askers)


async def test_what_was_on_its_way_when_the_source_was_lost_does_not_open_the_gate() -> None:
    clock = VirtualClock()
    throttle = Throttle(clock, Random(1))
    lost, answered = await throttle.acquire(Lane.LIVE), await throttle.acquire(Lane.LIVE)
    throttle.lost(lost)
    throttle.succeeded(answered)
    assert throttle.held_for_s > 0


async def test_failures_that_come_together_count_once() -> None:
    clock = VirtualClock()
    throttle = Throttle(clock, Random(1))
    for one in [await throttle.acquire(Lane.LIVE) for _ in range(4)]:
        throttle.lost(one)
    assert throttle.held_for_s <= 1.0


async def test_the_gate_closes_for_longer_with_each_failure_up_to_a_minute() -> None:
    clock = VirtualClock()
    throttle = Throttle(clock, Random(1))
    pauses = []
    for _ in range(40):
        async with permit(throttle, Lane.LIVE) as unanswered:
            throttle.lost(unanswered)
        pauses.append(throttle.held_for_s)
        await clock.advance(throttle.held_for_s + 0.001)
    assert all(0.5 <= pause <= 60 for pause in pauses)
    assert pauses[0] <= 1.0
    assert max(pauses) > 40


async def test_a_refusal_that_names_no_time_closes_the_gate_with_jitter() -> None:
    clock = VirtualClock()
    throttle = Throttle(clock, Random(1))
    throttle.refused(await throttle.acquire(Lane.LIVE), None)
    assert 0.5 <= throttle.held_for_s <= 1.0
    assert throttle.is_reachable


async def test_refusals_that_come_together_halve_once_and_slow_down_once() -> None:
    clock = VirtualClock()
    throttle = Throttle(clock, Random(1))
    assert throttle.rate is None
    for one in [await throttle.acquire(Lane.LIVE) for _ in range(4)]:
        throttle.refused(one, 2)
    assert throttle.limit == 2
    assert throttle.rate == 9


async def test_too_much_to_do_halves_and_does_not_slow_down() -> None:
    throttle = Throttle(VirtualClock(), Random(1))
    throttle.overloaded(await throttle.acquire(Lane.LIVE), 2)
    assert (throttle.limit, throttle.rate) == (2, None)


async def test_a_share_scales_the_limit_and_the_rate_while_it_runs() -> None:
    clock = VirtualClock()
    throttle = Throttle(clock, Random(1), max_rate=8)
    throttle.take_share(0.5)
    assert (throttle.limit, throttle.rate, throttle.share) == (2, 4, 0.5)
    askers = asking(throttle, clock, 4, 100)
    await clock.advance(1)
    assert throttle.in_flight == 2
    throttle.take_share(1)
    await clock.advance(1)
    assert throttle.in_flight == 4
    await clock.advance(200)
    await asyncio.gather(*askers)


async def test_who_has_no_share_asks_all_the_same_but_rarely() -> None:
    clock = VirtualClock()
    throttle = Throttle(clock, Random(1))
    throttle.take_share(0)
    askers = asking(throttle, clock, 2, 1)
    await clock.advance(24)
    assert throttle.waiting[Lane.LIVE] == 1
    await clock.advance(1.5)
    assert throttle.in_flight == 1
    await clock.advance(2)
    await asyncio.gather(*askers)


async def test_a_share_below_one_request_in_flight_rests_in_between() -> None:
    clock = VirtualClock()
    throttle = Throttle(clock, Random(1))
    throttle.take_share(1 / 16)
    order: list[Lane] = []
    askers = [asyncio.create_task(hold_for(throttle, clock, Lane.LIVE, order, 1)) for _ in range(10)]
    await clock.advance(39.5)
    assert len(order) == 10  # one second in four
    await clock.advance(5)
    await asyncio.gather(*askers)


def test_the_backoff_survives_any_number_of_failures() -> None:
    assert 0.5 <= jittered_backoff_s(10**9, Random(1)) <= 60


async def test_starts_are_paced_by_the_rate() -> None:
    clock = VirtualClock()
    throttle = Throttle(clock, Random(1), max_rate=2)
    order: list[Lane] = []
    askers = [asyncio.create_task(hold_for(throttle, clock, Lane.LIVE, order, 0.1)) for _ in range(10)]
    await clock.advance(2.1)
    assert len(order) == 5  # at 0, 0.5, 1, 1.5 and 2 s
    await clock.advance(10)
    await asyncio.gather(*askers)


async def test_a_cancelled_waiter_gives_its_place_back() -> None:
    clock = VirtualClock()
    throttle = Throttle(clock, Random(1), max_in_flight=1)
    order: list[Lane] = []
    holder = asyncio.create_task(hold_for(throttle, clock, Lane.LIVE, order))
    waiter = asyncio.create_task(hold_for(throttle, clock, Lane.LIVE, order))
    last = asyncio.create_task(hold_for(throttle, clock, Lane.BACKFILL, order))
    await settle()
    waiter.cancel()
    await settle()
    assert throttle.waiting[Lane.LIVE] == 0
    await clock.advance(2)
    await asyncio.gather(holder, last)
    assert order == [Lane.LIVE, Lane.BACKFILL]


async def test_a_waiter_cancelled_in_the_moment_of_its_grant_gives_the_permit_back() -> None:
    clock = VirtualClock()
    throttle = Throttle(clock, Random(1), max_in_flight=1)
    order: list[Lane] = []
    first, second = (asyncio.create_task(hold_for(throttle, clock, Lane.LIVE, order)) for _ in range(2))
    await settle()
    first.cancel()
    await asyncio.sleep(0)  # the first lets go and the second is granted, but has not run
    second.cancel()
    await settle()
    assert throttle.in_flight == 0
    async with permit(throttle, Lane.LIVE):
        assert throttle.in_flight == 1


async def test_waiters_cancelled_together_with_the_holder_leave_nothing_behind() -> None:
    clock = VirtualClock()
    throttle = Throttle(clock, Random(1), max_in_flight=1)
    order: list[Lane] = []
    askers = [asyncio.create_task(hold_for(throttle, clock, Lane.LIVE, order)) for _ in range(5)]
    await settle()
    for asker in askers:
        asker.cancel()
    await settle()
    assert (throttle.in_flight, sum(throttle.waiting.values())) == (0, 0)


async def test_nothing_runs_on_once_nobody_waits() -> None:
    clock = VirtualClock()
    throttle = Throttle(clock, Random(1))
    async with permit(throttle, Lane.LIVE) as refused:
        throttle.refused(refused, 100)
    asker = asyncio.create_task(hold_for(throttle, clock, Lane.LIVE, []))
    await settle()
    asker.cancel()
    await settle()
    assert asyncio.all_tasks() == {asyncio.current_task()}
