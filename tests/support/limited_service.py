"""The API at the seam of the transport, with limits and a price: four in flight, a rate, and time for each row.

A sample of each signal in each period, visible a moment later; answers are made when they are asked for, cheaply, so
that hours of many signals can be asked for in a test.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from email.utils import formatdate

import orjson

from streamer.errors import SourceUnreachable
from streamer.model import NS_PER_MS, NS_PER_S, instant_text
from streamer.source.instants import parse_instant
from streamer.source.retry_after import parse_http_date, parse_retry_after
from streamer.source.transport import Reply, Request
from tests.support.virtual_time import VirtualClock

DATABASE = 7
MOST_IN_FLIGHT = 4
VISIBLE_AFTER_NS = 200 * NS_PER_MS
URL = "https://tenant.example/rt-api/api/"


@dataclass
class LimitedService:
    """What the daemon talks to. The one transport of the one process.

    Attributes:
        rate: requests a second, with a burst of as many as a second allows; one more is answered 429.
        request_s: what a request takes; ``row_s`` what each of its rows takes.
        is_up: whether anybody answers.
        statuses: of all queries, in order.
        rows: that were answered.
    """

    clock: VirtualClock
    signals: int
    period_ns: int
    rate: float
    request_s: float
    row_s: float
    is_up: bool = True
    in_flight: int = 0
    statuses: list[int] = field(default_factory=list)
    rows: int = 0
    _tokens: float = 0.0
    _tokens_at_s: float = 0.0

    async def send(self, request: Request) -> Reply:
        if not self.is_up:
            await asyncio.sleep(0.01)
            raise SourceUnreachable("connection refused")
        if request.path == "v1/auth/token":
            return self._reply(200, orjson.dumps({"access_token": "token", "expires_in": 3600}))
        if request.path == "v1/measurements":
            await asyncio.sleep(self.request_s)
            return self._reply(200, self._catalogue())
        assert request.body is not None
        reply = await self._query(request.body.get_secret_value())
        self.statuses.append(reply.status)
        return reply

    async def close(self) -> None:
        pass

    async def _query(self, body: str) -> Reply:
        if self.in_flight >= MOST_IN_FLIGHT or not self._takes_token():
            return self._reply(429, b"{}", retry_after="1")
        self.in_flight += 1
        try:
            asked = orjson.loads(body)
            instants = self._instants(parse_instant(asked["startTime"])[0], parse_instant(asked["endTime"])[0])
            rows = len(instants) * len(asked["measurementIndexes"])
            self.rows += rows
            await asyncio.sleep(self.request_s + rows * self.row_s)
            return self._reply(200, _encoded(instants, asked["measurementIndexes"]))
        finally:
            self.in_flight -= 1

    def _takes_token(self) -> bool:
        now_s = asyncio.get_running_loop().time()
        self._tokens = min(self.rate, self._tokens + (now_s - self._tokens_at_s) * self.rate)
        self._tokens_at_s = now_s
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    def _instants(self, start_ns: int, end_ns: int) -> range:
        end_ns = min(end_ns, self.clock.service_ns() - VISIBLE_AFTER_NS)
        return range(-(-start_ns // self.period_ns) * self.period_ns, end_ns, self.period_ns)

    def _catalogue(self) -> bytes:
        return orjson.dumps([{"databaseId": DATABASE, "index": index} for index in range(1, self.signals + 1)])

    def _reply(self, status: int, body: bytes, retry_after: str | None = None) -> Reply:
        date_ns = parse_http_date(formatdate(self.clock.service_ns() // NS_PER_S, usegmt=True))
        return Reply(URL, status, body, "application/json", date_ns, parse_retry_after(retry_after, date_ns))


def _encoded(instants: Sequence[int], indexes: Sequence[str]) -> bytes:
    at_one_instant = ",".join(f'{{"index":{index},"timestamp":"@","value":{index}.5}}' for index in indexes)
    return f"[{','.join(at_one_instant.replace('@', instant_text(at)) for at in instants)}]".encode()
