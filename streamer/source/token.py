"""The access token: minted once for any number of callers, renewed ahead of its expiry, dropped on a 401.

Called by ``client`` only. Never logs, raises or shows the secret or a token.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import structlog
from pydantic import SecretStr

from streamer.clock import Clock
from streamer.errors import ConfigurationError, CredentialRefused, QueryFailed, SourceError, SourceUnreachable
from streamer.failpoints import failpoint
from streamer.model import NS_PER_S
from streamer.source.credentials import Dialect, Token, decode_token, token_request
from streamer.source.refusals import detail_of, not_now
from streamer.source.transport import Reply, Transport

_log = structlog.get_logger(__name__)

RENEW_AHEAD_S = 120.0
"""As the vendor's client does; a token that lives shorter than twice that is renewed at half its life."""
RENEW_AGAIN_S = 10.0
"""Pause after a renewal that failed while the old token is still good."""
FIRST_PAUSE_S = 5.0
LONGEST_PAUSE_S = 300.0
"""After a refused credential nobody asks again for this long, doubling: a person must act first."""

_OTHER_DIALECT = frozenset({400, 401, 403, 415, 422})


@dataclass(slots=True)
class _Held:
    bearer: SecretStr
    asked_at_ns: int
    renew_at_ns: int
    expires_at_ns: int


