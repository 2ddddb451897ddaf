"""The program as its user has it: a process, an SQLite file, and a simulated API on loopback."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Any

import yaml

import streamer
from streamer.simulator.behaviour import Behaviour
from streamer.simulator.plants import SYNTHETIC, demo_world
from streamer.simulator.server import Simulator, serve

SECRET = "sesame-opens-the-gate"
WRONG_SECRET = "mellon-opens-nothing"
STREAM = {"name": "synthetic", "database_id": SYNTHETIC, "all": True, "poll_interval": "200ms", "start": "10s"}
ENVIRONMENT = {"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(streamer.__file__).parents[1])}
ENDED_WITHIN_S = 30.0


@contextmanager
def simulated(port: int = 0) -> Iterator[Simulator]:
    """The simulated API with three prompt signals of 5 Hz beside the plants, served by a thread of its own."""
    loop = asyncio.new_event_loop()
    thread = Thread(target=loop.run_forever)
    thread.start()
    world = demo_world(synthetic_signals=3, behaviours={SYNTHETIC: Behaviour.prompt()})
    serving = serve(world, port=port, client_secret=SECRET)
    try:
        yield asyncio.run_coroutine_threadsafe(serving.__aenter__(), loop).result()
    finally:
        asyncio.run_coroutine_threadsafe(serving.__aexit__(None, None, None), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def wait_for(condition: Callable[[], bool], within_s: float = 30.0) -> float:
    """Seconds until the condition holds; fails when it does not."""
    began_s = time.monotonic()
    while not condition():
        assert time.monotonic() < began_s + within_s, "it did not happen in time"
        time.sleep(0.02)
    return time.monotonic() - began_s


def rows(database: Path, statement: str) -> list[tuple[Any, ...]]:
    """What a query finds; nothing as long as the file or its tables are missing."""
    try:
        with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
            return connection.execute(statement).fetchall()
    except sqlite3.OperationalError:
        return []


@dataclass
class Command:
    """A process of the program, its output in files."""

    process: subprocess.Popen[bytes]
    out: Path
    err: Path

    @property
    def stdout(self) -> str:
        return self.out.read_text("utf-8")

    @property
    def stderr(self) -> str:
        return self.err.read_text("utf-8")

    def logged(self, event: str) -> list[dict[str, Any]]:
        """The log's records of an event so far."""
        lines = self.stderr.splitlines(keepends=True)
        records = (json.loads(line) for line in lines if line.startswith("{") and line.endswith("\n"))
        return [record for record in records if record["event"] == event]

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """The exit code after a signal; ten seconds are the most that it may take."""
        self.process.send_signal(number)
        return self.process.wait(10)


@contextmanager
def started(directory: Path, *arguments: str, behind: Sequence[str] = ()) -> Iterator[Command]:
    """A process that runs as long as the context; whatever it does, it must not show a traceback.

    ``behind`` is a command that becomes the program, such as ``nice``.
    """
    number = len(list(directory.glob("*.err")))
    out, err = directory / f"{number}.out", directory / f"{number}.err"
    with out.open("wb") as stdout, err.open("wb") as stderr:
        words = [*behind, sys.executable, "-m", "streamer", *arguments]
        process = subprocess.Popen(words, cwd=directory, env=ENVIRONMENT, stdout=stdout, stderr=stderr)
    command = Command(process, out, err)
    try:
        yield command
    finally:
        process.kill()
        process.wait()
    assert "Traceback" not in command.stderr


def ended(directory: Path, *arguments: str, behind: Sequence[str] = ()) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a command that ends by itself."""
    with started(directory, *arguments, behind=behind) as command:
        code = command.process.wait(ENDED_WITHIN_S)
    return code, command.stdout, command.stderr


class Site:
    """A directory with a configuration and ``bus.db``; ``sections`` replace those of the configuration."""

    def __init__(self, directory: Path, url: str, *, secret: str = SECRET, **sections: Any) -> None:
        self.directory = directory
        self.config = directory / "streamer.yaml"
        self.database = directory / "bus.db"
        configuration = {
            "source": {"base_url": url, "client_id": "demo", "client_secret": secret},
            "streams": [STREAM],
            "bus": {"path": str(self.database), "shards": 1},
            "status": {"port": 0},
        }
        self.config.write_text(yaml.safe_dump(configuration | sections), "utf-8")

    def started(self, *arguments: str) -> AbstractContextManager[Command]:
        return started(self.directory, *arguments, "--config", str(self.config))

    def ended(self, *arguments: str) -> tuple[int, str, str]:
        return ended(self.directory, *arguments, "--config", str(self.config))

    def published(self) -> int:
        return len(rows(self.database, "SELECT offset FROM records WHERE topic = 'samples'"))
