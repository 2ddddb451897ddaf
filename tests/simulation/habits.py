"""How the service of a seed answers: cut short at some number of rows; past some length thinned out, or not at all."""

from __future__ import annotations

from random import Random

from streamer.model import NS_PER_S, Interval, Value
from tests.simulation.shown import Whole

Row = tuple[int, int, Value]


class Habits:
    """How the service of a seed cuts answers short and thins them out, when it does.

    Attributes:
        cap: most rows of an answer.
        order: which rows of more than that are left: the oldest, the newest, or those of the first signals.
        raw_ns: a longer raw range is answered with means of ``bin_ns``.
        longest_ns: a longer range is not answered in time.
    """

    def __init__(self, random: Random) -> None:
        self.cap = random.choice([100, 137, 200, 500])
        self.order = random.choice(["oldest", "newest", "signals"])
        self.raw_ns = random.choice([25, 70, 200]) * NS_PER_S
        self.longest_ns = random.choice([30, 90, 300]) * NS_PER_S
        self.bin_ns = random.choice([5, 10]) * NS_PER_S

    def cut(self, rows: list[Row], whole: Whole) -> tuple[list[Row], Whole]:
        """At most as many rows as the cap, and over what they still show everything."""
        if self.order != "signals":
            rows = sorted(rows, key=lambda row: row[1])
        at = len(rows) - self.cap if self.order == "newest" else self.cap
        left, lost = (rows[at:], rows[:at]) if self.order == "newest" else (rows[:at], rows[at:])
        return left, {
            index: self._shown(part, [row[1] for row in lost if row[0] == index]) for index, part in whole.items()
        }

    def _shown(self, part: Interval, lost: list[int]) -> Interval:
        if not lost:
            return part
        if self.order == "newest":
            return Interval(max(lost) + 1, part.end_ns)
        return Interval(part.start_ns, min(lost))

    def binned(self, rows: list[Row]) -> list[Row]:
        """Means on a grid, as the historian has them for a range that is too long."""
        bins: dict[tuple[int, int], list[float]] = {}
        for index, at_ns, value in rows:
            if value is not None:
                bins.setdefault((index, at_ns // self.bin_ns * self.bin_ns), []).append(value)
        return [(index, at_ns, sum(values) / len(values)) for (index, at_ns), values in bins.items()]
