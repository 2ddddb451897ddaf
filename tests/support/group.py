"""A consumer group in memory: members come, go, fall silent and come back; each change is a rebalance of all.

As Kafka's eager protocol has it: every live member is asked to hold, then each is told its part. A silent member
is asked nothing and told nothing; what it had goes to the others once its session is over.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection

from streamer.bus.membership import Owner

SESSION_S = 10.0
HEARTBEAT_S = 1.0


class Member:
    """One process's membership. ``is_silent`` models a process that is frozen as the group sees it."""

    def __init__(self, group: Group) -> None:
        self._group = group
        self._changed = asyncio.Event()
        self.owner: Owner | None = None
        self.shards: set[int] = set()
        self.is_silent = False

    async def run(self, owner: Owner) -> None:
        self.owner = owner
        try:
            await self._group.join(self)
            await asyncio.Event().wait()
        finally:
            self.owner = None
            self._group.leave(self)

    async def contested(self, shard: int) -> None:
        try:
            async with asyncio.timeout(SESSION_S):
                await self._changed.wait()
        except TimeoutError:
            changed = self._changed
            await self._group.rejoin(self)
            await changed.wait()

    def told(self, shards: Collection[int]) -> None:
        assert self.owner is not None
        self.shards = set(shards)
        self.owner.assign(shards)
        self._changed.set()
        self._changed = asyncio.Event()


class Group:
    """The coordinator. ``rebalances`` counts the assignments that were made."""

    def __init__(self, shards: int) -> None:
        self._shards = shards
        self._members: list[Member] = []
        self._lock = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self.rebalances = 0

    def member(self) -> Member:
        return Member(self)

    async def join(self, member: Member) -> None:
        if member not in self._members:  # thawed twice at once it joins once
            self._members.append(member)
        await self.rebalance()

    def leave(self, member: Member) -> None:
        if member in self._members and not member.is_silent:
            self._members.remove(member)
            self._later(0)

    def silence(self, member: Member) -> None:
        """The process freezes: after its session others have what it had."""
        member.is_silent = True
        self._later(SESSION_S, member)

    async def thaw(self, member: Member) -> None:
        """The process goes on; it joins anew, unless the group never missed it."""
        member.is_silent = False
        if member.owner is not None and member not in self._members:  # else it has yet to join, or was not missed
            await member.owner.hold()
            if member.owner is not None:  # its process may have ended meanwhile
                await self.join(member)

    async def rejoin(self, member: Member) -> None:
        """The member asks to be told anew; one that is silent is not heard."""
        if not member.is_silent:
            await self.rebalance()

    async def ended(self) -> None:
        """Forget what is still to come."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _later(self, seconds: float, expired: Member | None = None) -> None:
        async def later() -> None:
            await asyncio.sleep(seconds + HEARTBEAT_S)
            if expired is not None:
                if not expired.is_silent or expired not in self._members:
                    return
                self._members.remove(expired)
            await self.rebalance()

        task = asyncio.create_task(later())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def rebalance(self) -> None:
        """Ask all to hold, share out the shards with as few moves as can be, and tell each."""
        async with self._lock:
            self.rebalances += 1
            members = [member for member in self._members if member.owner is not None]
            live = [member for member in members if not member.is_silent]
            await asyncio.gather(*(member.owner.hold() for member in live if member.owner is not None))
            for member, shards in zip(members, self._shared(members), strict=True):
                if member in live and member in self._members and member.owner is not None:
                    member.told(shards)

    def _shared(self, members: list[Member]) -> list[set[int]]:
        quota = -(-self._shards // max(len(members), 1))
        parts = [set(sorted(member.shards)[:quota]) for member in members]
        taken: set[int] = set()
        for part in parts:
            part -= taken
            taken |= part
        for shard in sorted(set(range(self._shards)) - taken):
            min(parts, key=len, default=set()).add(shard)
        return parts
