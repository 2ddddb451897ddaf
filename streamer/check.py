"""``streamer check``: everything that must be right before ``run``, tried once, each with what to do about it.

Nothing is published and no shard is acquired, so it may run beside a daemon.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from streamer.clock import Clock, ServiceTime
from streamer.config import Settings
from streamer.errors import EXIT_CONFIGURATION, SourceUnreachable, StreamerError
from streamer.model import NS_PER_S, Answer, Group, Query, Signal
from streamer.planner.plan import REVISITS_PER_LIVE
from streamer.roster import Member, Roster, call_roll
from streamer.sizing import Density, density, groups_of, needed_bytes

_T = TypeVar("_T")


class Api(Protocol):
    """The API, as far as a check needs it."""

    async def measurements(self) -> list[Signal]:
        """The catalogue."""
        ...

    async def query(self, query: Query) -> Answer:
        """The answer to one query."""
        ...


class Bus(Protocol):
    """The bus, as far as a check needs it."""

    async def check(self) -> str:
        """Connect and try all rights without acquiring a shard; a sentence on what was found."""
        ...

    def partition_of(self, key: bytes) -> int:
        """The partition of the samples topic that a key belongs to."""
        ...


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was tried. ``exit_code`` is 0 when it is right."""

    subject: str
    detail: str
    remedy: str = ""
    exit_code: int = 0


class Check:
    """One run of all checks. A check whose ground is missing is left out: there is nothing to say about it."""

    def __init__(self, settings: Settings, *, api: Api, bus: Bus, service_time: ServiceTime, clock: Clock) -> None:
        self._settings = settings
        self._api = api
        self._bus = bus
        self._service_time = service_time
        self._clock = clock
        self.findings: list[Finding] = []

    async def run(self) -> list[Finding]:
        """All findings, in the order in which data flows."""
        self._found("configuration", _counted(len(self._settings.streams), "stream"))
        catalogue = await self._try("API, credential, catalogue", self._api.measurements)
        if catalogue is not None:
            self._found("API, credential, catalogue", f"{len(catalogue)} signals at {self._settings.source.base_url}")
            roster = call_roll(self._settings, catalogue)
            self._roll(roster)
            groups = self._groups(roster)
            probe = await self._try("query", lambda: self._probe(groups))
            if probe is not None:
                self._found("query", f"{probe.request_s * 1000:.0f} ms a request, {_rates(probe)}")
                self._budget(groups, probe)
                self._memory(roster, probe)
        found = await self._try(f"bus ({self._settings.bus.kind})", self._bus.check)
        if found is not None:
            self._found(f"bus ({self._settings.bus.kind})", found)
        return self.findings

    def _found(self, subject: str, detail: str, remedy: str = "", exit_code: int = 0) -> None:
        self.findings.append(Finding(subject, detail, remedy, exit_code))

    async def _try(self, subject: str, attempt: Callable[[], Awaitable[_T]]) -> _T | None:
        try:
            return await attempt()
        except StreamerError as exc:
            self._found(subject, exc.what, exc.remedy, exc.exit_code)
            return None

    def _roll(self, roster: Roster) -> None:
        for stream, signal_id in roster.unknown:
            self._found(
                f"stream {stream}",
                f"signal {signal_id.key} is not in the catalogue",
                "Correct it; `streamer signals` lists what there is.",
                EXIT_CONFIGURATION,
            )
        for stream, series in roster.contested:
            self._found(
                f"stream {stream}",
                f"series {series.name} belongs to an earlier stream already",
                "Select it in one stream only.",
                EXIT_CONFIGURATION,
            )
        for configured in self._settings.streams:
            members = sum(member.stream.name == configured.name for member in roster.members)
            if members:
                self._found(f"stream {configured.name}", f"{members} series")
            else:
                self._found(
                    f"stream {configured.name}", "selects no signal", "Correct its selection.", EXIT_CONFIGURATION
                )

    def _groups(self, roster: Roster) -> list[Group]:
        return groups_of(roster.members, self._shard_of)

    def _shard_of(self, member: Member) -> int:
        return self._bus.partition_of(member.signal.id.key.encode()) % self._settings.bus.shards

    async def _probe(self, groups: Sequence[Group]) -> Density:
        now_ns = self._service_time.now_ns()
        if now_ns is None:
            raise SourceUnreachable("The API's answers have no Date header.", "Let it through; no other clock is used.")
        return await density(self._api, groups, now_ns, self._clock)

    def _budget(self, groups: Sequence[Group], probe: Density) -> None:
        """Requests that the streams need a second against what the credential allows."""
        needed = sum(NS_PER_S / group.stream.poll_interval_ns for group in groups) * (1 + REVISITS_PER_LIVE)
        source = self._settings.source
        allowed = source.max_in_flight / max(probe.request_s, 1 / 1000)
        if source.max_rate is not None:
            allowed = min(allowed, source.max_rate)
        detail = f"{needed:.1f} requests/s of {allowed:.1f} that the budget allows"
        if needed <= allowed:
            self._found("request budget", detail)
        else:
            self._found(
                "request budget",
                detail,
                "Poll less often (poll_interval), or ask for more at once (group_size, fewer shards).",
                EXIT_CONFIGURATION,
            )

    def _memory(self, roster: Roster, probe: Density) -> None:
        """What the ledger remembers at most in a steady run: everything up to the last age and its slice."""
        needed = needed_bytes(roster.members, probe.samples_a_second)
        allowed = int(self._settings.bus.ledger_memory)
        detail = f"{needed / 2**20:.1f} MiB of {allowed / 2**20:.0f} MiB (bus.ledger_memory)"
        if needed <= allowed:
            self._found("ledger memory", detail)
        else:
            self._found(
                "ledger memory",
                detail,
                "Raise bus.ledger_memory or shorten lookback.",
                EXIT_CONFIGURATION,
            )


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _rates(probe: Density) -> str:
    rates = (f"{name} {rate:.2g}" for name, rate in probe.samples_a_second.items())
    return f"samples/s a signal: {', '.join(rates)}"
