"""The daemon as a whole: what it does when things go well, and when they do not."""

from __future__ import annotations

import asyncio
from random import Random

import pytest

from streamer.errors import QueryFailed, QueryRefused, ShardTaken
from streamer.model import NS_PER_MS, NS_PER_S, Lane
from tests.scenarios.conftest import Site
from tests.support.virtual_time import EPOCH_NS, run_virtually


def test_each_sample_is_published_once_and_soon() -> None:
    async def main() -> None:
        site = Site()
        async with site.running():
            await asyncio.sleep(400)
            newest = max(at for records in site.bus.records for at in records.timestamps_ns)
            assert site.clock.service_ns() - newest < 3 * NS_PER_S
        assert len(site.events()) >= 4 * 390
        assert site.faults(site.settled_ns()) == []
        assert not any(event.late for event in site.events())

    run_virtually(main())


def test_late_samples_and_revisions_within_the_last_age_are_found_by_revisits() -> None:
    async def main() -> None:
        site = Site()
        random = Random(5)
        lateness = {at: random.choice([100, 100, 5_000, 40_000, 110_000]) for at in range(1000)}
        site.plant.delay_ns = lambda index, at: lateness[at // NS_PER_S % 1000] * NS_PER_MS
        site.plant.revised_after_ns = lambda index, at: 115 * NS_PER_S if at // NS_PER_S % 7 == index else None
        async with site.running():
            await asyncio.sleep(900)
        assert site.faults(site.settled_ns()) == []
        assert any(event.late for event in site.events())
        assert any(event.revision == 1 for event in site.events())

    run_virtually(main())


@pytest.mark.parametrize("seed", range(5))
def test_crashes_at_any_moment_lose_and_double_nothing(seed: int) -> None:
    async def main() -> None:
        site = Site()
        random = Random(seed)
        for _ in range(25):
            await site.crash_after(random.expovariate(1 / 8))
            await asyncio.sleep(random.choice([0, 1, 30]))
        async with site.running():
            await asyncio.sleep(400)
        assert site.faults(site.settled_ns()) == []

    run_virtually(main())


@pytest.mark.parametrize("fault", ["lost", "unknown", "forgotten"])
def test_a_commit_with_an_unknown_outcome_is_settled_by_the_stored_ledger(fault: str) -> None:
    async def main() -> None:
        site = Site()
        async with site.running():
            for _ in range(10):
                await asyncio.sleep(7)
                site.bus.fail_commits.append(fault)
            await asyncio.sleep(400)
        assert site.faults(site.settled_ns()) == []

    run_virtually(main())


def test_an_outage_of_hours_is_caught_up_whole() -> None:
    async def main() -> None:
        site = Site()
        async with site.running():
            await asyncio.sleep(30)
            site.plant.is_up = False
            await asyncio.sleep(3 * 3600)
            site.plant.is_up = True
            await asyncio.sleep(600)
        assert site.faults(site.settled_ns()) == []

    run_virtually(main())


def test_raw_windows_stay_under_thirty_minutes() -> None:
    async def main() -> None:
        site = Site(stream={"start": "5h"})
        async with site.running():
            await asyncio.sleep(300)
        assert site.faults(site.settled_ns()) == []
        assert min(at for records in site.bus.records for at in records.timestamps_ns) < EPOCH_NS - 17_900 * NS_PER_S
        spans = [query.window.end_ns - query.window.start_ns for query in site.plant.queries]
        assert max(spans) < 1800 * NS_PER_S

    run_virtually(main())


def test_a_signal_left_out_of_answers_becomes_a_hole_that_is_repaired() -> None:
    async def main() -> None:
        site = Site(shards=1)
        async with site.running():
            await asyncio.sleep(60)
            site.plant.silent = {2}
            await asyncio.sleep(2.5)
            site.plant.silent = set()
            await asyncio.sleep(400)
        assert site.faults(site.settled_ns()) == []
        assert any(query.lane is Lane.REPAIR for query in site.plant.queries)

    run_virtually(main())


def test_a_refused_or_failed_query_stops_nobody_else() -> None:
    async def main() -> None:
        site = Site()
        async with site.running():
            for error in (QueryRefused("403", status=403), QueryFailed("broken body")):
                await asyncio.sleep(20)
                site.plant.fault = error
            await asyncio.sleep(500)
        assert site.faults(site.settled_ns()) == []

    run_virtually(main())


def test_the_daemon_waits_for_an_absent_bus_and_api_and_then_begins() -> None:
    async def main() -> None:
        site = Site()
        site.bus.is_reachable = site.plant.is_up = False
        async with site.running() as daemon:
            await asyncio.sleep(300)
            assert not daemon.is_ready
            site.bus.is_reachable = site.plant.is_up = True
            await asyncio.sleep(60)
            assert daemon.is_ready
        assert site.events()

    run_virtually(main())


def test_a_second_instance_takes_over_and_the_first_stops() -> None:
    async def main() -> None:
        site = Site()
        first = asyncio.create_task(site.daemon().run())
        await asyncio.sleep(50)
        async with site.running():
            await asyncio.sleep(20)
            with pytest.raises(ShardTaken):
                await first
            await asyncio.sleep(400)
        assert site.faults(site.settled_ns()) == []

    run_virtually(main())


def test_stopping_drains_within_ten_seconds_even_when_everything_is_away() -> None:
    async def main() -> None:
        site = Site()
        daemon = site.daemon()
        task = asyncio.create_task(daemon.run())
        await asyncio.sleep(30)
        site.bus.is_reachable = site.plant.is_up = False
        site.bus.fail_commits = ["lost"] * 4
        await asyncio.sleep(30)
        began = asyncio.get_running_loop().time()
        daemon.stop()
        await task
        assert asyncio.get_running_loop().time() - began < 10

    run_virtually(main())


@pytest.mark.parametrize("wait_s", [0.1, 3.0], ids=["at once", "later"])
def test_stopping_in_a_commit_that_hangs_leaves_no_transaction_open(wait_s: float) -> None:
    """Acquiring a shard ends what was left open; readers would else wait for the broker's timeout."""

    async def main() -> None:
        site = Site(shards=1)
        daemon = site.daemon()
        task = asyncio.create_task(daemon.run())
        await asyncio.sleep(30)
        site.bus.commit_s = 1000.0
        await asyncio.sleep(1 + wait_s)
        hanging = site.bus.writers[0]
        began = asyncio.get_running_loop().time()
        daemon.stop()
        await task
        assert asyncio.get_running_loop().time() - began < 8
        assert site.bus.writers[0] is not hanging

    run_virtually(main())


def test_stopping_while_nothing_is_open_acquires_nothing_more() -> None:
    async def main() -> None:
        site = Site(shards=1)
        async with site.running():
            await asyncio.sleep(30)
            writer = site.bus.writers[0]
        assert site.bus.writers[0] is writer

    run_virtually(main())


def test_the_wrong_wall_clock_of_the_host_changes_nothing_but_labels() -> None:
    async def main() -> None:
        site = Site()
        site.clock.wall_offset_ns = -86_400 * NS_PER_S
        async with site.running():
            await asyncio.sleep(120)
            site.clock.wall_offset_ns = 86_400 * NS_PER_S
            await asyncio.sleep(300)
        assert site.faults(site.settled_ns()) == []

    run_virtually(main())


def test_removing_a_signal_and_adding_it_again_goes_on_where_it_was() -> None:
    async def main() -> None:
        site = Site(stream={"all": False, "signals": [1, 2, 3, 4]})
        async with site.running():
            await asyncio.sleep(100)
        site.stream["signals"] = [1, 3]
        async with site.running():
            await asyncio.sleep(100)
        site.stream["signals"] = [3, 2, 1, 4]
        async with site.running():
            await asyncio.sleep(400)
        assert site.faults(site.settled_ns()) == []

    run_virtually(main())


def test_resampled_windows_are_aligned_and_never_clipped() -> None:
    async def main() -> None:
        site = Site(stream={"resample_period": "5s", "aggregation": "mean", "overlap": "10s", "settle": "1s"})
        site.plant.period_ns = 5 * NS_PER_S
        async with site.running():
            await asyncio.sleep(400)
        assert site.faults(site.settled_ns()) == []
        bounds = [bound for query in site.plant.queries for bound in query.window]
        assert all(bound % (5 * NS_PER_S) == 0 for bound in bounds)

    run_virtually(main())
