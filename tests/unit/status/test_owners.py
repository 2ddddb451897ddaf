"""Who owns the other shards: asked seldom, never waited for long, and never believed for long."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import pytest

from streamer.errors import BusUnreachable
from streamer.model import NS_PER_S
from streamer.status.owners import (
    ANSWERED_WITHIN_S,
    ASKED_EVERY_S,
    KNOWN_FOR_S,
    WAITED_FOR_S,
    Owners,
)
from tests.support.virtual_time import VirtualClock, run_virtually


class Case:
    """Owners of which a bus tells that answers as long after it was asked as it is told, or fails."""

    def __init__(self, *, takes_s: float = 0.0) -> None:
        self.clock = VirtualClock()
        self.owners = Owners("pod-a", self._ask, self.clock)
        self.takes_s = takes_s
        self.fails = False
        self.asked_s: list[float] = []

    def now_s(self) -> float:
        return asyncio.get_running_loop().time()

    async def _ask(self) -> Mapping[int, str]:
        self.asked_s.append(self.now_s())
        await asyncio.sleep(self.takes_s)
        if self.fails:
            raise BusUnreachable("No broker answers.", "Look at the brokers.")
        return {1: f"pod-{len(self.asked_s)}"}

    async def look(self) -> Mapping[int, str] | None:
        await self.owners.renew({0})
        said = self.owners.said
        return None if said is None else said.owners


def play(act: Callable[[Case], Awaitable[None]], *, takes_s: float = 0.0) -> Case:
    case = Case(takes_s=takes_s)

    async def main() -> None:
        await act(case)
        await case.owners.close()

    run_virtually(main())
    return case


def test_nobody_is_asked_while_nobody_looks() -> None:
    async def act(case: Case) -> None:
        await case.look()
        await asyncio.sleep(3600)

    assert play(act).asked_s == [0]


def test_however_many_look_the_bus_is_asked_once_in_a_while() -> None:
    async def act(case: Case) -> None:
        for _ in range(20):
            await asyncio.gather(*(case.look() for _ in range(8)))
            await asyncio.sleep(1)

    assert play(act).asked_s == [0, ASKED_EVERY_S, 2 * ASKED_EVERY_S, 3 * ASKED_EVERY_S]


def test_whoever_looks_first_is_told() -> None:
    async def act(case: Case) -> None:
        assert await case.look() == {1: "pod-1"}

    play(act, takes_s=WAITED_FOR_S / 2)


def test_an_answer_from_before_this_replica_was_assigned_its_shards_is_not_enough() -> None:
    async def act(case: Case) -> None:
        await case.owners.renew(())
        assert await case.look() == {1: "pod-2"}

    play(act)


def test_a_bus_that_hangs_costs_a_moment_and_is_asked_once_at_a_time() -> None:
    async def act(case: Case) -> None:
        began_s = case.now_s()
        assert await case.look() is None
        assert case.now_s() - began_s == WAITED_FOR_S
        await asyncio.gather(*(case.look() for _ in range(8)))
        assert case.now_s() - began_s == 2 * WAITED_FOR_S
        assert len(case.asked_s) == 1
        await asyncio.sleep(ANSWERED_WITHIN_S)
        assert case.owners.said is not None
        assert "has not said" in case.owners.said.fault

    play(act, takes_s=3600)


def test_an_error_takes_the_place_of_what_was_known_until_the_next_answer() -> None:
    async def act(case: Case) -> None:
        await case.look()
        case.fails = True
        await asyncio.sleep(ASKED_EVERY_S)
        assert await case.look() is None
        assert case.owners.said is not None
        assert case.owners.said.fault == "No broker answers. Look at the brokers."
        case.fails = False
        await asyncio.sleep(ASKED_EVERY_S)
        assert await case.look() == {1: "pod-3"}
        assert case.owners.said.fault == ""

    play(act)


def test_what_is_old_is_not_known_any_more() -> None:
    async def act(case: Case) -> None:
        await case.look()
        await asyncio.sleep(KNOWN_FOR_S)
        assert case.owners.said is not None
        await asyncio.sleep(0.1)
        assert case.owners.said is None

    play(act)


def test_an_answer_is_as_old_as_its_question() -> None:
    async def act(case: Case) -> None:
        began_ns = case.clock.monotonic_ns()
        await case.look()
        await asyncio.sleep(3)
        assert case.owners.said is not None
        assert case.owners.said.at_ns - began_ns < NS_PER_S / 10

    play(act, takes_s=2)


def test_closing_does_not_wait_for_an_answer() -> None:
    async def act(case: Case) -> None:
        await case.look()
        began_s = case.now_s()
        await case.owners.close()
        assert case.now_s() == began_s

    play(act, takes_s=3600)


def test_whoever_goes_while_it_waits_takes_no_answer_from_others() -> None:
    async def act(case: Case) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(WAITED_FOR_S / 2):
                await case.look()
        await asyncio.sleep(1)
        assert case.owners.said is not None

    play(act, takes_s=WAITED_FOR_S)
