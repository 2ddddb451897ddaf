"""Completeness events: what is stated, within bounds, stays true."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from streamer.bus.completeness import Statement, bounded, encode
from streamer.model import NS_PER_S, Hole, Interval, Series, SignalId

FRONTIER_NS = 100 * NS_PER_S


def hole(index: int, start_ns: int, end_ns: int) -> Hole:
    return Hole(Series(SignalId(7, index)), Interval(start_ns, end_ns), "absent")


def statement(*holes: Hole) -> Statement:
    return Statement(
        "turbines",
        3,
        (7,),
        20,
        frontier_ns=FRONTIER_NS,
        watermark_ns=97 * NS_PER_S,
        settled_ns=40 * NS_PER_S,
        holes=tuple(sorted(holes, key=lambda hole: hole.interval)),
    )


HOLES = st.lists(
    st.builds(
        lambda index, start_s, span_s: hole(index, start_s * NS_PER_S, min(start_s + span_s, 100) * NS_PER_S),
        st.integers(1, 20),
        st.integers(0, 99),
        st.integers(1, 60),
    ),
    max_size=30,
)


@given(holes=HOLES, most=st.integers(1, 10))
def test_a_bounded_statement_says_less_and_nothing_that_is_not_so(holes: list[Hole], most: int) -> None:
    whole = statement(*holes)
    said = bounded(whole, most)
    assert len(said.holes) <= most
    assert set(said.holes) <= set(whole.holes)
    for reach, most_reach in zip(said[4:7], whole[4:7], strict=True):
        assert reach <= most_reach
        unlisted = [hole for hole in whole.holes if hole not in said.holes]
        assert all(hole.interval.start_ns >= reach for hole in unlisted)


def test_a_statement_that_is_small_enough_stays_as_it_is() -> None:
    whole = statement(hole(1, 0, 5), hole(2, 0, 5))
    assert bounded(whole, 2) is whole


def test_too_many_holes_lower_what_is_stated_to_the_first_one_left_out() -> None:
    whole = statement(hole(1, 10, 20), hole(2, 50, 60), hole(3, 50, 70))
    said = bounded(whole, 2)
    assert (said.frontier_ns, said.watermark_ns, said.settled_ns) == (50, 50, 50)
    assert said.holes == (hole(1, 10, 20),)


def test_the_event_is_as_the_contract_writes_it() -> None:
    notice = encode(statement(hole(1001, 5 * NS_PER_S, 6_500_000_000)), {7: 120, 3: 99}, 123_456_000_000)
    assert (notice.topic, notice.key, notice.timestamp_ns) == ("completeness", b"turbines:3", 123_456_000_000)
    assert notice.value is not None
    assert json.loads(notice.value) == {
        "stream": "turbines",
        "shard": 3,
        "database_ids": [7],
        "signals": 20,
        "frontier": "1970-01-01T00:01:40Z",
        "watermark": "1970-01-01T00:01:37Z",
        "settled": "1970-01-01T00:00:40Z",
        "holes": [
            {
                "database_id": 7,
                "index": 1001,
                "start": "1970-01-01T00:00:05Z",
                "end": "1970-01-01T00:00:06.5Z",
                "cause": "absent",
            }
        ],
        "samples_end": {"3": 99, "7": 120},
        "at": "1970-01-01T00:02:03.456Z",
    }
