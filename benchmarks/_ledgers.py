"""Ledgers as a daemon would have them after minutes of polling, made in virtual time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from _bench import DATABASE

from streamer.ledger.ledger import Ledger
from streamer.model import (
    NS_PER_S,
    Answer,
    Column,
    Group,
    Interval,
    Lane,
    Place,
    Query,
    Series,
    SignalId,
    Stream,
)

GROUP_SIZE = 10
OVERLAP_NS = 3 * NS_PER_S
AGES_NS = (15 * NS_PER_S, 120 * NS_PER_S)
COMMITS_A_SECOND = 20
REVISITED_EVERY_S = 20
FIRST_NS = 1_768_000_000 * NS_PER_S


def history(ledger: Ledger, *, signals: int, poll_s: int, seconds: int) -> Iterator[Mapping[bytes, bytes | None]]:
    """The state records of each commit while signals of 1 Hz are polled; each has instants of its own."""
    stream = Stream("bench", poll_s * NS_PER_S, overlap_ns=OVERLAP_NS, lookback_ns=AGES_NS, group_size=GROUP_SIZE)
    groups = [
        Group(f"bench/raw/{first}", stream, 0, DATABASE, tuple(map(_series, range(first, first + GROUP_SIZE))))
        for first in range(0, signals, GROUP_SIZE)
    ]
    ledger.adopt(groups, {series: FIRST_NS for group in groups for series in group.series})
    together = max(1, len(groups) // poll_s // COMMITS_A_SECOND)
    for second in range(seconds):
        due = groups[second % poll_s :: poll_s]
        for first in range(0, len(due), together):
            for group in due[first : first + together]:
                now_ns = FIRST_NS + second * NS_PER_S
                _poll(ledger, group, now_ns)
                if second % REVISITED_EVERY_S < poll_s:
                    for at in range(len(AGES_NS)):
                        _revisit(ledger, group, now_ns, at)
            yield ledger.changes()


def _series(index: int) -> Series:
    return Series(SignalId(DATABASE, index))


def _poll(ledger: Ledger, group: Group, now_ns: int) -> None:
    place = ledger.place(group.id)
    _ask(ledger, group, Lane.LIVE, Interval(max(place.floor_ns, place.frontier_ns - OVERLAP_NS), now_ns), place)


def _revisit(ledger: Ledger, group: Group, now_ns: int, at: int) -> None:
    place = ledger.place(group.id)
    _ask(
        ledger,
        group,
        Lane.REVISIT,
        Interval(place.revisited_ns[at], min(place.frontier_ns - OVERLAP_NS, now_ns - AGES_NS[at])),
        place,
    )


def _ask(ledger: Ledger, group: Group, lane: Lane, window: Interval, place: Place) -> None:
    if window.start_ns >= window.end_ns:
        return
    asked_at_ns = window.end_ns if lane is Lane.LIVE else place.frontier_ns
    columns = {series.signal.index: _column(series.signal.index, window) for series in group.series}
    answer = Answer({index: column for index, column in columns.items() if column.instants_ns})
    ledger.apply(Query(group, lane, group.series, window, asked_at_ns, place), answer)


def _column(index: int, window: Interval) -> Column:
    """A sample a second, at a fraction of it that changes with the signal and the second."""
    seconds = range(window.start_ns // NS_PER_S, window.end_ns // NS_PER_S + 1)
    instants = [second * NS_PER_S + (index * 7919 + second * 104_729) % 1000 * 900_000 for second in seconds]
    inside = [instant_ns for instant_ns in instants if window.start_ns <= instant_ns < window.end_ns]
    return Column(inside, [""] * len(inside), [instant_ns % 997 / 8 for instant_ns in inside])
