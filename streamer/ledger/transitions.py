"""What is told of holes: which intervals of a series are missing among the samples, and which are no more. Pure.

Called by the ledger alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from streamer.ledger.intervals import punched
from streamer.model import GapEvent, Hole

QUARANTINED = "quarantined"
"""Cause of a hole whose series is set apart because the service cannot serve it."""


def standing(holes: Sequence[Hole], told: Sequence[Hole], seen: Sequence[Hole]) -> list[Hole]:
    """The parts of some holes of one series that were told already, or seen when last looked at."""
    return without_any(holes, without_any(without_any(holes, told), seen))


def without_any(holes: Sequence[Hole], others: Sequence[Hole]) -> list[Hole]:
    """The parts of some holes of one series that lie in none of the others."""
    rest = list(holes)
    for other in others:
        rest = punched(rest, other.interval)
    return rest


def within_any(holes: Sequence[Hole], others: Sequence[Hole]) -> list[Hole]:
    """The parts of some holes of one series that lie in one of the others."""
    return without_any(holes, without_any(holes, others))


def transitions(told: Sequence[Hole], holes: Sequence[Hole]) -> Iterator[tuple[GapEvent, Hole]]:
    """What must be told so that whoever knows ``told`` knows ``holes``; all of one series.

    What was told to be open, less what is told to have healed, is what is open then.
    """
    for hole in without_any(told, holes):
        yield "healed", hole
    for hole in without_any(holes, told):
        yield ("quarantined" if hole.cause == QUARANTINED else "opened"), hole
    known = [hole for hole in told if hole.cause == QUARANTINED]
    for hole in without_any(within_any(holes, told), known):
        if hole.cause == QUARANTINED:
            yield "quarantined", hole
