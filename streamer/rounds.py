"""The rounds of one shard: when each group asks, what, and what follows from the answer.

A task a group plans, starts questions and waits; a task a question fetches and hands over to the pipeline. All
of them live in one task group that the daemon ends when the generation ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence

from streamer.clock import Clock, ServiceTime
from streamer.complaints import Complaints
from streamer.errors import CredentialRefused, QueryRefused, SourceError, SourceUnreachable
from streamer.failpoints import failpoint
from streamer.ledger.ledger import Ledger, Outcome
from streamer.metrics import Metrics
from streamer.model import NS_PER_S, Answer, Group, Lane, Query, Series
from streamer.pipeline import Pipeline, Source
from streamer.planner.chunks import Chunk
from streamer.planner.pace import Pace
from streamer.planner.plan import Standing, plan

HELD_AFTER_FAILURE_NS = NS_PER_S
"""A group that failed is not asked again sooner; the source has already retried and backed off by itself."""

LONGEST_WAIT_NS = NS_PER_S
"""Holes and the service's time are looked at again at least this often."""


class Desk:
    """Where one group is worked on: its pace, its chunk, and what is being asked."""

    def __init__(self, group: Group, pace: Pace) -> None:
        self.group = group
        self.pace = pace
        self.chunk = Chunk.first(group)
        self.busy: list[Query] = []
        self.held_until_ns = 0
        self.woken = asyncio.Event()

    def standing(self, ledger: Ledger, now_ns: int) -> Standing:
        """How the group stands for the planner."""
        holes = self.pace.ready(ledger.holes(self.group.id), now_ns)
        return Standing(
            self.group,
            ledger.place(self.group.id),
            holes,
            tuple(self.busy),
            self.chunk.span_ns,
            witness=lambda series, interval: ledger.witness(self.group.id, series, interval),
            is_doubted=lambda series: ledger.is_doubted(self.group.id, series),
        )

    def begin(self, query: Query, now_ns: int) -> None:
        """A question is being asked."""
        self.busy.append(query)
        if query.lane in (Lane.LIVE, Lane.CATCH_UP):
            self.pace.polled(now_ns)

    def failed(self, query: Query, error: SourceError, now_ns: int) -> None:
        """A question had no usable answer."""
        self.held_until_ns = now_ns + HELD_AFTER_FAILURE_NS
        if query.fills_holes and not isinstance(error, SourceUnreachable):
            self.pace.unrepaired(query.series, now_ns)
        if isinstance(error, CredentialRefused | QueryRefused):
            self.pace.refused(now_ns)
            self.held_until_ns = self.pace.due_ns
        elif query.lane is not Lane.LIVE:
            self.chunk = self.chunk.failed(self.group)

    def answered(
        self, query: Query, answer: Answer, outcome: Outcome, unrepaired: Collection[Series], now_ns: int
    ) -> None:
        """A question was answered and committed; ``unrepaired``: of which series a hole is left there."""
        self.pace.answered()
        if outcome is Outcome.COVERED:
            rows = sum(len(column.instants_ns) for column in answer.columns.values())
            self.chunk = self.chunk.answered(self.group, query.asked.end_ns - query.asked.start_ns, rows)
        elif outcome is Outcome.EMPTY:
            self.held_until_ns = now_ns + HELD_AFTER_FAILURE_NS
        if query.fills_holes:
            self.pace.repaired(series for series in query.series if series not in unrepaired)
            self.pace.unrepaired(unrepaired, now_ns)


