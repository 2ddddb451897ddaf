"""The program as its user has it: real processes, an SQLite file, and a simulated API on loopback."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import yaml

import streamer
from streamer.simulator.behaviour import Behaviour
from streamer.simulator.plants import SYNTHETIC, demo_world
from streamer.simulator.server import serve
from streamer.simulator.world import World

SECRET = "sesame-opens-the-gate"
WRONG_SECRET = "mellon-opens-nothing"
STREAM = {"name": "synthetic", "database_id": SYNTHETIC, "all": True, "poll_interval": "200ms", "start": "10s"}
ENVIRONMENT = {"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(streamer.__file__).parents[1])}
ENDED_WITHIN_S = 30.0


@cache
def world() -> World:
    """Three synthetic signals of 5 Hz beside the plants, all prompt."""
    return demo_world(synthetic_signals=3, behaviours={SYNTHETIC: Behaviour.prompt()})


@contextmanager
def simulated(port: int = 0) -> Iterator[str]:
    """The simulated API, served by a thread of its own; its URL."""
    loop = asyncio.new_event_loop()
    thread = Thread(target=loop.run_forever)
    thread.start()
    serving = serve(world(), port=port, client_secret=SECRET)
    try:
        yield asyncio.run_coroutine_threadsafe(serving.__aenter__(), loop).result().url
    finally:
        asyncio.run_coroutine_threadsafe(serving.__aexit__(None, None, None), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with simulated() as url:
        yield url


def wait_for(condition: Callable[[], bool], within_s: float = 15.0) -> float:
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
def started(directory: Path, *arguments: str) -> Iterator[Command]:
    """A process that runs as long as the context; whatever it does, it must not show a traceback."""
    number = len(list(directory.glob("*.err")))
    out, err = directory / f"{number}.out", directory / f"{number}.err"
    with out.open("wb") as stdout, err.open("wb") as stderr:
        arguments = (sys.executable, "-m", "streamer", *arguments)
        process = subprocess.Popen(arguments, cwd=directory, env=ENVIRONMENT, stdout=stdout, stderr=stderr)
    command = Command(process, out, err)
    try:
        yield command
    finally:
        process.kill()
        process.wait()
    assert "Traceback" not in command.stderr


def ended(directory: Path, *arguments: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a command that ends by itself."""
    with started(directory, *arguments) as command:
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
        return len(rows(self.database, "SELECT offset FROM records"))


@pytest.fixture
def site(tmp_path: Path, url: str) -> Site:
    return Site(tmp_path, url)


@dataclass(frozen=True)
class FirstRun:
    """A run that published and was stopped; its site is there to be read, its file to be copied."""

    site: Site
    published_after_s: float
    code: int

    def tail(self, *arguments: str) -> list[str]:
        """The lines that ``tail`` prints."""
        code, stdout, stderr = self.site.ended("tail", *arguments)
        assert (code, stderr) == (0, "")
        return stdout.splitlines()


@pytest.fixture(scope="module")
def first_run(url: str, tmp_path_factory: pytest.TempPathFactory) -> FirstRun:
    site = Site(tmp_path_factory.mktemp("first-run"), url)
    with site.started("run") as command:
        published_after_s = wait_for(lambda: site.published() > 0)
        wait_for(lambda: site.published() >= 150)  # what the stream's start owes
        return FirstRun(site, published_after_s, command.stop())


def test_run_publishes_within_three_seconds_of_its_start(first_run: FirstRun) -> None:
    assert first_run.published_after_s < 3


def test_run_drains_within_ten_seconds_and_exits_0_on_sigterm(first_run: FirstRun) -> None:
    assert first_run.code == 0


def test_run_goes_on_where_the_last_one_stopped(first_run: FirstRun, site: Site) -> None:
    shutil.copy(first_run.site.database, site.database)
    before = site.published()
    with site.started("run"):
        wait_for(lambda: site.published() >= before + 15)
    samples = rows(site.database, "SELECT key, timestamp_ns FROM records")
    assert len(samples) == len(set(samples))
    for key in {key for key, _ in samples}:
        instants = sorted(instant_ns for other, instant_ns in samples if other == key)
        assert {later - earlier for earlier, later in pairwise(instants)} == {200_000_000}


