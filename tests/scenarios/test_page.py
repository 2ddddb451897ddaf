"""What the operator's page draws of a whole daemon, in virtual time."""

from __future__ import annotations

import asyncio

from streamer.config import BusSettings
from streamer.daemon import Daemon
from streamer.model import NS_PER_MS, NS_PER_S
from streamer.status.board import Board
from streamer.status.concerns import Concern
from streamer.status.owners import Owners
from streamer.status.timeline import Strip
from tests.scenarios.conftest import Site
from tests.support.virtual_time import run_virtually
from tests.support.watched import FixedThrottle


def board_of(site: Site, daemon: Daemon) -> Board:
    async def nobody() -> dict[int, str]:
        return {}

    owners, shards = Owners("pod-a", nobody, site.clock), BusSettings(shards=site.shards)
    return Board(daemon, FixedThrottle(), site.metrics.arrival_delay, site.clock, shards, owners)


def strip_of(site: Site, daemon: Daemon) -> Strip:
    (strip,) = board_of(site, daemon).timeline("15m").strips
    return strip


def concerns_of(board: Board) -> list[Concern]:
    found = board.status()["concerns"]
    assert isinstance(found, list)
    return found


def test_a_hole_appears_in_the_drawing_and_closes_into_late_samples() -> None:
    async def main() -> None:
        site = Site(shards=1)
        async with site.running() as daemon:
            await asyncio.sleep(120)
            assert sum(strip_of(site, daemon).holes) == 0
            site.plant.silent.add(3)
            await asyncio.sleep(30)
            opened = strip_of(site, daemon)
            assert max(opened.holes) == 1
            assert sum(opened.late) == 0
            site.plant.silent.clear()
            await asyncio.sleep(60)
            closed = strip_of(site, daemon)
            assert sum(closed.holes) == 0
            assert sum(closed.late) > 20

    run_virtually(main())


def test_the_drawing_counts_what_was_published() -> None:
    async def main() -> None:
        site = Site()
        site.plant.revised_after_ns = lambda index, at: 20 * NS_PER_S if index == 2 else None
        site.plant.delay_ns = lambda index, at: (100 if index != 4 else 10_000) * NS_PER_MS
        async with site.running() as daemon:
            await asyncio.sleep(200)
            strip, events = strip_of(site, daemon), site.events()
            assert sum(strip.published) == sum(1 for event in events if not (event.revision or event.late))
            assert sum(strip.late) == sum(1 for event in events if event.late) > 0
            assert sum(strip.revised) == sum(1 for event in events if event.revision) > 0
            assert strip.covered_to > 89

    run_virtually(main())


def test_faults_come_to_the_page_and_are_over_when_the_api_answers_again() -> None:
    async def main() -> None:
        site = Site()
        async with site.running() as daemon:
            board = board_of(site, daemon)
            await asyncio.sleep(60)
            assert concerns_of(board) == []
            site.plant.is_up = False
            await asyncio.sleep(60)
            board.sample()
            assert [one.why for one in concerns_of(board)] == ["It is catching up.", "The plant does not answer."]
            site.plant.is_up = True
            await asyncio.sleep(60)
            assert concerns_of(board) == []
            assert all(fault.ended_ns is not None for fault in daemon.faults)

    run_virtually(main())
