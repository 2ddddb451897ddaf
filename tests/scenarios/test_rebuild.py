"""The state is lost or damaged; the daemon refuses it, the ledger is rebuilt, and nothing is lost or doubled."""

from __future__ import annotations

import asyncio
import re
from random import Random

import pytest

from streamer.errors import ConfigurationError, LedgerUntrusted, ShardTaken
from streamer.ledger.codec import HEAD
from streamer.model import NS_PER_MS, NS_PER_S
from streamer.rebuild import Rebuild, Rebuilt
from tests.scenarios.conftest import Site
from tests.support.virtual_time import run_virtually

ALL = range(4)


def rebuild_of(site: Site, since_ns: int | None = None, ledger_memory: int = 2**28) -> Rebuild:
    settings = site.settings()
    bus = settings.bus.model_copy(update={"ledger_memory": ledger_memory})
    return Rebuild(
        settings.model_copy(update={"bus": bus}),
        bus=site.bus,
        api=site.plant,
        owner="rebuild",
        since_ns=since_ns,
        progress=lambda shard, events: None,
    )


async def rebuilt(site: Site) -> list[Rebuilt]:
    """Rebuild whatever cannot be believed."""
    rebuild = rebuild_of(site)
    return await rebuild.run(await rebuild.doubts())


def troubled(**stream: object) -> Site:
    """A site whose samples come late and change."""
    site = Site(stream=dict(stream))
    random = Random(7)
    lateness = {at: random.choice([100, 100, 5_000, 40_000, 110_000]) for at in range(1000)}
    site.plant.delay_ns = lambda index, at: lateness[at // NS_PER_S % 1000] * NS_PER_MS
    site.plant.revised_after_ns = lambda index, at: 115 * NS_PER_S if at // NS_PER_S % 7 == index else None
    return site


def damage(site: Site, how: str, random: Random) -> None:
    for shard, state in site.bus.state.items():
        key = random.choice(sorted(state))
        if how == "emptied":
            site.bus.state[shard] = {}
        elif how == "beheaded":
            state.pop(HEAD)
        elif how == "record gone":
            state.pop(random.choice(sorted(state.keys() - {HEAD})))
        elif how == "record cut":
            state[key] = state[key][: len(state[key]) // 2]
        else:
            state[key] = bytes(random.randbytes(len(state[key])))


@pytest.mark.parametrize("how", ["emptied", "beheaded", "record gone", "record cut", "record garbled"])
@pytest.mark.parametrize("is_told", [True, False])
def test_a_lost_ledger_is_refused_and_rebuilt_without_a_gap_or_a_double(how: str, is_told: bool) -> None:
    async def main() -> None:
        site = troubled(start="1m")
        await site.crash_after(300)
        damage(site, how, Random(3))
        if not is_told:
            site.bus.notices.clear()
        with pytest.raises(LedgerUntrusted, match="streamer rebuild") as refusal:
            await site.daemon().run()
        assert "head" in refusal.value.what or "state record '" in refusal.value.what
        found = await rebuilt(site)
        assert (found[0].series, found[0].repeated) == (4, 0)
        async with site.running():
            await asyncio.sleep(600)
        assert site.faults(site.settled_ns()) == []

    run_virtually(main())


def test_live_samples_are_fresh_soon_though_all_history_is_compared_again() -> None:
    async def main() -> None:
        site = Site(stream={"start": "2h"})
        await site.crash_after(120)
        site.bus.notices.clear()
        damage(site, "emptied", Random(3))
        await rebuilt(site)
        async with site.running() as daemon:
            await asyncio.sleep(10)
            newest = max(at for records in site.bus.records for at in records.timestamps_ns)
            assert site.clock.service_ns() - newest < 3 * NS_PER_S
            await asyncio.sleep(900)
            assert [stream.holes for stream in daemon.snapshot().streams] == [0]
        assert site.faults(site.settled_ns()) == []

    run_virtually(main())


def test_a_ledger_that_can_be_trusted_gives_no_doubts_and_may_be_rebuilt_all_the_same() -> None:
    async def main() -> None:
        site = troubled(start="1m")
        await site.crash_after(200)
        assert await rebuild_of(site).doubts() == {}
        await rebuild_of(site).run(ALL)
        async with site.running():
            await asyncio.sleep(600)
        assert site.faults(site.settled_ns()) == []

    run_virtually(main())


def test_a_shard_that_has_published_nothing_is_not_taken_for_lost() -> None:
    async def main() -> None:
        site = Site()
        assert await rebuild_of(site).doubts() == {}
        async with site.running():
            await asyncio.sleep(5)
        assert site.events()

    run_virtually(main())


def test_a_rebuild_that_is_interrupted_is_begun_again() -> None:
    async def main() -> None:
        site = troubled(start="1m")
        await site.crash_after(200)
        damage(site, "emptied", Random(3))
        site.bus.fail_commits += ["", "", "lost"]
        with pytest.raises(Exception, match="did not happen"):
            await rebuilt(site)
        await rebuilt(site)
        async with site.running():
            await asyncio.sleep(600)
        assert site.faults(site.settled_ns()) == []

    run_virtually(main())


def test_a_daemon_that_still_runs_is_fenced_and_ends() -> None:
    async def main() -> None:
        site = Site()
        running = asyncio.create_task(site.daemon().run())
        await asyncio.sleep(30)
        await rebuild_of(site).run(ALL)
        with pytest.raises(ShardTaken):
            await asyncio.wait_for(running, 60)

    run_virtually(main())


def test_what_does_not_fit_into_memory_is_refused_with_the_figures_and_nothing_is_changed() -> None:
    async def main() -> None:
        site = Site(stream={"start": "1h"})
        await site.crash_after(120)
        site.bus.notices.clear()
        before = {shard: dict(state) for shard, state in site.bus.state.items()}
        with pytest.raises(ConfigurationError, match=r"bus.ledger_memory: shard \d has 3,\d+ samples") as refusal:
            await rebuild_of(site, ledger_memory=40_000).run(ALL)
        assert "--since" in refusal.value.remedy
        assert site.bus.state == before

    run_virtually(main())


def test_since_leaves_alone_what_is_before_it() -> None:
    async def main() -> None:
        site = Site(stream={"start": "1h"})
        await site.crash_after(120)
        site.bus.notices.clear()
        site.plant.queries.clear()
        since_ns = site.clock.service_ns() - 300 * NS_PER_S
        damage(site, "emptied", Random(3))
        await rebuild_of(site, since_ns).run(ALL)
        async with site.running():
            await asyncio.sleep(400)
        asked_ns = min(query.window.start_ns for query in site.plant.queries)
        assert 0 <= since_ns - asked_ns < NS_PER_S
        assert site.faults(site.settled_ns()) == []

    run_virtually(main())


def test_events_that_retention_took_are_missed_when_they_might_be_asked_for_again() -> None:
    async def main() -> None:
        site = troubled(start="10m")
        await site.crash_after(300)
        site.bus.notices.clear()
        damage(site, "emptied", Random(3))
        site.bus.trim(len(site.bus.records) // 2)
        with pytest.raises(ConfigurationError, match="the oldest events of shard") as refusal:
            await rebuild_of(site).run(ALL)
        assert re.search(r"--since 2026-01-16T\S+Z:", refusal.value.remedy)
        await rebuild_of(site, site.clock.service_ns() - 120 * NS_PER_S).run(ALL)
        gone = {(records.key, at) for records in site.bus.trimmed for at in records.timestamps_ns}
        async with site.running():
            await asyncio.sleep(600)
        first = [
            (records.key, at)
            for records in site.bus.records
            for value, at in zip(records.values, records.timestamps_ns, strict=True)
            if b'"revision":0' in value
        ]
        assert gone.isdisjoint(first)

    run_virtually(main())
