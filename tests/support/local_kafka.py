"""A real Kafka for tests, benchmarks and the demo, wherever one can be had.

Looked for in this order: ``KAFKA_BOOTSTRAP_SERVERS``, Docker (testcontainers), a JVM with the jars of Maven Central.
``python -m tests.support.local_kafka -- COMMAND`` runs a command with ``KAFKA_BOOTSTRAP_SERVERS`` set.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

KAFKA_VERSION = "4.3.1"
JARS = Path(__file__).parents[2] / ".cache" / "kafka" / KAFKA_VERSION
STARTED_WITHIN_S = 60.0
STOPPED_WITHIN_S = 15.0
OLDEST_JAVA = 17

POM = f"""<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>local</groupId><artifactId>kafka</artifactId><version>1</version>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{KAFKA_VERSION}</version>
    </dependency>
    <dependency>
      <groupId>org.apache.kafka</groupId><artifactId>kafka-tools</artifactId><version>{KAFKA_VERSION}</version>
    </dependency>
    <dependency>
      <groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>1.7.36</version>
    </dependency>
  </dependencies>
</project>
"""

PROPERTIES = """
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{broker},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{broker}
controller.listener.names=CONTROLLER
log.dirs={data}
auto.create.topics.enable=false
num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
group.initial.rebalance.delay.ms=0
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
"""


class NoKafka(Exception):
    """No Kafka can be had here; the message says why."""


class LocalKafka:
    """One broker on loopback, run by ``java`` from Maven's jars. It keeps its port and data over restarts."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._broker, self._controller = free_port(), free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._properties = directory / "server.properties"
        self._properties.write_text(
            PROPERTIES.format(broker=self._broker, controller=self._controller, data=directory / "data")
        )
        formatted = subprocess.run(
            [
                *self._java("256m"),
                "kafka.tools.StorageTool",
                *("format", "-t", "AAAAAAAAAAAAAAAAAAAAAQ", "-c", str(self._properties)),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        if formatted.returncode:
            raise NoKafka(f"Kafka's storage could not be formatted: {formatted.stderr.strip()[-500:]}")

    @property
    def bootstrap_servers(self) -> str:
        return f"127.0.0.1:{self._broker}"

    @property
    def port(self) -> int:
        return self._broker

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start the broker and wait until it listens."""
        log = self._directory / "kafka.log"
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [*self._java("512m"), "kafka.Kafka", str(self._properties)],
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        deadline = time.monotonic() + STARTED_WITHIN_S
        while "Kafka Server started" not in log.read_text(errors="replace"):
            if self._process.poll() is not None or time.monotonic() > deadline:
                said = log.read_text(errors="replace")[-1500:]
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
        (self._directory / "kafka.log").unlink(missing_ok=True)
        self._process = None

    def transactions(self) -> dict[str, str]:
        """The state of each transactional id, as the broker's coordinator has it."""
        listed = subprocess.run(
            [
                *self._java("128m"),
                *("org.apache.kafka.tools.TransactionsCommand", "--bootstrap-server", self.bootstrap_servers, "list"),
            ],
            capture_output=True,
            text=True,
            check=True,
        )
        rows = [line.split() for line in listed.stdout.splitlines()[1:]]
        return {transactional_id: state for transactional_id, _, _, state in rows}

    def _java(self, heap: str) -> list[str]:
        return [
            "java",
            f"-Xmx{heap}",
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",
            "-Xshare:auto",
            "-cp",
            f"{jars()}/*",
        ]


def jars() -> Path:
    """The directory of Kafka's jars, fetched by Maven unless they are there. Raises NoKafka."""
    if JARS.is_dir():
        return JARS
    if shutil.which("mvn") is None:
        raise NoKafka("no Kafka: neither KAFKA_BOOTSTRAP_SERVERS nor Docker nor Maven (mvn) is there")
    JARS.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=JARS.parent) as scratch:
        (Path(scratch) / "pom.xml").write_text(POM)
        fetched = subprocess.run(
            ["mvn", "--batch-mode", "--quiet", "dependency:copy-dependencies", f"-DoutputDirectory={scratch}/jars"],
            cwd=scratch,
            capture_output=True,
            text=True,
            check=False,
        )
        if fetched.returncode:
            raise NoKafka(f"Maven could not fetch Kafka {KAFKA_VERSION}: {fetched.stdout.strip()[-500:]}")
        Path(scratch, "jars").rename(JARS)
    return JARS


def java_major() -> int:
    """The major version of the ``java`` on PATH, 0 without one."""
    if shutil.which("java") is None:
        return 0
    said = subprocess.run(["java", "-version"], capture_output=True, text=True, check=False).stderr
    match = re.search(r'version "(\d+)', said)
    return int(match.group(1)) if match else 0


@contextmanager
def local_kafka() -> Iterator[LocalKafka]:
    """A broker of Maven's jars. Raises NoKafka."""
    if java_major() < OLDEST_JAVA:
        raise NoKafka(f"no Kafka: Java {OLDEST_JAVA} or newer is needed to run it here")
    with tempfile.TemporaryDirectory(prefix="kafka-") as directory:
        kafka = LocalKafka(Path(directory))
        kafka.start()
        try:
            yield kafka
        finally:
            kafka.stop()


@contextmanager
def any_kafka() -> Iterator[str]:
    """The bootstrap servers of a Kafka that runs as long as the context. Raises NoKafka."""
    given = os.environ.get("KAFKA_BOOTSTRAP_SERVERS")
    if given:
        yield given
    elif has_docker():
        with _container() as servers:
            yield servers
    else:
        with local_kafka() as kafka:
            yield kafka.bootstrap_servers


@contextmanager
def _container() -> Iterator[str]:
    """Apache's own image on a port that is fixed before it starts, because the broker tells it to its clients.

    It is the same inside, because the broker is a client of its own: it completes transactions through that address.
    """
    from testcontainers.core.container import DockerContainer
    from testcontainers.core.wait_strategies import LogMessageWaitStrategy

    port = free_port()
    container = (
        DockerContainer(f"apache/kafka:{KAFKA_VERSION}")
        .with_bind_ports(port, port)
        .with_env("KAFKA_NODE_ID", "1")
        .with_env("KAFKA_PROCESS_ROLES", "broker,controller")
        .with_env("KAFKA_CONTROLLER_QUORUM_VOTERS", "1@localhost:9093")
        .with_env("KAFKA_LISTENERS", f"PLAINTEXT://:{port},CONTROLLER://:9093")
        .with_env("KAFKA_ADVERTISED_LISTENERS", f"PLAINTEXT://127.0.0.1:{port}")
        .with_env("KAFKA_CONTROLLER_LISTENER_NAMES", "CONTROLLER")
        .with_env("KAFKA_AUTO_CREATE_TOPICS_ENABLE", "false")
        .with_env("KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR", "1")
        .with_env("KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR", "1")
        .with_env("KAFKA_TRANSACTION_STATE_LOG_MIN_ISR", "1")
        .with_env("KAFKA_TRANSACTION_STATE_LOG_NUM_PARTITIONS", "4")
        .with_env("KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS", "0")
        .waiting_for(LogMessageWaitStrategy("Kafka Server started").with_startup_timeout(int(STARTED_WITHIN_S)))
    )
    with closing(container.get_docker_client().client), container:
        yield f"127.0.0.1:{port}"


def has_docker() -> bool:
    """Whether containers can be run; who sets ``DOCKER_HOST`` means what answers there, with or without ``docker``."""
    if os.environ.get("DOCKER_HOST"):
        return True
    if shutil.which("docker") is None:
        return False
    answer = subprocess.run(["docker", "info"], capture_output=True, check=False, timeout=20)
    return answer.returncode == 0


def free_port() -> int:
    """A port of loopback that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def main() -> int:
    """Run the command after ``--`` with a Kafka, and return its exit code."""
    if len(sys.argv) < 3 or sys.argv[1] != "--":
        sys.stderr.write("usage: python -m tests.support.local_kafka -- COMMAND [ARGUMENT]...\n")
        return 2
    try:
        with any_kafka() as servers:
            environment = {**os.environ, "KAFKA_BOOTSTRAP_SERVERS": servers}
            command = subprocess.Popen(sys.argv[2:], env=environment)
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, lambda received, _frame: command.send_signal(received))
            return command.wait()
    except NoKafka as exc:
        sys.stderr.write(f"{exc}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())
