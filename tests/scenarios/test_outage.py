"""After an outage of three hours at full density: how soon live data is fresh, and how well the budget is used."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from random import Random

import pytest
from pydantic import SecretStr

from streamer.clock import ServiceTime
from streamer.config import Settings
from streamer.daemon import Daemon
from streamer.metrics import Metrics
from streamer.model import NS_PER_S
from streamer.planner.chunks import RAW_LIMIT_NS, TARGET_ROWS
from streamer.planner.plan import REVISITS_PER_LIVE
from streamer.source.client import ApiClient
from streamer.source.throttle import Throttle
from streamer.source.token import TokenSource
from tests.support.limited_service import DATABASE, MOST_IN_FLIGHT, LimitedService
from tests.support.tally_bus import TallyBus
from tests.support.virtual_time import EPOCH_NS, VirtualClock, run_virtually

SIGNALS = 200
HERTZ = 1
OUTAGE_S = 3 * 3600
FRESH_S = 6.0
"""Overlap, poll interval and arrival: what is behind by less is fresh."""


@dataclass(frozen=True)
class Limits:
    """What the service allows and takes. Its time for a second of all signals is that of five samples a second each."""

    rate: float
    request_s: float
    row_s: float


IN_FLIGHT_BINDS = Limits(rate=40, request_s=0.04, row_s=150e-6)
RATE_BINDS = Limits(rate=16, request_s=0.04, row_s=5e-6)


class Site:
    """A daemon on the service, and how it comes through an outage.

    Attributes:
        fresh_after_s: from the end of the outage until every signal is fresh.
        began_s: when the service answered again.
        caught_up_s: when nothing of the outage was left to be asked for.
        refused: share of 429 among the answers of some steady minutes.
    """

    def __init__(self, limits: Limits, catch_up: str) -> None:
        self.clock = VirtualClock()
        self.limits = limits
        self.service = LimitedService(
            self.clock, SIGNALS, NS_PER_S // HERTZ, limits.rate, limits.request_s, limits.row_s
        )
        self.bus = TallyBus(EPOCH_NS, NS_PER_S // HERTZ)
        self.catch_up = catch_up
        self.fresh_after_s = self.began_s = self.caught_up_s = 0.0
        self.refused = 1.0
        self.groups = 0

    def live_through(self) -> Site:
        run_virtually(self._live_through())
        return self

    async def _live_through(self) -> None:
        daemon = self._daemon()
        task = asyncio.create_task(daemon.run())
        await asyncio.sleep(60)
        self.groups = sum(len(generation.groups) for generation in daemon.ownership.generations.values())
        self.service.is_up = False
        await asyncio.sleep(OUTAGE_S)
        self.service.is_up = True
        healed_s, answers = self._now_s(), len(self.service.statuses)
        while not (self.caught_up_s and self.fresh_after_s):
            await asyncio.sleep(0.25)
            if not self.began_s and len(self.service.statuses) > answers:
                self.began_s = self._now_s()
            is_fresh = self._is_fresh()
            if not self.fresh_after_s and is_fresh:
                self.fresh_after_s = self._now_s() - healed_s
            if is_fresh and not self.caught_up_s and not self._is_behind(daemon):
                self.caught_up_s = self._now_s()
            assert self._now_s() < healed_s + 3600
        await asyncio.sleep(60)
        answers = len(self.service.statuses)
        await asyncio.sleep(200)
        steady = self.service.statuses[answers:]
        self.refused = steady.count(429) / len(steady)
        daemon.stop()
        await task

    def _daemon(self) -> Daemon:
        clock, random, service_time = self.clock, Random(1), ServiceTime(self.clock)
        tokens = TokenSource(self.service, "id", lambda: SecretStr("secret"), clock)
        throttle = Throttle(clock, random)
        stream = {
            "name": "all",
            "database_id": DATABASE,
            "all": True,
            "group_size": 20,
            "catch_up": self.catch_up,
            "start": "2026-01-16T10:00:00Z",
        }
        settings = Settings.model_validate(
            {"source": {"client_id": "id", "client_secret": "secret"}, "streams": [stream], "bus": {"shards": 4}}
        )
        return Daemon(
            settings,
            api=ApiClient(self.service, tokens, throttle, service_time, clock, random=random),
            bus=self.bus,
            service_time=service_time,
            clock=clock,
            metrics=Metrics(),
            random=random,
        )

    def _now_s(self) -> float:
        return asyncio.get_running_loop().time()

    def _is_fresh(self) -> bool:
        return min(self.bus.newest_ns.values()) > self.clock.service_ns() - FRESH_S * NS_PER_S

    def _is_behind(self, daemon: Daemon) -> bool:
        return any(
            hole.cause == "outage"
            for generation in daemon.ownership.generations.values()
            for group in generation.groups
            for hole in generation.ledger.holes(group.id)
        )

    def ideal_s(self) -> float:
        """What the backlog takes when all that live data and revisits leave of the budget is used for it."""
        limits, rows_a_second = self.limits, SIGNALS * HERTZ
        rows = rows_a_second * OUTAGE_S
        chunk_rows = min(TARGET_ROWS, RAW_LIMIT_NS / NS_PER_S * rows_a_second / self.groups)
        requests = rows / chunk_rows
        live = self.groups * (1 + REVISITS_PER_LIVE)
        # Each live answer has the overlap, what came since the last one, and is asked for once more at each age.
        live_s = live * limits.request_s + (4 + 2) * rows_a_second * limits.row_s
        in_flight_s = (requests * limits.request_s + rows * limits.row_s) / (MOST_IN_FLIGHT - live_s)
        return max(in_flight_s, requests / (limits.rate - live))

    def lost_or_doubled(self) -> list[bytes]:
        """Keys of which a settled sample has not exactly one event."""
        settled = (self._newest_s() - 200) * HERTZ
        return [key for key, counts in self.bus.counts.items() if bytes(counts[:settled]) != b"\x01" * settled]

    def _newest_s(self) -> int:
        return (max(self.bus.newest_ns.values()) - EPOCH_NS) // NS_PER_S


@pytest.mark.parametrize("limits", [IN_FLIGHT_BINDS, RATE_BINDS], ids=["in flight binds", "rate binds"])
def test_live_first_is_fresh_within_a_minute_and_uses_the_budget_for_the_backlog(limits: Limits) -> None:
    site = Site(limits, "live_first").live_through()
    took_s, ideal_s = site.caught_up_s - site.began_s, site.ideal_s()
    assert site.fresh_after_s <= 60
    assert ideal_s / took_s >= 0.9
    assert site.refused < 0.001
    assert site.lost_or_doubled() == []
    assert len(site.bus.counts) == SIGNALS


def test_oldest_first_keeps_the_order_of_each_signal() -> None:
    site = Site(IN_FLIGHT_BINDS, "oldest_first").live_through()
    assert site.bus.disordered == 0
    assert site.lost_or_doubled() == []
    assert len(site.bus.counts) == SIGNALS
