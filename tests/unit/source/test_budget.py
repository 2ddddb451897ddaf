"""What holds for the budget of a credential, however the service treats it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamer.model import NS_PER_MS, NS_PER_S, Lane
from streamer.source.budget import Budget
from streamer.source.limits import FALL, Limit, Rate, RecentStarts
from streamer.source.turns import Turns

TICK_NS = 10 * NS_PER_MS


@dataclass
class Asker:
    """Somebody who always has something to ask, and a service; time goes on in ticks.

    Attributes:
        refuses: whether the service answers a request with 429, given the starts so far, this one included.
        asked_for_s: its ``Retry-After``.
    """

    budget: Budget
    refuses: Callable[[list[int]], bool]
    asked_for_s: float | None = 1.0
    took_ticks: int = 10
    now_ns: int = 0
    starts_ns: list[int] = field(default_factory=list)
    refusals: list[int] = field(default_factory=list)
    recent: RecentStarts = field(default_factory=RecentStarts)
    out: list[tuple[int, int, bool]] = field(default_factory=list)
    most_out: int = 0

    def run(self, seconds: float) -> None:
        for _ in range(int(seconds * NS_PER_S / TICK_NS)):
            self.now_ns += TICK_NS
            for one in [one for one in self.out if one[1] <= self.now_ns]:
                self.out.remove(one)
                self._end(one[0], one[2])
            while len(self.out) < self.budget.allowed and self.now_ns >= self.budget.opens_at_ns:
                self._start()
            self.most_out = max(self.most_out, len(self.out))

    def _start(self) -> None:
        self.starts_ns.append(self.now_ns)
        self.recent.add(self.now_ns)
        self.budget = self.budget.started(self.now_ns)
        self.out.append((self.now_ns, self.now_ns + self.took_ticks * TICK_NS, self.refuses(self.starts_ns)))

    def _end(self, started_ns: int, is_refused: bool) -> None:
        self.budget = self.budget.ended(started_ns, self.now_ns)
        if not is_refused:
            self.budget = self.budget.succeeded(started_ns)
            return
        self.refusals.append(self.now_ns)
        self.budget = self.budget.refused(
            started_ns,
            self.now_ns,
            asked_for_s=self.asked_for_s,
            backoff_s=0.7,
            used=self.recent.rate(self.now_ns),
        )


def budget_of(most: int = 4, most_rate: float | None = None) -> Budget:
    return Budget(Limit(most, most), Rate(most_rate))


def above(rate: float, burst: float) -> Callable[[list[int]], bool]:
    """A bucket of tokens: refuses what comes faster than the rate, past a burst."""
    tokens, at_ns = burst, 0

    def refuses(starts_ns: list[int]) -> bool:
        nonlocal tokens, at_ns
        tokens = min(burst, tokens + (starts_ns[-1] - at_ns) * rate / NS_PER_S)
        at_ns = starts_ns[-1]
        if tokens < 1:
            return True
        tokens -= 1
        return False

    return refuses


RANDOMS = st.integers(0, 2**32).map(Random)


@given(RANDOMS, st.integers(1, 4), st.floats(0, 0.5), st.floats(0.05, 1))
@settings(deadline=None)
def test_never_more_than_the_limit_are_out(random: Random, most: int, share: float, part: float) -> None:
    budget = Budget(Limit(most, most), Rate(), share=part)
    asker = Asker(budget, lambda starts_ns: random.random() < share, took_ticks=random.randint(1, 200))
    asker.run(30)
    assert asker.most_out <= max(1, int(most * part))
    assert 1 <= asker.budget.limit.allowed <= most


@given(RANDOMS, st.floats(0.1, 20))
@settings(deadline=None)
def test_nothing_starts_before_retry_after(random: Random, asked_for_s: float) -> None:
    asker = Asker(budget_of(), lambda starts_ns: random.random() < 0.2, asked_for_s, random.randint(1, 100))
    asker.run(60)
    held_ns = int(asked_for_s * NS_PER_S)
    assert not any(refused <= start < refused + held_ns for refused in asker.refusals for start in asker.starts_ns)


@given(st.integers(1, 40))
@settings(deadline=None)
def test_a_request_starts_at_once_whenever_there_is_room(took_ticks: int) -> None:
    asker = Asker(budget_of(), lambda starts_ns: False, took_ticks=took_ticks)
    asker.run(20)
    assert len(asker.starts_ns) >= 4 * (20 * NS_PER_S // (took_ticks * TICK_NS))


@given(st.floats(0.5, 40))
@settings(deadline=None)
def test_starts_never_exceed_a_configured_rate(rate: float) -> None:
    asker = Asker(budget_of(most_rate=rate), lambda starts_ns: False, took_ticks=1)
    asker.run(20)
    for start_ns in asker.starts_ns:
        since = [one for one in asker.starts_ns if start_ns <= one < start_ns + NS_PER_S]
        assert len(since) <= rate + 1


@pytest.mark.parametrize(("rate", "burst"), [(2, 1), (2, 10), (10, 1), (10, 20), (25, 5)])
def test_a_rate_is_learned_so_that_most_of_it_is_used_and_little_is_refused(rate: float, burst: float) -> None:
    asker = Asker(budget_of(), above(rate, burst))
    asker.run(120)
    learned, began_ns = len(asker.starts_ns), asker.now_ns
    asker.run(1200)
    served = len(asker.starts_ns) - learned
    refused = sum(at_ns > began_ns for at_ns in asker.refusals)
    assert served - refused >= 0.9 * rate * 1200
    assert refused / served <= max(0.002, 1.5 / (rate * 60))


def test_a_limit_below_the_contract_is_found_and_tried_more_and_more_rarely() -> None:
    asker = Asker(budget_of(), lambda starts_ns: False, took_ticks=10)
    asker.refuses = lambda starts_ns: len(asker.out) >= 2
    asker.run(3600)
    assert len(asker.refusals) / len(asker.starts_ns) < 0.005


def test_all_that_is_allowed_is_in_flight_again_soon_after_one_refusal() -> None:
    limit = Limit(4, 4, successes=8).halved()
    successes = 0
    while limit.allowed < 4:
        limit, successes = limit.grown(), successes + 1
    assert successes == 16


def test_a_rate_falls_below_what_was_refused_and_is_there_again_after_a_minute() -> None:
    rate = Rate().fallen(20, 0, 5 * NS_PER_S)
    assert rate.at(0) == rate.at(5 * NS_PER_S) == 20 * FALL
    assert rate.at(65 * NS_PER_S) == pytest.approx(20)


def test_who_asks_little_and_is_refused_learns_little_from_it() -> None:
    once = Rate().fallen(1, 0, 0)
    assert once.at(0) == pytest.approx(FALL * 10)
    twice = once.fallen(1, 0, 0)
    assert twice.at(0) == pytest.approx(FALL * 4.5)
    assert Rate(6).fallen(1, 0, 0).at(0) == pytest.approx(FALL * 3)


def test_a_rate_that_was_learned_long_ago_does_not_hold_anybody_back() -> None:
    rate = Rate(None, refused=0.2).at(300 * NS_PER_S)
    assert rate is not None
    assert rate > 1000


@given(st.lists(st.floats(0, 400), min_size=2).map(sorted), st.floats(0.1, 100))
def test_a_rate_only_grows_until_it_is_refused(seconds: list[float], refused: float) -> None:
    rate = Rate(80, refused)
    rates = [rate.at(int(second * NS_PER_S)) or 0 for second in seconds]
    assert all(earlier <= later <= 80 for earlier, later in pairwise(rates))


@given(RANDOMS, st.sampled_from(Lane))
@settings(deadline=None)
def test_no_lane_waits_for_more_turns_than_its_share_asks_for(random: Random, lane: Lane) -> None:
    turns, waited = Turns(), 0
    for _ in range(600):
        waiting = [one for one in Lane if one is lane or random.random() < 0.8]
        turn = turns.next(waiting)
        turns.took(turn, waiting)
        waited = 0 if turn is lane else waited + 1
        assert waited <= 40
