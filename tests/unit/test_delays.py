"""A histogram filled by runs says what one filled sample by sample would say."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram

from streamer.delays import Delays
from streamer.metric_types import Definition
from streamer.model import NS_PER_MS, NS_PER_S

DEFINITION = Definition(
    *("Freshness", "delay_seconds", "histogram", "seconds", ("stream",)), "A delay.", "", buckets=(0.25, 1, 2, 10)
)
NOW_MS = 60_000


def buckets(of: Histogram | Delays) -> dict[str, float]:
    """Cumulative counts by upper bound, and the sum."""
    registry = CollectorRegistry()
    registry.register(of)
    (family,) = registry.collect()
    return {
        sample.labels.get("le", "sum"): round(sample.value, 6)
        for sample in family.samples
        if sample.name.endswith(("_bucket", "_sum"))
    }


@given(st.lists(st.lists(st.integers(0, NOW_MS), min_size=1).map(sorted), min_size=1))
def test_runs_are_counted_as_their_samples_would_be(runs: list[list[int]]) -> None:
    delays = Delays(DEFINITION)
    expected = Histogram("streamer_delay_seconds", "A delay.", ("stream",), buckets=DEFINITION.buckets, registry=None)
    for run in runs:
        delays.observe("pv", [at * NS_PER_MS for at in run], NOW_MS * NS_PER_MS)
        for at in run:
            expected.labels("pv").observe((NOW_MS - at) / 1000)
    assert buckets(delays) == buckets(expected)


def test_a_delay_of_a_bound_counts_below_it() -> None:
    delays = Delays(DEFINITION)
    delays.observe("pv", [8 * NS_PER_S], 10 * NS_PER_S)
    assert buckets(delays) == {"0.25": 0, "1.0": 0, "2.0": 1, "10.0": 1, "+Inf": 1, "sum": 2}


def test_samples_that_are_ahead_have_no_delay() -> None:
    delays = Delays(DEFINITION)
    delays.observe("pv", [11 * NS_PER_S, 12 * NS_PER_S], 10 * NS_PER_S)
    assert buckets(delays) == {"0.25": 2, "1.0": 2, "2.0": 2, "10.0": 2, "+Inf": 2, "sum": 0}


def test_streams_are_apart() -> None:
    delays = Delays(DEFINITION)
    delays.observe("pv", [0], NS_PER_S)
    delays.observe("tower", [0, 0], NS_PER_S)
    (family,) = delays.collect()
    assert {sample.labels["stream"]: sample.value for sample in family.samples if sample.name.endswith("_count")} == {
        "pv": 1,
        "tower": 2,
    }


def test_the_counts_of_a_stream_can_be_read_bucket_by_bucket() -> None:
    delays = Delays(DEFINITION)
    assert delays.bounds_s == (0.25, 1, 2, 10)
    assert list(delays.counts("turbines")) == [0, 0, 0, 0, 0]
    delays.observe("turbines", [1 * NS_PER_S, 11 * NS_PER_S, 13 * NS_PER_S], 14 * NS_PER_S)
    assert list(delays.counts("turbines")) == [0, 1, 0, 1, 1]
