"""Knows the truth, sees every commit, and says what the guarantee forbids."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from streamer.ledger.codec import PLACE_PREFIX, PlaceRecord, decode_place
from streamer.model import NS_PER_S, Series, Value
from streamer.source.instants import parse_instant
from tests.simulation.kafka import SAMPLES, Logged
from tests.simulation.plant import LAST_AGE_NS, PERIOD_NS, RAW, Plant
from tests.simulation.service import Service, Violation


class Event(msgspec.Struct):
    """What is looked at of an event."""

    index: int
    timestamp: str
    value: Value
    revision: int


_decode = msgspec.json.Decoder(Event).decode


class Oracle:
    """Watches one run.

    Attributes:
        chains: by index and instant the values published, in order of their revisions.
        commits: how many there were.
    """

    def __init__(self, plant: Plant, service: Service) -> None:
        self._plant = plant
        self._service = service
        self.chains: dict[tuple[int, int], list[Value]] = {}
        self.commits = 0
        self._places: dict[tuple[int, str], PlaceRecord] = {}
        self._started_ns: dict[int, int] = {}

    def committed(self, changes: Mapping[bytes, bytes | None], records: list[Logged], shard: int) -> None:
        """A transaction counts from now on. Raises Violation."""
        self.commits += 1
        for record in records:
            if record.topic == SAMPLES and record.value is not None:
                self._published(_decode(record.value))
        for key, value in changes.items():
            if key.startswith(PLACE_PREFIX) and value is not None:
                self._placed(shard, decode_place(key, value), key.decode())

    def _published(self, event: Event) -> None:
        instant_ns, _ = parse_instant(event.timestamp)
        chain = self.chains.setdefault((event.index, instant_ns), [])
        if event.revision != len(chain):
            raise Violation(f"{event.index} at {event.timestamp}: revision {event.revision} after {chain}")
        if chain and _is_same(chain[-1], event.value):
            raise Violation(f"{event.index} at {event.timestamp}: {event.value} published twice")
        if event.index in RAW:
            sample = self._plant.sample(event.index, instant_ns // NS_PER_S)
            if sample is None or sample.instant_ns != instant_ns or event.value not in (sample.first, sample.final):
                raise Violation(f"{event.index} at {event.timestamp}: {event.value} was never shown ({sample})")
        elif instant_ns % PERIOD_NS:
            raise Violation(f"{event.index} at {event.timestamp}: a window off the grid")
        chain.append(event.value)

    def _placed(self, shard: int, place: PlaceRecord, key: str) -> None:
        now_ns = self._service.now_ns() + max(0, self._service.skew_ns)
        if place.frontier > now_ns:
            raise Violation(f"{key}: the frontier is {(place.frontier - now_ns) / NS_PER_S} s ahead of the service")
        before = self._places.get((shard, key))
        if before is not None and before.series == place.series:
            if place.frontier < before.frontier:
                raise Violation(f"{key}: the frontier went back")
            self._check_settled(place, before.revisited[-1][1])
        self._places[shard, key] = place

    def _check_settled(self, place: PlaceRecord, from_ns: int) -> None:
        """What whole answers have shown of what is settled from now on must be published, or lie in a hole."""
        for at, name in enumerate(place.series):
            index = Series.parse(name).signal.index
            if index not in RAW:
                continue
            whole = self._service.first_whole.get(index, {})
            holes = [(start_ns, end_ns) for position, start_ns, end_ns, _ in place.holes if position == at]
            for sample in self._plant.raw(index, from_ns, place.revisited[-1][1]):
                shown_ns = whole.get(sample.instant_ns // NS_PER_S)
                is_due = shown_ns is not None and sample.visible_ns <= shown_ns and sample.first is not None
                in_hole = any(start_ns <= sample.instant_ns < end_ns for start_ns, end_ns in holes)
                if is_due and not in_hole and (index, sample.instant_ns) not in self.chains:
                    raise Violation(f"{name}: {sample} is settled, not published, and in no hole")

    def missing(self, starts_ns: Mapping[int, int], until_ns: int) -> list[str]:
        """What the guarantee asks for at the end, and is not there.

        Args:
            starts_ns: by index, since when it was configured.
            until_ns: everything before is settled.
        """
        guaranteed_ns = LAST_AGE_NS - max(0, self._service.skew_ns)
        found: list[str] = []
        for index, start_ns in starts_ns.items():
            expected = self._raw(index, start_ns, until_ns, guaranteed_ns)
            if index not in RAW:
                expected = self._resampled(index, start_ns, until_ns, guaranteed_ns)
            for instant_ns, allowed in expected:
                chain = self.chains.get((index, instant_ns))
                if chain is None:
                    found.append(f"{index} at {instant_ns}: lost")
                elif not any(_is_same(chain[-1], value) for value in allowed):
                    found.append(f"{index} at {instant_ns}: ends with {chain[-1]}, not one of {allowed}")
        return found

    def _raw(self, index: int, start_ns: int, end_ns: int, within_ns: int) -> Iterable[tuple[int, list[Value]]]:
        for sample in self._plant.raw(index, start_ns, end_ns):
            if sample.first is None or sample.visible_ns > sample.instant_ns + within_ns:
                continue
            is_final = sample.revised_ns is None or sample.revised_ns <= sample.instant_ns + within_ns
            yield sample.instant_ns, [sample.final] if is_final else [sample.first, sample.final]

    def _resampled(self, index: int, start_ns: int, end_ns: int, within_ns: int) -> Iterable[tuple[int, list[Value]]]:
        for window_ns in range(-(-start_ns // PERIOD_NS) * PERIOD_NS, end_ns - PERIOD_NS, PERIOD_NS):
            samples = self._plant.raw(index, window_ns, window_ns + PERIOD_NS)
            if any(one.visible_ns > window_ns + within_ns for one in samples):
                continue  # it changes once more after the last look
            if any(one.revised_ns is not None and one.revised_ns > window_ns + within_ns for one in samples):
                continue
            shown = self._plant.sums(index, window_ns, window_ns + PERIOD_NS, window_ns + LAST_AGE_NS + within_ns)
            yield from ((instant_ns, [value]) for instant_ns, value in shown)


def _is_same(one: Value, other: Value) -> bool:
    return one == other if one is not None and other is not None else one is other
