"""A clock without waiting, a transport without a network, and queries to ask with."""

from __future__ import annotations

import asyncio
import heapq
import json
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from itertools import count
from random import Random
from typing import Any, TypeVar

from pydantic import SecretStr

from streamer.clock import ServiceTime
from streamer.model import NS_PER_S, Group, Interval, Lane, Place, Query, Series, SignalId, Stream
from streamer.source.client import ApiClient
from streamer.source.throttle import Throttle
from streamer.source.token import TokenSource
from streamer.source.transport import Reply, Request

T = TypeVar("T")

URL = "https://tenant.example/rt-api/api/v1"
SECRET = "s3cret-of-the-tenant"
NOON_NS = 1_768_564_800 * NS_PER_S
"""2026-01-16T12:00:00Z."""
MINUTE = Interval(NOON_NS, NOON_NS + 60 * NS_PER_S)


class VirtualClock:
    """Time passes only in ``advance`` and ``run``."""

    def __init__(self) -> None:
        self.now_ns = 1_000 * NS_PER_S
        self.slept: list[float] = []
        self._order = count()
        self._sleepers: list[tuple[int, int, asyncio.Future[None]]] = []

    def monotonic_ns(self) -> int:
        return self.now_ns

    def wall_ns(self) -> int:
        return NOON_NS + self.now_ns

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self.now_ns + int(seconds * NS_PER_S), next(self._order), woken))
        await woken

    async def advance(self, seconds: float) -> None:
        """Let that much time pass, waking sleepers in order."""
        until_ns = self.now_ns + int(seconds * NS_PER_S)
        await settle()
        while self._sleepers and self._sleepers[0][0] <= until_ns:
            await self._wake_next()
        self.now_ns = until_ns

    async def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Await the work, skipping all waiting."""
        task = asyncio.create_task(work)
        await settle()
        while not task.done():
            assert self._sleepers, "the work waits for something that never comes"
            await self._wake_next()
        return await task

    async def _wake_next(self) -> None:
        at_ns, _, woken = heapq.heappop(self._sleepers)
        if not woken.done():
            self.now_ns = max(self.now_ns, at_ns)
            woken.set_result(None)
        await settle()


async def settle() -> None:
    """Let every task run until it waits."""
    for _ in range(60):
        await asyncio.sleep(0)


class FakeTransport:
    """Answers with what the handler says; keeps what was sent."""

    def __init__(self, handler: Callable[[Request], Awaitable[Reply]]) -> None:
        self._handler = handler
        self.sent: list[Request] = []
        self.is_closed = False

    async def send(self, request: Request) -> Reply:
        self.sent.append(request)
        return await self._handler(request)

    async def close(self) -> None:
        self.is_closed = True

    @property
    def mints(self) -> list[Request]:
        return [request for request in self.sent if request.path == "v1/auth/token"]

    @property
    def queries(self) -> list[Request]:
        return [request for request in self.sent if request.path == "v1/query"]


class Service:
    """A well-behaved API: mints numbered tokens, and answers queries from a script, then with nothing."""

    def __init__(self) -> None:
        self.minted = 0
        self.script: list[Reply | Exception] = []
        self.token_script: list[Reply | Exception] = []
        self.transport = FakeTransport(self._answer)

    async def _answer(self, request: Request) -> Reply:
        is_mint = request.path == "v1/auth/token"
        script = self.token_script if is_mint else self.script
        await asyncio.sleep(0)
        if script:
            answer = script.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer
        if is_mint:
            self.minted += 1
            return reply({"access_token": f"token-{self.minted}", "expires_in": 3600})
        return reply([])


def reply(body: object, status: int = 200, **more: Any) -> Reply:
    """An answer with a JSON body."""
    return Reply(url=f"{URL}/query", status=status, body=json.dumps(body).encode(), **more)


def problem(status: int, detail: str = "no", **more: Any) -> Reply:
    """An answer of application/problem+json."""
    return reply({"status": status, "detail": detail}, status, content_type="application/problem+json", **more)


def query_for(
    *indexes: int,
    window: Interval = MINUTE,
    lane: Lane = Lane.LIVE,
    aggregation: str | None = None,
    resample_period_ns: int | None = None,
) -> Query:
    """A query for signals of database 7."""
    stream = Stream("s", NS_PER_S, 3 * NS_PER_S, (), aggregation=aggregation, resample_period_ns=resample_period_ns)
    series = tuple(Series(SignalId(7, index), aggregation, resample_period_ns) for index in indexes)
    group = Group("g", stream, 0, 7, series)
    return Query(group, lane, series, window, window.end_ns, Place(window.start_ns, (), window.start_ns))


def body_of(rows: Sequence[dict[str, object]]) -> bytes:
    """Rows as the API sends them."""
    return json.dumps(list(rows)).encode()


def parts(
    service: Service, clock: VirtualClock, *, max_in_flight: int = 4, max_rate: float | None = None
) -> tuple[ApiClient, TokenSource, Throttle, ServiceTime]:
    """A client on the service, and what it is made of."""
    tokens = TokenSource(service.transport, "tenant-client", lambda: SecretStr(SECRET), clock)
    throttle = Throttle(clock, Random(1), max_in_flight=max_in_flight, max_rate=max_rate)
    service_time = ServiceTime(clock)
    client = ApiClient(service.transport, tokens, throttle, service_time, clock, random=Random(2))
    return client, tokens, throttle, service_time
