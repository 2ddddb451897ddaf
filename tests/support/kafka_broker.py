"""One broker of Kafka on loopback, run by plain ``java``; alone, or as one of several that know each other."""

from __future__ import annotations

import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.support.kafka_jars import NoKafka, java

CLUSTER_ID = "AAAAAAAAAAAAAAAAAAAAAQ"
STARTED_WITHIN_S = 60.0
STOPPED_WITHIN_S = 15.0

ALONE: Mapping[str, str] = {
    "auto.create.topics.enable": "false",
    "num.partitions": "1",
    "log.retention.ms": "-1",  # what tests publish bears instants of long ago
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "4",
    "group.initial.rebalance.delay.ms": "0",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
}
"""What a single broker for tests needs to know besides its place."""


class Broker:
    """A broker that is its own controller, or one of its controllers. It keeps its ports and data over restarts.

    Args:
        directory: for its configuration, data and log.
        properties: of its own; they win over those that follow from the rest.
        node: its number.
        voters: the port of every controller by the node's number; its own alone unless told.
        formatted: more arguments for the command that formats its storage.
        heap: the most that its JVM may take.
    """

    def __init__(
        self,
        directory: Path,
        properties: Mapping[str, str] = ALONE,
        *,
        node: int = 1,
        voters: Mapping[int, int] | None = None,
        formatted: Sequence[str] = (),
        heap: str = "512m",
    ) -> None:
        self.node = node
        self.port = free_port()
        self._directory = directory
        self._heap = heap
        self._process: subprocess.Popen[bytes] | None = None
        self._properties = directory / "server.properties"
        voters = voters or {node: free_port()}
        place = {
            "process.roles": "broker,controller",
            "node.id": str(node),
            "controller.quorum.voters": ",".join(f"{number}@127.0.0.1:{port}" for number, port in voters.items()),
            "listeners": f"PLAINTEXT://127.0.0.1:{self.port},CONTROLLER://127.0.0.1:{voters[node]}",
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{self.port}",
            "controller.listener.names": "CONTROLLER",
            "log.dirs": str(directory / "data"),
        }
        lines = (f"{name}={value}\n" for name, value in {**place, **properties}.items())
        self._properties.write_text("".join(lines))
        self._format(formatted)

    @property
    def bootstrap_servers(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start the broker and wait until it listens."""
        self.launch()
        self.await_start()

    def launch(self) -> None:
        """Start the broker; where there are several, it waits for a majority of them."""
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(
                java(self._heap, "kafka.Kafka", str(self._properties)),
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def await_start(self) -> None:
        """Wait until the broker that was launched listens."""
        assert self._process is not None
        deadline = time.monotonic() + STARTED_WITHIN_S
        while "Kafka Server started" not in self._log.read_text(errors="replace"):
            if self._process.poll() is not None or time.monotonic() > deadline:
                said = self._log.read_text(errors="replace")[-1500:]
                self.stop()
                raise NoKafka(f"Kafka did not start; the end of its log: {said}")
            time.sleep(0.1)

    def stop(self, *, hard: bool = False) -> None:
        """End the broker, by SIGKILL when ``hard``."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGKILL if hard else signal.SIGTERM)
            try:
                self._process.wait(STOPPED_WITHIN_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._log.unlink(missing_ok=True)
        self._process = None

    def transactions(self) -> dict[str, str]:
        """The state of each transactional id, as the broker's coordinator has it."""
        rows = [line.split() for line in self._asked("TransactionsCommand", "list").splitlines()[1:]]
        return {transactional_id: state for transactional_id, _, _, state in rows}

    def prefer_leaders(self) -> None:
        """Give every partition of the cluster the leader that its topic was created with."""
        self._asked("LeaderElectionCommand", "--election-type", "preferred", "--all-topic-partitions")

    def _asked(self, command: str, *arguments: str) -> str:
        """What one of Kafka's own tools says."""
        tool = f"org.apache.kafka.tools.{command}"
        asked = java("128m", tool, "--bootstrap-server", self.bootstrap_servers, *arguments)
        return subprocess.run(asked, capture_output=True, text=True, check=True).stdout

    @property
    def _log(self) -> Path:
        return self._directory / "kafka.log"

    def _format(self, more: Sequence[str]) -> None:
        formatted = subprocess.run(
            java("256m", "kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c", str(self._properties), *more),
            capture_output=True,
            text=True,
            check=False,
        )
        if formatted.returncode:
            raise NoKafka(f"Kafka's storage could not be formatted: {formatted.stderr.strip()[-500:]}")


def free_port() -> int:
    """A port of loopback that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
