"""What the simulated API answers: windows and JSON, written fast, as an answer can have a million rows.

Pure: the world, a question and the time give the bytes of a body.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from itertools import chain, groupby, zip_longest
from typing import Any

import orjson

from streamer.model import NS_PER_S
from streamer.simulator.questions import LatestQuestion, RangeQuestion, Refusal
from streamer.simulator.tapes import INSTANT_STEP_NS, Number, Sample
from streamer.simulator.world import Database, World

CACHED_TEXTS = 200_000

_FIRST_LOOK_NS = 60 * NS_PER_S


def _mean(values: Sequence[Number]) -> Number:
    return sum(values) / len(values)


def _last(values: Sequence[Number]) -> Number:
    return values[-1]


_FUNCTIONS: dict[str, Callable[[Sequence[Number]], Number]] = {
    "mean": _mean,
    "last": _last,
    "max": max,
    "min": min,
    "sum": sum,
}


class _InstantTexts(dict[int, str]):
    """Instants as the API writes them, without the zone; signals of one plant share theirs."""

    def __missing__(self, instant_ns: int) -> str:
        seconds, fraction_ns = divmod(instant_ns, NS_PER_S)
        digits = f".{fraction_ns // INSTANT_STEP_NS:07d}".rstrip("0") if fraction_ns >= INSTANT_STEP_NS else ""
        text = self[instant_ns] = _second_text(seconds) + digits
        return text


_TEXTS = _InstantTexts()


@lru_cache
def _second_text(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def database_of(world: World, database_id: int) -> Database:
    """The database that a question is about.

    Raises:
        Refusal: 404.
    """
    database = world.databases.get(database_id)
    if database is None:
        raise Refusal(404, "Not Found", f"Database {database_id} does not exist.", "unknown_database")
    return database


def range_answer(world: World, question: RangeQuestion, now_ns: int, missing: Collection[int] = ()) -> bytes:
    """The answer to ``v1/query``.

    Args:
        world: what there is.
        question: what is asked for.
        now_ns: the time of the service.
        missing: signals to leave out.

    Raises:
        Refusal: 404.
    """
    database = database_of(world, question.database_id)
    start_ns, end_ns, window_ns = question.start_time, question.end_time, question.window_ns
    columns = []
    for index in question.indexes:
        if index not in missing:
            samples = world.visible(database.id, index, start_ns, end_ns, now_ns)
            if window_ns is not None:
                samples = aggregated(samples, start_ns, window_ns, question.aggregation)
            columns.append((index, samples))
    return _body(database, columns)


def latest_answer(world: World, question: LatestQuestion, now_ns: int, missing: Collection[int] = ()) -> bytes:
    """The answer to ``v1/query/latest``; arguments and errors as for ``range_answer``."""
    database = database_of(world, question.database_id)
    first_ns = max(question.start_time or 0, world.first_ns)
    end_ns = now_ns + 1 if question.end_time is None else min(question.end_time, now_ns + 1)
    columns = [
        (index, _newest(world, database.id, index, first_ns, end_ns, now_ns))
        for index in question.indexes
        if index not in missing
    ]
    return _body(database, columns)


def databases_answer(world: World) -> bytes:
    """The answer to ``v1/databases``."""
    return _json(
        {"id": database.id, "name": database.name, "connectionId": database.id, "powerPlantId": database.id}
        for database in world.databases.values()
    )


def measurements_answer(world: World) -> bytes:
    """The answer to ``v1/measurements``: the signals of all databases."""
    signals = [signal for database in world.databases.values() for signal in database.signals]
    first = f"{_TEXTS[world.first_ns]}Z"
    return _json(
        {
            "id": number,
            "databaseId": signal.id.database_id,
            "name": signal.name,
            "description": signal.description,
            "tag": signal.tag,
            "index": signal.id.index,
            "dataType": signal.data_type,
            "minValue": float(signal.minimum),
            "maxValue": float(signal.maximum),
            "unitSymbol": signal.unit,
            "firstDataPoint": first,
            "defaultAgg": signal.default_aggregation,
        }
        for number, signal in enumerate(signals, 1)
    )


def aggregated(samples: Sequence[Sample], start_ns: int, window_ns: int, aggregation: str) -> list[Sample]:
    """One sample a window of the epoch's grid, at the window's start; windows without samples are left out.

    The historian clips the windows to the range: the first is stamped with ``start_ns`` when that lies inside of
    it, and the last has only what the range holds of it.
    """
    function = _FUNCTIONS[aggregation]
    return [
        Sample(max(window * window_ns, start_ns), function([value for _, value in inside]))
        for window, inside in groupby(samples, lambda sample: sample[0] // window_ns)
    ]


def _newest(world: World, database_id: int, index: int, first_ns: int, end_ns: int, now_ns: int) -> list[Sample]:
    look_ns = _FIRST_LOOK_NS
    while first_ns < end_ns:
        start_ns = max(end_ns - look_ns, first_ns)
        if samples := world.visible(database_id, index, start_ns, end_ns, now_ns):
            return samples[-1:]
        end_ns = start_ns
        look_ns *= 2
    return []


def _body(database: Database, columns: Iterable[tuple[int, list[Sample]]]) -> bytes:
    between = 'Z","value":' if database.has_zone else '","value":'
    written = [_rows(f'{{"index":{index},"timestamp":"', between, samples) for index, samples in columns if samples]
    if len(_TEXTS) > CACHED_TEXTS:
        _TEXTS.clear()
    rows = filter(None, chain.from_iterable(zip_longest(*written))) if database.is_interleaved else chain(*written)
    return f"[{','.join(rows)}]".encode()


def _rows(before: str, between: str, samples: Sequence[Sample]) -> list[str]:
    values = orjson.dumps([value for _, value in samples])[1:-1].decode().split(",")
    texts = [_TEXTS[instant_ns] for instant_ns, _ in samples]
    return [f"{before}{text}{between}{value}}}" for text, value in zip(texts, values, strict=True)]


def _json(entries: Iterable[dict[str, Any]]) -> bytes:
    return orjson.dumps(list(entries))