class TokenSource:
    """Hands out the one valid token. At most one request for a token is on its way at any time.

    Args:
        transport: carries the request; its errors pass through.
        client_id: names the credential.
        read_secret: called at each mint, so that a rotated secret is used without a restart.
        clock: its monotonic reading times the token's life.
        dialect: how the token is asked for; ``auto`` tries the form, then JSON, and stays with what worked.
        on_token: called with each new token before anybody has it, for redaction.
        on_failed: told of each token that could not be had, or was refused as soon as it was.
    """

    def __init__(
        self,
        transport: Transport,
        client_id: str,
        read_secret: Callable[[], SecretStr],
        clock: Clock,
        *,
        dialect: Literal["auto"] | Dialect = "auto",
        on_token: Callable[[str], None] = lambda token: None,
        on_failed: Callable[[SourceError], None] = lambda error: None,
    ) -> None:
        self._transport = transport
        self._client_id = client_id
        self._read_secret = read_secret
        self._clock = clock
        self._configured: tuple[Dialect, ...] = ("form", "json") if dialect == "auto" else (dialect,)
        self._working: Dialect | None = None
        self._on_token = on_token
        self._on_failed = on_failed
        self._held: _Held | None = None
        self._minting: asyncio.Task[_Held] | None = None
        self._refusal: CredentialRefused | None = None
        self._asked_with: SecretStr | None = None
        self._asks_again_at_ns = 0
        self._pause_s = FIRST_PAUSE_S

    @property
    def age_s(self) -> float | None:
        """How long ago the token was asked for; None without one."""
        held = self._held
        return None if held is None else (self._clock.monotonic_ns() - held.asked_at_ns) / NS_PER_S

    async def bearer(self) -> str:
        """The token to send. Cancelling one caller does not take the token from the others.

        Raises:
            CredentialRefused: the service refuses the credential, or refused it a moment ago.
            SourceUnreachable: no answer, one that says 'not now', or one that is not a token's; retry.
        """
        held, now_ns = self._held, self._clock.monotonic_ns()
        if held is not None and now_ns < held.renew_at_ns:
            return held.bearer.get_secret_value()
        try:
            self._check_refusal(now_ns)
            return (await self._mint_once()).bearer.get_secret_value()
        except SourceError:
            held, now_ns = self._held, self._clock.monotonic_ns()
            if held is None or now_ns >= held.expires_at_ns:
                raise
            held.renew_at_ns = now_ns + int(RENEW_AGAIN_S * NS_PER_S)
            return held.bearer.get_secret_value()

    def invalidate(self, token: str) -> None:
        """Drop a token that the service answered with 401, unless a newer one has taken its place."""
        if self._held is not None and self._held.bearer.get_secret_value() == token:
            self._held = None

    def refused(self, refusal: CredentialRefused) -> None:
        """Note that a token just minted was refused: for a while ``bearer`` raises instead of asking again."""
        self._held = None
        self._on_failed(refusal)
        self._pause(refusal)

    def accepted(self) -> None:
        """Note that the service took the token."""
        if self._refusal is not None:
            _log.info("source.credential_accepted")
            self._refusal = None
            self._pause_s = FIRST_PAUSE_S

    async def close(self) -> None:
        """Stop a request for a token that is still on its way."""
        if self._minting is not None:
            self._minting.cancel()
            await asyncio.wait([self._minting])

    def _check_refusal(self, now_ns: int) -> None:
        refusal = self._refusal
        if refusal is None or now_ns >= self._asks_again_at_ns:
            return
        if self._asked_with == self._secret():
            raise CredentialRefused(refusal.what, refusal.remedy, status=refusal.status)

    async def _mint_once(self) -> _Held:
        if self._minting is None:
            self._minting = asyncio.create_task(self._mint())
            self._minting.add_done_callback(self._forget_mint)
        return await asyncio.shield(self._minting)

    def _forget_mint(self, mint: asyncio.Task[_Held]) -> None:
        self._minting = None
        if not mint.cancelled():
            mint.exception()  # seen here: every caller may have been cancelled meanwhile

    async def _mint(self) -> _Held:
        try:
            return await self._minted()
        except SourceError as exc:
            self._on_failed(exc)
            raise

    async def _minted(self) -> _Held:
        secret = self._secret()
        self._asked_with = secret
        asked_at_ns = self._clock.monotonic_ns()
        token = decode_token((await self._accepted_reply(secret)).body)
        self._on_token(token.bearer.get_secret_value())
        failpoint("token.minted")
        self._held = _held(token, asked_at_ns)
        return self._held

    async def _accepted_reply(self, secret: SecretStr) -> Reply:
        refused: list[Reply] = []
        for dialect in (self._working,) if self._working else self._configured:
            reply = await self._reply(dialect, secret)
            if reply.is_success:
                self._working = dialect
                return reply
            busy = not_now(reply, secret.get_secret_value())
            if busy is not None:
                raise busy
            refused.append(reply)
            if reply.status not in _OTHER_DIALECT:
                break
        self._working = None
        # Of two refusals the one that speaks of the credential tells more than the one of the dialect.
        telling = min(refused, key=lambda reply: reply.status not in (401, 403))
        refusal = _refusal(telling, secret)
        self._pause(refusal)
        raise refusal

    async def _reply(self, dialect: Dialect, secret: SecretStr) -> Reply:
        try:
            return await self._transport.send(token_request(dialect, self._client_id, secret))
        except QueryFailed as exc:  # too large, or broken: whatever answers there now is not the token endpoint
            raise SourceUnreachable(exc.what, "Check source.base_url.") from exc

    def _pause(self, refusal: CredentialRefused) -> None:
        now_ns = self._clock.monotonic_ns()
        if self._refusal is None:
            _log.error("source.credential_refused", status=refusal.status, reason=refusal.what)
        elif now_ns < self._asks_again_at_ns:  # queries that were on their way together are refused together
            return
        self._refusal = refusal
        self._asks_again_at_ns = now_ns + int(self._pause_s * NS_PER_S)
        self._pause_s = min(self._pause_s * 2, LONGEST_PAUSE_S)

    def _secret(self) -> SecretStr:
        try:
            return self._read_secret()
        except ConfigurationError as exc:
            [(path, problem)] = exc.problems
            raise CredentialRefused(f"The client secret cannot be read: {path} {problem}.", "Check the file.") from exc


def _held(token: Token, asked_at_ns: int) -> _Held:
    ahead_s = min(RENEW_AHEAD_S, token.lifetime_s / 2)
    return _Held(
        bearer=token.bearer,
        asked_at_ns=asked_at_ns,
        renew_at_ns=asked_at_ns + int((token.lifetime_s - ahead_s) * NS_PER_S),
        expires_at_ns=asked_at_ns + int(token.lifetime_s * NS_PER_S),
    )


def _refusal(reply: Reply, secret: SecretStr) -> CredentialRefused:
    what = f"{reply.url} answered {reply.status}: {detail_of(reply, secret.get_secret_value())}."
    return CredentialRefused(what, "Check client_id, the secret, and source.base_url.", status=reply.status)
