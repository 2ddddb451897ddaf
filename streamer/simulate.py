"""``streamer simulate``: the simulated API as a process of its own."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

from rich.console import Console

from streamer.simulator.plants import demo_world
from streamer.simulator.scenario import Scenario, load_scenario
from streamer.simulator.server import serve

CLIENT = "demo"
"""Id and secret of the one credential."""


async def simulate(
    host: str, port: int, *, signals: int, rate_hz: float, scenario_file: Path | None, latency_s: float
) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises:
        ConfigurationError: the scenario cannot be used, or the address not be listened on.
    """
    scenario = Scenario() if scenario_file is None else load_scenario(scenario_file)
    world = demo_world(synthetic_signals=signals, synthetic_hz=rate_hz)
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    console = Console(highlight=False)
    async with serve(
        world,
        host=host,
        port=port,
        scenario=scenario,
        client_id=CLIENT,
        client_secret=CLIENT,
        latency_s=latency_s,
    ) as simulator:
        console.print(f"[bold]{simulator.url}[/] (client id and secret: {CLIENT})")
        for database in world.databases.values():
            console.print(f"  database {database.id}: {database.name}, {len(database.signals)} signals")
        await stopped.wait()
