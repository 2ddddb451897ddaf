"""The catalogue: an entry costs at most itself, a text at most its own place."""

from __future__ import annotations

import json
import math

import pytest

from streamer.errors import QueryFailed
from streamer.model import SignalId
from streamer.source.catalogue_wire import LONGEST_TEXT, MOST_BYTES, catalogue_request, decode_catalogue
from tests.unit.source.fakes import NOON_NS


def test_the_catalogue_is_read_with_its_nulls() -> None:
    assert catalogue_request().path == "v1/measurements"
    full = {
        "id": 1,
        "databaseId": 7,
        "name": "Active power",
        "description": "d",
        "tag": "U1/P",
        "index": 1001,
        "dataType": "float",
        "minValue": 0.0,
        "maxValue": math.pi,
        "unitSymbol": "MW",
        "firstDataPoint": "2026-01-16T12:00:00",
        "defaultAgg": "mean",
    }
    bare = {"databaseId": 7, "index": 1002, "name": None, "tag": 3, "firstDataPoint": "0001-01-01T00:00:00"}
    first, second = decode_catalogue(json.dumps([full, bare, {"name": "of nobody"}, 5]).encode())
    assert first.id == SignalId(7, 1001)
    assert (first.name, first.tag, first.unit, first.default_aggregation) == ("Active power", "U1/P", "MW", "mean")
    assert (first.description, first.first_instant_ns) == ("d", NOON_NS)
    assert second.id == SignalId(7, 1002)
    assert (second.name, second.tag, second.unit, second.first_instant_ns) == (None, None, None, None)


def test_a_catalogue_that_is_no_array_is_a_failed_query() -> None:
    with pytest.raises(QueryFailed):
        decode_catalogue(b"{}")


def entry(index: int = 1, **fields: str) -> bytes:
    """An entry whose fields are written as given."""
    written = "".join(f',"{name}":{text}' for name, text in fields.items())
    return f'{{"databaseId":7,"index":{index}{written}}}'.encode("utf-8", "surrogatepass")


BAD_TEXTS = ['"\udfff"', "5", "[[]]", '{"a":1}', "9" * 6_000, "1e999"]


@pytest.mark.parametrize("field", ["name", "tag", "unitSymbol", "description", "defaultAgg", "firstDataPoint"])
@pytest.mark.parametrize("text", BAD_TEXTS, ids=lambda text: text[:8].encode("ascii", "backslashreplace").decode())
def test_a_text_that_cannot_be_read_is_null_and_costs_neither_its_entry_nor_the_next(field: str, text: str) -> None:
    bad, good = decode_catalogue(b"[" + entry(1, **{field: text}) + b"," + entry(2, tag='"U1/P"') + b"]")
    assert (bad.name, bad.tag, bad.unit, bad.description) == (None, None, None, None)
    assert (bad.default_aggregation, bad.first_instant_ns) == (None, None)
    assert (good.id.index, good.tag) == (2, "U1/P")


def test_a_text_may_hold_anything_that_is_text() -> None:
    [signal] = decode_catalogue(b"[" + entry(tag='"a\\n\\u001b\\u202e\\u0000\\ud83d\\ude00"') + b"]")
    assert signal.tag == "a\n\x1b\u202e\x00\N{GRINNING FACE}"


def test_half_of_a_surrogate_pair_is_a_replacement_character() -> None:
    [signal] = decode_catalogue(b"[" + entry(tag='"U1\\ud800/P"') + b"]")
    assert signal.tag == "U1\ufffd/P"


def test_an_entry_that_is_nested_past_reading_costs_only_itself() -> None:
    deep = entry(1, name="[" * 50_000 + "]" * 50_000)
    assert [signal.id.index for signal in decode_catalogue(b"[" + deep + b"," + entry(2) + b"]")] == [2]


def test_a_control_character_that_json_forbids_is_a_blank() -> None:
    [signal] = decode_catalogue(b"[" + entry(tag='"U1\n\x1bP"') + b"]")
    assert signal.tag == "U1  P"


def test_a_long_text_is_cut_since_every_event_repeats_it() -> None:
    [signal] = decode_catalogue(b"[" + entry(tag='"' + "x" * 500_000 + '"') + b"]")
    assert signal.tag == "x" * LONGEST_TEXT


@pytest.mark.parametrize("name", ["a:b", "mean@1s", "mean\\n", "", "1st", "a/b", "x" * 33])
def test_a_function_whose_name_is_none_is_null_since_identities_are_made_of_it(name: str) -> None:
    [signal] = decode_catalogue(b"[" + entry(defaultAgg=f'"{name}"') + b"]")
    assert signal.default_aggregation is None


@pytest.mark.parametrize("index", ["9223372036854775808", "1" * 400, "true", "1.5", '"1"', "null"])
def test_an_entry_whose_index_no_service_could_mean_is_left_out(index: str) -> None:
    bad = b'{"databaseId":7,"index":' + index.encode() + b"}"
    assert [signal.id.index for signal in decode_catalogue(b"[" + bad + b"," + entry(2) + b"]")] == [2]


def test_a_catalogue_that_memory_has_no_room_for_is_a_failed_query() -> None:
    rows = b",".join(entry(index) for index in range(MOST_BYTES // 200))
    with pytest.raises(QueryFailed, match="memory"):
        decode_catalogue(b"[" + rows + b"]")
