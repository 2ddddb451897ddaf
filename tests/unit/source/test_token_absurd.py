"""Token answers that are absurd: each ends in a clear error or a sane lifetime, and none in a loop of requests."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from streamer.errors import CredentialRefused, QueryFailed, SourceError, SourceUnreachable
from streamer.source.credentials import LONGEST_TOKEN, decode_token
from streamer.source.transport import Reply
from tests.unit.source.fakes import URL, Service, VirtualClock, parts, problem, query_for, reply

MINUTES = 10


def raw(body: bytes, status: int = 200, content_type: str = "application/json") -> Reply:
    return Reply(url=f"{URL}/auth/token", status=status, body=body, content_type=content_type)


NO_TOKEN: dict[str, Callable[[], Reply | Exception]] = {
    "html": lambda: raw(b"<html>sign in</html>", content_type="text/html"),
    "empty": lambda: raw(b""),
    "no content": lambda: raw(b"", 204),
    "null": lambda: reply(None),
    "list": lambda: reply(["token"]),
    "number": lambda: reply({"access_token": 5}),
    "blank": lambda: reply({"access_token": ""}),
    "space": lambda: reply({"access_token": "a b"}),
    "line end": lambda: reply({"access_token": "abc\r\nX-Evil: 1"}),
    "not ascii": lambda: reply({"access_token": "töken"}),
    "long": lambda: reply({"access_token": "a" * (LONGEST_TOKEN + 1)}),
    "deep": lambda: raw(b'{"access_token":"a","x":' + b"[" * 20_000 + b"]" * 20_000 + b"}"),
    "not unicode": lambda: raw(b'{"access_token":"\xff"}'),
    "too large": lambda: QueryFailed("answered more than 65536 bytes."),
    "refused": lambda: problem(401),
    "forbidden": lambda: problem(403),
    "away": lambda: problem(503),
    "redirect": lambda: raw(b"", 302),
}


@pytest.mark.parametrize("name", NO_TOKEN)
async def test_an_answer_without_a_token_is_an_error_and_asked_for_ever_more_slowly(name: str) -> None:
    service, clock = Service(), VirtualClock()
    client, *_ = parts(service, clock)
    service.token_script = [NO_TOKEN[name]() for _ in range(2_000)]
    until_ns = clock.now_ns + MINUTES * 60 * 1_000_000_000
    failures = 0
    while clock.now_ns < until_ns:
        with pytest.raises(SourceError) as caught:
            await clock.run(client.query(query_for(1)))
        assert isinstance(caught.value, SourceUnreachable | CredentialRefused)
        assert str(caught.value).isprintable()
        failures += 1
        await clock.advance(1)
    assert failures > 1
    assert len(service.transport.mints) <= 60
    assert service.transport.queries == []
    await client.close()


LIFETIMES: list[object] = [
    None,
    -1,
    0,
    0.001,
    "3600",
    "an hour",
    "",
    10**12,
    1e308,
    "NaN",
    "Infinity",
    True,
    [3600],
    {},
    "9" * 5_000,
]


@pytest.mark.parametrize("lifetime", LIFETIMES, ids=lambda lifetime: repr(lifetime)[:12])
async def test_an_absurd_lifetime_mints_no_more_than_a_short_one(lifetime: object) -> None:
    service, clock = Service(), VirtualClock()
    client, *_ = parts(service, clock)
    token = {"access_token": "token-1"} | ({} if lifetime is None else {"expires_in": lifetime})
    service.token_script = [reply(token) for _ in range(2_000)]
    for _ in range(MINUTES * 60):
        await clock.run(client.query(query_for(1)))
        await clock.advance(1)
    assert len(service.transport.queries) == MINUTES * 60
    assert 1 <= len(service.transport.mints) <= MINUTES * 60 / 150 + 1
    await client.close()


async def test_a_token_that_is_refused_at_once_is_not_minted_in_a_loop() -> None:
    service, clock = Service(), VirtualClock()
    client, *_ = parts(service, clock)
    service.script = [problem(401) for _ in range(2_000)]
    for _ in range(MINUTES * 60):
        with pytest.raises(CredentialRefused):
            await clock.run(client.query(query_for(1)))
        await clock.advance(1)
    assert len(service.transport.mints) <= 20
    await client.close()


def test_a_token_may_be_as_long_as_a_header() -> None:
    body = json.dumps({"access_token": "a" * LONGEST_TOKEN}).encode()
    assert len(decode_token(body).bearer.get_secret_value()) == LONGEST_TOKEN
