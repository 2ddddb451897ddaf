"""One token for all, and no loop around a refused credential."""

from __future__ import annotations

import asyncio
import json
from typing import Literal
from urllib.parse import parse_qs

import pytest
from pydantic import SecretStr

from streamer.errors import ConfigurationError, CredentialRefused, SourceError, SourceUnreachable
from streamer.source.credentials import decode_token
from streamer.source.token import TokenSource
from tests.unit.source.fakes import SECRET, Service, VirtualClock, problem, reply, settle


def source(
    service: Service, clock: VirtualClock, dialect: Literal["auto", "form", "json"] = "auto", secret: str = SECRET
) -> TokenSource:
    return TokenSource(service.transport, "tenant-client", lambda: SecretStr(secret), clock, dialect=dialect)


async def test_a_token_ages_from_when_it_was_asked_for() -> None:
    clock = VirtualClock()
    tokens = source(Service(), clock)
    assert tokens.age_s is None
    token = await tokens.bearer()
    await clock.advance(90)
    assert tokens.age_s == 90
    tokens.invalidate(token)
    assert tokens.age_s is None


async def test_each_token_that_cannot_be_had_is_told_of_once() -> None:
    service, clock, failed = Service(), VirtualClock(), list[SourceError]()
    service.token_script = [reply(None, 503), problem(401, "wrong"), problem(401, "wrong")]
    tokens = TokenSource(service.transport, "me", lambda: SecretStr(SECRET), clock, on_failed=failed.append)
    for _ in range(2):
        with pytest.raises(SourceError):
            await asyncio.gather(tokens.bearer(), tokens.bearer())
    assert [type(error) for error in failed] == [SourceUnreachable, CredentialRefused]


async def test_a_token_that_is_refused_at_once_counts_as_a_failure() -> None:
    failed = list[SourceError]()
    tokens = TokenSource(Service().transport, "me", lambda: SecretStr(SECRET), VirtualClock(), on_failed=failed.append)
    refusal = CredentialRefused("It is refused.", "Look.", status=401)
    await tokens.bearer()
    tokens.refused(refusal)
    assert failed == [refusal]


def dialects(service: Service) -> list[str]:
    return [request.content_type.partition("/")[2] for request in service.transport.mints]


async def test_fifty_callers_share_one_mint() -> None:
    service = Service()
    tokens = source(service, VirtualClock())
    assert set(await asyncio.gather(*(tokens.bearer() for _ in range(50)))) == {"token-1"}
    assert len(service.transport.mints) == 1


async def test_a_cancelled_caller_does_not_take_the_token_from_the_others() -> None:
    service = Service()
    tokens = source(service, VirtualClock())
    first, second = asyncio.create_task(tokens.bearer()), asyncio.create_task(tokens.bearer())
    await asyncio.sleep(0)
    first.cancel()
    assert await second == "token-1"
    assert len(service.transport.mints) == 1


async def test_the_form_dialect_is_rfc_6749() -> None:
    service = Service()
    await source(service, VirtualClock(), "form", "a&b=ü").bearer()
    body = service.transport.mints[0].body
    assert body is not None
    assert parse_qs(body.get_secret_value()) == {
        "grant_type": ["client_credentials"],
        "client_id": ["tenant-client"],
        "client_secret": ["a&b=ü"],
    }


async def test_the_json_dialect_is_that_of_the_first_documentation() -> None:
    service = Service()
    service.token_script = [reply({"accessToken": "old", "expiresIn": 3600})]
    assert await source(service, VirtualClock(), "json").bearer() == "old"
    body = service.transport.mints[0].body
    assert body is not None
    assert json.loads(body.get_secret_value()) == {"clientId": "tenant-client", "clientSecret": SECRET}


@pytest.mark.parametrize("status", [400, 401, 415, 422])
async def test_auto_falls_back_to_json_and_stays_with_it(status: int) -> None:
    service, clock = Service(), VirtualClock()
    service.token_script = [problem(status)]
    tokens = source(service, clock)
    await tokens.bearer()
    tokens.invalidate("token-1")
    assert await tokens.bearer() == "token-2"
    assert dialects(service) == ["x-www-form-urlencoded", "json", "json"]


async def test_auto_stays_with_the_form_when_it_works() -> None:
    service, clock = Service(), VirtualClock()
    tokens = source(service, clock)
    await tokens.bearer()
    tokens.invalidate("token-1")
    await tokens.bearer()
    assert dialects(service) == ["x-www-form-urlencoded"] * 2


async def test_a_token_is_renewed_two_minutes_ahead() -> None:
    service, clock = Service(), VirtualClock()
    tokens = source(service, clock)
    await tokens.bearer()
    await clock.advance(3479)
    assert await tokens.bearer() == "token-1"
    await clock.advance(2)
    assert await tokens.bearer() == "token-2"


async def test_a_short_token_is_renewed_at_half_its_life() -> None:
    service, clock = Service(), VirtualClock()
    service.token_script = [reply({"access_token": "short", "expires_in": 60})]
    tokens = source(service, clock)
    await tokens.bearer()
    await clock.advance(29)
    assert await tokens.bearer() == "short"
    await clock.advance(2)
    assert await tokens.bearer() == "token-1"


