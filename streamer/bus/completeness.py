"""Completeness events: up to where a stream is complete in a shard, and how far to read the samples to have it all.

Pure. What is stated is made by the bulletin; where the samples end, the writer tells.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from streamer.model import Hole, Notice, instant_text

MOST_HOLES = 1000
"""Holes that one event lists: about 130 kB, far from the broker's usual limit of 1 MB a message."""


class Statement(NamedTuple):
    """Up to where one stream is complete in one shard: minima over its groups.

    What it says: every sample before the watermark that the service showed in time is published, save in the holes.
    Before ``settled_ns`` that holds for every sample that was visible within the last age.

    Attributes:
        database_ids: of its signals.
        signals: how many it has in the shard.
        holes: all that are open before the frontier, ascending by start.
    """

    stream: str
    shard: int
    database_ids: tuple[int, ...]
    signals: int
    frontier_ns: int
    watermark_ns: int
    settled_ns: int
    holes: tuple[Hole, ...]


class ListedHole(msgspec.Struct, frozen=True):
    """A hole as the event lists it."""

    database_id: int
    index: int
    start: str
    end: str
    cause: str


class Completeness(msgspec.Struct, frozen=True):
    """The value of a completeness event. Instants are ISO 8601, UTC with ``Z``."""

    stream: str
    shard: int
    database_ids: Sequence[int]
    signals: int
    frontier: str
    watermark: str
    settled: str
    holes: Sequence[ListedHole]
    samples_end: Mapping[str, int]
    at: str


_encode = msgspec.json.Encoder().encode


def bounded(statement: Statement, most_holes: int = MOST_HOLES) -> Statement:
    """The statement with the oldest holes only: it then reaches no further than to the first one left out."""
    if len(statement.holes) <= most_holes:
        return statement
    reach_ns = statement.holes[most_holes].interval.start_ns
    return statement._replace(
        frontier_ns=min(statement.frontier_ns, reach_ns),
        watermark_ns=min(statement.watermark_ns, reach_ns),
        settled_ns=min(statement.settled_ns, reach_ns),
        holes=tuple(hole for hole in statement.holes[:most_holes] if hole.interval.start_ns < reach_ns),
    )


def encode(statement: Statement, ends: Mapping[int, int], at_ns: int) -> Notice:
    """The event.

    Args:
        statement: what is stated, bounded.
        ends: of the shard's partitions of the samples topic, in the transaction that the event belongs to.
        at_ns: the host's wall clock.
    """
    event = Completeness(
        stream=statement.stream,
        shard=statement.shard,
        database_ids=statement.database_ids,
        signals=statement.signals,
        frontier=instant_text(statement.frontier_ns),
        watermark=instant_text(statement.watermark_ns),
        settled=instant_text(statement.settled_ns),
        holes=[_listed(hole) for hole in statement.holes],
        samples_end={str(partition): end for partition, end in sorted(ends.items())},
        at=instant_text(at_ns),
    )
    return Notice("completeness", f"{statement.stream}:{statement.shard}".encode(), _encode(event), at_ns)


def _listed(hole: Hole) -> ListedHole:
    signal, interval = hole.series.signal, hole.interval
    return ListedHole(
        signal.database_id, signal.index, instant_text(interval.start_ns), instant_text(interval.end_ns), hole.cause
    )
