"""Who may read what the status server shows, and what a browser may do with it.

There is no login: the bind address lets only this machine in, or others where the configuration allows it. A browser
on this machine must not be a way around that.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol
from urllib.parse import urlsplit

from aiohttp import web

from streamer.settings_types import is_loopback

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Middleware(Protocol):
    """Stands between a request and its handler."""

    def __call__(self, request: web.Request, handler: Handler) -> Awaitable[web.StreamResponse]:
        """Answer, or let the handler answer."""
        ...


HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
"""Of every answer: nothing from elsewhere, nothing inline, in nobody's frame."""


def is_own_name(host_header: str) -> bool:
    """Whether a ``Host`` names this machine itself: ``localhost`` or a loopback address, with or without a port."""
    try:
        host = urlsplit(f"//{host_header}").hostname or ""
    except ValueError:
        return False
    return is_loopback(host)


def guard(bound_to: str) -> Middleware:
    """The middleware of a server that is bound to an address.

    Bound to loopback, it answers only to its own names: else a page from elsewhere whose name is made to point to
    127.0.0.1 could read everything (DNS rebinding). Anywhere, it refuses what other sites' pages ask for behind the
    back of whoever looks at them; links from them may be followed.
    """
    is_local = is_loopback(bound_to)

    @web.middleware
    async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
        if is_local and not is_own_name(request.host):
            return web.Response(status=421, text="This server answers to localhost and loopback addresses only.\n")
        is_foreign = request.headers.get("Sec-Fetch-Site") in {"cross-site", "same-site"}
        if is_foreign and request.headers.get("Sec-Fetch-Mode") != "navigate":
            return web.Response(status=403, text="Pages of other sites may not read this.\n")
        return await handler(request)

    return guarded


async def label(_request: web.Request, response: web.StreamResponse) -> None:
    """Give every answer its headers; called when it is prepared."""
    response.headers.update(HEADERS)
