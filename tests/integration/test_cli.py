"""The program as its user has it: real processes, an SQLite file, and a simulated API on loopback."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from urllib.request import urlopen

import pytest
from prometheus_client.parser import text_string_to_metric_families

from streamer.metric_definitions import CATALOGUE
from streamer.simulator.plants import SYNTHETIC
from tests.support.program import (
    ENDED_WITHIN_S,
    ENVIRONMENT,
    SECRET,
    WRONG_SECRET,
    Site,
    ended,
    rows,
    simulated,
    started,
    wait_for,
)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with simulated() as simulator:
        yield simulator.url


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


@pytest.mark.alone
def test_run_publishes_within_three_seconds_of_its_start(first_run: FirstRun) -> None:
    assert first_run.published_after_s < 3


def test_run_drains_within_ten_seconds_and_exits_0_on_sigterm(first_run: FirstRun) -> None:
    assert first_run.code == 0


def test_run_goes_on_where_the_last_one_stopped(first_run: FirstRun, site: Site) -> None:
    shutil.copy(first_run.site.database, site.database)
    before = site.published()
    with site.started("run"):
        wait_for(lambda: site.published() >= before + 15)
    samples = rows(site.database, "SELECT key, timestamp_ns FROM records WHERE topic = 'samples'")
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


def test_run_says_once_that_the_credential_is_refused_and_begins_when_it_is_replaced(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text(WRONG_SECRET, "utf-8")
    with simulated() as simulator:
        source = {"base_url": simulator.url, "client_id": "demo", "client_secret_file": str(secret)}
        site = Site(tmp_path, simulator.url, source=source)
        with site.started("run") as command:
            wait_for(lambda: len(command.logged("source.unreachable")) > 0)
            asked = simulator.requests
            secret.write_text(WRONG_SECRET[::-1], "utf-8")
            wait_for(lambda: simulator.requests > asked)  # to be refused again
            secret.write_text(SECRET, "utf-8")
            wait_for(lambda: site.published() > 0)
            assert command.stop() == 0
    (said,) = command.logged("source.credential_refused")
    assert f"{simulator.url}v1/auth/token" in said["reason"]
    assert not any(word in command.stderr for word in (SECRET, WRONG_SECRET, WRONG_SECRET[::-1]))


def test_run_without_streams_is_a_configuration_error(tmp_path: Path, url: str) -> None:
    code, _, stderr = Site(tmp_path, url, streams=[]).ended("run")
    assert code == 78
    assert "streams: names no stream" in stderr


@pytest.mark.parametrize(
    ("source", "line"),
    [
        (
            {"client_secret_file": "absent"},
            "source.client_secret_file: absent cannot be read: No such file or directory.",
        ),
        (
            {"client_secret": SECRET, "timeout": "soon"},
            "source.timeout: is not a duration; write 200ms, 15s, 2m or 1h30m.",
        ),
    ],
)
def test_why_it_ended_is_the_last_line_and_a_line_of_its_own(
    tmp_path: Path, url: str, source: dict[str, str], line: str
) -> None:
    code, stdout, stderr = Site(tmp_path, url, source={"base_url": url, "client_id": "demo"} | source).ended("run")
    assert (code, stdout) == (78, "")
    assert stderr == f"The configuration cannot be used: {line}\n"


def test_every_problem_of_a_configuration_has_a_line(tmp_path: Path, url: str) -> None:
    _, _, stderr = Site(tmp_path, url, bus={"shards": 0}, log={"level": "loud"}).ended("run")
    assert [line.partition(": ")[2].partition(": ")[0] for line in stderr.splitlines()] == ["bus.shards", "log.level"]


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
    first = "SELECT offset FROM records WHERE topic = 'samples' ORDER BY offset LIMIT 3"
    assert [record["offset"] for record in records] == [offset for (offset,) in rows(first_run.site.database, first)]


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


def test_status_live_tells_a_running_daemon_from_one_that_ended(tmp_path: Path, url: str) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    site = Site(tmp_path, url, status={"port": port})
    with site.started("run") as command:
        wait_for(lambda: bool(command.logged("daemon.started")))
        assert site.ended("status", "--live") == (0, "ok\n", "")
        assert command.stop() == 0
    code, stdout, stderr = site.ended("status", "--live")
    assert (code, stdout) == (75, "")
    assert f"127.0.0.1:{port}" in stderr


def test_metrics_of_a_running_daemon_are_those_of_the_catalogue(site: Site) -> None:
    with site.started("run") as command:
        wait_for(lambda: site.published() > 0)
        (started,) = command.logged("daemon.started")
        with urlopen(f"{started['status']}/metrics", timeout=5) as answer:
            families = list(text_string_to_metric_families(answer.read().decode()))
    assert {family.name: family.type for family in families} == {one.full_name: one.kind for one in CATALOGUE}


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


def test_a_second_run_on_the_same_file_ends_and_the_first_goes_on(site: Site) -> None:
    with site.started("run") as first:
        wait_for(lambda: site.published() > 0)
        code, _, stderr = site.ended("run")
        assert code == 75
        assert f"Another process writes {site.database}." in stderr
        before = site.published()
        wait_for(lambda: site.published() > before)
        assert first.stop() == 0


def test_run_leaves_a_file_alone_that_is_no_database(site: Site) -> None:
    content = b"minutes of the meeting\n" * 300
    site.database.write_bytes(content)
    code, _, stderr = site.ended("run")
    assert code == 70
    assert f"{site.database} is not a database of this program" in stderr
    assert site.database.read_bytes() == content


def test_rebuild_leaves_a_ledger_alone_that_can_be_trusted(first_run: FirstRun) -> None:
    code, stdout, stderr = first_run.site.ended("rebuild", "--json")
    assert (code, json.loads(stdout)) == (0, [])
    assert "can be trusted" in stderr


def test_rebuild_keeps_away_from_the_file_of_a_running_daemon(site: Site) -> None:
    with site.started("run"):
        wait_for(lambda: site.published() > 0)
        code, _, stderr = site.ended("rebuild", "--force", "--yes")
    assert code == 75
    assert "Another process writes" in stderr


def test_rebuild_takes_only_an_instant_for_since(site: Site) -> None:
    code, _, stderr = site.ended("rebuild", "--since", "2h")
    assert code == 78
    assert "--since: is not an instant" in stderr
