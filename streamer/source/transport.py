"""The seam between what is asked and how it travels: one request, one reply.

``HttpTransport`` is the real one; scenarios and tests put a fake in its place.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from pydantic import SecretStr

Body = bytes | memoryview
"""A body as it was read; a large one is never copied."""


@dataclass(frozen=True, slots=True)
class Request:
    """What is sent. ``repr`` shows neither the body, which may hold the secret, nor the bearer.

    Attributes:
        path: below the base URL, without a leading slash.
        bearer: access token, None for the token endpoint itself.
        is_answered_briefly: whether the answer has kilobytes at the most, as a token's has.
    """

    method: str
    path: str
    body: SecretStr | None = None
    content_type: str = "application/json"
    bearer: SecretStr | None = None
    is_answered_briefly: bool = False


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back, whatever its status, read to the end.

    Attributes:
        url: where it was asked, for messages.
        body: decompressed; empty when it was no success and too long to say why.
        content_type: media type without parameters, lower case; empty when the header is absent.
        date_ns: the answer's ``Date``, None without a readable one.
        retry_after_s: what ``Retry-After`` asks for, None without a usable one.
    """

    url: str
    status: int
    body: Body
    content_type: str = "application/json"
    date_ns: int | None = None
    retry_after_s: float | None = None

    @property
    def is_success(self) -> bool:
        """Whether the status is 2xx."""
        return 200 <= self.status < 300

    @property
    def has_json(self) -> bool:
        """Whether the body claims to be JSON; an answer that claims nothing is judged by its body."""
        media_type = self.content_type
        return media_type in ("", "application/json", "text/json") or media_type.endswith("+json")


class Transport(Protocol):
    """Carries requests to the API."""

    async def send(self, request: Request) -> Reply:
        """Send once. Cancellation closes the connection; the service may go on with the request all the same.

        Raises:
            SourceUnreachable: no answer (connection, time limit); retry.
            QueryFailed: the answer is larger than allowed, or its encoding is broken.
        """
        ...

    async def close(self) -> None:
        """Close all connections; idempotent."""
        ...
