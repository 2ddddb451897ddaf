"""Access tokens of the simulated API, in both dialects."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable
from urllib.parse import parse_qs

import orjson

from streamer.model import NS_PER_S
from streamer.simulator.questions import Refusal

TOKEN_LIFETIME_S = 3600

_FORM = "application/x-www-form-urlencoded"


class Tokens:
    """The tokens that were minted for the one credential.

    Args:
        client_id: the credential's name.
        client_secret: the credential's secret.
        is_revoked: whether a token minted at the first instant is revoked at the second.
    """

    def __init__(self, client_id: str, client_secret: str, is_revoked: Callable[[int, int], bool]) -> None:
        self._client_id = client_id
        self._client_secret = client_secret
        self._is_revoked = is_revoked
        self._minted_ns: dict[str, int] = {}

    def minted(self, content_type: str, body: bytes, now_ns: int) -> bytes:
        """The answer to ``v1/auth/token``, in the dialect of the request.

        Raises:
            Refusal: 400 for a body that cannot be read, 401 for another credential.
        """
        is_form = content_type == _FORM
        client_id, client_secret = _read_form(body) if is_form else _read_json(body)
        if not (_is_same(client_id, self._client_id) and _is_same(client_secret, self._client_secret)):
            raise Refusal(401, "Unauthorized", "The client id or the client secret is wrong.", "invalid_client")
        self._minted_ns = {token: at_ns for token, at_ns in self._minted_ns.items() if self._is_good(at_ns, now_ns)}
        token = secrets.token_urlsafe(32)
        self._minted_ns[token] = now_ns
        if is_form:
            return orjson.dumps({"access_token": token, "token_type": "Bearer", "expires_in": TOKEN_LIFETIME_S})
        return orjson.dumps({"accessToken": token, "expiresIn": TOKEN_LIFETIME_S})

    def check(self, authorization: str, now_ns: int) -> None:
        """Let a request pass that has a good token.

        Args:
            authorization: the request's header, empty without one.
            now_ns: the time of the service.

        Raises:
            Refusal: 401.
        """
        scheme, _, token = authorization.partition(" ")
        minted_ns = self._minted_ns.get(token)
        if scheme.lower() != "bearer" or minted_ns is None or not self._is_good(minted_ns, now_ns):
            raise Refusal(401, "Unauthorized", "The token is missing, expired or revoked.", "invalid_token")

    def _is_good(self, minted_ns: int, now_ns: int) -> bool:
        return now_ns < minted_ns + TOKEN_LIFETIME_S * NS_PER_S and not self._is_revoked(minted_ns, now_ns)


def _read_form(body: bytes) -> tuple[str, str]:
    fields = {key: texts[0] for key, texts in parse_qs(body.decode("utf-8", "replace")).items()}
    if fields.get("grant_type") != "client_credentials":
        raise Refusal(400, "Bad Request", "grant_type must be client_credentials.", "unsupported_grant_type")
    return fields.get("client_id", ""), fields.get("client_secret", "")


def _read_json(body: bytes) -> tuple[str, str]:
    try:
        written = orjson.loads(body)
    except orjson.JSONDecodeError:
        written = None
    if not isinstance(written, dict):
        raise Refusal(400, "Bad Request", "The body is neither a form nor a JSON object.", "malformed_request")
    return str(written.get("clientId", "")), str(written.get("clientSecret", ""))


def _is_same(given: str, right: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "replace"), right.encode())
