"""The rounds of one shard: when each group asks, what, and what follows from the answer.

A task a group plans, starts questions and waits; a task a question fetches and hands over to the pipeline. All
of them live in one task group that the daemon ends when the generation ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence

from streamer.clock import Clock, ServiceTime
from streamer.complaints import Complaints
from streamer.desk import Desk
from streamer.errors import SourceError
from streamer.failpoints import failpoint
from streamer.inquiry import Inquiry
from streamer.ledger.ledger import Ledger, Outcome
from streamer.metrics import Metrics
from streamer.model import NS_PER_S, Answer, Lane, Query, Series
from streamer.pipeline import Pipeline
from streamer.planner.plan import plan
from streamer.sizing import LedgerMemory

LONG_QUERIES = 8
"""Questions of one lane that may hold long answers in memory at once: two for each request in flight.

A lane of its own each: else revisits would wait behind whatever the catch-up has asked before.
"""

MEASURED_EVERY_S = 1.0
"""How often the memory of the ledger is looked at: a second of samples is little of it."""

TIME_REMEDY = "Let the API's Date header through; compare its clock and this host's with true time."
"""What to do when the service's time is unknown."""

LONGEST_WAIT_NS = NS_PER_S
"""Holes and the service's time are looked at again at least this often."""


class Rounds:
    """All desks of one shard in one generation."""

    def __init__(
        self,
        *,
        desks: Sequence[Desk],
        ledger: Ledger,
        pipeline: Pipeline,
        inquiry: Inquiry,
        memory: LedgerMemory,
        service_time: ServiceTime,
        clock: Clock,
        metrics: Metrics,
        complaints: Complaints,
        long_queries: Mapping[Lane, asyncio.Semaphore],
    ) -> None:
        self._desks = desks
        self._ledger = ledger
        self._pipeline = pipeline
        self._inquiry = inquiry
        self._memory = memory
        self._service_time = service_time
        self._clock = clock
        self._metrics = metrics
        self._complaints = complaints
        self._long_queries = long_queries

    async def run(self) -> None:
        """Ask until cancelled; whatever is in flight then is dropped, nothing of it was covered."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._measure())
                for desk in self._desks:
                    tasks.create_task(self._attend(desk))
        finally:
            self._memory.left(self._ledger.shard)

    async def _measure(self) -> None:
        """Say how much the ledger remembers, as long as the shard is owned, with groups or without."""
        while True:
            self._memory.holds(self._ledger.shard, self._ledger.entries)
            await self._clock.sleep(MEASURED_EVERY_S)

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
            self._complaints.say("source.time_unknown", self._service_time.why_unknown, remedy=TIME_REMEDY)
            return []
        self._complaints.over("source.time_unknown", "source.time_known")
        standing = desk.standing(self._ledger, now_ns, may_advance=not self._memory.is_full)
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
                answer, outcome = await self._fetch_and_commit(desk, query)
            else:
                async with self._long_queries[query.lane]:
                    answer, outcome = await self._fetch_and_commit(desk, query)
        except SourceError as exc:
            self._metrics.failed.labels(type(exc).__name__).inc()
            self._complain(query, exc)
            self._failed(desk, query, exc)
        else:
            self._note(query, answer, outcome)
            unrepaired = self._unrepaired(query) if outcome is Outcome.COVERED else query.series
            desk.answered(query, answer, outcome, unrepaired, self._clock.monotonic_ns())
            self._released(desk, query)
        finally:
            desk.busy.remove(query)
            desk.woken.set()

    async def _fetch_and_commit(self, desk: Desk, query: Query) -> tuple[Answer, Outcome]:
        answer = await self._inquiry.answer(query, desk.proof, desk.known_ns(self._ledger, query))
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

    def _failed(self, desk: Desk, query: Query, error: SourceError) -> None:
        before = desk.quarantine.resting
        desk.failed(query, error, self._inquiry.answered_ns, self._clock.monotonic_ns())
        for series in desk.quarantine.resting - before:
            stream = query.group.stream.name
            self._metrics.quarantined.labels(stream).inc()
            self._complaints.say(
                "source.series_quarantined",
                f"{stream}: {series.name}",
                who=series.name,
                remedy="It makes every query fail that asks for it; it is asked for by itself now and then.",
            )

    def _released(self, desk: Desk, query: Query) -> None:
        for series in query.series:
            self._complaints.over("source.series_quarantined", "source.series_released", who=series.name)

    def _complain(self, query: Query, error: SourceError) -> None:
        self._complaints.say(
            "source.query_failed",
            error.what,
            who=query.group.id,
            stream=query.group.stream.name,
            remedy=error.remedy,
        )

    def _note(self, query: Query, answer: Answer, outcome: Outcome) -> None:
        stream, who = query.group.stream.name, query.group.id
        self._complaints.over("source.query_failed", "source.query_recovered", who=who)
        for cause, rows in answer.rejected.items():
            self._complaints.say("source.rows_rejected", f"{stream}: {cause}", who=who, stream=stream, rows=rows)
        if not answer.rejected:
            self._complaints.over("source.rows_rejected", "source.rows_accepted", who=who)
        if outcome is Outcome.EMPTY:
            cause = f"{stream}: no rows at all, though samples are known for that time"
            remedy = "It is asked again; look at the API if it lasts."
            self._complaints.say("source.answer_empty", cause, who=who, stream=stream, remedy=remedy)
        elif outcome is Outcome.COVERED:
            self._complaints.over("source.answer_empty", "source.answer_filled", who=who)
