"""What the source has let go of before it was fetched is declared, in virtual time; nothing else is."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import Any

import orjson
import pytest

from streamer.model import NS_PER_S, Signal, align_down
from streamer.source.instants import parse_instant
from tests.scenarios.conftest import Site
from tests.support.plant import Plant
from tests.support.virtual_time import run_virtually


@dataclass
class Forgetful(Plant):
    """A plant that keeps its samples for so long, and says since when; what somebody deletes it does not say.

    Attributes:
        kept_s: for how long.
        deleted_until_ns: what is older was deleted.
    """

    kept_s: int = 3600
    deleted_until_ns: int = 0

    async def measurements(self) -> list[Signal]:
        first_ns = self._first_ns()
        return [replace(signal, first_instant_ns=first_ns) for signal in await super().measurements()]

    def truth(self, index: int, start_ns: int, end_ns: int) -> dict[int, float]:
        return super().truth(index, max(start_ns, self._first_ns(), self.deleted_until_ns), end_ns)

    def _first_ns(self) -> int:
        now_ns = self.clock.service_ns()
        return (now_ns - self.kept_s * NS_PER_S) // NS_PER_S * NS_PER_S


def gaps(site: Site) -> list[dict[str, Any]]:
    """What was told on the gaps topic."""
    return [orjson.loads(one.value or b"null") for one in site.bus.notices if one.topic == "gaps"]


def instant_ns(text: str) -> int:
    return parse_instant(text)[0]


@pytest.mark.parametrize("catch_up", ["oldest_first", "live_first"])
def test_an_outage_longer_than_the_retention_is_declared_lost_up_to_the_oldest_sample_that_is_left(
    catch_up: str,
) -> None:
    async def main() -> None:
        site = Site(shards=1, stream={"catch_up": catch_up})
        plant = site.plant = Forgetful(site.clock, site.service_time, kept_s=600)
        async with site.running():
            await asyncio.sleep(300)
            plant.is_up = False
            away_since_ns = align_down(site.clock.service_ns(), NS_PER_S)
            await asyncio.sleep(1800)
            plant.is_up = True
            left_ns = align_down(site.clock.service_ns(), NS_PER_S) - 600 * NS_PER_S
            await asyncio.sleep(1500)
        lost = [gap for gap in gaps(site) if gap["event"] == "lost"]
        published = {at for records in site.bus.records for at in records.timestamps_ns}
        for index in range(1, plant.signals + 1):
            spans = [(instant_ns(one["start"]), instant_ns(one["end"])) for one in lost if one["index"] == index]
            missing = [at for at in range(away_since_ns, left_ns, NS_PER_S) if at not in published]
            assert len(missing) > 1100
            assert [at for at in missing if not any(start <= at < end for start, end in spans)] == []
            inside = [(start, end - NS_PER_S) for start, end in spans]  # a hole ends with the row that bounds it
            since = [at for at in published if at >= away_since_ns]
            assert not [at for at in since if any(start <= at < end for start, end in inside)]
        assert site.metrics.total("lost_seconds", stream="all") > 4 * 1100
        assert site.faults(site.settled_ns()) == []

    run_virtually(main())


def test_a_retention_that_only_moves_on_declares_nothing_and_begins_no_generation_anew() -> None:
    async def main() -> None:
        site = Site(shards=1)
        site.plant = Forgetful(site.clock, site.service_time, kept_s=600)
        async with site.running():
            await asyncio.sleep(3600)
        assert [gap for gap in gaps(site) if gap["event"] == "lost"] == []
        assert site.metrics.total("shards_acquired") == len(site.bus.state)

    run_virtually(main())


def test_samples_that_somebody_deletes_hold_nothing_up_and_leave_no_hole_for_ever() -> None:
    async def main() -> None:
        site = Site(shards=1)
        plant = site.plant = Forgetful(site.clock, site.service_time, kept_s=7200)
        async with site.running() as daemon:
            await asyncio.sleep(300)
            plant.deleted_until_ns = site.clock.service_ns()
            await asyncio.sleep(1800)
            ledger = daemon.owned[0].ledger
            assert [hole for group in daemon.owned[0].groups for hole in ledger.holes(group.id)] == []
        assert site.metrics.total("samples_vanished", stream="all") > 0
        assert site.metrics.total("lost_seconds", stream="all") == 0
        assert site.faults(site.settled_ns()) == []

    run_virtually(main())
