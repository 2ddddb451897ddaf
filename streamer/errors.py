"""The error tree. Third-party errors are translated into it at the door of the room that meets them.

::

    StreamerError                      what, where, what to do; the exit code of a one-shot command
    ├── ConfigurationError        78   the configuration is wrong; lists every problem with its path
    ├── SourceError
    │   ├── SourceUnreachable     75   no answer, or one that says 'not now' (429, 5xx); retryable
    │   ├── CredentialRefused     77   401 after a fresh token, or the token endpoint refuses
    │   ├── QueryRefused          77   403, 404: not this tenant's; asked again at a slow pace
    │   └── QueryFailed           75   the answer cannot be used: 400, broken body, oversize; not retried unchanged
    ├── BusError
    │   ├── BusUnreachable        75   no broker, or the file cannot be opened; retryable
    │   ├── BusRefused            77   SASL or ACL refused
    │   ├── OutcomeUnknown        75   a commit may or may not have happened: re-acquire, read the ledger again
    │   └── ShardTaken            75   another instance writes this shard now: stop
    ├── StatusUnreachable         75   the daemon's own status server does not answer
    └── LedgerUntrusted           70   the stored ledger cannot be believed; nothing was touched

A bug is not a StreamerError: it travels as what it is.
"""

from __future__ import annotations

EXIT_USAGE = 2
EXIT_INVARIANT = 70
EXIT_UNREACHABLE = 75
EXIT_REFUSED = 77
EXIT_CONFIGURATION = 78

TIMEOUT = "timeout"
OVERSIZE = "oversize"
BROKEN = "broken"
INCOMPLETE = "incomplete"
UNREACHABLE = "unreachable"
"""Kinds of failures that no HTTP status names, see ``SourceError``."""


class StreamerError(Exception):
    """Base of all errors that the program explains to its user.

    Args:
        what: one sentence: what is wrong, where.
        remedy: one sentence: what to do about it.
    """

    exit_code = EXIT_INVARIANT
    is_retryable = False

    def __init__(self, what: str, remedy: str = "") -> None:
        super().__init__(f"{what} {remedy}".strip())
        self.what = what
        self.remedy = remedy


class ConfigurationError(StreamerError):
    """The configuration cannot be used. ``problems`` holds ``(path, what is allowed)`` pairs, all at once."""

    exit_code = EXIT_CONFIGURATION

    def __init__(self, problems: list[tuple[str, str]], remedy: str = "") -> None:
        super().__init__("; ".join(f"{path}: {problem}" for path, problem in problems), remedy)
        self.problems = problems


class SourceError(StreamerError):
    """The API did not give what was asked for.

    Attributes:
        status: the HTTP status, None without one.
        kind: how it failed, so that two failures can be told alike: ``timeout`` (no answer within the limit),
            ``oversize`` (a body larger than allowed), ``broken`` (a body that cannot be read), ``incomplete`` (an
            answer that lacks what shorter ones show), else the status as text, ``unreachable`` without one.
    """

    exit_code = EXIT_UNREACHABLE

    def __init__(self, what: str, remedy: str = "", *, status: int | None = None, kind: str = "") -> None:
        super().__init__(what, remedy)
        self.status = status
        self.kind = kind or (UNREACHABLE if status is None else str(status))


class SourceUnreachable(SourceError):
    """No answer, or one that says 'not now' (429, 5xx). Retry later; ``retry_after_s`` if the service said when."""

    is_retryable = True

    def __init__(
        self,
        what: str,
        remedy: str = "",
        *,
        status: int | None = None,
        kind: str = "",
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(what, remedy, status=status, kind=kind)
        self.retry_after_s = retry_after_s


class CredentialRefused(SourceError):
    """The service refuses the credential. Retry slowly; a person must act."""

    exit_code = EXIT_REFUSED


class QueryRefused(SourceError):
    """403 or 404: the database is not this tenant's. Other groups go on; a person must act."""

    exit_code = EXIT_REFUSED


class QueryFailed(SourceError):
    """The answer cannot be used (400, broken body, oversize). Nothing of it is covered."""


class BusError(StreamerError):
    """The bus did not do what was asked."""

    exit_code = EXIT_UNREACHABLE


class BusUnreachable(BusError):
    """No broker answers, or the file cannot be opened. Retry later."""

    is_retryable = True


class BusStalled(BusUnreachable):
    """The bus answers, and what is asked for does not come: a transaction is open before it."""


class BusRefused(BusError):
    """The broker refuses the credential or a right is missing. A person must act."""

    exit_code = EXIT_REFUSED


class OutcomeUnknown(BusError):
    """A commit failed or its outcome is unknown. Let go of the writer, acquire anew, read the ledger again."""

    is_retryable = True


class ShardTaken(BusError):
    """Another instance writes this shard now. Stop; nothing was lost."""


class StatusUnreachable(StreamerError):
    """The status server of a running daemon does not answer as it should."""

    exit_code = EXIT_UNREACHABLE


class LedgerUntrusted(StreamerError):
    """The stored ledger cannot be believed (gap, digest, unreadable record). Nothing was touched."""
