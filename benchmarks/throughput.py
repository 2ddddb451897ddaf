"""Samples a second that one core of client CPU drains out of history, through Kafka.

Three clients drain the same history from the same simulator, one after the other: the daemon itself; a floor that
decodes, encodes and commits in the shape of the fast path, without ledger or planner; and a naive loop as most would
write it, a ``send`` a sample, without any memory of what was published. CPU is user + system of the client alone.

    make bench, or: python -m tests.support.local_kafka -- python benchmarks/throughput.py
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import aiohttp
import msgspec
import orjson
from _bench import DATABASE, bootstrap_servers, new_prefix, result, settings, simulator
from aiokafka import AIOKafkaProducer
from rich.console import Console
from rich.table import Table

from streamer.logs import configure_logs
from streamer.model import NS_PER_MS
from streamer.source.instants import parse_instant
from streamer.wiring import assembled

SIGNALS, RATE_HZ, HISTORY_S = 200, 5.0, 1800
GROUP, WINDOW_S = 10, 600
FIRST_INDEX = 1001
PARTITIONS = 12
GOAL = 120_000


class Row(msgspec.Struct, gc=False):
    """A row of an answer."""

    index: int
    timestamp: str
    value: float


async def daemon(url: str) -> int:
    """Drain with the daemon; return the samples published."""
    wanted = int(SIGNALS * RATE_HZ * HISTORY_S)
    configuration = settings(url, prefix=new_prefix(), start=f"{HISTORY_S}s", group_size=GROUP)
    async with assembled(configuration) as parts:
        running = parts.daemon()
        work = asyncio.create_task(running.run())
        while parts.metrics.total("samples_published") < wanted:  # noqa: ASYNC110  # counters have no event
            await asyncio.sleep(0.05)
        published = parts.metrics.total("samples_published")
        running.stop()
        await work
    return published


async def answers(url: str) -> AsyncIterator[bytes]:
    """The bodies of all answers for the whole history, four requests in flight."""
    end_s = int(time.time()) - 5

    def text(instant_s: int) -> str:
        return datetime.fromtimestamp(instant_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    async with aiohttp.ClientSession(base_url=url) as session:
        minted = await (await session.post("v1/auth/token", json={"clientId": "demo", "clientSecret": "demo"})).json()
        session.headers["Authorization"] = f"Bearer {minted['accessToken']}"
        budget = asyncio.Semaphore(3)

        async def ask(first: int, start_s: int) -> bytes:
            question = {
                "databaseId": DATABASE,
                "measurementIndexes": [str(first + at) for at in range(GROUP)],
                "startTime": text(start_s),
                "endTime": text(min(start_s + WINDOW_S, end_s)),
            }
            async with budget, session.post("v1/query", json=question) as response:
                response.raise_for_status()
                return await response.read()

        questions = [
            ask(FIRST_INDEX + group * GROUP, start_s)
            for start_s in range(end_s - HISTORY_S, end_s, WINDOW_S)
            for group in range(SIGNALS // GROUP)
        ]
        for answered in asyncio.as_completed(questions):
            yield await answered


async def new_topic(url: str) -> str:
    """A samples topic as the daemon's."""
    configuration = settings(url, prefix=new_prefix())
    async with assembled(configuration) as parts:
        await parts.bus.open()
    return configuration.kafka.topics.samples


async def floor(url: str) -> int:
    """Decode, encode and commit in the shape of the fast path."""
    decoder = msgspec.json.Decoder(list[Row])
    count, topic = 0, await new_topic(url)
    async with AIOKafkaProducer(
        bootstrap_servers=bootstrap_servers(),
        transactional_id=topic,
        compression_type="zstd",
        max_batch_size=512 * 1024,
    ) as producer:
        instants: dict[str, int] = {}
        async for body in answers(url):
            rows = decoder.decode(body)
            batches: dict[int, list[Any]] = {}
            for row in rows:
                instant_ns = instants.get(row.timestamp)
                if instant_ns is None:
                    instant_ns = instants[row.timestamp] = parse_instant(row.timestamp)[0]
                value = (
                    f'{{"database_id":{DATABASE},"index":{row.index},"tag":"SYN","timestamp":"{row.timestamp}Z",'
                    f'"value":{row.value!r},"unit":"1","aggregation":null,"resample_period":null,"revision":0,'
                    f'"late":false,"stream":"bench","observed_at":"2026-01-16T10:00:01.113Z"}}'
                ).encode()
                key, timestamp = b"9:%d" % row.index, instant_ns // NS_PER_MS
                full = batches.setdefault(row.index % PARTITIONS, [producer.create_batch()])
                if full[-1].append(timestamp=timestamp, key=key, value=value) is None:
                    full.append(producer.create_batch())
                    full[-1].append(timestamp=timestamp, key=key, value=value)
            await producer.begin_transaction()
            sent = [
                await producer.send_batch(batch, topic, partition=partition)
                for partition, full in batches.items()
                for batch in full
            ]
            await asyncio.gather(*sent)
            await producer.commit_transaction()
            count += len(rows)
    return count


async def naive(url: str) -> int:
    """A dict, a ``json.dumps`` and a ``send`` a sample."""
    count, topic = 0, await new_topic(url)
    async with AIOKafkaProducer(bootstrap_servers=bootstrap_servers(), transactional_id=topic) as producer:
        async for body in answers(url):
            rows = json.loads(body)
            async with producer.transaction():
                for row in rows:
                    event = {
                        "database_id": DATABASE,
                        "index": row["index"],
                        "tag": "SYN",
                        "timestamp": row["timestamp"] + "Z",
                        "value": row["value"],
                        "unit": "1",
                        "aggregation": None,
                        "resample_period": None,
                        "revision": 0,
                        "late": False,
                        "stream": "bench",
                        "observed_at": datetime.now(UTC).isoformat(),
                    }
                    instant = datetime.fromisoformat(row["timestamp"]).replace(tzinfo=UTC)
                    await producer.send(
                        topic,
                        json.dumps(event).encode(),
                        key=f"{DATABASE}:{row['index']}".encode(),
                        timestamp_ms=int(instant.timestamp() * 1000),
                    )
            count += len(rows)
    return count


CLIENTS: dict[str, Callable[[str], Awaitable[int]]] = {"daemon": daemon, "floor": floor, "naive": naive}


async def measure(name: str, url: str) -> None:
    """Run one client and print its figures as JSON."""
    configure_logs("console", "warning")
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    samples = await CLIENTS[name](url)
    wall_s, cpu_s = time.perf_counter() - wall_s, time.process_time() - cpu_s
    print(orjson.dumps({"samples": samples, "wall_s": wall_s, "cpu_s": cpu_s}).decode())


async def main() -> None:
    """Measure all clients against one simulator."""
    table = Table("client", "samples", "wall s", "CPU s", "µs a sample", "samples/s a core", title="Drain of history")
    async with simulator(SIGNALS, RATE_HZ) as url:
        for name in CLIENTS:
            said = await result(__file__, name, url)
            rate = said["samples"] / said["cpu_s"]
            table.add_row(
                name,
                f"{said['samples']:,}",
                f"{said['wall_s']:.1f}",
                f"{said['cpu_s']:.1f}",
                f"{1e6 / rate:.2f}",
                f"{rate:,.0f}" + (f" (goal {GOAL:,})" if name == "daemon" else ""),
            )
    Console().print(table)


if __name__ == "__main__":
    asyncio.run(measure(*sys.argv[1:]) if sys.argv[1:] else main())
