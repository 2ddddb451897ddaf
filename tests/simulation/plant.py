"""What the service knows: samples as a pure function of time, with everything that real ones do.

Raw signals of five kinds (regular, on change, integers past 2^53, numbers around zero, with nulls) and some that are
read resampled. A gateway buffers now and then: what it holds back becomes visible all at once.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b
from typing import NamedTuple

from streamer.model import NS_PER_MS, NS_PER_S, Value
from tests.support.virtual_time import EPOCH_NS

DATABASE = 7
RAW = (1, 2, 3, 4, 5, 6)
RESAMPLED = (11, 12)
ON_CHANGE = (3, 4)
"""One sample in twelve seconds, anywhere in the second."""

INTEGERS = 5
"""Past what a double holds, in steps of one; small ones now and then, as 1 or as 1.0."""

WITH_NULLS = 6
FIRST_NS = EPOCH_NS - 600 * NS_PER_S


class Sample(NamedTuple):
    """A sample of the world: when it is visible, and what it shows then and later."""

    instant_ns: int
    visible_ns: int
    first: Value
    revised_ns: int | None
    final: Value

    def value_at(self, now_ns: int) -> Value:
        """What the service shows at a time at which it is visible."""
        return self.final if self.revised_ns is not None and now_ns >= self.revised_ns else self.first


class Plant:
    """The truth of one seed.

    Args:
        seed: everything follows from it.
        last_age_ns: delays are drawn around it: some samples come later, and are none of the guarantee's.
    """

    def __init__(self, seed: int, last_age_ns: int) -> None:
        self._seed = seed
        self._last_age_s = last_age_ns / NS_PER_S
        self.sample = lru_cache(maxsize=200_000)(self._sample)

    def _dice(self, index: int, second: int) -> list[float]:
        digest = blake2b(f"{self._seed}:{index}:{second}".encode(), digest_size=32).digest()
        return [int.from_bytes(digest[at : at + 4], "big") / 2**32 for at in range(0, 32, 4)]

    def _sample(self, index: int, second: int) -> Sample | None:
        """The sample of a signal in a second of the epoch, if there is one."""
        late, by, revised, after, exists, place, null, burst = self._dice(index, second)
        if index in ON_CHANGE and exists > 0.08:
            return None
        in_second_ms = int(place * 999) if index in ON_CHANGE else index
        instant_ns = second * NS_PER_S + in_second_ms * NS_PER_MS
        delay_s = 0.05 + 0.4 * by
        if late < 0.01:
            delay_s += by * 1.25 * self._last_age_s
        elif late < 0.04:
            delay_s += by * self._last_age_s / 3
        visible_ns = instant_ns + int(delay_s * NS_PER_S)
        held_ns = self._held_until_ns(index, second)
        if held_ns is not None:
            visible_ns = max(visible_ns, held_ns + int(burst * NS_PER_S))
        number = _value(index, second)
        first: Value = number
        final: Value = _revised(number)
        if index == WITH_NULLS and null < 0.05:
            first, final = None, (first if null < 0.02 else None)
        elif index == WITH_NULLS and null > 0.98:
            final = None
        if revised < 0.02 and first != final:
            return Sample(instant_ns, visible_ns, first, visible_ns + int(after * 0.8 * self._last_age_s * 1e9), final)
        return Sample(instant_ns, visible_ns, first, None, first)

    def _held_until_ns(self, index: int, second: int) -> int | None:
        """When the gateway lets go of what it buffered in this minute, None when it did not."""
        minute, into = divmod(second, 60)
        if self._dice(index % 2 - 10, minute)[0] > 0.1 or not 10 <= into < 40:
            return None
        return (minute * 60 + 40) * NS_PER_S

    def raw(self, index: int, start_ns: int, end_ns: int) -> list[Sample]:
        """All samples of a raw signal in ``[start, end)``, whether visible yet or not."""
        start_ns = max(start_ns, FIRST_NS)
        found = (self.sample(index, second) for second in range(start_ns // NS_PER_S, -(-end_ns // NS_PER_S)))
        return [sample for sample in found if sample is not None and start_ns <= sample.instant_ns < end_ns]

    def shown(self, index: int, start_ns: int, end_ns: int, now_ns: int) -> list[tuple[int, Value]]:
        """What the service shows of a raw signal now."""
        return [
            (sample.instant_ns, sample.value_at(now_ns))
            for sample in self.raw(index, start_ns, min(end_ns, now_ns))
            if sample.visible_ns <= now_ns
        ]

    def sums(self, index: int, start_ns: int, end_ns: int, period_ns: int, now_ns: int) -> list[tuple[int, Value]]:
        """What the service shows of a signal summed up in windows, clipped to the range as the historian does."""
        windows: dict[int, float] = {}
        for instant_ns, value in self.shown(index, start_ns, end_ns, now_ns):
            if value is not None:
                window_ns = max(instant_ns // period_ns * period_ns, start_ns)
                windows[window_ns] = windows.get(window_ns, 0) + value
        return list(windows.items())


def _value(index: int, second: int) -> int | float:
    if index == INTEGERS:
        return second % 5 if second % 3 == 0 else 2**60 + second % 100
    if index == 2 and second % 7 == 0:
        return 0.0
    return float(second % 1000) + index / 100


def _revised(value: int | float) -> int | float:
    """Off by what a double would not notice, for an integer that large."""
    return value + 1 if isinstance(value, int) else value + 0.5
