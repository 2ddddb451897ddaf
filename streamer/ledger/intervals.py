"""Arithmetic of half-open intervals, as holes need it. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from streamer.model import Hole, Interval


def without(interval: Interval, covered: Interval) -> tuple[Interval, ...]:
    """What is left of an interval when another is taken away: none, one or two pieces."""
    if not interval.overlaps(covered):
        return (interval,)
    left = Interval(interval.start_ns, covered.start_ns)
    right = Interval(covered.end_ns, interval.end_ns)
    return tuple(piece for piece in (left, right) if piece.start_ns < piece.end_ns)


def punched(holes: Iterable[Hole], covered: Interval) -> list[Hole]:
    """The holes of one series after an interval of it was covered."""
    return [hole._replace(interval=piece) for hole in holes for piece in without(hole.interval, covered)]


def joined(holes: Iterable[Hole]) -> list[Hole]:
    """The holes of one series ascending and disjoint; those that touch become one, with the longer one's cause."""
    result: list[Hole] = []
    for hole in sorted(holes, key=lambda hole: hole.interval):
        if result and hole.interval.start_ns <= result[-1].interval.end_ns:
            last = result[-1]
            longer = max(last, hole, key=lambda one: one.interval.end_ns - one.interval.start_ns)
            end_ns = max(last.interval.end_ns, hole.interval.end_ns)
            result[-1] = longer._replace(interval=Interval(last.interval.start_ns, end_ns))
        else:
            result.append(hole)
    return result
