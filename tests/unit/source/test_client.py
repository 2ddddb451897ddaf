"""One envelope for all requests: permit, token, request; and again where that may help."""

from __future__ import annotations

import asyncio

import pytest
import structlog.testing

from streamer.errors import CredentialRefused, QueryFailed, QueryRefused, SourceError, SourceUnreachable
from streamer.model import NS_PER_S, Lane
from streamer.source.refusals import detail_of
from streamer.source.throttle import Permit
from streamer.source.transport import Reply, Request
from tests.unit.source.fakes import (
    NOON_NS,
    SECRET,
    FakeTransport,
    Service,
    VirtualClock,
    parts,
    problem,
    query_for,
    reply,
)

UNREACHABLE = SourceUnreachable("no route")


async def test_an_answer_is_decoded_and_labelled() -> None:
    service, clock = Service(), VirtualClock()
    client, *_ = parts(service, clock)
    service.script = [reply([{"index": 1, "timestamp": "2026-01-16T12:00:01Z", "value": 5}])]
    answer = await client.query(query_for(1))
    assert answer.columns[1].values == [5]
    assert answer.received_wall_ns == clock.wall_ns()
    sent = service.transport.queries[0]
    assert sent.bearer is not None
    assert sent.bearer.get_secret_value() == "token-1"


async def test_the_catalogue_is_asked_for_with_the_token() -> None:
    service = Service()
    client, *_ = parts(service, VirtualClock())
    service.script = [reply([{"databaseId": 7, "index": 1}])]
    assert [signal.id.key for signal in await client.measurements()] == ["7:1"]


async def test_a_401_has_one_fresh_token_and_one_more_try() -> None:
    service = Service()
    client, *_ = parts(service, VirtualClock())
    service.script = [problem(401)]
    await client.query(query_for(1))
    assert service.minted == 2
    assert len(service.transport.queries) == 2


async def test_a_fresh_token_that_is_refused_too_is_a_refused_credential_and_no_loop() -> None:
    service, clock = Service(), VirtualClock()
    client, *_ = parts(service, clock)
    service.script = [problem(401, "wrong host") for _ in range(100)]
    with pytest.raises(CredentialRefused, match="wrong host"):
        await client.query(query_for(1))
    for _ in range(4):
        with pytest.raises(CredentialRefused):
            await client.query(query_for(1))
        await clock.advance(1)
    assert len(service.transport.queries) == 2
    assert service.minted == 2


async def test_many_queries_refused_together_share_one_fresh_token() -> None:
    service, clock = Service(), VirtualClock()
    client, *_ = parts(service, clock)
    service.script = [problem(401) for _ in range(4)]

    async def ask_all() -> None:
        await asyncio.gather(*(client.query(query_for(1)) for _ in range(4)))

    await clock.run(ask_all())
    assert service.minted == 2


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
async def test_not_now_is_tried_again_later(status: int) -> None:
    service, clock = Service(), VirtualClock()
    client, *_ = parts(service, clock)
    service.script = [problem(status), problem(status), problem(status)]
    await clock.run(client.query(query_for(1)))
    assert len(service.transport.queries) == 4


async def test_after_four_attempts_the_error_is_the_last_one() -> None:
    service, clock = Service(), VirtualClock()
    client, *_ = parts(service, clock)
    service.script = [problem(504, "historian") for _ in range(9)]
    with pytest.raises(SourceUnreachable, match="historian") as caught:
        await clock.run(client.query(query_for(1)))
    assert caught.value.status == 504
    assert len(service.transport.queries) == 4


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, QueryFailed),
        (413, QueryFailed),
        (422, QueryFailed),
        (302, QueryFailed),
        (403, QueryRefused),
        (404, QueryRefused),
    ],
)
async def test_what_will_not_help_again_is_not_tried_again(status: int, error: type[SourceError]) -> None:
    service = Service()
    client, *_ = parts(service, VirtualClock())
    service.script = [problem(status, "at most 20")]
    with pytest.raises(error) as caught:
        await client.query(query_for(1))
    assert caught.value.status == status
    assert len(service.transport.queries) == 1


async def test_no_answer_is_tried_again_with_the_gate_closed_between() -> None:
    service, clock = Service(), VirtualClock()
    client, _, throttle, _ = parts(service, clock)
    service.script = [UNREACHABLE]
    asking = asyncio.create_task(client.query(query_for(1)))
    await clock.advance(0.1)
    assert not throttle.is_reachable
    assert throttle.held_for_s > 0
    assert throttle.in_flight == 0
    await clock.advance(60)
    await asking
    assert throttle.is_reachable


async def test_a_token_that_cannot_be_had_is_in_the_same_envelope() -> None:
    service, clock = Service(), VirtualClock()
    client, *_ = parts(service, clock)
    service.token_script = [UNREACHABLE, problem(503)]
    await clock.run(client.query(query_for(1)))
    assert len(service.transport.mints) == 3


async def test_retry_after_is_honoured_by_everybody() -> None:
    service, clock = Service(), VirtualClock()
    client, _, throttle, _ = parts(service, clock)
    service.script = [problem(429, retry_after_s=30.0)]
    first = asyncio.create_task(client.query(query_for(1)))
    await clock.advance(1)
    second = asyncio.create_task(client.query(query_for(2, lane=Lane.REPAIR)))
    await clock.advance(28.9)
    assert len(service.transport.queries) == 1
    assert throttle.held_for_s == pytest.approx(0.1)
    await clock.advance(0.3)
    await asyncio.gather(first, second)
    assert len(service.transport.queries) == 3


