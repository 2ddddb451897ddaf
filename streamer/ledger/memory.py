"""What was published of one series: packed columns of instants and values, 16 bytes a sample.

Called by the ledger alone. It never forgets by itself: the ledger says what may go.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import pairwise
from operator import lt
from typing import NamedTuple, cast

from streamer.model import Column, Interval, Value

SPACING_SAMPLES = 8
"""Samples that a cadence is read from: enough for a median, few enough to follow a change."""


class Difference(NamedTuple):
    """How a column differs from the memory, as positions in the column.

    Attributes:
        new: samples never seen.
        revised: samples whose value changed, each with its next revision.
        vanished: how many remembered samples between the first and the last of the column are not in it.
    """

    new: Sequence[int]
    revised: Sequence[tuple[int, int]]
    vanished: int


class Known(NamedTuple):
    """A remembered sample: its value as last published, and that value's revision."""

    instant_ns: int
    value: Value
    revision: int


class Recorded(NamedTuple):
    """Samples as they were stored: those of which the value is not a double stand by instant in ``exact``."""

    instants_ns: array[int]
    values: array[float]
    exact: dict[int, Value]

    def exactly(self) -> list[Value]:
        """The values as they were published."""
        return [self.exact.get(at_ns, value) for at_ns, value in zip(self.instants_ns, self.values, strict=True)]


def is_same(one: Value, other: Value) -> bool:
    """Whether two values are the same exact number (-0 = 0, 1 = 1.0, NaN = NaN; null only equals null)."""
    if one is None or other is None:
        return one is other
    return one == other or (one != one and other != other)