@pytest.mark.parametrize(
    ("lifetime", "believed_s"),
    [
        (3600, 3600),
        ("3600", 3600),
        (86_400, 86_400),
        (None, 300),
        (0, 300),
        (-1, 300),
        (86_401, 300),
        ("an hour", 300),
        ("nan", 300),
        (True, 300),
        ([1], 300),
        (10**400, 300),
    ],
)
def test_a_lifetime_that_cannot_be_believed_is_five_minutes(lifetime: object, believed_s: float) -> None:
    if lifetime == 10**400:
        body = b'{"access_token":"t","expires_in":' + b"1" * 400 + b"}"
    else:
        body = json.dumps({"access_token": "t", "expires_in": lifetime}).encode()
    assert decode_token(body).lifetime_s == believed_s


def test_a_missing_lifetime_is_five_minutes() -> None:
    assert decode_token(b'{"accessToken":"t"}').lifetime_s == 300


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"access_token":5}', b'{"access_token":"a\\r\\nX: y"}', b"<p>"])
def test_what_is_not_a_token_is_an_error_that_may_pass(body: bytes) -> None:
    with pytest.raises(SourceUnreachable):
        decode_token(body)


async def test_a_token_that_cannot_be_renewed_is_used_to_its_end() -> None:
    service, clock = Service(), VirtualClock()
    tokens = source(service, clock)
    await tokens.bearer()
    service.token_script = [problem(503), problem(401), problem(401), problem(503)]
    await clock.advance(3500)
    assert await tokens.bearer() == "token-1"
    assert await tokens.bearer() == "token-1"
    assert len(service.transport.mints) == 2
    await clock.advance(15)
    assert await tokens.bearer() == "token-1"
    await clock.advance(86)
    with pytest.raises(SourceUnreachable):
        await tokens.bearer()


async def test_only_the_current_token_can_be_invalidated() -> None:
    service, clock = Service(), VirtualClock()
    tokens = source(service, clock)
    await tokens.bearer()
    tokens.invalidate("token-0")
    assert await tokens.bearer() == "token-1"


async def test_a_refusal_names_the_url_and_what_the_service_says_but_never_the_secret() -> None:
    service = Service()
    service.token_script = [problem(400, "unsupported body"), problem(401, f"client_secret {SECRET} is\nwrong")]
    with pytest.raises(CredentialRefused) as caught:
        await source(service, VirtualClock()).bearer()
    assert caught.value.status == 401
    assert "https://tenant.example/rt-api/api/v1" in str(caught.value)
    assert "client_secret *** is\\nwrong" in str(caught.value)
    assert SECRET not in repr(caught.value)


async def test_a_refused_credential_is_asked_again_slowly_and_ever_more_slowly() -> None:
    service, clock = Service(), VirtualClock()
    service.token_script = [problem(401) for _ in range(100)]
    tokens = source(service, clock, "form")
    for _ in range(600):
        with pytest.raises(CredentialRefused):
            await tokens.bearer()
        await clock.advance(1)
    assert len(service.transport.mints) == 7  # at 0, 5, 15, 35, 75, 155 and 315 s


async def test_a_rotated_secret_is_tried_at_once() -> None:
    service, clock = Service(), VirtualClock()
    secrets = ["old"]
    tokens = TokenSource(service.transport, "c", lambda: SecretStr(secrets[-1]), clock, dialect="form")
    service.token_script = [problem(401)]
    with pytest.raises(CredentialRefused):
        await tokens.bearer()
    secrets.append("new")
    assert await tokens.bearer() == "token-1"
    body = service.transport.mints[-1].body
    assert body is not None
    assert "new" in body.get_secret_value()


async def test_a_secret_that_cannot_be_read_is_a_refused_credential() -> None:
    def unreadable() -> SecretStr:
        raise ConfigurationError([("source.client_secret_file", "/secrets/x cannot be read: No such file")])

    with pytest.raises(CredentialRefused, match="No such file"):
        await TokenSource(Service().transport, "c", unreadable, VirtualClock()).bearer()


async def test_a_token_is_registered_before_anybody_has_it() -> None:
    registered: list[str] = []
    tokens = TokenSource(
        Service().transport, "c", lambda: SecretStr(SECRET), VirtualClock(), on_token=registered.append
    )
    await tokens.bearer()
    assert registered == ["token-1"]


async def test_an_answer_that_says_not_now_is_no_refusal() -> None:
    service = Service()
    service.token_script = [problem(429, retry_after_s=7.0)]
    with pytest.raises(SourceUnreachable) as caught:
        await source(service, VirtualClock()).bearer()
    assert caught.value.retry_after_s == 7.0
    assert len(service.transport.mints) == 1


async def test_closing_stops_a_mint_that_is_on_its_way() -> None:
    service = Service()
    tokens = source(service, VirtualClock())
    caller = asyncio.create_task(tokens.bearer())
    await asyncio.sleep(0)
    await tokens.close()
    await settle()
    assert caller.cancelled()
