"""The status server on loopback, and the daemon's state stream by stream."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import aiohttp
import orjson
import pytest

from streamer.arrival import Advice, Arrival, Bounds, Quantiles
from streamer.errors import EXIT_CONFIGURATION, ConfigurationError
from streamer.ledger.codec import HEAD, Digest, PlaceRecord, encode_head, encode_place, place_key, sealed
from streamer.ledger.ledger import Ledger
from streamer.metrics import Metrics
from streamer.model import NS_PER_S, Group, Series, SignalId, Stream
from streamer.status.owners import ANSWERED_WITHIN_S
from streamer.status.server import StatusServer
from streamer.status.summary import OpenHoles, StreamSummary, summarise
from tests.support import watched
from tests.support.watched import WatchedDaemon

NOW_NS = 1_000 * NS_PER_S
SHARDS = 2

SOON, AT_ONCE, LATE, NEVER = Bounds(0.8, 1.0), Bounds(0.0, 0.01), Bounds(15.0, 20.0), Bounds(2_592_000.0, None)
ADVICE = Advice("overlap", "3s", "10.0% of 100 samples needed more; 99% need 15s to 20s", {"overlap": "25s"})
ARRIVAL = Arrival(100, Quantiles(SOON, LATE, NEVER), Quantiles(AT_ONCE, LATE, LATE), 10, 1, (ADVICE,))


class Shown:
    """What the server shows of a daemon with one stream."""

    def __init__(self, is_ready: bool = True) -> None:
        self.metrics = Metrics()
        self.daemon = WatchedDaemon.serving(watched.group_of("turbines", 9), [(0, 60, 50, "silent")])
        self.daemon.is_ready = is_ready


@asynccontextmanager
async def serving(shown: Shown, port: int = 0) -> AsyncIterator[str]:
    server = StatusServer(shown.daemon.board(SHARDS), shown.metrics, "127.0.0.1", port)
    await server.start()
    try:
        yield server.url
    finally:
        await server.close()


async def asked(shown: Shown, path: str, method: str = "GET") -> tuple[int, str, str]:
    """Status, content type and text of an answer."""
    async with (
        serving(shown) as url,
        aiohttp.ClientSession() as session,
        session.request(method, url + path) as answer,
    ):
        return answer.status, answer.content_type, await answer.text()


@pytest.mark.parametrize("is_ready", [True, False])
async def test_the_process_lives_whether_it_is_ready_or_not(is_ready: bool) -> None:
    assert await asked(Shown(is_ready), "/livez") == (200, "text/plain", "ok\n")


async def test_it_is_ready_when_every_shard_is_owned() -> None:
    assert await asked(Shown(), "/readyz") == (200, "text/plain", "ok\n")


async def test_it_is_not_ready_before_and_says_why() -> None:
    status, _, text = await asked(Shown(is_ready=False), "/readyz")
    assert status == 503
    assert "shard" in text


async def test_metrics_are_there_in_the_format_of_prometheus() -> None:
    shown = Shown()
    shown.metrics.published.labels("turbines").inc(5)
    async with serving(shown) as url, aiohttp.ClientSession() as session, session.get(f"{url}/metrics") as answer:
        assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert 'streamer_samples_published_total{stream="turbines"} 5.0\n' in await answer.text()


async def test_the_state_is_there_as_json() -> None:
    async with serving(Shown()) as url, aiohttp.ClientSession() as session, session.get(f"{url}/api/status") as answer:
        assert answer.content_type == "application/json"
        state: dict[str, Any] = await answer.json()
    assert (state["ready"], state["shards"], state["clock_skew_s"]) == (True, [0], 0.25)
    assert state["streams"] == [
        {
            "stream": "turbines",
            "series": 1,
            "groups": 1,
            "watermark_lag_s": 4.0,
            "settled_lag_s": 130.0,
            "watermark_lag_expected_s": 4.0,
            "settled_lag_expected_s": 141.0,
            "overlap_s": 3.0,
            "last_age_s": 120.0,
            "holes": 1,
            "holes_by_cause": {"silent": {"count": 1, "seconds": 10.0}},
            "arrival": None,
        }
    ]


async def test_whoever_asks_for_the_status_is_told_who_owns_the_other_shards() -> None:
    async with serving(Shown()) as url, aiohttp.ClientSession() as session, session.get(f"{url}/api/status") as answer:
        assert (await answer.json())["ownership"][1]["owner"] == "pod-b"


async def test_an_open_page_is_told_who_owns_the_other_shards() -> None:
    async with serving(Shown()) as url, aiohttp.ClientSession() as session, session.get(f"{url}/events") as answer:
        assert (await answer.content.readline()) == b"event: status\n"
        status = orjson.loads((await answer.content.readline()).removeprefix(b"data: "))
        assert status["ownership"][1]["owner"] == "pod-b"


async def test_a_bus_that_does_not_answer_holds_up_neither_the_status_nor_the_end() -> None:
    shown, others = Shown(), asyncio.all_tasks()
    shown.daemon.is_bus_stuck = True
    async with (
        asyncio.timeout(ANSWERED_WITHIN_S / 2),
        serving(shown) as url,
        aiohttp.ClientSession() as session,
        session.get(f"{url}/api/status") as answer,
    ):
        assert (await answer.json())["ownership"][1]["state"] == "unknown"
    assert asyncio.all_tasks() == others


def test_arrival_is_written_with_both_edges_of_each_quantile() -> None:
    summary = orjson.loads(orjson.dumps(StreamSummary("turbines", arrival=ARRIVAL)))
    assert summary["arrival"] == {
        "samples": 100,
        "delay": {
            "p50": {"above_s": 0.8, "at_most_s": 1.0},
            "p95": {"above_s": 15.0, "at_most_s": 20.0},
            "p99": {"above_s": 2592000.0, "at_most_s": None},
        },
        "overlap_needed": {
            "p50": {"above_s": 0.0, "at_most_s": 0.01},
            "p95": {"above_s": 15.0, "at_most_s": 20.0},
            "p99": {"above_s": 15.0, "at_most_s": 20.0},
        },
        "late": 10,
        "at_last_look": 1,
        "advice": [
            {
                "setting": "overlap",
                "configured": "3s",
                "seen": "10.0% of 100 samples needed more; 99% need 15s to 20s",
                "would_do": {"overlap": "25s"},
            }
        ],
    }


@pytest.mark.parametrize("path", ["/", "/livez", "/readyz", "/metrics", "/api/status", "/events"])
async def test_nothing_can_be_written(path: str) -> None:
    status, _, _ = await asked(Shown(), path, "POST")
    assert status == 405


async def test_a_port_that_is_taken_is_a_problem_of_the_configuration() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError) as caught:
            async with serving(Shown(), port):
                pass
    ((path, problem),) = caught.value.problems
    assert path == "status.port"
    assert f"127.0.0.1:{port}" in problem
    assert caught.value.exit_code == EXIT_CONFIGURATION


async def test_the_port_is_free_again_once_the_server_is_closed() -> None:
    async with serving(Shown()) as url:
        port = int(url.rpartition(":")[2])
    async with serving(Shown(), port) as again:
        assert again == url


def group_of(stream: str, *indexes: int, overlap_s: int = 3) -> Group:
    policies = Stream(stream, NS_PER_S, overlap_s * NS_PER_S, (15 * NS_PER_S, 120 * NS_PER_S))
    return Group(f"{stream}/raw/{indexes[0]}", policies, 0, 7, tuple(Series(SignalId(7, index)) for index in indexes))


def ledger_of(*groups: Group, frontier_s: int = 990, settled_s: int = 870, holes: int = 0) -> Ledger:
    """A restored ledger with these groups at one place, and so many holes in the first series of each."""
    records = {}
    for group in groups:
        place = PlaceRecord(
            stream=group.stream.name,
            database_id=group.database_id,
            series=[series.name for series in group.series],
            frontier=frontier_s * NS_PER_S,
            revisited=[(15 * NS_PER_S, 900 * NS_PER_S), (120 * NS_PER_S, settled_s * NS_PER_S)],
            floor=0,
            holes=[(0, 10 * at, 10 * at + 5, "absent") for at in range(holes)],
        )
        records[place_key(group.id)] = encode_place(place)
    head = sealed(Digest.of(records), sequence=1, shard=0, shards=1, partitions=12, owner="one")
    return Ledger.restore(records | {HEAD: encode_head(head)}, shard=0, shards=1, partitions=12, owner="another")


def test_a_summary_has_the_lags_behind_the_services_time() -> None:
    group = group_of("turbines", 1, 2, overlap_s=3)
    ledger = ledger_of(group, frontier_s=990, settled_s=870, holes=2)
    (summary,) = summarise([(ledger, [group])], NOW_NS)
    assert (summary.stream, summary.series, summary.groups) == ("turbines", 2, 1)
    assert (summary.watermark_lag_s, summary.settled_lag_s) == (13.0, 130.0)


def test_a_summary_says_what_the_lags_come_to_when_nothing_is_late() -> None:
    raw, other = group_of("raw", 1, overlap_s=3), group_of("resampled", 2, overlap_s=10)
    resampled = replace(other, stream=replace(other.stream, resample_period_ns=5 * NS_PER_S, settle_ns=2 * NS_PER_S))
    one, two = summarise([(ledger_of(raw, resampled), [raw, resampled])], NOW_NS)
    assert (one.overlap_s, one.last_age_s) == (3.0, 120.0)
    assert (one.watermark_lag_expected_s, one.settled_lag_expected_s) == (4.0, 141.0)
    assert two.watermark_lag_expected_s == 18.0


def test_a_summary_has_the_holes_by_cause_and_how_long_they_are() -> None:
    group = group_of("turbines", 1, 2)
    (summary,) = summarise([(ledger_of(group, holes=2), [group])], NOW_NS)
    assert summary.holes == 2
    assert summary.holes_by_cause == {"absent": OpenHoles(2, 10 / NS_PER_S)}


def test_a_stream_is_summed_up_over_groups_and_shards() -> None:
    first, second, third = group_of("turbines", 1, 2), group_of("turbines", 3), group_of("turbines", 4)
    parts = [(ledger_of(first, second, holes=1), [first, second]), (ledger_of(third), [third])]
    (summary,) = summarise(parts, NOW_NS)
    assert (summary.series, summary.groups, summary.holes) == (4, 3, 2)


def test_a_stream_is_as_far_behind_as_its_last_group() -> None:
    fresh, stale = group_of("turbines", 1), group_of("turbines", 2)
    parts = [
        (ledger_of(stale, frontier_s=900, settled_s=700), [stale]),
        (ledger_of(fresh, frontier_s=995, settled_s=875), [fresh]),
    ]
    (summary,) = summarise(parts, NOW_NS)
    assert (summary.watermark_lag_s, summary.settled_lag_s) == (103.0, 300.0)


def test_streams_come_by_name() -> None:
    groups = [group_of(name, index) for index, name in enumerate(("tower", "pv", "substation"), 1)]
    assert [one.stream for one in summarise([(ledger_of(*groups), groups)], NOW_NS)] == ["pv", "substation", "tower"]


def test_groups_that_are_no_longer_configured_do_not_count() -> None:
    kept, left = group_of("turbines", 1), group_of("turbines", 2)
    (summary,) = summarise([(ledger_of(kept, left), [kept])], NOW_NS)
    assert summary.groups == 1


def test_without_an_owned_shard_there_is_nothing_to_sum_up() -> None:
    assert summarise([], NOW_NS) == []
