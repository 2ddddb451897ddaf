"""How the outside world is tried again: with growing, jittered pauses, and a complaint that does not repeat itself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from random import Random
from typing import TypeVar

from streamer.clock import Clock
from streamer.complaints import Complaints
from streamer.errors import BusError, ShardTaken, SourceError

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 5.0
"""Between attempts to reach the API or the bus, with full jitter."""

_T = TypeVar("_T")


class Patience:
    """Pauses and repetition for one process."""

    def __init__(self, clock: Clock, random: Random, complaints: Complaints) -> None:
        self._clock = clock
        self._random = random
        self._complaints = complaints

    async def persist(self, fault: str, recovered: str, attempt: Callable[[], Awaitable[_T]]) -> _T:
        """The result of an attempt that is repeated until the outside world allows it."""
        failures = 0
        while True:
            try:
                result = await attempt()
            except ShardTaken:
                raise
            except (SourceError, BusError) as exc:
                self._complaints.say(fault, exc.what, remedy=exc.remedy)
                await self.pause(failures)
                failures += 1
            else:
                self._complaints.over(fault, recovered)
                return result

    async def pause(self, failures: int) -> None:
        """A pause after so many failures in a row before this one."""
        ceiling_s = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** min(failures, 10))
        await self._clock.sleep(self._random.uniform(ceiling_s / 10, ceiling_s))
