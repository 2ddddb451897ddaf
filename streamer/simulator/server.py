"""The simulated API on a socket, for as long as a context lasts."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from email.utils import formatdate

from aiohttp import web

from streamer.clock import Clock, SystemClock
from streamer.errors import ConfigurationError
from streamer.model import NS_PER_S
from streamer.simulator.api import BASE_PATH, Api
from streamer.simulator.credentials import Tokens
from streamer.simulator.scenario import FaultyAnswers, Scenario
from streamer.simulator.world import World

_SHUTDOWN_S = 0.1
_SYSTEM_CLOCK = SystemClock()


@dataclass(frozen=True, slots=True)
class Simulator:
    """A simulated API that is being served.

    Attributes:
        url: the base URL for clients, with the trailing slash.
        started_ns: what the times of the scenario count from.
    """

    url: str
    started_ns: int
    _api: Api

    @property
    def requests(self) -> int:
        """How many requests arrived, whatever became of them."""
        return self._api.requests

    @property
    def most_in_flight(self) -> int:
        """Most requests of the credential that were in flight at once, those included that were refused for it."""
        return self._api.most_in_flight

    @property
    def crowded(self) -> int:
        """How many requests were refused (429) because too many of the credential were in flight."""
        return self._api.crowded


@asynccontextmanager
async def serve(
    world: World,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    scenario: Scenario | None = None,
    client_id: str = "demo",
    client_secret: str = "demo",  # noqa: S107  # of a service with nothing to protect
    latency_s: float = 0.0,
    clock: Clock = _SYSTEM_CLOCK,
) -> AsyncIterator[Simulator]:
    """Serve the API until the context ends; requests in flight are then cut off.

    Args:
        world: what there is to ask for; the scenario disturbs it.
        host: the address to listen on.
        port: 0 for any that is free.
        scenario: what goes wrong, counted from now on.
        client_id: the one credential's name.
        client_secret: the one credential's secret.
        latency_s: pause before each answer.
        clock: its wall clock is the service's time.

    Raises:
        ConfigurationError: nothing can listen there; the port is taken, for instance.
    """
    scenario = scenario or Scenario()
    started_ns = clock.wall_ns()
    world.disturb(scenario.disturbances(started_ns))
    faults = FaultyAnswers(scenario, started_ns)
    api = Api(world, faults, Tokens(client_id, client_secret, faults.is_revoked), clock, latency_s=latency_s)

    async def label(request: web.Request, response: web.StreamResponse) -> None:
        response.headers["Date"] = formatdate(clock.wall_ns() // NS_PER_S, usegmt=True)
        response.headers["Deprecation"] = "true"

    application = web.Application()
    application.on_response_prepare.append(label)
    application.router.add_route("*", "/{path:.*}", api.handle)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=_SHUTDOWN_S)
    await runner.setup()
    try:
        yield Simulator(f"http://{host}:{await _listen(runner, host, port)}{BASE_PATH}", started_ns, api)
    finally:
        await runner.cleanup()


async def _listen(runner: web.AppRunner, host: str, port: int) -> int:
    try:
        await web.TCPSite(runner, host, port).start()
    except (OSError, OverflowError) as exc:
        reason = os.strerror(exc.errno) if isinstance(exc, OSError) and exc.errno else str(exc)
        problem = f"{host}:{port} cannot be listened on: {reason}"
        raise ConfigurationError([("port", problem)], "Choose another port.") from exc
    return int(runner.addresses[0][1])
