"""Takes ``docs/page.png``: the operator's page while the API leaves out some signals. Run by ``make page-picture``."""

from __future__ import annotations

import asyncio
from pathlib import Path

from streamer.demo import HISTORY_NS, demo_settings
from streamer.logs import configure_logs
from streamer.model import NS_PER_S, align_down
from streamer.simulator.plants import demo_world
from streamer.simulator.scenario import Scenario
from streamer.simulator.server import serve
from streamer.wiring import assembled
from tests.support.browser import browser

SHOWN_AFTER_S = 100.0
WIDTH, HEIGHT = 1080, 860
PICTURE = Path(__file__).parent / "page.png"
EVENTS = Path("var/page.db")

STORY = Scenario.model_validate(
    {
        "faults": [
            {"kind": "late", "start": "15s", "duration": "10s", "share": 0.3, "databases": [1], "delay": "12s"},
            {"kind": "revised", "start": "35s", "duration": "20s", "share": 0.2, "databases": [1, 3]},
            {"kind": "missing", "start": "72s", "duration": "1m", "share": 0.4, "databases": [2]},
        ]
    }
)
"""Late samples, then corrected ones, then answers without some of the tower's signals."""


async def main() -> None:
    """Run as the demo does, with a page open, and take its picture."""
    configure_logs("console", "error")
    world = demo_world()
    async with serve(world, scenario=STORY) as simulator:
        start_ns = align_down(simulator.started_ns - HISTORY_NS, NS_PER_S)
        async with assembled(demo_settings("sqlite", simulator.url, start_ns, {}, path=EVENTS)) as parts:
            daemon = parts.daemon()
            server = parts.status_server(daemon)
            await server.start()
            work = asyncio.create_task(daemon.run())
            await asyncio.sleep(SHOWN_AFTER_S)
            async with browser() as chromium:
                page = await chromium.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
                await page.goto(server.url)
                await page.wait_for_selector("#timeline rect.hole", state="attached")
                await page.screenshot(path=str(PICTURE))
            daemon.stop()
            await work
            await server.close()


if __name__ == "__main__":
    for suffix in ("", "-wal", "-shm"):
        EVENTS.with_name(EVENTS.name + suffix).unlink(missing_ok=True)
    asyncio.run(main())