def test_run_stays_up_while_the_api_is_away_and_begins_when_it_appears(tmp_path: Path) -> None:
    door = socket.create_server(("127.0.0.1", 0))
    door.settimeout(ENDED_WITHIN_S)
    port = door.getsockname()[1]
    site = Site(tmp_path, f"http://127.0.0.1:{port}/api/")
    with site.started("run") as command:
        with door:
            for _ in range(2):  # it asks again after it was hung up on
                door.accept()[0].close()
        with simulated(port):
            wait_for(lambda: site.published() > 0)
            assert command.stop() == 0


def test_run_says_once_that_the_credential_is_refused_and_begins_when_it_is_replaced(tmp_path: Path, url: str) -> None:
    secret = tmp_path / "secret"
    secret.write_text(WRONG_SECRET, "utf-8")
    site = Site(tmp_path, url, source={"base_url": url, "client_id": "demo", "client_secret_file": str(secret)})
    with site.started("run") as command:
        wait_for(lambda: len(command.logged("source.unreachable")) > 0)
        secret.write_text(SECRET, "utf-8")
        wait_for(lambda: site.published() > 0)
        assert command.stop() == 0
    (said,) = command.logged("source.credential_refused")
    assert f"{url}v1/auth/token" in said["reason"]
    assert WRONG_SECRET not in command.stderr
    assert SECRET not in command.stderr


def test_run_without_streams_is_a_configuration_error(tmp_path: Path, url: str) -> None:
    code, _, stderr = Site(tmp_path, url, streams=[]).ended("run")
    assert code == 78
    assert "streams: names no stream" in stderr


def test_broken_yaml_is_a_configuration_error_that_names_the_file(tmp_path: Path) -> None:
    file = tmp_path / "broken.yaml"
    file.write_text("source: {base_url: [\n", "utf-8")
    code, _, stderr = ended(tmp_path, "run", "--config", str(file))
    assert code == 78
    assert str(file) in stderr


def test_an_unknown_option_is_a_usage_error(tmp_path: Path) -> None:
    code, _, stderr = ended(tmp_path, "run", "--confg", "x.yaml")
    assert code == 2
    assert "--confg" in stderr


@pytest.mark.parametrize("prefix", ["head", "place/", "memory/"])
def test_run_refuses_a_ledger_that_misses_a_record(prefix: str, first_run: FirstRun, site: Site) -> None:
    shutil.copy(first_run.site.database, site.database)
    missing = f"SELECT min(key) FROM state WHERE CAST(key AS TEXT) LIKE '{prefix}%'"
    with closing(sqlite3.connect(site.database)) as connection, connection:
        assert connection.execute(f"DELETE FROM state WHERE key = ({missing})").rowcount == 1
    state = rows(site.database, "SELECT * FROM state")
    code, _, stderr = site.ended("run")
    assert code == 70
    assert re.search(r"[Ss]hard 0 .*'head'", stderr)
    assert rows(site.database, "SELECT * FROM state") == state


def test_run_needs_its_status_port(tmp_path: Path, url: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, _, stderr = Site(tmp_path, url, status={"port": port}).ended("run")
    assert code == 78
    assert f"status.port: 127.0.0.1:{port}" in stderr


def test_check_finds_nothing_wrong(site: Site) -> None:
    code, stdout, stderr = site.ended("check")
    assert (code, stderr) == (0, "")
    assert (stdout.count("✔"), stdout.count("✘")) == (7, 0)


def test_check_of_an_api_that_is_away_exits_75(tmp_path: Path) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))  # taken, and nobody listens
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/api/"
        code, stdout, _ = Site(tmp_path, url).ended("check")
    assert code == 75
    assert "✘" in stdout


def test_check_of_a_refused_credential_exits_77_without_showing_it(tmp_path: Path, url: str) -> None:
    code, stdout, stderr = Site(tmp_path, url, secret=WRONG_SECRET).ended("check")
    assert code == 77
    assert "answered 401" in stdout
    assert WRONG_SECRET not in stdout + stderr


