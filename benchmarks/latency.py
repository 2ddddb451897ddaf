"""From the answer that first shows a sample to a read_committed consumer: what the daemon adds to the wait for a poll.

1,000 signals at 5 Hz, polled every second. The simulator notes when it first showed each sample, a consumer when it
read the event; both on this machine's monotonic clock. Beside it, in the same run, the limit: one record in a bare
transaction of aiokafka, from its beginning to the same kind of consumer.

    make bench, or: python -m tests.support.local_kafka -- python benchmarks/latency.py
"""

from __future__ import annotations

import asyncio
import signal
import sys
import time

import msgspec
import orjson
from _bench import DATABASE, bootstrap_servers, line, new_prefix, process, reading, settings
from aiokafka import AIOKafkaProducer
from rich.console import Console
from rich.table import Table

from streamer.logs import configure_logs
from streamer.running import run_daemon
from streamer.simulator.behaviour import Behaviour
from streamer.simulator.plants import demo_world
from streamer.simulator.server import serve
from streamer.simulator.tapes import Sample
from streamer.simulator.world import World
from streamer.source.instants import parse_instant
from streamer.wiring import assembled

SIGNALS, RATE_HZ = 1_000, 5.0
WARM_UP_S, MEASURED_S = 10.0, 30.0
BARE_COMMITS = 200
GOALS_MS = {50: 80, 99: 250}


class Event(msgspec.Struct):
    """What is looked at of an event."""

    index: int
    timestamp: str


class NotingWorld(World):
    """Notes when each sample was first shown."""

    def __init__(self, world: World) -> None:
        super().__init__(world.databases.values(), first_ns=world.first_ns)
        self.shown: dict[str, dict[int, float]] = {}

    def visible(self, database_id: int, index: int, start_ns: int, end_ns: int, now_ns: int) -> list[Sample]:
        """See ``World``."""
        samples = super().visible(database_id, index, start_ns, end_ns, now_ns)
        shown, now_s = self.shown.setdefault(str(index), {}), time.monotonic()
        for sample in samples:
            shown.setdefault(sample.instant_ns, now_s)
        return samples


async def simulate() -> None:
    """Serve until SIGTERM; then write to stdout what was shown when."""
    behaviour = Behaviour(usual_delay_ns=100_000_000, jitter_ns=50_000_000)
    world = NotingWorld(demo_world(synthetic_signals=SIGNALS, synthetic_hz=RATE_HZ, behaviours={DATABASE: behaviour}))
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    async with serve(world) as simulator:
        sys.stdout.write(f"{simulator.url}\n")
        sys.stdout.flush()
        await stopped.wait()
    sys.stdout.buffer.write(orjson.dumps(world.shown, option=orjson.OPT_NON_STR_KEYS))


async def bare_commits() -> list[float]:
    """Milliseconds from beginning a transaction of one record to reading it."""
    configuration = settings("http://127.0.0.1:1/", prefix=new_prefix())
    async with assembled(configuration) as parts:
        await parts.bus.open()
    topic, result = configuration.kafka.topics.samples, []
    async with (
        reading(topic, 1) as consumer,
        AIOKafkaProducer(bootstrap_servers=bootstrap_servers(), transactional_id=topic) as producer,
    ):
        for _ in range(BARE_COMMITS):
            began_s = time.monotonic()
            async with producer.transaction():
                await producer.send_and_wait(topic, b"x" * 250, partition=0)
            await consumer.getone()
            result.append((time.monotonic() - began_s) * 1000)
            await asyncio.sleep(0.05)
    return result


async def read_events(topic: str, partitions: int) -> dict[tuple[str, int], float]:
    """When each event was read, by index and instant."""
    received: dict[tuple[str, int], float] = {}
    decoder = msgspec.json.Decoder(Event)
    loop = asyncio.get_running_loop()
    async with reading(topic, partitions) as consumer:
        until_s = loop.time() + MEASURED_S
        while loop.time() < until_s:
            for messages in (await consumer.getmany(timeout_ms=100)).values():
                now_s = time.monotonic()
                for message in messages:
                    event = decoder.decode(message.value)
                    received.setdefault((str(event.index), parse_instant(event.timestamp)[0]), now_s)
    return received


async def through_the_daemon() -> list[float]:
    """Milliseconds from the first answer that shows a sample to reading its event."""
    async with process(__file__, "simulate") as simulator:
        url, prefix = await line(simulator), new_prefix()
        configuration = settings(url, prefix=prefix)
        async with process(__file__, "run", url, prefix):
            await asyncio.sleep(WARM_UP_S)
            received = await read_events(configuration.kafka.topics.samples, configuration.samples_partitions)
        simulator.terminate()
        assert simulator.stdout is not None
        shown = orjson.loads(await simulator.stdout.read())
    return [
        (read_s - shown[index][str(instant_ns)]) * 1000
        for (index, instant_ns), read_s in received.items()
        if str(instant_ns) in shown.get(index, {})
    ]


def main() -> None:
    """Measure both, and print them side by side."""
    configure_logs("console", "warning")
    table = Table("from, to", *(f"p{share}" for share in (50, 90, 99)), "max", "events", title="Milliseconds")
    for name, measured in (
        ("a bare transaction's beginning, to its reader", asyncio.run(bare_commits())),
        ("the answer that first shows a sample, to its reader", asyncio.run(through_the_daemon())),
    ):
        measured.sort()
        figures = [f"{measured[len(measured) * share // 100]:.0f}" for share in (50, 90, 99)]
        table.add_row(name, *figures, f"{measured[-1]:.0f}", f"{len(measured):,}")
    Console().print(table)
    Console().print(f"Goals: {', '.join(f'p{share} ≤ {goal} ms' for share, goal in GOALS_MS.items())}")


if __name__ == "__main__":
    if sys.argv[1:] == ["simulate"]:
        asyncio.run(simulate())
    elif sys.argv[1:2] == ["run"]:
        asyncio.run(run_daemon(settings(sys.argv[2], prefix=sys.argv[3])))
    else:
        main()
