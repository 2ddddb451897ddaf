"""The embedded bus's file: who may have it, and what it refuses to touch."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from streamer.bus.sqlite import SqliteBus
from streamer.errors import BusUnreachable, LedgerUntrusted, OutcomeUnknown, ShardTaken
from streamer.model import Records

EVENTS = Records(0, b"1:1", [b'{"value":1}'], [5])


async def opened(path: Path) -> SqliteBus:
    bus = SqliteBus(path, partitions=1)
    await bus.open()
    return bus


async def test_the_file_and_its_directory_are_created(tmp_path: Path) -> None:
    bus = await opened(tmp_path / "new" / "bus.db")
    await bus.close()
    assert (tmp_path / "new" / "bus.db").exists()


def test_a_second_process_is_kept_out_with_a_clear_error(tmp_path: Path) -> None:
    lock = os.open(tmp_path / "bus.db.lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(lock, fcntl.LOCK_EX)
    program = (
        "import asyncio, sys\nfrom pathlib import Path\nfrom streamer.bus.sqlite import SqliteBus\n"
        "asyncio.run(SqliteBus(Path(sys.argv[1]), partitions=1).open())"
    )
    second = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "bus.db")], capture_output=True, text=True, check=False
    )
    os.close(lock)
    assert "ShardTaken: Another process writes" in second.stderr


async def test_a_closed_bus_lets_another_in(tmp_path: Path) -> None:
    await (await opened(tmp_path / "bus.db")).close()
    await (await opened(tmp_path / "bus.db")).close()


async def test_two_openings_in_one_process_are_kept_apart_too(tmp_path: Path) -> None:
    bus = await opened(tmp_path / "bus.db")
    second = SqliteBus(tmp_path / "bus.db", partitions=1)
    with pytest.raises(ShardTaken):
        await second.open()
    await second.close()
    await bus.close()


@pytest.mark.parametrize("content", [b"not a database, but long enough to be looked at as one" * 40, b"x"])
async def test_a_file_that_is_something_else_is_not_touched(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bus.db").write_bytes(content)
    bus = SqliteBus(tmp_path / "bus.db", partitions=1)
    with pytest.raises(LedgerUntrusted, match=r"bus\.db"):
        await bus.open()
    await bus.close()
    assert (tmp_path / "bus.db").read_bytes() == content


@pytest.mark.parametrize("statement", ["CREATE TABLE theirs (x)", "PRAGMA user_version = 99"])
async def test_a_database_of_another_program_or_version_is_refused(tmp_path: Path, statement: str) -> None:
    with closing(sqlite3.connect(tmp_path / "bus.db")) as connection:
        connection.execute(statement)
    bus = SqliteBus(tmp_path / "bus.db", partitions=1)
    with pytest.raises(LedgerUntrusted, match="another program or version"):
        await bus.open()
    await bus.close()


async def test_a_path_that_cannot_be_opened_says_why(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    bus = SqliteBus(tmp_path / "file" / "bus.db", partitions=1)
    with pytest.raises(BusUnreachable, match="cannot be used"):
        await bus.open()
    await bus.close()


async def test_reading_a_file_that_is_not_there_creates_none(tmp_path: Path) -> None:
    bus = SqliteBus(tmp_path / "bus.db", partitions=1)
    with pytest.raises(BusUnreachable, match="not there yet"):
        await bus.read_state(0)
    await bus.close()
    assert os.listdir(tmp_path) == []


async def test_a_commit_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    bus = await opened(tmp_path / "bus.db")
    writer = await bus.acquire(0)
    await writer.commit([], {b"head": b"1"})
    connection = bus._opened()
    await bus._in_thread(lambda: connection.execute("PRAGMA max_page_count = 1"))  # as if the disk were full
    with pytest.raises(OutcomeUnknown, match="full"):
        await writer.commit([EVENTS], {b"head": bytes(100_000)})
    assert await bus.read_state(0) == {b"head": b"1"}
    assert [record async for record in bus.read("samples", last=None, follow=False)] == []
    await bus.close()


async def test_the_public_table_is_readable_by_anybody_while_the_bus_is_open(tmp_path: Path) -> None:
    bus = await opened(tmp_path / "bus.db")
    writer = await bus.acquire(0)
    await writer.commit([EVENTS], {b"head": b"1"})
    with closing(sqlite3.connect(tmp_path / "bus.db")) as connection:
        columns = [column for _, column, *_ in connection.execute("PRAGMA table_info(records)")]
        rows = connection.execute("SELECT *, json_extract(value, '$.value') FROM records").fetchall()
    assert columns == ["offset", "topic", "partition", "key", "value", "headers", "timestamp_ns"]
    assert rows == [(1, "samples", 0, "1:1", '{"value":1}', None, 5, 1)]
    await bus.close()


async def test_commits_survive_the_loss_of_power(tmp_path: Path) -> None:
    bus = await opened(tmp_path / "bus.db")
    connection = bus._opened()
    synchronous = await bus._in_thread(lambda: connection.execute("PRAGMA synchronous").fetchone()[0])
    journal = await bus._in_thread(lambda: connection.execute("PRAGMA journal_mode").fetchone()[0])
    assert (synchronous, journal) == (2, "wal")
    await bus.close()


async def test_deleted_records_are_noticed(tmp_path: Path) -> None:
    bus = await opened(tmp_path / "bus.db")
    await (await bus.acquire(0)).commit([EVENTS, EVENTS], {})
    assert not await bus.lacks_oldest(0)
    with closing(sqlite3.connect(tmp_path / "bus.db")) as connection, connection:
        connection.execute("DELETE FROM records WHERE offset = 1")
    assert await bus.lacks_oldest(0)
    await bus.close()
