"""What the daemon counts, each with its meaning. One ``Metrics`` a process; labels are bounded, never a signal."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

COMMIT_SECONDS_BUCKETS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
"""A commit on Kafka takes 5 to 8 ms; its own deadline is 5 s."""


class Metrics:
    """The counters of one process in a registry of their own.

    Attributes:
        registry: what ``/metrics`` shows.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.published = self._counter("samples_published", "Events of revision 0, committed.", "stream")
        self.late = self._counter("samples_late", "Of those, first seen behind the watermark.", "stream")
        self.revised = self._counter("samples_revised", "Events of a later revision, committed.", "stream")
        self.nulls = self._counter("samples_null", "Null values left out (nulls: skip).", "stream")
        self.vanished = self._counter(
            "samples_vanished", "Published samples that an answer no longer showed.", "stream"
        )
        self.rejected = self._counter("rows_rejected", "Rows of answers that were dropped.", "cause")
        self.holes_opened = self._counter("holes_opened", "Intervals behind the frontier left uncovered.", "cause")
        self.requests = self._counter("requests", "Requests to the API, by lane and status.", "lane", "status")
        self.void = self._counter("answers_void", "Answers thrown away because their frontier had moved.")
        self.failed = self._counter("queries_failed", "Queries given up after their retries.", "cause")
        self.acquired = self._counter("shards_acquired", "Shards acquired and restored; more than once after faults.")
        self.fenced = self._counter("shards_fenced", "Shards that another instance wrote while this one owned them.")
        self.commit_seconds = Histogram(
            "streamer_commit_seconds",
            "Duration of a commit of events and ledger.",
            buckets=COMMIT_SECONDS_BUCKETS,
            registry=self.registry,
        )
        self.clock_skew = Gauge(
            "streamer_clock_skew_seconds",
            "Host's wall clock ahead of the service's time; NaN while that is unknown. It decides about no data.",
            registry=self.registry,
        )
        self.shards_owned = Gauge(
            "streamer_shards_owned", "Shards that this process writes now.", registry=self.registry
        )

    def _counter(self, name: str, meaning: str, *labels: str) -> Counter:
        return Counter(f"streamer_{name}", meaning, labels, registry=self.registry)

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
