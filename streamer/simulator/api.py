"""The surface v1 of the simulated API: from a request to an answer, by way of token, limits and faults."""

from __future__ import annotations

from collections.abc import Callable
from email.utils import formatdate

import orjson
from aiohttp import web

from streamer.clock import Clock
from streamer.model import NS_PER_S
from streamer.simulator.answers import databases_answer, latest_answer, measurements_answer, range_answer
from streamer.simulator.credentials import Tokens
from streamer.simulator.questions import Refusal, read_latest_question, read_range_question
from streamer.simulator.scenario import Fault, FaultyAnswers, Kind
from streamer.simulator.world import World

BASE_PATH = "/api/"
MOST_IN_FLIGHT = 4
"""Per credential; there is one."""

_TOKEN = ("POST", "v1/auth/token")
_STATUSES: tuple[tuple[Kind, int, str], ...] = (
    ("status_429", 429, "Too Many Requests"),
    ("status_503", 503, "Service Unavailable"),
    ("status_504", 504, "Gateway Timeout"),
)


class Api:
    """Answers requests.

    Args:
        world: what there is to ask for.
        faults: what goes wrong.
        tokens: who may ask.
        clock: its wall clock is the service's time.
        latency_s: pause before each answer.

    Attributes:
        requests: how many arrived, whatever became of them.
        most_in_flight: most requests with a good token that were in flight at once, the refused ones included.
        crowded: how many were refused because too many were in flight.
    """

    def __init__(
        self, world: World, faults: FaultyAnswers, tokens: Tokens, clock: Clock, *, latency_s: float = 0.0
    ) -> None:
        self._world = world
        self._faults = faults
        self._tokens = tokens
        self._clock = clock
        self._latency_s = latency_s
        self._in_flight = 0
        self.requests = 0
        self.most_in_flight = 0
        self.crowded = 0
        self._operations: dict[tuple[str, str], Callable[[bytes], bytes]] = {
            ("GET", "v1/databases"): lambda body: databases_answer(world),
            ("GET", "v1/measurements"): lambda body: measurements_answer(world),
            ("POST", "v1/query"): self._query,
            ("POST", "v1/query/latest"): self._latest,
        }

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer any request; what is wrong with it is answered as a problem document."""
        self.requests += 1
        body = await request.read()
        database_id = _database_named(body)
        if self._met("outage", database_id):
            if request.transport is not None:
                request.transport.close()
            return web.Response()
        operation = (request.method, request.path.lower().removeprefix(BASE_PATH))
        try:
            if operation == _TOKEN:
                await self._obstruct(None)
                return _json(self._tokens.minted(request.content_type, body, self._clock.wall_ns()))
            answer = await self._answer(operation, request.headers.get("Authorization", ""), body, database_id)
        except Refusal as refusal:
            return _problem(refusal)
        if self._met("broken_body", database_id):
            answer = answer[: len(answer) // 2]
        return _json(answer)

    async def _answer(
        self, operation: tuple[str, str], authorization: str, body: bytes, database_id: int | None
    ) -> bytes:
        self._tokens.check(authorization, self._clock.wall_ns())
        self._in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self._in_flight)
        try:
            if self._in_flight > MOST_IN_FLIGHT:
                self.crowded += 1
                detail = f"At most {MOST_IN_FLIGHT} requests of a credential may be in flight."
                raise Refusal(429, "Too Many Requests", detail, "too_many_requests", retry_after="1")
            await self._obstruct(database_id)
            if operation not in self._operations:
                raise Refusal(404, "Not Found", "There is no such operation.", "unknown_operation")
            return self._operations[operation](body)
        finally:
            self._in_flight -= 1

    async def _obstruct(self, database_id: int | None) -> None:
        slow = self._met("slow", database_id)
        pause_s = self._latency_s + (slow.delay or 0) / NS_PER_S if slow else self._latency_s
        if pause_s:
            await self._clock.sleep(pause_s)
        for kind, status, title in _STATUSES:
            if fault := self._met(kind, database_id):
                retry_after = self._retry_after(fault)
                raise Refusal(status, title, "The scenario has it so.", kind, retry_after)

    def _query(self, body: bytes) -> bytes:
        question, now_ns = read_range_question(body), self._clock.wall_ns()
        missing = self._faults.missing(now_ns, question.database_id, question.indexes)
        return range_answer(self._world, question, now_ns, missing)

    def _latest(self, body: bytes) -> bytes:
        question, now_ns = read_latest_question(body), self._clock.wall_ns()
        missing = self._faults.missing(now_ns, question.database_id, question.indexes)
        return latest_answer(self._world, question, now_ns, missing)

    def _met(self, kind: Kind, database_id: int | None) -> Fault | None:
        return self._faults.met(kind, self._clock.wall_ns(), database_id)

    def _retry_after(self, fault: Fault) -> str | None:
        if fault.retry_after is None:
            return None
        if fault.form == "date":
            return formatdate(-(-(self._clock.wall_ns() + fault.retry_after) // NS_PER_S), usegmt=True)
        return str(-(-fault.retry_after // NS_PER_S))


def _database_named(body: bytes) -> int | None:
    """The database that a query is about, for the faults that are bound to one; None for any other request."""
    try:
        written = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    database_id = written.get("databaseId") if isinstance(written, dict) else None
    return database_id if isinstance(database_id, int) else None


def _json(body: bytes) -> web.Response:
    return web.Response(body=body, content_type="application/json", charset="utf-8")


def _problem(refusal: Refusal) -> web.Response:
    document = {
        "status": refusal.status,
        "title": refusal.title,
        "detail": refusal.detail,
        "code": refusal.code,
    }
    headers = {} if refusal.retry_after is None else {"Retry-After": refusal.retry_after}
    body = orjson.dumps(document)
    return web.Response(
        body=body, status=refusal.status, headers=headers, content_type="application/problem+json", charset="utf-8"
    )
