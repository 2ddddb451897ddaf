"""What a commit brought is counted by what became of it, and timed against when it can have become visible."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from streamer.arrival import Arrivals
from streamer.clock import ServiceTime
from streamer.complaints import Complaints
from streamer.history import History
from streamer.ledger.ledger import Applied, Outcome
from streamer.metrics import Metrics
from streamer.model import NS_PER_S, Answer, Group, Hole, Interval, Lane, Place, Query, Run, Series, SignalId, Stream
from streamer.tally import Tally
from tests.unit.source.fakes import NOON_NS, VirtualClock

SERIES = Series(SignalId(7, 1))
RAW = Stream("pv", NS_PER_S, 3 * NS_PER_S, (15 * NS_PER_S, 120 * NS_PER_S))
RESAMPLED = replace(RAW, aggregation="mean", resample_period_ns=5 * NS_PER_S, settle_ns=2 * NS_PER_S)


class Shard:
    """A tally, and the service's time that it goes by."""

    def __init__(self, stream: Stream = RAW, *, is_time_known: bool = True) -> None:
        self.clock = VirtualClock()
        self.service_time = ServiceTime(self.clock)
        if is_time_known:
            self.service_time.learn(NOON_NS)
        self.metrics = Metrics()
        self.history = History()
        arrivals = Arrivals(self.metrics.arrival_delay)
        self.tally = Tally(self.metrics, self.service_time, self.history, arrivals, Complaints(self.clock))
        self.group = Group("pv/raw/0", stream, 0, 7, (SERIES,))
        self.now_s = 0.0

    async def commit(
        self,
        *at_s: float,
        asked_s: float | None = None,
        lane: Lane = Lane.LIVE,
        revision: int = 0,
        window_end_s: float | None = None,
        outcome: Outcome = Outcome.COVERED,
    ) -> None:
        """Samples at these seconds after noon are committed now, as the answer to what was asked just before."""
        asked_ns = NOON_NS + int((self.now_s if asked_s is None else asked_s) * NS_PER_S)
        end_ns = asked_ns if window_end_s is None else NOON_NS + int(window_end_s * NS_PER_S)
        query = Query(self.group, lane, (SERIES,), Interval(end_ns - 1, end_ns), asked_ns, Place(0, (0, 0), 0))
        self.tally.committed(
            query, Answer({}), applied(run(at_s, revision), outcome=outcome, frontier_ns=asked_ns - NS_PER_S)
        )

    async def wait(self, seconds: float) -> None:
        await self.clock.advance(seconds)
        self.now_s += seconds
        if self.service_time.now_ns() is not None:
            self.service_time.learn(NOON_NS + int(self.now_s * NS_PER_S))

    @property
    def overdue(self) -> int:
        return self.metrics.total("samples_overdue", stream="pv")


def run(at_s: Sequence[float], revision: int = 0, *, is_late: bool = False) -> Run:
    instants_ns = [NOON_NS + int(at * NS_PER_S) for at in at_s]
    return Run(SERIES, revision, is_late, instants_ns, ["" for _ in at_s], [1.0 for _ in at_s])


def applied(*runs: Run, outcome: Outcome = Outcome.COVERED, **more: Any) -> Applied:
    return Applied(outcome, list(runs), **more)


def counted(metrics: Metrics, name: str) -> float:
    """How many a histogram has counted."""
    found = [
        sample.value
        for family in metrics.registry.collect()
        for sample in family.samples
        if sample.name == f"streamer_{name}_count"
    ]
    return sum(found)


async def test_samples_are_counted_by_what_became_of_them() -> None:
    shard = Shard()
    query = Query(shard.group, Lane.LIVE, (SERIES,), Interval(0, 1), NOON_NS, Place(0, (0, 0), 0))
    hole = Hole(SERIES, Interval(0, 1), "absent")
    kept = applied(run([1, 2]), run([3], is_late=True), run([1], 1), nulls=4, vanished=5, opened=[hole])
    shard.tally.committed(query, Answer({}, rejected={"unreadable": 6}), kept)
    shard.tally.committed(query, Answer({}), applied(outcome=Outcome.VOID))
    names = ("published", "late", "revised", "null", "vanished")
    assert [shard.metrics.total(f"samples_{name}", stream="pv") for name in names] == [3, 1, 1, 4, 5]
    assert shard.metrics.total("rows_rejected", cause="unreadable") == 6
    assert shard.metrics.total("holes_opened", cause="absent") == 1
    assert shard.metrics.total("answers_void") == 1


