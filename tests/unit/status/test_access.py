"""Who may read what the status server shows, over real sockets on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.resources import files

import aiohttp
import pytest

from streamer.metrics import Metrics
from streamer.status.access import is_own_name
from streamer.status.feed import MOST_READERS
from streamer.status.server import PAGE, StatusServer
from tests.support.watched import WatchedDaemon, group_of

LARGEST_PAGE_BYTES = 150_000


@asynccontextmanager
async def serving(host: str = "127.0.0.1") -> AsyncIterator[str]:
    daemon = WatchedDaemon.serving(group_of("turbines", 1))
    server = StatusServer(daemon.board(), Metrics(), host, 0)
    await server.start()
    try:
        yield f"http://127.0.0.1:{server.url.rpartition(':')[2]}"
    finally:
        await server.close()


async def status_of(path: str, headers: dict[str, str], host: str = "127.0.0.1") -> int:
    async with (
        serving(host) as url,
        aiohttp.ClientSession() as session,
        session.get(url + path, headers=headers) as answer,
    ):
        return answer.status


@pytest.mark.parametrize("name", ["localhost", "localhost:8080", "127.0.0.1:1", "127.9.9.9", "[::1]:8080", "LOCALHOST"])
def test_names_of_this_machine_are_its_own(name: str) -> None:
    assert is_own_name(name)


@pytest.mark.parametrize(
    "name", ["", "evil.example", "localhost.evil.example", "10.0.0.1", "[::1", "127.0.0.1.evil:80"]
)
def test_other_names_are_not(name: str) -> None:
    assert not is_own_name(name)


@pytest.mark.parametrize("path", ["/", "/livez", "/metrics", "/api/status", "/events"])
async def test_a_name_made_to_point_here_reads_nothing(path: str) -> None:
    assert await status_of(path, {"Host": "rebound.example"}) == 421


async def test_bound_to_all_addresses_any_name_will_do() -> None:
    assert await status_of("/", {"Host": "streamer.plant.example"}, "0.0.0.0") == 200


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
async def test_pages_of_other_sites_read_nothing_but_may_link_here(site: str) -> None:
    assert await status_of("/api/status", {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "no-cors"}) == 403
    assert await status_of("/", {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "navigate"}) == 200
    assert await status_of("/api/status", {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors"}) == 200


@pytest.mark.parametrize("path", ["/", "/page.js", "/api/status", "/nothing", "/events"])
async def test_every_answer_forbids_what_comes_from_elsewhere(path: str) -> None:
    async with serving() as url, aiohttp.ClientSession() as session, session.get(url + path) as answer:
        policy = answer.headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
        assert "unsafe" not in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "Access-Control-Allow-Origin" not in answer.headers


async def test_the_page_is_small_and_asks_nobody_else() -> None:
    bodies = {name: (files("streamer.status") / "page" / name).read_text() for name, _ in PAGE.values()}
    assert sum(len(body.encode()) for body in bodies.values()) <= LARGEST_PAGE_BYTES
    for name, body in bodies.items():
        without_names = body.replace("http://www.w3.org/2000/svg", "")
        assert [word for word in ("https:", "http:", "@import") if word in without_names] == [], name
    assert "innerHTML" not in bodies["page.js"]
    assert "style=" not in bodies["index.html"]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/timeline?span=6h", 200),
        ("/api/timeline?span=6d", 400),
        ("/events?span=1", 400),
        ("/api/signals?find=u1", 200),
        ("/api/signals", 200),
        ("/api/signal?series=7:1:raw", 200),
        ("/api/signal?series=7:2:raw", 404),
        ("/api/signal", 404),
    ],
)
async def test_what_the_page_asks_for_is_answered_or_refused(path: str, status: int) -> None:
    assert await status_of(path, {}) == status


async def test_events_come_as_a_status_and_a_timeline_again_and_again() -> None:
    async with serving() as url, aiohttp.ClientSession() as session, session.get(f"{url}/events") as answer:
        assert answer.content_type == "text/event-stream"
        lines = [await answer.content.readline() for _ in range(12)]
    names = [line.decode().strip() for line in lines if line.startswith(b"event: ")]
    assert names == ["event: status", "event: timeline", "event: status", "event: timeline"]


async def test_one_page_more_than_allowed_is_turned_away_until_another_closes() -> None:
    async with serving() as url, aiohttp.ClientSession() as session:
        open_pages = [await session.get(f"{url}/events") for _ in range(MOST_READERS)]
        async with session.get(f"{url}/events") as answer:
            assert answer.status == 503
        open_pages[0].close()
        for _ in range(50):
            async with session.get(f"{url}/events") as answer:
                if answer.status == 200:
                    break
            await asyncio.sleep(0.1)
        else:
            pytest.fail("the place of a page that was closed was not given away")
        for page in open_pages:
            page.close()


async def test_an_open_page_does_not_hold_up_the_end() -> None:
    async with aiohttp.ClientSession() as session:
        async with serving() as url:
            answer = await session.get(f"{url}/events")
            began_s = asyncio.get_running_loop().time()
        assert asyncio.get_running_loop().time() - began_s < 0.9
        answer.close()
