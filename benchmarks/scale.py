"""What 10,000 signals and 32 shards cost: restoring a ledger, a steady run beside its model, a restart, being idle.

make bench, or: python -m tests.support.local_kafka -- python benchmarks/scale.py [restore|steady|idle …]
"""

from __future__ import annotations

import asyncio
import resource
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import orjson
from _bench import new_prefix, process, reading, result, settings, simulator
from _ledgers import history
from rich.console import Console
from rich.table import Table

from docs.scaling import Load
from streamer.config import Settings
from streamer.ledger.ledger import Ledger
from streamer.logs import configure_logs
from streamer.running import run_daemon
from streamer.wiring import Parts, assembled

NOWHERE = "http://127.0.0.1:1/"

SHARDS = 4
RESTORED_SIGNALS, RESTORED_S = 2_500, 140
ENTRIES_GOAL = 1_000_000

SIGNALS, RATE_HZ, GROUP_SIZE, POLL_S, AGE_S = 10_000, 1.0, 20, 10, 120
"""One age: the simulator shares the machine, and each age is as many rows again."""

FILLING_S, STEADY_S = 140.0, 60.0
RESTARTS = 3
RESTART_GOAL_S = 5.0

IDLE_SHARDS, IDLE_SIGNALS, IDLE_S = 32, 320, 30.0
IDLE_GOAL = 0.05

console = Console()


class Cost(NamedTuple):
    """Seconds on the clock and of this process's CPU."""

    wall_s: float
    cpu_s: float

    @classmethod
    def now(cls) -> Cost:
        """Both clocks."""
        return cls(time.perf_counter(), time.process_time())

    @property
    def since(self) -> Cost:
        """What has passed since these clocks were read."""
        return Cost(time.perf_counter() - self.wall_s, time.process_time() - self.cpu_s)


async def restore() -> None:
    """How many entries a second a shard's ledger is restored at, and with the reading of its records from Kafka."""
    table = Table(title="Restoring a shard")
    for column in ("poll", "entries", "live records", "read, CPU s", "restore, CPU s", "entries/s of it", "of both"):
        table.add_column(column)
    for poll_s in (1, 5):
        configuration = settings(NOWHERE, prefix=new_prefix())
        async with assembled(configuration) as parts:
            await parts.bus.open()
            writer = await parts.bus.acquire(0)
            fresh = Ledger.restore({}, shard=0, shards=SHARDS, partitions=parts.bus.partitions, owner="bench")
            for changes in history(fresh, signals=RESTORED_SIGNALS, poll_s=poll_s, seconds=RESTORED_S):
                await writer.commit([], changes)
            began = Cost.now()
            state = await writer.restore()
            read, began = began.since, Cost.now()
            ledger = Ledger.restore(state, shard=0, shards=SHARDS, partitions=parts.bus.partitions, owner="bench")
            restored = began.since
            await writer.close()
        assert ledger.entries == fresh.entries
        table.add_row(
            f"{poll_s} s",
            f"{ledger.entries:,}",
            f"{len(state):,}",
            f"{read.cpu_s:.2f}",
            f"{restored.cpu_s:.2f}",
            f"{ledger.entries / restored.cpu_s:,.0f} (goal {ENTRIES_GOAL:,})",
            f"{ledger.entries / (read.cpu_s + restored.cpu_s):,.0f}",
        )
    console.print(table)


def steady_settings(url: str, prefix: str) -> Settings:
    """10,000 signals at 1 Hz, polled every ten seconds."""
    return settings(url, prefix=prefix, group_size=GROUP_SIZE, poll_interval=f"{POLL_S}s", lookback=[f"{AGE_S}s"])


class Counted(NamedTuple):
    """What a daemon has done so far."""

    requests: int
    samples: int
    cost: Cost

    @classmethod
    def of(cls, parts: Parts) -> Counted:
        """What a daemon on these parts has done."""
        return cls(parts.metrics.total("requests"), parts.metrics.total("samples_published"), Cost.now())


