"""The daemon says when overlap or lookback is too short for how late samples come, and what would do."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any, Literal

import pytest
from structlog.testing import capture_logs

from streamer.model import NS_PER_S
from tests.scenarios.conftest import Site
from tests.support.virtual_time import run_virtually

Setting = Literal["overlap", "lookback"]

WARNINGS: dict[str, Setting] = {"arrival.overlap_exceeded": "overlap", "arrival.last_age_reached": "lookback"}
AN_HOUR_S = 3600

Delay = Callable[[int, int], int]


def some(share: float, delay_s: float) -> Delay:
    """So many samples in a hundred, evenly spread, come so late, the others at once."""
    every = round(1 / share)
    return lambda index, at: int((delay_s if at // NS_PER_S % every == index % every else 0.1) * NS_PER_S)


def spread_evenly(longest_s: float) -> Delay:
    """All delays up to the longest come alike often."""
    return lambda index, at: int(at // NS_PER_S * 7919 % 1000 / 1000 * longest_s * NS_PER_S)


def warnings(stream: dict[str, Any], delay_ns: Delay, *, outage_s: float = 0, for_s: float = 700) -> dict[Setting, Any]:
    """What a daemon of a stream in a world warns of, by setting, and what it says last that would do."""

    async def main() -> dict[Setting, Any]:
        site = Site(stream=stream, shards=1)
        site.plant.delay_ns = delay_ns
        found: dict[Setting, Any] = {}
        with capture_logs() as log:
            async with site.running() as daemon:
                await asyncio.sleep(100)
                site.plant.is_up = not outage_s
                await asyncio.sleep(outage_s)
                site.plant.is_up = True
                await asyncio.sleep(for_s)
                (summary,) = daemon.snapshot().streams
        assert summary.arrival is not None
        would_do = {one.setting: one.would_do for one in summary.arrival.advice}
        for record in log:
            if record["event"] in WARNINGS:
                assert record["log_level"] == "warning"
                found[WARNINGS[record["event"]]] = would_do.get(WARNINGS[record["event"]])
        return found

    return run_virtually(main())


@pytest.mark.parametrize(
    ("stream", "delay_ns", "expected"),
    [
        ({}, some(0.05, 8), {"overlap"}),
        ({}, some(1, 8), {"overlap"}),
        ({}, some(0.05, 60), {"overlap", "lookback"}),
        ({}, some(0.005, 60), {"lookback"}),
        ({"lookback": ["15s"]}, some(0.1, 9), {"overlap", "lookback"}),
        ({}, spread_evenly(110), {"overlap", "lookback"}),
        ({"poll_interval": "10s", "overlap": "20s", "lookback": ["1m", "5m"]}, some(0.1, 45), {"overlap"}),
    ],
    ids=["few", "all", "long after", "rare", "one age", "every delay", "slow polls"],
)
def test_what_a_warning_names_silences_it(stream: dict[str, Any], delay_ns: Delay, expected: set[str]) -> None:
    found = warnings(stream, delay_ns)
    assert set(found) == expected
    changed = dict(stream)
    for would_do in found.values():
        changed |= would_do
    assert warnings(changed, delay_ns) == {}


@pytest.mark.parametrize("delay_s", [0.1, 2.5])
@pytest.mark.parametrize("outage_s", [100, AN_HOUR_S])
def test_an_outage_is_no_reason_to_warn(outage_s: float, delay_s: float) -> None:
    assert warnings({}, some(1, delay_s), outage_s=outage_s) == {}


def test_an_outage_does_not_show_in_the_arrival_delay() -> None:
    async def main() -> None:
        site = Site(shards=1)
        async with site.running() as daemon:
            await asyncio.sleep(100)
            site.plant.is_up = False
            await asyncio.sleep(AN_HOUR_S)
            site.plant.is_up = True
            await asyncio.sleep(400)
            (summary,) = daemon.snapshot().streams
        assert summary.arrival is not None
        at_most_s = summary.arrival.delay.p99.at_most_s
        assert at_most_s is not None
        assert at_most_s <= 3

    run_virtually(main())


def test_a_warning_is_one_line_with_all_of_it_and_its_end_is_told() -> None:
    async def main() -> None:
        site = Site(shards=1)
        site.plant.delay_ns = some(0.05, 8)
        with capture_logs() as log:
            async with site.running():
                await asyncio.sleep(700)
                site.plant.delay_ns = some(1, 0.1)
                await asyncio.sleep(1400)
        (begun, ended) = (record for record in log if record["event"].startswith("arrival."))
        seen = begun.pop("seen")
        assert re.fullmatch(r"\d\.\d% of \d+ samples needed more; 99% need \d+s to \d+s", seen)
        assert re.fullmatch(r"Set overlap: \d+s\.", begun.pop("remedy"))
        assert begun == {
            "event": "arrival.overlap_exceeded",
            "log_level": "warning",
            "cause": "all: overlap is shorter than what is seen",
            "times": 1,
            "stream": "all",
            "configured": "3s",
        }
        assert ended == {"event": "arrival.overlap_sufficed", "log_level": "info"}

    run_virtually(main())
