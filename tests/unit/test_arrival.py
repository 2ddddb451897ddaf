"""What of the samples seen first speaks about overlap and lookback, what does not, and what is advised."""

from __future__ import annotations

from dataclasses import replace

import pytest

from streamer.arrival import LEAST_SAMPLES, WINDOW_NS, Advice, Arrivals, first_seen
from streamer.delays import Delays
from streamer.ledger.ledger import Applied, Outcome
from streamer.metric_definitions import ARRIVAL_DELAY
from streamer.model import NS_PER_S, Group, Interval, Lane, Place, Query, Run, Series, SignalId, Stream

SERIES = Series(SignalId(7, 1))
STREAM = Stream("pv", NS_PER_S, 3 * NS_PER_S, (15 * NS_PER_S, 120 * NS_PER_S))
START_S = 1_000_000


class Watched:
    """A stream that is asked once a second, and sees a sample a tenth of a second."""

    def __init__(self, stream: Stream = STREAM) -> None:
        self.arrivals = Arrivals(Delays(ARRIVAL_DELAY))
        self.stream = stream
        self.now_s = START_S
        self.said: list[tuple[Advice, ...]] = []

    def answer(
        self,
        *ages_s: float,
        lane: Lane = Lane.LIVE,
        behind_s: float = 1,
        was_silent: bool = False,
        revision: int = 0,
    ) -> None:
        """Samples that are so old are seen first in an answer to what was asked now."""
        now_ns, frontier_ns = self.now_s * NS_PER_S, int((self.now_s - behind_s) * NS_PER_S)
        group = Group("pv/raw/0", self.stream, 0, 7, (SERIES,))
        query = Query(group, lane, (SERIES,), Interval(0, now_ns), now_ns, Place(0, (0, 0), 0))
        watermark_ns = frontier_ns - self.stream.overlap_ns
        applied = Applied(Outcome.COVERED, frontier_ns=frontier_ns, was_silent=was_silent)
        for is_late in (True, False):
            instants = sorted(now_ns - int(age_s * NS_PER_S) for age_s in ages_s)
            instants = [at for at in instants if (at < watermark_ns) is is_late]
            if instants:
                texts, values = [""] * len(instants), [1.0] * len(instants)
                applied.runs.append(Run(SERIES, revision, is_late and not revision, instants, texts, values))
        advice = self.arrivals.seen(query, applied, first_seen(applied.runs))
        if advice is not None:
            self.said.append(advice)

    def live(self, seconds: int) -> None:
        """Ordinary seconds, without a late sample."""
        for _ in range(seconds):
            self.now_s += 1
            self.answer(*(at / 10 for at in range(10)))

    def samples(self) -> int:
        arrival = self.arrivals.of("pv")
        return 0 if arrival is None else arrival.samples

    def advice(self) -> dict[str, Advice]:
        (advice,) = self.said
        return {one.setting: one for one in advice}


