"""A bus in memory with the contract of the real ones: atomic commits, fencing, a dead writer stays dead."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Mapping, Sequence

from aiokafka.partitioner import murmur2

from streamer.bus.membership import Alone
from streamer.bus.records import Record
from streamer.errors import BusStalled, BusUnreachable, OutcomeUnknown
from streamer.model import Closing, Notice, Records
from tests.support.group import Group, Member


class MemoryBus:
    """Everything that was committed, and how to make it fail.

    Attributes:
        records: committed events in order.
        committed: the same with the seconds of the loop at which they were committed.
        trimmed: those that retention has taken.
        state: committed state records by shard.
        notices: committed notices in order.
        commits: how many commits succeeded.
        broken: how many did not, or were cut short.
        fail_commits: the next commits that fail: ``"lost"`` before they happen, ``"unknown"`` after; ``"forgotten"`` as
            these, and nobody can read the shard's state until it has another writer.
        commit_s: how long a commit takes.
        forgotten: shards whose state nobody can read.
        acquired_s: how long it takes to become a writer.
        is_reachable: whether ``open`` and ``acquire`` work.
        group: shares the shards out; None when one process has all.
    """

    def __init__(self, partitions: int = 4, commit_s: float = 0.006) -> None:
        self.partitions = partitions
        self.commit_s = commit_s
        self.acquired_s = 0.0
        self.records: list[Records] = []
        self.committed: list[tuple[float, Records]] = []
        self.trimmed: list[Records] = []
        self.state: dict[int, dict[bytes, bytes]] = {}
        self.notices: list[Notice] = []
        self.commits = 0
        self.broken = 0
        self.fail_commits: list[str] = []
        self.forgotten: set[int] = set()
        self.is_reachable = True
        self.writers: dict[int, MemoryWriter] = {}
        self.group: Group | None = None
        self._ends: Counter[int] = Counter()

    async def open(self) -> None:
        self._reach()

    async def acquire(self, shard: int) -> MemoryWriter:
        self._reach()
        await asyncio.sleep(self.acquired_s)
        self.forgotten.discard(shard)
        self.writers[shard] = writer = MemoryWriter(self, shard)
        return writer

    async def read_state(self, shard: int) -> dict[bytes, bytes]:
        self._reach()
        if shard in self.forgotten:
            raise BusStalled("A transaction is open in the state.")
        return dict(self.state.get(shard, {}))

    def membership(self) -> Alone | Member:
        return Alone(self.partitions) if self.group is None else self.group.member()

    def partition_of(self, key: bytes) -> int:
        return int(murmur2(key) & 0x7FFFFFFF) % self.partitions

    def ends(self, shard: int) -> dict[int, int]:
        """Where the partitions of a shard end; a memory bus has a partition a shard."""
        return {shard: self._ends[shard]}

    def keep(self, records: Sequence[Records]) -> None:
        """Take what is committed."""
        now_s = asyncio.get_running_loop().time()
        self.records += records
        self.committed += ((now_s, some) for some in records)
        for some in records:
            self._ends[some.partition] += len(some.values)

    async def read(
        self, topic: str, *, last: int | None, follow: bool, shard: int | None = None
    ) -> AsyncGenerator[Record, None]:
        self._reach()
        if topic == "samples":
            for some in self.records:
                for offset, (value, at_ns) in enumerate(zip(some.values, some.timestamps_ns, strict=True)):
                    if shard in (None, some.partition):
                        yield Record(topic, some.partition, offset, some.key.decode(), {}, value, at_ns)
        for offset, notice in enumerate(self.notices):
            if notice.topic == topic:
                yield Record(topic, 0, offset, notice.key.decode(), {}, notice.value or b"null", notice.timestamp_ns)

    async def lacks_oldest(self, shard: int) -> bool:
        return bool(self.trimmed)

    def trim(self, count: int) -> None:
        """Let retention take the oldest events."""
        self.trimmed, self.records = self.records[:count], self.records[count:]

    async def close(self) -> None:
        pass

    def _reach(self) -> None:
        if not self.is_reachable:
            raise BusUnreachable("The bus in memory is away.")


class MemoryWriter:
    """A shard's writer; fenced by the next one."""

    def __init__(self, bus: MemoryBus, shard: int) -> None:
        self._bus = bus
        self._shard = shard
        self._is_dead = False

    async def restore(self) -> dict[bytes, bytes]:
        return dict(self._bus.state.get(self._shard, {}))

    async def commit(
        self, records: Sequence[Records], state: Mapping[bytes, bytes | None], closing: Closing | None = None
    ) -> None:
        self._bus.broken += 1
        await asyncio.sleep(self._bus.commit_s)
        fault = self._bus.fail_commits.pop(0) if self._bus.fail_commits else None
        if self._is_dead or fault == "lost" or self._bus.writers.get(self._shard) is not self:
            self._is_dead = True
            raise OutcomeUnknown("The commit did not happen.")
        self._bus.keep(records)
        if closing is not None:
            self._bus.notices += closing(self._bus.ends(self._shard))
        live = self._bus.state.setdefault(self._shard, {})
        for key, value in state.items():
            if value is None:
                live.pop(key, None)
            else:
                live[key] = value
        self._bus.commits += 1
        self._bus.broken -= 1
        if fault == "forgotten":
            self._bus.forgotten.add(self._shard)
        if fault in ("unknown", "forgotten"):
            self._is_dead = True
            raise OutcomeUnknown("The commit's answer was lost.")

    async def close(self) -> None:
        self._is_dead = True
