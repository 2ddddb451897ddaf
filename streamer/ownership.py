"""The shards that this process owns: a task each, from acquiring to letting go.

Who owns which shard, a membership decides (on Kafka a consumer group; an embedded bus has one owner). That is liveness
only: safety rests on the writer of a shard, which fences all earlier ones. An assignment that comes late, twice or
wrong costs a restart of the shard, never a sample.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any, Protocol

import structlog

from streamer.errors import BusError, BusStalled, OutcomeUnknown, ShardTaken
from streamer.failpoints import failpoint
from streamer.generation import Generation, Partitioned, Surroundings
from streamer.ledger.codec import HEAD, decode_head
from streamer.patience import Patience
from streamer.pipeline import Writer
from streamer.published import Readable, refuse_lost_state
from streamer.roster import Member

HELD_WITHIN_S = 6.0
"""How long commits in flight may take to end when shards are about to move: longer than the deadline of a commit."""

RELEASED_WITHIN_S = 2.0
"""How long ending what was left open may take when the process ends."""

_log = structlog.get_logger(__name__)


class Bus(Partitioned, Readable, Protocol):
    """Where the writers of shards come from."""

    async def acquire(self, shard: int) -> Writer:
        """Become the one writer of a shard."""
        ...

    async def read_state(self, shard: int) -> dict[bytes, bytes]:
        """The state records of a shard as last committed, without becoming its writer."""
        ...


class Membership(Protocol):
    """Decides which shards this process owns."""

    async def run(self, owner: Ownership) -> None:
        """Tell the owner what it has, until cancelled; then leave, so that others take over at once."""
        ...

    async def contested(self, shard: int) -> None:
        """Another instance has written this shard: return when it may be acquired again.

        Raises:
            ShardTaken: it may not; this process has to stop.
        """
        ...


class Tenure:
    """One shard that this process is to own.

    Attributes:
        released: set when it is to let go.
        generation: None until the shard is acquired.
        is_restored: whether the generation has taken over and serves.
        is_in_doubt: whether its last generation was cut short, and may have left a transaction open.
    """

    def __init__(self, shard: int) -> None:
        self.shard = shard
        self.released = asyncio.Event()
        self.generation: Generation | None = None
        self.is_restored = False
        self.is_in_doubt = False


Wanted = tuple[list[Member], asyncio.Event]
"""The members of a shard as they are now, and an event that is set when they are no longer these."""


class Ownership:
    """All shards of one process.

    Args:
        around: what all generations share.
        bus: gives writers.
        membership: decides what is owned.
        patience: pauses between attempts.
        wanted: what a generation of a shard begins with.
        service_now: the service's time, waited for.
        on_assigned: told how many shards this process is to own, whenever that is decided anew.
    """

    def __init__(
        self,
        around: Surroundings,
        *,
        bus: Bus,
        membership: Membership,
        patience: Patience,
        wanted: Callable[[int], Wanted],
        service_now: Callable[[], Awaitable[int]],
        on_assigned: Callable[[int], None],
    ) -> None:
        self._around = around
        self._bus = bus
        self.membership = membership
        self._patience = patience
        self._wanted = wanted
        self._service_now = service_now
        self._on_assigned = on_assigned
        self._tenures: dict[int, Tenure] = {}
        self._tasks: dict[asyncio.Task[None], Tenure] = {}
        self._in_force = asyncio.Event()
        self._is_ending = False
        self._signed: set[int] = set()
        self._ended = asyncio.Event()
        self.is_assigned = False

    @property
    def assigned(self) -> Collection[int]:
        """The shards that are to be owned."""
        return self._tenures.keys()

    @property
    def generations(self) -> dict[int, Generation]:
        """The shards that are owned and restored."""
        return {
            shard: tenure.generation
            for shard, tenure in self._tenures.items()
            if tenure.generation is not None and tenure.is_restored
        }

    @property
    def is_ready(self) -> bool:
        """Whether it was decided what is to be owned, and all of that is owned and restored."""
        return self.is_assigned and len(self.generations) == len(self._tenures)

    async def run(self, stopping: asyncio.Event) -> None:
        """Own what is assigned until told to stop; then commit what has arrived, let go, and leave.

        Raises:
            ShardTaken: another instance writes a shard for good.
            LedgerUntrusted: a stored ledger cannot be believed.
        """
        telling = asyncio.create_task(self.membership.run(self))
        told = asyncio.create_task(stopping.wait())
        try:
            await self._watch(telling, told)
            self._is_ending = True
            self._release(list(self._tenures.values()))
            self._in_force.set()
            await self._watch(telling)
        finally:
            self._is_ending = True
            await _cancelled([*self._tasks, told])
            try:
                if stopping.is_set():
                    in_doubt = [tenure for tenure in self._tenures.values() if tenure.is_in_doubt]
                    await asyncio.gather(*map(self._end_transaction, in_doubt))
            finally:
                await _cancelled([telling])  # a farewell, also when there is no more time for the rest

    async def _watch(self, telling: asyncio.Task[None], told: asyncio.Task[bool] | None = None) -> None:
        """Wait for the end of anything that ends the process, or of all shards; raise its error."""
        while not (told.done() if told else not self._tasks):
            self._ended.clear()
            ended = asyncio.ensure_future(self._ended.wait())
            try:
                others = [telling, ended] if told is None else [telling, ended, told]
                await asyncio.wait(others, return_when=asyncio.FIRST_COMPLETED)
            finally:
                ended.cancel()
            if telling.done():
                telling.result()
            for task in [task for task in self._tasks if task.done()]:
                del self._tasks[task]
                if not task.cancelled():
                    task.result()

    async def hold(self) -> None:
        """Shards may be about to move: start no commit and wait for those in flight; acquire nothing.

        Bounded in time. What arrives meanwhile waits for the next assignment.
        """
        self._in_force.clear()
        acquiring = [shard for shard, tenure in self._tenures.items() if tenure.generation is None]
        given_up = self._release([self._tenures.pop(shard) for shard in acquiring])
        generations = [tenure.generation for tenure in self._tenures.values() if tenure.generation is not None]
        held = [asyncio.ensure_future(generation.hold()) for generation in generations]
        if given_up or held:
            await asyncio.wait([*given_up, *held], timeout=HELD_WITHIN_S)
        for waiting in held:
            waiting.cancel()

    def _release(self, tenures: Collection[Tenure]) -> list[asyncio.Task[None]]:
        """Let go of shards; what does not serve yet is cut short, and its tasks are returned."""
        for tenure in tenures:
            tenure.released.set()
        tasks = [task for task, tenure in self._tasks.items() if tenure in tenures and not tenure.is_restored]
        for task in tasks:
            task.cancel()
        return tasks

    def assign(self, shards: Collection[int]) -> None:
        """Own these shards from now on. One that stays goes on where it was; one that went is let go of as it is."""
        if self._is_ending:
            return
        self._release([self._tenures.pop(shard) for shard in set(self._tenures).difference(shards)])
        for tenure in self._tenures.values():
            if tenure.generation is not None:
                tenure.generation.resume()
        for shard in sorted(set(shards).difference(self._tenures)):
            tenure = self._tenures[shard] = Tenure(shard)
            task = asyncio.create_task(self._own(tenure))
            self._tasks[task] = tenure
            task.add_done_callback(lambda _: self._ended.set())
        self._in_force.set()
        self.is_assigned = True
        self._on_assigned(len(self._tenures))
        _log.info("ownership.assigned", shards=sorted(shards))

    async def _own(self, tenure: Tenure) -> None:
        """Own a shard, generation after generation, until it is released."""
        failures, who = 0, str(tenure.shard)
        while True:
            await self._in_force.wait()
            if tenure.released.is_set():
                return
            try:
                await self._generation(tenure)
                failures = 0
            except ShardTaken:
                raise
            except BusError as exc:
                if tenure.released.is_set():
                    return
                self._around.complaints.say(
                    "bus.commit_failed", exc.what, who=who, remedy=exc.remedy, shard=tenure.shard
                )
                if isinstance(exc, OutcomeUnknown):
                    self._around.metrics.recreated.inc()
                    await self._look_who_writes(tenure)
                await self._patience.pause(failures)
                failures += 1

    async def _look_who_writes(self, tenure: Tenure) -> None:
        """After a commit that may have been fenced. Raises ShardTaken when another instance has the shard for good."""
        if await self._is_taken(tenure.shard):
            self._around.metrics.fenced.inc()
            tenure.is_in_doubt = False
            await self.membership.contested(tenure.shard)

    async def _is_taken(self, shard: int) -> bool:
        """Whether another instance has signed the ledger since this one did.

        Only the ledger tells: a fenced producer and one whose transaction the broker timed out look alike.
        """
        if shard not in self._signed:
            return False

        async def look() -> Mapping[bytes, bytes]:
            try:
                return await self._bus.read_state(shard)
            except BusStalled:  # what is open there, and forgotten, the next writer ends: that is to be this one
                return {}

        state = await self._patience.persist("bus.unreachable", "bus.reached", look)
        return HEAD in state and decode_head(state[HEAD]).owner != self._around.owner

    async def _generation(self, tenure: Tenure) -> None:
        """One ownership of a shard, until it is released, its members change or a commit fails."""
        members, renewed = self._wanted(tenure.shard)
        writer = await self._bus.acquire(tenure.shard)
        tenure.is_in_doubt = True
        try:
            failpoint("shard.acquired")
            generation = await Generation.begin(self._around, tenure.shard, writer, members, self._bus)
            if generation.ledger.is_fresh:
                await refuse_lost_state(self._bus, tenure.shard)
            now_ns = await self._service_now()
            tenure.generation = generation
            await generation.adopt(members, now_ns)
            self._took_over(tenure, generation)
            await generation.serve([tenure.released, renewed])
            tenure.is_in_doubt = False
        finally:
            tenure.generation, tenure.is_restored = None, False
            await writer.close()

    async def _end_transaction(self, tenure: Tenure) -> None:
        """End what a generation cut short has left open, lest readers wait for the broker's timeout.

        Acquiring the shard does that. Only before leaving: nobody else has been given the shard yet.
        """
        try:
            async with asyncio.timeout(RELEASED_WITHIN_S):
                await (await self._bus.acquire(tenure.shard)).close()
        except (BusError, TimeoutError):
            remedy = "The broker ends it after its timeout; readers wait for that long."
            self._around.complaints.say("bus.transaction_left_open", f"shard {tenure.shard}", remedy=remedy)

    def _took_over(self, tenure: Tenure, generation: Generation) -> None:
        around, shard = self._around, tenure.shard
        self._signed.add(shard)
        tenure.is_restored = True
        around.metrics.acquired.inc()
        around.complaints.over("bus.commit_failed", "bus.commit_recovered", who=str(shard))
        _log.info("ledger.restored", shard=shard, groups=len(generation.groups), entries=generation.ledger.entries)


async def _cancelled(tasks: Collection[asyncio.Task[Any]]) -> None:
    """Cancel tasks and wait until all have ended."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
