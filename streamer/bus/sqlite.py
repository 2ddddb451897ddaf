"""The embedded bus: events and ledger in one SQLite file, in one transaction, for one process.

Table ``records`` is public: ``tail`` reads it, and so may any other program, while the daemon writes. Table
``state`` holds the ledger. All writing happens in one thread; a lock file keeps a second process out.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import sqlite3
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TypeVar

from streamer.bus.membership import Alone
from streamer.bus.records import Record
from streamer.bus.shards import partition_of
from streamer.bus.sqlite_rows import END, INSERT, SAMPLES, SCHEMA, change_state, event_rows, notice_rows, record_of
from streamer.errors import BusUnreachable, LedgerUntrusted, OutcomeUnknown, ShardTaken
from streamer.model import Closing, Records

SCHEMA_VERSION = 1
BUSY_S = 5.0
FOLLOWED_EVERY_S = 0.2
PAGE = 1000

_MAGIC = b"SQLite format 3\0"

_T = TypeVar("_T")


class SqliteBus:
    """One file.

    Args:
        path: the file; created, with its directory, when it is not there.
        partitions: what keys are spread over, one a shard.
    """

    def __init__(self, path: Path, *, partitions: int) -> None:
        self._path = path
        self._partitions = partitions
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sqlite")
        self._connection: sqlite3.Connection | None = None
        self._lock: int | None = None
        self._writers: dict[int, SqliteWriter] = {}

    async def open(self) -> None:
        """Lock, open and, if need be, create the file.

        Raises:
            ShardTaken: another process has it.
            BusUnreachable: it cannot be opened.
            LedgerUntrusted: it is something else, or of another version; nothing was touched.
        """
        await self._in_thread(self._open)

    async def open_to_reshape(self) -> int:
        """As ``open``; how many shards may have a state."""
        await self.open()
        last = "SELECT coalesce(max(shard), -1) + 1 FROM state"
        return int(await self._in_thread(lambda: self._opened().execute(last).fetchone()[0]))

    async def replace_states(self, states: Mapping[int, Mapping[bytes, bytes | None]]) -> None:
        """Change the states of all shards in one transaction. Raises BusUnreachable when nothing of it has happened."""

        def write() -> None:
            connection = self._opened()
            with connection:
                connection.execute("BEGIN IMMEDIATE")
                for shard, changes in states.items():
                    change_state(connection, shard, changes)

        await self._in_thread(write)

    async def close(self) -> None:
        """Close the file and let go of the lock, once what is under way is done."""
        await self._in_thread(self._close)
        self._thread.shutdown(wait=False)

    def membership(self) -> Alone:
        """This process owns every shard: the lock lets no other in."""
        return Alone(self._partitions)

    async def owners(self) -> dict[int, str]:
        """Which other process owns which shard: none does."""
        return {}

    @property
    def partitions(self) -> int:
        """Of the samples topic."""
        return self._partitions

    def partition_of(self, key: bytes) -> int:
        """The partition that a key belongs to."""
        return partition_of(key, self._partitions)

    async def acquire(self, shard: int) -> SqliteWriter:
        """Become the one writer of a shard; the earlier one is dead from then on."""
        self._writers[shard] = writer = SqliteWriter(self, shard)
        return writer

    async def read_state(self, shard: int) -> dict[bytes, bytes]:
        """The live state records of a shard as last committed; also beside a process that writes."""

        def read() -> dict[bytes, bytes]:
            with closing(self._reader()) as connection:
                return dict(connection.execute("SELECT key, value FROM state WHERE shard = ?", (shard,)))

        return await self._in_thread(read)

    async def read(
        self, topic: str, *, last: int | None, follow: bool, shard: int | None = None
    ) -> AsyncGenerator[Record, None]:
        """Committed records of a topic in order; also beside a process that writes.

        Args:
            topic: logical name (``samples``).
            last: begin that many records before the end; None for the beginning.
            follow: wait for more at the end.
            shard: only what this shard wrote; None for all.

        Raises:
            BusUnreachable: the file is not there or cannot be opened.
            LedgerUntrusted: it is something else.
        """
        about = "topic = ?" if topic == SAMPLES else "topic = ? AND topic <> 'samples'"  # that of the index

        def begin() -> int:
            if last is None:
                return 0
            with closing(self._reader()) as connection:
                newest = connection.execute(
                    f"SELECT offset FROM records WHERE {about} ORDER BY offset DESC LIMIT ?",  # noqa: S608
                    (topic, last + 1),
                ).fetchall()
            return int(newest[-1][0]) if len(newest) > last else 0

        def page(after: int) -> list[Record]:
            with closing(self._reader()) as connection:
                rows = connection.execute(
                    "SELECT topic, partition, offset, key, headers, value, timestamp_ns FROM records "  # noqa: S608
                    f"WHERE {about} AND offset > ? AND partition = coalesce(?, partition) ORDER BY offset LIMIT ?",
                    (topic, after, shard, PAGE),
                )
                return [record_of(row) for row in rows]

        offset = await self._in_thread(begin)
        while True:
            records = await self._in_thread(lambda after=offset: page(after))  # type: ignore[misc]
            for record in records:
                yield record
            if records:
                offset = records[-1].offset
            elif follow:
                await asyncio.sleep(FOLLOWED_EVERY_S)
            else:
                return

    async def lacks_oldest(self, shard: int) -> bool:
        """Whether records were deleted, of whatever shard."""

        def read() -> bool:
            with closing(self._reader()) as connection:
                found = connection.execute(
                    "SELECT (SELECT count(*) FROM records) < (SELECT seq FROM sqlite_sequence WHERE name = 'records')"
                )
                return bool(found.fetchone()[0])

        return await self._in_thread(read)

    async def check(self) -> str:
        """Open the file as ``run`` would, unless a daemon has it; say what is there."""
        try:
            await self.open()
        except ShardTaken:
            return f"{self._path} is in use by a running daemon"
        return f"{self._path} can be written"

    async def restore(self, shard: int) -> dict[bytes, bytes]:
        """The live state records, as the one writer sees them. Called by the shard's writer."""
        return await self._in_thread(
            lambda: dict(self._opened().execute("SELECT key, value FROM state WHERE shard = ?", (shard,)))
        )

    async def commit(
        self,
        writer: SqliteWriter,
        records: Sequence[Records],
        state: Mapping[bytes, bytes | None],
        closing: Closing | None,
    ) -> None:
        """Write events, state and notices in one transaction. Called by the shard's writer."""

        def write() -> None:
            if self._writers.get(writer.shard) is not writer:
                raise OutcomeUnknown(f"The writer of shard {writer.shard} was replaced.")
            connection = self._opened()
            with connection:
                connection.execute("BEGIN IMMEDIATE")
                connection.executemany(INSERT, event_rows(records))
                change_state(connection, writer.shard, state)
                if closing is not None:
                    end = connection.execute(END).fetchone()[0]
                    notices = closing({writer.shard: end})
                    connection.executemany(INSERT, notice_rows(notices, writer.shard, self._partitions))

        await self._in_thread(write)

    async def _in_thread(self, work: Callable[[], _T]) -> _T:
        with self._explained():
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Everything that SQLite raises inside, in the words of this project."""
        try:
            yield
        except (sqlite3.OperationalError, OSError) as exc:
            raise BusUnreachable(
                f"{self._path} cannot be used ({exc}).", "Check the directory, its permissions and the disk's space."
            ) from exc
        except sqlite3.DatabaseError as exc:
            raise LedgerUntrusted(
                f"{self._path} is not a database of this program, or is damaged ({exc}).",
                "Nothing was touched. Restore it, or set it aside and name another in bus.path.",
            ) from exc

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            raise BusUnreachable(f"{self._path} is not open.")
        return self._connection

    def _open(self) -> None:
        if self._connection is not None:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._take_lock()
        try:
            self._check_magic()
            connection = sqlite3.connect(self._path, timeout=BUSY_S, isolation_level=None)
            try:
                self._check_version(connection)
            except BaseException:
                connection.close()
                raise
        except BaseException:
            self._drop_lock()
            raise
        self._connection = connection

    def _check_magic(self) -> None:
        """SQLite itself takes a short file of anything for an empty database."""
        if self._path.exists():
            with self._path.open("rb") as file:
                if file.read(len(_MAGIC)) not in (b"", _MAGIC):
                    raise sqlite3.DatabaseError("it does not begin as one")

    def _check_version(self, connection: sqlite3.Connection) -> None:
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if version not in (0, SCHEMA_VERSION) or (version == 0 and tables):
            raise LedgerUntrusted(
                f"{self._path} is a database of another program or version ({version}; this one reads "
                f"{SCHEMA_VERSION}).",
                "Nothing was touched. Name another file in bus.path.",
            )
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        if version == 0:
            connection.executescript(f"BEGIN; {SCHEMA} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")

    def _close(self) -> None:
        self._writers.clear()
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        self._drop_lock()

    def _take_lock(self) -> None:
        lock = os.open(f"{self._path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            raise ShardTaken(
                f"Another process writes {self._path}.", "End it first, or name another file in bus.path."
            ) from None
        self._lock = lock

    def _drop_lock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _reader(self) -> sqlite3.Connection:
        if not self._path.exists():
            raise BusUnreachable(f"{self._path} is not there yet.", "`streamer run` creates it; see bus.path.")
        uri = f"{self._path.absolute().as_uri()}?mode=ro"
        return sqlite3.connect(uri, uri=True, timeout=BUSY_S, isolation_level=None)


class SqliteWriter:
    """The one writer of a shard; dead as soon as a commit failed or another was acquired."""

    def __init__(self, bus: SqliteBus, shard: int) -> None:
        self._bus = bus
        self.shard = shard
        self._is_dead = False

    async def restore(self) -> dict[bytes, bytes]:
        """The live state records."""
        return await self._bus.restore(self.shard)

    async def commit(
        self, records: Sequence[Records], state: Mapping[bytes, bytes | None], closing: Closing | None = None
    ) -> None:
        """Write events, state records and what is to be said of them in one transaction.

        Offsets count the records of all topics, so the samples of a shard end where all records do.

        Raises:
            OutcomeUnknown: it failed; the writer is dead from then on.
        """
        if self._is_dead:
            raise OutcomeUnknown(f"The writer of shard {self.shard} is dead.")
        self._is_dead = True  # until the commit is known to have happened
        try:
            await self._bus.commit(self, records, state, closing)
        except BusUnreachable as exc:
            raise OutcomeUnknown(f"The commit of shard {self.shard} failed: {exc.what}", exc.remedy) from exc
        self._is_dead = False

    async def close(self) -> None:
        """Let go of the shard."""
        self._is_dead = True
