"""A signal with a sample a minute, and a service that answers for less than that, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from streamer.daemon import Daemon
from streamer.model import NS_PER_S, Hole
from tests.scenarios.conftest import Site
from tests.support.plant import Plant
from tests.support.virtual_time import run_virtually

SPARSE = 1
SPACING_S = 60


class SparsePlant(Plant):
    """One of its signals has a sample a minute."""

    def truth(self, index: int, start_ns: int, end_ns: int) -> dict[int, float]:
        shown = super().truth(index, start_ns, end_ns)
        if index != SPARSE:
            return shown
        return {at: value for at, value in shown.items() if at // NS_PER_S % SPACING_S == 0}


@asynccontextmanager
async def cut_to(longest_s: int, site: Site) -> AsyncIterator[Daemon]:
    """A daemon on a sparse plant that answers for so long a range at most, once it has seen the first five minutes."""
    site.plant = plant = SparsePlant(site.clock, site.service_time)
    async with site.running() as daemon:
        await asyncio.sleep(300)
        plant.longest_ns = longest_s * NS_PER_S
        yield daemon


def holes_of(daemon: Daemon) -> list[Hole]:
    generation = daemon.ownership.generations[0]
    return [hole for group in generation.groups for hole in generation.ledger.holes(group.id)]


def missing_s(daemon: Daemon) -> float:
    return sum(hole.interval.end_ns - hole.interval.start_ns for hole in holes_of(daemon)) / NS_PER_S


def test_holes_of_a_sparse_signal_are_closed_though_no_question_reaches_from_one_sample_to_the_next() -> None:
    async def main() -> None:
        site = Site(shards=1)
        async with cut_to(20, site) as daemon:
            for _ in range(60):
                await asyncio.sleep(60)
                assert missing_s(daemon) < 240
        assert site.faults(site.settled_ns() - 240 * NS_PER_S) == []

    run_virtually(main())


def test_a_repair_that_reaches_too_far_makes_no_live_window_shorter() -> None:
    async def main() -> None:
        site = Site(shards=1)
        async with cut_to(20, site) as daemon:
            for _ in range(60):
                await asyncio.sleep(10)
                generation = daemon.ownership.generations[0]
                frontiers_ns = [generation.ledger.place(group.id).frontier_ns for group in generation.groups]
                assert min(frontiers_ns) > site.clock.service_ns() - 5 * NS_PER_S

    run_virtually(main())
