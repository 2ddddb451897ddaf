"""Queries of the v1 surface on the wire: field names, bodies of requests, decoding of answers.

Called by ``client``; nothing here asks, waits or logs. ``decode_answer`` is the hot path: rows are
decoded once into typed structs and run along their signal; only a body that fails that is read row by row.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import islice
from operator import lt
from typing import Final, NamedTuple

import msgspec
from pydantic import SecretStr

from streamer.errors import OVERSIZE, QueryFailed
from streamer.model import Answer, Column, Interval, Query, Value, duration_text, instant_text
from streamer.source.instants import InstantCache, InvalidInstant
from streamer.source.rows import Uncut, mended, pieces, rows
from streamer.source.transport import Body, Request

FOREIGN_INDEX = "foreign_index"
OUT_OF_RANGE = "out_of_range"
UNREADABLE = "unreadable"

MOST_ROWS: Final = 100_000
"""Rows of an answer: what one commit takes, and less than 32 MiB of memory. Windows aim at less than half of it."""

BATCH_ROWS = 10_000
"""Rows that are held as structs before they are run along their signals."""

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


_POINTS = msgspec.json.Decoder(list[Point])
_LOOSE_POINT = msgspec.json.Decoder(_LoosePoint)
_POINT_INDEX = msgspec.json.Decoder(_PointIndex)
_INSTANTS = InstantCache()
_WRITTEN_INDEX = re.compile(rb'"index"\s*+:\s*+(-?\d{1,18})\s*+[,}]')


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


def decode_answer(body: Body, query: Query, received_wall_ns: int) -> Answer:
    """Read and check the answer to a query. Of two rows for one instant of a signal the last wins.

    Args:
        body: a flat JSON array of points, in any order.
        query: only its signals and its window are let in; anything else is dropped and counted.
        received_wall_ns: the host's wall clock at arrival.

    Raises:
        QueryFailed: the body is not a JSON array, or has more than ``MOST_ROWS`` rows.
    """
    gathered = _Gathered(query)
    try:
        for piece in pieces(body):
            gathered.take(_POINTS.decode(piece))
    except (*_MALFORMED, InvalidInstant, Uncut):
        gathered = _Gathered(query)
        _read_row_by_row(body, gathered)
    return gathered.answer(received_wall_ns)


class _Gathered:
    """What was read of an answer so far, run along its signals."""

    def __init__(self, query: Query) -> None:
        self._asked = frozenset(series.signal.index for series in query.series)
        self._window = query.asked
        self._columns: dict[int, _Rows] = {}
        self._rejected: Counter[str] = Counter()
        self._unreadable: set[int] = set()
        self._rows = 0

    def take(self, points: Sequence[Point]) -> None:
        """More rows. Raises InvalidInstant, and is then of no use any more."""
        self._count(len(points))
        grouped: defaultdict[int, list[Point]] = defaultdict(list)
        for point in points:
            grouped[point.index].append(point)
        try:
            for index, rows_of_one in grouped.items():
                if index not in self._asked:
                    self._rejected[FOREIGN_INDEX] += len(rows_of_one)
                elif index in self._columns:
                    self._columns[index].extend(_Rows.of(rows_of_one))
                else:
                    self._columns[index] = _Rows.of(rows_of_one)
        finally:
            _INSTANTS.trim()

    def miss(self, index: int | None) -> None:
        """A row that cannot be read, and whose it is; without that it may be anybody's."""
        self._count(1)
        self._rejected[UNREADABLE if index is None or index in self._asked else FOREIGN_INDEX] += 1
        self._unreadable.update(self._asked if index is None else self._asked.intersection((index,)))

    def answer(self, received_wall_ns: int) -> Answer:
        """All of it, checked."""
        columns = {}
        for index, rows_of_one in self._columns.items():
            column, dropped = _clipped(rows_of_one.column(), self._window)
            if dropped:
                self._rejected[OUT_OF_RANGE] += dropped
            if column.instants_ns:
                columns[index] = column
        return Answer(columns, frozenset(self._unreadable), dict(self._rejected), received_wall_ns)

    def _count(self, rows_more: int) -> None:
        self._rows += rows_more
        if self._rows > MOST_ROWS:
            what = f"The answer has more than {MOST_ROWS} rows."
            raise QueryFailed(what, "Ask for a shorter window or fewer signals.", status=200, kind=OVERSIZE)


class _Rows(NamedTuple):
    """Rows of one signal in the order they came."""

    instants_ns: list[int]
    texts: list[str]
    values: list[Value]

    @classmethod
    def of(cls, points: list[Point]) -> _Rows:
        texts = [point.timestamp for point in points]
        values: list[Value] = [point.value for point in points]
        return cls(_INSTANTS.instants(texts), _INSTANTS.event_texts(texts), values)

    def extend(self, more: _Rows) -> None:
        self.instants_ns.extend(more.instants_ns)
        self.texts.extend(more.texts)
        self.values.extend(more.values)

    def column(self) -> Column:
        """Ascending, of two rows for one instant the later."""
        instants_ns, texts, values = self
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


def _read_row_by_row(body: Body, gathered: _Gathered) -> None:
    """Take in the rows that can be read, and whose the others are."""
    points: list[Point] = []
    for row in rows(body):
        point = _point_of(row)
        if point is None:
            gathered.miss(_index_of(row))
            continue
        points.append(point)
        if len(points) == BATCH_ROWS:
            gathered.take(points)
            points = []
    gathered.take(points)


def _point_of(row: bytes) -> Point | None:
    for text in (row, mended(row)):
        try:
            loose = _LOOSE_POINT.decode(text)
            _INSTANTS[loose.timestamp]  # as good as parsed: the column reads it from there
            return Point(loose.index, loose.timestamp, _value(loose.value))
        except (*_MALFORMED, ValueError):
            continue
    return None


def _value(value: int | float | str | None) -> Value:
    """A NaN is a null: events cannot write it, and the policy for both is the same."""
    if not isinstance(value, str):
        return value
    if value == "NaN":
        return None
    raise ValueError(value)


def _index_of(row: bytes) -> int | None:
    """Whose a row is that cannot be read: what it says in so many words, once. None in any doubt."""
    try:
        return _POINT_INDEX.decode(row).index
    except _MALFORMED:
        pass
    written = _WRITTEN_INDEX.findall(row)
    return int(written[0]) if len(written) == 1 and row.count(b"index") == 1 else None
