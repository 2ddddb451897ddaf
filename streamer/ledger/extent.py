"""Where the source's samples of a series begin: what retention takes away can never be covered.

Pure; one ``Extent`` a series, kept by its account.
"""

from __future__ import annotations

from streamer.model import Interval


class Extent:
    """The oldest sample that the source is known to have had, and the oldest that it has now.

    Args:
        began_ns: the former; None while it is unknown.
    """

    __slots__ = ("_first_ns", "began_ns")

    def __init__(self, began_ns: int | None = None) -> None:
        self.began_ns = began_ns
        self._first_ns: int | None = None

    def learn(self, first_ns: int | None, known_ns: int | None) -> None:
        """What the catalogue says now, and the oldest sample that is remembered; None for neither."""
        self._first_ns = first_ns
        self.began_ns = min((at for at in (self.began_ns, first_ns, known_ns) if at is not None), default=None)

    def is_before_all(self, interval: Interval) -> bool:
        """Whether the source has nothing as old as an interval any more."""
        return self._first_ns is not None and interval.end_ns <= self._first_ns

    def gone(self, interval: Interval) -> Interval | None:
        """The part of an interval of which the source had samples once, and has none any more."""
        if self._first_ns is None or self.began_ns is None:
            return None
        gone = Interval(max(interval.start_ns, self.began_ns), min(interval.end_ns, self._first_ns))
        return gone if gone.start_ns < gone.end_ns else None
