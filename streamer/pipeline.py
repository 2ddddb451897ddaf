"""The line that data takes in one shard: fetch the samples, keep the unseen, encode the events, commit, advance.

One ``Pipeline`` lives as long as the writer of its shard. Answers that are ready together share a commit; a
failed commit ends the pipeline, because only the stored ledger knows then what happened (rule 9).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple, Protocol

from streamer.bulletin import Bulletin
from streamer.bus.events import EventEncoder
from streamer.clock import Clock
from streamer.failpoints import failpoint
from streamer.ledger.ledger import Applied, Ledger, Outcome
from streamer.model import NS_PER_S, Answer, Closing, Query, Records, Series
from streamer.tally import Tally

COMMIT_ROWS = 100_000
"""Rows of one commit at most, unless a single answer has more: half a second of work, far from the deadline."""


class Source(Protocol):
    """Where answers come from."""

    async def query(self, query: Query) -> Answer:
        """The checked answer. Raises a SourceError when there is none."""
        ...


class Writer(Protocol):
    """The one writer of a shard; fences all earlier ones."""

    async def restore(self) -> dict[bytes, bytes]:
        """The state records as last committed."""
        ...

    async def commit(
        self, records: Sequence[Records], state: Mapping[bytes, bytes | None], closing: Closing | None = None
    ) -> None:
        """Write events, state and what ``closing`` makes of where the events end, in one transaction.

        Raises OutcomeUnknown on any doubt; dead from then on.
        """
        ...

    async def close(self) -> None:
        """Let go of the shard."""
        ...


class Answered(NamedTuple):
    """An answer that waits for its commit; ``outcome`` resolves when it is committed."""

    query: Query
    answer: Answer
    outcome: asyncio.Future[Outcome]

    @property
    def rows(self) -> int:
        """How many rows the answer has."""
        return sum(len(column.instants_ns) for column in self.answer.columns.values())


class Pipeline:
    """One shard's line, from answers to commits. At most one commit is under way at any time."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        bulletin: Bulletin,
        writer: Writer,
        encoders: Mapping[Series, EventEncoder],
        clock: Clock,
        tally: Tally,
        commit_interval_ns: int,
    ) -> None:
        self._ledger = ledger
        self._bulletin = bulletin
        self._writer = writer
        self._encoders = encoders
        self._clock = clock
        self._tally = tally
        self._commit_interval_ns = commit_interval_ns
        self._waiting: list[Answered] = []
        self._arrived = asyncio.Event()
        self._is_draining = False
        self._may_commit = asyncio.Event()
        self._may_commit.set()
        self._committing = asyncio.Lock()

    async def put(self, query: Query, answer: Answer) -> Outcome:
        """Give an answer to the next commit; return what became of it once it is committed."""
        outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._waiting.append(Answered(query, answer, outcome))
        self._arrived.set()
        return await outcome

    async def run(self) -> None:
        """Commit what arrives, until drained. Raises OutcomeUnknown when a commit did not surely succeed."""
        while True:
            await self._arrived.wait()
            await self._may_commit.wait()
            if not self._waiting:
                return
            began_ns = self._clock.monotonic_ns()
            async with self._committing:
                await self._commit(self._next())
            if not self._waiting and not self._is_draining:
                self._arrived.clear()
            rest_ns = began_ns + self._commit_interval_ns - self._clock.monotonic_ns()
            if rest_ns > 0 and not self._is_draining:
                await self._clock.sleep(rest_ns / NS_PER_S)

    def drain(self) -> None:
        """Let ``run`` return when everything that has arrived is committed."""
        self._is_draining = True
        self._arrived.set()

    async def hold(self) -> None:
        """Start no commit from now on; return when none is in flight. What arrives meanwhile waits."""
        self._may_commit.clear()
        async with self._committing:
            pass

    def resume(self) -> None:
        """Commit again."""
        self._may_commit.set()

    @property
    def is_held(self) -> bool:
        """Whether no commit may start."""
        return not self._may_commit.is_set()

    async def take_over(self) -> None:
        """Commit the ledger as adopted, before anything else of this generation."""
        await self._may_commit.wait()
        async with self._committing:
            closing = self._bulletin.closing()
            await self._writer.commit([], self._ledger.changes(), closing)

    def _next(self) -> list[Answered]:
        rows = 0
        for number, answered in enumerate(self._waiting):
            rows += answered.rows
            if rows > COMMIT_ROWS and number:
                break
        else:
            number = len(self._waiting)
        chosen, self._waiting = self._waiting[:number], self._waiting[number:]
        return chosen

    async def _commit(self, chosen: list[Answered]) -> None:
        records: list[Records] = []
        applied: list[Applied] = []
        for answered in chosen:
            kept = self._ledger.apply(answered.query, answered.answer)
            observed_at = instant_text(answered.answer.received_wall_ns)
            records += [self._encoders[run.series].encode(run, observed_at) for run in kept.runs]
            applied.append(kept)
            failpoint("answer.applied")
            await asyncio.sleep(0)
        if self._ledger.is_changed:
            closing = self._bulletin.closing()
            changes = self._ledger.changes()
            began_ns = self._clock.monotonic_ns()
            failpoint("commit.begun")
            await self._writer.commit(records, changes, closing)
            failpoint("commit.done")
            self._tally.commit_took(self._clock.monotonic_ns() - began_ns)
        for answered, kept in zip(chosen, applied, strict=True):
            self._tally.committed(answered.query, answered.answer, kept)
            if not answered.outcome.done():
                answered.outcome.set_result(kept.outcome)


def instant_text(instant_ns: int) -> str:
    """An instant as events write ``observed_at``: UTC, milliseconds, ``Z``."""
    seconds, rest_ns = divmod(instant_ns, NS_PER_S)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest_ns // 1_000_000:03d}Z"
