"""How spans of time are spread, in buckets: as much memory for a million as for one. Pure.

Spans are counted by runs of instants, for which bisections are enough, and never one by one.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import NamedTuple

from streamer.model import NS_PER_MS, NS_PER_S

_S, _MIN, _HOUR, _DAY = NS_PER_S, 60 * NS_PER_S, 3600 * NS_PER_S, 86_400 * NS_PER_S

EDGES_NS: tuple[int, ...] = (
    *(
        size * NS_PER_MS
        for decade in (1, 10, 100)
        for size in (n * decade for n in (10, 12, 15, 20, 25, 30, 40, 50, 60, 80))
    ),
    *(size * _S for size in (10, 12, 15, 20, 25, 30, 40, 50)),
    *(size * _S for size in (60, 75, 90, 120, 150, 180, 240, 300, 360, 480)),
    *(size * _MIN for size in (10, 12, 15, 20, 25, 30, 40, 50)),
    *(size * _MIN for size in (60, 75, 90, 120, 150, 180, 240, 300, 360, 480)),
    *(size * _HOUR for size in (10, 12, 15, 18, 24, 30, 36, 48, 60, 72, 96)),
    *(size * _DAY for size in (5, 6, 8, 10, 12, 15, 20, 25, 30)),
)
"""Upper edges of the buckets: round numbers, each at most a third more than the one before."""


class Bucket(NamedTuple):
    """What is known of a span that was counted: it is above the one and at most the other; None is not known."""

    above_ns: int
    at_most_ns: int | None


class Spread:
    """Spans, counted by bucket; the last bucket is open. A span below zero counts as none."""

    __slots__ = ("counts",)

    def __init__(self, counts: Sequence[int] = (0,) * (len(EDGES_NS) + 1)) -> None:
        self.counts = list(counts)

    def count(self, instants_ns: Sequence[int], now_ns: int, times: int = 1) -> None:
        """Take in how long before ``now_ns`` instants are (ascending, at least one), each so many times."""
        counts = self.counts
        oldest = bisect_left(EDGES_NS, now_ns - instants_ns[0])
        newest = bisect_left(EDGES_NS, now_ns - instants_ns[-1], 0, oldest)
        if len(instants_ns) <= oldest - newest:
            for instant_ns in instants_ns:
                counts[bisect_left(EDGES_NS, now_ns - instant_ns, newest, oldest)] += times
            return
        end = len(instants_ns)
        for bucket in range(newest, oldest):
            start = bisect_left(instants_ns, now_ns - EDGES_NS[bucket], 0, end)
            counts[bucket] += (end - start) * times
            end = start
        counts[oldest] += end * times

    @property
    def total(self) -> int:
        """How many were counted."""
        return sum(self.counts)

    def since(self, earlier: Spread) -> Spread:
        """What was counted since it was as ``earlier``."""
        return Spread([now - then for now, then in zip(self.counts, earlier.counts, strict=True)])

    def copy(self) -> Spread:
        """As it is now."""
        return Spread(self.counts)

    def quantile(self, share: float) -> Bucket | None:
        """The bucket of the smallest span that so large a share does not exceed; None of nothing."""
        rank, seen = share * self.total, 0
        for bucket, count in enumerate(self.counts):
            seen += count
            if count and seen >= rank:
                above_ns = EDGES_NS[bucket - 1] if bucket else 0
                return Bucket(above_ns, EDGES_NS[bucket] if bucket < len(EDGES_NS) else None)
        return None


def rounded_up(span_ns: int) -> int | None:
    """The first edge that is not below a span; None past the last."""
    bucket = bisect_left(EDGES_NS, span_ns)
    return EDGES_NS[bucket] if bucket < len(EDGES_NS) else None
