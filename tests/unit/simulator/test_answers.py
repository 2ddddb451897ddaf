"""Questions and answers of the surface v1, without a socket."""

from __future__ import annotations

import json
from typing import Any

import pytest

from streamer.model import NS_PER_MS, NS_PER_S
from streamer.simulator.answers import (
    aggregated,
    databases_answer,
    latest_answer,
    measurements_answer,
    range_answer,
)
from streamer.simulator.behaviour import Behaviour
from streamer.simulator.plants import PV, SUBSTATION, SYNTHETIC, TOWER, demo_world
from streamer.simulator.questions import Refusal, read_latest_question, read_range_question
from streamer.simulator.tapes import Sample

FIRST_NS = 1_768_557_600 * NS_PER_S  # 2026-01-16T10:00:00Z
NOW_NS = FIRST_NS + 3 * 3_600 * NS_PER_S
BEHAVIOURS = dict.fromkeys((SUBSTATION, TOWER, PV, SYNTHETIC), Behaviour.prompt())
WORLD = demo_world(FIRST_NS, synthetic_signals=3, behaviours=BEHAVIOURS)
SPAN = {"startTime": "2026-01-16T11:00:00Z", "endTime": "2026-01-16T11:00:02Z"}


def body(database_id: object, *indexes: object, **more: object) -> bytes:
    return json.dumps({"databaseId": database_id, "measurementIndexes": indexes, **SPAN, **more}).encode()


def rows(written: bytes) -> list[dict[str, Any]]:
    answer = read_range_question(written)
    found: list[dict[str, Any]] = json.loads(range_answer(WORLD, answer, NOW_NS))
    return found


def latest(written: bytes, now_ns: int = NOW_NS) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(latest_answer(WORLD, read_latest_question(written), now_ns))
    return found


def refusal(written: bytes) -> Refusal:
    with pytest.raises(Refusal) as caught:
        rows(written)
    return caught.value


def test_a_range_has_its_start_and_not_its_end() -> None:
    assert [row["timestamp"] for row in rows(body(TOWER, "1001"))] == ["2026-01-16T11:00:00", "2026-01-16T11:00:01"]


def test_values_are_those_of_the_world() -> None:
    start_ns = FIRST_NS + 3_600 * NS_PER_S
    samples = WORLD.samples(SUBSTATION, 1002, start_ns, start_ns + 2 * NS_PER_S)
    assert [row["value"] for row in rows(body(SUBSTATION, "1002"))] == [value for _, value in samples]


def test_integers_are_written_as_integers() -> None:
    assert {type(row["value"]) for row in rows(body(SUBSTATION, "1001"))} == {int}


def test_timestamps_have_up_to_seven_digits() -> None:
    digits = {len(row["timestamp"].partition(".")[2].rstrip("Z")) for row in rows(body(SUBSTATION, "1001"))}
    assert digits == {7}


def test_every_other_database_leaves_the_zone_out() -> None:
    has_zone = [
        rows(body(database_id, "1001", endTime="2026-01-16T11:00:30Z"))[0]["timestamp"].endswith("Z")
        for database_id in (SUBSTATION, TOWER, PV, SYNTHETIC)
    ]
    assert has_zone == [True, False, True, False]


def test_the_tower_comes_interleaved_and_the_substation_does_not() -> None:
    assert [row["index"] for row in rows(body(TOWER, "1001", "1002"))] == [1001, 1002, 1001, 1002]
    indexes = [row["index"] for row in rows(body(SUBSTATION, "1001", "1002"))]
    assert indexes == sorted(indexes)


def test_indexes_that_are_no_integers_are_dropped() -> None:
    assert {row["index"] for row in rows(body(TOWER, "1001", "x", "", "1e3", "1_002"))} == {1001}
    assert rows(body(TOWER, "x")) == []


def test_an_index_asked_for_twice_is_answered_once() -> None:
    assert len(rows(body(TOWER, "1001", "1001"))) == 2


