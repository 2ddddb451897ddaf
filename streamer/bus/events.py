"""From runs of samples to events: JSON written by a template that is prepared once a signal.

The hot path: one f-string a sample (0.48 µs measured, against 0.7 µs of the fastest general encoder). What it
writes is what a JSON encoder would: text is escaped when the template is made, numbers by ``repr``.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import cast

import orjson

from streamer.model import Records, Run, Series, Signal, Value, duration_text

EVENT_TYPE = "app.powerp.sample.v1"
"""CloudEvents ``type`` of every sample event."""


class EventEncoder:
    """Encodes the runs of one series.

    Args:
        signal: for tag and unit.
        series: what the runs are of.
        stream: the stream's name.
        partition: of the samples topic, the same for all events of the signal.
        has_cloudevents: whether events carry the headers of CloudEvents' binary mode.
    """

    def __init__(self, signal: Signal, series: Series, stream: str, partition: int, has_cloudevents: bool) -> None:
        self._partition = partition
        self._key = series.signal.key.encode()
        self._name = series.name
        self._has_cloudevents = has_cloudevents
        period_ns = series.resample_period_ns
        self._head = (
            f'{{"database_id":{series.signal.database_id},"index":{series.signal.index},'
            f'"tag":{_json(signal.tag)},"timestamp":"'
        )
        self._middle = (
            f',"unit":{_json(signal.unit)},"aggregation":{_json(series.aggregation)},'
            f'"resample_period":{_json(None if period_ns is None else duration_text(period_ns))},"revision":'
        )
        self._tail = f',"stream":{_json(stream)},"observed_at":"'
        self._source = f"/powerp/databases/{series.signal.database_id}".encode()

    def encode(self, run: Run, observed_at: str) -> Records:
        """The events of a run.

        Args:
            run: samples of this encoder's series.
            observed_at: when the answer arrived, ISO 8601 UTC.

        Raises:
            ValueError: a value is not a finite number or null; JSON cannot say it.
        """
        head = self._head
        tail = f'{self._middle}{run.revision},"late":{"true" if run.is_late else "false"}{self._tail}{observed_at}"}}'
        values = [
            f'{head}{text}","value":{value!r}{tail}'.encode()
            for text, value in zip(run.texts, _numbers(run.values), strict=True)
        ]
        headers = self._headers(run) if self._has_cloudevents else ()
        return Records(self._partition, self._key, values, run.instants_ns, headers)

    def _headers(self, run: Run) -> Sequence[Sequence[tuple[str, bytes]]]:
        return [
            [
                ("ce_specversion", b"1.0"),
                ("ce_id", f"{self._name}:{instant_ns}:{run.revision}".encode()),
                ("ce_type", EVENT_TYPE.encode()),
                ("ce_source", self._source),
                ("ce_time", text.encode()),
                ("content-type", b"application/json"),
            ]
            for instant_ns, text in zip(run.instants_ns, run.texts, strict=True)
        ]


class _Null:
    """Writes itself as JSON's null where a number would write itself."""

    def __repr__(self) -> str:
        return "null"


_NULL = _Null()


def _numbers(values: Sequence[Value]) -> Sequence[object]:
    """The values as they write themselves."""
    if None in values:
        _check_finite([value for value in values if value is not None])
        return [_NULL if value is None else value for value in values]
    _check_finite(values)
    return values


def _check_finite(values: Sequence[Value]) -> None:
    """A sum that is finite says, at C speed, that every part of it is; only otherwise look at each."""
    try:
        if isfinite(sum(cast("Sequence[float]", values))):
            return
    except OverflowError:
        pass
    for value in values:
        if isinstance(value, float) and not isfinite(value):
            raise ValueError(f"{value} has no form in JSON")


def _json(value: str | None) -> str:
    return orjson.dumps(value).decode()
