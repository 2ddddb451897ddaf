"""The rows of an array are found whatever they are, and cutting changes nothing."""

from __future__ import annotations

import json
from contextlib import suppress

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.errors import QueryFailed
from streamer.source import rows as room
from streamer.source.rows import LONGEST_ROW_BYTES, MOST_TOKENS, Uncut, mended, pieces, rows

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.text(), VALUES, max_size=4)
LISTS = st.lists(st.text() | st.integers() | st.none(), max_size=3)
ARRAYS = st.lists(OBJECTS | LISTS | st.text() | st.integers() | st.booleans())


@given(ARRAYS, st.sampled_from([None, 1, "\t"]), st.booleans())
def test_the_rows_of_an_array_are_those_that_json_finds(array: list[object], indent: int | str, is_ascii: bool) -> None:
    body = json.dumps(array, indent=indent, ensure_ascii=is_ascii).encode("utf-8", "surrogatepass")
    assert [json.loads(row) for row in rows(body)] == json.loads(body)
    assert list(rows(memoryview(body))) == list(rows(body))


@given(st.binary(max_size=60))
def test_no_body_breaks_the_search_for_rows(body: bytes) -> None:
    for text in (body, b"[" + body, b"[{" + body + b"}]", b'[{"a":[' + body + b"]}]"):
        with suppress(QueryFailed):
            list(rows(text))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"{}",
        b"[",
        b"]",
        b"[1 2]",
        b"[1,]",
        b"[,1]",
        b"[1]]",
        b"[1]x",
        b'["a]',
        b'[{"a":"b]',
        b"[[[1]]]",
        b"[{]",
    ],
)
def test_what_is_no_array_of_rows_is_a_failed_query(body: bytes) -> None:
    with pytest.raises(QueryFailed, match="not a JSON array"):
        list(rows(body))


@given(st.lists(st.dictionaries(st.sampled_from(["a", "b}", "},{"]), VALUES, min_size=1, max_size=3), max_size=30))
def test_pieces_that_can_all_be_read_hold_what_the_array_holds(array: list[object]) -> None:
    body = json.dumps(array).encode()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(room, "PIECE_BYTES", 20)
        try:
            read = [row for piece in pieces(body) for row in msgspec.json.decode(piece)]
        except (Uncut, msgspec.DecodeError):
            return
    assert read == msgspec.json.decode(body)


def test_a_long_array_of_points_is_cut() -> None:
    body = json.dumps([{"index": 1, "timestamp": "2026-01-16T12:00:00Z", "value": 1}] * 50_000).encode()
    assert max(map(len, pieces(body))) <= 2 * room.PIECE_BYTES + 2
    assert sum(len(msgspec.json.decode(piece)) for piece in pieces(body)) == 50_000


def test_a_long_array_without_objects_is_not_cut() -> None:
    with pytest.raises(Uncut):
        list(pieces(b"[" + b"0," * 2_000_000 + b"0]"))


def test_a_row_that_is_too_long_is_empty_and_the_next_is_not() -> None:
    assert list(rows(b'["' + b"x" * LONGEST_ROW_BYTES + b'",1]')) == [b"", b"1"]


def test_a_nested_row_is_found_however_deep_it_is() -> None:
    deep = b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    assert list(rows(b"[" + deep + b",1]")) == [deep, b"1"]


def test_brackets_without_number_are_a_failed_query() -> None:
    with pytest.raises(QueryFailed):
        list(rows(b'[{"x":[' + b"[]," * MOST_TOKENS + b"[]]}]"))


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (b'{"v":NaN}', b'{"v":null}'),
        (b'{"v": NaN ,"w":1}', b'{"v": null ,"w":1}'),
        (b'{"v":-Infinity}', b'{"v":"-Infinity"}'),
        (b'{"v":"a\x1b\nb"}', b'{"v":"a  b"}'),
        (b'{"v":"\\ud800"}', b'{"v":"\\ufffd"}'),
        (b'{"v":"\\uDC00 \\ud83d\\ude00\\ud83d"}', b'{"v":"\\ufffd \\ud83d\\ude00\\ufffd"}'),
    ],
)
def test_what_lenient_encoders_write_is_mended(written: bytes, meant: bytes) -> None:
    assert mended(written) == meant
