"""What the service has shown: of which signal, over which range, when, and whether the answer arrived."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from streamer.ledger.intervals import without
from streamer.model import NS_PER_S, Interval

Whole = dict[int, Interval]
"""By index, the part of a range over which everything is shown."""


class About(NamedTuple):
    """What an answer is about.

    Attributes:
        asked: the range.
        indexes: the signals; none when nobody can read the answer.
        whole: of which of them it shows everything, and over which part of the range.
        left_out: those of them of which it shows nothing, whatever there is.
        now_ns: what was visible at this time is shown.
    """

    asked: Interval
    indexes: Sequence[int]
    whole: Whole
    left_out: Sequence[int]
    now_ns: int


class Shown:
    """What answers have shown so far, for the oracle.

    Attributes:
        asked: by index, everything that an answer was delivered about, disjoint and ascending.
        read: the same of answers that did not leave the signal out.
        left_out: by index, what answers were asked that left the signal out.
        spoilt: by index, what answers did not show whole.
    """

    def __init__(self) -> None:
        self.asked: dict[int, list[Interval]] = {}
        self.read: dict[int, list[Interval]] = {}
        self.left_out: dict[int, list[Interval]] = {}
        self.spoilt: dict[int, list[Interval]] = {}
        self._seconds: dict[int, set[int]] = {}
        self._earliest: dict[int, dict[int, int]] = {}
        self._whole: dict[int, list[tuple[Interval, int]]] = {}

    def deliver(self, about: About) -> None:
        """An answer has arrived."""
        asked, now_ns = about.asked, about.now_ns
        for index in about.indexes:
            self.asked[index] = _joined([*self.asked.get(index, []), asked])
            whole = about.whole.get(index)
            self.spoilt.setdefault(index, []).extend([asked] if whole is None else without(asked, whole))
            if index in about.left_out:
                self.left_out.setdefault(index, []).append(asked)
            else:
                self.read[index] = _joined([*self.read.get(index, []), asked])
        for index, part in about.whole.items():
            self._whole.setdefault(index, []).append((part, now_ns))
            self._seconds.setdefault(index, set()).update(_seconds(part))
            earliest = self._earliest.setdefault(index, {})
            for second in _touched(part):
                earliest[second] = min(earliest.get(second, now_ns), now_ns)

    def forget(self, before_ns: int) -> None:
        """What answers have shown of what is before is not looked at any more."""
        for lists in (self.left_out, self.spoilt):
            for index, parts in lists.items():
                lists[index] = [part for part in parts if part.end_ns > before_ns]
        for index, shown in self._whole.items():
            self._whole[index] = [one for one in shown if one[0].end_ns > before_ns]
        first = before_ns // NS_PER_S
        for index, seconds in self._seconds.items():
            self._seconds[index] = {at for at in seconds if at >= first}
        for index, earliest in self._earliest.items():
            self._earliest[index] = {at: now_ns for at, now_ns in earliest.items() if at >= first}

    def whole_since_ns(self, index: int, instant_ns: int) -> int | None:
        """What was visible at this time was shown to somebody: the earliest time of all answers about an instant."""
        second = instant_ns // NS_PER_S
        return self._earliest[index][second] if second in self._seconds.get(index, ()) else None

    def unseen_at(self, index: int, interval: Interval, age_ns: int) -> Interval | None:
        """The first part of an interval that no answer has shown whole so long after its instants."""
        rest = [interval]
        for asked, now_ns in reversed(self._whole.get(index, [])):
            end_ns = min(asked.end_ns, now_ns - age_ns)
            if asked.start_ns < end_ns:
                rest = [piece for one in rest for piece in without(one, Interval(asked.start_ns, end_ns))]
            if not rest:
                return None
        return rest[0]


def unasked(asked: Sequence[Interval], interval: Interval) -> Interval | None:
    """The first part of an interval that is in none of the others."""
    start_ns = interval.start_ns
    for one in asked:
        if one.start_ns <= start_ns < one.end_ns:
            start_ns = one.end_ns
    return Interval(start_ns, interval.end_ns) if start_ns < interval.end_ns else None


def _seconds(asked: Interval) -> range:
    """The seconds of the epoch that lie in a range."""
    return range(-(-asked.start_ns // NS_PER_S), asked.end_ns // NS_PER_S)


def _touched(asked: Interval) -> range:
    """The seconds of the epoch of which any part lies in a range."""
    return range(asked.start_ns // NS_PER_S, -(-asked.end_ns // NS_PER_S))


def _joined(intervals: list[Interval]) -> list[Interval]:
    result: list[Interval] = []
    for one in sorted(intervals):
        if result and one.start_ns <= result[-1].end_ns:
            result[-1] = Interval(result[-1].start_ns, max(result[-1].end_ns, one.end_ns))
        else:
            result.append(one)
    return result
