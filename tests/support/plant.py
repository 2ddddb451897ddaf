"""A plant behind the API, in memory: what it shows depends on the time, and it can be made to fail."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache

from streamer.clock import ServiceTime
from streamer.errors import SourceError, SourceUnreachable
from streamer.model import NS_PER_MS, NS_PER_S, Answer, Column, Query, Signal, SignalId, instant_text
from tests.support.virtual_time import EPOCH_NS, VirtualClock

DATABASE = 7


_text = lru_cache(maxsize=10_000)(instant_text)
"""All signals share their instants, and each is asked for again while it overlaps."""


def _at_once(index: int, instant_ns: int) -> int:
    return 100 * NS_PER_MS


@dataclass
class Plant:
    """Signals ``1..signals`` with a sample each ``period_ns`` since ever; the value says which sample it is.

    Attributes:
        delay_ns: how long after its instant a sample of a signal becomes visible.
        revised_after_ns: how long after its instant its value changes, None for never.
        is_up: whether queries are answered; the catalogue is as well.
        silent: signals that answers leave out.
        longest_ns: a longer range is answered 504.
        fault: raised by the next query.
        queries: all that were asked.
    """

    clock: VirtualClock
    service_time: ServiceTime
    signals: int = 4
    period_ns: int = NS_PER_S
    latency_s: float = 0.02
    delay_ns: Callable[[int, int], int] = _at_once
    revised_after_ns: Callable[[int, int], int | None] = lambda index, instant_ns: None
    is_up: bool = True
    silent: set[int] = field(default_factory=set)
    longest_ns: int | None = None
    fault: SourceError | None = None
    queries: list[Query] = field(default_factory=list)
    in_flight: int = 0
    most_in_flight: int = 0

    async def measurements(self) -> list[Signal]:
        await self._travel()
        return [
            Signal(SignalId(DATABASE, index), tag=f"T/{index}", first_instant_ns=EPOCH_NS - 3600 * NS_PER_S)
            for index in range(1, self.signals + 1)
        ]

    async def query(self, query: Query) -> Answer:
        self.queries.append(query)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            await self._travel()
        finally:
            self.in_flight -= 1
        if self.fault is not None:
            fault, self.fault = self.fault, None
            raise fault
        if self.longest_ns is not None and query.asked.end_ns - query.asked.start_ns > self.longest_ns:
            raise SourceUnreachable("It answered 504.", status=504)
        columns = {}
        for series in query.series:
            index = series.signal.index
            shown = self.truth(index, *query.asked)
            if shown and index not in self.silent:
                instants = list(shown)
                columns[index] = Column(instants, [_text(at) for at in instants], list(shown.values()))
        return Answer(columns, received_wall_ns=self.clock.wall_ns())

    def truth(self, index: int, start_ns: int, end_ns: int) -> dict[int, float]:
        """What the API shows now of a signal in ``[start, end)``."""
        now_ns = self.clock.service_ns()
        shown = {}
        for instant_ns in range(-(-start_ns // self.period_ns) * self.period_ns, end_ns, self.period_ns):
            if instant_ns + self.delay_ns(index, instant_ns) <= now_ns:
                after_ns = self.revised_after_ns(index, instant_ns)
                is_revised = after_ns is not None and instant_ns + after_ns <= now_ns
                shown[instant_ns] = instant_ns // self.period_ns % 1000 + index / 100 + 0.5 * is_revised
        return shown

    async def _travel(self) -> None:
        await asyncio.sleep(self.latency_s)
        if not self.is_up:
            raise SourceUnreachable("The plant does not answer.")
        self.service_time.learn(self.clock.service_ns() // NS_PER_S * NS_PER_S)
