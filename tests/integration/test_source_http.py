"""The source room against a real HTTP server on loopback."""

from __future__ import annotations

import asyncio
import gzip
import json
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from random import Random

import pytest
from aiohttp import web
from pydantic import SecretStr

from streamer.clock import ServiceTime, SystemClock
from streamer.errors import ConfigurationError, QueryFailed, SourceUnreachable
from streamer.source.client import ApiClient
from streamer.source.credentials import token_request
from streamer.source.http_transport import BRIEF_BODY_BYTES, HttpTransport
from streamer.source.throttle import Throttle
from streamer.source.token import TokenSource
from streamer.source.transport import Request
from tests.unit.source.fakes import query_for

SECRET = "s3cret-of-the-tenant"
BEARER = "b3arer-of-the-hour"
ASK = Request("POST", "v1/query", SecretStr("{}"), bearer=SecretStr(BEARER))

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[str]:
    """A server that answers every path below the base URL with the handler."""
    application = web.Application()
    application.router.add_route("*", "/rt-api/api/{path:.*}", handler)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/rt-api/api"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def transport_to(
    base_url: str, *, timeout_s: float = 5, max_body_bytes: int = 1 << 20
) -> AsyncIterator[HttpTransport]:
    transport = HttpTransport(base_url, timeout_s=timeout_s, max_body_bytes=max_body_bytes)
    try:
        yield transport
    finally:
        await transport.close()


async def api(request: web.Request) -> web.StreamResponse:
    """One token, one sample."""
    if request.match_info["path"] == "v1/auth/token":
        form = await request.post()
        assert form["client_secret"] == SECRET
        return web.json_response({"access_token": BEARER, "expires_in": 3600})
    if request.headers.get("Authorization") != f"Bearer {BEARER}":
        return web.json_response({"detail": "no"}, status=401)
    body = await request.json()
    index = int(body["measurementIndexes"][0])
    return web.json_response([{"index": index, "timestamp": body["startTime"], "value": 12.5}])


@pytest.mark.parametrize("slash", ["", "/"])
async def test_a_query_travels_with_and_without_the_trailing_slash(slash: str) -> None:
    clock = SystemClock()
    service_time = ServiceTime(clock)
    async with serving(api) as base_url, transport_to(base_url + slash) as transport:
        tokens = TokenSource(transport, "c", lambda: SecretStr(SECRET), clock)
        client = ApiClient(transport, tokens, Throttle(clock, Random(1)), service_time, clock, random=Random(1))
        answer = await client.query(query_for(5))
        await client.close()
    assert answer.columns[5].values == [12.5]
    assert service_time.now_ns() is not None


async def test_a_redirect_is_not_followed() -> None:
    paths = []

    async def redirect(request: web.Request) -> web.StreamResponse:
        paths.append(request.path)
        return web.Response(status=307, headers={"Location": "/rt-api/api/elsewhere"})

    async with serving(redirect) as base_url, transport_to(base_url) as transport:
        assert (await transport.send(ASK)).status == 307
    assert paths == ["/rt-api/api/v1/query"]


async def test_cookies_are_not_kept() -> None:
    cookies: list[str | None] = []

    async def set_cookie(request: web.Request) -> web.StreamResponse:
        cookies.append(request.headers.get("Cookie"))
        return web.Response(headers={"Set-Cookie": "a=b"})

    # Cookie jars take nothing from bare addresses, so the server is called by name.
    async with serving(set_cookie) as base_url, transport_to(base_url.replace("127.0.0.1", "localhost")) as transport:
        await transport.send(ASK)
        await transport.send(ASK)
    assert cookies == [None, None]


async def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    async with serving(api) as base_url, transport_to(base_url) as transport:
        assert (await transport.send(ASK)).status == 500  # the handler fails on '{}': it was reached


async def test_retry_after_and_date_are_read() -> None:
    async def busy(request: web.Request) -> web.StreamResponse:
        date = {"Date": "Fri, 16 Jan 2026 12:00:00 GMT", "Retry-After": "Fri, 16 Jan 2026 12:00:09 GMT"}
        return web.json_response({}, status=429, headers=date)

    async with serving(busy) as base_url, transport_to(base_url) as transport:
        reply = await transport.send(ASK)
    assert (reply.retry_after_s, reply.date_ns) == (9.0, 1_768_564_800_000_000_000)


