"""What a shard says of its samples, and when."""

from __future__ import annotations

import json
from typing import Any

import pytest

from streamer.bulletin import GAPS_EVERY_NS, Bulletin
from streamer.bus.catalogue import encode
from streamer.model import NS_PER_S, Group, Lane, Notice, Series, Signal, SignalId
from tests.unit.ledger.bench import STREAM, Bench, every_second, group_of, raw


class FakeClock:
    """Stands until it is moved."""

    def __init__(self) -> None:
        self.now_ns = 77 * NS_PER_S

    def monotonic_ns(self) -> int:
        return self.now_ns

    def wall_ns(self) -> int:
        return self.now_ns + 1_234_567

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("nothing here waits")


class Desk:
    """A bulletin on a bench."""

    def __init__(self, *groups: Group) -> None:
        self.bench = Bench(*groups)
        self.clock = FakeClock()
        self.begin({})

    def begin(self, signals: dict[str, bytes]) -> None:
        """A new owner of what is stored."""
        self.bench.configure(*self.bench.groups)
        self.bulletin = Bulletin(self.bench.ledger, self.clock)
        self.bulletin.begin(self.bench.groups)
        self.bulletin.renew(signals)

    def said(self, topic: str) -> list[Notice]:
        """What the next commit says on a topic."""
        closing = self.bulletin.closing()
        notices = [] if closing is None else closing({0: 5})
        self.bench.commit()
        return [notice for notice in notices if notice.topic == topic]


def told(notices: list[Notice]) -> list[dict[str, Any]]:
    return [json.loads(notice.value or b"null") for notice in notices]


def live(bench: Bench, start: int, end: int, *indexes: int, number: int = 0) -> None:
    bench.live(start, end, {index: every_second(start, end) for index in indexes}, number=number)


def test_a_new_owner_states_every_stream_at_once() -> None:
    other = group_of(3, stream=STREAM.__class__("other", NS_PER_S, overlap_ns=0, lookback_ns=(NS_PER_S,)))
    desk = Desk(group_of(1, 2), other)
    assert [(notice.key, event["signals"]) for notice in desk.said("completeness") for event in told([notice])] == [
        (b"all:0", 2),
        (b"other:0", 1),
    ]


def test_a_stream_is_as_far_as_its_group_that_is_furthest_behind() -> None:
    desk = Desk(group_of(1, 2), group_of(3, number=1))
    live(desk.bench, 0, 60, 1, 2)
    live(desk.bench, 0, 30, 3, number=1)
    (event,) = told(desk.said("completeness"))
    assert event["signals"] == 3
    assert event["frontier"] == "1970-01-01T00:00:30Z"
    assert event["watermark"] == "1970-01-01T00:00:27Z"
    assert event["settled"] == "1970-01-01T00:00:00Z"
    assert event["samples_end"] == {"0": 5}
    assert event["at"] == "1970-01-01T00:01:17.001Z"


def test_a_stream_is_stated_at_most_once_a_second_and_only_when_something_is_new() -> None:
    desk = Desk(group_of(1))
    assert desk.said("completeness")
    live(desk.bench, 0, 10, 1)
    desk.clock.now_ns += NS_PER_S - 1
    assert not desk.said("completeness")
    desk.clock.now_ns += 1
    assert [event["frontier"] for event in told(desk.said("completeness"))] == ["1970-01-01T00:00:10Z"]
    desk.clock.now_ns += 10 * NS_PER_S
    assert not desk.said("completeness")


def test_every_open_hole_is_listed_oldest_first() -> None:
    desk = Desk(group_of(1, 2))
    live(desk.bench, 0, 60, 1, 2)
    desk.bench.take(desk.bench.ask(57, 70), {1: every_second(57, 70)})
    (event,) = told(desk.said("completeness"))
    assert event["holes"] == [
        {
            "database_id": 7,
            "index": 2,
            "start": "1970-01-01T00:00:57Z",
            "end": "1970-01-01T00:01:10Z",
            "cause": "absent",
        }
    ]


