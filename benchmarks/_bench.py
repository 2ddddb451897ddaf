"""What the benchmarks share: the simulator and clients as processes of their own, and the topics of one run."""

from __future__ import annotations

import asyncio
import os
import sys
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition

from streamer.config import Settings, TopicSettings, load_settings

DATABASE = 9
"""The simulator's synthetic signals."""


def bootstrap_servers() -> str:
    """The Kafka to measure on."""
    servers = os.environ.get("KAFKA_BOOTSTRAP_SERVERS")
    if not servers:
        raise SystemExit("KAFKA_BOOTSTRAP_SERVERS is missing; `make bench` brings a Kafka of its own.")
    return servers


def settings(url: str, *, prefix: str, shards: int = 4, **stream: Any) -> Settings:
    """The daemon's configuration for one stream of all synthetic signals, to topics of a prefix."""
    base = load_settings(
        None,
        {
            "POWERP_API_BASE_URL": url,
            "POWERP_CLIENT_ID": "demo",
            "POWERP_CLIENT_SECRET": "demo",
            "KAFKA_BOOTSTRAP_SERVERS": bootstrap_servers(),
            "STREAMER_BUS__KIND": "kafka",
            "STREAMER_BUS__SHARDS": str(shards),
            "STREAMER_STATUS__PORT": "0",
        },
    )
    streams = [{"name": "bench", "database_id": DATABASE, "all": True, **stream}]
    kafka = base.kafka.model_copy(update={"topics": TopicSettings.under(prefix)})
    return Settings.model_validate({**dict(base), "streams": streams, "kafka": kafka})


def new_prefix() -> str:
    """For topics that no other run has."""
    return f"bench-{uuid.uuid4().hex[:8]}"


@asynccontextmanager
async def reading(topic: str, partitions: int) -> AsyncIterator[AIOKafkaConsumer]:
    """A read_committed consumer at the end of a topic."""
    async with AIOKafkaConsumer(bootstrap_servers=bootstrap_servers(), isolation_level="read_committed") as consumer:
        consumer.assign([TopicPartition(topic, number) for number in range(partitions)])
        await consumer.seek_to_end()
        yield consumer


@asynccontextmanager
async def process(*arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A Python process that ends with the context; its stdout is read by whoever started it."""
    started = await asyncio.create_subprocess_exec(sys.executable, *arguments, stdout=asyncio.subprocess.PIPE)
    try:
        yield started
    finally:
        if started.returncode is None:
            started.terminate()
            await started.wait()


async def line(started: asyncio.subprocess.Process) -> str:
    """The next line that a process prints."""
    assert started.stdout is not None
    return (await started.stdout.readline()).decode().strip()


async def result(*arguments: str) -> dict[str, Any]:
    """What a process that measures something says in its only line: a JSON object."""
    async with process(*arguments) as started:
        said = orjson.loads(await line(started) or b"{}")
        await started.wait()
    if not said:
        raise SystemExit(f"{' '.join(arguments)} failed")
    return dict(said)


@asynccontextmanager
async def simulator(signals: int, rate_hz: float) -> AsyncIterator[str]:
    """The URL of a simulator in a process of its own."""
    options = ("--port", "0", "--signals", str(signals), "--rate", str(rate_hz))
    async with process("-m", "streamer", "simulate", *options) as started:
        yield (await line(started)).split()[0]
