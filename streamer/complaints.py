"""Faults that go on are said once, then once a minute with their count, and once more when they are over."""

from __future__ import annotations

from typing import Any

import structlog

from streamer.clock import Clock
from streamer.model import NS_PER_S

REPEATED_AFTER_NS = 60 * NS_PER_S

_log = structlog.get_logger(__name__)


class Complaints:
    """The faults that go on, by event; causes are literals or bounded texts."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._said_at_ns: dict[tuple[str, str], int] = {}
        self._unsaid: dict[tuple[str, str], int] = {}
        self._sufferers: dict[str, set[str]] = {}

    def say(self, event: str, cause: str, *, who: str = "", **fields: Any) -> None:
        """Log the fault as a warning, unless the same was said within the last minute: then only count it.

        Args:
            event: what happens, a literal.
            cause: why; each cause is said by itself.
            who: what suffers from it; the fault is over when it is over for all of them.
            fields: more for the log line.
        """
        self._sufferers.setdefault(event, set()).add(who)
        about = (event, cause)
        now_ns = self._clock.monotonic_ns()
        said_at_ns = self._said_at_ns.get(about)
        self._unsaid[about] = self._unsaid.get(about, 0) + 1
        if said_at_ns is None or now_ns - said_at_ns >= REPEATED_AFTER_NS:
            _log.warning(event, cause=cause, times=self._unsaid.pop(about), **fields)
            self._said_at_ns[about] = now_ns

    def over(self, event: str, recovered: str, *, who: str = "", **fields: Any) -> None:
        """Take note that the fault is over for ``who``; when nobody suffers any more, log ``recovered`` once."""
        sufferers = self._sufferers.get(event)
        if sufferers is None:
            return
        sufferers.discard(who)
        if not sufferers:
            del self._sufferers[event]
            _log.info(recovered, **fields)
