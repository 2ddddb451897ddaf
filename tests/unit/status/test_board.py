"""What the status server shows, gathered."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from streamer.complaints import Fault
from streamer.errors import BusRefused
from streamer.model import NS_PER_S
from streamer.status.holes import MOST_HOLES
from tests.support.watched import WatchedDaemon, arrival_of, group_of


def shown(daemon: WatchedDaemon, shards: int = 1) -> Any:
    """The status as a reader of its JSON has it."""
    return orjson.loads(orjson.dumps(daemon.board(shards).status()))


def test_the_snapshot_stands_in_the_status_with_its_own_names() -> None:
    status = shown(WatchedDaemon.serving(group_of("turbines", 1)))
    assert (status["ready"], status["shards"], status["clock_skew_s"]) == (True, [0], 0.25)
    assert status["streams"][0]["watermark_lag_s"] == 4.0


async def looked_at(daemon: WatchedDaemon, shards: int) -> Any:
    """The status as whoever asks for it has it."""
    board = daemon.board(shards)
    await board.renew()
    daemon.clock.now_ns += 2 * NS_PER_S
    return orjson.loads(orjson.dumps(board.status()))


async def test_every_shard_is_listed_with_its_owner() -> None:
    daemon = WatchedDaemon.serving(group_of("turbines", 1, 2), [(0, 60, 50, "new")])
    daemon.assigned, daemon.said_by_bus = {0, 1}, {0: "pod-a", 2: "pod-b"}
    status = await looked_at(daemon, 4)
    owned = status["ownership"][0]
    assert (owned["series"], owned["groups"], owned["holes"]) == (2, 1, 1)
    assert [(shard["shard"], shard["owner"], shard["state"]) for shard in status["ownership"]] == [
        (0, "pod-a", "here"),
        (1, "pod-a", "restoring"),
        (2, "pod-b", "elsewhere"),
        (3, "", "nobody"),
    ]
    assert status["owners"] == {"replica": "pod-a", "asked_ago_s": 2.0, "fault": ""}


async def test_of_what_it_serves_a_replica_knows_best_and_of_what_it_has_lost_the_group() -> None:
    daemon = WatchedDaemon.serving(group_of("turbines", 1))
    daemon.assigned, daemon.said_by_bus = {0, 1, 2}, {0: "pod-b", 1: "pod-b", 2: "pod-a"}
    shards = (await looked_at(daemon, 3))["ownership"]
    assert [(shard["owner"], shard["state"]) for shard in shards] == [
        ("pod-a", "here"),
        ("pod-b", "elsewhere"),
        ("pod-a", "restoring"),
    ]


@pytest.mark.parametrize(
    ("said", "state", "fault"),
    [
        (None, "deciding", ""),
        (BusRefused("The group is closed.", "Open it."), "unknown", "The group is closed. Open it."),
    ],
)
async def test_an_owner_that_nobody_tells_is_not_made_up(said: BusRefused | None, state: str, fault: str) -> None:
    daemon = WatchedDaemon.serving(group_of("turbines", 1))
    daemon.said_by_bus = said
    status = await looked_at(daemon, 2)
    assert (status["ownership"][1]["owner"], status["ownership"][1]["state"]) == ("", state)
    assert status["owners"]["fault"] == fault


def test_before_anybody_was_asked_other_owners_are_unknown() -> None:
    status = shown(WatchedDaemon.serving(group_of("turbines", 1)), 2)
    assert [shard["state"] for shard in status["ownership"]] == ["here", "unknown"]
    assert status["owners"]["asked_ago_s"] is None


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


def test_what_arrived_lately_stands_with_its_stream() -> None:
    daemon = WatchedDaemon.serving(group_of("turbines", 1))
    assert shown(daemon)["streams"][0]["arrival"] is None
    daemon.arrivals = {"turbines": arrival_of(late=30)}
    arrival = shown(daemon)["streams"][0]["arrival"]
    assert (arrival["samples"], arrival["late"], arrival["overlap_needed"]["p99"]["at_most_s"]) == (2000, 30, 4.0)


def test_the_ledgers_memory_stands_beside_what_it_may_take() -> None:
    status = shown(WatchedDaemon.serving(group_of("turbines", 1)))
    assert (status["ledger_bytes"], status["ledger_limit_bytes"]) == (40 * status["ledger_entries"], 256 * 2**20)


def test_a_timeline_is_drawn_while_the_services_time_is_unknown() -> None:
    daemon = WatchedDaemon.serving(group_of("turbines", 1))
    daemon.service_now_ns = None
    assert [strip.stream for strip in daemon.board().timeline("15m").strips] == ["turbines"]
