"""What is printed: records, ledgers, the catalogue and findings, for people and for programs."""

from __future__ import annotations

import json

import pytest

from streamer.bus.records import Record
from streamer.check import Finding
from streamer.config import Settings
from streamer.errors import EXIT_CONFIGURATION, ConfigurationError, LedgerUntrusted
from streamer.ledger.codec import HEAD, Digest, PlaceRecord, encode_head, encode_place, memory_key, place_key, sealed
from streamer.model import NS_PER_S, Signal, SignalId
from streamer.roster import call_roll
from streamer.show import (
    StoredStream,
    print_findings,
    print_record,
    print_signals,
    print_status,
    stored_streams,
)

NOON_NS = 1_768_564_800 * NS_PER_S
"""2026-01-16T12:00:00Z."""

EVENT = {
    "database_id": 7,
    "index": 1,
    "tag": "U1/P",
    "timestamp": "2026-01-16T12:00:00.2Z",
    "value": 12.5,
    "unit": "MW",
    "revision": 0,
    "late": False,
}
ESCAPE = "\x1b[31m"
STREAM = StoredStream("turbines", 20, 2, "2026-01-16T12:00:00.2Z", "2026-01-16T11:58:00Z", 4.25, 2, 90.5)

Capture = pytest.CaptureFixture[str]


def record_of(value: bytes, key: str | None = "7:1", headers: dict[str, str] | None = None) -> Record:
    return Record("samples", 3, 42, key, headers or {}, value, NOON_NS)


def printed(capsys: Capture, record: Record, *, is_table: bool = False) -> str:
    print_record(record, is_table)
    return capsys.readouterr().out


def row(capsys: Capture, **changes: object) -> str:
    """The columns of an event for people."""
    return printed(capsys, record_of(json.dumps(EVENT | changes).encode()), is_table=True)


def test_a_record_is_a_line_of_json_with_exactly_these_fields(capsys: Capture) -> None:
    line = printed(capsys, record_of(b'{"value":12.5}', headers={"ce_type": "sample"}))
    assert line.endswith("}\n")
    assert json.loads(line) == {
        "topic": "samples",
        "partition": 3,
        "offset": 42,
        "key": "7:1",
        "headers": {"ce_type": "sample"},
        "value": {"value": 12.5},
    }


@pytest.mark.parametrize("value", [b'{"value":1.0}', b'{"value":123456789012345678901234567890}', b"null"])
def test_the_value_of_a_record_keeps_every_digit(value: bytes, capsys: Capture) -> None:
    assert printed(capsys, record_of(value)).endswith(f',"value":{value.decode()}}}\n')


def test_a_record_without_key_and_value_is_a_line_of_json(capsys: Capture) -> None:
    assert json.loads(printed(capsys, record_of(b"", key=None))) == {
        "topic": "samples",
        "partition": 3,
        "offset": 42,
        "key": None,
        "headers": {},
        "value": None,
    }


def test_a_row_shows_instant_tag_value_and_unit(capsys: Capture) -> None:
    assert row(capsys).split() == ["2026-01-16T12:00:00.2Z", "U1/P", "12.5", "MW"]


def test_a_row_shows_the_key_of_a_signal_without_a_tag(capsys: Capture) -> None:
    assert row(capsys, tag=None).split()[1] == "7:1"


def test_a_row_without_a_unit_ends_with_the_value(capsys: Capture) -> None:
    assert row(capsys, unit=None).endswith(" 12.5\n")


@pytest.mark.parametrize(
    ("changes", "mark"),
    [({"late": True}, "late"), ({"revision": 2}, "rev 2"), ({"revision": 1, "late": True}, "rev 1")],
)
def test_a_row_marks_what_came_late_or_was_revised(changes: dict[str, object], mark: str, capsys: Capture) -> None:
    assert row(capsys, **changes).endswith(f"MW         {mark}\n")


def test_a_row_has_no_control_character_of_others(capsys: Capture) -> None:
    text = row(capsys, tag=f"U1{ESCAPE}\n", unit="M\u202eW")
    assert text.isascii()
    assert text.count("\n") == 1
    assert "U1\\x1b[31m\\n" in text


