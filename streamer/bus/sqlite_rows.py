"""What the embedded bus writes and reads: its tables, and records as rows. Called by ``sqlite`` alone."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence

import orjson

from streamer.bus.records import Record
from streamer.bus.shards import partition_of_notice
from streamer.model import Notice, Records

SAMPLES = "samples"
SCHEMA = """
CREATE TABLE records (
    offset INTEGER PRIMARY KEY AUTOINCREMENT,
    topic TEXT NOT NULL,
    partition INTEGER NOT NULL,
    key TEXT,
    value TEXT,
    headers TEXT,
    timestamp_ns INTEGER NOT NULL
);
CREATE INDEX notices ON records (topic, offset) WHERE topic <> 'samples';
CREATE TABLE state (
    shard INTEGER NOT NULL,
    key BLOB NOT NULL,
    value BLOB NOT NULL,
    PRIMARY KEY (shard, key)
) WITHOUT ROWID;
"""
"""Public: records. Internal: state."""

END = "SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'records'), 0) + 1"
INSERT = "INSERT INTO records (topic, partition, key, value, headers, timestamp_ns) VALUES (?, ?, ?, ?, ?, ?)"

Row = tuple[str, int, str, str | None, str | None, int]


def change_state(connection: sqlite3.Connection, shard: int, changes: Mapping[bytes, bytes | None]) -> None:
    """Write the changes of a shard's state; None takes a record away."""
    connection.executemany(
        "DELETE FROM state WHERE shard = ? AND key = ?",
        ((shard, key) for key, value in changes.items() if value is None),
    )
    connection.executemany(
        "INSERT OR REPLACE INTO state (shard, key, value) VALUES (?, ?, ?)",
        ((shard, key, value) for key, value in changes.items() if value is not None),
    )


def event_rows(records: Sequence[Records]) -> Iterator[Row]:
    """Events as rows."""
    for partition, key, values, timestamps_ns, headers in records:
        name = key.decode()
        for at, (value, timestamp_ns) in enumerate(zip(values, timestamps_ns, strict=True)):
            yield SAMPLES, partition, name, value.decode(), _headers(headers[at]) if headers else None, timestamp_ns


def notice_rows(notices: Sequence[Notice], shard: int, partitions: int) -> Iterator[Row]:
    """What a shard says of its events, as rows."""
    for notice in notices:
        value = None if notice.value is None else notice.value.decode()
        partition = partition_of_notice(notice, shard, partitions)
        yield notice.topic, partition, notice.key.decode(), value, None, notice.timestamp_ns


def _headers(headers: Sequence[tuple[str, bytes]]) -> str:
    return orjson.dumps({name: value.decode() for name, value in headers}).decode()


def record_of(row: tuple[str, int, int, str | None, str | None, str | None, int]) -> Record:
    """A row as a record."""
    topic, partition, offset, key, headers, value, timestamp_ns = row
    return Record(
        topic=topic,
        partition=partition,
        offset=offset,
        key=key,
        headers=orjson.loads(headers) if headers else {},
        value=b"null" if value is None else value.encode(),
        timestamp_ns=timestamp_ns,
    )
