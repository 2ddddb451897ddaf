"""Histograms of how old samples are, filled by runs of samples: one call a run, not one a sample.

A run costs a bisection for each bucket that it reaches into, which for a live answer is some microseconds.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate

from prometheus_client.metrics_core import HistogramMetricFamily
from prometheus_client.registry import Collector

from streamer.metric_types import Definition
from streamer.model import NS_PER_S


class Delays(Collector):
    """One histogram, by stream."""

    def __init__(self, definition: Definition) -> None:
        self._definition = definition
        self._bounds_ns = [int(bound * NS_PER_S) for bound in definition.buckets]
        self._counts: dict[str, list[int]] = {}
        self._sums_ns: dict[str, int] = {}

    @property
    def bounds_s(self) -> tuple[float, ...]:
        """The upper bounds of the buckets; one more holds what is longer."""
        return tuple(bound_ns / NS_PER_S for bound_ns in self._bounds_ns)

    def counts(self, stream: str) -> Sequence[int]:
        """Samples by bucket; zeros for a stream that was never seen."""
        return self._counts.get(stream, [0] * (len(self._bounds_ns) + 1))

    def observe(self, stream: str, instants_ns: Sequence[int], now_ns: int) -> None:
        """Take in samples by how long before ``now_ns`` they are. Instants ascend; a run ahead of it counts as 0."""
        counts = self._counts.get(stream)
        if counts is None:
            counts = self._counts[stream] = [0] * (len(self._bounds_ns) + 1)
            self._sums_ns[stream] = 0
        self._sums_ns[stream] += max(0, len(instants_ns) * now_ns - sum(instants_ns))
        older = len(instants_ns)
        for bucket, bound_ns in enumerate(self._bounds_ns):
            younger_from = bisect_left(instants_ns, now_ns - bound_ns, 0, older)
            counts[bucket] += older - younger_from
            older = younger_from
            if not older:
                return
        counts[-1] += older

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """See ``Collector``."""
        one = self._definition
        family = HistogramMetricFamily(one.full_name, one.meaning, labels=one.labels)
        bounds = [*(str(float(bound)) for bound in one.buckets), "+Inf"]
        for stream, counts in self._counts.items():
            buckets = list(zip(bounds, accumulate(counts), strict=True))
            family.add_metric([stream], buckets, self._sums_ns[stream] / NS_PER_S)
        yield family
