"""Who owns the shards that this replica does not: asked of the bus while somebody looks, and never for long.

What is said is for people only. A bus that does not answer costs whoever looks a moment and the daemon nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass

from streamer.clock import Clock
from streamer.errors import StreamerError
from streamer.model import NS_PER_S

ASKED_EVERY_S = 5.0

ANSWERED_WITHIN_S = 5.0

WAITED_FOR_S = 0.5
"""How long whoever looks waits for an answer; a page is told the rest once a second and must not fall silent."""

KNOWN_FOR_S = 15.0
"""What is older is not known any more: nobody has looked meanwhile, or the bus does not answer."""

Ask = Callable[[], Awaitable[Mapping[int, str] | None]]
"""Asks the bus for the replica of each shard that has one; None while that is being decided anew."""


@dataclass(frozen=True, slots=True)
class Said:
    """What the bus said.

    Attributes:
        at_ns: of the monotonic clock, when it was asked.
        assigned: the shards that were assigned to this replica then.
        owners: the replica of each shard that has one; None while that is being decided, or when ``fault`` says why
            it is not known.
    """

    at_ns: int
    assigned: frozenset[int]
    owners: Mapping[int, str] | None
    fault: str = ""


class Owners:
    """The replicas by shard.

    Args:
        replica: what this one is called.
        ask: asks the bus. Raises StreamerError.
        clock: tells how old an answer is.
    """

    def __init__(self, replica: str, ask: Ask, clock: Clock) -> None:
        self.replica = replica
        self._ask = ask
        self._clock = clock
        self._said: Said | None = None
        self._asking: asyncio.Task[None] | None = None

    @property
    def said(self) -> Said | None:
        """What is known; None before anything was said, and when it is too old."""
        return self._said if self._said is not None and self._age_s(self._said) <= KNOWN_FOR_S else None

    async def renew(self, assigned: Collection[int]) -> None:
        """Ask anew when the answer gets old, or was given before this replica was assigned what it is now.

        Waits for the answer for a moment only, and raises nothing of it.
        """
        now = frozenset(assigned)
        is_asking = self._asking is not None and not self._asking.done()
        if not is_asking and not self._is_fresh(now):
            self._asking = asyncio.create_task(self._renew(now))
        if self._asking is not None:
            await asyncio.wait({self._asking}, timeout=WAITED_FOR_S)

    async def close(self) -> None:
        """Ask no more."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.gather(self._asking, return_exceptions=True)

    def _is_fresh(self, assigned: frozenset[int]) -> bool:
        said = self._said
        return said is not None and said.assigned == assigned and self._age_s(said) < ASKED_EVERY_S

    def _age_s(self, said: Said) -> float:
        return (self._clock.monotonic_ns() - said.at_ns) / NS_PER_S

    async def _renew(self, assigned: frozenset[int]) -> None:
        at_ns = self._clock.monotonic_ns()
        owners, fault = None, ""
        try:
            async with asyncio.timeout(ANSWERED_WITHIN_S):
                owners = await self._ask()
        except StreamerError as exc:
            fault = str(exc)
        except TimeoutError:
            fault = f"The bus has not said it within {ANSWERED_WITHIN_S:g} s."
        self._said = Said(at_ns, assigned, owners, fault)
