"""What is wrong with a site is told in one clear line: the last of the log, which a pod's termination message shows."""

from __future__ import annotations

import os
import shutil
import socket
from pathlib import Path
from typing import Any

import pytest

from tests.support.program import SECRET, Site, ended, started, wait_for

NOWHERE = "http://127.0.0.1:9/api/"
AS_ANYBODY = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
"""What takes from root that it may read and write everything."""


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """One with a secret in a file and data in a directory of its own."""
    (tmp_path / "secret").write_text(SECRET, "utf-8")
    (tmp_path / "data").mkdir()
    return configured(tmp_path, status={"port": 0})


def configured(directory: Path, *, status: dict[str, Any]) -> Site:
    source = {"base_url": NOWHERE, "client_id": "demo", "client_secret_file": "secret"}
    return Site(directory, NOWHERE, source=source, bus={"path": "data/bus.db", "shards": 1}, status=status)


@pytest.fixture(autouse=True)
def _permissions_count() -> None:
    if AS_ANYBODY and shutil.which(AS_ANYBODY[0]) is None:
        pytest.skip("root may read everything, and there is no setpriv to take that away")


def refusal(site: Site) -> str:
    """What ``run`` writes before it ends with 78: one line, whose beginning every one has in common."""
    code, stdout, stderr = ended(site.directory, "run", "--config", "streamer.yaml", behind=AS_ANYBODY)
    assert (code, stdout) == (78, "")
    (line,) = stderr.splitlines()
    beginning, _, problem = line.partition(": ")
    assert beginning == "The configuration cannot be used"
    return problem


def test_a_secret_that_may_not_be_read(site: Site) -> None:
    (site.directory / "secret").chmod(0)
    assert refusal(site) == "source.client_secret_file: secret cannot be read: Permission denied."


def test_a_secret_that_is_empty(site: Site) -> None:
    (site.directory / "secret").write_text("\n")
    assert refusal(site) == "source.client_secret_file: secret is empty."


def test_a_configuration_that_is_missing(site: Site) -> None:
    site.config.unlink()
    assert refusal(site) == "streamer.yaml: cannot be read: No such file or directory."


def test_a_configuration_that_may_not_be_read(site: Site) -> None:
    site.config.chmod(0)
    assert refusal(site) == "streamer.yaml: cannot be read: Permission denied."


def test_a_configuration_that_is_a_directory_as_when_a_missing_file_is_mounted(site: Site) -> None:
    site.config.unlink()
    site.config.mkdir()
    assert refusal(site) == "streamer.yaml: cannot be read: Is a directory."


def test_a_port_that_is_taken(site: Site) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        problem = refusal(configured(site.directory, status={"port": port}))
    told = f"127.0.0.1:{port} cannot be listened on: Address already in use; choose another, or 0 for any."
    assert problem == f"status.port: {told}"


def test_an_address_that_is_not_this_machines(site: Site) -> None:
    status = {"host": "192.0.2.1", "port": 8080, "allow_remote": True}
    problem = refusal(configured(site.directory, status=status))
    assert problem.startswith("status.port: 192.0.2.1:8080 cannot be listened on: Cannot assign requested")


def test_a_volume_that_may_not_be_written_is_waited_for(site: Site) -> None:
    data = site.directory / "data"
    data.chmod(0o555)
    with started(site.directory, "run", "--config", "streamer.yaml", behind=AS_ANYBODY) as command:
        wait_for(lambda: bool(command.logged("bus.unreachable")))
        data.chmod(0o755)
        wait_for(lambda: bool(command.logged("bus.reached")))
        assert command.stop() == 0
    (said,) = command.logged("bus.unreachable")
    assert said["cause"].startswith("data/bus.db cannot be used ([Errno 13] Permission denied")
    assert said["remedy"] == "Check the directory, its permissions and the disk's space."
