"""From starting ``streamer run`` to the first event that a reader finds: 40 signals, local simulator, embedded bus.

make bench, or: python benchmarks/first_event.py
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path

from _bench import line, process
from rich.console import Console

from streamer.bus.sqlite import SqliteBus
from streamer.errors import BusUnreachable

STARTS = 5
GOAL_S = 3.0
STREAMS = "\n".join(f"  - {{name: database-{number}, database_id: {number}, all: true}}" for number in (1, 2))
"""The substation's 14 signals and the tower's 26."""


async def first_event(url: str, directory: Path) -> float:
    """Seconds from starting the process to the first event."""
    path = directory / "events.db"
    (directory / "run.yaml").write_text(
        f"source: {{base_url: '{url}', client_id: demo, client_secret: demo}}\n"
        f"streams:\n{STREAMS}\nbus: {{path: {path}}}\nstatus: {{port: 0}}\nlog: {{level: warning}}\n"
    )
    bus = SqliteBus(path, partitions=4)
    began_s = time.perf_counter()
    async with process("-m", "streamer", "run", "--config", str(directory / "run.yaml")):
        while not await has_event(bus):  # noqa: ASYNC110  # another process's event
            await asyncio.sleep(0.01)
        elapsed_s = time.perf_counter() - began_s
    await bus.close()
    return elapsed_s


async def has_event(bus: SqliteBus) -> bool:
    """Whether there is an event to read."""
    try:
        async for _ in bus.read("samples", last=1, follow=False):
            return True
    except BusUnreachable:
        pass
    return False


async def main() -> None:
    """Start several times, each with an empty file."""
    async with process("-m", "streamer", "simulate", "--port", "0") as simulator:
        url = (await line(simulator)).split()[0]
        measured = []
        for _ in range(STARTS):
            with tempfile.TemporaryDirectory() as directory:
                measured.append(await first_event(url, Path(directory)))
    listed = ", ".join(f"{elapsed_s:.2f}" for elapsed_s in measured)
    Console().print(f"First event after {listed} s (goal {GOAL_S:g} s)")


if __name__ == "__main__":
    asyncio.run(main())
