"""What a commit brought, counted: samples by what became of them, and how fresh they were.

One ``Tally`` a generation; the pipeline tells it of each answer whose commit succeeded. It decides about nothing.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

from streamer.arrival import Advice, Arrivals, Runs, first_seen
from streamer.clock import ServiceTime
from streamer.complaints import Complaints
from streamer.history import History
from streamer.ledger.ledger import Applied, Outcome
from streamer.metrics import Metrics
from streamer.model import NS_PER_S, Answer, Hole, Lane, Query, instant_text

FRESH_WITHIN_NS = 2 * NS_PER_S
"""On top of the poll interval: a sample that was visible for longer when it was committed is overdue."""


class Tally:
    """Counts what is committed of one shard."""

    def __init__(
        self,
        metrics: Metrics,
        service_time: ServiceTime,
        history: History,
        arrivals: Arrivals,
        complaints: Complaints,
    ) -> None:
        self._metrics = metrics
        self._service_time = service_time
        self._history = history
        self._arrivals = arrivals
        self._complaints = complaints
        self._looked_ns: dict[str, int] = {}

    def commit_took(self, span_ns: int) -> None:
        """A commit of events and ledger succeeded."""
        self._metrics.commit_seconds.observe(span_ns / NS_PER_S)

    def committed(self, query: Query, answer: Answer, applied: Applied) -> None:
        """Count an answer just after the commit that holds what is new of it."""
        metrics, stream = self._metrics, query.group.stream.name
        self._history.committed(stream, applied)
        fresh = first_seen(applied.runs)
        # Once an answer, not once a run: finding a counter by its label costs as much as a sample.
        if published := sum(len(instants_ns) * times for instants_ns, times in fresh):
            metrics.published.labels(stream).inc(published)
        if late := sum(len(run.instants_ns) for run in applied.runs if run.is_late):
            metrics.late.labels(stream).inc(late)
        if revised := sum(len(run.instants_ns) for run in applied.runs if run.revision):
            metrics.revised.labels(stream).inc(revised)
        if applied.nulls:
            metrics.nulls.labels(stream).inc(applied.nulls)
        if applied.vanished:
            metrics.vanished.labels(stream).inc(applied.vanished)
        for hole in applied.opened:
            metrics.holes_opened.labels(hole.cause).inc()
        self._give_up(stream, applied.lost)
        if applied.outcome is Outcome.VOID:
            metrics.void.inc()
        for cause, rows in answer.rejected.items():
            metrics.rejected.labels(cause).inc(rows)
        advice = self._arrivals.seen(query, applied, fresh)
        if advice is not None:
            self._advise(stream, advice)
        now_ns = self._service_time.now_ns()
        if now_ns is not None and query.lane is not Lane.BACKFILL:
            self._time(query, applied, fresh, now_ns)

    def _give_up(self, stream: str, lost: Sequence[Hole]) -> None:
        """Say what can never be covered."""
        for hole in lost:
            start_ns, end_ns = hole.interval
            self._metrics.lost_seconds.labels(stream).inc((end_ns - start_ns) / NS_PER_S)
            self._complaints.say(
                "ledger.interval_lost",
                f"{stream}: {hole.series.name}",
                stream=stream,
                start=instant_text(start_ns),
                end=instant_text(end_ns),
                remedy="The source has no more of it; let it keep more than the longest outage.",
            )

    def _time(self, query: Query, applied: Applied, fresh: Runs, now_ns: int) -> None:
        """How old the samples are that were published for the first time, by the service's time."""
        stream, metrics = query.group.stream, self._metrics
        overdue, before_ns = 0, self._overdue_before(query, now_ns)
        for instants_ns, times in fresh:
            metrics.end_to_end.observe(stream.name, instants_ns, now_ns, times)
            overdue += bisect_left(instants_ns, before_ns) * times
        metrics.overdue.labels(stream.name).inc(overdue)
        if query.lane is Lane.LIVE and applied.outcome is Outcome.COVERED:
            self._looked_ns[query.group.id] = min(query.asked_at_ns, query.window.end_ns + stream.whole_after_ns)

    def _overdue_before(self, query: Query, now_ns: int) -> int:
        """Samples before this instant may have been visible for too long.

        A live answer shows what the one before it did not, so nothing of it was visible before that was asked for.
        In every other lane a sample may have been visible ever since its instant.
        """
        stream = query.group.stream
        since_ns = now_ns - stream.poll_interval_ns - FRESH_WITHIN_NS
        if query.lane is Lane.LIVE and self._looked_ns.get(query.group.id, since_ns) > since_ns:
            return 0
        return since_ns - stream.whole_after_ns

    def _advise(self, stream: str, advice: Sequence[Advice]) -> None:
        """Say which settings are too short for what was seen lately, and when they no longer are."""
        complaints, short = self._complaints, {one.setting: one for one in advice}
        if (one := short.get("overlap")) is not None:
            complaints.say(
                "arrival.overlap_exceeded",
                f"{stream}: overlap is shorter than what is seen",
                who=stream,
                stream=stream,
                configured=one.configured,
                seen=one.seen,
                remedy=one.remedy,
            )
        else:
            complaints.over("arrival.overlap_exceeded", "arrival.overlap_sufficed", who=stream)
        if (one := short.get("lookback")) is not None:
            complaints.say(
                "arrival.last_age_reached",
                f"{stream}: samples are first seen at the last age of lookback",
                who=stream,
                stream=stream,
                configured=one.configured,
                seen=one.seen,
                remedy=one.remedy,
            )
        else:
            complaints.over("arrival.last_age_reached", "arrival.last_age_sufficed", who=stream)
