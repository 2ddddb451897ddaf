"""How long a window may be: as long as its answer stays of a useful size. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from streamer.model import NS_PER_S, Group

RAW_LIMIT_NS = 29 * 60 * NS_PER_S
"""Longest raw window. Past 30 minutes the service aggregates in silence (API, v1 query); a minute of margin."""

TARGET_ROWS = 40_000
"""Rows of an answer that a chunk aims at: 2.6 MB of body, a tenth of a second of work."""

FIRST_NS = 60 * NS_PER_S
"""The first chunk, before any density is known."""

GROWTH = 4
"""A chunk that was answered well grows at most by this factor."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """The length of the next long window of a group.

    Invariant: at least one quantum, at most what the API serves raw.
    """

    span_ns: int

    @classmethod
    def first(cls, group: Group) -> Chunk:
        """Where a group begins."""
        return cls(_bounded(FIRST_NS, group))

    def answered(self, group: Group, asked_ns: int, rows: int) -> Chunk:
        """After an answer of so many rows to a window of ``asked_ns``: towards the target."""
        if asked_ns < self.span_ns // 2:
            return self
        aim_ns = asked_ns * TARGET_ROWS // max(rows, 1)
        return Chunk(_bounded(min(aim_ns, self.span_ns * GROWTH), group))

    def failed(self, group: Group) -> Chunk:
        """After a failure that a narrower window may avoid: half."""
        return Chunk(_bounded(self.span_ns // 2, group))


def _bounded(span_ns: int, group: Group) -> int:
    quantum_ns = group.stream.quantum_ns
    if group.stream.resample_period_ns is None:
        span_ns = min(span_ns, RAW_LIMIT_NS)
    else:
        span_ns = min(span_ns, TARGET_ROWS * quantum_ns // len(group.series))
    return max(span_ns - span_ns % quantum_ns, quantum_ns)
