"""The memory records of one commit, each small enough to be one message on Kafka.

Called by the ledger and its books alone.
"""

from __future__ import annotations

from collections.abc import Iterator

from streamer.ledger.codec import Remembered, encode_memory, memory_key

_FRAME_BYTES = 48
_EXACT_BYTES = 10
"""Of a value written as text: its position, and what frames the two."""

SEGMENT_BYTES = 400_000
"""Most bytes of one record, unless a single sample has more: below the broker's usual limit of 1 MB a message."""


class Segments:
    """Takes the parts of a commit in and says in which record each of them is."""

    def __init__(self, sequence: int) -> None:
        self._sequence = sequence
        self._segments: list[list[Remembered]] = []
        self._held: list[int] = []
        self._bytes = SEGMENT_BYTES

    def add(self, part: Remembered, series: int) -> bytes:
        """Put a part of so many series into a record; return that record's key."""
        size = size_of(part)
        if self._bytes + size > SEGMENT_BYTES:
            self._segments.append([])
            self._held.append(0)
            self._bytes = 0
        self._segments[-1].append(part)
        self._held[-1] += series
        self._bytes += size
        return memory_key(self._sequence, len(self._segments) - 1)

    def records(self) -> Iterator[tuple[bytes, bytes, int]]:
        """Key and value of each record, and how many series hold a part of it, each part counted."""
        for at, (parts, held) in enumerate(zip(self._segments, self._held, strict=True)):
            yield memory_key(self._sequence, at), encode_memory(parts), held


def size_of(part: Remembered) -> int:
    """About how many bytes a part takes when it is written down."""
    columns = len(part.series) + len(part.counts) + len(part.instants) + len(part.values) + _FRAME_BYTES
    return columns + sum(_EXACT_BYTES + len(text) for text in part.exact.values())
