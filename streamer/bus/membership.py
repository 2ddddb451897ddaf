"""Who owns which shard, as far as the bus decides it; here the case of one owner for all of them.

Called by the ownership of the process. What is decided here matters for liveness only, see ``streamer.ownership``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Protocol

from streamer.errors import ShardTaken


class Owner(Protocol):
    """What is told of assignments."""

    async def hold(self) -> None:
        """Shards may be about to move: start no commit, and return when none is in flight. Bounded in time."""
        ...

    def assign(self, shards: Collection[int]) -> None:
        """Own exactly these shards from now on."""
        ...


class Alone:
    """One process owns all shards: the embedded bus, which lets no second one in.

    Args:
        shards: how many there are.
    """

    def __init__(self, shards: int) -> None:
        self._shards = shards

    async def run(self, owner: Owner) -> None:
        """Assign everything; that never changes."""
        owner.assign(range(self._shards))
        await asyncio.Event().wait()

    async def contested(self, shard: int) -> None:
        """Nobody else may write here. Raises ShardTaken."""
        raise ShardTaken(
            f"Another instance writes shard {shard} now; this one stops.",
            "Run one instance for this bus; everything up to its last commit is published.",
        )
