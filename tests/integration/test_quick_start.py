"""The quick start, as it is written: its file, then its commands, in one shell."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.kafka_broker import free_port

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "quick-start.md").read_text("utf-8")
BUS_SECTION = "## On Kafka"
PROGRAM = f'#!/bin/sh\nexec {sys.executable} -m streamer "$@"\n'
ENDED_WITHIN_S = 150.0

# What a person does by reading: a command in the background is given time to begin.
WAITS = {
    "simulate": "until (: > /dev/tcp/127.0.0.1/{api}) 2>/dev/null; do sleep 0.1; done",
    "run": "until .venv/bin/streamer status --config streamer.yaml --live >/dev/null 2>&1; do sleep 0.1; done",
}


def commands(text: str) -> list[str]:
    """The commands of all consoles, in their order."""
    consoles = re.findall(r"```console\n(.*?)```", text, re.DOTALL)
    lines = [line for console in consoles for line in console.splitlines()]
    return [line.removeprefix("$ ").partition("  #")[0].strip() for line in lines]


def script(lines: list[str], api: int) -> str:
    """One shell that does it all, and ends what it began whatever comes in between."""
    steps = ["trap 'kill $(jobs -p) 2>/dev/null; wait' EXIT"]
    for line in lines:
        steps.append(line.replace("streamer simulate", f"streamer simulate --port {api}"))
        if line.endswith("&"):
            steps.append(WAITS[line.split()[1]].format(api=api))
    return "\n".join(steps)


def follow(directory: Path, lines: list[str]) -> list[str]:
    """Do as the page says, on ports that are free; the lines that were printed."""
    api, status = free_port(), free_port()
    (written,) = re.findall(r"```yaml\n# streamer.yaml\n(.*?)```", PAGE, re.DOTALL)
    (directory / "streamer.yaml").write_text(written.replace(":5000", f":{api}"), "utf-8")
    program = directory / ".venv" / "bin" / "streamer"
    program.parent.mkdir(parents=True)
    program.write_text(PROGRAM, "utf-8")
    program.chmod(0o755)
    shell = subprocess.Popen(
        ["bash", "-euo", "pipefail", "-c", script(lines, api)],
        cwd=directory,
        env=os.environ | {"STREAMER_STATUS__PORT": str(status), "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        out, err = shell.communicate(timeout=ENDED_WITHIN_S)
    except subprocess.TimeoutExpired:
        os.killpg(shell.pid, signal.SIGKILL)
        raise
    assert shell.returncode == 0, f"{out}\n{err}"
    return out.splitlines()


def test_the_quick_start_leads_to_events_in_a_file(tmp_path: Path) -> None:
    printed = follow(tmp_path, commands(PAGE.partition(BUS_SECTION)[0]))
    assert len([line for line in printed if line.startswith('{"topic":"samples"')]) == 5
    assert (tmp_path / "events.db").exists()


@pytest.mark.kafka
def test_the_quick_start_leads_to_events_on_kafka(tmp_path: Path, kafka_bootstrap: str) -> None:
    before, _, after = PAGE.partition(BUS_SECTION)
    begun = [line for line in commands(before) if " simulate " in line]
    lines = [line.replace("localhost:9092", kafka_bootstrap) for line in [*begun, *commands(after)]]
    printed = follow(tmp_path, lines)
    assert len([line for line in printed if line.startswith('{"topic":"samples"')]) == 5
    assert [line for line in printed if line.startswith('{"topic":"completeness"')]
