"""The composition root: from a configuration to parts that can run. Nothing here connects.

What is built here is closed by whoever asked for it, in reverse order.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from random import Random

from streamer.bus.kafka import KafkaBus
from streamer.bus.sqlite import SqliteBus
from streamer.clock import Clock, ServiceTime, SystemClock
from streamer.config import Settings
from streamer.daemon import Daemon
from streamer.logs import register_secret
from streamer.metrics import Metrics
from streamer.model import NS_PER_S, Lane
from streamer.source.client import ApiClient
from streamer.source.http_transport import HttpTransport
from streamer.source.throttle import Throttle
from streamer.source.token import TokenSource


@dataclass(frozen=True, slots=True)
class Running:
    """The parts of a daemon."""

    daemon: Daemon
    throttle: Throttle
    metrics: Metrics
    service_time: ServiceTime


def open_bus(settings: Settings) -> KafkaBus | SqliteBus:
    """The configured bus, not connected yet."""
    if settings.bus.kind == "kafka":
        return KafkaBus(settings.kafka, shards=settings.bus.shards, partitions=settings.samples_partitions)
    return SqliteBus(settings.bus.path, partitions=settings.bus.shards)


def open_api(
    settings: Settings, *, clock: Clock, service_time: ServiceTime, throttle: Throttle, metrics: Metrics, random: Random
) -> ApiClient:
    """The configured API, not connected yet. Whoever asked for it closes it."""
    source = settings.source
    transport = HttpTransport(
        source.base_url,
        max_connections=source.max_in_flight + 1,
        timeout_s=source.timeout / NS_PER_S,
        ca_file=str(source.ca_file) if source.ca_file else None,
    )
    tokens = TokenSource(
        transport,
        source.client_id,
        source.read_secret,
        clock,
        dialect=source.auth,
        on_token=register_secret,
    )

    def count(outcome: str, lane: Lane) -> None:
        metrics.requests.labels(lane.name.lower(), outcome).inc()

    return ApiClient(transport, tokens, throttle, service_time, clock, random=random, on_request=count)


@asynccontextmanager
async def assembled(settings: Settings) -> AsyncIterator[Running]:
    """A daemon and its parts, closed in reverse order at the end."""
    clock, random, metrics = SystemClock(), Random(), Metrics()  # noqa: S311  # jitter, not secrets
    service_time = ServiceTime(clock)
    throttle = Throttle(clock, random, max_in_flight=settings.source.max_in_flight, max_rate=settings.source.max_rate)
    api = open_api(settings, clock=clock, service_time=service_time, throttle=throttle, metrics=metrics, random=random)
    try:
        daemon = Daemon(
            settings,
            api=api,
            bus=open_bus(settings),
            service_time=service_time,
            clock=clock,
            metrics=metrics,
            random=random,
        )
        yield Running(daemon, throttle, metrics, service_time)
    finally:
        await api.close()
