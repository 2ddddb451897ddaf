"""Ownership of shards by Kafka's own group protocol: a consumer group on a topic whose partitions stand for the shards.

The topic stays empty; a consumer on it holds the membership. Contains what aiokafka 0.14 does not do: no heartbeat is
sent while a callback of the listener is awaited (so that ``assign`` only notes the assignment, and shards are acquired
by tasks), errors in a callback are swallowed (so that they are kept, and end ``run``), the member is expelled when it
does not poll, and its sticky assignor keeps its state in the class.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import structlog
from aiokafka import ConsumerRebalanceListener, TopicPartition
from aiokafka.coordinator.assignors.abstract import AbstractPartitionAssignor
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor

from streamer.bus.kafka_clients import SESSION_TIMEOUT_S, Consumer
from streamer.bus.kafka_errors import KAFKA_FAILURES, translated
from streamer.bus.kafka_rights import Right
from streamer.bus.membership import Owner

POLL_S = 0.5
"""Well within ``max_poll_interval_ms``, past which the member would be expelled."""

LEFT_WITHIN_S = 2.0
"""How long leaving may take; without a farewell the group waits for the session to end."""

REJOINED_AFTER_S = (0.5, 5.0)
"""Shortest and longest pause before a membership that broke is begun anew."""

_log = structlog.get_logger(__name__)


def sticky_assignor() -> type[AbstractPartitionAssignor]:
    """The sticky assignor with a state of its own: the library's lives in its class, and members would share it."""

    class Sticky(StickyPartitionAssignor):  # type: ignore[misc]  # aiokafka is untyped
        """One member's: aiokafka writes to the class that it is given."""

    return Sticky


class GroupMembership:
    """One member of the group.

    Args:
        make_consumer: a consumer of the group with this assignor, not started.
        topic: the topic whose partitions stand for the shards.
        shards: how many there are; further partitions stand for nothing.
        rights: those that a member needs.
    """

    def __init__(
        self,
        make_consumer: Callable[[type[AbstractPartitionAssignor]], Consumer],
        topic: str,
        shards: int,
        rights: Sequence[Right],
    ) -> None:
        self._make_consumer = make_consumer
        self._topic = topic
        self.shards = shards
        self._rights = rights
        self._changed = asyncio.Event()
        self._must_rejoin = asyncio.Event()
        self._failure: BaseException | None = None

    async def run(self, owner: Owner) -> None:
        """Be a member until cancelled, then leave. Raises what the owner raises: it would own nobody knows what.

        A membership that breaks is begun anew; shards are kept meanwhile: only the group gives them to another.
        """
        shortest_s, longest_s = REJOINED_AFTER_S
        pause_s = shortest_s
        while True:
            self._must_rejoin.clear()
            consumer = self._make_consumer(sticky_assignor())
            try:
                await consumer.start()
                consumer.subscribe([self._topic], listener=_Listener(self, owner))
                _log.info("bus.group_joining", topic=self._topic)
                while not self._must_rejoin.is_set():
                    await consumer.see(self._topic)
                    await consumer.getmany(timeout_ms=int(POLL_S * 1000))
                    pause_s = shortest_s
            except KAFKA_FAILURES as exc:
                error = translated(exc, "Membership in the consumer group", self._rights)
                _log.warning("bus.membership_lost", cause=error.what, remedy=error.remedy)
            finally:
                await _left(consumer)
            if self._failure is not None:
                raise self._failure
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, longest_s)

    async def contested(self, shard: int) -> None:
        """Wait until the group has decided anew, as it does when it took this process for dead.

        When it does not do so by itself, the group is left and joined again: only what it says then may be believed.
        """
        try:
            async with asyncio.timeout(SESSION_TIMEOUT_S):
                await self._changed.wait()
        except TimeoutError:
            _log.warning("bus.shard_contested", shard=shard, remedy="Run one group_id for one set of topics.")
            self._must_rejoin.set()
            await self._changed.wait()

    def assigned(self) -> None:
        """The group has decided anew."""
        self._changed.set()
        self._changed = asyncio.Event()

    @contextmanager
    def telling(self) -> Iterator[None]:
        """Around what the owner is told: its error ends ``run``, besides going on to aiokafka, which swallows it."""
        try:
            yield
        except asyncio.CancelledError:
            raise
        except BaseException as exc:
            self._failure = exc
            self._must_rejoin.set()
            raise


async def _left(consumer: Consumer) -> None:
    try:
        async with asyncio.timeout(LEFT_WITHIN_S):
            await consumer.stop()
    except KAFKA_FAILURES as exc:
        _log.warning("bus.group_left_late", cause=f"{type(exc).__name__}: {exc}".rstrip(": "))


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka is untyped
    def __init__(self, membership: GroupMembership, owner: Owner) -> None:
        self._membership = membership
        self._owner = owner

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        with self._membership.telling():
            await self._owner.hold()

    def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> Any:
        numbers = {partition.partition for partition in assigned}
        with self._membership.telling():
            self._owner.assign({number for number in numbers if number < self._membership.shards})
        self._membership.assigned()
