"""A spread knows of each quantile between which edges it lies, and fills its buckets by runs."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.model import NS_PER_MS, NS_PER_S, duration_text
from streamer.spread import EDGES_NS, Bucket, Spread, rounded_up

NOW_NS = 10**18
SPANS_NS = st.integers(-NS_PER_S, 40 * 86_400 * NS_PER_S)


def instants(spans_ns: list[int]) -> list[int]:
    return sorted(NOW_NS - span_ns for span_ns in spans_ns)


def test_edges_ascend_by_a_third_at_most() -> None:
    assert all(1 < later / earlier <= 4 / 3 for earlier, later in pairwise(EDGES_NS))


def test_edges_are_written_in_a_few_characters() -> None:
    assert max(len(duration_text(edge_ns)) for edge_ns in EDGES_NS) <= 6


@given(st.lists(st.lists(SPANS_NS, min_size=1, max_size=60), min_size=1, max_size=4), st.floats(0.01, 1))
def test_a_quantile_lies_in_its_bucket(runs: list[list[int]], share: float) -> None:
    spread = Spread()
    for run in runs:
        spread.count(instants(run), NOW_NS)
    spans_ns = sorted(span_ns for run in runs for span_ns in run)
    exact_ns = next(span_ns for at, span_ns in enumerate(spans_ns, 1) if at >= share * len(spans_ns))
    bucket = spread.quantile(share)
    assert bucket is not None
    assert bucket.above_ns < max(exact_ns, 1)
    assert bucket.at_most_ns is None or exact_ns <= bucket.at_most_ns


@given(st.lists(st.integers(0, 20_000), min_size=1, max_size=300))
def test_a_run_counts_as_its_samples_do(spans_ms: list[int]) -> None:
    whole, single = Spread(), Spread()
    run = instants([span_ms * NS_PER_MS for span_ms in spans_ms])
    whole.count(run, NOW_NS)
    for instant_ns in run:
        single.count([instant_ns], NOW_NS)
    assert whole.counts == single.counts


@given(st.lists(SPANS_NS, min_size=1, max_size=20), st.integers(1, 5))
def test_times_are_repetitions(spans_ns: list[int], times: int) -> None:
    once, again = Spread(), Spread()
    once.count(instants(spans_ns), NOW_NS, times)
    for _ in range(times):
        again.count(instants(spans_ns), NOW_NS)
    assert once.counts == again.counts


def test_what_was_counted_since_is_the_difference() -> None:
    spread = Spread()
    spread.count([NOW_NS - NS_PER_S], NOW_NS)
    earlier = spread.copy()
    spread.count([NOW_NS - 60 * NS_PER_S], NOW_NS)
    assert spread.since(earlier).quantile(0.01) == Bucket(50 * NS_PER_S, 60 * NS_PER_S)
    assert earlier.total == 1


def test_nothing_has_no_quantile() -> None:
    assert Spread().quantile(0.99) is None


def test_past_the_last_edge_nothing_is_known_but_that() -> None:
    spread = Spread()
    spread.count([0], NOW_NS)
    assert spread.quantile(0.5) == Bucket(EDGES_NS[-1], None)


@pytest.mark.parametrize(("span_s", "edge_s"), [(1, 1), (41, 50), (0, 0.01), (86_400 * 31, None)])
def test_a_span_is_rounded_up_to_an_edge(span_s: int, edge_s: float | None) -> None:
    assert rounded_up(span_s * NS_PER_S) == (None if edge_s is None else int(edge_s * NS_PER_S))
