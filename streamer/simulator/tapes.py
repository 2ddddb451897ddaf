"""What the signals of the simulator have measured, as pure functions of time.

A tape is anchored to the epoch, so that a simulator that was started again tells the same story.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple, Protocol

from streamer.model import NS_PER_S

INSTANT_STEP_NS = 100
"""Instants are multiples of it: the API writes at most seven fractional digits."""

_TICKS = 65_521
"""Prime, so that values repeat after hours at any ordinary rate, and never along with a clock's minutes."""
_LARGEST = 8_192.0
"""Larger than ``_TICKS / 8``: no two synthetic signals share a value."""

Number = int | float


class Sample(NamedTuple):
    """A value at an instant."""

    instant_ns: int
    value: Number


_sample: Callable[[tuple[int, Number]], Sample] = partial(tuple.__new__, Sample)  # half the time of Sample()


class Tape(Protocol):
    """The samples of one signal."""

    def samples(self, start_ns: int, end_ns: int) -> list[Sample]:
        """Those in ``[start, end)``, ascending; no instant twice."""
        ...


class LoopTape:
    """A recording over and over, without a seam.

    Args:
        offsets_ns: from the start of the loop, ascending, all in ``[0, period)``.
        values: one for each offset.
        period_ns: the loop's length.
    """

    def __init__(self, offsets_ns: Sequence[int], values: Sequence[Number], period_ns: int) -> None:
        self._offsets_ns = array("q", offsets_ns)
        self._values = values
        self._period_ns = period_ns

    def samples(self, start_ns: int, end_ns: int) -> list[Sample]:
        """See ``Tape``."""
        offsets_ns, found = self._offsets_ns, list[Sample]()
        base_ns = start_ns - start_ns % self._period_ns
        while base_ns < end_ns:
            first = bisect_left(offsets_ns, start_ns - base_ns)
            stop = bisect_left(offsets_ns, end_ns - base_ns)
            instants_ns = [base_ns + offset_ns for offset_ns in offsets_ns[first:stop]]
            found += map(_sample, zip(instants_ns, self._values[first:stop], strict=True))
            base_ns += self._period_ns
        return found


class SyntheticTape:
    """A sample each period; the value says which signal and which sample it is.

    Args:
        index: of the signal.
        rate_hz: samples a second; the period is cut to what the API can write.
    """

    def __init__(self, index: int, rate_hz: float) -> None:
        self.minimum = index * _LARGEST
        self.maximum = self.minimum + (_TICKS - 1) / 8
        self._period_ns = max(round(NS_PER_S / INSTANT_STEP_NS / rate_hz), 1) * INSTANT_STEP_NS

    def samples(self, start_ns: int, end_ns: int) -> list[Sample]:
        """See ``Tape``."""
        period_ns, base = self._period_ns, self.minimum
        ticks = range(-(-start_ns // period_ns), -(-end_ns // period_ns))
        values = [base + tick % _TICKS / 8 for tick in ticks]
        return list(
            map(_sample, zip(range(ticks.start * period_ns, ticks.stop * period_ns, period_ns), values, strict=True))
        )
