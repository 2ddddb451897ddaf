"""The simulated API on a real socket, asked by a plain client and by the source room's own."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any

import aiohttp
import pytest
from pydantic import SecretStr

from streamer.clock import ServiceTime, SystemClock
from streamer.errors import ConfigurationError
from streamer.model import NS_PER_S, Group, Interval, Lane, Place, Query, Series, SignalId, Stream
from streamer.simulator.behaviour import Behaviour
from streamer.simulator.plants import PV, SUBSTATION, SYNTHETIC, TOWER, demo_world
from streamer.simulator.scenario import Scenario
from streamer.simulator.server import Simulator, serve
from streamer.simulator.world import World
from streamer.source.client import ApiClient
from streamer.source.http_transport import HttpTransport
from streamer.source.throttle import Throttle
from streamer.source.token import TokenSource

FIRST_NS = 1_768_557_600 * NS_PER_S  # 2026-01-16T10:00:00Z
NOW_NS = FIRST_NS + 7_260 * NS_PER_S  # a minute into a loop of the tower, whose first rows have a gap
QUERY = {
    "databaseId": TOWER,
    "measurementIndexes": ["1001", "1002"],
    "startTime": "2026-01-16T11:00:00Z",
    "endTime": "2026-01-16T11:00:10Z",
}


@dataclass
class StandingClock:
    """Time moves only when a test says so; ``gate`` holds whoever sleeps."""

    now_ns: int = NOW_NS
    slept_s: list[float] = field(default_factory=list)
    gate: asyncio.Event | None = None

    def monotonic_ns(self) -> int:
        return self.now_ns

    def wall_ns(self) -> int:
        return self.now_ns

    async def sleep(self, seconds: float) -> None:
        self.slept_s.append(seconds)
        if self.gate is not None:
            await self.gate.wait()


def prompt_world() -> World:
    behaviours = dict.fromkeys((SUBSTATION, TOWER, PV, SYNTHETIC), Behaviour.prompt())
    return demo_world(FIRST_NS, synthetic_signals=2, behaviours=behaviours)


@dataclass
class Client:
    """A plain client of one simulator, with a token."""

    simulator: Simulator
    session: aiohttp.ClientSession
    clock: StandingClock
    token: str = ""

    async def ask(self, method: str, path: str, json: object = None) -> tuple[int, Any, Any]:
        """Status, headers, and what the JSON says."""
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        async with self.session.request(method, self.simulator.url + path, json=json, headers=headers) as response:
            return response.status, response.headers, await response.json(content_type=None)

    async def query(self, **more: object) -> tuple[int, Any, Any]:
        return await self.ask("POST", "v1/query", {**QUERY, **more})

    async def sign_in(self) -> None:
        status, _, answer = await self.ask("POST", "v1/auth/token", {"clientId": "demo", "clientSecret": "demo"})
        assert status == 200
        self.token = answer["accessToken"]


@asynccontextmanager
async def simulated(*faults: dict[str, Any], latency_s: float = 0.0) -> AsyncIterator[Client]:
    """A client of a simulator; faults last an hour from its start, unless they say otherwise."""
    clock = StandingClock()
    scenario = Scenario.model_validate({"faults": [{"duration": "1h", **fault} for fault in faults]})
    async with (
        serve(prompt_world(), scenario=scenario, latency_s=latency_s, clock=clock) as simulator,
        aiohttp.ClientSession() as session,
    ):
        yield Client(simulator, session, clock)


@asynccontextmanager
async def signed_in(*faults: dict[str, Any], latency_s: float = 0.0) -> AsyncIterator[Client]:
    """As ``simulated``, with a token; the faults come afterwards, one second after the start."""
    async with simulated(*({"start": "1s", **fault} for fault in faults), latency_s=latency_s) as client:
        await client.sign_in()
        client.clock.now_ns += NS_PER_S
        yield client


async def test_a_token_by_form_opens_the_door() -> None:
    form = {"grant_type": "client_credentials", "client_id": "demo", "client_secret": "demo"}
    async with simulated() as client:
        async with client.session.post(f"{client.simulator.url}v1/auth/token", data=form) as response:
            answer = await response.json()
        client.token = answer["access_token"]
        assert (answer["token_type"], answer["expires_in"]) == ("Bearer", 3600)
        assert (await client.query())[0] == 200


async def test_a_token_by_json_opens_the_door() -> None:
    async with simulated() as client:
        await client.sign_in()
        assert (await client.query())[0] == 200


async def test_a_wrong_secret_is_a_problem() -> None:
    async with simulated() as client:
        status, headers, problem = await client.ask("POST", "v1/auth/token", {"clientId": "demo", "clientSecret": "x"})
    assert status == problem["status"] == 401
    assert headers["Content-Type"].startswith("application/problem+json")


async def test_without_a_token_nothing_is_answered() -> None:
    async with simulated() as client:
        statuses = [
            (await client.ask(method, path, QUERY if method == "POST" else None))[0]
            for method, path in (
                ("GET", "v1/databases"),
                ("GET", "v1/measurements"),
                ("POST", "v1/query"),
                ("POST", "v1/query/latest"),
            )
        ]
    assert statuses == [401] * 4


async def test_a_stale_token_is_refused() -> None:
    async with signed_in() as client:
        client.clock.now_ns += 3_600 * NS_PER_S
        assert (await client.query())[0] == 401


async def test_every_operation_answers() -> None:
    async with signed_in() as client:
        answers = [
            await client.ask("GET", "v1/databases"),
            await client.ask("GET", "v1/measurements"),
            await client.query(),
            await client.ask("POST", "v1/query/latest", QUERY),
        ]
    assert [(status, len(rows)) for status, _, rows in answers] == [(200, 4), (200, 102), (200, 20), (200, 2)]


@pytest.mark.parametrize("path", ["v1/Query", "V1/QUERY"])
async def test_paths_know_no_case(path: str) -> None:
    async with signed_in() as client:
        assert (await client.ask("POST", path, QUERY))[0] == 200


async def test_an_operation_that_does_not_exist_is_a_problem() -> None:
    async with signed_in() as client:
        assert (await client.ask("GET", "v1/query"))[0] == 404


async def test_every_answer_has_a_date_and_is_deprecated() -> None:
    async with simulated() as client:
        answers = [await client.ask("GET", "v1/databases")]
        await client.sign_in()
        answers += [await client.query(), await client.query(databaseId=77), await client.query(databaseId="x")]
    assert [status for status, _, _ in answers] == [401, 200, 404, 400]
    assert {headers["Date"] for _, headers, _ in answers} == {"Fri, 16 Jan 2026 12:01:00 GMT"}
    assert {headers["Deprecation"] for _, headers, _ in answers} == {"true"}


async def test_more_than_twenty_signals_are_refused() -> None:
    async with signed_in() as client:
        status, _, problem = await client.query(measurementIndexes=[str(index) for index in range(1001, 1022)])
    assert status == 400
    assert "20" in problem["detail"]


async def test_a_long_range_is_silently_aggregated() -> None:
    async with signed_in() as client:
        asked = {"databaseId": SYNTHETIC, "measurementIndexes": ["1001"]}
        _, _, raw = await client.query(**asked, endTime="2026-01-16T11:30:00Z")
        _, _, binned = await client.query(**asked, endTime="2026-01-16T11:31:00Z")
    assert (len(raw), len(binned)) == (9_000, 1_860)


async def test_the_fifth_request_in_flight_is_refused() -> None:
    async with signed_in(latency_s=1.0) as client:
        gate = client.clock.gate = asyncio.Event()
        asking = [asyncio.create_task(client.query()) for _ in range(5)]
        first, _ = await asyncio.wait(asking, return_when=asyncio.FIRST_COMPLETED)
        gate.set()
        answers = await asyncio.gather(*asking)
    (refused,) = (task.result() for task in first)
    assert (refused[0], refused[1]["Retry-After"]) == (429, "1")
    assert sorted(status for status, _, _ in answers) == [200, 200, 200, 200, 429]
    assert client.simulator.most_in_flight == 5


async def test_every_answer_takes_the_latency() -> None:
    async with signed_in(latency_s=0.25) as client:
        await client.query()
    assert client.clock.slept_s == [0.25, 0.25]  # the token, and the query


async def test_requests_are_counted() -> None:
    async with signed_in() as client:
        await client.query()
        await client.query(databaseId=77)
    assert client.simulator.requests == 3


async def test_late_samples_arrive_afterwards() -> None:
    span = {"startTime": "2026-01-16T12:01:00Z", "endTime": "2026-01-16T12:01:10Z", "measurementIndexes": ["1001"]}
    async with signed_in({"kind": "late", "delay": "30s", "duration": "5s"}) as client:
        counts = []
        for age_s in (10, 60):
            client.clock.now_ns = NOW_NS + age_s * NS_PER_S
            counts.append(len((await client.query(**span))[2]))
    assert counts == [5, 10]


async def test_revised_samples_change() -> None:
    span = {"startTime": "2026-01-16T12:01:02Z", "endTime": "2026-01-16T12:01:03Z", "measurementIndexes": ["1009"]}
    async with signed_in({"kind": "revised", "by": 100, "after": "30s"}) as client:
        values = []
        for age_s in (10, 60):
            client.clock.now_ns = NOW_NS + age_s * NS_PER_S
            values.append((await client.query(**span))[2][0]["value"])
    assert values[0] == values[1] + 100


async def test_missing_signals_are_left_out() -> None:
    async with signed_in({"kind": "missing", "databases": [TOWER]}) as client:
        lengths = [len((await client.query(databaseId=database_id))[2]) for database_id in (TOWER, PV)]
    assert lengths == [0, 2]


async def test_missing_signals_are_left_out_of_the_latest() -> None:
    async with signed_in({"kind": "missing", "databases": [TOWER]}) as client:
        lengths = [
            len((await client.ask("POST", "v1/query/latest", {**QUERY, "databaseId": database_id}))[2])
            for database_id in (TOWER, PV)
        ]
    assert lengths == [0, 2]


@pytest.mark.parametrize(
    ("form", "expected"), [({}, "8"), ({"form": "seconds"}, "8"), ({"form": "date"}, "Fri, 16 Jan 2026 12:01:09 GMT")]
)
async def test_too_many_requests_say_when_to_come_again(form: dict[str, str], expected: str) -> None:
    async with signed_in({"kind": "status_429", "retry_after": "8s", **form}) as client:
        status, headers, problem = await client.query()
    assert (status, problem["status"], headers["Retry-After"]) == (429, 429, expected)


@pytest.mark.parametrize(("kind", "expected"), [("status_503", 503), ("status_504", 504)])
async def test_a_status_of_the_scenario_is_answered(kind: str, expected: int) -> None:
    async with signed_in({"kind": kind}) as client:
        status, headers, problem = await client.query()
    assert status == problem["status"] == expected
    assert "Retry-After" not in headers


async def test_an_outage_closes_the_connection_without_an_answer() -> None:
    async with signed_in({"kind": "outage"}) as client:
        with pytest.raises(aiohttp.ClientConnectionError):
            await client.query()


async def test_an_outage_passes() -> None:
    async with signed_in({"kind": "outage", "duration": "5s"}) as client:
        client.clock.now_ns += 5 * NS_PER_S
        assert (await client.query())[0] == 200


async def test_a_broken_body_is_cut_short() -> None:
    async with signed_in({"kind": "broken_body"}) as client:
        with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
            await client.query()


async def test_slow_answers_take_longer() -> None:
    async with signed_in({"kind": "slow", "delay": "2s"}, latency_s=0.5) as client:
        await client.query()
    assert client.clock.slept_s[-1] == 2.5


async def test_a_revoked_token_is_refused_until_there_is_a_new_one() -> None:
    async with signed_in({"kind": "unauthorized"}) as client:
        before = (await client.query())[0]
        await client.sign_in()
        assert (before, (await client.query())[0]) == (401, 200)


async def test_a_port_that_is_taken_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError, match=f"127.0.0.1:{port} cannot be listened on"):
            async with serve(prompt_world(), port=port):
                pass


@pytest.mark.parametrize("dialect", ["form", "json"])
async def test_the_real_client_reads_columns(dialect: Any) -> None:
    clock, world = SystemClock(), prompt_world()
    service_time = ServiceTime(StandingClock())
    start_ns = FIRST_NS + 3_600 * NS_PER_S
    window = Interval(start_ns, start_ns + 60 * NS_PER_S)
    async with serve(world, clock=StandingClock()) as simulator:
        transport = HttpTransport(simulator.url)
        tokens = TokenSource(transport, "demo", lambda: SecretStr("demo"), clock, dialect=dialect)
        client = ApiClient(transport, tokens, Throttle(clock, Random(1)), service_time, clock, random=Random(1))
        catalogue = await client.measurements()
        answers = {
            database_id: await client.query(query_for(database_id, window)) for database_id in (1, 2, 3, SYNTHETIC)
        }
        await client.close()
    assert {signal.id for signal in catalogue} == {s.id for d in world.databases.values() for s in d.signals}
    assert service_time.now_ns() is not None
    for database_id, answer in answers.items():
        assert not answer.rejected
        for index in (1001, 1002):
            samples = world.samples(database_id, index, *window)
            column = answer.columns[index]
            assert list(zip(column.instants_ns, column.values, strict=True)) == samples != []


def query_for(database_id: int, window: Interval) -> Query:
    stream = Stream("s", poll_interval_ns=NS_PER_S, overlap_ns=NS_PER_S, lookback_ns=(15 * NS_PER_S,))
    series = tuple(Series(SignalId(database_id, index)) for index in (1001, 1002))
    place = Place(window.start_ns, (window.start_ns,), window.start_ns)
    return Query(Group("g", stream, 0, database_id, series), Lane.LIVE, series, window, window.end_ns, place)