class Memory:
    """Instants ascending, each once; the value last published and its revision.

    Values live in a column of doubles; what a double cannot hold exactly (null, an integer past 2^53) lives
    beside it by instant, as do revisions above 0.
    """

    __slots__ = ("_exact", "_instants", "_revisions", "_values")

    def __init__(self) -> None:
        self._instants = array("q")
        self._values = array("d")
        self._exact: dict[int, Value] = {}
        self._revisions: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._instants)

    @property
    def oldest_ns(self) -> int | None:
        """The oldest instant remembered, or None."""
        return self._instants[0] if self._instants else None

    @property
    def newest_ns(self) -> int | None:
        """The newest instant remembered, or None."""
        return self._instants[-1] if self._instants else None

    def value_at(self, instant_ns: int) -> tuple[Value, int]:
        """The value last published at a remembered instant, and its revision. KeyError when not remembered."""
        at = bisect_left(self._instants, instant_ns)
        if at == len(self._instants) or self._instants[at] != instant_ns:
            raise KeyError(instant_ns)
        return self._value(at), self._revisions.get(instant_ns, 0)

    def last(self, most: int) -> list[Known]:
        """The newest samples, at most so many, ascending."""
        return [self._known(at) for at in range(max(0, len(self._instants) - most), len(self._instants))]

    def last_revised(self, most: int) -> list[Known]:
        """The newest samples of which a later value was published, at most so many, ascending."""
        instants_ns = sorted(self._revisions)[-most:]
        return [self._known(bisect_left(self._instants, instant_ns)) for instant_ns in instants_ns]

    def count(self, interval: Interval) -> int:
        """How many samples inside the interval are remembered."""
        low = bisect_left(self._instants, interval.start_ns)
        return bisect_left(self._instants, interval.end_ns, low) - low

    def knows_any(self, interval: Interval) -> bool:
        """Whether a sample inside the interval is remembered."""
        at = bisect_left(self._instants, interval.start_ns)
        return at < len(self._instants) and self._instants[at] < interval.end_ns

    def parts(self) -> Iterator[tuple[Sequence[int], Sequence[Value], int]]:
        """All that is remembered, as ``record`` takes it in: instants, values and revision."""
        if not self._revisions:
            if self._instants:
                yield self._instants, [self._value(at) for at in range(len(self))], 0
            return
        revisions = [self._revisions.get(instant_ns, 0) for instant_ns in self._instants]
        for revision in sorted(set(revisions)):
            chosen = [at for at, one in enumerate(revisions) if one == revision]
            yield [self._instants[at] for at in chosen], [self._value(at) for at in chosen], revision

    def first_ns(self, from_ns: int) -> int | None:
        """The first known instant from one on; None when there is none."""
        at = bisect_left(self._instants, from_ns)
        return self._instants[at] if at < len(self._instants) else None

    def nearest_ns(self, interval: Interval) -> int | None:
        """The known instant that is nearest to an interval without any; None when nothing is known."""
        at = bisect_left(self._instants, interval.start_ns)
        before = self._instants[at - 1] if at else None
        after = self._instants[at] if at < len(self._instants) else None
        if before is None or after is None:
            return after if before is None else before
        return before if interval.start_ns - before <= after - interval.end_ns else after

    def newest(self) -> Sequence[int]:
        """The newest instants, ascending: as many as a cadence is read from, or all while there are fewer."""
        return self._instants[-SPACING_SAMPLES:]

    def spacing_ns(self) -> int | None:
        """The usual time between two of the newest samples; None while too few are known."""
        newest = self.newest()
        if len(newest) < SPACING_SAMPLES:
            return None
        return sorted(later - earlier for earlier, later in pairwise(newest))[(SPACING_SAMPLES - 1) // 2]

    def compare(self, column: Column) -> Difference:
        """How an answer's column differs. Re-reads and plain continuations compare at C speed."""
        instants, values = column.instants_ns, column.values
        low = bisect_left(self._instants, instants[0])
        high = bisect_left(self._instants, instants[-1] + 1, low)
        known = high - low
        if known == 0:
            return Difference(range(len(instants)), (), 0)
        if (
            known <= len(instants)
            and self._instants[low:high].tolist() == list(instants[:known])
            and self._values[low:high].tolist() == list(values[:known])
        ):
            return Difference(range(known, len(instants)), (), 0)
        return self._compare_each(column, known)

    def _compare_each(self, column: Column, known: int) -> Difference:
        new: list[int] = []
        revised: list[tuple[int, int]] = []
        for position, (instant_ns, value) in enumerate(zip(column.instants_ns, column.values, strict=True)):
            at = bisect_left(self._instants, instant_ns)
            if at == len(self._instants) or self._instants[at] != instant_ns:
                new.append(position)
            elif not is_same(self._value(at), value):
                revised.append((position, self._revisions.get(instant_ns, 0) + 1))
        return Difference(new, revised, known - (len(column.instants_ns) - len(new)))

    def record(self, instants_ns: Sequence[int], values: Sequence[Value], revision: int) -> None:
        """Remember samples (ascending) as published with this revision; known instants take the new value."""
        if not instants_ns:
            return
        numbers, exact = as_doubles(instants_ns, values)
        if not self._instants or instants_ns[0] > self._instants[-1]:
            self._instants.extend(array("q", instants_ns))
            self._values.extend(numbers)
        else:
            self._merge(instants_ns, numbers)
        if self._exact:
            for instant_ns in instants_ns:
                self._exact.pop(instant_ns, None)
        self._exact.update(exact)
        if revision:
            self._revisions.update(dict.fromkeys(instants_ns, revision))

    def restore(self, columns: Sequence[Recorded]) -> None:
        """Remember, in a memory that knows nothing yet, columns that were published with revision 0, in any order."""
        instants, values = columns[0].instants_ns, columns[0].values
        for column in columns[1:]:
            instants.extend(column.instants_ns)
            values.extend(column.values)
        for column in columns:
            self._exact.update(column.exact)
        listed = instants.tolist()
        if not all(map(lt, listed, listed[1:])):
            by_instant = dict(zip(listed, values, strict=True))
            instants = array("q", sorted(by_instant))
            values = array("d", map(by_instant.__getitem__, instants))
        self._instants, self._values = instants, values

    def _merge(self, instants_ns: Sequence[int], numbers: array[float]) -> None:
        for instant_ns, number in zip(instants_ns, numbers, strict=True):
            at = bisect_left(self._instants, instant_ns)
            if at < len(self._instants) and self._instants[at] == instant_ns:
                self._values[at] = number
            else:
                self._instants.insert(at, instant_ns)
                self._values.insert(at, number)

    def forget(self, before_ns: int, keep: Sequence[Interval]) -> None:
        """Drop what is before an instant, except the intervals to keep (ascending, disjoint) and the newest sample."""
        cut = min(bisect_left(self._instants, before_ns), len(self._instants) - 1)
        if cut <= 0:
            return
        dropped = self._instants[:cut]
        kept_instants, kept_values = array("q"), array("d")
        for interval in keep:
            low = bisect_left(dropped, interval.start_ns)
            high = bisect_left(dropped, interval.end_ns, low)
            kept_instants.extend(dropped[low:high])
            kept_values.extend(self._values[low:high])
        if len(kept_instants) == cut:
            return
        self._instants[:cut] = kept_instants
        self._values[:cut] = kept_values
        if self._exact or self._revisions:
            for instant_ns in set(dropped).difference(kept_instants):
                self._exact.pop(instant_ns, None)
                self._revisions.pop(instant_ns, None)

    def _known(self, at: int) -> Known:
        instant_ns = self._instants[at]
        return Known(instant_ns, self._value(at), self._revisions.get(instant_ns, 0))

    def _value(self, at: int) -> Value:
        number = self._values[at]
        return self._exact.get(self._instants[at], number) if self._exact else number


def as_doubles(instants_ns: Sequence[int], values: Sequence[Value]) -> tuple[array[float], dict[int, Value]]:
    """Values as doubles, and by instant those that a double cannot hold exactly (they stand as NaN in the column)."""
    numbers: array[float]
    try:
        numbers = array("d", cast("Sequence[float]", values))  # a null raises, and is handled below
    except (TypeError, OverflowError):
        pass
    else:
        if numbers.tolist() == list(values):
            return numbers, {}
    numbers = array("d")
    exact: dict[int, Value] = {}
    for instant_ns, value in zip(instants_ns, values, strict=True):
        number = _as_double(value)
        if number is None:
            exact[instant_ns] = value
            number = float("nan")
        numbers.append(number)
    return numbers, exact


def _as_double(value: Value) -> float | None:
    """The double that is exactly this value, or None."""
    if value is None:
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if is_same(number, value) else None
