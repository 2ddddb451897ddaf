"""The API at the seam of the transport: tokens, limits, and answers that go wrong in every way that was ever seen."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from dataclasses import dataclass, replace
from email.utils import formatdate
from random import Random
from typing import Any
from urllib.parse import parse_qs

import orjson

from streamer.errors import SourceUnreachable
from streamer.model import NS_PER_S, Interval, Signal, Value, instant_text
from streamer.source.catalogue_wire import decode_catalogue
from streamer.source.instants import parse_instant
from streamer.source.retry_after import parse_http_date, parse_retry_after
from streamer.source.transport import Reply, Request
from tests.simulation.chronicle import SECRET_MARK
from tests.simulation.habits import Habits, Row
from tests.simulation.plant import DATABASE, FIRST_NS, RAW, RESAMPLED, Plant
from tests.simulation.processes import MOST_DRIFT_PPM, Gate
from tests.simulation.shown import About, Shown, Whole
from tests.simulation.swarm import Swarm
from tests.support.virtual_time import VirtualClock

MOST_IN_FLIGHT = 4
MOST_SIGNALS = 20
LONGEST_RAW_NS = 1800 * NS_PER_S
TIMEOUT_S = 30.0
TOKEN_LIFE_S = 300
ROUNDED_S = 0.001
TOKEN_PATH = "v1/auth/token"
NEVER_UNCHANGED = (400, 403, 404)
"""What was answered so is not asked again; whoever plans anew may ask the same."""

asking: ContextVar[object] = ContextVar("asking", default=None)
"""Another object for each question that is planned, however often and by how many tasks it is sent."""

URL = "https://tenant.example/rt-api/api/"


class Violation(AssertionError):
    """The daemon did what it must never do."""


@dataclass(frozen=True, slots=True)
class Told(Reply):
    """A reply that knows more than the daemon looks at, for the oracle.

    Attributes:
        about: what an answer to a query is about.
        closed_s: for how long nothing may be asked.
    """

    about: About | None = None
    closed_s: float = 0.0


class Service:
    """What all processes talk to.

    Args:
        plant: what it knows.
        clock: true time, in which samples have their instants.
        swarm: what goes wrong.
        random: how.
        period_ns: the resample period that is allowed.
        skew_ns: how far its own clock is ahead of true time in the beginning; it drifts as well.
    """

    def __init__(
        self, plant: Plant, clock: VirtualClock, swarm: Swarm, random: Random, *, period_ns: int, skew_ns: int
    ) -> None:
        self.plant = plant
        self.clock = clock
        self.swarm = swarm
        self.random = random
        self.secret = ""
        self.is_away = False
        self.is_token_service_away = False
        self.silent: dict[int, float] = {}
        self.bad: dict[int, tuple[float, int]] = {}
        """By index: until when, and with which status, every request that asks for it is answered."""
        self.habits = Habits(Random(random.random()))
        self.in_flight = 0
        self.requests = 0
        self.tokens: dict[str, float] = {}
        self.shown = Shown()
        self._period_ns = period_ns
        self._skew_ns = skew_ns
        self._drift_ppm = random.uniform(-MOST_DRIFT_PPM, MOST_DRIFT_PPM)
        self.rotate()

    def rotate(self) -> None:
        """Another secret from now on; tokens minted with the old one are revoked."""
        self.secret = f"{SECRET_MARK}/{self.random.randrange(10**9)} +&%"
        self.tokens.clear()

    def now_ns(self) -> int:
        """True time, in which samples have their instants."""
        return self.clock.service_ns()

    def now_s(self) -> float:
        """Seconds since the simulation began."""
        return self.clock.monotonic_ns() / NS_PER_S

    def skew_ns(self) -> int:
        """How far the service's own clock is ahead of true time now."""
        return self._skew_ns + int(self.clock.monotonic_ns() * self._drift_ppm / 1e6)

    def date_s(self) -> int:
        """The service's own time, as its ``Date`` headers say."""
        return (self.now_ns() + self.skew_ns()) // NS_PER_S

    def reply(self, status: int, body: bytes, retry_after: str | None = None, about: About | None = None) -> Told:
        date_ns = None
        if not self.swarm.strikes("no_date"):
            date_ns = parse_http_date(formatdate(self.date_s(), usegmt=True))
        kind = "application/json" if status < 300 else "application/problem+json"
        return Told(URL, status, body, kind, date_ns, parse_retry_after(retry_after, date_ns), about)

    def problem(self, status: int, sent: str, retry_after: str | None = None) -> Told:
        """A refusal; now and then with the secret or token that was sent in its detail."""
        detail = f"not now, not with {sent}" if self.swarm.strikes("secret_echoed") else "not now"
        return self.reply(status, orjson.dumps({"status": status, "title": "no", "detail": detail}), retry_after)

    async def answer(self, request: Request) -> Told:
        """The reply to a request. Raises SourceUnreachable for a connection that breaks."""
        self.requests += 1
        if self.is_away:
            await asyncio.sleep(self.random.choice([0.01, TIMEOUT_S]))
            raise SourceUnreachable("away")
        await asyncio.sleep(self.random.uniform(0.005, 0.05))
        if self.swarm.strikes("dropped"):
            raise SourceUnreachable("dropped")
        before_s, after_s = self._slowness_s()
        await asyncio.sleep(before_s)
        reply = self._token(request) if request.path == TOKEN_PATH else await self._authorised(request)
        await asyncio.sleep(after_s)
        return reply

    def _slowness_s(self) -> tuple[float, float]:
        """How long it thinks before it looks, and how long what it has seen is on its way."""
        if not self.swarm.strikes("slow"):
            return 0.0, 0.0
        seconds = self.random.uniform(1, 40)
        return (seconds, 0.0) if self.random.random() < 0.5 else (0.0, seconds)

    def _token(self, request: Request) -> Told:
        if self.is_token_service_away:
            raise SourceUnreachable("token service away")
        assert request.body is not None
        if request.content_type != "application/x-www-form-urlencoded":
            return self.problem(400, self.secret)
        [sent] = parse_qs(request.body.get_secret_value())["client_secret"]
        if self.swarm.strikes("status_500"):
            return self.problem(500, sent)
        if sent != self.secret:
            return self.problem(401, sent)
        token = f"{SECRET_MARK}-{self.random.randrange(10**12)}"
        self.tokens[token] = self.now_s() + TOKEN_LIFE_S
        return self.reply(200, orjson.dumps({"access_token": token, "expires_in": TOKEN_LIFE_S}))

    async def _authorised(self, request: Request) -> Told:
        assert request.bearer is not None
        bearer = request.bearer.get_secret_value()
        if self.tokens.get(bearer, 0) < self.now_s() or self.swarm.strikes("status_401"):
            return self.problem(401, bearer)
        if self.in_flight >= MOST_IN_FLIGHT:  # of several processes: each keeps to its own four
            return self._not_now(429, bearer)
        self.in_flight += 1
        try:
            await asyncio.sleep(self.random.uniform(0.001, 0.01))
            for status in (403, 500, 504):
                if self.swarm.strikes(f"status_{status}"):
                    return self.problem(status, bearer)
            for status in (429, 503):
                if self.swarm.strikes(f"status_{status}"):
                    return self._not_now(status, bearer)
            if request.path == "v1/measurements":
                return self.reply(200, self._catalogue())
            assert request.body is not None
            return self._query(orjson.loads(request.body.get_secret_value()), bearer)
        finally:
            self.in_flight -= 1

    def _not_now(self, status: int, bearer: str) -> Told:
        wait_s = self.random.choice([0, 1, 2, 5, 20])
        form = self.random.choice(["none", "seconds", "date", "garbage"])
        date = formatdate(self.date_s() + wait_s, usegmt=True)
        forms = {"none": None, "seconds": str(wait_s), "date": date, "garbage": "soon"}
        reply = self.problem(status, bearer, forms[form])
        is_told = form == "seconds" or (form == "date" and reply.date_ns is not None)
        return replace(reply, closed_s=float(wait_s) if is_told else 0.0)

    async def measurements(self) -> list[Signal]:
        """The catalogue, to the operator of a rebuild."""
        return decode_catalogue(self._catalogue())

    def _catalogue(self) -> bytes:
        return orjson.dumps(
            [
                {"databaseId": DATABASE, "index": index, "tag": f"T/{index}", "firstDataPoint": instant_text(FIRST_NS)}
                for index in (*RAW, *RESAMPLED)
            ]
        )

    def _query(self, body: dict[str, Any], bearer: str) -> Told:
        indexes = [int(text) for text in body["measurementIndexes"]]
        asked = Interval(parse_instant(body["startTime"])[0], parse_instant(body["endTime"])[0])
        is_raw = "windowPeriod" not in body
        _check_limits(indexes, asked, is_raw)
        now_ns, now_s = self.now_ns(), self.now_s()
        for index in indexes:
            until_s, status = self.bad.get(index, (0.0, 0))
            if until_s > now_s:
                return self.problem(status, bearer)
        if asked.end_ns - asked.start_ns > self.habits.longest_ns and self.swarm.strikes("too_long"):
            return self.problem(504, bearer)
        rows: list[Row] = []
        whole: Whole = {}
        left_out: list[int] = []
        for index in indexes:
            if self.silent.get(index, 0) > now_s or self.swarm.strikes("left_out"):
                left_out.append(index)
                continue
            if is_raw:
                found = self.plant.shown(index, *asked, now_ns)
            else:
                found = self.plant.sums(index, *asked, self._period_ns, now_ns)
            rows += ((index, at_ns, value) for at_ns, value in found)
            whole[index] = asked
        if is_raw and asked.end_ns - asked.start_ns > self.habits.raw_ns and self.swarm.strikes("silent_aggregation"):
            rows = self.habits.binned(rows)
            whole = {index: part for index, part in whole.items() if not any(row[0] == index for row in rows)}
        if len(rows) > self.habits.cap and self.swarm.strikes("row_cap"):
            rows, whole = self.habits.cut(rows, whole)
        written = [self._row(*row) for row in rows]
        whole = self._disfigured(written, asked, whole)
        encoded = orjson.dumps(written)
        if self.swarm.strikes("broken_body"):
            encoded, indexes, whole = encoded[: len(encoded) // 2], [], {}
        return self.reply(200, encoded, about=About(asked, indexes, whole, left_out, now_ns))

    def _row(self, index: int, at_ns: int, value: Value) -> dict[str, Any]:
        """One number has several forms: 1 and 1.0, 0 and -0."""
        text = instant_text(at_ns)
        text = self.random.choice([text, text.removesuffix("Z"), text.replace("Z", "+00:00")])
        if value is not None and abs(value) < 10 and value == int(value):
            value = self.random.choice([int(value), float(value), float(value) if value else -0.0])
        return {"index": index, "timestamp": text, "value": value}

    def _disfigured(self, written: list[dict[str, Any]], asked: Interval, whole: Whole) -> Whole:
        """Spoil an answer, row by row; what is left of the signals that it shows whole."""
        if self.swarm.strikes("shuffled"):
            self.random.shuffle(written)
        if not written:
            return whole
        if self.swarm.strikes("doubled"):
            written.append(self.random.choice(written))
        if self.swarm.strikes("out_of_range"):
            stray = dict(self.random.choice(written))
            stray["timestamp"] = instant_text(self.random.choice([asked.start_ns - NS_PER_S, asked.end_ns]))
            written.append({**stray, "value": 987654.0})
            written.append({**stray, "index": 999})
        if self.swarm.strikes("unreadable_row"):
            at = self.random.randrange(len(written))
            written[at] = {**written[at], "value": {"no": "number"}}
            return {index: part for index, part in whole.items() if index != written[at]["index"]}
        return whole


def _check_limits(indexes: list[int], asked: Interval, is_raw: bool) -> None:
    if not 0 < len(indexes) <= MOST_SIGNALS:
        raise Violation(f"{len(indexes)} signals in one request")
    if is_raw and asked.end_ns - asked.start_ns >= LONGEST_RAW_NS:
        raise Violation(f"a raw range of {(asked.end_ns - asked.start_ns) / NS_PER_S} s")
    if asked.end_ns <= asked.start_ns:
        raise Violation("an empty range")


class Line:
    """The transport of one process."""

    def __init__(self, service: Service, gate: Gate) -> None:
        self._service = service
        self._gate = gate
        self._in_flight = 0
        self._closed_until_s = 0.0
        self._refused: dict[str, object] = {}

    async def send(self, request: Request) -> Reply:
        early_s = self._closed_until_s - self._service.now_s()  # as a host that sleeps knows it
        await self._gate.passed()
        if request.path == TOKEN_PATH:
            return await self._carried(request)
        if early_s > 0:
            raise Violation(f"a request {early_s:.3f} s before Retry-After allows")
        if self._in_flight >= MOST_IN_FLIGHT:
            raise Violation(f"{self._in_flight + 1} requests of one process in flight")
        question = request.body.get_secret_value() if request.body is not None else ""
        if question and self._refused.pop(question, None) is asking.get():
            raise Violation("a question that was refused is asked again unchanged")
        self._in_flight += 1
        try:
            reply = await self._carried(request)
        finally:
            self._in_flight -= 1
        if reply.about is not None:
            self._service.shown.deliver(reply.about)
        now_s = self._service.now_s()
        if reply.closed_s:
            self._closed_until_s = max(self._closed_until_s, now_s + reply.closed_s - ROUNDED_S)
        if reply.status in NEVER_UNCHANGED and question:
            self._refused[question] = asking.get()
        return reply

    async def _carried(self, request: Request) -> Told:
        try:
            async with asyncio.timeout(TIMEOUT_S):
                reply = await self._service.answer(request)
        except TimeoutError:
            raise SourceUnreachable("no answer in time") from None
        await self._gate.passed()
        return reply

    async def close(self) -> None:
        pass
