"""Server-sent events: how everything stands, once a second, to a bounded number of open pages."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Callable

from aiohttp import web

EVERY_S = 1.0

MOST_READERS = 8
"""Open pages; each costs a connection and, once a second, some tens of kilobytes."""

WRITTEN_WITHIN_S = 10.0
"""A page that takes nothing for so long is let go; it connects again by itself."""


class Feed:
    """The open pages of one server.

    Args:
        events: what is sent each time, for one span: pairs of an event's name and its data, a line each.
    """

    def __init__(self, events: Callable[[str], AsyncIterable[tuple[str, bytes]]]) -> None:
        self._events = events
        self._readers = 0
        self._is_closing = asyncio.Event()

    def close(self) -> None:
        """End all streams; a server that waits for its connections would wait for ever."""
        self._is_closing.set()

    async def serve(self, request: web.Request, span: str) -> web.StreamResponse:
        """Send until the reader goes or the server closes."""
        if self._readers >= MOST_READERS:
            return web.Response(status=503, text=f"{MOST_READERS} pages are open already; close one.\n")
        self._readers += 1
        try:
            return await self._send(request, span)
        finally:
            self._readers -= 1

    async def _send(self, request: web.Request, span: str) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        try:
            while not self._is_closing.is_set():
                async with asyncio.timeout(WRITTEN_WITHIN_S):
                    async for name, data in self._events(span):
                        await response.write(b"event: %s\ndata: %s\n\n" % (name.encode(), data))
                await self._pause()
        except (ConnectionError, TimeoutError):
            if request.transport is not None:
                request.transport.abort()
        return response

    async def _pause(self) -> None:
        try:
            async with asyncio.timeout(EVERY_S):
                await self._is_closing.wait()
        except TimeoutError:
            pass
