"""What an operator has to know first: what is late or missing, why, and what to do. Pure.

The page shows these at its top, the worst first; nothing here means that all is well.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from streamer.status.holes import HoleCount
from streamer.status.summary import Snapshot
from streamer.status.views import BudgetView, FaultView, ShardView, TrackView

Severity = Literal["bad", "warning", "note"]
_ORDER: Sequence[Severity] = ("bad", "warning", "note")

LAG_TOLERATED_S = 3.0
"""Past what follows from the policies: the service's time is known to a second only, and answers take time."""

FAR_BEHIND_S = 60.0
"""Past its expected lag, a stream is late beyond what a hiccup explains."""

HOLE_STANDS_S = 10.0
"""Most holes are an answer that is doubted for a moment."""

FRESH_FAULT_S = 120.0
"""A fault of which nobody tells when it is over counts as over after that."""

LATE_SHARE = 0.01
"""Of the samples; past it ``overlap`` is too short for how the plant delivers."""

FEWEST_SAMPLES = 1000
"""Below it a share says nothing."""

ADVICE = frozenset({"arrival.overlap_exceeded", "arrival.last_age_reached"})
"""Faults of the settings: they last longer than they are said, so they are told as what was judged last."""

UNREACHABLE = frozenset({"source.query_failed", "source.unreachable"})
"""Faults that say why the API does not answer."""

MOST_NAMED = 5

NOTHING_LOST = "Nothing is lost: what is missed meanwhile is read as soon as the API answers."


@dataclass(frozen=True, slots=True)
class Concern:
    """One thing to know: a sentence each."""

    severity: Severity
    what: str
    why: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Situation:
    """What concerns follow from.

    Attributes:
        faults: the last ones, the newest first.
        standing_s: for how long a stream has had holes of a cause, by both.
        shards: all of them, in order.
    """

    snapshot: Snapshot
    is_time_known: bool
    budget: BudgetView
    tracks: Sequence[TrackView]
    holes: Sequence[HoleCount]
    standing_s: Mapping[tuple[str, str], float]
    faults: Sequence[FaultView]
    shards: Sequence[ShardView]


def concerns(now: Situation) -> list[Concern]:
    """All concerns, the worst first."""
    found = [
        *_source(now),
        *_readiness(now),
        *_ownerless(now),
        *_lags(now),
        *_holes(now),
        *_faults(now),
        *_settings(now),
    ]
    return sorted(found, key=lambda concern: _ORDER.index(concern.severity))


def _source(now: Situation) -> Iterable[Concern]:
    budget, late = now.budget, [stream for stream, _, _ in _late(now)]
    suffix = f" {_listed(late)} {'is' if len(late) == 1 else 'are'} late." if late else ""
    if not budget.is_reachable:
        fault = next((one for one in now.faults if one.event in UNREACHABLE and _goes_on(one)), None)
        pause = f" It is asked again in {span_text(budget.held_for_s)}." if budget.held_for_s else ""
        why = (fault.cause if fault else "Connections fail or end without an answer.") + pause
        remedy = f"{NOTHING_LOST} If it lasts: is the service up, are source.base_url and the network right?"
        yield Concern("bad", f"The API does not answer.{suffix}", why, remedy)
    elif budget.held_for_s:
        what = f"The API asked for a pause: no request for {span_text(budget.held_for_s)}.{suffix}"
        why = "It answered 429 or 503: too much was asked, or it is being maintained."
        yield Concern(
            "warning", what, why, f"{NOTHING_LOST} If it comes again and again: who else uses the credential?"
        )
    if now.snapshot.ready and not now.is_time_known:
        why = "No answer with a believable Date header came for five minutes, and the frontier stands still without."
        yield Concern("bad", "The service's time is unknown.", why, "Let the API's Date header through any proxy.")


def _readiness(now: Situation) -> Iterable[Concern]:
    if not now.snapshot.ready:
        fault = _newest(now.faults, "bus.") or _newest(now.faults, "source.")
        why = fault.cause if fault else "The process starts, or shards move between replicas; that takes seconds."
        remedy = fault.remedy if fault and fault.remedy else "Wait; if it lasts a minute, look at the faults below."
        yield Concern("bad" if fault else "warning", "Not every shard is taken over yet.", why, remedy)


def _ownerless(now: Situation) -> Iterable[Concern]:
    shards = [str(shard.shard) for shard in now.shards if shard.state == "nobody"]
    if shards and now.snapshot.ready:
        what = f"Shards without an owner: {_listed(shards)}."
        why = "No replica was given them by the group, so that nobody streams their signals."
        remedy = "Look for bus.membership_lost in the log of each replica; the runbook: StreamerShardsWithoutOwner."
        yield Concern("bad", what, why, remedy)


def _lags(now: Situation) -> Iterable[Concern]:
    if _is_shut(now):
        return  # said with the reason
    lags_s = {track.stream: track.lags_s for track in now.tracks}
    for name, lag_s, expected_s in _late(now):
        is_catching_up = _is_falling(lags_s.get(name, ()))
        severity: Severity = "bad" if lag_s - expected_s > FAR_BEHIND_S and not is_catching_up else "warning"
        what = f"{name} is {span_text(lag_s)} behind; at most {span_text(expected_s)} is expected."
        yield Concern(severity, what, *_why_late(now, name, is_catching_up))


