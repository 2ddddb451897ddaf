"""Tokens, in both dialects."""

from __future__ import annotations

import json

import pytest

from streamer.model import NS_PER_S
from streamer.simulator.credentials import Tokens
from streamer.simulator.questions import Refusal

FORM = "application/x-www-form-urlencoded"
RIGHT_FORM = b"grant_type=client_credentials&client_id=plant&client_secret=s%2Bcret"
RIGHT_JSON = b'{"clientId":"plant","clientSecret":"s+cret"}'


def tokens(revoked_at_ns: int | None = None) -> Tokens:
    return Tokens("plant", "s+cret", lambda minted_ns, now_ns: revoked_at_ns is not None and now_ns >= revoked_at_ns)


def status_of(store: Tokens, authorization: str, now_ns: int) -> int:
    try:
        store.check(authorization, now_ns)
    except Refusal as refusal:
        return refusal.status
    return 200


@pytest.mark.parametrize(
    ("content_type", "body", "name", "others"),
    [
        (FORM, RIGHT_FORM, "access_token", {"token_type": "Bearer", "expires_in": 3600}),
        ("application/json", RIGHT_JSON, "accessToken", {"expiresIn": 3600}),
    ],
)
def test_a_token_is_minted_in_the_dialect_of_the_request(
    content_type: str, body: bytes, name: str, others: dict[str, object]
) -> None:
    store = tokens()
    answer = json.loads(store.minted(content_type, body, 0))
    assert status_of(store, f"Bearer {answer.pop(name)}", 0) == 200
    assert answer == others


@pytest.mark.parametrize(
    ("content_type", "body", "status"),
    [
        (FORM, RIGHT_FORM.replace(b"plant", b"other"), 401),
        (FORM, RIGHT_FORM.replace(b"%2B", b"+"), 401),
        (FORM, b"client_id=plant&client_secret=s%2Bcret", 400),
        (FORM, RIGHT_JSON, 400),
        ("application/json", RIGHT_JSON.replace(b"s+", b"s-"), 401),
        ("application/json", b'{"clientId":"plant"}', 401),
        ("application/json", RIGHT_FORM, 400),
        ("application/json", b"[]", 400),
    ],
)
def test_another_credential_is_refused(content_type: str, body: bytes, status: int) -> None:
    with pytest.raises(Refusal) as caught:
        tokens().minted(content_type, body, 0)
    assert caught.value.status == status


@pytest.mark.parametrize("authorization", ["", "Bearer", "Bearer ", "Bearer made-up"])
def test_without_a_token_nobody_passes(authorization: str) -> None:
    assert status_of(tokens(), authorization, 0) == 401


def bearer(store: Tokens) -> str:
    return f"Bearer {json.loads(store.minted('application/json', RIGHT_JSON, 0))['accessToken']}"


def test_a_token_is_no_other_scheme() -> None:
    store = tokens()
    assert status_of(store, bearer(store).replace("Bearer", "Basic"), 0) == 401


def test_a_token_lives_one_hour() -> None:
    store = tokens()
    token = bearer(store)
    assert [status_of(store, token, second * NS_PER_S) for second in (3_599, 3_600)] == [200, 401]


def test_a_revoked_token_is_refused() -> None:
    store = tokens(revoked_at_ns=5)
    token = bearer(store)
    assert [status_of(store, token, at_ns) for at_ns in (4, 5)] == [200, 401]


def test_an_older_token_stays_good_beside_a_newer_one() -> None:
    store = tokens()
    older, newer = bearer(store), bearer(store)
    assert [status_of(store, token, 0) for token in (older, newer)] == [200, 200]
    assert older != newer
