"""No record of the memory is larger than one message may be, whatever the values."""

from __future__ import annotations

from dataclasses import replace

import pytest

from streamer.ledger.codec import MEMORY_PREFIX
from streamer.ledger.segments import SEGMENT_BYTES
from streamer.model import NS_PER_S, Value
from tests.unit.ledger.bench import STREAM, Bench, every_second, group_of

COUNT = 60_000
ROOM = 1.1
"""What the framing of a record may add to the size that is counted."""


@pytest.mark.parametrize("value", [1.5, None, 2**53 + 1, 10**40], ids=["float", "null", "past 2^53", "41 digits"])
def test_a_commit_of_any_values_is_written_in_records_of_a_bounded_size(value: Value) -> None:
    bench = Bench(group_of(1, stream=replace(STREAM, has_null_events=True, lookback_ns=(2 * COUNT * NS_PER_S,))))
    bench.live(0, COUNT, {1: every_second(0, COUNT, value)})
    sizes = [len(record) for key, record in bench.store.items() if key.startswith(MEMORY_PREFIX)]
    assert max(sizes) <= SEGMENT_BYTES * ROOM
    assert len(sizes) > 1
    assert bench.restored().entries == bench.ledger.entries == COUNT
