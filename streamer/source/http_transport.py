"""The transport over aiohttp: the only place that knows it.

aiohttp's own errors can hold the request's headers and so the bearer (``repr`` of ClientResponseError);
they end here, and neither cause nor context of what is raised leads back to them.
"""

from __future__ import annotations

import asyncio
import mmap
import ssl
from contextlib import AsyncExitStack
from typing import Final

import aiohttp
from aiohttp import http_exceptions

from streamer.errors import BROKEN, OVERSIZE, TIMEOUT, ConfigurationError, QueryFailed, SourceError, SourceUnreachable
from streamer.source.retry_after import parse_http_date, parse_retry_after
from streamer.source.transport import Body, Reply, Request

MAX_BODY_BYTES: Final = 32 * 1024 * 1024
BRIEF_BODY_BYTES: Final = 64 * 1024
"""What a token or an explanation of an error may take: they need kilobytes."""
LARGE_BODY_BYTES = 3 * 1024 * 1024
"""From here on one body at a time is read: windows aim at answers of less, and 4 of the largest would be 128 MiB."""
LONGEST_TYPE = 100
"""Characters of a media type; it is shown when it is not JSON's."""
_CHUNK_BYTES = 64 * 1024
_CHECK_ADDRESS = "Check source.base_url and the network."
_ASK_FOR_LESS = "Ask for a shorter window or fewer signals."


class HttpTransport:
    """One session, one connection pool. Configuring never connects; the session opens at the first request.

    Redirects are never followed, cookies never kept, proxies and netrc of the environment never used.

    Args:
        base_url: with or without the trailing slash.
        max_connections: the throttle's requests in flight and one for the token.
        timeout_s: for the whole of a request, body included.
        max_body_bytes: of a decompressed body; less of what is no success or answers briefly.
        ca_file: PEM bundle to trust in place of the system's.

    Raises:
        ConfigurationError: ``ca_file`` cannot be used.
    """

    def __init__(
        self,
        base_url: str,
        *,
        max_connections: int = 5,
        timeout_s: float = 30.0,
        max_body_bytes: int = MAX_BODY_BYTES,
        ca_file: str | None = None,
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._max_connections = max_connections
        self._timeout_s = timeout_s
        self._max_body_bytes = max_body_bytes
        self._tls = _tls_context(ca_file)
        self._reading_large = asyncio.Lock()
        self._session: aiohttp.ClientSession | None = None

    async def send(self, request: Request) -> Reply:
        """See ``Transport``."""
        url = f"{self._base_url}/{request.path}"
        failure: SourceError
        try:
            return await self._exchange(url, request)
        except TimeoutError:
            what = f"{url} did not answer within {self._timeout_s:g} s."
            failure = SourceUnreachable(what, _ASK_FOR_LESS, kind=TIMEOUT)
        except aiohttp.ClientPayloadError as exc:
            failure = _broken_body(url, exc)
        except aiohttp.ClientConnectorError as exc:
            # Its text names host and reason only; that of its siblings may hold the request.
            failure = SourceUnreachable(f"{url} cannot be reached: {exc}.", _CHECK_ADDRESS)
        except aiohttp.ClientResponseError:
            failure = SourceUnreachable(f"{url} answered something that is not HTTP.", _CHECK_ADDRESS)
        except (aiohttp.ClientError, OSError) as exc:
            failure = SourceUnreachable(f"{url} cannot be reached: {type(exc).__name__}.", _CHECK_ADDRESS)
        try:
            raise failure
        finally:
            del failure  # which would keep itself alive by its traceback

    async def close(self) -> None:
        """See ``Transport``."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _exchange(self, url: str, request: Request) -> Reply:
        headers = {"Accept": "application/json", "Accept-Encoding": "gzip, deflate"}
        data = None
        if request.body is not None:
            headers["Content-Type"] = request.content_type
            data = request.body.get_secret_value().encode()
        if request.bearer is not None:
            headers["Authorization"] = f"Bearer {request.bearer.get_secret_value()}"
        async with self._opened().request(
            request.method, url, data=data, headers=headers, allow_redirects=False
        ) as response:
            date_ns = parse_http_date(response.headers.get("Date"))
            return Reply(
                url=url,
                status=response.status,
                body=await self._read(url, request, response),
                content_type=response.headers.get("Content-Type", "").partition(";")[0].strip().lower()[:LONGEST_TYPE],
                date_ns=date_ns,
                retry_after_s=parse_retry_after(response.headers.get("Retry-After"), date_ns),
            )

    async def _read(self, url: str, request: Request, response: aiohttp.ClientResponse) -> Body:
        # Chunks arrive decompressed: what counts is what a small body can grow to, not what was sent.
        is_success = 200 <= response.status < 300
        is_brief = request.is_answered_briefly or not is_success
        limit_bytes = min(BRIEF_BODY_BYTES, self._max_body_bytes) if is_brief else self._max_body_bytes
        body = bytearray()
        large: mmap.mmap | None = None
        async with AsyncExitStack() as turn:
            async for chunk in response.content.iter_chunked(_CHUNK_BYTES):
                if large is None and len(body) + len(chunk) > LARGE_BODY_BYTES:
                    await turn.enter_async_context(self._reading_large)
                    large = _room_for(limit_bytes + _CHUNK_BYTES)
                    large.write(body)
                    body.clear()
                if large is None:
                    body += chunk
                else:
                    large.write(chunk)
                if (large.tell() if large is not None else len(body)) > limit_bytes:
                    response.close()
                    body.clear()  # the error's traceback leads here, and may live for a while
                    if large is not None:
                        large.close()
                    if not is_success:  # its status says enough
                        return b""
                    what = f"{url} answered more than {limit_bytes} bytes."
                    raise QueryFailed(what, _ASK_FOR_LESS, status=response.status, kind=OVERSIZE)
        return bytes(body) if large is None else memoryview(large)[: large.tell()]

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self._max_connections, ssl=self._tls),
                timeout=aiohttp.ClientTimeout(total=self._timeout_s),
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
            )
        return self._session


def _room_for(most_bytes: int) -> mmap.mmap:
    """Memory that costs what is written to it, never moves as it grows, and goes back whole; the heap does neither."""
    return mmap.mmap(-1, most_bytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)


def _broken_body(url: str, exc: aiohttp.ClientPayloadError) -> SourceError:
    # A connection that broke halfway is the network's; an encoding that cannot be undone is the answer's.
    if isinstance(exc.__cause__, http_exceptions.ContentEncodingError):
        return QueryFailed(f"{url} answered a body whose encoding is broken.", kind=BROKEN)
    return SourceUnreachable(f"{url} broke off in the middle of its answer.", _CHECK_ADDRESS)


def _tls_context(ca_file: str | None) -> ssl.SSLContext | bool:
    if ca_file is None:
        return True
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as exc:  # ssl.SSLError is one
        raise ConfigurationError([("source.ca_file", f"{ca_file} cannot be used: {exc}")]) from exc