def place_of(stream: str, *series: str, frontier_s: int, revisited_s: list[int], holes_s: list[int]) -> PlaceRecord:
    """A place, in seconds after noon; the holes, in seconds of length, follow each other in the first series."""
    holes = [(0, 0, length_s * NS_PER_S, "absent") for length_s in holes_s]
    return PlaceRecord(
        stream=stream,
        database_id=7,
        series=list(series),
        frontier=NOON_NS + frontier_s * NS_PER_S,
        revisited=[(age, NOON_NS + at_s * NS_PER_S) for age, at_s in enumerate(revisited_s, 1)],
        floor=0,
        holes=holes,
    )


def state_of(*places: PlaceRecord, shard: int = 0) -> tuple[int, int, dict[bytes, bytes]]:
    """The state records of one of two shards."""
    records = {place_key(f"{place.stream}/raw/{at}"): encode_place(place) for at, place in enumerate(places)}
    records[memory_key(1, 0)] = b"not looked at"
    head = sealed(Digest.of(records), sequence=1, shard=shard, shards=2, partitions=12, owner="one")
    return shard, 2, records | {HEAD: encode_head(head)}


def test_a_stored_stream_is_as_far_as_its_last_group() -> None:
    states = [
        state_of(place_of("turbines", "7:1:raw", "7:2:raw", frontier_s=60, revisited_s=[40, 20], holes_s=[3])),
        state_of(
            place_of("turbines", "7:3:raw", frontier_s=50, revisited_s=[45, 30], holes_s=[]),
            place_of("turbines", "7:4:raw", frontier_s=70, revisited_s=[65, 35], holes_s=[1, 2]),
            shard=1,
        ),
    ]
    (stream,) = stored_streams(states, NOON_NS + 62 * NS_PER_S + 400_000)
    assert stream == StoredStream(
        stream="turbines",
        series=4,
        groups=3,
        frontier="2026-01-16T12:00:50Z",
        settled="2026-01-16T12:00:20Z",
        lag_s=12.0,
        holes=3,
        hole_s=6.0,
    )


def test_stored_streams_come_by_name() -> None:
    places = [
        place_of(name, f"7:{index}:raw", frontier_s=1, revisited_s=[0], holes_s=[])
        for index, name in enumerate(("tower", "pv", "substation"))
    ]
    assert [stream.stream for stream in stored_streams([state_of(*places)], NOON_NS)] == ["pv", "substation", "tower"]


def test_a_shard_without_records_adds_nothing() -> None:
    assert stored_streams([(0, 2, {})], NOON_NS) == []


def test_a_stored_ledger_that_misses_a_record_is_not_believed() -> None:
    _, _, records = state_of(place_of("turbines", "7:1:raw", frontier_s=1, revisited_s=[0], holes_s=[]), shard=1)
    del records[memory_key(1, 0)]
    with pytest.raises(LedgerUntrusted, match="shard 1 does not match its record 'head'"):
        stored_streams([(1, 2, records)], NOON_NS)


def test_a_stored_ledger_of_another_number_of_shards_is_not_believed() -> None:
    _, _, records = state_of(place_of("turbines", "7:1:raw", frontier_s=1, revisited_s=[0], holes_s=[]))
    with pytest.raises(ConfigurationError, match="written with 2"):
        stored_streams([(0, 4, records)], NOON_NS)


def test_the_status_for_programs_is_one_line_of_json(capsys: Capture) -> None:
    print_status([STREAM], as_json=True)
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    assert json.loads(out) == [
        {
            "stream": "turbines",
            "series": 20,
            "groups": 2,
            "frontier": "2026-01-16T12:00:00.2Z",
            "settled": "2026-01-16T11:58:00Z",
            "lag_s": 4.25,
            "holes": 2,
            "hole_s": 90.5,
        }
    ]


def test_the_status_for_people_has_a_row_a_stream(capsys: Capture) -> None:
    print_status([STREAM], as_json=False)
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "turbines" in line]
    assert " ".join(line.split()) == "turbines 20 2026-01-16 12:00:00 2026-01-16 11:58:00 4.2 s 2 (90.5 s)"


SIGNALS = [
    Signal(SignalId(7, 1), name="P", tag="[red]U1/P[/]", unit="MW", default_aggregation="mean"),
    Signal(SignalId(7, 2), tag=f"U1/Q{ESCAPE}"),
]
SETTINGS = Settings.model_validate(
    {
        "source": {"client_id": "id", "client_secret": "secret"},
        "streams": [{"name": "turbines", "database_id": 7, "signals": [1]}],
    }
)


