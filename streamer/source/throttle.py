"""The budget of one credential: how many requests are on their way, how fast they start, and who goes next.

The service allows 4 requests in flight per credential and a rate; ``Retry-After`` and failures to reach it
close one gate for all queries. Uses only the clock and futures of the event loop.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from random import Random

import structlog

from streamer.clock import Clock
from streamer.model import NS_PER_S, Lane
from streamer.source.retry_after import LONGEST_WAIT_S

_log = structlog.get_logger(__name__)

SHORTEST_BACKOFF_S = 0.5
LONGEST_BACKOFF_S = 60.0

_PRICE = 100
_SHARE = {Lane.LIVE: 50, Lane.REVISIT: 20, Lane.REPAIR: 15, Lane.CATCH_UP: 10, Lane.BACKFILL: 5}
"""What a waiting lane earns with each grant; at 100 it goes first and pays them. In percent, so that sums are exact."""


def jittered_backoff_s(failures: int, random: Random) -> float:
    """Full jitter: evenly between the shortest back-off and twice as much for each failure, 60 s at most.

    Args:
        failures: in a row, from 1.
        random: where the jitter comes from.
    """
    # 2**7 is past the cap already; a long outage must not build huge powers.
    return random.uniform(SHORTEST_BACKOFF_S, min(LONGEST_BACKOFF_S, SHORTEST_BACKOFF_S * 2 ** min(failures, 7)))


class Throttle:
    """Permits to send. Never more than ``max_in_flight`` are out, and one only while the source is unreachable.

    Args:
        clock: times the gate and the rate.
        random: jitter of the back-off.
        max_in_flight: the service answers one more with 429.
        max_rate: starts a second, None without a bound.
    """

    def __init__(self, clock: Clock, random: Random, *, max_in_flight: int = 4, max_rate: float | None = None) -> None:
        self._clock = clock
        self._random = random
        self._max_in_flight = max_in_flight
        self._spacing_ns = int(NS_PER_S / max_rate) if max_rate else 0
        self._in_flight = 0
        self._waiting: dict[Lane, deque[asyncio.Future[None]]] = {lane: deque() for lane in Lane}
        self._credit = dict.fromkeys(Lane, 0)
        self._next_start_ns = clock.monotonic_ns()
        self._held_until_ns = self._next_start_ns
        self._backed_off_until_ns = self._next_start_ns
        self._failures = 0
        self._alarm: asyncio.Task[None] | None = None
        self._alarm_at_ns = 0

    @property
    def in_flight(self) -> int:
        """Permits that are out."""
        return self._in_flight

    @property
    def waiting(self) -> dict[Lane, int]:
        """How many wait for a permit, by lane."""
        return {lane: len(queue) for lane, queue in self._waiting.items()}

    @property
    def held_for_s(self) -> float:
        """Seconds until the gate opens, 0 while it is open."""
        opens_at_ns = max(self._held_until_ns, self._backed_off_until_ns)
        return max(0, opens_at_ns - self._clock.monotonic_ns()) / NS_PER_S

    @property
    def is_reachable(self) -> bool:
        """Whether the source answered when it was last asked."""
        return self._failures == 0

    @asynccontextmanager
    async def permit(self, lane: Lane) -> AsyncIterator[None]:
        """Wait for a permit and hold it. Cancellation while waiting gives it, or the place in the queue, back."""
        await self._acquire(lane)
        try:
            yield
        finally:
            self._release()

    async def opened(self) -> None:
        """Return while the gate is open: for the holder of a permit who could not send at once."""
        while (held_s := self.held_for_s) > 0:
            await self._clock.sleep(held_s)

    def hold(self, seconds: float) -> None:
        """Close the gate for all, as ``Retry-After`` asks; at most an hour, and never for shorter than it was."""
        if not 0 < seconds < float("inf"):
            return
        until_ns = self._clock.monotonic_ns() + int(min(seconds, LONGEST_WAIT_S) * NS_PER_S)
        if self.held_for_s == 0:
            _log.warning("source.requests_held", seconds=round(min(seconds, LONGEST_WAIT_S), 1))
        self._held_until_ns = max(self._held_until_ns, until_ns)

    def backoff(self) -> None:
        """The source could not be reached: close the gate for longer with each time in a row.

        Requests that were on their way together fail together; while the gate is closed they count as one.
        """
        now_ns = self._clock.monotonic_ns()
        if now_ns < self._backed_off_until_ns:
            return
        if self._failures == 0:
            _log.warning("source.service_lost")
        self._failures += 1
        pause_s = jittered_backoff_s(self._failures, self._random)
        self._backed_off_until_ns = now_ns + int(pause_s * NS_PER_S)

    def succeeded(self) -> None:
        """The source answered: open the gate, unless ``Retry-After`` still holds it."""
        if self._failures:
            _log.info("source.service_recovered", failures=self._failures)
        self._failures = 0
        self._backed_off_until_ns = self._clock.monotonic_ns()
        self._grant()

    async def _acquire(self, lane: Lane) -> None:
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[lane].append(waiter)
        self._grant()
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.cancelled():
                with suppress(ValueError):  # a grant may have cleared it away
                    self._waiting[lane].remove(waiter)
                self._grant()
            else:  # granted in the same moment
                self._release()
            raise

    def _release(self) -> None:
        self._in_flight -= 1
        self._grant()

    def _grant(self) -> None:
        """Give out what can be given now; if only time is missing, come back then."""
        while (lane := self._next_lane()) is not None and self._in_flight < self._allowed:
            now_ns = self._clock.monotonic_ns()
            opens_at_ns = max(self._held_until_ns, self._backed_off_until_ns, self._next_start_ns)
            if now_ns < opens_at_ns:
                self._set_alarm(opens_at_ns, now_ns)
                return
            self._charge(lane)
            self._next_start_ns = now_ns + self._spacing_ns
            self._in_flight += 1
            self._waiting[lane].popleft().set_result(None)
        self._stop_alarm()

    @property
    def _allowed(self) -> int:
        return 1 if self._failures else self._max_in_flight

    def _next_lane(self) -> Lane | None:
        for queue in self._waiting.values():
            while queue and queue[0].cancelled():  # its task has yet to run and leave the queue
                queue.popleft()
        waiting = [lane for lane, queue in self._waiting.items() if queue]
        if not waiting:
            return None
        owed = max(waiting, key=lambda lane: self._credit[lane])
        return owed if self._credit[owed] >= _PRICE else min(waiting)

    def _charge(self, lane: Lane) -> None:
        is_owed = self._credit[lane] >= _PRICE
        if is_owed:
            self._credit[lane] -= _PRICE
        for other, queue in self._waiting.items():
            if queue and (is_owed or other is not lane):  # who goes by priority is not passed over and earns nothing
                self._credit[other] += _SHARE[other]

    def _set_alarm(self, at_ns: int, now_ns: int) -> None:
        if self._alarm is not None and self._alarm_at_ns == at_ns:
            return
        self._stop_alarm()
        self._alarm_at_ns = at_ns
        self._alarm = asyncio.create_task(self._ring((at_ns - now_ns) / NS_PER_S))

    def _stop_alarm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm = None

    async def _ring(self, seconds: float) -> None:
        await self._clock.sleep(seconds)
        self._alarm = None
        self._grant()
