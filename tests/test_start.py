"""What a command loads before it begins: nothing that takes time and that it does not need."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("module", "needless"),
    [
        pytest.param("streamer.cli", {"pydantic", "yaml", "structlog", "aiohttp", "aiokafka"}, id="help"),
        pytest.param("streamer.stored", {"aiohttp", "streamer.daemon", "streamer.bus.kafka"}, id="status, tail"),
        pytest.param("streamer.running", {"streamer.bus.kafka", "streamer.bus.sqlite", "streamer.simulator"}, id="run"),
    ],
)
def test_a_command_loads_no_more_than_it_needs(module: str, needless: set[str]) -> None:
    code = f"import sys, {module}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert needless.intersection(done.stdout.split()) == set()
