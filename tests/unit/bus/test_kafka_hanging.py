"""What a broker has forgotten to end is told from what is only under way."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from streamer.bus.kafka_hanging import LOOK_EVERY_S, LOOKS, Forgotten, find_forgotten
from tests.support.virtual_time import run_virtually

OPEN = [("state", 2), ("samples", 6)]


def found(looks: Sequence[tuple[list[tuple[str, int]], bool | None]]) -> tuple[Forgotten | None, float]:
    """What is found, and after how many seconds; the last look goes on for ever."""
    rest = list(looks)

    async def read_open() -> list[tuple[str, int]]:
        return rest[0][0]

    async def ask() -> bool | None:
        return (rest.pop(0) if len(rest) > 1 else rest[0])[1]

    async def main() -> tuple[Forgotten | None, float]:
        return await find_forgotten(read_open, ask), asyncio.get_running_loop().time()

    return run_virtually(main())


@pytest.mark.parametrize("is_commit", [True, False])
def test_what_stays_open_though_nothing_is_under_way_is_forgotten(is_commit: bool) -> None:
    forgotten, after_s = found([(OPEN, is_commit)])
    assert forgotten == Forgotten(OPEN, is_commit)
    assert after_s == pytest.approx(LOOKS * LOOK_EVERY_S)


def test_where_nothing_is_open_nobody_is_asked_and_nothing_waited_for() -> None:
    assert found([([], True)]) == (None, 0)


def test_what_is_under_way_is_left_to_the_fence() -> None:
    assert found([(OPEN, None)]) == (None, 0)


def test_what_the_coordinator_ends_meanwhile_is_not_forgotten() -> None:
    assert found([(OPEN, True), (OPEN[:1], True), ([], True)])[0] is None