async def live(configuration: Settings, warm_up_s: float, measured_s: float) -> None:
    """Run a daemon and print as JSON what it did a second, once it is warm."""
    async with assembled(configuration) as parts:
        daemon = parts.daemon()
        work = asyncio.create_task(daemon.run())
        await asyncio.wait({work}, timeout=warm_up_s)
        before = Counted.of(parts)
        await asyncio.wait({work}, timeout=measured_s)
        after, snapshot = Counted.of(parts), daemon.snapshot()
        daemon.stop()
        await work
    wall_s = after.cost.wall_s - before.cost.wall_s
    said = {
        "requests": (after.requests - before.requests) / wall_s,
        "samples": (after.samples - before.samples) / wall_s,
        "cpu": (after.cost.cpu_s - before.cost.cpu_s) / wall_s,
        "entries": snapshot.ledger_entries,
        "shards": len(snapshot.shards),
        "rss_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }
    print(orjson.dumps(said).decode())


async def steady() -> None:
    """A run at 10,000 signals beside what the model says of it, and restarts with the ledger that it leaves."""
    async with simulator(SIGNALS, RATE_HZ) as url:
        prefix = new_prefix()
        said = await result(__file__, "live", url, prefix)
        configuration = steady_settings(url, prefix)
        said["state_bytes"] = await live_bytes(configuration)
        console.print(beside_the_model(said))
        restarts = [await restart(configuration, url, prefix) for _ in range(RESTARTS)]
    listed = ", ".join(f"{elapsed_s:.1f}" for elapsed_s in restarts)
    console.print(f"Restart to the first event after {listed} s (goal {RESTART_GOAL_S:g} s)")


def beside_the_model(said: dict[str, Any]) -> Table:
    """What was measured and what the formulae of docs/scaling.md give."""
    load = Load(SIGNALS, RATE_HZ, POLL_S, GROUP_SIZE, SHARDS, lookback_s=(AGE_S,))
    table = Table("", "measured", "model", title=f"{SIGNALS:,} signals at {RATE_HZ:g} Hz, polled every {POLL_S} s")
    for name, measured, expected in (
        ("requests/s", said["requests"], load.requests_a_second),
        ("samples/s", said["samples"], load.samples_a_second),
        ("ledger entries", said["entries"], load.entries),
        ("bytes of live state", said["state_bytes"], load.state_bytes),
    ):
        table.add_row(name, f"{measured:,.0f}", f"{expected:,.0f}")
    table.add_row("share of a core", f"{said['cpu']:.2f}", "")
    table.add_row("µs of CPU a sample", f"{1e6 * said['cpu'] / said['samples']:.1f}", "")
    table.add_row("resident MiB", f"{said['rss_bytes'] / 2**20:.0f}", "")
    return table


async def live_bytes(configuration: Settings) -> int:
    """Bytes of the live state records of all shards."""
    async with assembled(configuration) as parts:
        await parts.bus.open()
        states = [await parts.bus.read_state(shard) for shard in range(SHARDS)]
    return sum(len(key) + len(value) for state in states for key, value in state.items())


async def restart(configuration: Settings, url: str, prefix: str) -> float:
    """Seconds from starting the daemon to its first event that a reader finds."""
    async with reading(configuration.kafka.topics.samples, configuration.samples_partitions) as consumer:
        began_s = time.monotonic()
        async with process(__file__, "run", url, prefix):
            await consumer.getone()
            return time.monotonic() - began_s


async def idle() -> None:
    """What a daemon costs that owns many shards and has nothing to do."""
    async with simulator(IDLE_SIGNALS, RATE_HZ) as url:
        said = await result(__file__, "rest", url, new_prefix())
    console.print(
        f"Idle with {said['shards']} shards: {said['cpu']:.1%} of a core (goal {IDLE_GOAL:.0%}), "
        f"{said['rss_bytes'] / 2**20:.0f} MiB"
    )


PARTS: dict[str, Callable[[], Awaitable[None]]] = {"restore": restore, "steady": steady, "idle": idle}


async def main(names: list[str]) -> None:
    """Measure the parts that are named, or all."""
    configure_logs("console", "warning")
    match names:
        case ["live", url, prefix]:
            await live(steady_settings(url, prefix), FILLING_S, STEADY_S)
        case ["rest", url, prefix]:
            configuration = settings(url, prefix=prefix, poll_interval="10m", shards=IDLE_SHARDS)
            await live(configuration, IDLE_S / 2, IDLE_S)
        case ["run", url, prefix]:
            await run_daemon(steady_settings(url, prefix))
        case _:
            for name in names or PARTS:
                await PARTS[name]()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
