"""Faults that go on are said once, then once a minute, and once more when they are over."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from structlog.testing import capture_logs

from streamer.complaints import FURTHER_CAUSES, MOST_CAUSES, MOST_FAULTS, REPEATED_AFTER_NS, Complaints, Fault

EVENT = "source.unreachable"
CAUSE = "nobody answers"


@dataclass
class HandClock:
    """Time passes when a test says so."""

    now_ns: int = 0

    def monotonic_ns(self) -> int:
        return self.now_ns

    def wall_ns(self) -> int:
        raise AssertionError("the wall clock has no say in this")

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("nothing here sleeps")


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def complaints(clock: HandClock) -> Complaints:
    return Complaints(clock)


@pytest.fixture
def log() -> Iterator[list[Any]]:
    with capture_logs() as records:
        yield records


def test_a_fault_is_said_at_once_as_a_warning_with_its_fields(complaints: Complaints, log: list[Any]) -> None:
    complaints.say(EVENT, CAUSE, remedy="Wait.")
    assert log == [{"event": EVENT, "log_level": "warning", "cause": CAUSE, "times": 1, "remedy": "Wait."}]


def test_a_fault_that_goes_on_is_not_said_again_within_a_minute(
    complaints: Complaints, clock: HandClock, log: list[Any]
) -> None:
    complaints.say(EVENT, CAUSE)
    clock.now_ns += REPEATED_AFTER_NS - 1
    complaints.say(EVENT, CAUSE)
    assert len(log) == 1


def test_after_a_minute_it_is_said_with_the_times_since(
    complaints: Complaints, clock: HandClock, log: list[Any]
) -> None:
    for _ in range(3):
        complaints.say(EVENT, CAUSE)
    clock.now_ns += REPEATED_AFTER_NS
    complaints.say(EVENT, CAUSE)
    assert [record["times"] for record in log] == [1, 3]


def test_each_cause_is_said_by_itself(complaints: Complaints, log: list[Any]) -> None:
    complaints.say(EVENT, CAUSE)
    complaints.say(EVENT, "it hangs up")
    assert [(record["cause"], record["times"]) for record in log] == [(CAUSE, 1), ("it hangs up", 1)]


def test_the_same_cause_of_another_fault_is_said_by_itself(complaints: Complaints, log: list[Any]) -> None:
    complaints.say(EVENT, CAUSE)
    complaints.say("bus.unreachable", CAUSE)
    assert [record["event"] for record in log] == [EVENT, "bus.unreachable"]


def test_the_end_of_a_fault_is_said_once(complaints: Complaints, log: list[Any]) -> None:
    complaints.say(EVENT, CAUSE)
    complaints.over(EVENT, "source.reached", shard=1)
    complaints.over(EVENT, "source.reached", shard=1)
    assert log[1:] == [{"event": "source.reached", "log_level": "info", "shard": 1}]


def test_a_fault_that_never_was_has_no_end(complaints: Complaints, log: list[Any]) -> None:
    complaints.over(EVENT, "source.reached")
    assert log == []


def test_a_fault_is_over_when_it_is_over_for_all_who_suffer(complaints: Complaints, log: list[Any]) -> None:
    for shard in ("0", "1"):
        complaints.say(EVENT, CAUSE, who=shard)
    complaints.over(EVENT, "source.reached", who="0")
    assert len(log) == 1
    complaints.over(EVENT, "source.reached", who="1")
    assert [record["event"] for record in log] == [EVENT, "source.reached"]


def test_one_who_does_not_suffer_does_not_end_a_fault(complaints: Complaints, log: list[Any]) -> None:
    complaints.say(EVENT, CAUSE, who="0")
    complaints.over(EVENT, "source.reached", who="1")
    assert len(log) == 1


def test_the_end_of_one_fault_is_not_that_of_another(complaints: Complaints, log: list[Any]) -> None:
    complaints.say(EVENT, CAUSE)
    complaints.say("bus.unreachable", CAUSE)
    complaints.over("bus.unreachable", "bus.reached")
    complaints.over(EVENT, "source.reached")
    assert [record["event"] for record in log[2:]] == ["bus.reached", "source.reached"]


def test_a_cause_that_is_another_each_time_fills_neither_the_log_nor_the_memory(
    complaints: Complaints, clock: HandClock, log: list[Any]
) -> None:
    for request in range(1_000):
        clock.now_ns += REPEATED_AFTER_NS // 500
        complaints.say(EVENT, f"500: request {request} failed")
    assert len(log) <= 3 * (MOST_CAUSES + 1)
    assert sum(record["times"] for record in log if record["cause"] == FURTHER_CAUSES) > 400


def test_causes_of_long_ago_make_room_for_new_ones(complaints: Complaints, clock: HandClock, log: list[Any]) -> None:
    for number in range(MOST_CAUSES):
        complaints.say(EVENT, str(number))
    clock.now_ns += REPEATED_AFTER_NS
    complaints.say(EVENT, "new")
    assert log[-1]["cause"] == "new"


def test_a_fault_is_kept_with_its_remedy_until_it_is_over(complaints: Complaints, clock: HandClock) -> None:
    complaints.say(EVENT, CAUSE, who="a", remedy="Wait.", stream="turbines")
    clock.now_ns += 5
    complaints.say(EVENT, CAUSE, who="b", remedy="Wait.", stream="turbines")
    assert complaints.faults == [Fault(EVENT, CAUSE, "Wait.", "turbines", began_ns=0, last_ns=5, times=2)]
    complaints.over(EVENT, "source.reached", who="a")
    assert complaints.faults[0].ended_ns is None
    clock.now_ns += 2
    complaints.over(EVENT, "source.reached", who="b")
    assert complaints.faults[0].ended_ns == 7


def test_a_fault_that_comes_again_counts_anew(complaints: Complaints, clock: HandClock) -> None:
    complaints.say(EVENT, CAUSE)
    complaints.over(EVENT, "source.reached")
    clock.now_ns += 5
    complaints.say(EVENT, CAUSE)
    assert complaints.faults == [Fault(EVENT, CAUSE, "", "", began_ns=5, last_ns=5, times=1)]


def test_the_last_faults_are_kept_the_newest_first(complaints: Complaints) -> None:
    for number in range(MOST_FAULTS + 5):
        complaints.say(f"event {number}", CAUSE)
    complaints.say("event 7", CAUSE)
    events = [fault.event for fault in complaints.faults]
    assert len(events) == MOST_FAULTS
    assert events[:2] == ["event 7", f"event {MOST_FAULTS + 4}"]
    assert "event 4" not in events


def test_what_is_kept_has_no_secret_and_no_control_character(complaints: Complaints) -> None:
    complaints.say(EVENT, "Bearer abcdefgh\nforged", remedy="client_secret=hunter22")
    (fault,) = complaints.faults
    assert fault.cause == "Bearer **********\\nforged"
    assert "hunter22" not in fault.remedy
