"""The composition root: from a configuration to parts that can run. Nothing here connects.

What is built here is closed by whoever asked for it, in reverse order.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from random import Random

from streamer.buses import ConfiguredBus, configured_bus, replica_name
from streamer.clock import Clock, ServiceTime, SystemClock
from streamer.config import Settings, SourceSettings
from streamer.daemon import Daemon
from streamer.logs import register_secret
from streamer.metrics import Metrics
from streamer.model import NS_PER_S, Lane
from streamer.source.client import ApiClient
from streamer.source.http_transport import HttpTransport
from streamer.source.throttle import Throttle
from streamer.source.token import TokenSource
from streamer.status.board import Board
from streamer.status.collector import StateCollector
from streamer.status.owners import Owners
from streamer.status.server import StatusServer


@dataclass(frozen=True, slots=True)
class Parts:
    """What a configuration gives: built, not connected. Whoever asked for them closes them."""

    settings: Settings
    clock: Clock
    random: Random
    metrics: Metrics
    service_time: ServiceTime
    throttle: Throttle
    tokens: TokenSource
    api: ApiClient
    bus: ConfiguredBus

    def daemon(self) -> Daemon:
        """A daemon on these parts."""
        return Daemon(
            self.settings,
            api=self.api,
            bus=self.bus,
            service_time=self.service_time,
            clock=self.clock,
            metrics=self.metrics,
            random=self.random,
            on_share=self.throttle.take_share,
        )

    def status_server(self, daemon: Daemon) -> StatusServer:
        """What shows a daemon on these parts; to be asked for once."""
        self.metrics.registry.register(StateCollector(daemon, self.throttle, self.tokens, self.settings))
        owners = Owners(replica_name(), self.bus.owners, self.clock)
        board = Board(daemon, self.throttle, self.metrics.arrival_delay, self.clock, self.settings.bus, owners)
        return StatusServer(board, self.metrics, self.settings.status.host, self.settings.status.port)


@asynccontextmanager
async def assembled(settings: Settings) -> AsyncIterator[Parts]:
    """The parts, closed in reverse order at the end."""
    clock, random, metrics = SystemClock(), Random(), Metrics()  # noqa: S311  # jitter, not secrets
    service_time = ServiceTime(clock)
    throttle = Throttle(clock, random, max_in_flight=settings.source.max_in_flight, max_rate=settings.source.max_rate)
    transport = _transport(settings.source)
    tokens = _tokens(settings.source, transport, clock, metrics)

    def count(outcome: str, lane: Lane) -> None:
        metrics.requests.labels(lane.name.lower(), outcome).inc()

    api = ApiClient(transport, tokens, throttle, service_time, clock, random=random, on_request=count)
    try:
        async with configured_bus(settings) as bus:
            yield Parts(settings, clock, random, metrics, service_time, throttle, tokens, api, bus)
    finally:
        await api.close()


def _transport(source: SourceSettings) -> HttpTransport:
    return HttpTransport(
        source.base_url,
        max_connections=source.max_in_flight + 1,
        timeout_s=source.timeout / NS_PER_S,
        ca_file=str(source.ca_file) if source.ca_file else None,
    )


def _tokens(source: SourceSettings, transport: HttpTransport, clock: Clock, metrics: Metrics) -> TokenSource:
    return TokenSource(
        transport,
        source.client_id,
        source.read_secret,
        clock,
        dialect=source.auth,
        on_token=register_secret,
        on_failed=lambda error: metrics.token_failures.labels(type(error).__name__).inc(),
    )