def test_check_of_an_unknown_signal_exits_78_and_names_it(tmp_path: Path, url: str) -> None:
    stream = {"name": "turbines", "database_id": SYNTHETIC, "signals": [1001, 7777]}
    code, stdout, _ = Site(tmp_path, url, streams=[stream]).ended("check", "--json")
    assert code == 78
    (wrong,) = [finding for finding in json.loads(stdout) if finding["exit_code"]]
    assert wrong["subject"] == "stream turbines"
    assert f"{SYNTHETIC}:7777" in wrong["detail"]


def test_tail_shows_the_last_ten_records(first_run: FirstRun) -> None:
    records = [json.loads(line) for line in first_run.tail()]
    assert len(records) == 10
    assert first_run.site.published() in {record["offset"] for record in records}
    assert [set(record) for record in records] == [{"topic", "partition", "offset", "key", "headers", "value"}] * 10


def test_tail_from_the_beginning_ends_at_its_limit(first_run: FirstRun) -> None:
    records = [json.loads(line) for line in first_run.tail("--from-beginning", "--limit", "3")]
    assert [record["offset"] for record in records] == [1, 2, 3]


def test_tail_prints_a_table_for_people(first_run: FirstRun) -> None:
    (line,) = first_run.tail("--limit", "1", "--format", "table")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\S+Z +SYN\.100[1-3] +[\d.]+ 1", line)


@pytest.fixture
def _ctrl_c_as_usual() -> Iterator[None]:
    """Children inherit that Ctrl-C is ignored, as in ``pytest &``, but not a handler."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_ctrl_c_as_usual")
def test_tail_follows_until_ctrl_c(site: Site) -> None:
    with site.started("run"):
        wait_for(lambda: site.published() > 0)
        with site.started("tail", "--follow") as following:
            wait_for(lambda: len(following.stdout.splitlines()) >= 5)
            assert following.stop(signal.SIGINT) == 0
    assert following.stderr == ""


def test_tail_into_a_closed_pipe_ends_quietly(first_run: FirstRun) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    arguments = [sys.executable, "-m", "streamer", "tail", "--config", str(first_run.site.config)]
    done = subprocess.run(arguments, env=ENVIRONMENT, stdout=writer, stderr=subprocess.PIPE, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"")


def test_tail_without_a_file_says_what_makes_one(site: Site) -> None:
    code, _, stderr = site.ended("tail")
    assert code == 75
    assert f"{site.database} is not there yet." in stderr


def test_status_says_how_far_the_stored_ledger_is(first_run: FirstRun) -> None:
    code, stdout, stderr = first_run.site.ended("status", "--json")
    assert (code, stderr) == (0, "")
    (stream,) = json.loads(stdout)
    assert (stream["stream"], stream["series"], stream["holes"]) == ("synthetic", 3, 0)
    assert stream["settled"] < stream["frontier"]


def test_signals_lists_the_catalogue_a_line_each_with_their_streams(site: Site) -> None:
    code, stdout, _ = site.ended("signals", "--json")
    assert code == 0
    listed = [json.loads(line) for line in stdout.splitlines()]
    assert {entry["database_id"] for entry in listed} == {1, 2, 3, SYNTHETIC}
    members = [(entry["database_id"], entry["index"]) for entry in listed if entry["stream"] == "synthetic"]
    assert members == [(SYNTHETIC, 1001), (SYNTHETIC, 1002), (SYNTHETIC, 1003)]


def test_demo_loses_and_doubles_nothing(tmp_path: Path) -> None:
    code, stdout, _ = ended(tmp_path, "demo", "--for", "5s")
    assert code == 0
    verdict = dict(re.findall(r"(events published|lost|doubled|wrong)\W+([\d,]+)", stdout))
    assert int(verdict.pop("events published").replace(",", "")) > 1000
    assert verdict == {"lost": "0", "doubled": "0", "wrong": "0"}


def test_nonsense_for_the_demos_duration_is_a_configuration_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ENVIRONMENT, "DEMO_FOR", "a while")
    code, _, stderr = ended(tmp_path, "demo")
    assert code == 78
    assert "DEMO_FOR: is not a duration" in stderr


def test_simulate_prints_its_url_and_ends_on_sigterm(tmp_path: Path) -> None:
    with started(tmp_path, "simulate", "--port", "0") as command:
        wait_for(lambda: "http://" in command.stdout)
        assert re.match(r"http://127\.0\.0\.1:\d+/api/ ", command.stdout)
        assert command.stop() == 0
    assert command.stderr == ""
