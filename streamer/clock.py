"""Time as the rest of the program sees it.

``Clock`` is the seam for virtual time; ``ServiceTime`` is what decides about data: a lower bound of the
service's own time, learned from ``Date`` headers against the monotonic clock. The host's wall clock only
ever labels events (``observed_at``) and logs.
"""

from __future__ import annotations

import asyncio
import time
from typing import Protocol

from streamer.model import NS_PER_S

DRIFT_PPM = 100
"""Allowance for the drift of the host's monotonic clock: quartz stays within 100 ppm."""

DATE_TRUSTED_FOR_NS = 300 * NS_PER_S
"""Without a Date for five minutes the service's time counts as unknown, and the frontier stands."""


class Clock(Protocol):
    """A source of time. Both readings are integer nanoseconds."""

    def monotonic_ns(self) -> int:
        """Never goes back; its origin has no meaning."""
        ...

    def wall_ns(self) -> int:
        """The host's idea of UTC; may step at any time."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return after ``seconds``; cancellation interrupts it at once."""
        ...


class SystemClock:
    """The host's clocks."""

    def monotonic_ns(self) -> int:
        """See ``Clock``."""
        return time.monotonic_ns()

    def wall_ns(self) -> int:
        """See ``Clock``."""
        return time.time_ns()

    async def sleep(self, seconds: float) -> None:
        """See ``Clock``."""
        await asyncio.sleep(seconds)


class ServiceTime:
    """A lower bound of the service's time, never after it as long as its ``Date`` headers are right.

    A ``Date`` has whole seconds, cut off, so each one says 'it is at least this late'. The bound is the best
    of all that were seen, carried forward on the monotonic clock less the drift allowance; it never goes back.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._bound_ns: int | None = None
        self._at_ns = 0
        self._seen_at_ns = 0

    def learn(self, date_ns: int) -> None:
        """Take in the ``Date`` of an answer that has just arrived (nanoseconds since the epoch)."""
        now_ns = self._clock.monotonic_ns()
        self._seen_at_ns = now_ns
        carried_ns = self._carried(now_ns)
        self._bound_ns = date_ns if carried_ns is None else max(date_ns, carried_ns)
        self._at_ns = now_ns

    def now_ns(self) -> int | None:
        """The bound at this moment, or None while the service's time is unknown."""
        now_ns = self._clock.monotonic_ns()
        if now_ns - self._seen_at_ns > DATE_TRUSTED_FOR_NS:
            return None
        return self._carried(now_ns)

    def _carried(self, now_ns: int) -> int | None:
        if self._bound_ns is None:
            return None
        elapsed_ns = now_ns - self._at_ns
        return self._bound_ns + elapsed_ns - elapsed_ns * DRIFT_PPM // 1_000_000
