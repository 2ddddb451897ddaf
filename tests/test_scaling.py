"""The arithmetic of docs/scaling.md is the program's own."""

from __future__ import annotations

from dataclasses import replace

import pytest

from docs.scaling import Load
from streamer.config import StreamSettings
from streamer.ledger.codec import MEMORY_PREFIX
from streamer.model import NS_PER_MS, NS_PER_S, Answer, Interval, Lane, Query, Signal, Stream
from streamer.roster import Member
from streamer.sizing import BYTES_A_SAMPLE, needed_bytes
from tests.unit.ledger.bench import STREAM, Bench, column_of, group_of, raw

SIZES = ((10, 1), (10, 5), (20, 5), (3, 30))


@pytest.mark.parametrize(("group_size", "poll_s"), SIZES)
def test_what_is_remembered_is_within_what_the_start_asks_for(group_size: int, poll_s: int) -> None:
    settings = StreamSettings(name="all", database_id=1, all=True, poll_interval=f"{poll_s}s")
    stream = Stream("all", settings.poll_interval, settings.overlap, tuple(settings.lookback))
    members = [Member(raw(1), stream, settings, Signal(raw(1).signal))] * 100
    load = Load(100, rate_hz=1, poll_s=poll_s, group_size=group_size, shards=1)
    most = needed_bytes(members, {"all": 1.0}) / BYTES_A_SAMPLE
    assert 0.5 * most < load.entries < most


@pytest.mark.parametrize(("group_size", "poll_s"), SIZES)
def test_a_sample_is_stored_in_as_many_bytes_as_the_page_says(group_size: int, poll_s: int) -> None:
    indexes = range(100_000, 100_000 + group_size)
    bench = Bench(group_of(*indexes, stream=replace(STREAM, lookback_ns=(10_000 * NS_PER_S,))))
    for start in range(0, 100 * poll_s, poll_s):
        seconds = range(start, start + poll_s)
        columns = {
            index: column_of({second * NS_PER_S + at * NS_PER_MS: 1.5 for second in seconds})
            for at, index in enumerate(indexes)
        }
        window = Interval(start * NS_PER_S, (start + poll_s) * NS_PER_S)
        group = bench.groups[0]
        query = Query(group, Lane.LIVE, group.series, window, window.end_ns, bench.place())
        bench.ledger.apply(query, Answer(columns, received_wall_ns=0))
        bench.commit()
    size = sum(len(key) + len(value) for key, value in bench.store.items() if key.startswith(MEMORY_PREFIX))
    load = Load(group_size, rate_hz=1, poll_s=poll_s, group_size=group_size, shards=1)
    assert size / bench.ledger.entries == pytest.approx(load.state_bytes / load.entries, rel=0.15)
