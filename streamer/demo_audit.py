"""What the demo published, held against the simulator's truth."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import aclosing

import msgspec

from streamer.bus.records import Record
from streamer.config import Settings
from streamer.ledger.codec import PLACE_PREFIX, PlaceRecord, decode_place
from streamer.ledger.intervals import punched
from streamer.model import Hole, Interval, Series, SignalId, Value
from streamer.simulator.audit import Bound, Published, Verdict, audit
from streamer.simulator.world import World
from streamer.source.instants import parse_instant
from streamer.wiring import Parts, assembled


class _Event(msgspec.Struct):
    database_id: int
    index: int
    timestamp: str
    value: Value
    revision: int


_decode = msgspec.json.Decoder(_Event).decode


async def audited(settings: Settings, world: World, start_ns: int) -> Verdict:
    """Everything that is on the bus against everything that the world has shown since ``start_ns``."""
    async with assembled(settings) as parts:
        places = await places_of(parts)
        async with aclosing(parts.bus.read("samples", last=None, follow=False)) as records:
            published = [event async for event in _published(records)]
    overlaps = {stream.name: stream.overlap for stream in settings.streams}
    return audit(world, published, bounds_of(places, overlaps, start_ns))


async def places_of(parts: Parts) -> list[PlaceRecord]:
    """How far all groups are, as stored."""
    places: list[PlaceRecord] = []
    for shard in range(parts.settings.bus.shards):
        state = await parts.bus.read_state(shard)
        places += (decode_place(key, value) for key, value in state.items() if key.startswith(PLACE_PREFIX))
    return places


async def _published(records: AsyncIterator[Record]) -> AsyncIterator[Published]:
    async for record in records:
        event = _decode(record.value)
        instant_ns, _ = parse_instant(event.timestamp)
        yield Published(SignalId(event.database_id, event.index), instant_ns, event.revision, event.value)


def bounds_of(places: Iterable[PlaceRecord], overlaps: Mapping[str, int], start_ns: int) -> dict[SignalId, list[Bound]]:
    """What the guarantee asks for at these places.

    In what is settled, all that came within the last age; from there up to the watermark, all that came within the
    overlap. Holes are still open, and nothing is said about them.

    Args:
        places: of all shards.
        overlaps: of the streams, by name.
        start_ns: where the streams began.
    """
    result: dict[SignalId, list[Bound]] = {}
    for place in places:
        age_ns, settled_ns = place.revisited[-1]
        watermark_ns = place.frontier - overlaps[place.stream]
        for at, name in enumerate(place.series):
            holes = [Interval(start, end) for position, start, end, _ in place.holes if position == at]
            series = Series.parse(name)
            result[series.signal] = [
                *(Bound(*part, age_ns) for part in _without(series, Interval(start_ns, settled_ns), holes)),
                *(
                    Bound(*part, overlaps[place.stream])
                    for part in _without(series, Interval(settled_ns, watermark_ns), holes)
                ),
            ]
    return result


def _without(series: Series, interval: Interval, holes: Iterable[Interval]) -> Iterator[Interval]:
    """The parts of an interval that lie in no hole."""
    parts = [Hole(series, interval, "")] if interval.start_ns < interval.end_ns else []
    for hole in holes:
        parts = punched(parts, hole)
    return (part.interval for part in parts)