def test_a_hole_is_told_when_it_has_stood_and_again_when_it_is_healed() -> None:
    desk = Desk(group_of(1, 2))
    live(desk.bench, 0, 60, 1, 2)
    desk.bench.take(desk.bench.ask(57, 70), {1: every_second(57, 70)})
    assert desk.said("gaps") == []
    desk.clock.now_ns += GAPS_EVERY_NS - 1
    assert desk.said("gaps") == []
    desk.clock.now_ns += 1
    (notice,) = desk.said("gaps")
    assert notice.key == b"7:2"
    assert told([notice]) == [
        {
            "event": "opened",
            "database_id": 7,
            "index": 2,
            "stream": "all",
            "aggregation": None,
            "resample_period": None,
            "start": "1970-01-01T00:00:57Z",
            "end": "1970-01-01T00:01:10Z",
            "cause": "absent",
            "at": "1970-01-01T00:01:22.001Z",
        }
    ]
    desk.bench.take(desk.bench.ask(57, 70, lane=Lane.REPAIR, of=[2], at=1000), {2: every_second(57, 70)})
    desk.clock.now_ns += GAPS_EVERY_NS
    assert [(event["event"], event["start"]) for event in told(desk.said("gaps"))] == [
        ("healed", "1970-01-01T00:00:57Z")
    ]


def test_a_new_owner_knows_what_was_told_and_tells_it_once() -> None:
    desk = Desk(group_of(1, 2))
    live(desk.bench, 0, 60, 1, 2)
    desk.bench.take(desk.bench.ask(57, 70), {1: every_second(57, 70)})
    desk.said("gaps")
    desk.clock.now_ns += GAPS_EVERY_NS
    assert len(desk.said("gaps")) == 1
    desk.begin({})
    for _ in range(3):
        assert desk.said("gaps") == []
        desk.clock.now_ns += GAPS_EVERY_NS
    desk.bench.take(desk.bench.ask(57, 70, lane=Lane.REPAIR, of=[2], at=1000), {2: every_second(57, 70)})
    desk.begin({})
    assert [event["event"] for event in told(desk.said("gaps"))] == ["healed"]


def test_signals_are_told_once_and_again_when_they_change_and_when_they_are_gone() -> None:
    desk = Desk(group_of(1))
    desk.begin({"7:1": b"{}", "7:2": b"{}"})
    assert [notice[1:3] for notice in desk.said("signals")] == [(b"7:1", b"{}"), (b"7:2", b"{}")]
    desk.begin({"7:1": b'{"tag":1}', "7:2": b"{}"})
    assert [notice[1:3] for notice in desk.said("signals")] == [(b"7:1", b'{"tag":1}')]
    assert desk.said("signals") == []
    desk.begin({"7:2": b"{}"})
    assert [notice[1:3] for notice in desk.said("signals")] == [(b"7:1", None)]
    desk.begin({"7:2": b"{}"})
    assert desk.said("signals") == []


def test_what_was_told_of_signals_is_part_of_the_ledgers_digest() -> None:
    desk = Desk(group_of(1))
    desk.begin({"7:1": b"{}"})
    desk.said("signals")
    desk.bench.restored()
    del desk.bench.store[b"signal/7:1"]
    with pytest.raises(Exception, match="does not match"):
        desk.bench.restored()


def test_a_signals_event_lists_its_series_in_one_order() -> None:
    signal = Signal(SignalId(7, 1), tag="U1/P", unit="MW", first_instant_ns=NS_PER_S)
    series = [("b", Series(signal.id, "mean", NS_PER_S)), ("a", raw(1))]
    assert encode(signal, series) == encode(signal, reversed(series))
    assert json.loads(encode(signal, series)) == {
        "database_id": 7,
        "index": 1,
        "name": None,
        "tag": "U1/P",
        "description": None,
        "unit": "MW",
        "default_aggregation": None,
        "first_sample": "1970-01-01T00:00:01Z",
        "series": [
            {"stream": "a", "aggregation": None, "resample_period": None},
            {"stream": "b", "aggregation": "mean", "resample_period": "1s"},
        ],
    }
