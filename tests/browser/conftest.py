"""A browser for each test, and the page of a daemon that stands as the test says."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from streamer.metrics import Metrics
from streamer.status.server import StatusServer
from tests.support.browser import NoBrowser, axe_script, browser, chromium
from tests.support.watched import WatchedDaemon

if TYPE_CHECKING:
    from playwright.async_api import Page


def _missing(exc: NoBrowser) -> None:
    if os.environ.get("STREAMER_REQUIRE_BROWSER") == "1":
        pytest.fail(f"STREAMER_REQUIRE_BROWSER=1, and there is {exc}")
    pytest.skip(str(exc))


@pytest.fixture(autouse=True)
def _browser_is_there() -> None:
    """The test is skipped where no Chromium can be driven, or fails in CI."""
    try:
        chromium()
    except NoBrowser as exc:
        _missing(exc)


@pytest.fixture(scope="session")
def axe() -> str:
    """The source of axe; the test is skipped where npm cannot bring it, or fails in CI."""
    try:
        return axe_script()
    except NoBrowser as exc:
        _missing(exc)
        raise


@asynccontextmanager
async def opened(url: str, **options: Any) -> AsyncIterator[Page]:
    """The page at an address, once it is live; nothing may be said to its console, nor break in it."""
    said: list[str] = []
    async with browser() as running:
        page = await running.new_page(**options)
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        await page.goto(url)
        await page.wait_for_selector("#connection[data-state=live]")
        yield page
    assert said == []


@asynccontextmanager
async def shown(daemon: WatchedDaemon, **options: Any) -> AsyncIterator[Page]:
    """The page of a daemon."""
    server = StatusServer(daemon.board(shards=2), Metrics(), "127.0.0.1", 0)
    await server.start()
    try:
        async with opened(server.url, **options) as page:
            yield page
    finally:
        await server.close()
