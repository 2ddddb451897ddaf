"""When a group is due: polls in phase, holes and refusals with growing pauses. Pure: the time comes in."""

from __future__ import annotations

from collections.abc import Iterable

from streamer.model import NS_PER_S, Hole, Series

GOLDEN = 0.6180339887498949
"""Multiples of it, modulo one, are spread evenly however many there are."""

HOLE_FIRST_PAUSE_NS = NS_PER_S
LONGEST_PAUSE_NS = 60 * NS_PER_S


def phase_ns(number: int, poll_interval_ns: int) -> int:
    """The offset of the polls of the ``number``-th group in its interval, so that groups do not ask at once."""
    return int(number * GOLDEN % 1 * poll_interval_ns)


class Pace:
    """The pace of one group; all instants on the monotonic clock.

    Polls stay on the grid ``phase + k * poll_interval``: a late one does not shift the next, and missed ones are
    not made up for, because one query covers all of it.
    """

    def __init__(self, poll_interval_ns: int, phase_ns: int, now_ns: int) -> None:
        self._interval_ns = poll_interval_ns
        self._phase_ns = phase_ns
        self._due_ns = now_ns
        self._refusals = 0
        self._pauses: dict[Series, tuple[int, int]] = {}

    @property
    def due_ns(self) -> int:
        """When the next poll is due."""
        return self._due_ns

    def polled(self, now_ns: int) -> None:
        """A poll was started: the next is due at the next point of the grid."""
        past = (now_ns - self._phase_ns) // self._interval_ns
        self._due_ns = (past + 1) * self._interval_ns + self._phase_ns

    def refused(self, now_ns: int) -> None:
        """The service refused the question itself: ask again after a pause that doubles up to a minute."""
        pause_ns = min(max(self._interval_ns, NS_PER_S) << min(self._refusals, 6), LONGEST_PAUSE_NS)
        self._refusals += 1
        self._due_ns = now_ns + max(pause_ns, self._interval_ns)

    def answered(self) -> None:
        """The service answered: forget refusals."""
        self._refusals = 0

    def unrepaired(self, series: Iterable[Series], now_ns: int) -> None:
        """Holes of these series were asked for and stay open: a pause that doubles up to a minute."""
        for one in series:
            _, pause_ns = self._pauses.get(one, (0, HOLE_FIRST_PAUSE_NS // 2))
            pause_ns = min(pause_ns * 2, LONGEST_PAUSE_NS)
            self._pauses[one] = (now_ns + pause_ns, pause_ns)

    def repaired(self, series: Iterable[Series]) -> None:
        """Holes of these series were answered: no pause any more."""
        for one in series:
            self._pauses.pop(one, None)

    def ready(self, holes: Iterable[Hole], now_ns: int) -> list[Hole]:
        """The holes that may be asked for now."""
        return [hole for hole in holes if self._pauses.get(hole.series, (0, 0))[0] <= now_ns]
