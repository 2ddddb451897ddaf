"""Transactions whose ends a broker has forgotten, and how the coordinator had decided on them.

A broker that is killed between deciding on a transaction and marking its end in the partitions marks it when it is
back. When it is so before it has read its topics, it takes the partitions for deleted and the transaction for ended
(Kafka 4.3.1 says "these partitions are likely deleted already and hence can be skipped"; seen in one of 13 runs of the
broker torture). The transaction stays open in its partitions then, and holds up every ``read_committed`` reader for
ever. A later producer of the same transactional id can end it; how, only the coordinator knows, and only until then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from aiokafka.client import AIOKafkaClient, CoordinationType
from aiokafka.errors import IncompatibleBrokerVersion, for_code
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import CompactArray, CompactString, Int16, Int32, Int64, Schema, TaggedFields

from streamer.bus.kafka_errors import asking_a_coordinator

_UNKNOWN_ID = 105
"""Nobody has used the transactional id; aiokafka has no class for it."""

_DECIDED = {"CompleteCommit": True, "CompleteAbort": False, "Empty": False}
"""States of an id of which nothing is under way: whether its last transaction was committed, as far as is known."""

LOOKS = 20
LOOK_EVERY_S = 0.2
"""A coordinator ends what it has decided on within milliseconds; what is open for so long, it has forgotten."""


class Forgotten(NamedTuple):
    """A transaction that is over for its coordinator, and open in partitions.

    Attributes:
        partitions: by topic and number.
        is_commit: how it was decided.
    """

    partitions: list[tuple[str, int]]
    is_commit: bool


async def find_forgotten(
    read_open: Callable[[], Awaitable[list[tuple[str, int]]]], ask: Callable[[], Awaitable[bool | None]]
) -> Forgotten | None:
    """What was forgotten of one transactional id, None when nothing was.

    To be looked for before the next producer fences: then it is not known any more how it was decided.

    Args:
        read_open: the partitions that the id writes in which a transaction is open.
        ask: whether the last transaction was committed; None while one is under way, which the fence ends.
    """
    found: Forgotten | None = None
    for _ in range(LOOKS):
        partitions = await read_open()
        is_commit = await ask() if partitions else None
        if is_commit is None:
            return None
        found = Forgotten(partitions, is_commit)
        await asyncio.sleep(LOOK_EVERY_S)
    return found


class _Response(Response):  # type: ignore[misc]  # aiokafka is untyped
    API_KEY = 65
    API_VERSION = 0
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "transaction_states",
            CompactArray(
                ("error_code", Int16),
                ("transactional_id", CompactString("utf-8")),
                ("transaction_state", CompactString("utf-8")),
                ("transaction_timeout_ms", Int32),
                ("transaction_start_time_ms", Int64),
                ("producer_id", Int64),
                ("producer_epoch", Int16),
                (
                    "topics",
                    CompactArray(
                        ("topic", CompactString("utf-8")), ("partitions", CompactArray(Int32)), ("tags", TaggedFields)
                    ),
                ),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class _Struct(RequestStruct):  # type: ignore[misc]  # aiokafka is untyped
    FLEXIBLE_VERSION = True
    API_KEY = 65
    API_VERSION = 0
    RESPONSE_TYPE = _Response
    SCHEMA = Schema(("transactional_ids", CompactArray(CompactString("utf-8"))), ("tags", TaggedFields))


class DescribeTransactions(Request[_Struct]):  # type: ignore[misc]  # aiokafka is untyped
    """Kafka's request of that name (API key 65, from 3.0 on), which aiokafka 0.14 does not have."""

    API_KEY = 65

    def __init__(self, transactional_id: str) -> None:
        self._transactional_id = transactional_id

    def build(self, request_struct_class: type[_Struct]) -> _Struct:
        """The request as it is sent."""
        return request_struct_class([self._transactional_id], {})


@asking_a_coordinator
async def was_committed(client: AIOKafkaClient, transactional_id: str) -> bool | None:
    """Whether the last transaction of an id was committed; None while one is under way, or nobody can tell.

    Write on the transactional id is enough. Brokers before 3.0 cannot be asked.

    Raises KafkaError or OSError; waits for a coordinator as long as it takes.
    """
    node = await client.coordinator_lookup(CoordinationType.TRANSACTION, transactional_id)
    try:
        answer = await client.send(node, DescribeTransactions(transactional_id))
    except IncompatibleBrokerVersion:
        return None
    ((code, _, state, *_),) = answer.transaction_states
    if code and code != _UNKNOWN_ID:
        raise for_code(code)(transactional_id)
    return _DECIDED.get(state)
