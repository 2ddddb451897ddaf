"""``streamer reshard``: the ledger moved to the configured number of shards, and to the samples topic's partitions.

Every shard, as it was and as it will be, is fenced first, so that nothing is published meanwhile. All states are then
replaced in one transaction: a run that was interrupted has changed nothing or everything, and is simply begun again.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Protocol

from streamer.errors import LedgerUntrusted
from streamer.ledger.codec import HEAD, Head, decode_head
from streamer.ledger.ledger import Ledger
from streamer.ledger.reshape import reshaped
from streamer.model import SignalId
from streamer.pipeline import Writer


class Bus(Protocol):
    """Where the ledgers are."""

    async def open_to_reshape(self) -> int:
        """Connect and make the topics fit; how many shards may have a state."""
        ...

    async def acquire(self, shard: int) -> Writer:
        """Become the one writer of a shard."""
        ...

    @property
    def partitions(self) -> int:
        """Of the samples topic."""
        ...

    def partition_of(self, key: bytes) -> int:
        """The partition of the samples topic that a key belongs to."""
        ...

    async def replace_states(self, states: Mapping[int, Mapping[bytes, bytes | None]]) -> None:
        """Change the states of all shards in one transaction."""
        ...


@dataclass(frozen=True, slots=True)
class Shape:
    """How signals are divided: into shards, by partitions of the samples topic."""

    shards: int
    partitions: int


@dataclass(frozen=True, slots=True)
class Resharded:
    """What was done. ``before`` is None when no ledger was stored, and equal to ``after`` when nothing had to be done.

    Attributes:
        series: how many there are.
        moved: how many of them changed their shard.
    """

    before: Shape | None
    after: Shape
    series: int = 0
    moved: int = 0


async def reshard(bus: Bus, shards: int, owner: str) -> Resharded:
    """Move the ledger to this number of shards.

    Args:
        bus: not open yet; to be closed by the caller.
        shards: how many there are to be.
        owner: in whose name the new ledgers are signed.

    Raises:
        ShardTaken: a replica runs, or has the file.
        LedgerUntrusted: a ledger cannot be believed; nothing was changed.
        ConfigurationError: a topic cannot be made to fit.
    """
    stored = await bus.open_to_reshape()
    after = Shape(shards, bus.partitions)
    async with AsyncExitStack() as stack:
        states = {}
        for shard in range(max(stored, shards)):
            writer = await bus.acquire(shard)
            stack.push_async_callback(writer.close)
            states[shard] = await writer.restore()
        before = _shape_of({shard: decode_head(state[HEAD]) for shard, state in states.items() if HEAD in state})
        if before is None or before == after:
            return Resharded(before, after)
        ledgers = [
            Ledger.restore(states[shard], shard=shard, shards=before.shards, partitions=before.partitions, owner=owner)
            for shard in range(before.shards)
        ]
        homes = {name: ledger.shard for ledger in ledgers for names in ledger.members().values() for name in names}

        def shard_of(signal: SignalId) -> int:
            return bus.partition_of(signal.key.encode()) % shards

        made = reshaped(ledgers, shard_of, shards=shards, partitions=after.partitions, owner=owner)
        await bus.replace_states(
            {
                shard: {**dict.fromkeys(state), **(made[shard].changes() if shard < shards else {})}
                for shard, state in states.items()
            }
        )
    moved = sum(homes[name] != ledger.shard for ledger in made for names in ledger.members().values() for name in names)
    return Resharded(before, after, len(homes), moved)


def _shape_of(heads: Mapping[int, Head]) -> Shape | None:
    """The one shape that all heads were written with; None without any."""
    shapes = {Shape(head.shards, head.partitions) for head in heads.values()}
    if len(shapes) > 1:
        raise LedgerUntrusted(
            f"The ledgers of shards {', '.join(map(str, sorted(heads)))} were written with different shards.",
            "Nothing was changed. `streamer rebuild` makes them anew from the events that were published.",
        )
    return next(iter(shapes), None)
