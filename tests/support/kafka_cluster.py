"""Three brokers on loopback that keep each partition three times, so that any one of them may be lost."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from aiokafka.errors import KafkaError

from streamer.bus.kafka_clients import KafkaClients
from streamer.config import KafkaSettings
from tests.support.kafka_broker import ALONE, Broker, free_port
from tests.support.kafka_jars import check_java

NODES = (1, 2, 3)

REPLICATED: Mapping[str, str] = {
    **ALONE,
    "default.replication.factor": "3",
    "min.insync.replicas": "2",
    "offsets.topic.replication.factor": "3",
    "offsets.topic.num.partitions": "3",
    "transaction.state.log.replication.factor": "3",
    "transaction.state.log.min.isr": "2",
    "broker.session.timeout.ms": "6000",
}
"""As docs/kafka.md says; a broker is missed after 6 s, not 9, which is still longer than a commit may take."""

CHANGED_WITHIN_S = 60.0
"""A broker takes seconds to start, and more on a machine that is busy."""


class Partition(NamedTuple):
    """Who keeps a partition; ``preferred`` is who led it first."""

    leader: int
    preferred: int
    in_sync: frozenset[int]


Partitions = Mapping[tuple[str, int], Partition]


class Cluster:
    """The brokers, formatted but not started."""

    def __init__(self, directory: Path) -> None:
        voters = {node: free_port() for node in NODES}
        self.brokers: list[Broker] = []
        for node in NODES:
            (directory / str(node)).mkdir()
            broker = Broker(directory / str(node), REPLICATED, node=node, voters=voters, heap="256m")
            self.brokers.append(broker)

    @property
    def bootstrap_servers(self) -> str:
        return ",".join(broker.bootstrap_servers for broker in self.brokers)

    def start(self) -> None:
        """Start all; none listens before a majority of them is there."""
        for broker in self.brokers:
            broker.launch()
        for broker in self.brokers:
            broker.await_start()

    def stop(self) -> None:
        """End all."""
        for broker in self.brokers:
            broker.stop(hard=True)

    async def partitions(self) -> Partitions:
        """Every partition of every topic, the brokers' own among them."""
        admin = KafkaClients(KafkaSettings.model_validate({"bootstrap_servers": self.bootstrap_servers})).admin()
        try:
            await admin.start()
            return {
                (topic["topic"], one["partition"]): Partition(one["leader"], one["replicas"][0], frozenset(one["isr"]))
                for topic in await admin.describe_topics()
                for one in topic["partitions"]
            }
        finally:
            await admin.close()

    async def until(self, holds: Callable[[Partition], bool]) -> Partitions:
        """Wait until something holds of every partition; who keeps them then."""
        async with asyncio.timeout(CHANGED_WITHIN_S):
            while True:
                with suppress(KafkaError):  # the broker that is asked may be the one that is lost
                    partitions = await self.partitions()
                    if all(map(holds, partitions.values())):
                        return partitions
                await asyncio.sleep(0.3)


@contextmanager
def three_brokers() -> Iterator[Cluster]:
    """The cluster of Maven's jars, running. Raises NoKafka."""
    check_java()
    with tempfile.TemporaryDirectory(prefix="kafka-") as directory:
        cluster = Cluster(Path(directory))
        try:
            cluster.start()
            yield cluster
        finally:
            cluster.stop()
