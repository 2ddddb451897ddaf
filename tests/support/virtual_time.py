"""An event loop whose time jumps to the next timer whenever there is nothing else to do.

Hours pass in seconds, and the same run gives the same order of events.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

from streamer.model import NS_PER_S

T = TypeVar("T")

EPOCH_NS = 1_768_557_600 * NS_PER_S
"""Where virtual wall time begins: 2026-01-16T10:00:00Z."""


class _JumpingSelector(selectors.DefaultSelector):
    """Never waits for I/O: moves the loop's clock forward by the time it would have waited."""

    def __init__(self) -> None:
        super().__init__()
        self.jumped_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout is None:
            raise RuntimeError("the program waits for something that can never happen")
        if not ready and timeout is not None:
            self.jumped_s += timeout
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """A loop on virtual time. Threads and sockets have no place in it."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        """Seconds of virtual time since the loop began."""
        return self._jumping.jumped_s


class VirtualClock:
    """The program's clock on virtual time. ``wall_offset_ns`` is the error of the host's wall clock."""

    def __init__(self) -> None:
        self.wall_offset_ns = 0

    def monotonic_ns(self) -> int:
        return round(asyncio.get_running_loop().time() * NS_PER_S)

    def service_ns(self) -> int:
        """The true time, as the service has it."""
        return EPOCH_NS + self.monotonic_ns()

    def wall_ns(self) -> int:
        return self.service_ns() + self.wall_offset_ns

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def run_virtually(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end on virtual time."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(main)
