"""Which series of a group are asked for together when one of them spoils the answer (rule 11). Pure.

A question that fails the same way twice, though others are answered, is asked for parts of its series until one part
is answered: that one goes on alone, and the series of the others are aside. What they miss are holes in the ledger,
and the repairs look for the bad one among them, in ever smaller parts: each part that is answered goes back to the
others; a series that fails by itself is quarantined, and asked for again after a minute, growing to an hour.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from streamer.model import NS_PER_S, Hole, Lane, Query, Series
from streamer.planner.failures import DIVISIBLE, NARROWABLE

FIRST_PAUSE_NS = 60 * NS_PER_S
LONGEST_PAUSE_NS = 3600 * NS_PER_S

ALIKE = 2
"""Failures alike in a row, while others are answered, after which the series are divided."""

ALIKE_ALONE = 5
"""The same when nothing else is answered either: there may be nothing else."""

PARTS = 4
"""A series set is divided into about so many: fewer failures on the way to the bad one than by halves, and a good part
costs only an ordinary request."""

ASIDE = "aside"
QUARANTINED = "quarantined"
"""Causes of the holes of series that are not asked for with the others."""

Part = tuple[Series, ...]


class Streak(NamedTuple):
    """Failures alike in a row."""

    kind: str
    times: int
    since_ns: int


class Rest(NamedTuple):
    """When a quarantined series is asked for again, and the pause before that."""

    due_ns: int
    pause_ns: int


@dataclass(slots=True)
class Trial:
    """Parts that are asked for one after the other until one is answered."""

    parts: list[Part]
    failed: list[Part] = field(default_factory=list)

    @property
    def part(self) -> Part:
        """What is asked for now."""
        return self.parts[0]

    def fail(self) -> bool:
        """The part failed as well: on to the next, then to smaller ones; False when there are none."""
        self.failed.append(self.parts.pop(0))
        if not self.parts:
            if len(self.failed[0]) == 1:
                return False
            self.parts = [smaller for part in self.failed for smaller in divided(part)]
            self.failed = []
        return True


class Quarantine:
    """What is known of the bad series of one group.

    Invariant: at least one series of the group is not aside.

    Args:
        series: all of the group.
        holes: of the group; a series whose hole reaches the frontier was aside when the ledger was stored.
        frontier_ns: of the group.
        now_ns: on the monotonic clock, as everywhere here.
    """

    def __init__(self, series: Part, holes: Iterable[Hole], frontier_ns: int, now_ns: int) -> None:
        self._series = series
        self._aside: set[Series] = set()
        self._suspects: list[Part] = []
        self._alone: set[Series] = set()
        self._resting: dict[Series, Rest] = {}
        self._streaks: dict[Lane, Streak] = {}
        self._trials: dict[Lane, Trial] = {}
        self._is_turn_of_suspects = True
        causes = {hole.series: hole.cause for hole in holes if hole.interval.end_ns >= frontier_ns}
        kept_out = [one for one in series if causes.get(one) in (ASIDE, QUARANTINED)]
        if len(kept_out) < len(series):
            self._aside.update(kept_out)
        self._resting = {one: Rest(now_ns, FIRST_PAUSE_NS) for one in kept_out if causes[one] == QUARANTINED}
        suspects = tuple(one for one in kept_out if causes[one] == ASIDE)
        if suspects:
            self._suspects.append(suspects)

    @property
    def quarantined(self) -> frozenset[Series]:
        """Those that failed by themselves and are not asked for with the others."""
        return frozenset(self._aside.intersection(self._resting))

    @property
    def resting(self) -> frozenset[Series]:
        """Those that failed by themselves, with the others or only in what is to be repaired."""
        return frozenset(self._resting)

    def together(self, lane: Lane) -> Part:
        """What a query that moves a frontier asks for."""
        trial = self._trials.get(Lane.LIVE if lane is Lane.CATCH_UP else lane)
        asked = trial.part if trial else self._series
        return tuple(one for one in asked if one not in self._aside) or self._all_together()

    def repairable(self, holes: Iterable[Hole], before_ns: int, now_ns: int) -> tuple[list[Hole], bool]:
        """The holes that one repair may fill, and whether it is to begin with the newest of them.

        A suspect part or a quarantined series is asked for by itself, in turn with all that is well; of one that is
        aside the newest piece, because that decides whether it goes back.

        Args:
            holes: of the group, those that may be asked for now.
            before_ns: only what begins before can be repaired.
            now_ns: on the monotonic clock.
        """
        behind = [hole for hole in holes if hole.interval.start_ns < before_ns]
        apart = {one for part in self._suspects for one in part}.union(self._resting)
        well = [hole for hole in behind if hole.series not in apart]
        if well and not self._is_turn_of_suspects:
            return well, False
        due = [(one,) for one, rest in self._resting.items() if rest.due_ns <= now_ns]
        for part in (*due, *self._suspects):
            suspect = [hole for hole in behind if hole.series in part]
            if suspect:
                return suspect, not self._aside.isdisjoint(part)
        return well, False

    def begun(self, query: Query) -> None:
        """A query is being asked."""
        if query.fills_holes:
            self._is_turn_of_suspects = not self._is_suspect(query.series)

    def answered(self, query: Query) -> None:
        """A query was answered and counted."""
        lane = _as_one(query)
        if lane is Lane.REPAIR:
            if not self._is_suspect(query.series):
                self._streaks.pop(lane, None)
            self._take_out(query.series)
            self._aside.difference_update(query.series)
            return
        self._streaks.pop(lane, None)
        trial = self._trials.pop(lane, None)
        if trial is not None:
            self._take_out(query.series)  # another lane may have put them aside
            self._aside.difference_update(query.series)
            smaller = [part for failed in trial.failed for part in divided(failed)]
            for part in (*trial.parts, *smaller):
                left = tuple(one for one in part if one not in query.series)
                if left:
                    self._take_out(left)
                    self._suspects.append(left)
                    self._aside.update(left)

    def failed(self, query: Query, kind: str, *, is_least: bool, answered_ns: int, now_ns: int) -> bool:
        """A query failed; True when that was about its series, and others are asked for next.

        Args:
            query: what was asked.
            kind: how it failed, see ``SourceError``.
            is_least: whether the window cannot be any narrower.
            answered_ns: when any other query was answered last.
            now_ns: on the monotonic clock.
        """
        if kind not in DIVISIBLE and not (is_least and kind in NARROWABLE):
            return False
        lane = _as_one(query)
        if lane is Lane.REPAIR and self._is_suspect(query.series):
            self._suspect_failed(query.series, now_ns)
            return True
        trial = self._trials.get(lane)
        if trial is not None:
            if not trial.fail():
                del self._trials[lane]
            return True
        streak = self._streaks.get(lane)
        if streak is None or streak.kind != kind:
            streak = Streak(kind, 0, now_ns)
        self._streaks[lane] = streak = streak._replace(times=streak.times + 1)
        if streak.times < (ALIKE if answered_ns > streak.since_ns else ALIKE_ALONE):
            return False
        return self._divide(lane, query.series, now_ns)

    def _divide(self, lane: Lane, series: Part, now_ns: int) -> bool:
        if lane is Lane.REPAIR:
            del self._streaks[lane]
            self._suspect_failed(series, now_ns, is_alone_again=True)
            return True
        if len(series) == 1:
            return False
        del self._streaks[lane]
        self._trials[lane] = Trial(divided(series))
        return True

    def _suspect_failed(self, series: Part, now_ns: int, *, is_alone_again: bool = False) -> None:
        rest = self._resting.get(series[0])
        was_alone = is_alone_again or not self._alone.isdisjoint(series)
        self._take_out(series)
        if len(series) > 1:
            self._suspects += divided(series)
        elif rest is not None or was_alone:
            pause_ns = min(2 * rest.pause_ns, LONGEST_PAUSE_NS) if rest else FIRST_PAUSE_NS
            self._resting[series[0]] = Rest(now_ns + pause_ns, pause_ns)
        else:
            self._alone.add(series[0])
            self._suspects.append(series)

    def _is_suspect(self, series: Part) -> bool:
        return series[0] in self._resting or any(series[0] in part for part in self._suspects)

    def _take_out(self, series: Collection[Series]) -> None:
        """Nothing is suspected of these any more; whoever calls says what follows."""
        self._suspects = [left for part in self._suspects if (left := tuple(one for one in part if one not in series))]
        self._alone.difference_update(series)
        for one in series:
            self._resting.pop(one, None)

    def _all_together(self) -> Part:
        return tuple(one for one in self._series if one not in self._aside)


def divided(series: Sequence[Series]) -> list[Part]:
    """Parts of about a quarter, at least one series each."""
    size = max(1, len(series) // PARTS)
    return [tuple(series[at : at + size]) for at in range(0, len(series), size)]


def _as_one(query: Query) -> Lane:
    """Whatever fills holes is one question, as is whatever moves the frontier."""
    if query.fills_holes:
        return Lane.REPAIR
    return Lane.LIVE if query.lane is Lane.CATCH_UP else query.lane
