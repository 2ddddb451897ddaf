"""One look must tell what is late, why, and what to do."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pytest

import streamer
from docs.log_events import log_events
from streamer.arrival import Advice
from streamer.complaints import Fault
from streamer.model import NS_PER_S, Hole, Lane, SignalId
from streamer.roster import Roster
from streamer.status.causes import FAULTS, MEANINGS
from streamer.status.concerns import HOLE_STANDS_S, Concern, span_text
from tests.support.watched import FixedThrottle, WatchedDaemon, arrival_of, group_of

GROUP = group_of("turbines", 1, 2)


def concerns_of(daemon: WatchedDaemon) -> list[Concern]:
    board = daemon.board()
    board.status()
    daemon.clock.now_ns += int(HOLE_STANDS_S * NS_PER_S)
    found = board.status()["concerns"]
    assert isinstance(found, list)
    return found


def late(lags_s: Sequence[float] = (70, 70, 70, 70), behind_s: float = 67) -> WatchedDaemon:
    """A stream that is late, with the lags that were seen of it."""
    daemon = WatchedDaemon.serving(GROUP, behind_s=behind_s)
    daemon.history.track("turbines").lags_s.extend(lags_s)
    return daemon


def fault(event: str, cause: str = "no answer", *, stream: str = "", ended_ns: int | None = None) -> Fault:
    return Fault(event, cause, "Ask the plant.", stream, 0, 0, 1, ended_ns)


async def ownerless(*, is_ready: bool) -> list[str]:
    """What is said where the group gave shards to nobody."""
    daemon = WatchedDaemon.serving(GROUP)
    daemon.is_ready, daemon.said_by_bus = is_ready, {1: "pod-b"}
    board = daemon.board(4)
    await board.renew()
    found = board.status()["concerns"]
    assert isinstance(found, list)
    return [concern.what for concern in found if concern.severity == "bad"]


async def test_shards_that_nobody_owns_are_named() -> None:
    assert await ownerless(is_ready=True) == ["Shards without an owner: 2, 3."]


async def test_while_shards_are_taken_over_here_nobody_misses_an_owner() -> None:
    assert await ownerless(is_ready=False) == []


def test_all_is_well_when_nothing_is_said() -> None:
    assert concerns_of(WatchedDaemon.serving(GROUP)) == []


def test_a_lag_that_follows_from_overlap_and_poll_interval_is_nobodys_concern() -> None:
    assert concerns_of(WatchedDaemon.serving(GROUP, behind_s=4)) == []
    assert len(concerns_of(WatchedDaemon.serving(GROUP, behind_s=5))) == 1


def test_a_late_stream_is_named_with_its_lag_and_what_was_expected() -> None:
    (concern,) = concerns_of(late())
    assert concern.severity == "bad"
    assert concern.what == "turbines is 1 min 10 s behind; at most 7.0 s is expected."


def test_a_late_stream_that_catches_up_needs_patience_only() -> None:
    (concern,) = concerns_of(late(lags_s=(90, 84, 77, 70)))
    assert (concern.severity, concern.why) == ("warning", "It is catching up.")


def test_a_late_stream_takes_its_reason_from_a_fault_that_goes_on() -> None:
    daemon = late()
    daemon.faults = [fault("source.query_failed", "The body is broken.", stream="turbines")]
    assert (concerns_of(daemon)[0].why, concerns_of(daemon)[0].remedy) == ("The body is broken.", "Ask the plant.")


def test_a_fault_of_another_stream_is_no_reason() -> None:
    daemon = late()
    daemon.faults = [fault("source.query_failed", "The body is broken.", stream="pv")]
    assert concerns_of(daemon)[0].why == "Answers come, but the frontier does not follow."


def test_a_budget_that_is_used_up_is_a_reason() -> None:
    daemon = late()
    daemon.throttle = FixedThrottle(in_flight=4, limit=4, waiting={Lane.LIVE: 7, Lane.REVISIT: 2})
    assert concerns_of(daemon)[0].why == "The budget is used up: 4 requests are out and 9 wait."


def test_an_api_that_does_not_answer_is_said_once_with_what_is_late() -> None:
    daemon = late()
    daemon.throttle = FixedThrottle(is_reachable=False, held_for_s=12)
    daemon.faults = [fault("source.query_failed", "The connection is refused.")]
    (concern,) = concerns_of(daemon)
    assert concern.severity == "bad"
    assert concern.what == "The API does not answer. turbines is late."
    assert concern.why == "The connection is refused. It is asked again in 12 s."
    assert "Nothing is lost" in concern.remedy


def test_a_pause_that_the_api_asked_for_is_a_warning() -> None:
    daemon = WatchedDaemon.serving(GROUP)
    daemon.throttle = FixedThrottle(held_for_s=30)
    (concern,) = concerns_of(daemon)
    assert (concern.severity, concern.what) == ("warning", "The API asked for a pause: no request for 30 s.")


def test_unknown_time_is_urgent() -> None:
    daemon = WatchedDaemon.serving(GROUP)
    daemon.service_now_ns = None
    assert [(one.severity, one.what) for one in concerns_of(daemon)] == [("bad", "The service's time is unknown.")]


def test_shards_that_are_not_taken_over_have_the_bus_for_a_reason() -> None:
    daemon = WatchedDaemon(is_ready=False)
    assert [one.severity for one in concerns_of(daemon)] == ["warning"]
    daemon.faults = [fault("bus.unreachable", "No broker answers.")]
    assert (concerns_of(daemon)[0].severity, concerns_of(daemon)[0].why) == ("bad", "No broker answers.")


def test_a_hole_is_told_once_it_stands() -> None:
    daemon = WatchedDaemon.serving(GROUP, [(0, 60, 50, "silent"), (1, 90, 80, "silent")])
    assert daemon.board().status()["concerns"] == []
    (concern,) = concerns_of(daemon)
    assert concern.what == "2 signals of turbines have holes (silent), the oldest from 2026-01-16T09:58:30Z."
    assert MEANINGS["silent"].why in concern.why


def test_holes_that_the_daemon_fills_by_itself_are_a_note() -> None:
    assert [one.severity for one in concerns_of(WatchedDaemon.serving(GROUP, [(0, 60, 50, "new")]))] == ["note"]


def test_a_fault_that_is_over_or_old_is_no_concern() -> None:
    daemon = WatchedDaemon.serving(GROUP)
    daemon.faults = [fault("source.query_failed", ended_ns=5)]
    assert concerns_of(daemon) == []
    daemon.faults = [fault("source.rows_rejected")]
    assert len(concerns_of(daemon)) == 1
    daemon.clock.now_ns += 120 * NS_PER_S
    assert concerns_of(daemon) == []


def test_an_overlap_that_is_too_short_for_the_plant_is_noted() -> None:
    daemon = WatchedDaemon.serving(GROUP)
    track = daemon.history.track("turbines")
    track.add(range(1_000), is_late=False, is_revision=False)
    assert concerns_of(daemon) == []
    track.add(range(100), is_late=True, is_revision=False)
    assert [(one.severity, one.what) for one in concerns_of(daemon)] == [
        ("note", "9% of the samples of turbines were late.")
    ]


SHORT_OVERLAP = Advice("overlap", "3s", "2.0% of 2000 samples needed more; 99% need 3s to 4s", {"overlap": "5s"})
SHORT_LOOKBACK = Advice(
    "lookback", "2m", "0.5% of 2000 samples were first seen at that age", {"lookback": ["2m", "4m"]}
)


def test_a_setting_that_was_judged_too_short_is_told_with_the_value_that_would_do() -> None:
    daemon = WatchedDaemon.serving(GROUP)
    daemon.arrivals = {"turbines": arrival_of(advice=[SHORT_OVERLAP, SHORT_LOOKBACK])}
    worse, other = concerns_of(daemon)
    assert (worse.severity, worse.remedy) == ("warning", "Set lookback: [2m, 4m].")
    assert worse.what == "The last age of lookback of turbines, 2m, is short."
    assert (other.severity, other.remedy) == ("note", "Set overlap: 5s.")
    assert other.why == "2.0% of 2000 samples needed more; 99% need 3s to 4s."


def test_a_setting_that_is_too_short_is_told_once_and_explains_no_lag() -> None:
    daemon = late()
    daemon.arrivals = {"turbines": arrival_of(advice=[SHORT_OVERLAP])}
    daemon.history.track("turbines").add(range(1_000), is_late=True, is_revision=False)
    daemon.faults = [fault("arrival.overlap_exceeded", stream="turbines")]
    lag, setting = concerns_of(daemon)
    assert lag.why == "Answers come, but the frontier does not follow."
    assert setting.what == "overlap of turbines, 3s, is short."


def test_every_cause_of_a_hole_has_words_for_people_and_its_place_among_the_events() -> None:
    known = set(re.findall(r"``([a-z]+)`` \(", Hole.__doc__ or ""))
    page = (Path(streamer.__file__).parents[1] / "docs" / "events.md").read_text("utf-8")
    table = page.partition("| cause | what happened |")[2].partition("\n\n")[0]
    told = {
        cause for row in table.splitlines() for cause in re.findall(r"`([a-z]+)`", row.split("|")[1] if row else "")
    }
    assert told == known == set(MEANINGS)


def test_every_fault_that_is_said_has_words_for_people() -> None:
    said = {event.name for event in log_events(Path(streamer.__file__).parent) if "times" in event.keys}
    assert said ^ set(FAULTS) == set()


def test_signals_that_the_catalogue_does_not_know_are_named() -> None:
    daemon = WatchedDaemon(roster=Roster(unknown=(("turbines", SignalId(7, 9)),)))
    (concern,) = concerns_of(daemon)
    assert (concern.severity, concern.why) == ("warning", "turbines: 7:9")


def test_the_worst_comes_first() -> None:
    daemon = WatchedDaemon.serving(GROUP, [(0, 60, 50, "new")], behind_s=67)
    daemon.history.track("turbines").lags_s.extend((70, 70, 70, 70))
    daemon.throttle = FixedThrottle()
    daemon.faults = [fault("source.rows_rejected")]
    assert [one.severity for one in concerns_of(daemon)] == ["bad", "warning", "note"]


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.44, "0.4 s"), (59, "59 s"), (125, "2 min 5 s"), (7_900, "2 h 11 min")]
)
def test_spans_are_written_for_people(seconds: float, text: str) -> None:
    assert span_text(seconds) == text


def test_a_hole_that_stood_before_anybody_looked_is_told_at_the_first_look() -> None:
    daemon = WatchedDaemon.serving(GROUP, [(0, 60, 50, "silent")])
    board = daemon.board()
    board.sample()
    daemon.clock.now_ns += int(HOLE_STANDS_S * NS_PER_S)
    assert board.status()["concerns"] != []
