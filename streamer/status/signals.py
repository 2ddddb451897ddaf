"""Finding a signal by its tag, and what the ledger remembers of it: last samples, revisions, holes. Pure.

Values are given as text: what JSON makes of a long integer or of NaN is not what was published.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from streamer.ledger.memory import Known
from streamer.model import Signal, Value, instant_text
from streamer.roster import Member
from streamer.status.holes import HoleView, hole_view
from streamer.status.timeline import Owned

MOST_FOUND = 20
MOST_SAMPLES = 60
MOST_OF_ITS_HOLES = 50


@dataclass(frozen=True, slots=True)
class Found:
    """A series whose signal was searched for. Texts are the plant's, as they are."""

    series: str
    tag: str | None
    name: str | None
    unit: str | None
    stream: str


@dataclass(frozen=True, slots=True)
class SampleView:
    """A sample as last published."""

    instant: str
    value: str
    revision: int


@dataclass(frozen=True, slots=True)
class SignalView:
    """A series and what the ledger remembers of it.

    Attributes:
        shard: its own; where another replica owns that, or it is not restored yet, the rest is empty.
        samples: the last ones, the newest first; so are the revised ones.
    """

    found: Found
    description: str | None
    shard: int
    frontier: str | None
    watermark: str | None
    samples: tuple[SampleView, ...] = ()
    revised: tuple[SampleView, ...] = ()
    holes: tuple[HoleView, ...] = ()


def find(members: Iterable[Member], text: str) -> list[Found]:
    """Members of which the tag, the name or the key contains a text, in any case; exact and leading matches first."""
    wanted = text.strip().casefold()
    if not wanted:
        return []
    ranked = []
    for member in members:
        rank = _rank(member.signal, wanted)
        if rank is not None:
            ranked.append((rank, member.signal.tag or "", member.series.name, member))
    ranked.sort(key=lambda one: one[:3])
    return [_found(member) for _, _, _, member in ranked[:MOST_FOUND]]


def look_up(
    members: Iterable[Member], owned: Mapping[int, Owned], shard_of: Callable[[Member], int], name: str
) -> SignalView | None:
    """What is known of the series of a name; None when it is not wanted by any stream."""
    member = next((member for member in members if member.series.name == name), None)
    if member is None:
        return None
    number = shard_of(member)
    if number in owned:
        for group in owned[number].groups:
            if member.series in group.series:
                return _remembered(member, number, owned[number], group.id)
    return SignalView(_found(member), member.signal.description, number, None, None)


def _remembered(member: Member, number: int, shard: Owned, group_id: str) -> SignalView:
    ledger, signals = shard.ledger, {member.signal.id: member.signal}
    last, revised = ledger.known(group_id, member.series, MOST_SAMPLES)
    frontier_ns = ledger.place(group_id).frontier_ns
    holes = [hole for hole in ledger.holes(group_id) if hole.series == member.series]
    return SignalView(
        _found(member),
        member.signal.description,
        number,
        instant_text(frontier_ns),
        instant_text(frontier_ns - member.stream.overlap_ns),
        _samples(last),
        _samples(revised),
        tuple(hole_view(member.stream.name, hole, signals) for hole in holes[-MOST_OF_ITS_HOLES:]),
    )


def _samples(known: Sequence[Known]) -> tuple[SampleView, ...]:
    return tuple(SampleView(instant_text(one.instant_ns), _text(one.value), one.revision) for one in reversed(known))


def _text(value: Value) -> str:
    return "null" if value is None else repr(value).removesuffix(".0")


def _found(member: Member) -> Found:
    signal = member.signal
    return Found(member.series.name, signal.tag, signal.name, signal.unit, member.stream.name)


def _rank(signal: Signal, wanted: str) -> int | None:
    texts = [text.casefold() for text in (signal.tag, signal.name, signal.id.key) if text]
    if wanted in texts:
        return 0
    if any(text.startswith(wanted) for text in texts):
        return 1
    return 2 if any(wanted in text for text in texts) else None
