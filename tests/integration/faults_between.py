"""Faults between a running daemon and what it talks to: messages held, lost and late, connections cut, silence."""

from __future__ import annotations

import asyncio

from tests.support.counted_run import drained
from tests.support.fault_proxy import Api, Side
from tests.support.trial import Trial

BEYOND_A_COMMIT_S = 6.0
"""The deadline of a commit is 5 s."""

BEYOND_A_START_S = 16.0
"""The deadline of a producer's start is 15 s."""

ENDED = {"CompleteCommit", "CompleteAbort", "Empty", "Dead"}
"""States of a transactional id under which nothing is open."""


async def an_end_txn_is_let_go_after_its_producer_was_replaced(trial: Trial) -> None:
    """The delayed EndTxn must not complete the next transaction: it is refused."""
    trap = trial.kafka.trap(Api.END_TXN)
    await trap.caught.wait()
    await trial.progress()
    trap.release()
    assert error_of_end_txn(await trap.answer) != 0


async def the_answer_to_an_end_txn_is_lost(trial: Trial) -> None:
    trap = trial.kafka.trap(Api.END_TXN, Side.ANSWER)
    await trap.caught.wait()
    trap.cut()


async def the_answer_to_an_end_txn_comes_too_late(trial: Trial) -> None:
    trap = trial.kafka.trap(Api.END_TXN, Side.ANSWER)
    await trap.caught.wait()
    await asyncio.sleep(BEYOND_A_COMMIT_S)
    trap.release()


async def the_answer_to_a_produce_is_lost(trial: Trial) -> None:
    trap = trial.kafka.trap(Api.PRODUCE, Side.ANSWER)
    await trap.caught.wait()
    trap.cut()


async def a_produce_is_let_go_after_its_producer_was_replaced(trial: Trial) -> None:
    trap = trial.kafka.trap(Api.PRODUCE)
    await trap.caught.wait()
    await trial.progress()
    trap.release()


async def all_connections_are_cut_within_a_transaction(trial: Trial) -> None:
    for _ in range(3):
        trap = trial.kafka.trap(Api.END_TXN)
        await trap.caught.wait()
        trial.kafka.cut()
        trap.cut()
        await trial.progress()


async def a_transaction_cannot_be_begun(trial: Trial) -> None:
    trap = trial.kafka.trap(Api.ADD_PARTITIONS_TO_TXN)
    await trap.caught.wait()
    await asyncio.sleep(BEYOND_A_COMMIT_S)
    trap.release()


async def a_new_producer_is_held_up_when_it_starts(trial: Trial) -> None:
    end, start = trial.kafka.trap(Api.END_TXN), trial.kafka.trap(Api.INIT_PRODUCER_ID)
    await start.caught.wait()
    await asyncio.sleep(BEYOND_A_START_S)
    start.release()
    end.release()


async def all_connections_are_cut_again_and_again(trial: Trial) -> None:
    for number in range(30):
        await asyncio.sleep(0.1 + number % 7 / 5)
        trial.kafka.cut()
        if number % 3 == 0:
            trial.api.cut()


async def everything_is_slow(trial: Trial) -> None:
    trial.kafka.delay_s = trial.api.delay_s = 0.15
    await trial.progress()
    await asyncio.sleep(5)


async def kafka_is_a_black_hole_for_a_while(trial: Trial) -> None:
    trial.kafka.stall()
    await asyncio.sleep(20)
    trial.kafka.flow()


async def the_api_is_a_black_hole_for_a_while(trial: Trial) -> None:
    trial.api.stall()
    await asyncio.sleep(15)
    trial.api.flow()


async def the_apis_answers_break_off(trial: Trial) -> None:
    trial.api.cut_after_bytes = 700
    await asyncio.sleep(8)
    trial.api.cut_after_bytes = None


async def sigterm_comes_while_an_end_txn_is_held(trial: Trial) -> None:
    await end_within(trial, Api.END_TXN)


async def sigterm_comes_while_a_produce_is_held(trial: Trial) -> None:
    await end_within(trial, Api.PRODUCE)


async def sigterm_comes_while_kafka_is_a_black_hole(trial: Trial) -> None:
    trial.kafka.stall()
    await asyncio.sleep(2)
    assert await drained(trial.process) == 0
    trial.kafka.flow()
    await trial.start()


async def end_within(trial: Trial, api: Api) -> None:
    """In mid-transaction the daemon ends with 0 within 10 s, and leaves no transaction open."""
    assert trial.broker is not None
    trap = trial.kafka.trap(api)
    await trap.caught.wait()
    assert await drained(trial.process) == 0
    states = await asyncio.to_thread(trial.broker.transactions)
    ours = {name: state for name, state in states.items() if name.startswith(trial.settings.kafka.topics.state)}
    assert len(ours) == trial.settings.bus.shards
    assert set(ours.values()) <= ENDED, ours
    trap.release()
    await trial.start()


def error_of_end_txn(answer: bytes) -> int:
    """Its error code: after correlation id and throttle time."""
    return int.from_bytes(answer[8:10], "big")
