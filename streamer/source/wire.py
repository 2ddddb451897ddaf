"""The v1 surface of the API on the wire: field names, bodies of requests, decoding of answers.

Called by ``client``; nothing here asks, waits or logs. ``decode_answer`` is the hot path: rows are
decoded once into typed structs and run along their signal; only a body that fails that is read row by row.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable
from itertools import islice
from operator import lt

import msgspec
from pydantic import SecretStr

from streamer.errors import QueryFailed
from streamer.model import Answer, Column, Interval, Query, Signal, SignalId, Value, duration_text, instant_text
from streamer.source.instants import InstantCache, InvalidInstant, parse_instant
from streamer.source.transport import Request

FOREIGN_INDEX = "foreign_index"
OUT_OF_RANGE = "out_of_range"
UNREADABLE = "unreadable"

_MALFORMED = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class Point(msgspec.Struct, gc=False):
    """One row of an answer as it should be. ``int | float`` keeps integers exact, whatever their size."""

    index: int
    timestamp: str
    value: int | float | None


class _LoosePoint(msgspec.Struct, gc=False):
    index: int
    timestamp: str
    value: int | float | str | None


class _PointIndex(msgspec.Struct, gc=False):
    index: int


class _Measurement(msgspec.Struct):
    databaseId: int  # noqa: N815 - the API's name
    index: int
    name: object = None
    description: object = None
    tag: object = None
    unitSymbol: object = None  # noqa: N815
    firstDataPoint: object = None  # noqa: N815
    defaultAgg: object = None  # noqa: N815


_POINTS = msgspec.json.Decoder(list[Point])
_ROWS = msgspec.json.Decoder(list[msgspec.Raw])
_LOOSE_POINT = msgspec.json.Decoder(_LoosePoint)
_POINT_INDEX = msgspec.json.Decoder(_PointIndex)
_MEASUREMENT = msgspec.json.Decoder(_Measurement)
_INSTANTS = InstantCache()
_NAN = re.compile(rb"(:\s*)NaN(?=\s*[,}])")
_INFINITY = re.compile(rb"(:\s*)(-?Infinity)(?=\s*[,}])")


def query_request(query: Query) -> Request:
    """The request of a query. Without a resample period the service answers raw, up to 30 minutes."""
    first = query.series[0]
    body: dict[str, object] = {
        "databaseId": query.group.database_id,
        "measurementIndexes": [str(series.signal.index) for series in query.series],
        "startTime": instant_text(query.asked.start_ns),
        "endTime": instant_text(query.asked.end_ns),
    }
    if first.resample_period_ns is not None:
        body["aggFunction"] = first.aggregation
        body["windowPeriod"] = duration_text(first.resample_period_ns)
    return Request("POST", "v1/query", SecretStr(msgspec.json.encode(body).decode()))


def catalogue_request() -> Request:
    """The request for the catalogue of all databases."""
    return Request("GET", "v1/measurements")


def decode_catalogue(body: bytes) -> list[Signal]:
    """Read the catalogue. A text that is not text is null; an entry that names no signal is left out.

    Raises:
        QueryFailed: the body is not a JSON array.
    """
    signals = []
    for row in _rows_of(body):
        try:
            signals.append(_signal_of(_MEASUREMENT.decode(row)))
        except _MALFORMED:
            continue
    return signals


def decode_answer(body: bytes, query: Query, received_wall_ns: int) -> Answer:
    """Read and check the answer to a query. Of two rows for one instant of a signal the last wins.

    Args:
        body: a flat JSON array of points, in any order.
        query: only its signals and its window are let in; anything else is dropped and counted.
        received_wall_ns: the host's wall clock at arrival.

    Raises:
        QueryFailed: the body is not a JSON array.
    """
    try:
        return _answer(_POINTS.decode(body), [], query, received_wall_ns)
    except (*_MALFORMED, InvalidInstant):
        points, unreadable = _read_row_by_row(body)
        return _answer(points, unreadable, query, received_wall_ns)
    finally:
        _INSTANTS.trim()


def _answer(points: Iterable[Point], unreadable: list[int | None], query: Query, received_wall_ns: int) -> Answer:
    asked = frozenset(series.signal.index for series in query.series)
    rejected: Counter[str] = Counter()
    grouped: defaultdict[int, list[Point]] = defaultdict(list)
    for point in points:
        grouped[point.index].append(point)
    columns = {}
    for index, rows in grouped.items():
        if index not in asked:
            rejected[FOREIGN_INDEX] += len(rows)
            continue
        column, dropped = _clipped(_column(rows), query.asked)
        if dropped:
            rejected[OUT_OF_RANGE] += dropped
        if column.instants_ns:
            columns[index] = column
    for unread in unreadable:
        rejected[UNREADABLE if unread is None or unread in asked else FOREIGN_INDEX] += 1
    silenced = asked if None in unreadable else asked.intersection(unreadable)
    return Answer(columns, silenced, dict(rejected), received_wall_ns)


def _column(rows: list[Point]) -> Column:
    texts = [row.timestamp for row in rows]
    values: list[Value] = [row.value for row in rows]
    instants_ns = _INSTANTS.instants(texts)
    texts = _INSTANTS.event_texts(texts)
    if all(map(lt, instants_ns, islice(instants_ns, 1, None))):
        return Column(instants_ns, texts, values)
    last = {instant_ns: position for position, instant_ns in enumerate(instants_ns)}
    ascending = sorted(last)
    order = [last[instant_ns] for instant_ns in ascending]
    return Column(ascending, [texts[position] for position in order], [values[position] for position in order])


def _clipped(column: Column, window: Interval) -> tuple[Column, int]:
    instants_ns, texts, values = column
    if instants_ns[0] >= window.start_ns and instants_ns[-1] < window.end_ns:
        return column, 0
    kept = slice(bisect_left(instants_ns, window.start_ns), bisect_left(instants_ns, window.end_ns))
    inside = Column(instants_ns[kept], texts[kept], values[kept])
    return inside, len(instants_ns) - len(inside.instants_ns)


def _read_row_by_row(body: bytes) -> tuple[list[Point], list[int | None]]:
    """The rows that can be read, and for each other one its index, None where even that cannot be read."""
    points: list[Point] = []
    unreadable: list[int | None] = []
    for row in _rows_of(body):
        try:
            loose = _LOOSE_POINT.decode(row)
            _INSTANTS[loose.timestamp]  # as good as parsed: the column reads it from there
            points.append(Point(loose.index, loose.timestamp, _value(loose.value)))
        except (*_MALFORMED, ValueError):
            unreadable.append(_index_of(row))
    return points, unreadable


def _rows_of(body: bytes) -> list[msgspec.Raw]:
    try:
        return _ROWS.decode(body)
    except _MALFORMED:
        pass
    # NaN and Infinity are not JSON, yet lenient encoders write them: one such value must not cost the answer.
    mended = _INFINITY.sub(rb'\1"\2"', _NAN.sub(rb"\1null", body))
    try:
        return _ROWS.decode(mended)
    except _MALFORMED as exc:
        raise QueryFailed(f"The answer ({len(body)} bytes) is not a JSON array.", status=200) from exc


def _value(value: int | float | str | None) -> Value:
    """A NaN is a null: events cannot write it, and the policy for both is the same."""
    if not isinstance(value, str):
        return value
    if value == "NaN":
        return None
    raise ValueError(value)


def _index_of(row: msgspec.Raw) -> int | None:
    try:
        return _POINT_INDEX.decode(row).index
    except _MALFORMED:
        return None


def _signal_of(row: _Measurement) -> Signal:
    return Signal(
        id=SignalId(row.databaseId, row.index),
        name=_text(row.name),
        tag=_text(row.tag),
        unit=_text(row.unitSymbol),
        description=_text(row.description),
        default_aggregation=_text(row.defaultAgg),
        first_instant_ns=_first_instant_ns(row.firstDataPoint),
    )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _first_instant_ns(value: object) -> int | None:
    """None before the epoch: year 1 is how the service's platform writes 'never'."""
    try:
        instant_ns = parse_instant(value)[0] if isinstance(value, str) else -1
    except InvalidInstant:
        return None
    return instant_ns if instant_ns >= 0 else None