@pytest.mark.parametrize("size", [1 << 20, (1 << 20) + 1])
async def test_a_body_is_bounded_by_what_it_decompresses_to(size: int) -> None:
    bomb = gzip.compress(b" " * size)

    async def explode(request: web.Request) -> web.StreamResponse:
        return web.Response(body=bomb, headers={"Content-Encoding": "gzip", "Content-Type": "application/json"})

    assert len(bomb) < 4096
    async with serving(explode) as base_url, transport_to(base_url) as transport:
        if size == 1 << 20:
            assert len((await transport.send(ASK)).body) == size
        else:
            with pytest.raises(QueryFailed, match="1048576"):
                await transport.send(ASK)


@pytest.mark.parametrize("size", [BRIEF_BODY_BYTES, BRIEF_BODY_BYTES + 1])
async def test_of_an_error_no_more_is_read_than_says_why_and_its_status_counts(size: int) -> None:
    async def complain(request: web.Request) -> web.StreamResponse:
        return web.Response(status=503, body=b" " * size, content_type="application/problem+json")

    async with serving(complain) as base_url, transport_to(base_url) as transport:
        reply = await transport.send(ASK)
    assert (reply.status, len(reply.body)) == (503, size if size == BRIEF_BODY_BYTES else 0)


async def test_an_answer_that_has_to_be_brief_is_bounded_accordingly() -> None:
    async def tell_all(request: web.Request) -> web.StreamResponse:
        return web.Response(body=b" " * (BRIEF_BODY_BYTES + 1), content_type="application/json")

    async with serving(tell_all) as base_url, transport_to(base_url) as transport:
        assert len((await transport.send(ASK)).body) == BRIEF_BODY_BYTES + 1
        with pytest.raises(QueryFailed, match=str(BRIEF_BODY_BYTES)):
            await transport.send(token_request("form", "c", SecretStr(SECRET)))


async def test_a_body_whose_encoding_is_broken_is_a_failed_query() -> None:
    async def broken(request: web.Request) -> web.StreamResponse:
        return web.Response(body=b"not gzip", headers={"Content-Encoding": "gzip"})

    async with serving(broken) as base_url, transport_to(base_url) as transport:
        with pytest.raises(QueryFailed, match="encoding"):
            await transport.send(ASK)


async def cut_off(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Length": "1000"})
    await response.prepare(request)
    await response.write(b"[")
    assert request.transport is not None
    request.transport.abort()
    return response


async def hang_up(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def talk_nonsense(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    assert isinstance(request.transport, asyncio.WriteTransport)
    request.transport.write(b"HTTP/9.9 what\r\n\r\n")
    request.transport.close()
    return web.Response()


async def say_nothing(request: web.Request) -> web.StreamResponse:
    await asyncio.sleep(5)
    return web.Response()


async def stop_talking(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    await response.write(b"[")
    await asyncio.sleep(5)
    return response


@pytest.mark.parametrize("handler", [cut_off, hang_up, talk_nonsense, say_nothing, stop_talking])
async def test_no_answer_is_an_error_that_may_pass_and_shows_no_bearer(handler: Handler) -> None:
    async with serving(handler) as base_url, transport_to(base_url, timeout_s=0.1) as transport:
        with pytest.raises(SourceUnreachable) as caught:
            await transport.send(ASK)
    error = caught.value
    shown = "".join([str(error), repr(error), repr(error.__context__), *traceback.format_exception(error)])
    assert BEARER not in shown
    assert error.__context__ is None
    assert error.__cause__ is None


async def test_a_port_where_nobody_listens_is_unreachable() -> None:
    async with serving(api) as base_url:
        pass
    async with transport_to(base_url) as transport:
        with pytest.raises(SourceUnreachable, match="cannot be reached"):
            await transport.send(ASK)


async def test_a_cancelled_request_closes_its_connection() -> None:
    arrived, left = asyncio.Event(), asyncio.Event()

    async def wait(request: web.Request) -> web.StreamResponse:
        arrived.set()
        while request.transport is not None:  # noqa: ASYNC110 - the server tells by this only
            await asyncio.sleep(0.001)
        left.set()
        return web.Response()

    async with serving(wait) as base_url, transport_to(base_url) as transport:
        asking = asyncio.create_task(transport.send(ASK))
        await arrived.wait()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await asyncio.wait_for(left.wait(), 2)


async def test_the_repr_of_a_request_shows_neither_bearer_nor_body() -> None:
    request = Request(
        "POST", "v1/auth/token", SecretStr(json.dumps({"clientSecret": SECRET})), bearer=SecretStr(BEARER)
    )
    assert SECRET not in repr(request)
    assert BEARER not in repr(request)


def test_a_ca_file_that_cannot_be_used_is_a_configuration_error() -> None:
    with pytest.raises(ConfigurationError, match=r"source\.ca_file"):
        HttpTransport("https://tenant.example/rt-api/api/", ca_file="/nowhere.pem")
