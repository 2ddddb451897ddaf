"""Groups and how they stand, in seconds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from streamer.model import NS_PER_S, Group, Hole, Interval, Lane, Place, Query, Series, SignalId, Stream
from streamer.planner.plan import Standing, plan

RAW = Stream("all", NS_PER_S, overlap_ns=3 * NS_PER_S, lookback_ns=(15 * NS_PER_S, 120 * NS_PER_S))
GRID = replace(RAW, aggregation="mean", resample_period_ns=2 * NS_PER_S)

Asked = tuple[Lane, float, float]
"""Lane, first and last second of a query."""


def series_of(stream: Stream, *indexes: int) -> tuple[Series, ...]:
    return tuple(Series(SignalId(7, index), stream.aggregation, stream.resample_period_ns) for index in indexes)


def group_of(stream: Stream = RAW, *indexes: int) -> Group:
    series = series_of(stream, *(indexes or (1, 2, 3)))
    return Group(f"{stream.name}/{series[0].label}/0", stream, 0, 7, series)


def seconds(start: float, end: float) -> Interval:
    return Interval(round(start * NS_PER_S), round(end * NS_PER_S))


def place_of(frontier: float, *revisited: float, floor: float = 0) -> Place:
    """A place; without revisits given, each is as far as a steady group has it."""
    ages = revisited or (frontier - 16, frontier - 121)
    return Place(round(frontier * NS_PER_S), tuple(round(age * NS_PER_S) for age in ages), round(floor * NS_PER_S))


def hole_of(index: int, start: float, end: float) -> Hole:
    return Hole(series_of(RAW, index)[0], seconds(start, end), "absent")


def standing_of(
    place: Place,
    *,
    group: Group | None = None,
    holes: Sequence[Hole] = (),
    busy: Sequence[Query] = (),
    chunk: float = 60,
) -> Standing:
    return Standing(group or group_of(), place, holes, busy, round(chunk * NS_PER_S))


def busy_with(standing: Standing, lane: Lane, start: float, end: float, *indexes: int) -> Query:
    """A query of the group in flight, about some of its signals or all."""
    series = tuple(one for one in standing.group.series if not indexes or one.signal.index in indexes)
    return Query(standing.group, lane, series, seconds(start, end), 0, standing.place)


def planned(standing: Standing, now: float, *, is_poll_due: bool = True) -> list[Query]:
    return plan(standing, round(now * NS_PER_S), is_poll_due=is_poll_due)


def asked(standing: Standing, now: float, *, is_poll_due: bool = True) -> list[Asked]:
    """What is asked now."""
    return [
        (query.lane, query.window.start_ns / NS_PER_S, query.window.end_ns / NS_PER_S)
        for query in planned(standing, now, is_poll_due=is_poll_due)
    ]
