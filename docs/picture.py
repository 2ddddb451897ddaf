"""Makes ``docs/demo.svg``: what ``make demo`` shows after a minute, and its verdict. Run by ``make picture``."""

from __future__ import annotations

import asyncio
import io
import re
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console

from streamer.demo import HISTORY_NS, demo_settings
from streamer.demo_audit import audited
from streamer.demo_view import progress_table, verdict_table
from streamer.logs import configure_logs
from streamer.model import NS_PER_S, align_down
from streamer.simulator.plants import demo_world
from streamer.simulator.server import serve
from streamer.wiring import assembled

SHOWN_AFTER_S = 60.0
PICTURE = Path(__file__).parent / "demo.svg"
EVENTS = Path("var/picture.db")
FORMAT = re.sub(r"@font-face \{\{.*?\}\}", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
"""Without fonts from another host: the reader's own monospace font will do."""


async def main() -> None:
    """Run as the demo does, and draw its last frame and its end."""
    configure_logs("console", "warning")
    console = Console(record=True, width=88, file=io.StringIO(), highlight=False)
    world = demo_world()
    async with serve(world) as simulator:
        start_ns = align_down(simulator.started_ns - HISTORY_NS, NS_PER_S)
        settings = demo_settings("sqlite", simulator.url, start_ns, {}, path=EVENTS)
        async with assembled(settings) as parts:
            daemon = parts.daemon()
            work = asyncio.create_task(daemon.run())
            await asyncio.sleep(SHOWN_AFTER_S)
            console.print("$ make demo", style="bold")
            console.print(progress_table(daemon.snapshot(), parts, SHOWN_AFTER_S))
            daemon.stop()
            await work
        console.print(verdict_table(await audited(settings, world, start_ns), parts.metrics))
    console.save_svg(str(PICTURE), title="streamer demo", code_format=FORMAT)


if __name__ == "__main__":
    EVENTS.unlink(missing_ok=True)
    asyncio.run(main())
