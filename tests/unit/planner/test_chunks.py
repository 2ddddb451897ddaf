"""How long a window may be."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.model import NS_PER_MS, NS_PER_S, Stream
from streamer.planner.chunks import FIRST_NS, GROWTH, RAW_LIMIT_NS, TARGET_ROWS, WARY_FOR, Chunk, Reach
from tests.unit.planner.makers import GRID, RAW, group_of

MINUTE_NS = 60 * NS_PER_S
STREAMS = st.sampled_from([RAW, GRID, replace(GRID, resample_period_ns=7 * NS_PER_MS)])
HAPPENINGS = st.lists(st.none() | st.tuples(st.floats(0.01, 1), st.integers(0, 10**7)), max_size=30)


def test_the_first_chunk_is_a_minute() -> None:
    assert Chunk.first(group_of()).span_ns == FIRST_NS == MINUTE_NS


def test_a_sparse_answer_lets_the_chunk_grow_by_a_bounded_factor() -> None:
    assert Chunk(MINUTE_NS).answered(group_of(), MINUTE_NS, 10).span_ns == GROWTH * MINUTE_NS


def test_an_answer_without_rows_lets_the_chunk_grow() -> None:
    assert Chunk(MINUTE_NS).answered(group_of(), MINUTE_NS, 0).span_ns == GROWTH * MINUTE_NS


def test_a_dense_answer_makes_the_chunk_as_long_as_gives_the_target() -> None:
    chunk = Chunk(MINUTE_NS).answered(group_of(), MINUTE_NS, 3 * TARGET_ROWS)
    assert chunk.span_ns == MINUTE_NS // 3


def test_an_answer_to_a_window_much_shorter_than_the_chunk_says_nothing() -> None:
    chunk = Chunk(MINUTE_NS)
    assert chunk.answered(group_of(), MINUTE_NS // 2 - 1, 10**6) == chunk
    assert chunk.answered(group_of(), MINUTE_NS // 2, 10**6) != chunk


def test_a_failure_halves_the_chunk() -> None:
    assert Chunk(MINUTE_NS).failed(group_of(), MINUTE_NS).span_ns == MINUTE_NS // 2


def test_a_window_shorter_than_the_chunk_that_fails_makes_the_chunk_half_of_the_window() -> None:
    assert Chunk(MINUTE_NS).failed(group_of(), 10 * NS_PER_S).span_ns == 5 * NS_PER_S


def test_after_a_failure_the_chunk_grows_by_a_quarter() -> None:
    chunk = Chunk(MINUTE_NS).failed(group_of(), MINUTE_NS)
    spans = []
    for _ in range(3):
        chunk = chunk.answered(group_of(), chunk.span_ns, 1)
        spans.append(chunk.span_ns / NS_PER_S)
    assert spans == [37.5, 46.875, 58.593]


def test_failures_in_a_row_leave_the_way_back_to_half_of_the_first_fast() -> None:
    chunk = Chunk(MINUTE_NS)
    for _ in range(4):
        chunk = chunk.failed(group_of(), chunk.span_ns)
    assert chunk.span_ns == 3750 * NS_PER_MS
    spans = []
    for _ in range(3):
        chunk = chunk.answered(group_of(), chunk.span_ns, 1)
        spans.append(chunk.span_ns / NS_PER_S)
    assert spans == [15, 30, 37.5]


def test_a_chunk_of_a_quantum_grows_again() -> None:
    chunk = Chunk(NS_PER_MS, wary_from_ns=NS_PER_MS).answered(group_of(), NS_PER_MS, 1)
    assert chunk.span_ns == 2 * NS_PER_MS


def test_many_rows_alone_never_make_the_chunk_shorter_than_twice_the_overlap() -> None:
    chunk = Chunk(MINUTE_NS).answered(group_of(), MINUTE_NS, 1000 * TARGET_ROWS)
    assert chunk.span_ns == 2 * RAW.overlap_ns


def test_the_first_chunk_of_a_long_overlap_is_twice_as_long() -> None:
    assert Chunk.first(group_of(replace(RAW, overlap_ns=5 * MINUTE_NS))).span_ns == 10 * MINUTE_NS


@pytest.mark.parametrize("stream", [RAW, GRID])
def test_a_chunk_never_gets_shorter_than_a_quantum(stream: Stream) -> None:
    chunk = Chunk.first(group_of(stream))
    for _ in range(50):
        chunk = chunk.failed(group_of(stream), chunk.span_ns)
    assert chunk.span_ns == stream.quantum_ns
    assert chunk.is_least(group_of(stream))


def test_a_raw_chunk_stays_below_what_the_service_aggregates_in_silence() -> None:
    chunk = Chunk.first(group_of())
    for _ in range(10):
        chunk = chunk.answered(group_of(), chunk.span_ns, 1)
    assert chunk.span_ns == RAW_LIMIT_NS < 30 * MINUTE_NS


def test_a_resampled_chunk_is_bounded_by_the_rows_that_it_must_have() -> None:
    group = group_of(GRID, 1, 2, 3, 4)
    chunk = Chunk.first(group)
    for _ in range(10):
        chunk = chunk.answered(group, chunk.span_ns, 1)
    assert chunk.span_ns == TARGET_ROWS // 4 * 2 * NS_PER_S


@given(STREAMS, HAPPENINGS)
def test_a_chunk_is_always_whole_quanta_that_may_be_asked_for(
    stream: Stream, happenings: list[tuple[float, int] | None]
) -> None:
    group = group_of(stream)
    chunk = Chunk.first(group)
    for happening in happenings:
        if happening is None:
            chunk = chunk.failed(group, chunk.span_ns)
        else:
            share, rows = happening
            chunk = chunk.answered(group, int(chunk.span_ns * share), rows)
        assert chunk.span_ns >= stream.quantum_ns
        assert chunk.span_ns % stream.quantum_ns == 0
        assert stream.resample_period_ns or chunk.span_ns <= RAW_LIMIT_NS


def test_a_repair_that_was_stretched_too_far_reaches_half_as_far_for_so_many_answers() -> None:
    reach = Reach().failed(60 * NS_PER_S)
    for _ in range(WARY_FOR - 1):
        assert reach.span_ns == 30 * NS_PER_S
        reach = reach.answered()
    assert reach.answered() == Reach()


def test_a_repair_reaches_as_far_as_the_service_answers_raw_as_long_as_nothing_fails() -> None:
    assert Reach().answered().span_ns == RAW_LIMIT_NS
