"""A bus in memory that counts events in place of keeping them, for tests with millions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from streamer.model import Records
from tests.support.memory_bus import MemoryBus


class TallyBus(MemoryBus):
    """Counts the events of each key by instant.

    Attributes:
        counts: by key, how many events there are of each period since ``start_ns``.
        newest_ns: by key.
        disordered: events that came after one of a later instant of their key.
    """

    def __init__(self, start_ns: int, period_ns: int) -> None:
        super().__init__()
        self.start_ns = start_ns
        self.period_ns = period_ns
        self.counts: defaultdict[bytes, bytearray] = defaultdict(bytearray)
        self.newest_ns: dict[bytes, int] = {}
        self.disordered = 0

    def keep(self, records: Sequence[Records]) -> None:
        for some in records:
            self._ends[some.partition] += len(some.values)
            self._tally(some)

    def _tally(self, records: Records) -> None:
        counts, newest_ns = self.counts[records.key], self.newest_ns.get(records.key, 0)
        for at_ns in records.timestamps_ns:
            number = (at_ns - self.start_ns) // self.period_ns
            if number >= len(counts):
                counts.extend(bytes(number + 1 - len(counts)))
            counts[number] += 1
            self.disordered += at_ns < newest_ns
            newest_ns = max(newest_ns, at_ns)
        self.newest_ns[records.key] = newest_ns
