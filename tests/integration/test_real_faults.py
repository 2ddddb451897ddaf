"""Real faults around a real daemon: what it does about them, and that in the end every sample is counted once.

Each scenario has a daemon, topics and proxies of its own, so they run side by side, once for all tests of this module.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from functools import wraps
from pathlib import Path

import pytest

from streamer.simulator.audit import Verdict
from tests.integration import faults_around as around
from tests.integration import faults_between as between
from tests.integration.faults_around import SIGNALS, WORLD
from tests.support.kafka_broker import Broker
from tests.support.trial import Trial, on_trial

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(420)]

SIDE_BY_SIDE = 6
"""Scenarios at a time: a daemon takes a tenth of a core, and starting one takes half a second of one."""

PLAYED_WITHIN_S = 150.0

Act = Callable[[Trial], Awaitable[None]]
Scenario = Callable[[Path, Broker], Coroutine[None, None, Verdict]]


def scenario_of(act: Act) -> Scenario:
    """A scenario of what happens between a running daemon and what it talks to."""

    @wraps(act)
    async def scenario(directory: Path, broker: Broker) -> Verdict:
        async with on_trial(directory / "streamer.yaml", WORLD, broker=broker) as trial:
            await trial.start()
            await act(trial)
            trial.heal()
            await trial.progress()
            return await trial.verdict()

    return scenario


SCENARIOS: list[Scenario] = [
    around.the_broker_is_stopped_and_later_killed,
    *map(
        scenario_of,
        [
            between.kafka_is_a_black_hole_for_a_while,
            between.an_end_txn_is_let_go_after_its_producer_was_replaced,
            between.the_answer_to_an_end_txn_is_lost,
            between.the_answer_to_an_end_txn_comes_too_late,
            between.the_answer_to_a_produce_is_lost,
            between.a_produce_is_let_go_after_its_producer_was_replaced,
            between.all_connections_are_cut_within_a_transaction,
            between.a_transaction_cannot_be_begun,
            between.a_new_producer_is_held_up_when_it_starts,
            between.all_connections_are_cut_again_and_again,
            between.everything_is_slow,
            between.the_api_is_a_black_hole_for_a_while,
            between.the_apis_answers_break_off,
            between.sigterm_comes_while_an_end_txn_is_held,
            between.sigterm_comes_while_a_produce_is_held,
            between.sigterm_comes_while_kafka_is_a_black_hole,
        ],
    ),
    around.the_api_is_killed_and_comes_back,
    around.the_hosts_clock_jumps,
    around.the_disk_is_full_for_a_while,
    around.the_file_may_grow_no_more_for_a_while,
]


@pytest.fixture(scope="module")
def played(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, local_broker: Broker
) -> dict[str, Verdict | BaseException]:
    """What became of each scenario that is asked for, by name."""
    asked_for = {item.name for item in request.session.items}
    chosen = [scenario for scenario in SCENARIOS if any(scenario.__name__ in name for name in asked_for)]

    async def play(broker: Broker) -> list[Verdict | BaseException]:
        room = asyncio.Semaphore(SIDE_BY_SIDE)

        async def one(scenario: Scenario) -> Verdict:
            async with room, asyncio.timeout(PLAYED_WITHIN_S):
                return await scenario(tmp_path_factory.mktemp(scenario.__name__), broker)

        return await asyncio.gather(*map(one, chosen), return_exceptions=True)

    results = asyncio.run(play(local_broker))
    return dict(zip((scenario.__name__ for scenario in chosen), results, strict=True))


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_nothing_is_lost_or_doubled_when(scenario: Scenario, played: dict[str, Verdict | BaseException]) -> None:
    verdict = played[scenario.__name__]
    if isinstance(verdict, BaseException):
        raise verdict
    assert verdict.examples == []
    assert verdict.is_clean
    assert verdict.published > SIGNALS * 5 * 20
