"""Reads what is said of the samples as a consumer does, and holds it against the samples and the ledger."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from streamer.ledger.codec import PLACE_PREFIX, PlaceRecord, decode_place
from streamer.ledger.intervals import joined, punched
from streamer.model import NS_PER_S, Hole, Interval, Series, instant_text
from streamer.source.instants import parse_instant
from tests.simulation.kafka import SAMPLES, Logged
from tests.simulation.service import Violation
from tests.simulation.shape import Shape


class Witness:
    """What a consumer of all topics knows.

    Checked at each commit: the catalogue names what the ledger holds for the configuration. A completeness event says
    what the ledger says, and every sample before its watermark lies before ``samples_end``. What was told to be open,
    less what was told to be healed, is what the ledger has written down as told.
    """

    def __init__(self, shape: Shape) -> None:
        self._shape = shape
        self._positions: dict[tuple[int, str, int], list[tuple[int, int]]] = defaultdict(list)
        self._places: dict[tuple[int, bytes], PlaceRecord] = {}
        self._open: dict[str, list[Hole]] = defaultdict(list)
        self._published: dict[bytes, dict[str, str]] = {}
        self.statements = 0
        self.transitions = 0

    def committed(self, changes: Mapping[bytes, bytes | None], records: Iterable[Logged], shard: int) -> None:
        """A transaction counts from now on. Raises Violation."""
        for key, value in changes.items():
            if key.startswith(PLACE_PREFIX):
                self._places.pop((shard, key), None)
                if value is not None:
                    self._places[shard, key] = decode_place(key, value)
        statements = []
        for record in records:
            value = orjson.loads(record.value or b"null")
            if record.topic == SAMPLES:
                position = record.offset, _instant(value["timestamp"])
                self._positions[shard, value["stream"], record.partition].append(position)
            elif record.topic == "completeness":
                statements.append(value)
            elif record.topic == "gaps":
                self._gap(value)
            else:
                self._signal(record.key, value)
        for statement in statements:
            self._check_samples(statement, shard)
            self._check_figures(statement, shard)
        for (one, key), place in self._places.items():
            if one == shard and key in changes:
                self._check_told(place)

    def forgotten(self, shard: int) -> None:
        """The state of a shard was lost: what it has told is told again."""
        for where, place in list(self._places.items()):
            if where[0] == shard:
                del self._places[where]
                for name in place.series:
                    self._open.pop(name, None)
                    self._published.pop(Series.parse(name).signal.key.encode(), None)

    def forget(self, before_ns: int) -> None:
        """Samples before an instant have been seen long ago."""
        for where, samples in self._positions.items():
            self._positions[where] = [one for one in samples if one[1] >= before_ns]

    def _signal(self, key: bytes, value: dict[str, Any] | None) -> None:
        if value is None:
            del self._published[key]
            return
        labels = (
            (one["stream"], "raw" if one["aggregation"] is None else f"{one['aggregation']}@{one['resample_period']}")
            for one in value["series"]
        )
        published = {f"{key.decode()}:{label}": stream for stream, label in labels}
        if self._published.get(key) == published:
            raise Violation(f"signal {key.decode()} was told twice")
        self._published[key] = published

    def _gap(self, event: dict[str, Any]) -> None:
        self.transitions += 1
        label = "raw" if event["aggregation"] is None else f"{event['aggregation']}@{event['resample_period']}"
        name = f"{event['database_id']}:{event['index']}:{label}"
        interval = Interval(_instant(event["start"]), _instant(event["end"]))
        if event["event"] in ("opened", "quarantined"):
            self._open[name] = joined([*self._open[name], Hole(Series.parse(name), interval, event["cause"])])
        else:
            self._open[name] = punched(self._open[name], interval)

    def _check_samples(self, event: dict[str, Any], shard: int) -> None:
        self.statements += 1
        watermark_ns = _instant(event["watermark"])
        ends = {int(partition): end for partition, end in event["samples_end"].items()}
        if {partition % self._shape.shards for partition in ends} != {shard}:
            raise Violation(f"{_about(event)}: of the partitions {sorted(ends)}")
        for (one, stream, partition), positions in self._positions.items():
            if (one, stream) != (shard, event["stream"]):
                continue
            for offset, instant_ns in positions[bisect_left(positions, (ends[partition],)) :]:
                if instant_ns < watermark_ns:
                    raise Violation(
                        f"{_about(event)}: a sample at {partition}/{offset} is not before {ends[partition]}"
                    )

    def _check_figures(self, event: dict[str, Any], shard: int) -> None:
        names = {name for one in self._published.values() for name, stream in one.items() if stream == event["stream"]}
        places = [
            place for (one, _), place in self._places.items() if one == shard and not names.isdisjoint(place.series)
        ]
        frontier_ns = min(place.frontier for place in places)
        holes = sorted(
            (start_ns, end_ns, *map(int, place.series[at].split(":")[:2]), cause)
            for place in places
            for at, start_ns, end_ns, cause in place.holes
        )
        wanted = {
            "signals": sum(len(place.series) for place in places),
            "frontier": instant_text(frontier_ns),
            "watermark": instant_text(frontier_ns - self._shape.overlap_s * NS_PER_S),
            "settled": instant_text(min(place.revisited[-1][1] for place in places)),
        }
        listed = sorted(
            (_instant(one["start"]), _instant(one["end"]), one["database_id"], one["index"], one["cause"])
            for one in event["holes"]
        )
        if any(event[key] != value for key, value in wanted.items()) or listed != holes:
            raise Violation(f"{_about(event)}: {event} and not {wanted} with {holes}")

    def _check_told(self, place: PlaceRecord) -> None:
        told: dict[str, list[Hole]] = {name: [] for name in place.series}
        for at, start_ns, end_ns, cause in place.holes if place.told is None else place.told:
            name = place.series[at]
            told[name].append(Hole(Series.parse(name), Interval(start_ns, end_ns), cause))
        for name, holes in told.items():
            known, written = (_intervals(some) for some in (self._open[name], holes))
            if known != written:
                raise Violation(f"gaps of {name}: {known} are open, and not {written}")


def _intervals(holes: list[Hole]) -> list[Interval]:
    return [hole.interval for hole in joined(holes)]


def _instant(text: str) -> int:
    return parse_instant(text)[0]


def _about(event: dict[str, Any]) -> str:
    return f"completeness of {event['stream']}:{event['shard']} at {event['at']}"
