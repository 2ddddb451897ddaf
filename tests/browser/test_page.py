"""The operator's page as a person meets it: live, in light and dark, by keyboard, with a hostile plant behind it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from streamer.arrival import Advice
from streamer.complaints import Fault
from streamer.demo import HISTORY_NS, demo_settings
from streamer.errors import BusRefused
from streamer.metrics import Metrics
from streamer.model import NS_PER_S, Answer, Column, Interval, Lane, Query, align_down, instant_text
from streamer.roster import Roster
from streamer.simulator.plants import demo_world
from streamer.simulator.scenario import Scenario
from streamer.simulator.server import serve
from streamer.status.server import StatusServer
from streamer.wiring import assembled
from tests.browser.conftest import opened, shown
from tests.support.browser import browser
from tests.support.watched import NOW_NS, FixedThrottle, Shard, WatchedDaemon, arrival_of, group_of, ledger_of

if TYPE_CHECKING:
    from playwright.async_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

GROUP = group_of("turbines", 1, 2, 3)
HOSTILE = "<img src=x onerror=\"document.title='taken'\"><script>document.title='taken'</script>"


def troubled() -> WatchedDaemon:
    """A daemon with something in every part of the page."""
    daemon = WatchedDaemon.serving(GROUP, [(0, 60, 40, "silent"), (1, 300, 20, "quarantined")], behind_s=67)
    daemon.history.began("turbines", NOW_NS - 500 * NS_PER_S)
    track = daemon.history.track("turbines")
    track.lags_s.extend((10, 30, 50, 70))
    track.add([NOW_NS - 200 * NS_PER_S], is_late=True, is_revision=False)
    track.add([NOW_NS - 250 * NS_PER_S], is_late=False, is_revision=True)
    seen = "1.5% of 2000 samples needed more; 99% need 3s to 4s"
    advice = [Advice("overlap", "3s", seen, {"overlap": "5s"})]
    daemon.arrivals = {"turbines": arrival_of(late=30, at_last_look=1, advice=advice)}
    daemon.metrics.arrival_delay.observe("turbines", [NOW_NS - 8 * NS_PER_S, NOW_NS - NS_PER_S], NOW_NS)
    daemon.faults = [Fault("source.query_failed", "The body is broken.", "Ask the plant.", "turbines", 0, 0, 3)]
    daemon.throttle = FixedThrottle(in_flight=4, waiting={Lane.LIVE: 3, Lane.REVISIT: 1}, rate=9.5)
    shard = daemon.owned[0]
    instants = [NOW_NS - 68 * NS_PER_S, NOW_NS - 67 * NS_PER_S]
    for values in ([1.0, 2.0], [1.0, 2.5]):
        place = shard.ledger.place(GROUP.id)
        query = Query(GROUP, Lane.LIVE, GROUP.series, Interval(instants[0], NOW_NS), place.frontier_ns, place)
        shard.ledger.apply(query, Answer({3: Column(instants, [instant_text(at) for at in instants], values)}))
    return daemon


async def text_of(page: Page, selector: str) -> str:
    text: str = await page.inner_text(selector)
    return text


async def test_the_page_is_live() -> None:
    daemon = WatchedDaemon.serving(GROUP)
    async with shown(daemon) as page:
        assert await text_of(page, "#verdict") == "All streams are fresh and complete"
        daemon.throttle.is_reachable = False
        await page.wait_for_selector("#verdict[data-state=bad]")
        assert "The API does not answer." in await text_of(page, "#concerns")
        assert await page.title() == "(1) PowerP Streamer"
        daemon.throttle.is_reachable = True
        await page.wait_for_selector("#verdict[data-state=good]")


async def test_a_page_whose_daemon_is_gone_says_so_and_comes_back_with_it() -> None:
    daemon = WatchedDaemon.serving(GROUP)
    server = StatusServer(daemon.board(), Metrics(), "127.0.0.1", 0)
    await server.start()
    port = int(server.url.rpartition(":")[2])
    async with browser() as running:
        page = await running.new_page()
        await page.goto(server.url)
        await page.wait_for_selector("#connection[data-state=live]")
        await server.close()
        await page.wait_for_selector("#connection[data-state=lost]")
        assert "does not answer" in await text_of(page, "#verdict")
        again = StatusServer(daemon.board(), Metrics(), "127.0.0.1", port)
        await again.start()
        try:
            await page.wait_for_selector("#connection[data-state=live]")
            await page.wait_for_selector("#verdict[data-state=good]")
        finally:
            await again.close()


async def test_a_hole_appears_in_the_drawing_and_closes() -> None:
    daemon = WatchedDaemon.serving(GROUP)
    healthy = daemon.owned
    async with shown(daemon) as page:
        await page.wait_for_selector("#timeline svg rect.covered", state="attached")
        assert await page.locator("#timeline rect.hole").count() == 0
        daemon.owned = {0: Shard(ledger_of(GROUP, [(0, 60, 40, "silent")]), (GROUP,))}
        await page.wait_for_selector("#timeline rect.hole", state="attached")
        label = await page.get_attribute("#timeline svg", "aria-label")
        assert label is not None
        assert "holes from 09:59:00 to 09:59:20" in label
        assert "U1/1 (7:1:raw)" in await text_of(page, "#holes")
        daemon.owned = healthy
        await page.wait_for_selector("#timeline rect.hole", state="detached")
        assert "None" in await text_of(page, "#holes")


async def test_how_far_back_the_drawing_looks_can_be_chosen() -> None:
    async with shown(troubled()) as page:
        await page.wait_for_selector("#timeline rect.revised", state="attached")
        assert await text_of(page, ".axis span") == "09:45:10"
        await page.check("input[name=span][value='1h']")
        await page.wait_for_selector(".axis span:first-child:text-is('09:00:30')", state="attached")
        assert await page.locator("#timeline rect.late").count() == 1


async def test_what_arrives_stands_against_overlap_and_lookback() -> None:
    async with shown(troubled()) as page:
        delays = await text_of(page, "#delays tbody tr")
        assert delays.split("\t")[:8] == [
            "turbines",
            "≤ 1.0 s",
            "≤ 4.0 s",
            "3.0 s ▲",
            "≤ 4.0 s",
            "1.50 %",
            "2 min 0 s",
            "0.05 %",
        ]
        assert await page.locator("#delays rect.bar.past").count() > 0
        assert "overlap of turbines, 3s, is short." in await text_of(page, "#concerns")
        assert "Set overlap: 5s." in await text_of(page, "#concerns")


async def test_the_ledgers_memory_is_marked_when_it_fills_up() -> None:
    daemon = troubled()
    async with shown(daemon) as page:
        memory = await text_of(page, "#memory")
        assert memory.endswith("remembered, in 0.0 MiB of 256 MiB.")
        daemon.ledger_bytes = 250 * 2**20
        await page.wait_for_selector("#memory.is-warning:text('250 MiB of 256 MiB ▲')")


async def test_every_shard_has_its_owner_by_name_or_is_said_to_have_none() -> None:
    daemon = WatchedDaemon.serving(GROUP)
    async with shown(daemon) as page:
        here, there = page.locator("#shards tbody tr").nth(0), page.locator("#shards tbody tr").nth(1)
        assert (await here.inner_text()).split("\t")[:3] == ["0", "pod-a, this replica", "3"]
        assert (await there.inner_text()).split("\t") == ["1", "pod-b"]
        assert "as the group of the replicas had them just now" in await text_of(page, "#owners")
        daemon.said_by_bus = {0: "pod-a"}
        daemon.clock.now_ns += 6 * NS_PER_S
        await page.wait_for_selector("#shards td.is-bad:text('nobody')")
        assert "Shards without an owner: 1." in await text_of(page, "#concerns")
        daemon.said_by_bus = BusRefused("The group is closed.", "Open it.")
        daemon.clock.now_ns += 6 * NS_PER_S
        await page.wait_for_selector("#owners:text('The group is closed. Open it.')")
        assert (await there.inner_text()).split("\t") == ["1", "another replica or nobody: not known"]


async def test_a_signal_is_found_by_its_tag_with_its_samples_revisions_and_holes() -> None:
    async with shown(troubled()) as page:
        await page.fill("#tag", "u1/")
        await page.wait_for_selector("#found li:nth-child(3)")
        await page.click("#found button:has-text('U1/3')")
        await page.wait_for_selector("#signal h3")
        view = await text_of(page, "#signal")
        assert "Last: 2.5 MW at 2026-01-16 09:58:53" in view
        assert "2026-01-16 09:58:52\t1\t0" in view
        await page.fill("#tag", "7:1")
        await page.wait_for_selector("#signal h3:text-is('U1/1')")
        assert "silent" in await text_of(page, "#signal")


async def test_a_signal_that_another_replica_has_names_that_one() -> None:
    daemon = WatchedDaemon.serving(GROUP)
    daemon.shard = 1
    async with shown(daemon) as page:
        await page.fill("#tag", "7:1")
        await page.wait_for_selector("#signal h3:text-is('U1/1')")
        assert "Its shard, 1, is not served here. Owner: pod-b." in await text_of(page, "#signal")


async def test_texts_of_the_plant_stay_texts() -> None:
    daemon = troubled()
    members = [replace(one, signal=replace(one.signal, tag=HOSTILE, name=HOSTILE)) for one in daemon.roster.members]
    daemon.roster = Roster(tuple(members))
    daemon.said_by_bus = {1: HOSTILE}
    daemon.faults = [Fault("source.query_failed", HOSTILE, HOSTILE, HOSTILE, 0, 0, 3)]
    async with shown(daemon) as page:
        await page.fill("#tag", "onerror")
        await page.click("#found button")
        await page.wait_for_selector("#signal h3")
        assert HOSTILE in await text_of(page, "#signal")
        assert HOSTILE in await text_of(page, "#holes")
        assert HOSTILE in await text_of(page, "#faults")
        assert HOSTILE in await text_of(page, "#shards")
        assert await page.locator("main img, main script").count() == 0
        assert await page.title() != "taken"


async def test_the_page_follows_the_systems_theme_until_another_is_chosen() -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    async with shown(WatchedDaemon.serving(GROUP), color_scheme="dark") as page:
        dark = await page.evaluate(ground)
        await page.emulate_media(color_scheme="light")
        light = await page.evaluate(ground)
        assert dark != light
        await page.click("#theme")
        assert await page.evaluate(ground) == dark
        await page.reload()
        assert await page.evaluate(ground) == dark
        assert await page.get_attribute("#theme", "aria-pressed") == "true"


async def test_everything_can_be_reached_and_chosen_by_keyboard() -> None:
    async with shown(troubled()) as page:
        await page.keyboard.press("Tab")
        assert await page.evaluate("document.activeElement.className") == "skip"
        await page.keyboard.press("Enter")
        assert await page.evaluate("document.activeElement.id") == "concerns"
        await page.focus("input[name=span]:checked")
        await page.keyboard.press("ArrowRight")
        await page.wait_for_selector(".axis span:first-child:text-is('09:00:30')", state="attached")
        await page.focus("#tag")
        await page.keyboard.type("U1/2")
        await page.wait_for_selector("#signal h3")
        await page.keyboard.press("Tab")
        assert await page.evaluate("document.activeElement.dataset.series") == "7:2:raw"
        await page.keyboard.press("Enter")
        assert await page.get_attribute("#found button", "aria-pressed") == "true"


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_axe_finds_nothing_serious(scheme: str, axe: str) -> None:
    async with shown(troubled(), color_scheme=scheme) as page:
        await page.fill("#tag", "U1/3")
        await page.wait_for_selector("#signal h3")
        await page.evaluate(axe)
        found: dict[str, Any] = await page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        serious = [
            (one["id"], node["html"][:120])
            for one in found["violations"]
            if one["impact"] in ("serious", "critical")
            for node in one["nodes"]
        ]
        assert serious == []


@pytest.mark.parametrize("width", [360, 768, 1280])
async def test_nothing_runs_out_of_the_page_at_any_width(width: int) -> None:
    async with shown(troubled(), viewport={"width": width, "height": 700}) as page:
        await page.fill("#tag", "U1/3")
        await page.wait_for_selector("#signal h3")
        assert await page.evaluate("document.documentElement.scrollWidth") <= width


async def test_a_whole_daemon_is_shown_with_a_hole_that_comes_and_goes(tmp_path: Path) -> None:
    fault = {"kind": "missing", "start": "6s", "duration": "6s", "share": 0.5, "databases": [2]}
    async with serve(demo_world(), scenario=Scenario.model_validate({"faults": [fault]})) as simulator:
        start_ns = align_down(simulator.started_ns - HISTORY_NS, NS_PER_S)
        settings = demo_settings("sqlite", simulator.url, start_ns, {}, path=tmp_path / "events.db")
        async with assembled(settings) as parts:
            daemon = parts.daemon()
            server = parts.status_server(daemon)
            await server.start()
            work = asyncio.create_task(daemon.run())
            try:
                async with opened(server.url) as page:
                    tower = "#timeline [data-stream=tower]"
                    await page.wait_for_selector(f"{tower} rect.covered", state="attached")
                    await page.wait_for_selector(f"{tower} rect.hole", state="attached")
                    await page.wait_for_selector(f"{tower} rect.hole", state="detached", timeout=60_000)
                    await page.wait_for_selector(f"{tower} rect.late", state="attached")
            finally:
                daemon.stop()
                await work
                await server.close()
