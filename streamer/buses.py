"""The bus that a configuration names, for whoever needs no more than that; ``wiring.py`` puts the rest around it.

Of the two only the one that is named is imported: what they stand on takes time to load.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from socket import gethostname
from typing import TYPE_CHECKING, TypeAlias

from streamer.config import Settings

if TYPE_CHECKING:
    from streamer.bus.kafka import KafkaBus
    from streamer.bus.sqlite import SqliteBus

ConfiguredBus: TypeAlias = "KafkaBus | SqliteBus"


def replica_name() -> str:
    """What this process is called where replicas are told apart: as its host, which on Kubernetes is the pod."""
    return gethostname()


@asynccontextmanager
async def configured_bus(settings: Settings) -> AsyncIterator[ConfiguredBus]:
    """The bus: built, not connected, and closed at the end."""
    bus = _bus(settings)
    try:
        yield bus
    finally:
        await bus.close()


def _bus(settings: Settings) -> ConfiguredBus:
    if settings.bus.kind == "kafka":
        from streamer.bus.kafka import KafkaBus

        return KafkaBus(
            settings.kafka,
            shards=settings.bus.shards,
            partitions=settings.samples_partitions,
            replica=replica_name(),
        )
    from streamer.bus.sqlite import SqliteBus

    return SqliteBus(settings.bus.path, partitions=settings.bus.shards)
