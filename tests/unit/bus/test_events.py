"""Events: what the template writes is what a JSON encoder would."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.bus.events import EVENT_TYPE, EventEncoder
from streamer.model import NS_PER_MS, NS_PER_S, Run, Series, Signal, SignalId, Value

RAW = Series(SignalId(123, 1001))
MEAN = Series(SignalId(123, 1001), "mean", 200 * NS_PER_MS)
OBSERVED = "2026-01-16T10:00:01.113Z"
INSTANT_NS = 1_768_557_600 * NS_PER_S


def encoder(
    series: Series = RAW, *, has_cloudevents: bool = False, tag: str | None = "U1/P", unit: str | None = "MW"
) -> EventEncoder:
    signal = Signal(series.signal, tag=tag, unit=unit)
    return EventEncoder(signal, series, "turbines", 3, has_cloudevents)


def run(*values: Value, revision: int = 0, is_late: bool = False, series: Series = RAW) -> Run:
    instants = [INSTANT_NS + at * NS_PER_S for at in range(len(values))]
    texts = [f"2026-01-16T10:00:{at:02d}.2Z" for at in range(len(values))]
    return Run(series, revision, is_late, instants, texts, list(values))


def events(encoder: EventEncoder, run: Run) -> list[Any]:
    return [json.loads(value) for value in encoder.encode(run, OBSERVED).values]


def test_an_event_is_the_one_of_the_contract() -> None:
    records = encoder(MEAN).encode(run(12.5, series=MEAN), OBSERVED)
    assert records.values == [
        b'{"database_id":123,"index":1001,"tag":"U1/P","timestamp":"2026-01-16T10:00:00.2Z","value":12.5,'
        b'"unit":"MW","aggregation":"mean","resample_period":"200ms","revision":0,"late":false,'
        b'"stream":"turbines","observed_at":"2026-01-16T10:00:01.113Z"}'
    ]
    assert (records.partition, records.key, list(records.timestamps_ns)) == (3, b"123:1001", [INSTANT_NS])
    assert not records.headers


def test_a_raw_event_has_neither_aggregation_nor_period() -> None:
    [event] = events(encoder(), run(1.5))
    assert (event["aggregation"], event["resample_period"]) == (None, None)


def test_revision_and_lateness_are_those_of_the_run() -> None:
    [first], [second] = events(encoder(), run(1.5, is_late=True)), events(encoder(), run(1.5, revision=7))
    assert (first["revision"], first["late"]) == (0, True)
    assert (second["revision"], second["late"]) == (7, False)


@given(st.lists(st.one_of(st.none(), st.integers(), st.floats(allow_nan=False, allow_infinity=False)), min_size=1))
def test_every_value_reads_back_exactly(values: list[Value]) -> None:
    run = Run(RAW, 0, False, range(len(values)), ["2026-01-16T10:00:00Z"] * len(values), values)
    read = [event["value"] for event in events(encoder(), run)]
    assert read == values
    assert [type(value) for value in read] == [type(value) for value in values]


@given(st.text(st.characters(exclude_categories=["Cs"])), st.text(st.characters(exclude_categories=["Cs"])))
def test_any_tag_and_unit_is_escaped(tag: str, unit: str) -> None:
    [event] = events(encoder(tag=tag, unit=unit), run(1))
    assert (event["tag"], event["unit"]) == (tag, unit)


def test_a_signal_without_tag_and_unit_says_null() -> None:
    [event] = events(encoder(tag=None, unit=None), run(1))
    assert (event["tag"], event["unit"]) == (None, None)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("others", [(), (1.0, 2.0), (None, 3)])
def test_a_value_that_json_cannot_say_is_never_written(value: float, others: tuple[Value, ...]) -> None:
    with pytest.raises(ValueError, match="has no form in JSON"):
        encoder().encode(run(*others, value), OBSERVED)


def test_a_sum_that_overflows_is_no_reason_to_refuse() -> None:
    values: list[Value] = [1e308, 1e308, 10**400]
    assert [event["value"] for event in events(encoder(), run(*values))] == values


def test_cloudevents_are_in_binary_mode_with_an_identity_of_their_own() -> None:
    records = encoder(MEAN, has_cloudevents=True).encode(run(1.5, 2.5, revision=2, series=MEAN), OBSERVED)
    assert [dict(headers) for headers in records.headers] == [
        {
            "ce_specversion": b"1.0",
            "ce_id": f"123:1001:mean@200ms:{INSTANT_NS + at * NS_PER_S}:2".encode(),
            "ce_type": EVENT_TYPE.encode(),
            "ce_source": b"/powerp/databases/123",
            "ce_time": f"2026-01-16T10:00:{at:02d}.2Z".encode(),
            "content-type": b"application/json",
        }
        for at in range(2)
    ]
