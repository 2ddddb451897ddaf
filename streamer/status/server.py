"""The status server: probes, metrics, and the daemon's state as JSON. Read-only, no secret in any answer."""

from __future__ import annotations

from typing import Protocol

import orjson
from aiohttp import web
from prometheus_client import generate_latest

from streamer.errors import ConfigurationError
from streamer.metrics import Metrics
from streamer.status.summary import Snapshot


class Shown(Protocol):
    """What the server shows."""

    @property
    def is_ready(self) -> bool:
        """Whether every shard is owned and restored."""
        ...

    def snapshot(self) -> Snapshot:
        """How everything stands now."""
        ...


class StatusServer:
    """``/livez``: the process turns; ``/readyz``: every shard is owned; ``/metrics``; ``/api/status``.

    Liveness depends on nothing outside: an unreachable broker is no reason to restart.
    """

    def __init__(self, shown: Shown, metrics: Metrics, host: str, port: int) -> None:
        self._shown = shown
        self._registry = metrics.registry
        self._host = host
        self._port = port
        app = web.Application()
        app.add_routes(
            [
                web.get("/livez", self._livez),
                web.get("/readyz", self._readyz),
                web.get("/metrics", self._metrics),
                web.get("/api/status", self._status),
            ]
        )
        self._runner = web.AppRunner(app, access_log=None)

    @property
    def url(self) -> str:
        """Where it listens, once started."""
        return f"http://{self._host}:{self._runner.addresses[0][1]}"

    async def start(self) -> None:
        """Listen. Raises ConfigurationError when the address cannot be had."""
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self._host, self._port).start()
        except OSError as exc:
            await self._runner.cleanup()
            problem = f"{self._host}:{self._port} cannot be listened on ({exc.strerror}); choose another, or 0 for any"
            raise ConfigurationError([("status.port", problem)]) from exc

    async def close(self) -> None:
        """Stop listening."""
        await self._runner.cleanup()

    async def _livez(self, _request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _readyz(self, _request: web.Request) -> web.Response:
        if self._shown.is_ready:
            return web.Response(text="ok\n")
        return web.Response(status=503, text="not every shard is owned and restored yet\n")

    async def _metrics(self, _request: web.Request) -> web.Response:
        body = generate_latest(self._registry)
        return web.Response(body=body, headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})

    async def _status(self, _request: web.Request) -> web.Response:
        return web.Response(body=orjson.dumps(self._shown.snapshot()), content_type="application/json")
