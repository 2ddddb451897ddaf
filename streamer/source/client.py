"""The API as the pipeline sees it: a query gives a checked answer or an error that says what to do.

One envelope for all requests: a permit, a token, the request; then again, later, as long as the error says that
later may help. Permits are not held while waiting, and are held for as long as the service works on a request.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import Random

import tenacity
from pydantic import SecretStr

from streamer.clock import Clock, ServiceTime
from streamer.errors import CredentialRefused, QueryFailed, SourceError, SourceUnreachable
from streamer.failpoints import failpoint
from streamer.model import Answer, Lane, Query, Signal
from streamer.source.catalogue_wire import catalogue_request, decode_catalogue
from streamer.source.refusals import refusal
from streamer.source.throttle import Permit, Throttle, jittered_backoff_s
from streamer.source.token import TokenSource
from streamer.source.transport import Reply, Request, Transport
from streamer.source.wire import decode_answer, query_request

MAX_ATTEMPTS = 4


class ApiClient:
    """Asks the API, within the budget of one credential.

    Args:
        transport: carries requests; closed with the client.
        tokens: where the bearer comes from; closed with the client.
        throttle: the budget; told how each request ended.
        service_time: fed with the ``Date`` of every answer to a request of this client.
        clock: waits between attempts, labels answers with the host's time.
        random: jitter of the waits.
        on_request: told of every request that was sent: its status or the name of its error, and its lane.
    """

    def __init__(
        self,
        transport: Transport,
        tokens: TokenSource,
        throttle: Throttle,
        service_time: ServiceTime,
        clock: Clock,
        *,
        random: Random,
        on_request: Callable[[str, Lane], None] = lambda outcome, lane: None,
    ) -> None:
        self._transport = transport
        self._tokens = tokens
        self._throttle = throttle
        self._service_time = service_time
        self._clock = clock
        self._random = random
        self._on_request = on_request
        self._exchanges: set[asyncio.Task[Reply]] = set()

    async def query(self, query: Query) -> Answer:
        """Ask for the samples of a window.

        Raises:
            SourceUnreachable: not now, after several attempts; ask again later, after 504 for less.
            CredentialRefused: a fresh token is refused too; a person must act.
            QueryRefused: not this tenant's database; a person must act.
            QueryFailed: the query or its answer is not usable; ask differently.
        """
        reply = await self._ask(query_request(query), query.lane)
        return decode_answer(reply.body, query, self._clock.wall_ns())

    async def measurements(self) -> list[Signal]:
        """Ask for the catalogue of all databases of the tenant. Raises as ``query``."""
        reply = await self._ask(catalogue_request(), Lane.LIVE)
        return decode_catalogue(reply.body)

    async def close(self) -> None:
        """Stop what is on its way and close the connections; idempotent."""
        for exchange in self._exchanges:
            exchange.cancel()
        await asyncio.gather(*self._exchanges, return_exceptions=True)
        await self._tokens.close()
        await self._transport.close()

    async def _ask(self, request: Request, lane: Lane) -> Reply:
        retrying = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception_type(SourceUnreachable),
            stop=tenacity.stop_after_attempt(MAX_ATTEMPTS),
            wait=self._wait_s,
            sleep=self._clock.sleep,
            reraise=True,
        )
        return await retrying(self._attempt, request, lane)

    def _wait_s(self, state: tenacity.RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        asked_for_s = error.retry_after_s if isinstance(error, SourceUnreachable) else None
        return max(jittered_backoff_s(state.attempt_number, self._random), asked_for_s or 0.0)

    async def _attempt(self, request: Request, lane: Lane) -> Reply:
        """One exchange. It goes on when its caller is cancelled: the service works on it all the same.

        The permit is held until then, so that never more are in flight at the service than it allows.
        """
        permit = await self._throttle.acquire(lane)
        exchange = asyncio.create_task(self._exchange(permit, request, lane))
        self._exchanges.add(exchange)
        exchange.add_done_callback(self._forget)
        return await asyncio.shield(exchange)

    async def _exchange(self, permit: Permit, request: Request, lane: Lane) -> Reply:
        try:
            failpoint("request.permitted")
            reply = await self._authorised(request, lane)
        except SourceUnreachable as exc:
            self._slow_down(permit, exc)
            raise
        else:
            self._throttle.succeeded(permit)
            return reply
        finally:
            self._throttle.release(permit)

    def _slow_down(self, permit: Permit, error: SourceUnreachable) -> None:
        if error.status == 429:
            self._throttle.refused(permit, error.retry_after_s)
        elif error.status == 503:
            self._throttle.overloaded(permit, error.retry_after_s)
        elif error.status in (None, 502):
            self._throttle.lost(permit)
        # any other: the service is there, and this question was too much for it

    def _forget(self, exchange: asyncio.Task[Reply]) -> None:
        self._exchanges.discard(exchange)
        if not exchange.cancelled():
            exchange.exception()  # seen here: its caller may have been cancelled meanwhile

    async def _authorised(self, request: Request, lane: Lane) -> Reply:
        bearer = await self._tokens.bearer()
        reply = await self._send(request, bearer, lane)
        if reply.status == 401:  # expired, revoked, or the wrong host: a fresh token tells which
            self._tokens.invalidate(bearer)
            bearer = await self._tokens.bearer()
            reply = await self._send(request, bearer, lane)
        error = _error_of(reply, bearer)
        if isinstance(error, CredentialRefused):
            self._tokens.refused(error)
        elif error is None:
            self._tokens.accepted()
        if error is not None:
            raise error
        return reply

    async def _send(self, request: Request, bearer: str, lane: Lane) -> Reply:
        sent = Request(request.method, request.path, request.body, request.content_type, SecretStr(bearer))
        await self._throttle.opened()  # it may have closed while the token was minted
        try:
            reply = await self._transport.send(sent)
            failpoint("request.answered")
        except SourceError as exc:
            self._on_request(type(exc).__name__, lane)
            raise
        self._on_request(str(reply.status), lane)
        if reply.date_ns is not None:
            self._service_time.learn(reply.date_ns)
        return reply


def _error_of(reply: Reply, bearer: str) -> SourceError | None:
    if not reply.is_success:
        return refusal(reply, bearer)
    if not reply.has_json:
        what = f"{reply.url} answered {reply.content_type!a} in place of JSON."
        return QueryFailed(what, "Check source.base_url.", status=reply.status)
    return None
