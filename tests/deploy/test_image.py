"""The image as a cluster runs it: read-only, without rights, as its own user; against simulator, SQLite and Kafka."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from streamer.simulator.server import Simulator
from tests.support.local_kafka import has_docker
from tests.support.program import SECRET, STREAM, simulated, wait_for

pytestmark = pytest.mark.image

USER = 65532
RESTRICTED = [
    *("--read-only", "--read-only-tmpfs=false", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"),
    *("--network", "host", "--health-interval", "disable"),
]


@pytest.fixture(scope="session")
def image() -> str:
    """The image under test, as .ci/image or you have built it."""
    name = os.environ.get("STREAMER_IMAGE")
    if name is None:
        pytest.skip("STREAMER_IMAGE names no image; `make image` builds one")
    return name


def podman(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Podman's own complaints of a machine without systemd are left out."""
    command = ["podman", "--log-level", "fatal", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


class Container:
    """One that runs; its configuration and data are below a directory of the test."""

    def __init__(self, name: str) -> None:
        self.name = name

    def logged(self, event: str) -> list[dict[str, Any]]:
        lines = podman("logs", self.name).stderr.splitlines()
        records = [json.loads(line) for line in lines if line.startswith("{")]
        return [record for record in records if record["event"] == event]

    def healthy(self) -> bool:
        return podman("healthcheck", "run", self.name).returncode == 0

    def stop(self) -> int:
        """The exit code after STOPSIGNAL; who does not end within 12 seconds is killed."""
        podman("stop", "--time", "12", self.name)
        return int(podman("inspect", "--format", "{{.State.ExitCode}}", self.name).stdout)


class Site:
    """What is mounted into a pod: configuration, secret, and a volume."""

    def __init__(self, directory: Path, image: str, url: str, **sections: Any) -> None:
        self.image = image
        self.config, self.secrets, self.data = (directory / name for name in ("config", "secrets", "data"))
        for made in (self.config, self.secrets, self.data):
            made.mkdir()
        os.chown(self.data, USER, USER)
        (self.secrets / "client-secret").write_text(SECRET, "utf-8")
        configuration = {
            "source": {"base_url": url, "client_id": "demo", "client_secret_file": "/run/secrets/source/client-secret"},
            "streams": [STREAM],
            "bus": {"path": "/var/lib/streamer/streamer.db"},
            "status": {"host": "0.0.0.0", "port": free_port(), "allow_remote": True},
        } | sections
        self.port = configuration["status"]["port"]
        (self.config / "streamer.yaml").write_text(yaml.safe_dump(configuration), "utf-8")

    def options(self, *, data: str = "rw") -> list[str]:
        mounts = [
            f"{self.config}:/etc/streamer:ro",
            f"{self.secrets}:/run/secrets/source:ro",
            f"{self.data}:/var/lib/streamer:{data}",
        ]
        return [*RESTRICTED, *(word for mount in mounts for word in ("--volume", mount))]

    @contextmanager
    def started(self, *more: str, data: str = "rw") -> Iterator[Container]:
        name = f"streamer-{uuid.uuid4().hex[:8]}"
        began = podman("run", "--detach", "--name", name, *self.options(data=data), *more, self.image)
        assert began.returncode == 0, began.stderr
        try:
            yield Container(name)
        finally:
            podman("rm", "--force", "--time", "0", name)

    def ended(self, *arguments: str) -> tuple[int, list[str]]:
        """Exit code and log of a container that ends by itself."""
        done = podman("run", "--rm", *self.options(), self.image, *arguments)
        return done.returncode, done.stderr.splitlines()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    with simulated() as serving:
        yield serving


@pytest.fixture
def site(tmp_path: Path, image: str, simulator: Simulator) -> Site:
    return Site(tmp_path, image, simulator.url)


def test_it_runs_read_only_as_its_user_answers_its_health_check_and_drains(site: Site) -> None:
    with site.started() as container:
        wait_for(lambda: len(container.logged("ledger.restored")) == 4)
        assert container.healthy()
        (process,) = podman("top", container.name, "huser", "pid", "args").stdout.splitlines()[1:]
        assert process.split()[:2] == [str(USER), "1"]
        assert container.stop() == 0
        assert len(container.logged("daemon.drained")) == 1


def test_it_publishes_to_a_kafka_in_a_container(
    tmp_path: Path, image: str, simulator: Simulator, kafka_bootstrap: str
) -> None:
    assert has_docker(), "the broker is to run in a container here"
    prefix = f"image-{uuid.uuid4().hex[:8]}"
    topics = {topic: f"{prefix}.{topic}" for topic in ("samples", "state", "shards")}
    kafka = {"bootstrap_servers": kafka_bootstrap, "topics": topics}
    site = Site(tmp_path, image, simulator.url, bus={"kind": "kafka"}, kafka=kafka)
    with site.started() as container:
        wait_for(lambda: len(container.logged("ledger.restored")) >= 4, 90)
        command = ("tail", "--from-beginning", "--limit", "100", "--follow", "--config", "/etc/streamer/streamer.yaml")
        tailed = podman("run", "--rm", *site.options(), image, *command)
        assert container.stop() == 0
    events = [json.loads(line)["value"] for line in tailed.stdout.splitlines()]
    assert len(events) == 100
    assert len({(event["index"], event["timestamp"], event["revision"]) for event in events}) == 100


def test_it_needs_no_shell(site: Site) -> None:
    no_shell = [word for shell in ("dash", "bash") for word in ("--volume", f"/dev/null:/usr/bin/{shell}:ro")]
    with site.started(*no_shell) as container:
        wait_for(lambda: len(container.logged("ledger.restored")) == 4)
        assert podman("exec", container.name, "/bin/sh", "-c", "true").returncode != 0
        assert container.healthy()
        assert container.stop() == 0


def test_it_carries_what_a_registry_and_a_runtime_want_to_know(image: str) -> None:
    (inspected,) = json.loads(podman("image", "inspect", image).stdout)
    config, labels = inspected["Config"], inspected["Labels"]
    assert (config["User"], config["StopSignal"]) == ("65532:65532", "SIGTERM")
    assert labels["org.opencontainers.image.licenses"] == "Apache-2.0"
    assert re.fullmatch(r"[0-9a-f]{40}", labels["org.opencontainers.image.revision"])
    assert inspected["Healthcheck"]["Test"][:4] == ["CMD", "streamer", "status", "--live"]


@pytest.mark.parametrize(
    ("sections", "line"),
    [
        ({"bus": {"shards": "four"}}, "bus.shards: must be a whole number."),
        ({"streams": []}, "streams: names no stream; config/reference.yaml shows how one is written."),
        ({"status": {"host": "0.0.0.0", "port": 8080}}, "status.host: lets other machines in without a login; "),
    ],
)
def test_a_wrong_configuration_ends_it_with_78_and_the_last_line_says_why(
    tmp_path: Path, image: str, simulator: Simulator, sections: dict[str, Any], line: str
) -> None:
    code, log = Site(tmp_path, image, simulator.url, **sections).ended()
    assert code == 78
    assert log[-1].startswith(f"The configuration cannot be used: {line}")


def test_a_key_that_is_missing_in_the_secret_is_told_in_one_line(site: Site) -> None:
    (site.secrets / "client-secret").rename(site.secrets / "secret")
    code, log = site.ended()
    told = "source.client_secret_file: /run/secrets/source/client-secret cannot be read: No such file or directory."
    assert (code, log) == (78, [f"The configuration cannot be used: {told}"])


def test_a_configuration_that_may_not_be_read_is_told_in_one_line(site: Site) -> None:
    (site.config / "streamer.yaml").chmod(0o600)
    code, log = site.ended()
    told = "/etc/streamer/streamer.yaml: cannot be read: Permission denied."
    assert (code, log) == (78, [f"The configuration cannot be used: {told}"])


def test_a_port_that_is_taken_is_told_in_one_line(site: Site) -> None:
    with socket.create_server(("0.0.0.0", site.port)):
        code, log = site.ended()
    assert code == 78
    assert log[-1].startswith(
        f"The configuration cannot be used: status.port: 0.0.0.0:{site.port} cannot be listened on"
    )


def test_a_volume_that_is_read_only_is_told_in_one_line_and_waited_for(site: Site) -> None:
    with site.started(data="ro") as container:
        wait_for(lambda: len(container.logged("bus.unreachable")) > 0)
        (said,) = container.logged("bus.unreachable")
        assert container.healthy()
        assert container.stop() == 0
    assert said["cause"].startswith("/var/lib/streamer/streamer.db cannot be used")
    assert "Read-only file system" in said["cause"]
