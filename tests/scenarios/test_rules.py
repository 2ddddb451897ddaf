"""What a limit of the API or one bad series costs the others, in virtual time."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest

from streamer.errors import ConfigurationError, QueryFailed
from streamer.model import NS_PER_MS, NS_PER_S, Answer, Column, Lane, Query
from tests.scenarios.conftest import Site
from tests.support.plant import Plant
from tests.support.virtual_time import run_virtually


@dataclass
class Limited(Plant):
    """A plant whose service has limits.

    Attributes:
        bad: signals that every query fails with that asks for one.
        cap: most rows of an answer, the oldest ones.
    """

    bad: set[int] = field(default_factory=set)
    cap: int | None = None

    async def query(self, query: Query) -> Answer:
        answer = await super().query(query)
        if not self.bad.isdisjoint(series.signal.index for series in query.series):
            raise QueryFailed("It answered 400.", status=400)
        return answer if self.cap is None else _cut(answer, self.cap)


def _cut(answer: Answer, cap: int) -> Answer:
    rows = sorted((at, index) for index, column in answer.columns.items() for at in column.instants_ns)[:cap]
    columns = {}
    for index, (instants, texts, values) in answer.columns.items():
        count = sum(one == index for _, one in rows)
        if count:
            columns[index] = Column(instants[:count], texts[:count], values[:count])
    return Answer(columns, received_wall_ns=answer.received_wall_ns)


def limited(site: Site, **limits: object) -> Limited:
    plant = Limited(site.clock, site.service_time, **limits)  # type: ignore[arg-type]
    site.plant = plant
    return plant


def newest_of(site: Site) -> dict[int, int]:
    """By signal, the newest instant that is published."""
    newest: dict[int, int] = {}
    for records in site.bus.records:
        index = int(records.key.split(b":")[1])
        newest[index] = max(newest.get(index, 0), *records.timestamps_ns)
    return newest


def test_one_bad_series_of_twenty_holds_up_the_others_for_seconds_and_loses_nothing() -> None:
    async def main() -> None:
        site = Site(shards=1, stream={"group_size": 20})
        plant = limited(site, signals=20)
        async with site.running():
            await asyncio.sleep(60)
            plant.bad = {7}
            for _ in range(12):
                await asyncio.sleep(1)
            newest = newest_of(site)
            fresh_ns = site.clock.service_ns() - 4 * NS_PER_S
            assert [index for index in newest if newest[index] < fresh_ns] == [7]
            await asyncio.sleep(300)
            assert site.metrics.total("series_quarantined") >= 1
            plant.bad = set()
            await asyncio.sleep(900)
        assert site.faults(site.settled_ns()) == []

    run_virtually(main())


def test_a_bad_series_stays_quarantined_over_a_restart_and_is_whole_when_it_answers() -> None:
    async def main() -> None:
        site = Site(shards=1)
        plant = limited(site)
        async with site.running():
            await asyncio.sleep(60)
            plant.bad = {2}
            await asyncio.sleep(120)
        asked = len(plant.queries)
        async with site.running():
            await asyncio.sleep(30)
            live = [query for query in plant.queries[asked:] if query.lane is Lane.LIVE and len(query.series) > 1]
            assert {len(query.series) for query in live[1:]} == {3}
            plant.bad = set()
            await asyncio.sleep(600)
        assert site.faults(site.settled_ns()) == []

    run_virtually(main())


def test_a_whole_database_that_is_refused_puts_nobody_aside() -> None:
    async def main() -> None:
        site = Site(shards=1)
        plant = limited(site)
        async with site.running() as daemon:
            await asyncio.sleep(60)
            plant.bad = {1, 2, 3, 4}
            await asyncio.sleep(300)
            generation = daemon.ownership.generations[0]
            assert all(generation.ledger.holes(group.id) == () for group in generation.groups)
            plant.bad = set()
            await asyncio.sleep(400)
        assert site.faults(site.settled_ns()) == []

    run_virtually(main())


def test_an_answer_that_a_cap_cuts_is_never_counted_as_whole() -> None:
    async def main() -> None:
        site = Site(shards=1)
        plant = limited(site, cap=150)
        async with site.running():
            await asyncio.sleep(60)
            plant.is_up = False
            await asyncio.sleep(1800)
            plant.is_up = True
            await asyncio.sleep(900)
        assert site.faults(site.settled_ns()) == []
        assert site.metrics.total("proofs", outcome="refuted") > 0

    run_virtually(main())


def test_a_live_window_that_the_service_cannot_answer_in_time_shrinks() -> None:
    async def main() -> None:
        site = Site(shards=1, stream={"overlap": "60s", "lookback": ["90s", "180s"]})
        plant = limited(site)
        async with site.running():
            await asyncio.sleep(120)
            plant.longest_ns = 10 * NS_PER_S
            await asyncio.sleep(120)
            newest = newest_of(site)
            assert min(newest.values()) > site.clock.service_ns() - 10 * NS_PER_S
            await asyncio.sleep(600)
        assert site.faults(site.settled_ns() - 100 * NS_PER_S) == []

    run_virtually(main())


def test_a_clean_steady_run_asks_a_tenth_more_than_its_live_queries_at_most() -> None:
    async def main() -> None:
        site = Site(shards=2)
        plant = limited(site, signals=20, period_ns=200 * NS_PER_MS)
        async with site.running():
            await asyncio.sleep(300)
            began, proofs = len(plant.queries), site.metrics.total("proofs")
            await asyncio.sleep(3600)
        asked = plant.queries[began:]
        live = sum(query.lane is Lane.LIVE for query in asked)
        assert len(asked) - live <= 0.1 * len(asked)
        assert 0 < site.metrics.total("proofs") - proofs <= 0.02 * len(asked)

    run_virtually(main())


def test_a_ledger_that_cannot_fit_is_refused_with_the_figures() -> None:
    async def main() -> None:
        site = Site(bus_settings={"ledger_memory": "10KiB"})
        with pytest.raises(ConfigurationError, match=r"bus.ledger_memory: the streams need .* MiB .* are allowed"):
            await site.daemon().run()
        assert site.events() == []

    run_virtually(main())


def test_when_the_memory_is_full_the_frontier_stands_until_revisits_have_freed_it() -> None:
    async def main() -> None:
        site = Site(shards=1, bus_settings={"ledger_memory": "40KiB"})
        plant = limited(site)
        async with site.running() as daemon:
            await asyncio.sleep(30)
            plant.period_ns = 200 * NS_PER_MS
            generation = daemon.ownership.generations[0]
            (group,) = generation.groups
            entries, longest_lag_ns = [], 0
            for _ in range(900):
                await asyncio.sleep(1)
                entries.append(generation.ledger.entries)
                lag_ns = site.clock.service_ns() - generation.ledger.place(group.id).frontier_ns
                longest_lag_ns = max(longest_lag_ns, lag_ns)
        full = next(second for second, count in enumerate(entries) if count >= 1024)
        assert longest_lag_ns > 60 * NS_PER_S
        assert min(entries[full:]) < 1024
        assert site.faults(site.settled_ns() - 300 * NS_PER_S) == []

    run_virtually(main())


def test_a_failure_that_says_nothing_about_the_question_changes_no_window() -> None:
    async def main() -> None:
        site = Site(shards=1)
        plant = limited(site)
        async with site.running():
            await asyncio.sleep(60)
            plant.is_up = False
            await asyncio.sleep(600)
            plant.is_up = True
            asked = len(plant.queries)
            await asyncio.sleep(20)
            assert {len(query.series) for query in plant.queries[asked:]} == {4}
            longest_ns = max(query.window.end_ns - query.window.start_ns for query in plant.queries[asked:])
            assert longest_ns > 60 * NS_PER_S

    run_virtually(main())
