"""What is said of a metric. Its labels are bounded: by the configuration, the code or HTTP, never by the signals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

PREFIX = "streamer_"

Section = Literal["Freshness", "Completeness", "Samples", "API", "Bus", "Ledger", "Process"]
Unit = Literal["seconds", "bytes", "samples", "rows", "holes", "series", "shards", "requests", "queries", "answers", ""]

LABELS = {
    "stream": "name of a configured stream",
    "cause": "a short literal of the code: why a hole is open, a row was dropped, a query or a token failed",
    "lane": "what a request is for: live, revisit, repair, catch_up, backfill",
    "status": "HTTP status of the answer, or the kind of error where there was none",
    "doubt": "why an answer had to be proved: length, rows, cap, grid, turn",
    "outcome": "proved or refuted",
    "version": "of this program",
    "python": "version of Python",
    "bus": "kafka or sqlite",
}
"""Every label, and what bounds it."""


@dataclass(frozen=True, slots=True)
class Definition:
    """One metric.

    Attributes:
        name: without the prefix, and without the suffix that Prometheus gives to a counter.
        unit: the last word of the name where it is a base unit of Prometheus; empty for a flag.
        remedy: what to do when it is bad.
        across: how the values of several processes become one.
        buckets: upper bounds of a histogram, ascending, without infinity.
    """

    section: Section
    name: str
    kind: Literal["counter", "gauge", "histogram"]
    unit: Unit
    labels: tuple[str, ...]
    meaning: str
    remedy: str
    across: Literal["sum", "max", "min"] = "sum"
    buckets: tuple[float, ...] = ()

    @property
    def full_name(self) -> str:
        """As the Python client calls it."""
        return PREFIX + self.name

    @property
    def exposed_names(self) -> tuple[str, ...]:
        """As queries call its series."""
        suffixes = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}
        return tuple(self.full_name + suffix for suffix in suffixes[self.kind])