def test_what_comes_in_time_needs_no_advice() -> None:
    watched = Watched()
    watched.live(WINDOW_NS // NS_PER_S + 2)
    assert watched.said == [()]


def test_late_samples_name_the_overlap_that_would_do() -> None:
    watched = Watched()
    watched.live(300)
    watched.answer(*(18 + at / 100 for at in range(100)), lane=Lane.REVISIT)
    watched.live(302)
    advice = watched.advice()["overlap"]
    assert advice.configured == "3s"
    assert advice.seen == "1.6% of 6110 samples needed more; 99% need 15s to 20s"
    assert advice.would_do == {"overlap": "25s"}
    assert advice.remedy == "Set overlap: 25s."


def test_one_in_a_hundred_may_be_late() -> None:
    watched = Watched()
    watched.live(300)
    watched.answer(*(18 + at / 100 for at in range(60)), lane=Lane.REVISIT)
    watched.live(302)
    assert watched.said == [()]


def test_samples_first_seen_at_the_last_age_ask_for_one_more() -> None:
    watched = Watched()
    watched.live(300)
    watched.answer(*(125 + at for at in range(10)), lane=Lane.REVISIT)
    watched.live(302)
    advice = watched.advice()
    assert set(advice) == {"lookback"}
    assert advice["lookback"].would_do == {"lookback": ["15s", "2m", "4m"]}
    assert advice["lookback"].configured == "2m"
    assert advice["lookback"].remedy == "Set lookback: [15s, 2m, 4m]."


def test_an_overlap_past_the_last_age_takes_the_lookback_along() -> None:
    watched = Watched(replace(STREAM, lookback_ns=(15 * NS_PER_S,)))
    watched.live(300)
    watched.answer(*(28 + at / 100 for at in range(200)), lane=Lane.REVISIT)
    watched.live(302)
    assert watched.advice()["overlap"].would_do == {"overlap": "40s", "lookback": ["15s", "1m"]}


def test_no_overlap_is_advised_that_a_raw_query_cannot_have() -> None:
    stream = replace(STREAM, lookback_ns=(15 * NS_PER_S, 7200 * NS_PER_S))
    for one, settings in (
        (stream, {"lookback"}),
        (replace(stream, aggregation="mean", resample_period_ns=NS_PER_S), {"overlap", "lookback"}),
    ):
        watched = Watched(one)
        watched.live(7200)
        watched.answer(*(7300 + at / 10 for at in range(2000)), lane=Lane.REVISIT)
        watched.live(7202)
        assert set(watched.advice()) == settings


@pytest.mark.parametrize("lane", [Lane.CATCH_UP, Lane.REPAIR, Lane.BACKFILL])
def test_other_lanes_say_nothing(lane: Lane) -> None:
    watched = Watched()
    watched.answer(1, 20, lane=lane)
    assert watched.samples() == 0


def test_what_was_silent_and_came_after_all_is_late_as_well() -> None:
    watched = Watched()
    watched.answer(1, 20, lane=Lane.REPAIR, was_silent=True)
    assert watched.samples() == 2


def test_a_group_that_is_behind_says_nothing() -> None:
    watched = Watched()
    watched.answer(1, 20, lane=Lane.REVISIT, behind_s=3600)
    watched.answer(*range(100), behind_s=100)
    assert watched.samples() == 0
    watched.answer(1, behind_s=2)
    assert watched.samples() == 1


def test_revisions_are_no_first_sight() -> None:
    watched = Watched()
    watched.answer(1, 20, revision=1)
    assert watched.samples() == 0


def test_time_without_questions_is_no_time_to_judge_by() -> None:
    watched = Watched()
    watched.live(100)
    watched.now_s += 3600
    watched.live(490)
    assert watched.said == []
    watched.live(20)
    assert watched.said == [()]


def test_few_samples_are_not_judged() -> None:
    watched = Watched()
    for _ in range(LEAST_SAMPLES - 1):
        watched.now_s += 1
        watched.answer(0.5)
    assert watched.said == []
    watched.now_s += 1
    watched.answer(0.5)
    assert watched.said == [()]


def test_a_judgement_is_of_its_own_window() -> None:
    watched = Watched()
    watched.live(100)
    watched.answer(*(18 + at / 100 for at in range(100)), lane=Lane.REVISIT)
    watched.live(502)
    watched.live(602)
    assert [len(advice) for advice in watched.said] == [1, 0]


def test_what_is_shown_is_of_the_last_two_windows() -> None:
    watched = Watched()
    watched.answer(20, lane=Lane.REVISIT)
    watched.live(602)
    assert watched.samples() > 6000
    watched.live(300)
    arrival = watched.arrivals.of("pv")
    assert arrival is not None
    assert arrival.late == 1
    watched.live(602)
    arrival = watched.arrivals.of("pv")
    assert arrival is not None
    assert arrival.late == 0
    assert arrival.samples < 10_000
    assert (arrival.delay.p99.above_s, arrival.delay.p99.at_most_s) == (0.8, 1.0)
    assert (arrival.overlap_needed.p99.above_s, arrival.overlap_needed.p99.at_most_s) == (0.0, 0.01)


def test_nothing_is_shown_of_a_stream_that_was_never_seen() -> None:
    assert Arrivals(Delays(ARRIVAL_DELAY)).of("pv") is None


def test_instants_that_series_share_are_gone_through_once() -> None:
    first, second = [1, 2, 3], [4]
    runs = [
        Run(SERIES, revision, False, list(instants), ["" for _ in instants], [0.0 for _ in instants])
        for revision, instants in ((0, first), (0, first), (1, first), (0, second))
    ]
    assert first_seen(runs) == [(first, 2), (second, 1)]
