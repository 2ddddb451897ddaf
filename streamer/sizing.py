"""How much memory the ledger needs and has (rule 12): signals times cadence times the last age.

What is remembered is never forgotten to make room: a configuration that cannot fit is refused at the start, and when
the memory is full later, the frontiers stand until revisits and repairs have made it smaller.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from streamer.clock import Clock
from streamer.complaints import Complaints
from streamer.errors import ConfigurationError
from streamer.model import NS_PER_S, Group, Interval, Lane, Place, Query, Stream, align_down
from streamer.pipeline import Source
from streamer.planner.groups import arrange
from streamer.planner.plan import REVISITS_PER_LIVE
from streamer.roster import Member

BYTES_A_SAMPLE = 40
"""Ledger memory of one remembered sample, at most; 16 bytes in columns, the rest is headroom of growing arrays."""

PROBE_NS = 10 * NS_PER_S
"""How much of a raw stream one group is asked for, to learn its density."""

FREED_SHARE = 0.9
"""A memory that was full has room again below this share of its limit."""


@dataclass(slots=True)
class Density:
    """What one query to each stream showed.

    Attributes:
        request_s: the longest that one took.
        samples_a_second: of one series, by stream.
    """

    request_s: float = 0.0
    samples_a_second: dict[str, float] = field(default_factory=dict)


def groups_of(members: Iterable[Member], shard_of: Callable[[Member], int]) -> list[Group]:
    """The groups of all shards, as they are arranged where no ledger knows any."""
    parts: dict[tuple[Stream, int, int], list[Member]] = {}
    for member in members:
        parts.setdefault((member.stream, member.signal.id.database_id, shard_of(member)), []).append(member)
    return [
        group
        for (stream, database_id, shard), part in parts.items()
        for group in arrange(stream, database_id, shard, [member.series for member in part], {})
    ]


async def density(source: Source, groups: Sequence[Group], now_ns: int, clock: Clock) -> Density:
    """What one query to the first group of each stream shows. Raises a SourceError when one has no answer."""
    found = Density()
    firsts = {group.stream.name: group for group in reversed(groups)}
    for name, group in firsts.items():
        span_ns = max(PROBE_NS, 3 * (group.stream.resample_period_ns or 0))
        end_ns = align_down(now_ns - group.stream.settle_ns, group.stream.quantum_ns)
        window = Interval(align_down(end_ns - span_ns, group.stream.quantum_ns), end_ns)
        place = Place(window.start_ns, (window.start_ns,) * len(group.stream.lookback_ns), window.start_ns)
        began_ns = clock.monotonic_ns()
        answer = await source.query(Query(group, Lane.LIVE, group.series, window, now_ns, place))
        found.request_s = max(found.request_s, (clock.monotonic_ns() - began_ns) / NS_PER_S)
        rows = sum(len(column.instants_ns) for column in answer.columns.values())
        span_s = (window.end_ns - window.start_ns) / NS_PER_S
        found.samples_a_second[name] = rows / span_s / len(group.series)
    return found


def needed_bytes(members: Iterable[Member], samples_a_second: Mapping[str, float]) -> int:
    """What the ledger takes at most in a steady run: everything up to the last age and its slice of revisits.

    Args:
        members: all series.
        samples_a_second: of one series, by stream; a resampled one has a sample a period where it is not told.
    """
    samples = 0.0
    for stream in (member.stream for member in members):
        kept_ns = stream.lookback_ns[-1] + len(stream.lookback_ns) * stream.poll_interval_ns / REVISITS_PER_LIVE
        on_grid = NS_PER_S / stream.resample_period_ns if stream.resample_period_ns else 0.0
        samples += samples_a_second.get(stream.name, on_grid) * kept_ns / NS_PER_S
    return int(samples * BYTES_A_SAMPLE)


def refuse_unless_it_fits(needed: int, limit: int) -> None:
    """Raise ConfigurationError with the figures when the ledger cannot fit."""
    if needed > limit:
        raise ConfigurationError(
            [("bus.ledger_memory", f"the streams need {_mib(needed)} for the ledger, {_mib(limit)} are allowed")],
            "Raise bus.ledger_memory or shorten lookback.",
        )


class LedgerMemory:
    """What the ledgers of a process take of what they may.

    Args:
        limit_bytes: ``bus.ledger_memory``.
        complaints: told when it is full.
    """

    def __init__(self, limit_bytes: int, complaints: Complaints) -> None:
        self._limit_bytes = limit_bytes
        self._complaints = complaints
        self._entries: dict[int, int] = {}
        self.is_full = False

    def holds(self, shard: int, entries: int) -> None:
        """A shard's ledger remembers so many samples now."""
        self._entries[shard] = entries
        self._weigh()

    def left(self, shard: int) -> None:
        """A shard's ledger is gone from memory."""
        self._entries.pop(shard, None)
        self._weigh()

    def _weigh(self) -> None:
        entries = sum(self._entries.values())
        taken = entries * BYTES_A_SAMPLE
        self.is_full = taken >= self._limit_bytes * (FREED_SHARE if self.is_full else 1)
        if self.is_full:
            self._complaints.say(
                "ledger.memory_full",
                f"{entries} samples are remembered",
                needed=_mib(taken),
                allowed=_mib(self._limit_bytes),
                remedy="Live reading waits for revisits and repairs. Raise bus.ledger_memory or shorten lookback.",
            )
        else:
            self._complaints.over("ledger.memory_full", "ledger.memory_freed", entries=entries)


def _mib(size: int) -> str:
    return f"{size / 2**20:.1f} MiB"
