"""The buses under contract: in memory, on SQLite, on a real Kafka."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Protocol

import pytest

from streamer.bus.kafka import KafkaBus
from streamer.bus.sqlite import SqliteBus
from streamer.config import KafkaSettings, TopicSettings
from streamer.daemon import Bus
from streamer.pipeline import Writer

SHARDS = 2


class ReadableBus(Bus, Protocol):
    """A bus with its reading half."""

    async def close(self) -> None: ...

    async def lacks_oldest(self, shard: int) -> bool: ...


MakeBus = Callable[[], ReadableBus]
"""Another bus object on the same file or topics, as another process would have it."""


@pytest.fixture(params=["sqlite", pytest.param("kafka", marks=pytest.mark.kafka)])
def make_bus(request: pytest.FixtureRequest, tmp_path: Path) -> MakeBus:
    if request.param == "sqlite":
        return lambda: SqliteBus(tmp_path / "bus.db", partitions=SHARDS)
    servers = request.getfixturevalue("kafka_bootstrap")
    prefix = uuid.uuid4().hex[:8]
    settings = KafkaSettings(bootstrap_servers=(servers,), topics=TopicSettings.under(prefix))
    return lambda: KafkaBus(settings, shards=SHARDS, partitions=2 * SHARDS)


@pytest.fixture
async def bus(make_bus: MakeBus) -> AsyncIterator[ReadableBus]:
    bus = make_bus()
    await bus.open()
    yield bus
    await bus.close()


Acquire = Callable[[ReadableBus, int], Awaitable[Writer]]
"""Acquire a shard; the writer is closed at the end of the test."""


@pytest.fixture
async def acquire() -> AsyncIterator[Acquire]:
    writers: list[Writer] = []

    async def acquired(bus: ReadableBus, shard: int) -> Writer:
        writers.append(await bus.acquire(shard))
        return writers[-1]

    yield acquired
    for writer in writers:
        await writer.close()
