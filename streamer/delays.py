"""Histograms of how old samples are, by stream: filled by runs of samples, one call a run, not one a sample.

A run costs some bisections, which for a live answer are a microsecond or two.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise

from prometheus_client.metrics_core import HistogramMetricFamily
from prometheus_client.registry import Collector

from streamer.metric_types import Definition
from streamer.model import NS_PER_S
from streamer.spread import EDGES_NS, Spread


class Delays(Collector):
    """One histogram, by stream. Its buckets are some of those that it is filled in."""

    def __init__(self, definition: Definition) -> None:
        self._definition = definition
        self._bounds = [EDGES_NS.index(int(bound * NS_PER_S)) for bound in definition.buckets]
        self._spreads: dict[str, Spread] = {}
        self._sums_ns: dict[str, int] = {}

    @property
    def bounds_s(self) -> tuple[float, ...]:
        """The upper bounds of the buckets that are shown; one more holds what is longer."""
        return tuple(EDGES_NS[bound] / NS_PER_S for bound in self._bounds)

    @property
    def streams(self) -> list[str]:
        """The streams of which something was taken in, by name."""
        return sorted(self._sums_ns)

    def of(self, stream: str) -> Spread:
        """What was taken in of a stream, in finer buckets than are shown."""
        return self._spreads.setdefault(stream, Spread())

    def counts(self, stream: str) -> list[int]:
        """Samples by bucket that is shown; zeros for a stream that was never seen."""
        upper = self._cumulative(stream)
        return [later - earlier for earlier, later in pairwise([0, *upper])]

    def observe(self, stream: str, instants_ns: Sequence[int], now_ns: int, times: int = 1) -> None:
        """Take in samples by how long before ``now_ns`` they are, each so many times.

        Instants ascend; a run that is ahead of it counts as 0.
        """
        self.of(stream).count(instants_ns, now_ns, times)
        span_ns = max(0, len(instants_ns) * now_ns - sum(instants_ns))
        self._sums_ns[stream] = self._sums_ns.get(stream, 0) + span_ns * times

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """See ``Collector``."""
        one = self._definition
        family = HistogramMetricFamily(one.full_name, one.meaning, labels=one.labels)
        names = [*(str(float(bound)) for bound in one.buckets), "+Inf"]
        for stream, sum_ns in self._sums_ns.items():
            buckets = list(zip(names, self._cumulative(stream), strict=True))
            family.add_metric([stream], buckets, sum_ns / NS_PER_S)
        yield family

    def _cumulative(self, stream: str) -> list[int]:
        """Samples that are at most each of the bounds old, and all of them."""
        spread = self._spreads.get(stream)
        if spread is None:
            return [0] * (len(self._bounds) + 1)
        counts = list(accumulate(spread.counts))
        return [*(counts[bound] for bound in self._bounds), counts[-1]]
