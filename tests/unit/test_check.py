"""Check: what is tried, in which order, and what is said about what is wrong."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest

from streamer.check import Check, Finding
from streamer.clock import ServiceTime
from streamer.config import Settings
from streamer.errors import (
    EXIT_CONFIGURATION,
    EXIT_REFUSED,
    EXIT_UNREACHABLE,
    BusRefused,
    BusUnreachable,
    CredentialRefused,
    QueryRefused,
    StreamerError,
)
from streamer.model import NS_PER_S, Query, Signal
from streamer.sizing import BYTES_A_SAMPLE
from tests.support.plant import DATABASE, Plant
from tests.support.virtual_time import EPOCH_NS, VirtualClock, run_virtually

TURBINES = {"name": "turbines", "database_id": DATABASE, "all": True}
CATALOGUE = "API, credential, catalogue"


class SilentTime(ServiceTime):
    """A service that sends no ``Date``."""

    def learn(self, date_ns: int) -> None:
        pass


class Api(Plant):
    """A plant whose catalogue may be refused."""

    refusal: StreamerError | None = None

    async def measurements(self) -> list[Signal]:
        if self.refusal is not None:
            raise self.refusal
        return await super().measurements()


@dataclass
class Bus:
    """A bus that only answers questions; the partition of a key is its last digit."""

    fault: StreamerError | None = None

    async def check(self) -> str:
        if self.fault is not None:
            raise self.fault
        return "it can be written"

    def partition_of(self, key: bytes) -> int:
        return int(key[-1:])


@dataclass
class Bench:
    """One check of a configuration against a plant, under virtual time."""

    streams: list[dict[str, Any]] = field(default_factory=lambda: [TURBINES])
    refusal: StreamerError | None = None
    plant: dict[str, Any] = field(default_factory=dict)
    bus_fault: StreamerError | None = None
    has_date: bool = True
    source: dict[str, Any] = field(default_factory=dict)
    bus: dict[str, Any] = field(default_factory=lambda: {"shards": 1})
    queries: list[Query] = field(default_factory=list)

    def findings(self) -> list[Finding]:
        return run_virtually(self._check())

    def wrong(self) -> list[Finding]:
        return [finding for finding in self.findings() if finding.exit_code]

    def finding(self, subject: str) -> Finding:
        (finding,) = [finding for finding in self.findings() if finding.subject == subject]
        return finding

    async def _check(self) -> list[Finding]:
        await asyncio.sleep(10.5)
        clock = VirtualClock()
        service_time = ServiceTime(clock) if self.has_date else SilentTime(clock)
        api = Api(clock, service_time, queries=self.queries, **self.plant)
        api.refusal = self.refusal
        settings = Settings.model_validate(
            {
                "source": {
                    "client_id": "id",
                    "client_secret": "secret",
                    "base_url": "https://plant/api",
                    **self.source,
                },
                "streams": self.streams,
                "bus": self.bus,
            }
        )
        return await Check(settings, api=api, bus=Bus(self.bus_fault), service_time=service_time, clock=clock).run()


def test_everything_is_tried_in_the_order_in_which_data_flows() -> None:
    assert [(finding.subject, finding.exit_code) for finding in Bench().findings()] == [
        ("configuration", 0),
        (CATALOGUE, 0),
        ("stream turbines", 0),
        ("query", 0),
        ("request budget", 0),
        ("ledger memory", 0),
        ("bus (sqlite)", 0),
    ]


def test_what_is_right_is_said_with_its_figures() -> None:
    details = {finding.subject: finding.detail for finding in Bench().findings()}
    assert details == {
        "configuration": "1 stream",
        CATALOGUE: "4 signals at https://plant/api/",
        "stream turbines": "4 series",
        "query": "20 ms a request, samples/s a signal: turbines 1",
        "request budget": "1.1 requests/s of 200.0 that the budget allows",
        "ledger memory": "0.0 MiB of 256 MiB (bus.ledger_memory)",
        "bus (sqlite)": "it can be written",
    }


def test_an_api_that_is_away_leaves_only_the_bus_to_be_tried() -> None:
    found = Bench(plant={"is_up": False}).findings()
    assert [(finding.subject, finding.exit_code) for finding in found] == [
        ("configuration", 0),
        (CATALOGUE, EXIT_UNREACHABLE),
        ("bus (sqlite)", 0),
    ]


def test_a_refused_credential_is_said_with_its_remedy() -> None:
    refusal = CredentialRefused("It answered 401.", "Check the secret.")
    assert Bench(refusal=refusal).wrong() == [Finding(CATALOGUE, "It answered 401.", "Check the secret.", EXIT_REFUSED)]


def test_each_signal_that_the_catalogue_does_not_know_is_named() -> None:
    wrong = Bench(streams=[{"name": "turbines", "database_id": DATABASE, "signals": [1, 8, 9]}]).wrong()
    assert [(finding.subject, finding.exit_code) for finding in wrong] == [("stream turbines", EXIT_CONFIGURATION)] * 2
    assert [finding.detail for finding in wrong] == [
        f"signal {DATABASE}:{index} is not in the catalogue" for index in (8, 9)
    ]


def test_a_series_that_an_earlier_stream_has_is_named() -> None:
    later = {"name": "later", "database_id": DATABASE, "match": {"tag": "T/3"}}
    wrong = Bench(streams=[TURBINES, later]).wrong()
    assert [(finding.subject, finding.detail) for finding in wrong] == [
        ("stream later", f"series {DATABASE}:3:raw belongs to an earlier stream already"),
        ("stream later", "selects no signal"),
    ]


def test_a_stream_that_selects_nothing_is_wrong() -> None:
    nothing = {"name": "nothing", "database_id": DATABASE, "match": {"tag": "U/*"}}
    (wrong,) = Bench(streams=[TURBINES, nothing]).wrong()
    assert (wrong.subject, wrong.detail, wrong.exit_code) == (
        "stream nothing",
        "selects no signal",
        EXIT_CONFIGURATION,
    )


def test_a_query_that_fails_leaves_budget_and_memory_out() -> None:
    fault = QueryRefused("It answered 403.", "Check database_id.")
    found = Bench(plant={"fault": fault}).findings()
    assert [finding.subject for finding in found][3:] == ["query", "bus (sqlite)"]
    assert found[3] == Finding("query", "It answered 403.", "Check database_id.", EXIT_REFUSED)


def test_without_a_date_no_query_can_be_planned() -> None:
    bench = Bench(has_date=False)
    (wrong,) = bench.wrong()
    assert (wrong.subject, wrong.exit_code) == ("query", EXIT_UNREACHABLE)
    assert "Date header" in wrong.detail
    assert bench.queries == []


@pytest.mark.parametrize(
    ("fault", "exit_code"),
    [
        (BusRefused("No right to write.", "Grant it."), EXIT_REFUSED),
        (BusUnreachable("Nobody answers.", "Start it."), EXIT_UNREACHABLE),
    ],
)
def test_a_bus_that_fails_is_said_with_its_remedy(fault: StreamerError, exit_code: int) -> None:
    assert Bench(bus_fault=fault).wrong() == [Finding("bus (sqlite)", fault.what, fault.remedy, exit_code)]


def test_a_raw_stream_is_asked_for_its_last_ten_seconds() -> None:
    bench = Bench()
    bench.findings()
    (query,) = bench.queries
    assert query.window == (EPOCH_NS, EPOCH_NS + 10 * NS_PER_S)


def test_a_resampled_stream_is_asked_for_three_whole_periods_before_settle() -> None:
    stream = TURBINES | {"resample_period": "1h", "settle": "10m", "overlap": "2h", "lookback": ["3h"]}
    bench = Bench(streams=[stream])
    bench.findings()
    (query,) = bench.queries
    hour_ns = 3600 * NS_PER_S
    end_ns = EPOCH_NS - hour_ns
    assert query.window == (end_ns - 3 * hour_ns, end_ns)


def test_each_stream_is_asked_for_once() -> None:
    other = TURBINES | {"name": "means", "resample_period": "1s", "group_size": 2}
    bench = Bench(streams=[TURBINES | {"group_size": 1}, other])
    bench.findings()
    assert [(query.group.stream.name, len(query.series)) for query in bench.queries] == [("means", 2), ("turbines", 1)]


@pytest.mark.parametrize(
    ("stream", "bus", "needed"),
    [
        ({"poll_interval": "100ms"}, {"shards": 1}, "11.0"),
        ({"group_size": 1}, {"shards": 1}, "4.4"),
        ({}, {"shards": 2}, "2.2"),
    ],
)
def test_the_budget_counts_the_groups_of_all_shards(stream: dict[str, Any], bus: dict[str, Any], needed: str) -> None:
    budget = Bench(streams=[TURBINES | stream], bus=bus).finding("request budget")
    assert budget.detail.startswith(f"{needed} requests/s of ")


def test_a_configured_rate_limits_the_budget() -> None:
    budget = Bench(source={"max_rate": 5}).finding("request budget")
    assert budget.detail == "1.1 requests/s of 5.0 that the budget allows"


@pytest.mark.parametrize(("max_rate", "exit_code"), [(1.1, 0), (1.0, EXIT_CONFIGURATION)])
def test_streams_that_need_more_than_the_budget_are_wrong(max_rate: float, exit_code: int) -> None:
    budget = Bench(source={"max_rate": max_rate}).finding("request budget")
    assert budget.exit_code == exit_code
    assert bool(budget.remedy) == bool(exit_code)


KEPT_SAMPLES = 4 * (120 + 20)
"""Four signals of 1 Hz, up to the last age and what its slices add: two ages, a poll each second, a tenth of them."""


@pytest.mark.parametrize(
    ("allowed", "exit_code"), [(KEPT_SAMPLES * BYTES_A_SAMPLE, 0), (KEPT_SAMPLES * BYTES_A_SAMPLE - 1, 78)]
)
def test_a_ledger_that_does_not_fit_is_wrong(allowed: int, exit_code: int) -> None:
    memory = Bench(bus={"shards": 1, "ledger_memory": allowed}).finding("ledger memory")
    assert memory.exit_code == exit_code
    assert bool(memory.remedy) == bool(exit_code)
