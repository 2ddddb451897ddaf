"""Knows the truth, sees every commit, and says what the guarantee forbids."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import msgspec

from streamer.ledger.codec import PLACE_PREFIX, PlaceRecord, decode_place
from streamer.ledger.intervals import without
from streamer.model import NS_PER_MS, NS_PER_S, Interval, Series, Value
from streamer.source.instants import parse_instant
from tests.simulation.kafka import SAMPLES, Logged
from tests.simulation.plant import RAW, Plant, Sample
from tests.simulation.service import Service, Violation
from tests.simulation.shape import Shape
from tests.simulation.shown import unasked
from tests.support.virtual_time import EPOCH_NS

START_NS = EPOCH_NS - 30 * NS_PER_S
"""Since when every series is configured, see ``shape.START``."""

ROUNDED_NS = 10 * NS_PER_MS
"""Clocks drift between a question and its commit."""


class Event(msgspec.Struct):
    """What is looked at of an event."""

    index: int
    timestamp: str
    value: Value
    revision: int
    late: bool


class Standing(NamedTuple):
    """How far a series is, as last committed."""

    frontier_ns: int = START_NS
    settled_ns: int = START_NS
    holes: tuple[Interval, ...] = ()


_decode = msgspec.json.Decoder(Event).decode


class Oracle:
    """Watches one run.

    Attributes:
        chains: by index and instant the values published, in order of their revisions.
        commits: how many there were.
        is_lost: whether state is lost, and not rebuilt yet: what is known of a series may be less than what was.
    """

    def __init__(self, plant: Plant, service: Service, shape: Shape) -> None:
        self._plant = plant
        self._service = service
        self._shape = shape
        self.chains: dict[tuple[int, int], list[Value]] = {}
        self.commits = 0
        self.is_lost = False
        self._known: set[int] = set()
        self._fresh: set[tuple[int, int]] = set()
        self._standings: dict[Series, Standing] = {}

    def committed(self, changes: Mapping[bytes, bytes | None], records: Sequence[Logged]) -> None:
        """A transaction counts from now on. Raises Violation."""
        self.commits += 1
        self._fresh.clear()
        for record in records:
            if record.topic == SAMPLES and record.value is not None:
                self._published(_decode(record.value))
        for key, value in changes.items():
            if key.startswith(PLACE_PREFIX) and value is not None:
                self._placed(decode_place(key, value))

    def forget(self, before_ns: int) -> None:
        """Samples before an instant come up no more, and are not judged in the end."""
        for key in [key for key in self.chains if key[1] < before_ns]:
            del self.chains[key]

    def _published(self, event: Event) -> None:
        instant_ns, _ = parse_instant(event.timestamp)
        about = f"{event.index} at {event.timestamp}: {event.value}"
        chain = self.chains.setdefault((event.index, instant_ns), [])
        if event.revision != len(chain):
            raise Violation(f"{about}: revision {event.revision} after {chain}")
        if chain and _is_same(chain[-1], event.value):
            raise Violation(f"{about} published twice")
        if event.index in RAW:
            sample = self._plant.sample(event.index, instant_ns // NS_PER_S)
            if sample is None or sample.instant_ns != instant_ns or sample.visible_ns > self._service.now_ns():
                raise Violation(f"{about} was never shown ({sample})")
            if not any(_is_same(event.value, value) for value in (sample.first, sample.final)):
                raise Violation(f"{about} was never shown ({sample})")
        elif instant_ns % self._shape.period_ns:
            raise Violation(f"{about}: a window off the grid")
        elif instant_ns + self._shape.period_ns > self._service.now_ns() + max(0, self._service.skew_ns()):
            raise Violation(f"{about}: a window that is not over")
        self._check_late(event, instant_ns)
        chain.append(event.value)
        self._known.add(event.index)
        if event.revision == 0:
            self._fresh.add((event.index, instant_ns))

    def _check_late(self, event: Event, instant_ns: int) -> None:
        watermark_ns = self._standing(event.index).frontier_ns - self._shape.overlap_s * NS_PER_S
        if event.revision == 0 and event.late != (instant_ns < watermark_ns):
            raise Violation(f"{event}: the watermark was {(instant_ns - watermark_ns) / NS_PER_S} s before it")

    def _standing(self, index: int) -> Standing:
        found = (standing for series, standing in self._standings.items() if series.signal.index == index)
        return next(found, Standing())

    def _placed(self, place: PlaceRecord) -> None:
        now_ns = self._service.now_ns() + max(0, self._service.skew_ns())
        if place.frontier > now_ns:
            raise Violation(f"{place.series}: the frontier is {(place.frontier - now_ns) / NS_PER_S} s ahead")
        for at, name in enumerate(place.series):
            series = Series.parse(name)
            holes = tuple(Interval(start_ns, end_ns) for position, start_ns, end_ns, _ in place.holes if position == at)
            standing = Standing(place.frontier, place.revisited[-1][1], holes)
            before = self._standings.get(series, Standing())
            went_back = standing.frontier_ns < before.frontier_ns or standing.settled_ns < before.settled_ns
            if went_back and not self.is_lost:
                raise Violation(f"{name}: the frontier went back from {before} to {standing}")
            self._check_covered(series, before, standing)
            self._check_settled(series, before, standing)
            self._standings[series] = standing

    def _check_covered(self, series: Series, before: Standing, standing: Standing) -> None:
        """What is behind the frontier, and was not or lay in a hole, was asked for, and what it showed is published."""
        index, shown = series.signal.index, self._service.shown
        for piece in _newly_covered(before, standing):
            gap = unasked(shown.asked.get(index, []), piece)
            if gap is not None:
                raise Violation(
                    f"{series.name}: {gap} is behind the frontier, in no hole, and nobody ever asked for it"
                )
            left_out = [asked for asked in shown.left_out.get(index, []) if asked.overlaps(piece)]
            spoilt = [part for part in shown.spoilt.get(index, []) if part.overlaps(piece)]
            for sample in self._due(series, piece):
                if not any(part.start_ns <= sample < part.end_ns for part in spoilt):
                    raise Violation(f"{series.name} at {sample}: is behind the frontier, was shown, is not published")
            unread = unasked(shown.read.get(index, []), piece)
            if unread is not None and all(self._is_any_known(index, one) for one in left_out if one.overlaps(unread)):
                raise Violation(f"{series.name}: {unread} is covered by answers that leave out what is known")

    def _is_any_known(self, index: int, asked: Interval) -> bool:
        """Whether a sample of a raw signal in a range was published before this commit."""
        known = (sample.instant_ns for sample in (self._plant.raw(index, *asked) if index in RAW else ()))
        return any((index, at_ns) in self.chains and (index, at_ns) not in self._fresh for at_ns in known)

    def _check_settled(self, series: Series, before: Standing, standing: Standing) -> None:
        """What is settled from now on was read at the last age, and what was ever shown of it is published.

        Save where nothing is known of a signal: there is no witness to be had of its silence.
        """
        index, shown = series.signal.index, self._service.shown
        age_ns = self._shape.last_age_ns - self._service.skew_ns() - ROUNDED_NS
        for piece in _newly_settled(before, standing):
            for sample in self._due(series, piece):
                raise Violation(f"{series.name} at {sample}: is settled, not published, and in no hole")
            unseen = shown.unseen_at(index, piece, age_ns)
            if unseen is not None and index in self._known:
                raise Violation(f"{series.name}: {unseen} is settled, and was not read at the last age")

    def _due(self, series: Series, interval: Interval) -> Iterator[int]:
        """Instants of samples that every whole answer has shown, and that are not published."""
        index = series.signal.index
        for sample in self._plant.raw(index, *interval) if index in RAW else ():
            whole_ns = self._service.shown.whole_since_ns(index, sample.instant_ns)
            is_shown = whole_ns is not None and sample.visible_ns <= whole_ns and self._is_wanted(sample)
            if is_shown and (index, sample.instant_ns) not in self.chains:
                yield sample.instant_ns

    def _is_wanted(self, sample: Sample) -> bool:
        """Whether an event must follow whenever the sample is first seen: not if it may be null then."""
        return self._shape.nulls == "publish" or not (sample.first is None or sample.final is None)

    def missing(self, indexes: Iterable[int], until_ns: int) -> list[str]:
        """What the guarantee asks for at the end, and is not there.

        Args:
            indexes: of the signals that are configured.
            until_ns: everything before is settled.
        """
        guaranteed_ns = self._shape.last_age_ns - max(0, self._service.skew_ns())
        found: list[str] = []
        for index in indexes:
            expect = self._raw if index in RAW else self._resampled
            for instant_ns, allowed in expect(index, until_ns, guaranteed_ns):
                chain = self.chains.get((index, instant_ns))
                if chain is None:
                    found.append(f"{index} at {instant_ns}: lost")
                elif not any(_is_same(chain[-1], value) for value in allowed):
                    found.append(f"{index} at {instant_ns}: ends with {chain[-1]}, not one of {allowed}")
        return found

    @property
    def has_holes(self) -> bool:
        """Whether anything is still to be repaired."""
        return any(standing.holes for standing in self._standings.values())

    def is_fresh(self, index: int, since_ns: int) -> bool:
        """Whether the newest sample that a signal has shown by then, and without delay, is published."""
        prompt = [
            sample.instant_ns
            for sample in self._plant.raw(index, since_ns - 60 * NS_PER_S, since_ns)
            if sample.visible_ns - sample.instant_ns < NS_PER_S // 2 and self._is_wanted(sample)
        ]
        return (index, prompt[-1]) in self.chains

    def _raw(self, index: int, end_ns: int, within_ns: int) -> Iterable[tuple[int, list[Value]]]:
        for sample in self._plant.raw(index, START_NS, end_ns):
            if sample.visible_ns > sample.instant_ns + within_ns:
                continue
            is_final = sample.revised_ns is None or sample.revised_ns <= sample.instant_ns + within_ns
            allowed = [sample.final] if is_final else [sample.first, sample.final]
            is_numbered = is_final and sample.final is not None  # what was null begins with its number
            if self._is_wanted(sample) or is_numbered or (index, sample.instant_ns) in self.chains:
                yield sample.instant_ns, allowed

    def _resampled(self, index: int, end_ns: int, within_ns: int) -> Iterable[tuple[int, list[Value]]]:
        period_ns = self._shape.period_ns
        for window_ns in range(-(-START_NS // period_ns) * period_ns, end_ns - period_ns, period_ns):
            samples = self._plant.raw(index, window_ns, window_ns + period_ns)
            if any(one.visible_ns > window_ns + within_ns for one in samples):
                continue  # it changes once more after the last look
            if any(one.revised_ns is not None and one.revised_ns > window_ns + within_ns for one in samples):
                continue
            shown = self._plant.sums(index, window_ns, window_ns + period_ns, period_ns, end_ns + within_ns)
            yield from ((instant_ns, [value]) for instant_ns, value in shown)


def _newly_covered(before: Standing, standing: Standing) -> Iterator[Interval]:
    closed = (Interval(hole.start_ns, min(hole.end_ns, standing.frontier_ns)) for hole in before.holes)
    for covered in (*closed, Interval(before.frontier_ns, standing.frontier_ns)):
        yield from _outside(covered, standing.holes)


def _newly_settled(before: Standing, standing: Standing) -> Iterator[Interval]:
    """What no query will come back to from now on, though one would have before."""
    closed = (Interval(hole.start_ns, min(hole.end_ns, standing.settled_ns)) for hole in before.holes)
    for settled in (*closed, Interval(before.settled_ns, standing.settled_ns)):
        yield from _outside(settled, standing.holes)


def _outside(interval: Interval, holes: Sequence[Interval]) -> list[Interval]:
    """What of an interval lies in no hole."""
    pieces = [interval] if interval.start_ns < interval.end_ns else []
    for hole in holes:
        pieces = [rest for piece in pieces for rest in without(piece, hole)]
    return pieces


def _is_same(one: Value, other: Value) -> bool:
    return one == other if one is not None and other is not None else one is other
