"""Time as the rest of the program sees it.

``Clock`` is the seam for virtual time; ``ServiceTime`` is what decides about data: a lower bound of the
service's own time, learned from ``Date`` headers against the monotonic clock. The host's wall clock only
ever labels events (``observed_at``) and logs, and says whether a first ``Date`` needs a second opinion.
"""

from __future__ import annotations

import asyncio
import time
from typing import NamedTuple, Protocol

from streamer.model import NS_PER_S

DRIFT_PPM = 100
"""Allowance for the drift of the host's monotonic clock: quartz stays within 100 ppm."""

DATE_TRUSTED_FOR_NS = 300 * NS_PER_S
"""Without a Date for five minutes the service's time counts as unknown, and the frontier stands."""

DOUBTED_NS = 60 * NS_PER_S
"""A Date so far from what is known is not believed at once: honest ones differ by a second and the drift."""

DOUBTED_FROM_HOST_NS = 2 * 86_400 * NS_PER_S
"""The first Date has only the host's clock to be doubted against, which is wrong by a time zone, or by years."""

CONFIRMED_BY = 3
CONFIRMED_AFTER_NS = 10 * NS_PER_S
AGREED_WITHIN_NS = 2 * NS_PER_S
"""So many answers in a row, over so long, have to tell the same time before a doubted Date is believed. One that a
proxy makes up or repeats from its cache does not: it does not run on."""


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


class _Doubt(NamedTuple):
    """Dates that are not believed yet: what they say against the monotonic clock, since when, and how many."""

    offset_ns: int
    since_ns: int
    answers: int


class ServiceTime:
    """A lower bound of the service's time, never after it as long as its ``Date`` headers are right.

    A ``Date`` has whole seconds, cut off, so each one says 'it is at least this late'. The bound is the best
    of all that were seen, carried forward on the monotonic clock less the drift allowance; it never goes back.

    One absurd Date would spoil such a bound for ever, so one far from what is known has to be confirmed. Ahead: the
    bound follows then (the host was suspended). Behind: the bound is too high, and stays so; the time counts as
    unknown until the service's own has come up to it.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._bound_ns: int | None = None
        self._at_ns = 0
        self._seen_at_ns = 0
        self._doubt: _Doubt | None = None
        self._is_contradicted = False

    def learn(self, date_ns: int) -> None:
        """Take in the ``Date`` of an answer that has just arrived (nanoseconds since the epoch)."""
        now_ns = self._clock.monotonic_ns()
        carried_ns = self._carried(now_ns)
        if self._is_believed(date_ns, carried_ns, now_ns):
            self._is_contradicted = carried_ns is not None and date_ns < carried_ns - DOUBTED_NS
            self._bound_ns = date_ns if carried_ns is None else max(date_ns, carried_ns)
        elif carried_ns is None:
            return
        else:
            self._bound_ns = carried_ns
        self._at_ns = self._seen_at_ns = now_ns

    def now_ns(self) -> int | None:
        """The bound at this moment, or None while the service's time is unknown."""
        now_ns = self._clock.monotonic_ns()
        if self._is_contradicted or now_ns - self._seen_at_ns > DATE_TRUSTED_FOR_NS:
            return None
        return self._carried(now_ns)

    @property
    def why_unknown(self) -> str:
        """The cause when the time is unknown, for people."""
        if self._is_contradicted:
            return "Date headers lie before earlier ones"
        return "Date headers are far from the host's clock" if self._doubt else "no Date header"

    def host_ahead_ns(self) -> int | None:
        """How far the host's wall clock is ahead of the service's time; None while that is unknown."""
        now_ns = self.now_ns()
        return None if now_ns is None else self._clock.wall_ns() - now_ns

    def _is_believed(self, date_ns: int, carried_ns: int | None, now_ns: int) -> bool:
        if carried_ns is None:
            is_likely = abs(date_ns - self._clock.wall_ns()) <= DOUBTED_FROM_HOST_NS
        else:
            is_likely = abs(date_ns - carried_ns) <= DOUBTED_NS
        if is_likely:
            self._doubt = None
            return True
        doubt, offset_ns = self._doubt, date_ns - now_ns
        if doubt is None or abs(offset_ns - doubt.offset_ns) > AGREED_WITHIN_NS:
            doubt = _Doubt(offset_ns, now_ns, 0)
        self._doubt = doubt = doubt._replace(answers=doubt.answers + 1)
        return doubt.answers >= CONFIRMED_BY and now_ns - doubt.since_ns >= CONFIRMED_AFTER_NS

    def _carried(self, now_ns: int) -> int | None:
        if self._bound_ns is None:
            return None
        elapsed_ns = now_ns - self._at_ns
        return self._bound_ns + elapsed_ns - elapsed_ns * DRIFT_PPM // 1_000_000
