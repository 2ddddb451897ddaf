"""Whether an answer is believed to be whole (rule 11): nothing in it says so when the service cuts or thins it out.

A service that answers with at most so many rows, or with means in place of samples, does so past some length or
number. So an answer that is longer or larger than any that was proved counts only when shorter windows inside it show
nothing that it lacks: a metamorphic relation that needs no knowledge of the plant. Pure.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from enum import Enum
from itertools import pairwise
from statistics import median_low

from streamer.model import NS_PER_S, Answer, Column, Interval, Query, align_down

TRUSTED_NS = 10 * NS_PER_S
TRUSTED_ROWS = 100
"""Shorter and smaller than what any service is known to cut: answers within both are taken on trust."""

PIECE_SHARE = 4
"""A piece that proves is this part of the window: no longer than what was proved before the chunk grew."""

REPROVED_AFTER = 100
"""Of so many long answers that are taken on trust, one is proved again: services change."""

REFUTED_FOR = 200
"""So many answers are asked for in shorter windows than one that was refuted; then that length is tried again."""

REPEATED_ROWS = 200
"""So many rows twice in a row, for windows that differ in length, look like a cap."""

YOUNG_NS = 3 * NS_PER_S
"""What is younger may arrive between two questions, and is not compared; nor is what is within a shorter overlap."""

LEAST_GRID = 3
"""Fewer rows show no usual distance."""


class Doubt(Enum):
    """Why an answer is not taken on trust."""

    LENGTH = "length"
    """Longer than any that was proved."""
    ROWS = "rows"
    """More rows than any that was proved, in all or of one signal."""
    CAP = "cap"
    """A count that looks like a cap."""
    GRID = "grid"
    """Everything on whole seconds, and coarser than what is known of the signal."""
    TURN = "turn"
    """It is time to prove one again."""


class Proof:
    """What answers of one group were proved to be whole.

    Invariant: an answer that is longer than ``_proved_ns``, or has more rows than ``_proved_rows`` or more of one
    signal than ``_proved_column``, was not taken on trust. A cap shows as just that: no whole answer has more rows.
    """

    def __init__(self) -> None:
        self._forget()
        self._last = (0, 0)
        self._on_trust = 0
        self._turn = 0
        self._refuted_ns: int | None = None
        self._refuted_for = 0

    def _forget(self) -> None:
        self._proved_ns = TRUSTED_NS
        self._proved_rows = self._proved_column = TRUSTED_ROWS

    @property
    def longest_ns(self) -> int | None:
        """Windows are to be shorter than this; None without a bound."""
        return self._refuted_ns

    def doubt(self, query: Query, answer: Answer, known_ns: Mapping[int, Sequence[int]]) -> Doubt | None:
        """Why an answer has to be proved, None when it is taken on trust.

        Args:
            query: what was asked.
            answer: what was said.
            known_ns: by index, the newest instants that are known of a signal.
        """
        old = _old_part(query)
        span_ns = old.end_ns - old.start_ns
        if 2 * span_ns < query.asked.end_ns - query.asked.start_ns or span_ns < 2 * query.group.stream.quantum_ns:
            return None  # samples still arrive in most of it, or it cannot be any narrower
        rows, column = _counts(answer)
        if not rows:
            return None  # a cap leaves some and a grid has some; and it would prove nothing
        last, self._last = self._last, (rows, span_ns)
        if span_ns > TRUSTED_NS and is_thinned(query, answer, known_ns):
            return Doubt.GRID
        doubt = self._doubt(span_ns, rows, column, last)
        if doubt is not None and not is_even(query, answer, known_ns):
            return doubt
        if doubt is not None and old.end_ns == query.asked.end_ns:  # else its young end may be cut unseen
            self._take_as_proved(span_ns, rows, column)
        self._on_trust += span_ns > TRUSTED_NS
        return Doubt.TURN if self._on_trust >= REPROVED_AFTER else None

    def _doubt(self, span_ns: int, rows: int, column: int, last: tuple[int, int]) -> Doubt | None:
        if span_ns > self._proved_ns:
            return Doubt.LENGTH
        if rows > self._proved_rows or column > self._proved_column:
            return Doubt.ROWS
        if _is_round(rows) or _is_repeated(rows, span_ns, *last):
            return Doubt.CAP
        return None

    def pieces(self, query: Query, answer: Answer, doubt: Doubt) -> list[Query]:
        """The shorter questions that prove an answer: mostly about the beginning and the end of its window.

        They speak for nothing by themselves; what they show is compared and not published.
        A cap takes away what is newest, what is oldest, or the last signals; one of the two ends shows each. Where an
        answer shows nothing of a signal in one of them, another goes on to its first row or back to its last one: else
        nothing is compared there, and a service that fails to read the signal for the piece would prove it to be empty.
        """
        old, quantum_ns = _old_part(query), query.group.stream.quantum_ns
        trusted_ns = TRUSTED_NS if doubt is Doubt.GRID else self._proved_ns  # it may be thinned out since then
        longest_ns = min((old.end_ns - old.start_ns) // PIECE_SHARE, trusted_ns)
        piece_ns = max(align_down(longest_ns, quantum_ns), quantum_ns)
        ends = [
            Interval(old.start_ns, old.start_ns + piece_ns),
            Interval(old.end_ns - piece_ns, old.end_ns),
        ]
        if doubt is Doubt.TURN:
            self._turn += 1
            return [replace(query, stretched=ends[self._turn % 2])]
        if doubt is Doubt.GRID:  # beside its newest and its oldest row: one may be where the grid is by chance
            shown_ns = [at for column in answer.columns.values() for at in column.instants_ns]
            old_ns = [at for at in shown_ns if at < old.end_ns]
            seen_ns, end_ns = (old_ns, old.end_ns) if old_ns else (shown_ns, query.asked.end_ns)
            latest_ns = end_ns - piece_ns
            starts_ns = [
                max(old.start_ns, min(align_down(at, quantum_ns), latest_ns)) for at in (max(seen_ns), min(seen_ns))
            ]
            ends = [Interval(at, at + piece_ns) for at in starts_ns]
        else:
            first_ns = max(_first_rows_ns(answer, old, quantum_ns), default=old.start_ns)
            last_ns = min(_last_rows_ns(answer, old, quantum_ns), default=old.end_ns)
            ends.append(Interval(old.start_ns, max(first_ns, old.start_ns + piece_ns)))
            ends.append(Interval(min(last_ns, old.end_ns - piece_ns), old.end_ns))
        return [replace(query, stretched=end) for end in dict.fromkeys(ends)]

    def proved(self, query: Query, answer: Answer) -> None:
        """The pieces showed nothing that the answer lacks."""
        rows, column = _counts(answer)
        old = _old_part(query)
        self.answered()
        self._on_trust = 0
        self._take_as_proved(old.end_ns - old.start_ns, rows, column)

    def _take_as_proved(self, span_ns: int, rows: int, column: int) -> None:
        self._proved_ns = max(self._proved_ns, span_ns)
        self._proved_rows = max(self._proved_rows, rows)
        self._proved_column = max(self._proved_column, column)

    def refuted(self, query: Query, doubt: Doubt) -> None:
        """A piece showed what the answer lacks."""
        if doubt not in (Doubt.LENGTH, Doubt.ROWS):  # it is not as it was when more was proved
            self._forget()
        span_ns = query.asked.end_ns - query.asked.start_ns
        self._refuted_ns = span_ns if self._refuted_ns is None else min(self._refuted_ns, span_ns)
        self._refuted_for = REFUTED_FOR

    def answered(self) -> None:
        """One more answer counted."""
        self._refuted_for = max(0, self._refuted_for - 1)
        if not self._refuted_for:
            self._refuted_ns = None


def shows_all(query: Query, answer: Answer, pieces: Sequence[tuple[Query, Answer]], doubt: Doubt) -> bool:
    """Whether an answer has every instant that shorter ones, asked for later, have.

    What is young does not count: it may have arrived in between. A piece without a signal that the answer
    shows there proves nothing. An answer with few rows, or in doubt of a grid, must have nothing else there either;
    in doubt of a grid nothing young either, for what has arrived stays.
    """
    until_ns = _old_part(query).end_ns
    is_alike = doubt is Doubt.GRID or _counts(answer)[0] < TRUSTED_ROWS
    for asked, piece in pieces:
        window = Interval(asked.asked.start_ns, min(asked.asked.end_ns, until_ns))
        for index in {*piece.columns, *answer.columns}:
            theirs, ours = piece.columns.get(index), answer.columns.get(index)
            there, here = _within(theirs, window), _within(ours, window)
            if there - here or (here and not there) or (is_alike and here != there):
                return False
            if doubt is Doubt.GRID and _within(ours, asked.asked) - _within(theirs, asked.asked):
                return False
    return True


def _first_rows_ns(answer: Answer, old: Interval, quantum_ns: int) -> Iterator[int]:
    """Behind the first rows of signals, as far as these are in the part that is not young."""
    for column in answer.columns.values():
        behind_ns = align_down(column.instants_ns[0], quantum_ns) + quantum_ns
        if behind_ns <= old.end_ns:
            yield behind_ns


def _last_rows_ns(answer: Answer, old: Interval, quantum_ns: int) -> Iterator[int]:
    """Where the last rows of signals are in the part that is not young, past its beginning."""
    for column in answer.columns.values():
        at = bisect_left(column.instants_ns, old.end_ns)
        last_ns = align_down(column.instants_ns[at - 1], quantum_ns) if at else old.start_ns
        if last_ns > old.start_ns:
            yield last_ns


def is_thinned(query: Query, answer: Answer, known_ns: Mapping[int, Sequence[int]]) -> bool:
    """Whether a raw answer looks like means on a grid of seconds.

    So it does when all rows of signals that are known to have samples in between lie on whole seconds, or when those
    of one signal do at twice its usual distance at least.
    """
    if query.group.stream.resample_period_ns is not None:
        return False
    rows = between = 0
    for index, column in answer.columns.items():
        known, instants_ns = known_ns.get(index, ()), column.instants_ns
        is_on_grid = not any(at % NS_PER_S for at in instants_ns)
        if any(at % NS_PER_S for at in known):
            rows += len(instants_ns)
            between += not is_on_grid
        elif is_on_grid and min(len(known), len(instants_ns)) >= LEAST_GRID and _is_sparser(instants_ns, known):
            return True
    return rows > 0 and not between


def _within(column: Column | None, window: Interval) -> set[int]:
    return {at for at in column.instants_ns if window.start_ns <= at < window.end_ns} if column else set()


def is_even(query: Query, answer: Answer, known_ns: Mapping[int, Sequence[int]]) -> bool:
    """Whether every signal that was asked for has rows from end to end, as close together as those that are known.

    Then nothing was cut or thinned out, and no shorter question is needed to see that. One row that is cut leaves more
    than the usual distance at its end of the window.
    """
    old = _old_part(query)
    for series in query.series:
        index = series.signal.index
        known, column = known_ns.get(index, ()), answer.columns.get(index)
        if column is None or index in answer.unreadable or len(known) < LEAST_GRID:
            return False
        spacing_ns, instants_ns = _spacing(known), column.instants_ns
        gap_ns = max(instants_ns[0] - old.start_ns, old.end_ns - instants_ns[-1])
        if gap_ns > spacing_ns or len(instants_ns) * spacing_ns * 5 < 4 * (old.end_ns - old.start_ns):
            return False
    return True


def _is_sparser(instants_ns: Sequence[int], known_ns: Sequence[int]) -> bool:
    return _spacing(instants_ns) >= 2 * _spacing(known_ns)


def _spacing(instants_ns: Sequence[int]) -> int:
    return median_low(later - earlier for earlier, later in pairwise(instants_ns))


def _counts(answer: Answer) -> tuple[int, int]:
    """Rows in all, and of the signal that has most."""
    counts = [len(column.instants_ns) for column in answer.columns.values()]
    return sum(counts), max(counts, default=0)


def _old_part(query: Query) -> Interval:
    """The part of what is asked for that is not young."""
    stream = query.group.stream
    old_ns = align_down(query.asked_at_ns - min(stream.overlap_ns, YOUNG_NS), stream.quantum_ns)
    return Interval(query.asked.start_ns, max(query.asked.start_ns, min(query.asked.end_ns, old_ns)))


def _is_round(rows: int) -> bool:
    """Whether a number is one that people choose: one digit and zeros, a multiple of 500, a power of two."""
    if rows < TRUSTED_ROWS:
        return False
    return rows % 10 ** (len(str(rows)) - 1) == 0 or rows % 500 == 0 or rows & (rows - 1) == 0


def _is_repeated(rows: int, span_ns: int, last_rows: int, last_span_ns: int) -> bool:
    return rows >= REPEATED_ROWS and rows == last_rows and 10 * abs(span_ns - last_span_ns) > span_ns
