"""Events and completeness read back from the bus: what the encoder wrote, exactly."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from itertools import pairwise

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.bus.events import EventEncoder
from streamer.bus.records import Record
from streamer.errors import LedgerUntrusted
from streamer.ledger.rebuild import Published
from streamer.model import NS_PER_MS, Interval, Run, Series, Signal, SignalId, Value, instant_text
from streamer.published import Told, read_told, refuse_lost_state, runs_of

RAW = Series(SignalId(7, 1))
MEAN = Series(SignalId(7, 2), "mean", 200 * NS_PER_MS)
VALUES = st.one_of(st.none(), st.integers(), st.floats(allow_nan=False, allow_infinity=False))


class Topics:
    """A bus with these values."""

    def __init__(self, **topics: Sequence[bytes]) -> None:
        self._topics = topics

    async def read(
        self, topic: str, *, last: int | None, follow: bool, shard: int | None = None
    ) -> AsyncGenerator[Record, None]:
        for offset, value in enumerate(self._topics.get(topic, ())):
            yield Record(topic, 0, offset, "7:1", {}, value, 0)


def written(runs: Sequence[Run]) -> list[bytes]:
    values: list[bytes] = []
    for run in runs:
        encoder = EventEncoder(Signal(run.series.signal, tag="T"), run.series, "all", 0, True)
        values += encoder.encode(run, "2026-01-16T10:00:01.113Z").values
    return values


async def read_back(values: Sequence[bytes], partition: int = 0) -> list[Published]:
    records = Topics(samples=values).read("samples", last=None, follow=False)
    return [published async for published in runs_of(records, lambda key: partition)]


def run_of(series: Series, revision: int, is_late: bool, samples: dict[int, Value]) -> Run:
    instants = sorted(samples)
    return Run(series, revision, is_late, instants, list(map(instant_text, instants)), [samples[at] for at in instants])


RUNS = st.builds(
    run_of,
    st.sampled_from([RAW, MEAN]),
    st.integers(0, 3),
    st.booleans(),
    st.dictionaries(st.integers(0, 2 * 10**18), VALUES, min_size=1, max_size=5),
)


@given(st.lists(RUNS, max_size=6))
async def test_what_was_written_is_read_back_exactly(runs: list[Run]) -> None:
    found = await read_back(written(runs))
    assert [
        (one.series, one.revision, one.is_late, at, repr(value))
        for one in found
        for at, value in zip(one.instants_ns, one.values, strict=True)
    ] == [
        (run.series, run.revision, run.is_late, at, repr(value))
        for run in runs
        for at, value in zip(run.instants_ns, run.values, strict=True)
    ]
    assert all(one < later for published in found for one, later in pairwise(published.instants_ns))
    assert {one.stream for one in found} <= {"all"}


async def test_neighbours_that_are_alike_come_together() -> None:
    found = await read_back(written([run_of(RAW, 0, False, {1: 1, 2: 2}), run_of(RAW, 0, False, {3: 3})]))
    assert [one.instants_ns for one in found] == [[1, 2, 3]]


@pytest.mark.parametrize("value", [b"{", b'{"index":1}', b"null", b"\xff"])
async def test_a_record_that_cannot_be_read_is_named_by_its_place(value: bytes) -> None:
    good = written([run_of(RAW, 0, False, {1: 1})])
    with pytest.raises(LedgerUntrusted, match="offset 1 of partition 0 of samples"):
        await read_back([*good, value])


async def test_an_event_with_an_impossible_instant_or_period_is_named_too() -> None:
    event = orjson.loads(written([run_of(MEAN, 0, False, {0: 1})])[0])
    for changed in ({"timestamp": "yesterday"}, {"resample_period": "1 fortnight"}):
        with pytest.raises(LedgerUntrusted, match="offset 0"):
            await read_back([orjson.dumps({**event, **changed})])


async def test_events_in_another_partition_than_their_key_has_now_are_refused() -> None:
    with pytest.raises(LedgerUntrusted, match="partition 0, its key belongs to 1 now") as refusal:
        await read_back(written([run_of(RAW, 0, False, {1: 1})]), partition=1)
    assert "bus.shards" in refusal.value.remedy


def completeness(settled: int, watermark: int) -> bytes:
    hole = {"database_id": 7, "index": 1, "start": instant_text(1), "end": instant_text(4), "cause": "absent"}
    return orjson.dumps(
        {
            "stream": "all",
            "shard": 1,
            "database_ids": [7],
            "signals": 2,
            "frontier": instant_text(90),
            "watermark": instant_text(watermark),
            "settled": instant_text(settled),
            "holes": [hole],
            "samples_end": {"1": 5},
            "at": instant_text(100),
        }
    )


async def test_the_last_thing_that_was_told_counts_and_nothing_behind_the_watermark_is_settled() -> None:
    told = await read_told(Topics(completeness=[completeness(20, 60), completeness(80, 70)]))
    assert told == {("all", 1): Told(90, 70, ((SignalId(7, 1), (Interval(1, 4), "absent")),))}


async def test_a_state_is_lost_when_something_was_published() -> None:
    await refuse_lost_state(Topics(), 1)
    with pytest.raises(LedgerUntrusted, match="Shard 1 has no state record 'head'"):
        await refuse_lost_state(Topics(samples=[b"{}"]), 1)
