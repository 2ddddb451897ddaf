"""``streamer demo``: the daemon against three simulated plants, watched live and checked against the truth."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live

from streamer.bus.sqlite import SqliteBus
from streamer.config import Settings, TopicSettings, load_settings
from streamer.daemon import Daemon
from streamer.demo_audit import audited
from streamer.demo_view import progress_line, progress_table, verdict_table
from streamer.errors import EXIT_INVARIANT, ConfigurationError
from streamer.logs import configure_logs
from streamer.model import NS_PER_S, align_down, instant_text
from streamer.simulator.plants import demo_world
from streamer.simulator.server import serve
from streamer.wiring import Parts, assembled

PATH = Path("var/demo.db")
HISTORY_NS = 150 * NS_PER_S
"""The streams begin that long ago, so that some of it is settled at once."""

STREAMS: tuple[dict[str, Any], ...] = (
    {"name": "substation", "database_id": 1, "all": True, "poll_interval": "1s"},
    {"name": "tower", "database_id": 2, "all": True, "poll_interval": "1s", "lookback": ["15s", "1m"]},
    {
        "name": "pv",
        "database_id": 3,
        "all": True,
        "poll_interval": "5s",
        "overlap": "30s",
        "lookback": ["1m", "5m"],
    },
)
"""As in ``config/demo.yaml``."""

SHOWN_EVERY_S = 0.5
SAID_EVERY_S = 5.0


async def demo(kind: str, duration_ns: int | None, environ: Mapping[str, str], console: Console | None = None) -> int:
    """Run until interrupted, or for a while; return 0 when nothing was lost, doubled or wrong.

    Args:
        kind: of the bus, ``sqlite`` or ``kafka``.
        duration_ns: None until SIGINT or SIGTERM.
        environ: names the brokers (``KAFKA_BOOTSTRAP_SERVERS``).
        console: where to print; stdout unless given.

    Raises:
        ConfigurationError: there is no broker to use.
        ShardTaken: another demo runs in this directory.
    """
    console = console or Console(highlight=False)
    world = demo_world()
    async with serve(world) as simulator:
        start_ns = align_down(simulator.started_ns - HISTORY_NS, NS_PER_S)
        settings = demo_settings(kind, simulator.url, start_ns, environ)
        if kind == "sqlite":
            await _make_room()
        async with assembled(settings) as parts:
            daemon = parts.daemon()
            server = parts.status_server(daemon)
            await server.start()
            try:
                console.print(f"Simulated API at [bold]{simulator.url}[/], events to [bold]{_where(settings)}[/]")
                console.print(f"Open the operator's page: [bold]{server.url}[/]")
                await _watch(daemon, parts, duration_ns, console)
            finally:
                await server.close()
        verdict = await audited(settings, world, start_ns)
    console.print(verdict_table(verdict, parts.metrics))
    if kind == "sqlite":
        console.print(
            "Look at the events: [bold].venv/bin/streamer tail --config config/demo.yaml --format table[/]",
            soft_wrap=True,
        )
    return 0 if verdict.is_clean else EXIT_INVARIANT


def demo_settings(kind: str, url: str, start_ns: int, environ: Mapping[str, str], path: Path = PATH) -> Settings:
    """The demo's configuration, read as any other."""
    variables = {
        "POWERP_API_BASE_URL": url,
        "POWERP_CLIENT_ID": "demo",
        "POWERP_CLIENT_SECRET": "demo",
        "STREAMER_BUS__KIND": kind,
        "STREAMER_BUS__PATH": str(path),
        "STREAMER_STATUS__PORT": "0",
        "STREAMER_LOG__LEVEL": "warning",
    }
    if kind == "kafka":
        servers = environ.get("KAFKA_BOOTSTRAP_SERVERS")
        if not servers:
            raise ConfigurationError(
                [("KAFKA_BOOTSTRAP_SERVERS", "is missing; name a broker, or run `make demo-kafka`, which brings one")]
            )
        variables["KAFKA_BOOTSTRAP_SERVERS"] = servers
    base = load_settings(None, variables)
    kafka = base.kafka.model_copy(update={"topics": TopicSettings.under(f"demo-{secrets.token_hex(3)}")})
    streams = [{**stream, "start": instant_text(start_ns)} for stream in STREAMS]
    return Settings.model_validate({**dict(base), "streams": streams, "kafka": kafka})


async def _make_room() -> None:
    """Begin with an empty file. Only a database of this program, and one that nobody uses, is removed."""
    bus = SqliteBus(PATH, partitions=1)
    try:
        await bus.open()
    finally:
        await bus.close()
    for suffix in ("", "-wal", "-shm"):
        await asyncio.to_thread(Path(f"{PATH}{suffix}").unlink, missing_ok=True)


async def _watch(daemon: Daemon, parts: Parts, duration_ns: int | None, console: Console) -> None:
    """Run the daemon and show it, until it has drained."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, daemon.stop)
    async with _running(daemon) as work:
        began_s = loop.time()
        if duration_ns is not None:
            loop.call_later(duration_ns / NS_PER_S, daemon.stop)
        if console.is_terminal:
            with Live(console=console, auto_refresh=False) as live:
                configure_logs("console", "warning", parts.settings.secrets)
                while not work.done():
                    live.update(progress_table(daemon.snapshot(), parts, loop.time() - began_s), refresh=True)
                    await asyncio.wait([work], timeout=SHOWN_EVERY_S)
        else:
            configure_logs("console", "warning", parts.settings.secrets)
            while not (await asyncio.wait([work], timeout=SAID_EVERY_S))[0]:
                console.print(progress_line(daemon.snapshot(), parts, loop.time() - began_s), soft_wrap=True)
        await work


@asynccontextmanager
async def _running(daemon: Daemon) -> AsyncIterator[asyncio.Task[None]]:
    work = asyncio.create_task(daemon.run())
    try:
        yield work
    finally:
        work.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await work


def _where(settings: Settings) -> str:
    if settings.bus.kind == "kafka":
        return f"{settings.kafka.topics.samples} on {', '.join(settings.kafka.bootstrap_servers)}"
    return str(settings.bus.path)
