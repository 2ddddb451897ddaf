"""A signal while the program is still starting, also as process 1, which has no default action for one."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.program import ENVIRONMENT, SECRET, wait_for

AT_ONCE_S = 5.0
CONFIGURATION = f"""
source: {{base_url: "http://127.0.0.1:9/api/", client_id: demo, client_secret: {SECRET}}}
streams: [{{name: synthetic, database_id: 9, all: true}}]
bus: {{kind: sqlite, path: bus.db}}
status: {{port: 0}}
"""
NAMESPACE = ["unshare", "--pid", "--fork", "--kill-child"]
"""What makes a command process 1, where the kernel and the user allow it."""


def answers(pid: int) -> bool:
    """Whether a process has a handler for SIGTERM (for SIGINT, Python has one from the beginning)."""
    caught = re.search(r"^SigCgt:\s*([0-9a-f]+)$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return caught is not None and bool(int(caught.group(1), 16) >> (signal.SIGTERM - 1) & 1)


def child_of(pid: int) -> int | None:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(children[0]) if children else None


def ended_early(directory: Path, command: str, number: signal.Signals, *, is_first: bool) -> tuple[int, str]:
    """Exit code and output of a command that gets a signal as soon as it answers to signals."""
    (directory / "streamer.yaml").write_text(CONFIGURATION, "utf-8")
    words = [sys.executable, "-m", "streamer", command, "--config", "streamer.yaml"]
    with subprocess.Popen(
        [*(NAMESPACE if is_first else []), *words],
        cwd=directory,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            if is_first:
                wait_for(lambda: child_of(process.pid) is not None)
            pid = (child_of(process.pid) or 0) if is_first else process.pid
            wait_for(lambda: answers(pid))
            os.kill(pid, number)
            output, _ = process.communicate(timeout=AT_ONCE_S)
        finally:
            process.kill()
    return process.returncode, output


@pytest.fixture
def _namespaces() -> None:
    if subprocess.run([*NAMESPACE, "true"], capture_output=True, check=False).returncode:
        pytest.skip("`unshare --pid` is not allowed here")


def test_sigterm_before_anything_has_begun_ends_run_with_0(tmp_path: Path) -> None:
    assert ended_early(tmp_path, "run", signal.SIGTERM, is_first=False) == (0, "")


def test_ctrl_c_before_anything_has_begun_ends_run_with_0(tmp_path: Path) -> None:
    assert ended_early(tmp_path, "run", signal.SIGINT, is_first=False) == (0, "")


@pytest.mark.usefixtures("_namespaces")
def test_sigterm_before_anything_has_begun_ends_process_1_with_0(tmp_path: Path) -> None:
    assert ended_early(tmp_path, "run", signal.SIGTERM, is_first=True) == (0, "")


@pytest.mark.usefixtures("_namespaces")
def test_a_check_that_was_ended_as_process_1_did_not_succeed(tmp_path: Path) -> None:
    assert ended_early(tmp_path, "check", signal.SIGTERM, is_first=True) == (128 + signal.SIGTERM, "")
