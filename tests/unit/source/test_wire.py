"""Answers are checked, never assumed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.errors import QueryFailed
from streamer.model import NS_PER_S, Answer, Interval, Value, instant_text
from streamer.source.wire import MOST_ROWS, decode_answer, query_request
from tests.unit.source.fakes import NOON_NS, body_of, query_for


def row(index: object, offset_ms: int, value: object) -> dict[str, object]:
    return {"index": index, "timestamp": instant_text(NOON_NS + offset_ms * 1_000_000), "value": value}


def read(rows: Sequence[dict[str, object]], *indexes: int) -> Answer:
    return decode_answer(body_of(rows), query_for(*indexes), 5)


rows_of_points = st.lists(
    st.tuples(
        st.integers(min_value=1, max_value=3),
        st.integers(min_value=-2_000, max_value=62_000),
        st.none() | st.integers() | st.floats(allow_nan=False, allow_infinity=False),
    )
)


@given(rows_of_points)
def test_rows_in_any_order_give_ascending_columns_with_the_last_of_each_instant(
    points: list[tuple[int, int, Value]],
) -> None:
    answer = read([row(*point) for point in points], 1, 2)
    expected: dict[int, dict[int, Value]] = {}
    for index, offset_ms, value in points:
        if index in (1, 2) and 0 <= offset_ms < 60_000:
            expected.setdefault(index, {})[NOON_NS + offset_ms * 1_000_000] = value
    assert set(answer.columns) == set(expected)
    for index, samples in expected.items():
        column = answer.columns[index]
        assert list(column.instants_ns) == sorted(samples)
        assert [repr(value) for value in column.values] == [repr(samples[instant]) for instant in column.instants_ns]
        assert list(column.texts) == [instant_text(instant) for instant in column.instants_ns]
    assert answer.rejected.get("foreign_index", 0) == sum(index == 3 for index, _, _ in points)
    assert answer.unreadable == frozenset()


def test_the_window_is_half_open() -> None:
    answer = read([row(1, -1, 0), row(1, 0, 1), row(1, 59_999, 2), row(1, 60_000, 3)], 1)
    assert answer.columns[1].values == [1, 2]
    assert answer.rejected == {"out_of_range": 2}


def test_a_signal_of_which_nothing_lies_in_the_window_is_absent() -> None:
    answer = read([row(1, 60_000, 3)], 1)
    assert answer.columns == {}
    assert answer.rejected == {"out_of_range": 1}


def test_integers_never_pass_through_a_float() -> None:
    values = [2**53 + 1, -(2**63), 2**64 - 1, 2**64, 1, 1.0]
    column = read([row(1, at, value) for at, value in enumerate(values)], 1).columns[1]
    assert [repr(value) for value in column.values] == [repr(value) for value in values]


def test_an_answer_remembers_when_it_came() -> None:
    assert read([], 1).received_wall_ns == 5


def test_texts_are_utc_with_the_sources_digits() -> None:
    rows: list[dict[str, object]] = [
        {"index": 1, "timestamp": "2026-01-16T12:00:00.2000000", "value": 1},
        {"index": 1, "timestamp": "2026-01-16T14:00:01.5+02:00", "value": 2},
        {"index": 1, "timestamp": "2026-01-16T12:00:02Z", "value": 3},
    ]
    column = read(rows, 1).columns[1]
    assert column.texts == ["2026-01-16T12:00:00.2000000Z", "2026-01-16T12:00:01.5Z", "2026-01-16T12:00:02Z"]
    assert column.instants_ns == [NOON_NS + 200_000_000, NOON_NS + 1_500_000_000, NOON_NS + 2_000_000_000]


@pytest.mark.parametrize(
    "bad",
    [
        '{"index":1,"timestamp":"2026-01-16T12:00:01Z"}',
        '{"index":1,"value":2}',
        '{"index":1,"timestamp":"yesterday","value":2}',
        '{"index":1,"timestamp":17,"value":2}',
        '{"index":1,"timestamp":"2026-01-16T12:00:01Z","value":"2"}',
        '{"index":1,"timestamp":"2026-01-16T12:00:01Z","value":true}',
        '{"index":1,"timestamp":"2026-01-16T12:00:01Z","value":1e400}',
        '{"index":1,"timestamp":"2026-01-16T12:00:01Z","value":Infinity}',
        '{"index":1,"timestamp":"2026-01-16T12:00:01Z","value":' + "9" * 6_000 + "}",
    ],
)
def test_a_row_that_cannot_be_read_costs_only_its_signal(bad: str) -> None:
    good = json.dumps([row(1, 0, 1), row(2, 0, 2)])[1:-1]
    answer = decode_answer(f"[{bad},{good}]".encode(), query_for(1, 2), 0)
    assert answer.unreadable == {1}
    assert answer.rejected == {"unreadable": 1}
    assert answer.columns[1].values == [1]
    assert answer.columns[2].values == [2]


@pytest.mark.parametrize("bad", ['{"timestamp":"2026-01-16T12:00:01Z","value":1}', '{"index":"1"}', "null", "17", "[]"])
def test_a_row_of_nobody_casts_doubt_on_every_signal(bad: str) -> None:
    answer = decode_answer(f"[{bad}]".encode(), query_for(1, 2), 0)
    assert answer.unreadable == {1, 2}
    assert answer.rejected == {"unreadable": 1}


def test_an_unreadable_row_of_a_foreign_signal_casts_no_doubt() -> None:
    answer = decode_answer(b'[{"index":9,"timestamp":"?","value":"?"}]', query_for(1), 0)
    assert answer.unreadable == frozenset()
    assert answer.rejected == {"foreign_index": 1}


def test_a_text_that_is_not_unicode_costs_only_its_signal() -> None:
    body = b'[{"index":1,"timestamp":"\xff","value":1},' + body_of([row(2, 0, 2)])[1:]
    answer = decode_answer(body, query_for(1, 2), 0)
    assert answer.unreadable == {1}
    assert answer.columns[2].values == [2]


@pytest.mark.parametrize("written", ["NaN", '"NaN"', "null"])
def test_not_a_number_is_a_null(written: str) -> None:
    body = f'[{{"index":1,"timestamp":"2026-01-16T12:00:01Z","value": {written} }}]'.encode()
    answer = decode_answer(body, query_for(1), 0)
    assert answer.columns[1].values == [None]
    assert answer.rejected == {}


@pytest.mark.parametrize(
    "body",
    [b"", b"{}", b'"x"', b"null", b"<html>", b"[", b'[{"index":1', b"[1 2]", b"\xff", b"[" * 200_000 + b"]" * 200_000],
)
def test_a_broken_body_is_a_failed_query_never_an_empty_one(body: bytes) -> None:
    with pytest.raises(QueryFailed):
        decode_answer(body, query_for(1), 0)


@given(st.binary(max_size=80))
def test_no_body_breaks_the_decoder(body: bytes) -> None:
    with suppress(QueryFailed):
        decode_answer(b"[" + body + b"]", query_for(1), 0)


def test_a_raw_query_names_signals_as_strings_and_no_function() -> None:
    request = query_request(query_for(1001, 1002))
    assert (request.method, request.path) == ("POST", "v1/query")
    assert request.body is not None
    assert json.loads(request.body.get_secret_value()) == {
        "databaseId": 7,
        "measurementIndexes": ["1001", "1002"],
        "startTime": "2026-01-16T12:00:00Z",
        "endTime": "2026-01-16T12:01:00Z",
    }


def test_a_resampled_query_names_function_and_period() -> None:
    window = Interval(NOON_NS + 200_000_000, NOON_NS + NS_PER_S)
    request = query_request(query_for(1, window=window, aggregation="mean", resample_period_ns=200_000_000))
    assert request.body is not None
    body = json.loads(request.body.get_secret_value())
    assert (body["aggFunction"], body["windowPeriod"]) == ("mean", "200ms")
    assert (body["startTime"], body["endTime"]) == ("2026-01-16T12:00:00.2Z", "2026-01-16T12:00:01Z")


def many(count: int) -> bytes:
    """So many rows of signal 1, each at an instant of its own."""
    return body_of([row(1, at, at) for at in range(count)])


def test_an_answer_in_several_pieces_is_read_as_one() -> None:
    answer = decode_answer(many(45_000), query_for(1), 0)
    assert len(many(45_000)) > 2_500_000
    assert list(answer.columns[1].values) == list(range(45_000))


def test_an_answer_has_no_more_rows_than_a_commit_takes() -> None:
    foreign = b'{"index":9,"timestamp":"","value":0}'
    body = b"[" + b",".join([foreign] * (MOST_ROWS + 1)) + b"]"
    with pytest.raises(QueryFailed, match="100000 rows"):
        decode_answer(body, query_for(1), 0)


@pytest.mark.parametrize("bad", [b"0", b"{}", b'{"index":1,"timestamp":"?","value":0}'])
def test_rows_that_cannot_be_read_count_as_well(bad: bytes) -> None:
    body = b"[" + b",".join([bad] * (MOST_ROWS + 1)) + b"]"
    with pytest.raises(QueryFailed, match="100000 rows"):
        decode_answer(body, query_for(1), 0)


@pytest.mark.parametrize(
    "bad",
    [
        b'{"index":1,"timestamp":"2026-01-16T12:00:01Z","value":tru}',
        b'{"index":1,"timestamp":"2026-01-16T12:00:01Z","value":}',
        b'{"index":1,"x":' + b"[" * 50_000 + b"]" * 50_000 + b"}",
        b'{"index":1,"timestamp":"\\ud800","value":1}',
        b'{"index" : 1,"timestamp":"2026-01-16T12:00:01Z","value":0x10}',
    ],
)
def test_a_row_that_is_no_json_costs_only_the_signal_that_it_names(bad: bytes) -> None:
    answer = decode_answer(b"[" + bad + b"," + body_of([row(2, 0, 2)])[1:], query_for(1, 2), 0)
    assert answer.unreadable == {1}
    assert answer.rejected == {"unreadable": 1}
    assert answer.columns[2].values == [2]


@pytest.mark.parametrize(
    "bad",
    [
        b'{"index":1,"x":{"index":2},"value":tru}',
        b'{"index":1,"timestamp":"2026,"value":1},{"index":2,"timestamp":"2026-01-16T12:00:01Z","value":1}',
        b'{"index":12345678901234567890,"value":tru}',
        b'{"index":"' + b"x" * 2_000_000 + b'"}',
    ],
)
def test_a_row_that_may_be_anybodys_casts_doubt_on_every_signal(bad: bytes) -> None:
    answer = decode_answer(b"[" + bad + b"]", query_for(1, 2), 0)
    assert answer.unreadable == {1, 2}
