"""How long a window may be: as long as it is answered whole and of a useful size (rule 11). Pure.

A ``Chunk`` is for what windows speak for, a ``Reach`` for how far a repair stretches beyond that to a known sample.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from streamer.model import NS_PER_S, Group

RAW_LIMIT_NS = 29 * 60 * NS_PER_S
"""Longest raw window. Past 30 minutes the service aggregates in silence (API, v1 query); a minute of margin."""

TARGET_ROWS = 40_000
"""Rows of an answer that a chunk aims at: 2.6 MB of body, a tenth of a second of work."""

FIRST_NS = 60 * NS_PER_S
"""The first chunk, before any density is known."""

WARY_FOR = 200
"""So many answers are asked for without the length that failed when a repair was stretched to it."""

GROWTH = 4
"""A chunk that was answered well grows at most by this factor, as long as it is not near what failed."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """The length of the next long window of a group.

    Invariant: at least one quantum, at most what the API serves raw.

    Attributes:
        span_ns: the length.
        wary_from_ns: from here on it grows by a quarter only: half of what failed when all had gone well before.
            Failures in a row are often one outage and leave it as it is, so that what follows is fast again.
        is_failing: whether the last answer was a failure.
    """

    span_ns: int
    wary_from_ns: int | None = None
    is_failing: bool = False

    @classmethod
    def first(cls, group: Group) -> Chunk:
        """Where a group begins."""
        return cls(_bounded(max(FIRST_NS, _least_for_rows(group)), group))

    def answered(self, group: Group, asked_ns: int, rows: int) -> Chunk:
        """After an answer of so many rows to a window of ``asked_ns``: towards the target.

        The number of rows alone never makes it shorter than twice the overlap: that is for the stream to say.
        """
        if asked_ns < self.span_ns // 2:
            return replace(self, is_failing=False)
        aim_ns = max(asked_ns * TARGET_ROWS // max(rows, 1), min(_least_for_rows(group), self.span_ns))
        grown_ns = self.span_ns * GROWTH
        if self.wary_from_ns is not None:
            slowly_ns = self.span_ns + max(self.span_ns // 4, group.stream.quantum_ns)
            grown_ns = max(min(grown_ns, self.wary_from_ns), slowly_ns)
        return replace(self, span_ns=_bounded(min(aim_ns, grown_ns), group), is_failing=False)

    def failed(self, group: Group, asked_ns: int) -> Chunk:
        """After a failure of a window of ``asked_ns`` that a narrower one may avoid: half of it."""
        half_ns = _bounded(min(self.span_ns, asked_ns) // 2, group)
        return Chunk(half_ns, self.wary_from_ns if self.is_failing else half_ns, is_failing=True)

    def is_least(self, group: Group) -> bool:
        """Whether a window cannot be any narrower."""
        return self.span_ns <= group.stream.quantum_ns


@dataclass(frozen=True, slots=True)
class Reach:
    """The longest that repairs are stretched to.

    What is stretched and not answered says nothing about windows that are not: the chunk stays as it is.
    """

    span_ns: int = RAW_LIMIT_NS
    wary_for: int = 0

    def failed(self, asked_ns: int) -> Reach:
        """After a failure of a stretched window of ``asked_ns`` that a narrower one may avoid: half of it."""
        return Reach(asked_ns // 2, WARY_FOR)

    def answered(self) -> Reach:
        """After any answer: what failed long ago is tried again."""
        return Reach(self.span_ns, self.wary_for - 1) if self.wary_for > 1 else Reach()


def _least_for_rows(group: Group) -> int:
    return 2 * group.stream.overlap_ns


def _bounded(span_ns: int, group: Group) -> int:
    quantum_ns = group.stream.quantum_ns
    if group.stream.resample_period_ns is None:
        span_ns = min(span_ns, RAW_LIMIT_NS)
    else:
        span_ns = min(span_ns, max(TARGET_ROWS * quantum_ns // len(group.series), _least_for_rows(group)))
    return max(span_ns - span_ns % quantum_ns, quantum_ns)
