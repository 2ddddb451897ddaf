"""A real Kafka for tests, benchmarks and the demo, wherever one can be had.

Looked for in this order: ``KAFKA_BOOTSTRAP_SERVERS``, Docker (testcontainers), a JVM with the jars of Maven Central.
``python -m tests.support.local_kafka -- COMMAND`` runs a command with ``KAFKA_BOOTSTRAP_SERVERS`` set.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from tests.support.kafka_broker import STARTED_WITHIN_S, Broker, free_port
from tests.support.kafka_jars import KAFKA_VERSION, NoKafka, check_java


@contextmanager
def local_kafka() -> Iterator[Broker]:
    """A broker of Maven's jars. Raises NoKafka."""
    check_java()
    with tempfile.TemporaryDirectory(prefix="kafka-") as directory:
        kafka = Broker(Path(directory))
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
        .with_env("KAFKA_LOG_RETENTION_MS", "-1")
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