async def test_four_are_in_flight_among_a_hundred_queries() -> None:
    clock = VirtualClock()
    service = Service()
    flying = most = 0
    answer = service.transport

    async def slow(request: Request) -> Reply:
        nonlocal flying, most
        flying += 1
        most = max(most, flying)
        try:
            await clock.sleep(0.2)
            return await answer.send(request)
        finally:
            flying -= 1

    service.transport = FakeTransport(slow)
    client, *_ = parts(service, clock)

    async def ask_all() -> None:
        await asyncio.gather(*(client.query(query_for(1)) for _ in range(100)))

    await clock.run(ask_all())
    assert most == 4
    assert len(service.transport.queries) == 100


async def test_every_date_teaches_the_services_time() -> None:
    service, clock = Service(), VirtualClock()
    client, _, _, service_time = parts(service, clock)
    assert service_time.now_ns() is None
    service.script = [problem(400, date_ns=NOON_NS)]
    with pytest.raises(QueryFailed):
        await client.query(query_for(1))
    assert service_time.now_ns() == NOON_NS
    service.script = [reply([], date_ns=NOON_NS + 5 * NS_PER_S)]
    await client.query(query_for(1))
    assert service_time.now_ns() == NOON_NS + 5 * NS_PER_S


async def test_an_answer_that_is_not_json_is_a_failed_query() -> None:
    service = Service()
    client, *_ = parts(service, VirtualClock())
    service.script = [reply([], content_type="text/html")]
    with pytest.raises(QueryFailed, match="text/html"):
        await client.query(query_for(1))


@pytest.mark.parametrize("status", [400, 404, 500, 504])
async def test_a_question_that_is_refused_as_such_says_nothing_of_the_budget(status: int) -> None:
    service, clock = Service(), VirtualClock()
    client, _, throttle, _ = parts(service, clock)
    service.script = [problem(429, retry_after_s=1.0), problem(status)]
    asking = asyncio.create_task(client.query(query_for(1)))
    await clock.advance(0.5)
    held_for_s, limit = throttle.held_for_s, throttle.limit
    assert (held_for_s, limit) == (0.5, 2)
    await clock.advance(60)
    await asyncio.gather(asking, return_exceptions=True)
    assert throttle.held_for_s == 0
    assert throttle.limit == limit


async def test_a_cancelled_request_holds_its_permit_until_the_service_is_done_with_it() -> None:
    service, clock = Service(), VirtualClock()
    answer = service.transport

    async def slow(request: Request) -> Reply:
        await clock.sleep(5)
        return await answer.send(request)

    service.transport = FakeTransport(slow)
    client, _, throttle, _ = parts(service, clock)
    asking = [asyncio.create_task(client.query(query_for(1))) for _ in range(6)]
    await clock.advance(1)
    for one in asking:
        one.cancel()
    await asyncio.wait(asking)
    assert throttle.in_flight == 4
    assert sum(throttle.waiting.values()) == 0
    await clock.advance(20)
    assert throttle.in_flight == 0


async def test_closing_ends_what_is_on_its_way_for_nobody() -> None:
    service, clock = Service(), VirtualClock()

    async def never(request: Request) -> Reply:
        await asyncio.Event().wait()
        raise AssertionError

    service.transport = FakeTransport(never)
    client, _, throttle, _ = parts(service, clock)
    asking = asyncio.create_task(client.query(query_for(1)))
    await clock.advance(1)
    asking.cancel()
    await asyncio.wait([asking])
    await client.close()
    assert throttle.in_flight == 0
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_an_outage_is_logged_once_and_so_is_its_end() -> None:
    service, clock = Service(), VirtualClock()
    client, *_ = parts(service, clock)
    service.script = [UNREACHABLE, UNREACHABLE, UNREACHABLE]
    with structlog.testing.capture_logs() as logs:
        await clock.run(client.query(query_for(1)))
    assert [line["event"] for line in logs] == ["source.service_lost", "source.service_recovered"]


async def test_a_refused_credential_is_logged_once_and_so_is_its_end() -> None:
    service, clock = Service(), VirtualClock()
    client, *_ = parts(service, clock)
    service.token_script = [problem(401, SECRET) for _ in range(4)]
    with structlog.testing.capture_logs() as logs:
        for _ in range(20):
            try:
                await client.query(query_for(1))
            except CredentialRefused:
                await clock.advance(1)
    assert [line["event"] for line in logs] == ["source.credential_refused", "source.credential_accepted"]
    assert SECRET not in str(logs)


def test_a_detail_is_one_escaped_line_without_the_secret() -> None:
    said = detail_of(problem(400, "bad\x1b[31m\n" + SECRET + "x" * 1000), SECRET)
    assert said.isascii()
    assert said.isprintable()
    assert SECRET not in said
    assert len(said) == 300


def test_a_body_that_is_no_problem_says_nothing() -> None:
    assert detail_of(Reply("u", 500, b"<html>"), "") == "no detail given"


async def test_closing_closes_the_transport() -> None:
    service = Service()
    client, *_ = parts(service, VirtualClock())
    await client.close()
    await client.close()
    assert service.transport.is_closed


async def test_a_gate_that_closes_while_the_token_is_minted_holds_the_request_too() -> None:
    service, clock = Service(), VirtualClock()
    client, _, throttle, _ = parts(service, clock)
    service.script = [problem(401)]
    service.token_script = [reply({"access_token": "token-0", "expires_in": 3600})]
    asking = asyncio.create_task(client.query(query_for(1)))
    while service.minted == 0:  # noqa: ASYNC110  # the second token, after the 401
        await asyncio.sleep(0)
    throttle.overloaded(Permit(clock.now_ns), 30.0)
    await clock.advance(29.9)
    assert len(service.transport.queries) == 1
    await clock.advance(0.2)
    await asking
    assert len(service.transport.queries) == 2
