"""What the status server shows, gathered."""

from __future__ import annotations

from math import inf
from typing import Any

import orjson

from streamer.complaints import Fault
from streamer.metrics import Metrics
from streamer.model import NS_PER_S
from streamer.status.holes import MOST_HOLES
from streamer.status.views import track_view
from tests.support.watched import WatchedDaemon, group_of


def shown(daemon: WatchedDaemon, shards: int = 1) -> Any:
    """The status as a reader of its JSON has it."""
    return orjson.loads(orjson.dumps(daemon.board(shards).status()))


def test_the_snapshot_stands_in_the_status_with_its_own_names() -> None:
    status = shown(WatchedDaemon.serving(group_of("turbines", 1)))
    assert (status["ready"], status["shards"], status["clock_skew_s"]) == (True, [0], 0.25)
    assert status["streams"][0]["watermark_lag_s"] == 4.0


def test_every_shard_is_listed_whoever_owns_it() -> None:
    owned, other = shown(WatchedDaemon.serving(group_of("turbines", 1, 2), [(0, 60, 50, "new")]), 2)["ownership"]
    assert (owned["owner"], owned["series"], owned["groups"], owned["holes"]) == ("0123456789abcdef", 2, 1, 1)
    assert (other["shard"], other["owner"]) == (1, "")


def test_the_budget_has_its_lanes_in_their_order() -> None:
    budget = shown(WatchedDaemon())["budget"]
    assert list(budget["waiting"]) == ["live", "revisit", "repair", "catch_up", "backfill"]


def test_quarantined_signals_are_listed_with_their_tags() -> None:
    daemon = WatchedDaemon.serving(group_of("turbines", 1, 2), [(0, 60, 50, "new"), (1, 60, 50, "quarantined")])
    assert [hole["tag"] for hole in shown(daemon)["quarantined"]] == ["U1/2"]


def test_the_oldest_holes_are_listed_and_all_are_counted() -> None:
    holes = [(0, 10 * at + 5, 10 * at, "silent") for at in range(MOST_HOLES + 10, 0, -1)]
    status = shown(WatchedDaemon.serving(group_of("turbines", 1), holes))
    assert len(status["oldest_holes"]) == MOST_HOLES
    assert status["oldest_holes"][0]["start"] == "2026-01-16T09:49:55Z"
    (count,) = status["hole_counts"]
    assert (count["holes"], count["series"]) == (MOST_HOLES + 10, 1)


def test_faults_tell_how_long_ago_they_were() -> None:
    daemon = WatchedDaemon(faults=[Fault("bus.commit_failed", "It timed out.", "Wait.", "", 0, 2 * NS_PER_S, 3)])
    daemon.clock.now_ns = 7 * NS_PER_S
    (fault,) = shown(daemon)["faults"]
    assert (fault["last_ago_s"], fault["times"], fault["is_over"]) == (5.0, 3, False)
    assert fault["what"] == "A commit failed; its shard begins anew from the stored ledger"


def test_a_sample_of_the_lags_is_kept_by_stream() -> None:
    daemon = WatchedDaemon.serving(group_of("turbines", 1))
    board = daemon.board()
    board.sample()
    board.sample()
    assert list(daemon.history.track("turbines").lags_s) == [4.0, 4.0]


def test_percentiles_of_delays_are_upper_bounds() -> None:
    track, arrivals = WatchedDaemon().history.track("turbines"), Metrics().arrival_delay
    assert track_view("turbines", track, arrivals).delay_p50_s is None
    now_ns = 100_000 * NS_PER_S
    arrivals.observe("turbines", [now_ns - 8 * NS_PER_S, *[now_ns - NS_PER_S // 10] * 9], now_ns)
    view = track_view("turbines", track, arrivals)
    p50_s, p99_s = (min(bound_s for bound_s in arrivals.bounds_s if bound_s >= delay_s) for delay_s in (0.1, 8))
    assert (view.delay_p50_s, view.delay_p99_s) == (p50_s, p99_s)
    arrivals.observe("turbines", [0] * 100, now_ns)
    assert track_view("turbines", track, arrivals).delay_p50_s == inf


def test_a_timeline_is_drawn_while_the_services_time_is_unknown() -> None:
    daemon = WatchedDaemon.serving(group_of("turbines", 1))
    daemon.service_now_ns = None
    assert [strip.stream for strip in daemon.board().timeline("15m").strips] == ["turbines"]
