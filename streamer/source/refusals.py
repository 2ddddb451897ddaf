"""What a reply that is not a success means: which error it becomes, and what the service says about it."""

from __future__ import annotations

import msgspec

from streamer.errors import CredentialRefused, QueryFailed, QueryRefused, SourceError, SourceUnreachable
from streamer.source.transport import Reply

_LONGEST_DETAIL = 300


class _Problem(msgspec.Struct):
    detail: object = None
    title: object = None
    error_description: object = None
    error: object = None


_PROBLEM = msgspec.json.Decoder(_Problem)


def detail_of(reply: Reply, secret: str) -> str:
    """What the service says, fit for a message: one line, escaped, cut, and without the secret.

    Args:
        reply: problem+json, or RFC 6749's ``error``; anything else says nothing.
        secret: what was sent and might be echoed: a bearer or a client secret.
    """
    try:
        problem = _PROBLEM.decode(reply.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return "no detail given"
    for said in (problem.detail, problem.error_description, problem.title, problem.error):
        if isinstance(said, str) and said:
            shown = ascii(said.replace(secret, "***") if secret else said)[1:-1]
            return shown[:_LONGEST_DETAIL].rstrip(".")  # it ends a sentence of ours
    return "no detail given"


def not_now(reply: Reply, secret: str) -> SourceUnreachable | None:
    """The error of an answer that says 'not now' (408, 429, 5xx), None for any other."""
    if reply.status not in (408, 429) and reply.status < 500:
        return None
    return SourceUnreachable(
        f"{reply.url} answered {reply.status}: {detail_of(reply, secret)}.",
        status=reply.status,
        retry_after_s=reply.retry_after_s,
    )


def refusal(reply: Reply, secret: str) -> SourceError:
    """The error of an answer to a query that is not a success."""
    what = f"{reply.url} answered {reply.status}: {detail_of(reply, secret)}."
    busy = not_now(reply, secret)
    if busy is not None:
        return busy
    if reply.status == 401:
        return CredentialRefused(what, "Check the credential and that source.base_url is its tenant's.", status=401)
    if reply.status in (403, 404):
        return QueryRefused(what, "Check database_id and source.base_url.", status=reply.status)
    if 300 <= reply.status < 400:
        return QueryFailed(
            f"{reply.url} redirects; no redirect is followed.", "Check source.base_url.", status=reply.status
        )
    return QueryFailed(what, status=reply.status)
