"""The token on the wire: how it is asked for in both dialects of the API, and how the answer is read."""

from __future__ import annotations

import re
from typing import Literal
from urllib.parse import urlencode

import msgspec
from pydantic import SecretStr

from streamer.errors import SourceUnreachable
from streamer.source.transport import Body, Request

_ENDPOINT = "v1/auth/token"

Dialect = Literal["form", "json"]
"""How the token is asked for: RFC 6749 client credentials, or the JSON of the first documentation."""

SHORT_LIFETIME_S = 300.0
"""Lifetime of a token whose answer names none that can be believed."""
SHORTEST_LIFETIME_S = 10.0
"""A shorter one is not believed: every query would ask for a token first. A token that is refused is renewed anyway."""
LONGEST_LIFETIME_S = 86_400.0

LONGEST_TOKEN = 16_384
"""Characters; no server takes a longer header."""

_OBJECT = msgspec.json.Decoder(dict[str, object])
_BEARER = re.compile(f"[!-~]{{1,{LONGEST_TOKEN}}}")
"""It goes into a header: blanks, line ends and the like are not a token's."""


class Token(msgspec.Struct, frozen=True):
    """An access token and how long it lives, from the moment it was asked for."""

    bearer: SecretStr
    lifetime_s: float


def token_request(dialect: Dialect, client_id: str, secret: SecretStr) -> Request:
    """The request for a token in one of the two dialects."""
    value = secret.get_secret_value()
    if dialect == "json":
        body = msgspec.json.encode({"clientId": client_id, "clientSecret": value}).decode()
        return Request("POST", _ENDPOINT, SecretStr(body), is_answered_briefly=True)
    form = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": value}
    media_type = "application/x-www-form-urlencoded"
    return Request("POST", _ENDPOINT, SecretStr(urlencode(form)), media_type, is_answered_briefly=True)


def decode_token(body: Body) -> Token:
    """Read the answer of the token endpoint, in either dialect.

    Raises:
        SourceUnreachable: the body is not a token's: something else answers there just now.
    """
    try:
        fields = _OBJECT.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        fields = {}
    bearer = fields.get("access_token") or fields.get("accessToken")
    if not isinstance(bearer, str) or not _BEARER.fullmatch(bearer):
        raise SourceUnreachable("The token endpoint answered something that is not a token.", "Check source.base_url.")
    return Token(SecretStr(bearer), _lifetime_s(fields.get("expires_in", fields.get("expiresIn"))))


def _lifetime_s(value: object) -> float:
    try:
        lifetime_s = float(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else 0.0
    except (ValueError, OverflowError):
        return SHORT_LIFETIME_S
    is_believable = SHORTEST_LIFETIME_S <= lifetime_s <= LONGEST_LIFETIME_S
    return lifetime_s if is_believable else SHORT_LIFETIME_S
