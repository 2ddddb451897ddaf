"""A daemon under trial: a fault proxy before the API, another before the broker, and an auditor who goes past both."""

from __future__ import annotations

import asyncio
import json
import time
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from streamer.config import Settings, load_settings
from streamer.demo_audit import audited
from streamer.model import NS_PER_S, align_down
from streamer.simulator.api import BASE_PATH
from streamer.simulator.audit import Verdict
from streamer.simulator.plants import SYNTHETIC
from streamer.simulator.server import serve
from streamer.simulator.world import World
from tests.support.counted_run import drained, life, settled_to, write_configuration
from tests.support.fault_proxy import HOST, HttpProxy, KafkaProxy
from tests.support.kafka_broker import Broker

POLICIES = {"all": True, "poll_interval": "1s", "overlap": "2s", "lookback": ["3s", "5s"], "group_size": 20}
HISTORY_NS = 20 * NS_PER_S
COMMITS_OF_PROGRESS = 3
SETTLED_WITHIN_S = 90.0
PROGRESS_WITHIN_S = 60.0
"""An open transaction may stand in the way for its timeout and the interval of the broker's check: 20 s."""


class Trial:
    """One daemon on the synthetic signals. ``kafka`` counts only where the bus is Kafka.

    Attributes:
        file: the daemon's configuration; its leads through the proxies.
        settings: the same without the broker's proxy.
        log: what the daemon says on stderr.
        broker: the real one behind ``kafka``.
        environ: what the daemon finds in its environment besides ours.
    """

    def __init__(
        self,
        file: Path,
        settings: Settings,
        world: World,
        start_ns: int,
        api: HttpProxy,
        kafka: KafkaProxy,
        broker: Broker | None,
    ) -> None:
        self.file = file
        self.settings = settings
        self.log = file.with_suffix(".log")
        self.api = api
        self.kafka = kafka
        self.broker = broker
        self.environ: dict[str, str] = {}
        self._world = world
        self._start_ns = start_ns
        self._stack = AsyncExitStack()
        self.process: Process

    def said(self, event: str) -> list[dict[str, Any]]:
        """The log's records of an event so far."""
        if not self.log.exists():
            return []
        lines = self.log.read_text("utf-8").splitlines(keepends=True)
        records = (json.loads(line) for line in lines if line.startswith("{") and line.endswith("\n"))
        return [record for record in records if record["event"] == event]

    async def start(self) -> None:
        """Start the daemon and wait for its first commits."""
        runs = len(self.said("daemon.started")) + 1
        log = self._stack.enter_context(self.log.open("ab"))
        self.process = await self._stack.enter_async_context(life(self.file, log, self.environ))
        async with asyncio.timeout(PROGRESS_WITHIN_S):
            while len(self.said("daemon.started")) < runs:
                self._check_up()
                await asyncio.sleep(0.1)
        await self.progress()

    async def progress(self) -> None:
        """Wait for a few commits more."""
        async with asyncio.timeout(PROGRESS_WITHIN_S):
            wanted = await self._commits() + COMMITS_OF_PROGRESS
            while await self._commits() < wanted:  # noqa: ASYNC110  # in another process
                await asyncio.sleep(0.2)

    def heal(self) -> None:
        """End everything that the proxies do."""
        self.api.cut_after_bytes = None
        for proxy in (self.api, self.kafka):
            proxy.delay_s = 0.0
            proxy.flow()
        self.kafka.spring()

    async def verdict(self) -> Verdict:
        """Wait until everything up to now is settled, end the daemon, and count every sample."""
        until_ns = time.time_ns()
        async with asyncio.timeout(SETTLED_WITHIN_S):
            while not await self._is_settled_to(until_ns):  # noqa: ASYNC110  # in another process
                await asyncio.sleep(0.5)
        assert await drained(self.process) == 0
        assert await settled_to(self.settings) >= until_ns
        return await audited(self.settings, self._world, self._start_ns)

    async def close(self) -> None:
        """End what still runs."""
        await self._stack.aclose()

    async def _commits(self) -> int:
        """How many have succeeded."""
        for family in text_string_to_metric_families((await self._asked("/metrics")).decode()):
            for sample in family.samples:
                if sample.name == "streamer_commit_seconds_count":
                    return int(sample.value)
        raise AssertionError("the metric is missing")

    async def _is_settled_to(self, instant_ns: int) -> bool:
        asked_ns = time.time_ns()
        status = json.loads(await self._asked("/api/status"))
        lags_s = [stream["settled_lag_s"] for stream in status["streams"]]
        return bool(lags_s) and asked_ns - max(lags_s) * NS_PER_S >= instant_ns

    async def _asked(self, path: str) -> bytes:
        """What the daemon's status server answers."""
        self._check_up()
        url = self.said("daemon.started")[-1]["status"]
        async with aiohttp.ClientSession() as session, session.get(f"{url}{path}") as answer:
            return await answer.read()

    def _check_up(self) -> None:
        assert self.process.returncode is None, f"the daemon ended by itself: {self.log.read_text('utf-8')[-2000:]}"


@asynccontextmanager
async def on_trial(
    file: Path,
    world: World,
    *,
    broker: Broker | None = None,
    api_port: int | None = None,
    database: Path | None = None,
) -> AsyncIterator[Trial]:
    """A trial that was not started yet, on topics of its own, or on SQLite where there is no broker.

    Args:
        file: where the configuration is written; what the trial leaves behind lies beside it.
        world: what the API shows.
        broker: a Kafka of its own, or one that is shared.
        api_port: of a process that serves the world; without one it is served here.
        database: where SQLite's file is to be.
    """
    async with AsyncExitStack() as stack:
        if api_port is None:
            api_port = urlsplit((await stack.enter_async_context(serve(world))).url).port or 0
        api = await stack.enter_async_context(HttpProxy(api_port))
        kafka = await stack.enter_async_context(KafkaProxy(broker.port if broker else 0))
        start_ns = align_down(time.time_ns() - HISTORY_NS, NS_PER_S)
        write_configuration(
            file,
            url=f"http://{HOST}:{api.port}{BASE_PATH}",
            start_ns=start_ns,
            databases=[SYNTHETIC],
            kind="sqlite" if broker is None else "kafka",
            path=database or file.with_suffix(".db"),
            policies=POLICIES,
            shards=1,
            servers=f"{HOST}:{kafka.port}",
        )
        settings = load_settings(file, {} if broker is None else {"KAFKA_BOOTSTRAP_SERVERS": broker.bootstrap_servers})
        trial = Trial(file, settings, world, start_ns, api, kafka, broker)
        stack.push_async_callback(trial.close)
        yield trial
