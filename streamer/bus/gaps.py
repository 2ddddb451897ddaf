"""Gap events: what became of an interval of a series that is missing among the samples. Pure."""

from __future__ import annotations

import orjson

from streamer.model import Notice, Transition, duration_text, instant_text


def encode(transition: Transition, at_ns: int) -> Notice:
    """The event of one transition, by the host's wall clock."""
    event, stream, hole = transition
    signal, period_ns = hole.series.signal, hole.series.resample_period_ns
    value = {
        "event": event,
        "database_id": signal.database_id,
        "index": signal.index,
        "stream": stream,
        "aggregation": hole.series.aggregation,
        "resample_period": None if period_ns is None else duration_text(period_ns),
        "start": instant_text(hole.interval.start_ns),
        "end": instant_text(hole.interval.end_ns),
        "cause": hole.cause,
        "at": instant_text(at_ns),
    }
    return Notice("gaps", signal.key.encode(), orjson.dumps(value), at_ns)
