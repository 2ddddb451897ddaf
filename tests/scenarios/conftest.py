"""The whole daemon on fakes at its seams, under virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from random import Random
from typing import Any

import msgspec

from streamer.clock import ServiceTime
from streamer.config import Settings
from streamer.daemon import Daemon
from streamer.metrics import Metrics
from streamer.model import NS_PER_S
from tests.support.memory_bus import MemoryBus
from tests.support.plant import DATABASE, Plant
from tests.support.virtual_time import EPOCH_NS, VirtualClock


class Event(msgspec.Struct):
    """An event as a consumer reads it."""

    index: int
    timestamp: str
    value: float | None
    revision: int
    late: bool
    stream: str


@dataclass
class Site:
    """A plant, a bus, and daemons that come and go."""

    clock: VirtualClock = field(default_factory=VirtualClock)
    bus: MemoryBus = field(default_factory=MemoryBus)
    seed: int = 0
    stream: dict[str, Any] = field(default_factory=dict)
    shards: int = 4
    bus_settings: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.service_time = ServiceTime(self.clock)
        self.plant = Plant(self.clock, self.service_time)
        self.metrics = Metrics()

    def settings(self) -> Settings:
        stream = {"name": "all", "database_id": DATABASE, "all": True, **self.stream}
        return Settings.model_validate(
            {
                "source": {"client_id": "id", "client_secret": "secret"},
                "streams": [stream],
                "bus": {"shards": self.shards, **self.bus_settings},
            }
        )

    def daemon(self, on_share: Callable[[float], None] = lambda share: None) -> Daemon:
        self.seed += 1
        return Daemon(
            self.settings(),
            api=self.plant,
            bus=self.bus,
            service_time=self.service_time,
            clock=self.clock,
            metrics=self.metrics,
            random=Random(self.seed),
            on_share=on_share,
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Daemon]:
        """A daemon that is drained at the end."""
        daemon = self.daemon()
        task = asyncio.create_task(daemon.run())
        try:
            yield daemon
        finally:
            daemon.stop()
            await task

    async def crash_after(self, seconds: float) -> None:
        """A daemon that is killed in the middle of whatever it does then."""
        task = asyncio.create_task(self.daemon().run())
        await asyncio.sleep(seconds)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    def events(self) -> list[Event]:
        return [msgspec.json.decode(value, type=Event) for records in self.bus.records for value in records.values]

    def faults(self, until_ns: int) -> list[str]:
        """What the committed events get wrong, from the first sample seen of each signal up to an instant."""
        found: list[str] = []
        revisions: dict[tuple[int, int], list[Event]] = {}
        for records in self.bus.records:
            for value, instant_ns in zip(records.values, records.timestamps_ns, strict=True):
                event = msgspec.json.decode(value, type=Event)
                revisions.setdefault((event.index, instant_ns), []).append(event)
        for index in range(1, self.plant.signals + 1):
            first_ns = min((at for one, at in revisions if one == index), default=EPOCH_NS)
            truth = self.plant.truth(index, first_ns, until_ns)
            found += [f"{index}: {at} lost" for at in truth if (index, at) not in revisions]
            for (one, at), events in revisions.items():
                if one == index and at in truth and events[-1].value != truth[at]:
                    found.append(f"{index}: {at} is {events[-1].value}, the plant says {truth[at]}")
        for about, events in revisions.items():
            if [event.revision for event in events] != list(range(len(events))):
                found.append(f"{about}: revisions {[event.revision for event in events]}")
        return found

    def pauses_s(self) -> list[float]:
        """For each signal the longest time between two commits of its events."""
        committed: dict[bytes, list[float]] = {}
        for at_s, records in self.bus.committed:
            committed.setdefault(records.key, []).append(at_s)
        return [max(later - earlier for earlier, later in pairwise(times)) for times in committed.values()]

    def settled_ns(self) -> int:
        """Up to where everything was asked for at the last age, with room for the slices of revisits."""
        return self.clock.service_ns() - 200 * NS_PER_S
