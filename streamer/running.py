"""``streamer run``: the daemon as a process, with its signals and its status server."""

from __future__ import annotations

import asyncio
import signal

import structlog

from streamer import __version__
from streamer.config import Settings
from streamer.wiring import assembled

_log = structlog.get_logger(__name__)


async def run_daemon(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT, then drain. Raises what ends a daemon for good, see ``Daemon.run``."""
    async with assembled(settings) as parts:
        daemon = parts.daemon()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, daemon.stop)
        server = parts.status_server(daemon)
        await server.start()
        _log.info("daemon.started", version=__version__, bus=settings.bus.kind, status=server.url)
        try:
            await daemon.run()
        finally:
            await server.close()