def test_a_signal_that_does_not_exist_is_left_out() -> None:
    assert rows(body(TOWER, "999")) == []


def test_twenty_indexes_are_answered_and_one_more_is_refused() -> None:
    assert rows(body(TOWER, *map(str, range(1001, 1021))))
    refused = refusal(body(TOWER, *map(str, range(1001, 1022))))
    assert (refused.status, refused.detail) == (400, "21 measurementIndexes were asked for; the maximum is 20.")


def test_an_unknown_database_is_refused() -> None:
    assert refusal(body(77, "1001")).status == 404


@pytest.mark.parametrize(
    "written",
    [
        b"",
        b"{",
        b"[]",
        b"\xff",
        body("2", "1001"),
        body(TOWER, 1001),
        body(TOWER, "1001", startTime=None),
        body(TOWER, "1001", startTime="2h"),
        body(TOWER, "1001", startTime="yesterday"),
        body(TOWER, "1001", endTime=SPAN["startTime"]),
        body(TOWER, "1001", windowPeriod="1x"),
        body(TOWER, "1001", windowPeriod="0s"),
        body(TOWER, "1001", aggFunction="median", windowPeriod="1s"),
    ],
)
def test_a_malformed_body_is_refused(written: bytes) -> None:
    assert refusal(written).status == 400


@pytest.mark.parametrize("start", ["2026-01-16T11:00:01", "2026-01-16T12:00:01+01:00", "2026-01-16T11:00:00.9999999Z"])
def test_instants_may_have_an_offset_a_fraction_or_no_zone(start: str) -> None:
    assert [row["timestamp"] for row in rows(body(TOWER, "1001", startTime=start))] == ["2026-01-16T11:00:01"]


def test_thirty_minutes_are_raw_and_more_are_silently_aggregated() -> None:
    assert len(rows(body(SYNTHETIC, "1001", endTime="2026-01-16T11:30:00Z"))) == 1_800 * 5
    binned = rows(body(SYNTHETIC, "1001", endTime="2026-01-16T11:30:01Z", aggFunction="max"))
    assert len(binned) == 1_801
    start_ns = FIRST_NS + 3_600 * NS_PER_S
    values = [value for _, value in WORLD.samples(SYNTHETIC, 1001, start_ns, start_ns + NS_PER_S)]
    assert binned[0]["value"] == sum(values) / 5


@pytest.mark.parametrize(
    ("aggregation", "values"),
    [("mean", [2.0, 6.0]), ("last", [3, 8]), ("max", [3, 8]), ("min", [1, 4]), ("sum", [4, 12])],
)
def test_windows_are_aggregated(aggregation: str, values: list[float]) -> None:
    samples = [Sample(1_000, 1), Sample(1_500, 3), Sample(2_000, 4), Sample(2_999, 8)]
    assert aggregated(samples, 1_000, 1_000, aggregation) == [Sample(1_000, values[0]), Sample(2_000, values[1])]


def test_windows_are_clipped_to_the_range() -> None:
    asked = body(
        SYNTHETIC,
        "1001",
        startTime="2026-01-16T11:00:00.6Z",
        endTime="2026-01-16T11:00:02.2Z",
        aggFunction="last",
        windowPeriod="1s",
    )
    raw = rows(body(SYNTHETIC, "1001", endTime="2026-01-16T11:00:03Z"))
    assert [(row["timestamp"], row["value"]) for row in rows(asked)] == [
        ("2026-01-16T11:00:00.6", raw[4]["value"]),
        ("2026-01-16T11:00:01", raw[9]["value"]),
        ("2026-01-16T11:00:02", raw[10]["value"]),
    ]


def test_windows_without_samples_are_left_out() -> None:
    asked = body(PV, "1001", endTime="2026-01-16T11:01:00Z", aggFunction="mean", windowPeriod="1s")
    assert len(rows(asked)) == 6


