"""Faults that go on are said once, then once a minute with their count, and once more when they are over.

The last of them are kept, for whoever shows how the daemon stands.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import structlog

from streamer.clock import Clock
from streamer.model import NS_PER_S
from streamer.redaction import safe_text

REPEATED_AFTER_NS = 60 * NS_PER_S

MOST_CAUSES = 20
"""Causes of one event that are told apart within a minute: one that quotes the API may be another each time."""

FURTHER_CAUSES = "further causes"
MOST_FAULTS = 50
"""Kept at most; the one that was said longest ago goes first."""

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Said:
    """When a cause was last said, and how often it was met since."""

    at_ns: int
    unsaid: int = 0


@dataclass(slots=True)
class Fault:
    """What was complained of, for people: one line each, no secret in it. Instants are of the monotonic clock.

    Attributes:
        times: how often since it began.
        stream: of which, empty when of none or of all.
        ended_ns: None while it goes on, as far as is known: not every fault is told to be over.
    """

    event: str
    cause: str
    remedy: str
    stream: str
    began_ns: int
    last_ns: int
    times: int = 0
    ended_ns: int | None = None


class Complaints:
    """The faults that go on, by event; causes are bounded texts, and only so many are remembered."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._causes: dict[str, dict[str, _Said]] = {}
        self._sufferers: dict[str, set[str]] = {}
        self._faults: OrderedDict[tuple[str, str], Fault] = OrderedDict()

    @property
    def faults(self) -> list[Fault]:
        """The last faults, the newest first."""
        return list(reversed(self._faults.values()))

    def say(self, event: str, cause: str, *, who: str = "", **fields: Any) -> None:
        """Log the fault as a warning, unless the same was said within the last minute: then only count it.

        Args:
            event: what happens, a literal.
            cause: why; each cause is said by itself.
            who: what suffers from it; the fault is over when it is over for all of them.
            fields: more for the log line.
        """
        self._sufferers.setdefault(event, set()).add(who)
        now_ns = self._clock.monotonic_ns()
        causes = self._causes.setdefault(event, {})
        cause = _told_apart(cause, causes, now_ns)
        self._keep(event, cause, fields)
        said = causes.get(cause)
        if said is not None and now_ns - said.at_ns < REPEATED_AFTER_NS:
            said.unsaid += 1
            return
        _log.warning(event, cause=cause, times=1 + (said.unsaid if said else 0), **fields)
        causes[cause] = _Said(now_ns)

    def over(self, event: str, recovered: str, *, who: str = "", **fields: Any) -> None:
        """Take note that the fault is over for ``who``; when nobody suffers any more, log ``recovered`` once."""
        sufferers = self._sufferers.get(event)
        if sufferers is None:
            return
        sufferers.discard(who)
        if not sufferers:
            del self._sufferers[event]
            for fault in self._faults.values():
                if fault.event == event and fault.ended_ns is None:
                    fault.ended_ns = self._clock.monotonic_ns()
            _log.info(recovered, **fields)

    def _keep(self, event: str, cause: str, fields: dict[str, Any]) -> None:
        about, now_ns = (event, cause), self._clock.monotonic_ns()
        fault = self._faults.get(about)
        if fault is None or fault.ended_ns is not None:
            remedy, stream = safe_text(str(fields.get("remedy", ""))), str(fields.get("stream", ""))
            fault = self._faults[about] = Fault(event, safe_text(cause), remedy, stream, now_ns, now_ns)
        fault.times += 1
        fault.last_ns = now_ns
        self._faults.move_to_end(about)
        if len(self._faults) > MOST_FAULTS:
            self._faults.popitem(last=False)


def _told_apart(cause: str, causes: dict[str, _Said], now_ns: int) -> str:
    """The cause itself as long as there is room for it; those that were not met for a minute make room."""
    if cause in causes or len(causes) < MOST_CAUSES:
        return cause
    for old, said in list(causes.items()):
        if old != FURTHER_CAUSES and now_ns - said.at_ns >= REPEATED_AFTER_NS:
            del causes[old]
    return cause if len(causes) < MOST_CAUSES else FURTHER_CAUSES
