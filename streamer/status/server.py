"""The status server: probes, metrics, and the operator's page with its data. Read-only, no secret in any answer."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator
from importlib.resources import files
from typing import Protocol

import orjson
from aiohttp import web
from prometheus_client import generate_latest

from streamer.errors import ConfigurationError
from streamer.history import LAG_EVERY_S
from streamer.metrics import Metrics
from streamer.status.access import Handler, guard, label
from streamer.status.feed import Feed
from streamer.status.signals import Found, SignalView
from streamer.status.timeline import SPANS, Timeline

PAGE = {
    "/": ("index.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    "/page.js": ("page.js", "text/javascript"),
}

KEPT_S = 0.9
"""What is shown is gathered once for all that look at it within this time."""

CLOSED_WITHIN_S = 1.0

LONGEST_TEXT = 200
"""Of what is searched for."""


class Shown(Protocol):
    """What the server shows."""

    @property
    def is_ready(self) -> bool:
        """Whether every shard is owned and restored."""
        ...

    def sample(self) -> None:
        """Note the lags, and which holes stand; called every ``LAG_EVERY_S``."""
        ...

    async def renew(self) -> None:
        """Ask others for what the status tells of them. Takes a moment at most, and raises nothing."""
        ...

    async def close(self) -> None:
        """Ask no more."""
        ...

    def status(self) -> dict[str, object]:
        """How everything stands now."""
        ...

    def timeline(self, span: str) -> Timeline:
        """The ledger of the last hours, drawn. KeyError when there is no such span."""
        ...

    def find(self, text: str) -> list[Found]:
        """The series whose tag, name or key contains a text."""
        ...

    def signal(self, series: str) -> SignalView | None:
        """What is remembered of a series; None when no stream wants it."""
        ...


class StatusServer:
    """``/livez``: the process turns; ``/readyz``: every shard is owned; ``/metrics``; ``/`` and what it asks for.

    Liveness depends on nothing outside: an unreachable broker is no reason to restart.
    """

    def __init__(self, shown: Shown, metrics: Metrics, host: str, port: int) -> None:
        self._shown = shown
        self._registry = metrics.registry
        self._host = host
        self._port = port
        self._feed = Feed(self._events)
        self._gathered: dict[str, tuple[float, bytes]] = {}
        self._sampling: asyncio.Task[None] | None = None
        app = web.Application(middlewares=[guard(host)])
        app.on_response_prepare.append(label)
        app.add_routes(
            [
                web.get("/livez", self._livez),
                web.get("/readyz", self._readyz),
                web.get("/metrics", self._metrics),
                web.get("/api/status", self._status),
                web.get("/api/timeline", self._timeline),
                web.get("/api/signals", self._signals),
                web.get("/api/signal", self._signal),
                web.get("/events", self._stream),
                *(web.get(path, _file(*file)) for path, file in PAGE.items()),
            ]
        )
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=CLOSED_WITHIN_S)

    @property
    def url(self) -> str:
        """Where it listens, once started."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._runner.addresses[0][1]}"

    async def start(self) -> None:
        """Listen. Raises ConfigurationError when the address cannot be had."""
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self._host, self._port).start()
        except OSError as exc:
            await self._runner.cleanup()
            reason = exc.strerror if isinstance(exc, socket.gaierror) else os.strerror(exc.errno or 0)
            problem = f"{self._host}:{self._port} cannot be listened on: {reason}; choose another, or 0 for any"
            raise ConfigurationError([("status.port", problem)]) from exc
        self._sampling = asyncio.create_task(self._sample())

    async def close(self) -> None:
        """Stop listening, and let go of open pages."""
        self._feed.close()
        if self._sampling is not None:
            self._sampling.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._sampling
        await self._runner.cleanup()
        await self._shown.close()

    async def _sample(self) -> None:
        while True:
            self._shown.sample()
            await asyncio.sleep(LAG_EVERY_S)

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
        await self._shown.renew()
        return _json(self._gather("status"))

    async def _timeline(self, request: web.Request) -> web.Response:
        return _json(self._gather(_span(request)))

    async def _signals(self, request: web.Request) -> web.Response:
        return _json(_dumped(self._shown.find(request.query.get("find", "")[:LONGEST_TEXT])))

    async def _signal(self, request: web.Request) -> web.Response:
        found = self._shown.signal(request.query.get("series", ""))
        if found is None:
            raise web.HTTPNotFound(text="No stream wants this series; /api/signals?find=… lists those that are.\n")
        return _json(_dumped(found))

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        return await self._feed.serve(request, _span(request))

    async def _events(self, span: str) -> AsyncIterator[tuple[str, bytes]]:
        await self._shown.renew()
        yield "status", self._gather("status")
        yield "timeline", self._gather(span)

    def _gather(self, what: str) -> bytes:
        """The status, or the timeline of a span, as JSON; at most once in ``KEPT_S``."""
        now_s = asyncio.get_running_loop().time()
        at_s, body = self._gathered.get(what, (0.0, b""))
        if not body or now_s - at_s >= KEPT_S:
            body = _dumped(self._shown.status() if what == "status" else self._shown.timeline(what))
            self._gathered[what] = now_s, body
        return body


def _file(name: str, content_type: str) -> Handler:
    body = (files("streamer.status") / "page" / name).read_bytes()

    async def serve(_request: web.Request) -> web.Response:
        return web.Response(body=body, content_type=content_type, charset="utf-8")

    return serve


def _span(request: web.Request) -> str:
    span = request.query.get("span", "15m")
    if span not in SPANS:
        raise web.HTTPBadRequest(text=f"span is one of {', '.join(SPANS)}\n")
    return span


def _dumped(value: object) -> bytes:
    """JSON in one line, as an event's data has to be."""
    return orjson.dumps(value)


def _json(body: bytes) -> web.Response:
    return web.Response(body=body, content_type="application/json")