def _late(now: Situation) -> list[tuple[str, float, float]]:
    """The streams that are late, with their lags and those that are expected of them."""
    lags = [
        (stream.stream, stream.watermark_lag_s, stream.watermark_lag_expected_s + LAG_TOLERATED_S)
        for stream in now.snapshot.streams
    ]
    return [(name, lag_s, expected_s) for name, lag_s, expected_s in lags if lag_s > expected_s]


def _is_shut(now: Situation) -> bool:
    return not now.budget.is_reachable or now.budget.held_for_s > 0


def _why_late(now: Situation, stream: str, is_catching_up: bool) -> tuple[str, str]:
    if is_catching_up:
        return "It is catching up.", "Wait until it is fresh again; the sparkline shows how fast."
    fault = next((one for one in now.faults if _goes_on(one) and one.stream in (stream, "")), None)
    if fault is not None:
        return fault.cause, fault.remedy or "See the last errors."
    waiting = sum(now.budget.waiting.values())
    if waiting and now.budget.in_flight >= now.budget.limit:
        why = f"The budget is used up: {now.budget.in_flight} requests are out and {waiting} wait."
        return why, "Ask for less: longer poll_interval, larger group_size, fewer signals; or a credential of its own."
    return "Answers come, but the frontier does not follow.", "Look at the log for errors of this stream."


def _holes(now: Situation) -> Iterable[Concern]:
    for count in now.holes:
        if now.standing_s.get((count.stream, count.cause), 0.0) >= HOLE_STANDS_S:
            signals = "1 signal" if count.series == 1 else f"{count.series} signals"
            has = "has" if count.series == 1 else "have"
            what = f"{signals} of {count.stream} {has} holes ({count.cause}), the oldest from {count.from_}."
            severity: Severity = "note" if count.is_routine else "warning"
            yield Concern(severity, what, f"Why: {count.why}.", count.remedy)


def _faults(now: Situation) -> Iterable[Concern]:
    told: set[str] = set()
    for fault in now.faults:
        if not _goes_on(fault) or fault.event in told or not now.budget.is_reachable:
            continue
        told.add(fault.event)
        where = f" ({fault.stream})" if fault.stream else ""
        times = f", {fault.times} times" if fault.times > 1 else ""
        what = f"{fault.what}{where}{times}."
        yield Concern("warning", what, fault.cause, fault.remedy or "It is tried again by itself.")


def _settings(now: Situation) -> Iterable[Concern]:
    advised = {stream.stream: stream.arrival.advice for stream in now.snapshot.streams if stream.arrival}
    overlaps_s = {stream.stream: stream.overlap_s for stream in now.snapshot.streams}
    for name, advice in advised.items():
        for one in advice:
            is_of_guarantee = one.setting == "lookback"
            what = (
                f"{'The last age of lookback' if is_of_guarantee else 'overlap'} of {name}, {one.configured}, is short."
            )
            yield Concern("warning" if is_of_guarantee else "note", what, f"{one.seen}.", one.remedy)
    for track in now.tracks:
        if any(one.setting == "overlap" for one in advised.get(track.stream, ())):
            continue  # said with the value that would do
        if track.published >= FEWEST_SAMPLES and track.late_share > LATE_SHARE and track.stream in overlaps_s:
            what = f"{track.late_share:.0%} of the samples of {track.stream} were late."
            overlap = span_text(overlaps_s[track.stream])
            why = f"They became visible after the watermark had passed: overlap is {overlap}."
            remedy = "They are published all the same. For fewer of them, set a longer overlap; see arrival delay."
            yield Concern("note", what, why, remedy)
    if now.snapshot.unknown_signals:
        listed = _listed(now.snapshot.unknown_signals)
        count = len(now.snapshot.unknown_signals)
        what = (
            f"{count} configured signals are not in the catalogue."
            if count > 1
            else "A signal is not in the catalogue."
        )
        yield Concern("warning", what, listed, "Correct the configuration: `streamer signals` lists the catalogue.")


def _listed(names: Sequence[str]) -> str:
    """Some names, and how many more."""
    listed = ", ".join(names[:MOST_NAMED])
    return f"{listed} and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else listed


def _newest(faults: Sequence[FaultView], room: str) -> FaultView | None:
    return next((fault for fault in faults if fault.event.startswith(room) and _goes_on(fault)), None)


def _goes_on(fault: FaultView) -> bool:
    return not fault.is_over and fault.last_ago_s < FRESH_FAULT_S and fault.event not in ADVICE


def _is_falling(lags_s: Sequence[float]) -> bool:
    """Whether a lag has become less within the last fifteen seconds, or was not watched for as long yet."""
    recent = lags_s[-4:]
    return len(recent) < 4 or recent[-1] < recent[0]


def span_text(seconds: float) -> str:
    """A span for people: ``0.4 s``, ``12 s``, ``3 min 5 s``, ``2 h 10 min``."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
