"""The API at the seam of the transport: tokens, limits, and answers that go wrong in every way that was ever seen."""

from __future__ import annotations

import asyncio
from email.utils import formatdate
from random import Random
from typing import Any
from urllib.parse import parse_qs

import orjson

from streamer.errors import SourceUnreachable
from streamer.model import NS_PER_S, Value
from streamer.source.instants import instant_text, parse_instant
from streamer.source.retry_after import parse_http_date, parse_retry_after
from streamer.source.transport import Reply, Request
from tests.simulation.kafka import Gate
from tests.simulation.plant import DATABASE, FIRST_NS, RAW, RESAMPLED, Plant
from tests.simulation.swarm import Swarm
from tests.support.virtual_time import VirtualClock

MOST_IN_FLIGHT = 4
MOST_SIGNALS = 20
LONGEST_RAW_NS = 1800 * NS_PER_S
TIMEOUT_S = 30.0
TOKEN_PATH = "v1/auth/token"
ROUNDED_S = 0.001
URL = "https://tenant.example/rt-api/api/"

BROKEN_RULE = "the client broke a rule"
Row = tuple[int, int, Value]


class Violation(AssertionError):
    """The daemon did what it must never do."""


class Service:
    """What all processes talk to."""

    def __init__(self, plant: Plant, clock: VirtualClock, swarm: Swarm, random: Random, skew_ns: int) -> None:
        self.plant = plant
        self.clock = clock
        self.swarm = swarm
        self.random = random
        self.skew_ns = skew_ns
        self.secret = "secret-0"
        self.is_away = False
        self.is_token_service_away = False
        self.silent: dict[int, float] = {}
        self.in_flight = 0
        self.requests = 0
        self.tokens: dict[str, float] = {}
        self.first_whole: dict[int, dict[int, int]] = {}
        """By index and second of the epoch: when an answer that left nothing out first covered all of it."""

    def rotate(self) -> None:
        """Another secret from now on; tokens minted with the old one are revoked."""
        self.secret = f"secret-{self.random.randrange(10**9)}"
        self.tokens.clear()

    def now_ns(self) -> int:
        """True time, in which samples have their instants."""
        return self.clock.service_ns()

    def reply(self, status: int, body: bytes, retry_after: str | None = None) -> Reply:
        date_ns = parse_http_date(formatdate((self.now_ns() + self.skew_ns) // NS_PER_S, usegmt=True))
        kind = "application/json" if status < 300 else "application/problem+json"
        return Reply(URL, status, body, kind, date_ns, parse_retry_after(retry_after, date_ns))

    def problem(self, status: int, retry_after: str | None = None) -> Reply:
        return self.reply(status, orjson.dumps({"status": status, "title": "no", "detail": "not now"}), retry_after)

    def now_s(self) -> float:
        return self.clock.monotonic_ns() / NS_PER_S

    async def answer(self, request: Request) -> Reply:
        """The reply to a request. Raises SourceUnreachable for a connection that breaks."""
        self.requests += 1
        if self.is_away:
            await asyncio.sleep(self.random.choice([0.01, TIMEOUT_S]))
            raise SourceUnreachable("away")
        await asyncio.sleep(self.random.uniform(0.005, 0.05))
        if self.swarm.strikes("dropped"):
            raise SourceUnreachable("dropped")
        if self.swarm.strikes("slow"):
            await asyncio.sleep(self.random.uniform(1, 40))
        assert request.body is not None or request.method == "GET"
        if request.path == TOKEN_PATH:
            return self._token(request)
        return await self._authorised(request)

    def _token(self, request: Request) -> Reply:
        if self.is_token_service_away:
            raise SourceUnreachable("token service away")
        assert request.body is not None
        if request.content_type != "application/x-www-form-urlencoded":
            return self.problem(400)
        if parse_qs(request.body.get_secret_value())["client_secret"] != [self.secret]:
            return self.problem(401)
        token = f"token-{self.random.randrange(10**12)}"
        self.tokens[token] = self.now_s() + 300
        return self.reply(200, orjson.dumps({"access_token": token, "expires_in": 300}))

    async def _authorised(self, request: Request) -> Reply:
        assert request.bearer is not None
        now_s = self.now_s()
        if self.tokens.get(request.bearer.get_secret_value(), 0) < now_s or self.swarm.strikes("status_401"):
            return self.problem(401)
        if self.in_flight >= MOST_IN_FLIGHT:
            raise Violation(f"{self.in_flight + 1} requests in flight")
        self.in_flight += 1
        try:
            await asyncio.sleep(self.random.uniform(0.001, 0.01))
            for status in (403, 500, 504):
                if self.swarm.strikes(f"status_{status}"):
                    return self.problem(status)
            for status in (429, 503):
                if self.swarm.strikes(f"status_{status}"):
                    return self._not_now(status)
            if request.path == "v1/measurements":
                return self.reply(200, self._catalogue())
            assert request.body is not None
            return self._query(orjson.loads(request.body.get_secret_value()))
        finally:
            self.in_flight -= 1

    def _not_now(self, status: int) -> Reply:
        wait_s = self.random.choice([0, 1, 2, 5, 20])
        form = self.random.choice(["none", "seconds", "date", "garbage"])
        date_s = (self.now_ns() + self.skew_ns) // NS_PER_S + wait_s
        forms = {"none": None, "seconds": str(wait_s), "date": formatdate(date_s, usegmt=True), "garbage": "soon"}
        return self.problem(status, forms[form])

    def _catalogue(self) -> bytes:
        return orjson.dumps(
            [
                {"databaseId": DATABASE, "index": index, "tag": f"T/{index}", "firstDataPoint": instant_text(FIRST_NS)}
                for index in (*RAW, *RESAMPLED)
            ]
        )

    def _query(self, body: dict[str, Any]) -> Reply:
        indexes = [int(text) for text in body["measurementIndexes"]]
        start_ns, end_ns = parse_instant(body["startTime"])[0], parse_instant(body["endTime"])[0]
        if not 0 < len(indexes) <= MOST_SIGNALS:
            raise Violation(f"{len(indexes)} signals in one request")
        is_raw = "windowPeriod" not in body
        if is_raw and end_ns - start_ns >= LONGEST_RAW_NS:
            raise Violation(f"a raw range of {(end_ns - start_ns) / NS_PER_S} s")
        if end_ns <= start_ns:
            raise Violation("an empty range")
        now_ns, now_s = self.now_ns(), self.now_s()
        rows: list[Row] = []
        for index in indexes:
            if self.silent.get(index, 0) > now_s or self.swarm.strikes("left_out"):
                continue
            show = self.plant.shown if is_raw else self.plant.sums
            rows += ((index, at_ns, value) for at_ns, value in show(index, start_ns, end_ns, now_ns))
            if is_raw:
                whole = self.first_whole.setdefault(index, {})
                for second in range(-(-start_ns // NS_PER_S), end_ns // NS_PER_S):
                    whole.setdefault(second, now_ns)
        return self._disfigured(rows, start_ns, end_ns)

    def _disfigured(self, rows: list[Row], start_ns: int, end_ns: int) -> Reply:
        written: list[dict[str, Any]] = [
            {"index": index, "timestamp": self._text(at_ns), "value": value} for index, at_ns, value in rows
        ]
        if self.swarm.strikes("shuffled"):
            self.random.shuffle(written)
        if written and self.swarm.strikes("doubled"):
            written.append(self.random.choice(written))
        if written and self.swarm.strikes("out_of_range"):
            stray = dict(self.random.choice(written))
            stray["timestamp"] = self._text(self.random.choice([start_ns - NS_PER_S, end_ns]))
            written.append({**stray, "value": 987654.0})
            written.append({**stray, "index": 999})
        if written and self.swarm.strikes("unreadable_row"):
            at = self.random.randrange(len(written))
            written[at]["value"] = {"no": "number"}
        encoded = orjson.dumps(written)
        if self.swarm.strikes("broken_body"):
            encoded = encoded[: len(encoded) // 2]
        return self.reply(200, encoded)

    def _text(self, at_ns: int) -> str:
        text = instant_text(at_ns)
        return self.random.choice([text, text.removesuffix("Z"), text.replace("Z", "+00:00")])


class Line:
    """The transport of one process."""

    def __init__(self, service: Service, gate: Gate) -> None:
        self._service = service
        self._gate = gate
        self._closed_until_s = 0.0

    async def send(self, request: Request) -> Reply:
        await self._gate.passed()
        if request.path != TOKEN_PATH and self._service.now_s() < self._closed_until_s:
            raise Violation(f"a request {self._closed_until_s - self._service.now_s():.3f} s before Retry-After allows")
        try:
            async with asyncio.timeout(TIMEOUT_S):
                reply = await self._service.answer(request)
        except TimeoutError:
            raise SourceUnreachable("no answer in time") from None
        await self._gate.passed()
        if reply.retry_after_s is not None:
            until_s = self._service.now_s() + reply.retry_after_s - ROUNDED_S
            self._closed_until_s = max(self._closed_until_s, until_s)
        return reply

    async def close(self) -> None:
        pass
