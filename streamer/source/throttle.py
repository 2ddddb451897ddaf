"""The budget of one credential at work: who may send, when, and what is learned from how it went.

``budget`` says what is allowed and ``turns`` whose turn it is; here they meet the event loop: permits are waited for,
given out, and taken back. Uses only the clock and futures of the event loop.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, replace
from random import Random

import structlog

from streamer.clock import Clock
from streamer.model import NS_PER_S, Lane
from streamer.source.budget import Budget
from streamer.source.limits import Limit, Rate, RecentStarts
from streamer.source.turns import Turns

_log = structlog.get_logger(__name__)

SHORTEST_BACKOFF_S = 0.5
LONGEST_BACKOFF_S = 60.0

LEAST_SHARE = 0.01


def jittered_backoff_s(failures: int, random: Random) -> float:
    """Full jitter: evenly between the shortest back-off and twice as much for each failure, 60 s at most.

    Args:
        failures: in a row, from 1.
        random: where the jitter comes from.
    """
    # 2**7 is past the cap already; a long outage must not build huge powers.
    return random.uniform(SHORTEST_BACKOFF_S, min(LONGEST_BACKOFF_S, SHORTEST_BACKOFF_S * 2 ** min(failures, 7)))


@dataclass(frozen=True, slots=True, eq=False)
class Permit:
    """Leave to send one request, given at ``started_ns``. It is out until the request is over at the service."""

    started_ns: int


class Throttle:
    """Permits to send: never more than the budget allows are out.

    A permit that was acquired must be released, and before that told how the request went, unless that says nothing
    about what the service allows: a question that it refused as such is neither a success nor a failure.

    Args:
        clock: times the gate and the rate.
        random: jitter of the back-off.
        max_in_flight: the service answers one more with 429.
        max_rate: starts a second, None without a bound.
    """

    def __init__(self, clock: Clock, random: Random, *, max_in_flight: int = 4, max_rate: float | None = None) -> None:
        self._clock = clock
        self._random = random
        self._budget = Budget(Limit(max_in_flight, max_in_flight), Rate(max_rate))
        self._turns = Turns()
        self._out: set[Permit] = set()
        self._waiting: dict[Lane, deque[asyncio.Future[Permit]]] = {lane: deque() for lane in Lane}
        self._starts = RecentStarts()
        self._is_lost = False
        self._alarm: asyncio.Task[None] | None = None
        self._alarm_at_ns = 0

    @property
    def in_flight(self) -> int:
        """Permits that are out."""
        return len(self._out)

    @property
    def limit(self) -> int:
        """Permits that may be out at once, as learned and by our share."""
        return self._budget.allowed

    @property
    def rate(self) -> float | None:
        """Starts a second, as learned and by our share; None without a bound."""
        return self._budget.rate_at(self._clock.monotonic_ns())

    @property
    def waiting(self) -> dict[Lane, int]:
        """How many wait for a permit, by lane."""
        return {lane: len(queue) for lane, queue in self._waiting.items()}

    @property
    def held_for_s(self) -> float:
        """Seconds until the gate opens, 0 while it is open."""
        return max(0, self._budget.gate_opens_at_ns - self._clock.monotonic_ns()) / NS_PER_S

    @property
    def is_reachable(self) -> bool:
        """Whether the source answered when it was last asked."""
        return not self._is_lost

    @property
    def share(self) -> float:
        """The part of the credential's budget that is used here, above 0, at most 1."""
        return self._budget.share

    async def opened(self) -> None:
        """Return while the gate is open: for the holder of a permit who could not send at once."""
        while (held_s := self.held_for_s) > 0:
            await self._clock.sleep(held_s)

    def take_share(self, share: float) -> None:
        """Use another part of the credential's budget from now on. Who has none asks for the catalogue all the same."""
        self._budget = replace(self._budget, share=max(share, LEAST_SHARE))
        self._grant()

    async def acquire(self, lane: Lane) -> Permit:
        """Wait for a permit. Cancellation gives it, or the place in the queue, back."""
        waiter: asyncio.Future[Permit] = asyncio.get_running_loop().create_future()
        self._waiting[lane].append(waiter)
        self._grant()
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.cancelled():
                with suppress(ValueError):  # a grant may have cleared it away
                    self._waiting[lane].remove(waiter)
                self._grant()
            else:  # granted in the same moment
                self.release(waiter.result())
            raise

    def release(self, permit: Permit) -> None:
        """Take a permit back: its request is over at the service."""
        self._out.remove(permit)
        self._budget = self._budget.ended(permit.started_ns, self._clock.monotonic_ns())
        self._grant()

    def succeeded(self, permit: Permit) -> None:
        """The service answered."""
        if self._is_lost:
            _log.info("source.service_recovered")
        self._is_lost = False
        self._budget = self._budget.succeeded(permit.started_ns)
        self._grant()

    def refused(self, permit: Permit, retry_after_s: float | None) -> None:
        """The service was asked too much (429): wait as long as it says, then ask less at once and more slowly."""
        self._refused(permit, retry_after_s, self._starts.rate(self._clock.monotonic_ns()))

    def overloaded(self, permit: Permit, retry_after_s: float | None) -> None:
        """The service has too much to do (503): wait as long as it says, then ask less at once."""
        self._refused(permit, retry_after_s, None)

    def lost(self, permit: Permit) -> None:
        """No answer came: wait, for longer with each time in a row."""
        if not self._is_lost:
            _log.warning("source.service_lost")
        self._is_lost = True
        self._budget = self._budget.lost(permit.started_ns, self._clock.monotonic_ns(), self._backoff_s())

    def _refused(self, permit: Permit, retry_after_s: float | None, used: float | None) -> None:
        was_open = self.held_for_s == 0
        self._budget = self._budget.refused(
            permit.started_ns,
            self._clock.monotonic_ns(),
            asked_for_s=retry_after_s,
            backoff_s=self._backoff_s(),
            used=used,
        )
        if was_open and self.held_for_s:
            _log.warning("source.requests_held", seconds=round(self.held_for_s, 1))

    def _backoff_s(self) -> float:
        return jittered_backoff_s(self._budget.failures + 1, self._random)

    def _grant(self) -> None:
        """Give out what can be given now; if only time is missing, come back then."""
        while (waiting := self._lanes_waiting()) and self.in_flight < self._budget.allowed:
            now_ns = self._clock.monotonic_ns()
            opens_at_ns = self._budget.opens_at_ns
            if now_ns < opens_at_ns:
                self._set_alarm(opens_at_ns, now_ns)
                return
            lane = self._turns.next(waiting)
            self._turns.took(lane, waiting)
            self._budget = self._budget.started(now_ns)
            self._starts.add(now_ns)
            permit = Permit(now_ns)
            self._out.add(permit)
            self._waiting[lane].popleft().set_result(permit)
        self._stop_alarm()

    def _lanes_waiting(self) -> list[Lane]:
        for queue in self._waiting.values():
            while queue and queue[0].cancelled():  # its task has yet to run and leave the queue
                queue.popleft()
        return [lane for lane, queue in self._waiting.items() if queue]

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