def test_a_window_period_without_a_function_gives_the_mean() -> None:
    both = [rows(body(SYNTHETIC, "1001", windowPeriod="1s", **more)) for more in ({}, {"aggFunction": "mean"})]
    assert both[0] == both[1] != []


def test_missing_signals_are_left_out() -> None:
    question = read_range_question(body(TOWER, "1001", "1002"))
    answer = json.loads(range_answer(WORLD, question, NOW_NS, missing={1001}))
    assert {row["index"] for row in answer} == {1002}


def test_the_newest_sample_of_each_signal_is_the_latest() -> None:
    asked = json.dumps({"databaseId": TOWER, "measurementIndexes": ["1001", "1002"]}).encode()
    assert [(row["index"], row["timestamp"]) for row in latest(asked)] == [
        (1001, "2026-01-16T13:00:00"),
        (1002, "2026-01-16T13:00:00"),
    ]


def test_the_latest_sample_is_looked_for_far_back() -> None:
    box = next(signal.id for signal in WORLD.databases[PV].signals if signal.tag == "PV.CMB-02-01")
    period_ns = 3 * 3_610 * NS_PER_S
    silent_from_ns = (FIRST_NS // period_ns + 1) * period_ns + 3_610 * NS_PER_S
    asked = json.dumps({"databaseId": PV, "measurementIndexes": [str(box.index)]}).encode()
    newest = WORLD.samples(PV, box.index, FIRST_NS, silent_from_ns)[-1]
    assert [row["value"] for row in latest(asked, silent_from_ns + 3_500 * NS_PER_S)] == [newest.value]


def test_the_latest_sample_keeps_to_its_bounds() -> None:
    assert [row["timestamp"] for row in latest(body(TOWER, "1001"))] == ["2026-01-16T11:00:01"]
    assert latest(body(TOWER, "1001", startTime="2026-01-16T13:00:01Z", endTime=None)) == []


def test_the_latest_sample_of_a_signal_that_does_not_exist_is_none() -> None:
    assert latest(body(TOWER, "7")) == []


def test_missing_signals_have_no_latest_sample() -> None:
    question = read_latest_question(body(TOWER, "1001", "1002"))
    assert {row["index"] for row in json.loads(latest_answer(WORLD, question, NOW_NS, missing={1001}))} == {1002}


def test_a_signal_with_a_fraction_anywhere_is_no_integer() -> None:
    types = {entry["tag"]: entry["dataType"] for entry in json.loads(measurements_answer(WORLD))}
    assert (types["STJ.Fuse1"], types["STJ.PT100Global"]) == ("int", "float")


def test_the_catalogue_shows_every_signal() -> None:
    catalogue = json.loads(measurements_answer(WORLD))
    assert len(catalogue) == len({(entry["databaseId"], entry["index"]) for entry in catalogue}) == 14 + 26 + 60 + 3
    assert catalogue[1] == {
        "id": 2,
        "databaseId": 1,
        "name": "FREQ",
        "description": "frequency",
        "tag": "SHELBY.FREQ",
        "index": 1002,
        "dataType": "float",
        "minValue": 59.95,
        "maxValue": 59.984,
        "unitSymbol": "Hz",
        "firstDataPoint": "2026-01-16T10:00:00Z",
        "defaultAgg": "mean",
    }


def test_databases_are_listed() -> None:
    assert json.loads(databases_answer(WORLD))[1] == {"id": 2, "name": "tower", "connectionId": 2, "powerPlantId": 2}


def test_an_answer_shows_what_has_arrived() -> None:
    slow = {**BEHAVIOURS, TOWER: Behaviour(usual_delay_ns=300 * NS_PER_MS)}
    world = demo_world(FIRST_NS, behaviours=slow)
    question = read_range_question(body(TOWER, "1001"))
    second_ns = FIRST_NS + 3_601 * NS_PER_S
    shown = [json.loads(range_answer(world, question, second_ns + age_ns)) for age_ns in (299_999_999, 300_000_000)]
    assert [len(answer) for answer in shown] == [1, 2]
