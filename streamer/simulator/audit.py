"""Holds what was published against what the simulated API showed: nothing lost, doubled or wrong.

Pure. The events of one signal come in the order in which they were published; signals may be interleaved.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from streamer.model import NS_PER_S, SignalId, Value
from streamer.simulator.tapes import Sample
from streamer.simulator.world import World

MOST_EXAMPLES = 10

_SLICE_NS = 600 * NS_PER_S
"""The world is asked for so much at a time."""


class Published(NamedTuple):
    """An event of a raw series."""

    signal: SignalId
    instant_ns: int
    revision: int
    value: Value


class Bound(NamedTuple):
    """Samples in ``[start_ns, end_ns)`` that arrived within ``within_ns`` of their instant must be there.

    The value they had then, or one that they had later, must be the last one published.
    """

    start_ns: int
    end_ns: int
    within_ns: int


@dataclass(slots=True)
class Verdict:
    """What an audit found.

    Attributes:
        published: events that were looked at.
        lost: samples under a bound without an event.
        doubled: events whose revision is not the next one of their sample.
        wrong: events of an instant or with a value that the world never showed, and samples under a bound whose
            last value was outdated.
        examples: of what is bad, one line each, at most ten.
    """

    published: int = 0
    lost: int = 0
    doubled: int = 0
    wrong: int = 0
    examples: list[str] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        """Whether nothing is lost, doubled or wrong."""
        return not (self.lost or self.doubled or self.wrong)

    def note(self, kind: str, signal: SignalId, instant_ns: int, why: str) -> None:
        """Keep an example, as long as there is room."""
        if len(self.examples) < MOST_EXAMPLES:
            self.examples.append(f"{kind}: {signal.key} at {instant_ns} ns: {why}")


def audit(world: World, events: Iterable[Published], bounds: Mapping[SignalId, Sequence[Bound]]) -> Verdict:
    """Compare events with the world.

    Args:
        world: as it was served, disturbances of a scenario included.
        events: of raw series; those of one signal in the order of publication.
        bounds: for each signal what must be there; signals without bounds are checked for doubled and wrong only.
    """
    verdict = Verdict()
    by_signal: defaultdict[SignalId, list[Published]] = defaultdict(list)
    for event in events:
        by_signal[event[0]].append(event)
    for signal in {**by_signal, **bounds}:
        published = by_signal.get(signal, [])
        verdict.published += len(published)
        _check_revisions(verdict, published)
        _check_values(verdict, world, signal, published)
        last = {instant_ns: value for _, instant_ns, _, value in published}
        _check_bounds(verdict, world, signal, last, bounds.get(signal, ()))
    return verdict


def _check_revisions(verdict: Verdict, published: Sequence[Published]) -> None:
    due: dict[int, int] = {}
    for signal, instant_ns, revision, _ in published:
        expected = due.get(instant_ns, 0)
        if revision != expected:
            verdict.doubled += 1
            verdict.note("doubled", signal, instant_ns, f"revision {revision} where {expected} was due")
        due[instant_ns] = max(revision + 1, expected)


def _check_values(verdict: Verdict, world: World, signal: SignalId, published: Sequence[Published]) -> None:
    slices: defaultdict[int, list[Published]] = defaultdict(list)
    for event in published:
        slices[event[1] // _SLICE_NS].append(event)
    for number, inside in slices.items():
        truth = dict(_samples(world, signal, number * _SLICE_NS, (number + 1) * _SLICE_NS))
        for _, instant_ns, _, value in inside:
            if instant_ns not in truth:
                verdict.wrong += 1
                verdict.note("wrong", signal, instant_ns, f"{value} where the world has no sample")
                continue
            final = truth[instant_ns]
            if value != final and not _is_first_value(world, signal, Sample(instant_ns, final), value):
                verdict.wrong += 1
                verdict.note("wrong", signal, instant_ns, f"{value}, which was never shown; final is {final}")


def _check_bounds(
    verdict: Verdict, world: World, signal: SignalId, last: Mapping[int, Value], bounds: Sequence[Bound]
) -> None:
    bad: set[int] = set()
    for bound in bounds:
        for sample in _samples(world, signal, bound.start_ns, bound.end_ns):
            instant_ns, final = sample
            if last.get(instant_ns) == final or instant_ns in bad:
                continue
            if world.delay_ns(signal.database_id, signal.index, instant_ns) > bound.within_ns:
                continue
            if instant_ns not in last:
                bad.add(instant_ns)
                verdict.lost += 1
                verdict.note("lost", signal, instant_ns, f"{final} was never published")
            elif _is_outdated(world, signal, sample, last[instant_ns], instant_ns + bound.within_ns):
                bad.add(instant_ns)
                verdict.wrong += 1
                verdict.note("wrong", signal, instant_ns, f"ends with {last[instant_ns]}; final is {final}")


def _is_first_value(world: World, signal: SignalId, sample: Sample, value: Value) -> bool:
    revision = world.revision_of(signal.database_id, signal.index, sample.instant_ns)
    return revision is not None and value == sample.value + revision.by


def _is_outdated(world: World, signal: SignalId, sample: Sample, value: Value, shown_at_ns: int) -> bool:
    """Whether the value, which is not the final one, was shown before ``shown_at_ns`` only."""
    revision = world.revision_of(signal.database_id, signal.index, sample.instant_ns)
    if revision is None or value != sample.value + revision.by:
        return False  # never shown at all: counted with the event
    return revision.at_ns <= shown_at_ns


def _samples(world: World, signal: SignalId, start_ns: int, end_ns: int) -> Iterator[Sample]:
    for slice_ns in range(start_ns, end_ns, _SLICE_NS):
        slice_end_ns = min(slice_ns + _SLICE_NS, end_ns)
        yield from world.samples(signal.database_id, signal.index, slice_ns, slice_end_ns)