class Rounds:
    """All desks of one shard in one generation."""

    def __init__(
        self,
        *,
        desks: Sequence[Desk],
        ledger: Ledger,
        pipeline: Pipeline,
        source: Source,
        service_time: ServiceTime,
        clock: Clock,
        metrics: Metrics,
        complaints: Complaints,
        long_queries: asyncio.Semaphore,
    ) -> None:
        self._desks = desks
        self._ledger = ledger
        self._pipeline = pipeline
        self._source = source
        self._service_time = service_time
        self._clock = clock
        self._metrics = metrics
        self._complaints = complaints
        self._long_queries = long_queries

    async def run(self) -> None:
        """Ask until cancelled; whatever is in flight then is dropped, nothing of it was covered."""
        async with asyncio.TaskGroup() as tasks:
            for desk in self._desks:
                tasks.create_task(self._attend(desk))
        await asyncio.Event().wait()  # a shard without groups is owned all the same

    async def _attend(self, desk: Desk) -> None:
        async with asyncio.TaskGroup() as questions:
            while True:
                desk.woken.clear()
                now_ns = self._clock.monotonic_ns()
                for query in self._plan(desk, now_ns):
                    desk.begin(query, now_ns)
                    questions.create_task(self._ask(desk, query))
                await self._wait(desk)

    def _plan(self, desk: Desk, now_ns: int) -> list[Query]:
        if now_ns < desk.held_until_ns:
            return []
        service_now_ns = self._service_time.now_ns()
        if service_now_ns is None:
            self._complaints.say("source.time_unknown", "no Date header", remedy="Let the API's Date header through.")
            return []
        self._complaints.over("source.time_unknown", "source.time_known")
        standing = desk.standing(self._ledger, now_ns)
        return plan(standing, service_now_ns, is_poll_due=desk.pace.due_ns <= now_ns)

    async def _wait(self, desk: Desk) -> None:
        now_ns = self._clock.monotonic_ns()
        due_ns = max(desk.pace.due_ns, desk.held_until_ns)
        wait_ns = min(due_ns - now_ns, LONGEST_WAIT_NS) if due_ns > now_ns else LONGEST_WAIT_NS
        try:
            async with asyncio.timeout(wait_ns / NS_PER_S):
                await desk.woken.wait()
        except TimeoutError:
            pass

    async def _ask(self, desk: Desk, query: Query) -> None:
        try:
            if query.lane is Lane.LIVE:
                answer, outcome = await self._fetch_and_commit(query)
            else:
                async with self._long_queries:
                    answer, outcome = await self._fetch_and_commit(query)
        except SourceError as exc:
            self._metrics.failed.labels(type(exc).__name__).inc()
            self._complain(query, exc)
            desk.failed(query, exc, self._clock.monotonic_ns())
        else:
            self._note(query, answer, outcome)
            unrepaired = self._unrepaired(query) if outcome is Outcome.COVERED else query.series
            desk.answered(query, answer, outcome, unrepaired, self._clock.monotonic_ns())
        finally:
            desk.busy.remove(query)
            desk.woken.set()

    async def _fetch_and_commit(self, query: Query) -> tuple[Answer, Outcome]:
        answer = await self._source.query(query)
        failpoint("answer.fetched")
        outcome = await self._pipeline.put(query, answer)
        failpoint("answer.committed")
        return answer, outcome

    def _unrepaired(self, query: Query) -> Collection[Series]:
        return {
            hole.series
            for hole in self._ledger.holes(query.group.id)
            if hole.series in query.series and hole.interval.overlaps(query.window)
        }

    def _complain(self, query: Query, error: SourceError) -> None:
        self._complaints.say(
            "source.query_failed",
            error.what,
            who=query.group.id,
            stream=query.group.stream.name,
            remedy=error.remedy,
        )

    def _note(self, query: Query, answer: Answer, outcome: Outcome) -> None:
        self._complaints.over("source.query_failed", "source.query_recovered", who=query.group.id)
        stream = query.group.stream.name
        for cause, rows in answer.rejected.items():
            self._complaints.say("source.rows_rejected", f"{stream}: {cause}", rows=rows)
        if outcome is Outcome.EMPTY:
            self._complaints.say("source.answer_empty", stream, remedy="The answer left out samples known to exist.")
