"""How late samples arrive, stream by stream, and whether ``overlap`` and ``lookback`` are long enough for that. Pure.

What decides about the overlap is how far behind the frontier samples are that are seen for the first time: so much
overlap they needed. It does not grow while the service is away, because the frontier stands then; their age does. So
nothing is counted of a group that is behind.

One ``Arrivals`` a process; the tally tells it of each answer whose commit succeeded.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from streamer.delays import Delays
from streamer.ledger.ledger import Applied
from streamer.model import NS_PER_S, Lane, Query, Run, Stream, duration_text
from streamer.planner.chunks import RAW_LIMIT_NS
from streamer.spread import Bucket, Spread, rounded_up

WINDOW_NS = 600 * NS_PER_S
"""So long samples are looked at before it is judged, and at least twice the last age."""

LEAST_SAMPLES = 1000
"""Fewer say nothing about the thousandth."""

LATE_SHARE = 0.01
"""More than this share behind the watermark: the overlap is shorter than ordinary arrival delay."""

LAST_LOOK_SHARE = 0.001
"""More than this share first seen at the last look: some are likely to come when nobody looks any more."""

Runs = Sequence[tuple[Sequence[int], int]]
"""Instants of samples, ascending, and how many series have them."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """As well as a quantile is known: above the one, at most the other; None is past all that is told apart."""

    above_s: float
    at_most_s: float | None


@dataclass(frozen=True, slots=True)
class Quantiles:
    """Of a span."""

    p50: Bounds
    p95: Bounds
    p99: Bounds


@dataclass(frozen=True, slots=True)
class Advice:
    """A setting that is too short, and what would do.

    Attributes:
        configured: the setting as it is.
        seen: what speaks against it.
        would_do: settings of the stream as they are written in a configuration.
    """

    setting: Literal["overlap", "lookback"]
    configured: str
    seen: str
    would_do: Mapping[str, str | list[str]]

    @property
    def remedy(self) -> str:
        """For people."""
        written = (
            f"{name}: {value if isinstance(value, str) else '[' + ', '.join(value) + ']'}"
            for name, value in self.would_do.items()
        )
        return f"Set {' and '.join(written)}."


@dataclass(frozen=True, slots=True)
class Arrival:
    """How samples of a stream arrived lately: for ten minutes at least, once it has run for so long.

    Attributes:
        samples: how many were seen for the first time.
        delay: their age by the service's time when they were asked for.
        overlap_needed: how far behind the frontier they were.
        late: how many were behind the watermark.
        at_last_look: how many were seen at the last age of ``lookback`` only.
        advice: what the last judgement found too short.
    """

    samples: int
    delay: Quantiles
    overlap_needed: Quantiles
    late: int
    at_last_look: int
    advice: tuple[Advice, ...]


@dataclass(frozen=True, slots=True)
class _Totals:
    """What was seen up to a moment, or between two."""

    delays: Spread
    needs: Spread
    late: int = 0
    at_last_look: int = 0

    def since(self, earlier: _Totals) -> _Totals:
        return _Totals(
            self.delays.since(earlier.delays),
            self.needs.since(earlier.needs),
            self.late - earlier.late,
            self.at_last_look - earlier.at_last_look,
        )


class _Watch:
    """One stream: what was seen in all, when this window and the one before it began, and the last judgement."""

    def __init__(self, delays: Spread) -> None:
        self.delays = delays
        self.needs = Spread()
        self.late = 0
        self.at_last_look = 0
        self.advice: tuple[Advice, ...] = ()
        self._began = self._began_before = self._totals()
        self._attended_ns = 0
        self._asked_at_ns: int | None = None

    def _totals(self) -> _Totals:
        return _Totals(self.delays.copy(), self.needs.copy(), self.late, self.at_last_look)

    def attended(self, stream: Stream, asked_at_ns: int) -> None:
        """Time in which nobody asked, in an outage, is not time in which samples were looked at."""
        if self._asked_at_ns is not None:
            passed_ns = max(0, asked_at_ns - self._asked_at_ns)
            self._attended_ns += min(passed_ns, 2 * stream.poll_interval_ns)
        self._asked_at_ns = max(asked_at_ns, self._asked_at_ns or 0)

    def judged(self, stream: Stream) -> bool:
        """Whether the window was over: then it was judged, and another begins."""
        if self._attended_ns < max(WINDOW_NS, 2 * stream.lookback_ns[-1]):
            return False
        totals = self._totals()
        window = totals.since(self._began)
        if window.needs.total < LEAST_SAMPLES:
            return False
        self._began_before, self._began, self._attended_ns = self._began, totals, 0
        self.advice = tuple(_advice(stream, window))
        return True

    def lately(self) -> _Totals:
        """What was seen in this window and the one before it."""
        return self._totals().since(self._began_before)


class Arrivals:
    """Every stream of a process.

    Args:
        delays: filled with how late samples are when they are first seen.
    """

    def __init__(self, delays: Delays) -> None:
        self._delays = delays
        self._watches: dict[str, _Watch] = {}

    def seen(self, query: Query, applied: Applied, fresh: Runs) -> tuple[Advice, ...] | None:
        """Take in what an answer shows for the first time.

        Args:
            query: what was asked.
            applied: what followed from the answer.
            fresh: the samples of revision 0, see ``first_seen``.

        Returns:
            What is too short, when there was enough to judge by; None while there is not.
        """
        stream = query.group.stream
        is_looked_for = query.lane in (Lane.LIVE, Lane.REVISIT) or applied.was_silent
        if not is_looked_for or _is_behind(query, applied):
            return None
        watch = self._watches.get(stream.name)
        if watch is None:
            watch = self._watches[stream.name] = _Watch(self._delays.of(stream.name))
        for instants_ns, times in fresh:
            self._delays.observe(stream.name, instants_ns, query.asked_at_ns, times)
            watch.needs.count(instants_ns, applied.frontier_ns, times)
        watch.late += sum(len(run.instants_ns) for run in applied.runs if run.is_late)
        if query.lane is not Lane.LIVE:
            watch.at_last_look += _older(fresh, query.asked_at_ns - stream.lookback_ns[-1])
        watch.attended(stream, query.asked_at_ns)
        return watch.advice if watch.judged(stream) else None

    def of(self, stream: str) -> Arrival | None:
        """How samples of a stream arrived lately; None before there was any."""
        watch = self._watches.get(stream)
        if watch is None:
            return None
        lately = watch.lately()
        delay, needed = _quantiles(lately.delays), _quantiles(lately.needs)
        if delay is None or needed is None:
            return None
        return Arrival(lately.needs.total, delay, needed, lately.late, lately.at_last_look, watch.advice)


def first_seen(runs: Sequence[Run]) -> list[tuple[Sequence[int], int]]:
    """The instants of samples that are published for the first time; those that series after series share, once."""
    result: list[tuple[Sequence[int], int]] = []
    for run in runs:
        if run.revision or not run.instants_ns:
            continue
        if result and result[-1][0] == run.instants_ns:
            result[-1] = (run.instants_ns, result[-1][1] + 1)
        else:
            result.append((run.instants_ns, 1))
    return result


def _is_behind(query: Query, applied: Applied) -> bool:
    """Whether more is asked for at once than in ordinary times: then age tells of the outage, not of arrival."""
    stream = query.group.stream
    ordinary_ns = stream.whole_after_ns + stream.poll_interval_ns + stream.lookback_ns[0]
    return query.asked_at_ns - applied.frontier_ns > ordinary_ns


def _older(fresh: Runs, instant_ns: int) -> int:
    """How many samples are not after an instant."""
    return sum(bisect_right(instants_ns, instant_ns) * times for instants_ns, times in fresh)


def _quantiles(spread: Spread) -> Quantiles | None:
    buckets = [spread.quantile(share) for share in (0.5, 0.95, 0.99)]
    return Quantiles(*(_bounds(bucket) for bucket in buckets if bucket)) if all(buckets) else None


def _bounds(bucket: Bucket) -> Bounds:
    above_ns, at_most_ns = bucket
    return Bounds(above_ns / NS_PER_S, None if at_most_ns is None else at_most_ns / NS_PER_S)


def _advice(stream: Stream, window: _Totals) -> Iterator[Advice]:
    total, last_age_ns = window.needs.total, stream.lookback_ns[-1]
    needed = window.needs.quantile(1 - LATE_SHARE) if window.late > LATE_SHARE * total else None
    overlap_ns = _sufficient_overlap_ns(stream, needed)
    ages_ns = (*stream.lookback_ns, _next_age_ns(last_age_ns, overlap_ns))
    longer = [duration_text(age_ns) for age_ns in ages_ns]
    if needed and needed.at_most_ns and overlap_ns:
        above, at_most = duration_text(needed.above_ns), duration_text(needed.at_most_ns)
        would_do: dict[str, str | list[str]] = {"overlap": duration_text(overlap_ns)}
        if overlap_ns >= last_age_ns:
            would_do["lookback"] = longer
        seen = f"{window.late / total:.1%} of {total} samples needed more; 99% need {above} to {at_most}"
        yield Advice("overlap", duration_text(stream.overlap_ns), seen, would_do)
    if window.at_last_look > LAST_LOOK_SHARE * total:
        seen = f"{window.at_last_look / total:.1%} of {total} samples were first seen at that age"
        yield Advice("lookback", duration_text(last_age_ns), seen, {"lookback": longer})


def _sufficient_overlap_ns(stream: Stream, needed: Bucket | None) -> int:
    """What was needed and a poll more, because it may come just after one; 0 when there is nothing that would do.

    A raw query has to stay below the range that the service aggregates in silence.
    """
    if needed is None or needed.at_most_ns is None:
        return 0
    overlap_ns = rounded_up(needed.at_most_ns + stream.poll_interval_ns) or 0
    is_too_long = stream.resample_period_ns is None and overlap_ns > RAW_LIMIT_NS
    return 0 if is_too_long else overlap_ns


def _next_age_ns(last_age_ns: int, overlap_ns: int) -> int:
    """An age to look at once more, longer than the overlap."""
    age_ns = 2 * last_age_ns
    while age_ns <= overlap_ns:
        age_ns *= 2
    return age_ns
