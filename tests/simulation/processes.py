"""What a process is to the world: a host with clocks, a gate to everything outside, and a doom that may wait for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass

from streamer.daemon import Daemon
from streamer.metrics import Metrics
from streamer.source.client import ApiClient
from tests.support.group import Group
from tests.support.virtual_time import VirtualClock

MOST_DRIFT_PPM = 50
"""Of true time against the hosts' clocks, and of the service's against true time: within rule 2's together."""

running: ContextVar[Process | None] = ContextVar("running", default=None)
"""The process whose code runs, None for the world's own."""


def nothing() -> None:
    """Nobody counts the steps of a process that is to live."""


class Gate:
    """Lets through what a process does to the world outside: never when it is dead, later when it is frozen."""

    def __init__(self) -> None:
        self.on_step = nothing
        self.is_dead = False
        self._thawed = asyncio.Event()
        self._thawed.set()

    def freeze(self) -> None:
        self._thawed.clear()

    @property
    def is_frozen(self) -> bool:
        return not self._thawed.is_set()

    def thaw(self) -> None:
        self._thawed.set()

    async def passed(self) -> None:
        self.on_step()
        await self._thawed.wait()
        if self.is_dead:
            await asyncio.Event().wait()


class Host:
    """The clocks that a process sees: both have an error of their own, and neither may decide about data wrongly.

    The monotonic one begins anywhere, and stands still while the host is suspended; the wall clock jumps. True time
    drifts against both, see ``VirtualClock``.
    """

    def __init__(self, clock: VirtualClock, *, origin_ns: int) -> None:
        self.on_step = nothing
        self._clock = clock
        self._origin_ns = origin_ns
        self._lost_ns = 0
        self._stands_at_ns: int | None = None
        self.wall_offset_ns = 0

    def monotonic_ns(self) -> int:
        self.on_step()
        run_ns = self._clock.monotonic_ns() if self._stands_at_ns is None else self._stands_at_ns
        return self._origin_ns + run_ns - self._lost_ns

    def wall_ns(self) -> int:
        return self._clock.service_ns() + self.wall_offset_ns

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def suspend(self) -> None:
        """The monotonic clock stands."""
        if self._stands_at_ns is None:
            self._stands_at_ns = self._clock.monotonic_ns()

    def resume(self) -> None:
        """It goes on from where it stood."""
        if self._stands_at_ns is not None:
            self._lost_ns += self._clock.monotonic_ns() - self._stands_at_ns
            self._stands_at_ns = None


class Replica:
    """A process's membership in the group of replicas; what it does not say cannot be heard."""

    def __init__(self, group: Group) -> None:
        self._group = group
        self.member = group.member()

    def silence(self) -> None:
        self._group.silence(self.member)

    async def thaw(self) -> None:
        await self._group.thaw(self.member)


@dataclass(slots=True)
class Doom:
    """When a process dies: at the ``countdown``-th time that it is at a failpoint, or after so many steps.

    A step is whatever leaves the process or comes in: a request, an answer, a record, a reading of the clock. A crash
    at any await between two of them looks the same from outside, and so it does on every Python.
    """

    failpoint: str | None
    countdown: int


class Process:
    """A daemon and what can be done to it.

    Args:
        membership: in the group of replicas.
        note: told of a death that was waited for.
    """

    def __init__(
        self,
        number: int,
        gate: Gate,
        host: Host,
        api: ApiClient,
        daemon: Daemon,
        metrics: Metrics,
        membership: Replica | None,
        note: Callable[[str], None],
    ) -> None:
        self.number = number
        self.gate = gate
        self.host = host
        self.daemon = daemon
        self._api = api
        self.metrics = metrics
        self.membership = membership
        self._note = note
        self._doom: Doom | None = None
        self.task: asyncio.Task[None]

    def start(self) -> None:
        """Run the daemon. Whatever it starts knows whose it is."""
        self.task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        running.set(self)
        try:
            await self.daemon.run()
        finally:
            await self._api.close()  # its connections end with it, however it ends

    def die(self) -> None:
        """As by SIGKILL: nothing of it reaches the world from this moment on."""
        if not self.gate.is_dead:
            self.gate.is_dead = True
            if self.membership is not None:
                self.membership.silence()
            self.task.cancel()

    def freeze(self) -> None:
        """As by SIGSTOP: nothing passes, no heartbeat is sent."""
        self.gate.freeze()
        if self.membership is not None:
            self.membership.silence()

    async def thaw(self) -> None:
        """It goes on, and finds that others may have its shards."""
        self.gate.thaw()
        if self.membership is not None and not self.gate.is_dead:
            await self.membership.thaw()

    def doomed(self, doom: Doom) -> None:
        """It will die when that comes to pass; an earlier doom is forgotten."""
        self._doom = doom
        self.gate.on_step = self.host.on_step = nothing if doom.failpoint else self._stepped

    def is_struck_at(self, failpoint: str) -> bool:
        """It is at a failpoint. Whether it dies there."""
        return self._doom is not None and self._doom.failpoint == failpoint and self._is_struck(failpoint)

    def _stepped(self) -> None:
        self._is_struck("a step")

    def _is_struck(self, where: str) -> bool:
        doom = self._doom
        if doom is None or self.gate.is_dead:
            return False
        doom.countdown -= 1
        if doom.countdown > 0:
            return False
        self._note(f"process {self.number} dies at {where}")
        self.die()
        return True


def passed(failpoint: str) -> None:
    """The program is at a failpoint. Raises CancelledError when its process dies there."""
    process = running.get()
    if process is not None and process.is_struck_at(failpoint):
        raise asyncio.CancelledError
