"""What the daemon counts while it works. One ``Metrics`` a process; what a scrape reads is in ``status.collector``.

What each metric means is told by ``metric_definitions``.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics

from streamer import metric_definitions as defined
from streamer.delays import Delays
from streamer.metric_types import Definition


class Metrics:
    """The counters and histograms of one process in a registry of their own.

    Attributes:
        registry: what ``/metrics`` shows.
    """

    def __init__(self) -> None:
        # Else the client shows a second series for each counter: when it began.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        self.published = self._counter(defined.PUBLISHED)
        self.late = self._counter(defined.LATE)
        self.revised = self._counter(defined.REVISED)
        self.nulls = self._counter(defined.NULLS)
        self.vanished = self._counter(defined.VANISHED)
        self.rejected = self._counter(defined.REJECTED)
        self.overdue = self._counter(defined.OVERDUE)
        self.holes_opened = self._counter(defined.HOLES_OPENED)
        self.lost_seconds = self._counter(defined.LOST_SECONDS)
        self.requests = self._counter(defined.REQUESTS)
        self.void = self._counter(defined.VOID)
        self.failed = self._counter(defined.FAILED)
        self.proofs = self._counter(defined.PROOFS)
        self.quarantined = self._counter(defined.QUARANTINED)
        self.token_failures = self._counter(defined.TOKEN_FAILURES)
        self.acquired = self._counter(defined.ACQUIRED)
        self.fenced = self._counter(defined.FENCED)
        self.recreated = self._counter(defined.RECREATED)
        self.commit_seconds = Histogram(
            defined.COMMIT_SECONDS.full_name,
            defined.COMMIT_SECONDS.meaning,
            buckets=defined.COMMIT_SECONDS.buckets,
            registry=self.registry,
        )
        self.arrival_delay = Delays(defined.ARRIVAL_DELAY)
        self.end_to_end = Delays(defined.END_TO_END)
        for delays in (self.arrival_delay, self.end_to_end):
            self.registry.register(delays)

    def _counter(self, definition: Definition) -> Counter:
        return Counter(definition.full_name, definition.meaning, definition.labels, registry=self.registry)

    def total(self, name: str, **labels: str) -> int:
        """The sum of a counter (its short name) over all series that have these labels."""
        return int(
            sum(
                sample.value
                for metric in self.registry.collect()
                if metric.name == f"streamer_{name}"
                for sample in metric.samples
                if sample.name.endswith("_total") and labels.items() <= sample.labels.items()
            )
        )