async def test_what_is_committed_soon_after_its_instant_is_not_overdue() -> None:
    shard = Shard()
    await shard.wait(10)
    await shard.commit(7.5, 8, 9.9)
    assert shard.overdue == 0


async def test_what_was_there_to_be_seen_for_longer_than_poll_interval_and_two_seconds_is_overdue() -> None:
    shard = Shard()
    await shard.wait(10)
    await shard.commit(5, 6, 6.9, 7.5)
    assert shard.overdue == 3


async def test_what_the_last_look_did_not_show_was_not_visible_before_it() -> None:
    shard = Shard()
    await shard.wait(10)
    await shard.commit()
    await shard.wait(1)
    await shard.commit(2, 3)
    assert shard.overdue == 0


async def test_a_look_long_ago_excuses_nothing() -> None:
    shard = Shard()
    await shard.wait(10)
    await shard.commit()
    await shard.wait(20)
    await shard.commit(9, 12, 28)
    assert shard.overdue == 2


async def test_a_look_that_was_answered_with_nothing_usable_excuses_nothing() -> None:
    shard = Shard()
    await shard.wait(10)
    await shard.commit(outcome=Outcome.EMPTY)
    await shard.wait(1)
    await shard.commit(2)
    assert shard.overdue == 1


async def test_a_look_at_less_than_there_was_excuses_only_what_it_asked_for() -> None:
    shard = Shard()
    await shard.wait(100)
    await shard.commit(window_end_s=50)
    await shard.wait(1)
    await shard.commit(60)
    assert shard.overdue == 1


@pytest.mark.parametrize("lane", [Lane.REVISIT, Lane.REPAIR, Lane.CATCH_UP])
async def test_what_no_live_query_found_is_overdue_from_its_instant_on(lane: Lane) -> None:
    shard = Shard()
    await shard.wait(10)
    await shard.commit()
    await shard.commit(2, lane=lane)
    assert shard.overdue == 1


async def test_a_window_is_visible_once_it_is_over_and_settled() -> None:
    shard = Shard(RESAMPLED)
    await shard.wait(15)
    await shard.commit(0, 5)
    assert shard.overdue == 1


async def test_a_backfill_and_a_revision_are_not_timed() -> None:
    shard = Shard()
    await shard.wait(10)
    await shard.commit(1, lane=Lane.BACKFILL)
    await shard.commit(1, revision=1)
    assert (shard.overdue, counted(shard.metrics, "end_to_end_delay_seconds")) == (0, 0)
    assert shard.metrics.total("samples_published") == 1


async def test_nothing_is_timed_while_the_services_time_is_unknown() -> None:
    shard = Shard(is_time_known=False)
    await shard.commit(-100)
    assert counted(shard.metrics, "end_to_end_delay_seconds") == 0
    assert shard.metrics.total("samples_published") == 1


async def test_arrival_is_told_of_what_was_asked_for_in_time_and_commit_of_all() -> None:
    shard = Shard()
    await shard.wait(10)
    for lane in (Lane.LIVE, Lane.REVISIT, Lane.REPAIR, Lane.CATCH_UP):
        await shard.commit(9, lane=lane)
    assert counted(shard.metrics, "arrival_delay_seconds") == 2
    assert counted(shard.metrics, "end_to_end_delay_seconds") == 4


async def test_arrival_ends_when_it_was_asked_for_and_the_whole_way_with_the_commit() -> None:
    shard = Shard()
    await shard.wait(10)
    await shard.commit(4, asked_s=8)
    sums = {
        sample.name: sample.value
        for family in shard.metrics.registry.collect()
        for sample in family.samples
        if sample.name.endswith("delay_seconds_sum")
    }
    assert sums == {
        "streamer_arrival_delay_seconds_sum": pytest.approx(4, abs=0.01),
        "streamer_end_to_end_delay_seconds_sum": pytest.approx(6, abs=0.01),
    }
