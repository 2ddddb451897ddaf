"""Signal events: the catalogue of the signals that are published, one record a signal, the newest counts. Pure."""

from __future__ import annotations

from collections.abc import Iterable

import orjson

from streamer.model import Notice, Series, Signal, duration_text, instant_text


def encode(signal: Signal, series: Iterable[tuple[str, Series]]) -> bytes:
    """The value of a signal's event: always the same for the same arguments.

    Args:
        signal: what the API's catalogue says of it.
        series: those of it that are published, each with the name of its stream.
    """
    first_ns = signal.first_instant_ns
    value = {
        "database_id": signal.id.database_id,
        "index": signal.id.index,
        "name": signal.name,
        "tag": signal.tag,
        "description": signal.description,
        "unit": signal.unit,
        "default_aggregation": signal.default_aggregation,
        "first_sample": None if first_ns is None else instant_text(first_ns),
        "series": [_published(stream, one) for stream, one in sorted(series, key=lambda pair: (pair[0], pair[1].name))],
    }
    return orjson.dumps(value)


def notice(key: str, value: bytes | None, at_ns: int) -> Notice:
    """The event; without a value the signal is published no more."""
    return Notice("signals", key.encode(), value, at_ns)


def _published(stream: str, series: Series) -> dict[str, str | None]:
    period_ns = series.resample_period_ns
    return {
        "stream": stream,
        "aggregation": series.aggregation,
        "resample_period": None if period_ns is None else duration_text(period_ns),
    }
