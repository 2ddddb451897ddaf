"""The memory records of one commit, each small enough to be one message on Kafka.

Called by the ledger and its books alone.
"""

from __future__ import annotations

from collections.abc import Iterator

from streamer.ledger.codec import Remembered, encode_memory, memory_key

PART_ROWS = 20_000
"""Most samples of one part: of one series and revision."""

SEGMENT_ROWS = 25_000
"""Most samples of one record: at 16 bytes each 400 kB, below the broker's usual limit of 1 MB a message."""


class Segments:
    """Takes the parts of a commit in and says in which record each of them is."""

    def __init__(self, sequence: int) -> None:
        self._sequence = sequence
        self._segments: list[list[Remembered]] = []
        self._rows = SEGMENT_ROWS

    def add(self, part: Remembered, rows: int) -> bytes:
        """Put a part into a record; return that record's key."""
        if self._rows + rows > SEGMENT_ROWS:
            self._segments.append([])
            self._rows = 0
        self._segments[-1].append(part)
        self._rows += rows
        return memory_key(self._sequence, len(self._segments) - 1)

    def records(self) -> Iterator[tuple[bytes, bytes, int]]:
        """Key, value and number of parts of each record."""
        for at, parts in enumerate(self._segments):
            yield memory_key(self._sequence, at), encode_memory(parts), len(parts)