def test_signals_for_programs_are_a_line_of_json_each(capsys: Capture) -> None:
    print_signals(SIGNALS, call_roll(SETTINGS, SIGNALS), as_json=True)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        {
            "database_id": 7,
            "index": 1,
            "tag": "[red]U1/P[/]",
            "name": "P",
            "unit": "MW",
            "default_aggregation": "mean",
            "stream": "turbines",
        },
        {
            "database_id": 7,
            "index": 2,
            "tag": f"U1/Q{ESCAPE}",
            "name": None,
            "unit": None,
            "default_aggregation": None,
            "stream": None,
        },
    ]


def test_signals_for_people_show_text_of_others_as_text(capsys: Capture) -> None:
    print_signals(SIGNALS, call_roll(SETTINGS, SIGNALS), as_json=False)
    out = capsys.readouterr().out
    assert "2 signals" in out
    (first,) = [line for line in out.splitlines() if "U1/P" in line]
    assert first.split() == ["7", "1", "[red]U1/P[/]", "P", "MW", "mean", "turbines"]
    assert "U1/Q\\x1b[31m" in out
    assert "\x1b" not in out


FINDINGS = [
    Finding("configuration", "1 streams"),
    Finding("stream [bold]x[/]", f"selects{ESCAPE} no signal", "Correct its selection.", EXIT_CONFIGURATION),
]


def test_findings_for_people_say_what_is_wrong_and_what_to_do(capsys: Capture) -> None:
    print_findings(FINDINGS, as_json=False)
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "✔ configuration 1 streams" in lines
    assert "✘ stream [bold]x[/] selects\\x1b[31m no signal" in lines
    assert "→ Correct its selection." in lines


def test_findings_for_programs_are_one_line_of_json(capsys: Capture) -> None:
    print_findings(FINDINGS, as_json=True)
    assert json.loads(capsys.readouterr().out) == [
        {"subject": "configuration", "detail": "1 streams", "remedy": "", "exit_code": 0},
        {
            "subject": "stream [bold]x[/]",
            "detail": f"selects{ESCAPE} no signal",
            "remedy": "Correct its selection.",
            "exit_code": 78,
        },
    ]


def about(topic: str, value: object, key: str = "turbines:0") -> Record:
    return Record(topic, 0, 1, key, {}, json.dumps(value).encode(), NOON_NS)


def test_a_row_of_completeness_shows_how_far_a_stream_is(capsys: Capture) -> None:
    event = {"watermark": "2026-01-16T12:00:00Z", "settled": "2026-01-16T11:58:00Z", "holes": [{}, {}]}
    assert printed(capsys, about("completeness", event), is_table=True).split() == [
        *("turbines:0", "complete", "to", "2026-01-16T12:00:00Z"),
        *("settled", "to", "2026-01-16T11:58:00Z", "2", "holes"),
    ]


def test_a_row_of_gaps_shows_what_became_of_which_interval_and_why(capsys: Capture) -> None:
    event = {"event": "healed", "start": "2026-01-16T12:00:00Z", "end": "2026-01-16T12:00:05Z", "cause": "absent"}
    text = printed(capsys, about("gaps", event | {"at": "2026-01-16T12:01:00Z"}, "7:1"), is_table=True)
    assert text.split() == [
        *("2026-01-16T12:01:00Z", "healed", "7:1"),
        *("2026-01-16T12:00:00Z", "2026-01-16T12:00:05Z", "absent"),
    ]


def test_a_row_of_signals_shows_the_streams_of_a_signal_or_that_it_is_gone(capsys: Capture) -> None:
    series = [{"stream": "turbines"}, {"stream": "trends"}, {"stream": "trends"}]
    event = {"tag": "U1/P", "unit": "MW", "name": None, "series": series}
    assert printed(capsys, about("signals", event, "7:1"), is_table=True).split() == [
        *("7:1", "U1/P", "MW", "turbines,", "trends")
    ]
    assert printed(capsys, about("signals", None, "7:1"), is_table=True).split() == ["7:1", "gone"]
