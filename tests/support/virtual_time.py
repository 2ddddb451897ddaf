"""An event loop whose time jumps to the next timer whenever there is nothing else to do.

Hours pass in seconds, and the same run gives the same order of events, in every process and on every Python: sets of
tasks and futures, over which asyncio iterates, are ordered by their numbers and not by where they lie in memory.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from itertools import count
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


class _NumberedTask(asyncio.Task[Any]):
    def __init__(self, number: int, coroutine: Coroutine[Any, Any, Any], **options: Any) -> None:
        self._number = number
        super().__init__(coroutine, **options)

    def __hash__(self) -> int:
        return self._number


class _NumberedFuture(asyncio.Future[Any]):
    def __init__(self, number: int, *, loop: asyncio.AbstractEventLoop) -> None:
        self._number = number
        super().__init__(loop=loop)

    def __hash__(self) -> int:
        return self._number


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """A loop on virtual time. Threads and sockets have no place in it."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        self._numbers = count()
        super().__init__(self._jumping)
        self.set_task_factory(self._numbered_task)

    def time(self) -> float:
        """Seconds of virtual time since the loop began."""
        return self._jumping.jumped_s

    def create_future(self) -> asyncio.Future[Any]:
        """A future that sets keep in the order of creation."""
        return _NumberedFuture(next(self._numbers), loop=self)

    def _numbered_task(self, loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> asyncio.Task[Any]:
        return _NumberedTask(next(self._numbers), coroutine, loop=loop, **options)


class VirtualClock:
    """The program's clock on virtual time. ``wall_offset_ns`` is the error of the host's wall clock.

    Args:
        drift_ppm: by how much true time runs faster than this host's.
    """

    def __init__(self, drift_ppm: float = 0.0) -> None:
        self.wall_offset_ns = 0
        self._drift_ppm = drift_ppm

    def monotonic_ns(self) -> int:
        return round(asyncio.get_running_loop().time() * NS_PER_S)

    def service_ns(self) -> int:
        """The true time, as the service has it."""
        run_ns = self.monotonic_ns()
        return EPOCH_NS + run_ns + int(run_ns * self._drift_ppm / 1e6)

    def wall_ns(self) -> int:
        return self.service_ns() + self.wall_offset_ns

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def run_virtually(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end on virtual time."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(main)
