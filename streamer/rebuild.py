"""``streamer rebuild``: the ledgers made anew from the events that were published.

Each shard is fenced first, so that nothing is published behind its back; then its events are read, and its state is
replaced. Until the last transaction of a shard nothing believes its state, so that a rebuild that was interrupted is
simply begun again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Protocol

from streamer.config import Settings, StreamSettings
from streamer.errors import ConfigurationError, LedgerUntrusted
from streamer.ledger.ledger import Ledger
from streamer.ledger.rebuild import Rebuilding, Scope, transactions
from streamer.model import Group, Hole, Signal, instant_text
from streamer.pipeline import Writer
from streamer.planner.groups import arrange
from streamer.planner.plan import AHEAD_NS, REVISITS_PER_LIVE
from streamer.published import Readable, Told, read_told, refuse_lost_state, runs_of
from streamer.roster import Member, call_roll
from streamer.sizing import BYTES_A_SAMPLE

SHOWN_SERIES = 3
"""Series that are named where many are meant."""

Progress = Callable[[int, int], None]
"""Told a shard, and how many of its events were read."""


class Api(Protocol):
    """The API: its catalogue says what is configured."""

    async def measurements(self) -> list[Signal]:
        """The catalogue."""
        ...


class Bus(Readable, Protocol):
    """Where events and ledgers are."""

    async def acquire(self, shard: int) -> Writer:
        """Become the one writer of a shard."""
        ...

    @property
    def partitions(self) -> int:
        """Of the samples topic."""
        ...

    def partition_of(self, key: bytes) -> int:
        """The partition of the samples topic that a key belongs to."""
        ...

    async def lacks_oldest(self, shard: int) -> bool:
        """Whether the oldest events of a shard are gone."""
        ...


@dataclass(slots=True)
class Rebuilt:
    """A stream whose ledgers were made anew, over all shards of which they were.

    Attributes:
        parked: series of its events that are configured no more.
        samples: how many are remembered.
        since: from here on all is asked for again and compared; of the series where that is earliest.
        frontier: from here on queries go on as if nothing had been; of the group that is furthest behind.
        holes: intervals that are not covered: one of each series is what is asked for again.
        repeated: events whose revision had been published before: doubles that were there already.
    """

    stream: str
    series: int = 0
    parked: int = 0
    samples: int = 0
    since: str | None = None
    frontier: str | None = None
    holes: int = 0
    repeated: int = 0


class Rebuild:
    """One call of the command, on an open bus.

    Args:
        settings: what is configured, and was when the ledger was lost.
        bus: open.
        api: for its catalogue.
        owner: in whose name the ledgers are signed.
        since_ns: everything before counts as settled; None to find out.
        progress: told now and then.
    """

    def __init__(
        self, settings: Settings, *, bus: Bus, api: Api, owner: str, since_ns: int | None, progress: Progress
    ) -> None:
        self._settings = settings
        self._shards = settings.bus.shards
        self._bus = bus
        self._api = api
        self._owner = owner
        self._since_ns = since_ns
        self._progress = progress
        self._room_samples = int(settings.bus.ledger_memory) // BYTES_A_SAMPLE

    async def doubts(self) -> dict[int, str]:
        """By shard, why its state cannot be believed; the others need no rebuild.

        Whoever reads a state becomes its writer first: that ends what a broker has forgotten to end.
        """
        found: dict[int, str] = {}
        for shard in range(self._shards):
            writer = await self._bus.acquire(shard)
            try:
                records = await writer.restore()
            finally:
                await writer.close()
            try:
                Ledger.restore(
                    records, shard=shard, shards=self._shards, partitions=self._bus.partitions, owner=self._owner
                )
                if not records:
                    await refuse_lost_state(self._bus, shard)
            except LedgerUntrusted as exc:
                found[shard] = exc.what
        return found

    async def run(self, shards: Iterable[int]) -> list[Rebuilt]:
        """Make the ledgers of shards anew; one summary a stream.

        Raises:
            ConfigurationError: it takes more memory than there is, or the topic has lost events that may be needed;
                nothing of that shard was changed.
            LedgerUntrusted: an event cannot be read; nothing of that shard was changed.
        """
        members = call_roll(self._settings, await self._api.measurements()).members
        told = {} if self._since_ns is not None else await read_told(self._bus)
        summary: dict[str, Rebuilt] = {}
        for shard in shards:
            writer = await self._bus.acquire(shard)
            try:
                old = await writer.restore()
                rebuilding = await self._read(shard, [one for one in members if self._shard_of(one) == shard], told)
                ledger = rebuilding.ledger(
                    shard=shard, shards=self._shards, partitions=self._bus.partitions, owner=self._owner
                )
                for changes in transactions(list(old), ledger.changes()):
                    await writer.commit([], changes)
            finally:
                await writer.close()
            self._room_samples -= rebuilding.samples
            _sum_up(summary, rebuilding, ledger)
        return [summary[stream] for stream in sorted(summary)]

    def _shard_of(self, member: Member) -> int:
        return self._bus.partition_of(member.signal.id.key.encode()) % self._shards

    async def _read(self, shard: int, members: Sequence[Member], told: Mapping[tuple[str, int], Told]) -> Rebuilding:
        streams = self._settings.streams
        rebuilding = Rebuilding(
            _arranged(shard, members),
            {member.series: self._scope(member, told.get((member.stream.name, shard))) for member in members},
            {stream: one.frontier_ns for (stream, of), one in told.items() if of == shard},
            parked_ages_ns=max((stream.lookback for stream in streams), key=lambda ages_ns: ages_ns[-1]),
            parked_span_ns=max(_unsettled_ns(stream) for stream in streams),
            most_samples=self._room_samples,
        )
        events = 0
        async with aclosing(self._bus.read("samples", last=None, follow=False, shard=shard)) as records:
            async for published in runs_of(records, self._bus.partition_of):
                rebuilding.take(published)
                events += len(published.instants_ns)
                self._progress(shard, events)
        if not rebuilding.fits:
            raise self._too_large(shard, rebuilding.samples)
        if await self._bus.lacks_oldest(shard):
            self._check_certain(shard, rebuilding)
        return rebuilding

    def _scope(self, member: Member, told: Told | None) -> Scope:
        stream, start = member.stream, member.settings.start
        margin_ns = stream.overlap_ns + AHEAD_NS + stream.quantum_ns
        if self._since_ns is not None:
            return Scope(since_ns=self._since_ns, margin_ns=margin_ns)
        if told is not None:
            holes = (Hole(member.series, *hole) for signal_id, hole in told.holes if signal_id == member.signal.id)
            return Scope(since_ns=told.settled_ns, margin_ns=margin_ns, holes=tuple(holes))
        start_ns = member.signal.first_instant_ns if start.kind == "earliest" else None
        if start.kind == "at":
            start_ns = start.ns
        return Scope(start_ns=start_ns, age_ns=stream.lookback_ns[-1], margin_ns=margin_ns)

    def _too_large(self, shard: int, samples: int) -> ConfigurationError:
        needed, room = samples * BYTES_A_SAMPLE / 2**20, self._room_samples * BYTES_A_SAMPLE / 2**20
        problem = (
            f"shard {shard} has {samples:,} samples that an answer may be compared with: "
            f"{needed:.1f} MiB, and {room:.1f} MiB of it are left"
        )
        return ConfigurationError(
            [("bus.ledger_memory", problem)],
            "Nothing of this shard was changed. Raise it for the rebuild, or say with --since before which instant "
            "nothing is to be asked for again: what is not published before it stays so.",
        )

    def _check_certain(self, shard: int, rebuilding: Rebuilding) -> None:
        """Refuse when an event that is gone may be of a sample that is to be asked for again."""
        uncertain = rebuilding.uncertain()
        if self._since_ns is not None:  # of series without any event left the operator knows
            uncertain = {series: at_ns for series, at_ns in uncertain.items() if at_ns is not None}
        if not uncertain:
            return
        names = ", ".join(series.name for series in list(uncertain)[:SHOWN_SERIES])
        certain_ns = max((at_ns for at_ns in uncertain.values() if at_ns is not None), default=None)
        advice = "an instant before which all is published" if certain_ns is None else instant_text(certain_ns)
        problem = (
            f"the oldest events of shard {shard} are gone from the samples topic, and of {len(uncertain)} series "
            f"({names}{', …' if len(uncertain) > SHOWN_SERIES else ''}) some of them may be asked for again and doubled"
        )
        raise ConfigurationError(
            [("--since", problem)],
            f"Nothing of this shard was changed. Say --since {advice}: nothing before it is asked for again, "
            "and what is not published before it stays so.",
        )


def _arranged(shard: int, members: Sequence[Member]) -> list[Group]:
    """The groups of a shard as if none had been before; ``run`` keeps them."""
    parts: dict[object, list[Member]] = {}
    for member in members:
        parts.setdefault((member.stream, member.signal.id.database_id), []).append(member)
    return [
        group
        for part in parts.values()
        for group in arrange(
            part[0].stream, part[0].signal.id.database_id, shard, [member.series for member in part], {}
        )
    ]


def _unsettled_ns(stream: StreamSettings) -> int:
    """How far behind the newest sample of a stream all is settled in a steady run."""
    slice_ns = int(len(stream.lookback) * stream.poll_interval / REVISITS_PER_LIVE)
    return stream.lookback[-1] + stream.overlap + slice_ns


def _sum_up(summary: dict[str, Rebuilt], rebuilding: Rebuilding, ledger: Ledger) -> None:
    for trace in rebuilding.traces.values():
        one = summary.setdefault(trace.stream, Rebuilt(trace.stream))
        one.series += 1
        one.samples += len(trace.memory)
        one.repeated += trace.repeated
        if trace.since_ns is not None:
            one.since = min(filter(None, (one.since, instant_text(trace.since_ns))))
    for trace in rebuilding.parked.values():
        one = summary.setdefault(trace.stream, Rebuilt(trace.stream))
        one.parked += 1
        one.samples += len(trace.memory)
        one.repeated += trace.repeated
    for group in rebuilding.groups:
        if group.id in ledger.members():
            one = summary[group.stream.name]
            one.holes += len(ledger.holes(group.id))
            one.frontier = min(filter(None, (one.frontier, instant_text(ledger.place(group.id).frontier_ns))))
