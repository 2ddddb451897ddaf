"""What to ask next for one group. Pure: a place, its holes, what is being asked, and the time give queries.

Rules 1 (query), 3 (revisit), 5 (holes) and 7 (one question at a time about an instant of a signal) live here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from streamer.model import NS_PER_S, Group, Hole, Interval, Lane, Place, Query, Series, Stream, align_down
from streamer.planner.chunks import RAW_LIMIT_NS

AHEAD_NS = 2 * NS_PER_S
"""How far past the lower bound of the service's time a raw live query asks, to have the newest samples: the
bound lags by up to a second because a ``Date`` has whole seconds."""

NEVER_ASKED = ("new", "outage")
"""Causes of holes that nobody asked for yet: they are long, wait behind the repairs, and need no witness at first."""

REVISITS_PER_LIVE = 0.1
"""All revisits of a group together stay within this share of its live queries."""

ADVANCING = (Lane.LIVE, Lane.CATCH_UP)
"""Lanes that move the frontier, where they do not fill holes."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What the planner is told of a group.

    Attributes:
        holes: those that may be asked for now; a hole that backs off is left out.
        busy: queries in flight or not committed yet.
        chunk_ns: the longest window to ask for at once.
        reach_ns: the longest that a repair is stretched to.
        witness: the known sample nearest to an interval of a series in which none is known.
        is_doubted: whether the last repair of a series showed nothing of it.
        together: by lane, the series that a query which moves a frontier asks for; all where none are named.
        quarantined: of those that are left out then, the ones that are known to be bad.
        is_newest_first: whether the newest piece of the holes is repaired, in place of the oldest.
        may_advance: whether the frontier may move; else the memory has to become smaller first (rule 12).
    """

    group: Group
    place: Place
    holes: Sequence[Hole]
    busy: Sequence[Query]
    chunk_ns: int
    witness: Callable[[Series, Interval], int | None] = lambda series, interval: None
    is_doubted: Callable[[Series], bool] = lambda series: False
    reach_ns: int = RAW_LIMIT_NS
    together: Mapping[Lane, Sequence[Series]] = field(default_factory=dict)
    quarantined: frozenset[Series] = frozenset()
    is_newest_first: bool = False
    may_advance: bool = True


def plan(standing: Standing, now_ns: int, *, is_poll_due: bool) -> list[Query]:
    """The queries to start now, in order of their lanes; none overlaps another or a busy one (rule 7).

    Args:
        standing: how the group stands.
        now_ns: the lower bound of the service's time.
        is_poll_due: whether it is time for a live query; what is behind does not wait for it.
    """
    busy = list(standing.busy)
    chosen: list[Query] = []
    for query in _candidates(standing, now_ns, is_poll_due):
        is_held = query.lane in ADVANCING and not query.fills_holes and not standing.may_advance
        is_asking = any(other.lane == query.lane for other in busy)
        if not is_held and not is_asking and not any(_collide(query, other) for other in busy):
            busy.append(query)
            chosen.append(query)
    return chosen


def _candidates(standing: Standing, now_ns: int, is_poll_due: bool) -> Iterator[Query]:
    stream, place = standing.group.stream, standing.place
    if stream.is_live_first and place.frontier_ns < _settled_now(standing, now_ns) - stream.lookback_ns[-1]:
        yield from _resume(standing, now_ns)
        yield from _repair(standing, now_ns)
        return
    if place.frontier_ns < now_ns - stream.lookback_ns[-1] or _settled_now(standing, now_ns) > _reach(standing):
        yield from _catch_up(standing, now_ns)
    elif is_poll_due:
        yield from _live(standing, now_ns)
    yield from _revisit(standing, now_ns)
    yield from _repair(standing, now_ns)


def _overlap_start(standing: Standing) -> int:
    stream, place = standing.group.stream, standing.place
    return max(place.floor_ns, align_down(place.frontier_ns - stream.overlap_ns, stream.quantum_ns))


def _advance(standing: Standing, end_ns: int) -> Interval:
    """A window that moves the frontier to an end at most: from the overlap on, or from a chunk before the frontier.

    What of the overlap is not asked for then is left to the revisits, and late when they find it.
    """
    quantum_ns, frontier_ns = standing.group.stream.quantum_ns, standing.place.frontier_ns
    start_ns = max(_overlap_start(standing), align_down(frontier_ns - standing.chunk_ns, quantum_ns))
    end_ns = min(end_ns, _reach(standing))
    if _is_raw(standing) and end_ns - start_ns > RAW_LIMIT_NS:  # as much behind the frontier as ahead of it, or less
        start_ns = max(start_ns, align_down(frontier_ns - RAW_LIMIT_NS // 2, quantum_ns))
        end_ns = min(end_ns, start_ns + RAW_LIMIT_NS)
    return Interval(start_ns, end_ns)


def _is_raw(standing: Standing) -> bool:
    return standing.group.stream.resample_period_ns is None


def _reach(standing: Standing) -> int:
    """How far one query from the overlap on may reach."""
    return standing.place.frontier_ns + standing.chunk_ns


def _settled_now(standing: Standing, now_ns: int) -> int:
    """Up to where an answer can be whole: where the frontier may go at most."""
    stream = standing.group.stream
    settle_ns = 0 if _is_raw(standing) else stream.settle_ns
    return align_down(now_ns - settle_ns, stream.quantum_ns)


def _live_end(standing: Standing, now_ns: int) -> int:
    ahead_ns = AHEAD_NS if _is_raw(standing) else 0
    return _settled_now(standing, now_ns) + ahead_ns


def _live(standing: Standing, now_ns: int) -> Iterator[Query]:
    if _settled_now(standing, now_ns) > standing.place.frontier_ns:
        yield _query(standing, Lane.LIVE, _advance(standing, _live_end(standing, now_ns)), now_ns)


def _resume(standing: Standing, now_ns: int) -> Iterator[Query]:
    """Live first: from the last age on, or as far back as one chunk reaches. What is skipped becomes a hole."""
    stream, settled_ns = standing.group.stream, _settled_now(standing, now_ns)
    oldest_ns = align_down(settled_ns - stream.lookback_ns[-1], stream.quantum_ns)
    end_ns = _live_end(standing, now_ns)
    reached_ns = align_down(min(end_ns - standing.chunk_ns, settled_ns - stream.overlap_ns), stream.quantum_ns)
    longest_ns = RAW_LIMIT_NS if _is_raw(standing) else end_ns - oldest_ns
    yield _query(standing, Lane.LIVE, Interval(max(oldest_ns, reached_ns, end_ns - longest_ns), end_ns), now_ns)


def _catch_up(standing: Standing, now_ns: int) -> Iterator[Query]:
    """Behind by more than the last age: first bring the revisits up to the overlap, then one query serves all."""
    start_ns = _overlap_start(standing)
    oldest_ns = min(standing.place.revisited_ns)
    if oldest_ns < start_ns and standing.place.frontier_ns < now_ns - standing.group.stream.lookback_ns[-1]:
        end_ns = min(start_ns, oldest_ns + standing.chunk_ns)
        yield _query(standing, Lane.REVISIT, Interval(oldest_ns, end_ns), now_ns)
        return
    if _settled_now(standing, now_ns) > standing.place.frontier_ns:
        yield _query(standing, Lane.CATCH_UP, _advance(standing, _live_end(standing, now_ns)), now_ns)


def _revisit(standing: Standing, now_ns: int) -> Iterator[Query]:
    stream, place = standing.group.stream, standing.place
    slice_ns = revisit_slice_ns(stream)
    for age_ns, start_ns in zip(reversed(stream.lookback_ns), reversed(place.revisited_ns), strict=True):
        end_ns = min(_overlap_start(standing), align_down(now_ns - age_ns, stream.quantum_ns))
        if end_ns - start_ns >= slice_ns:
            end_ns = min(end_ns, start_ns + standing.chunk_ns)
            yield _query(standing, Lane.REVISIT, Interval(start_ns, end_ns), now_ns)


def revisit_slice_ns(stream: Stream) -> int:
    """How much one revisit asks for at least, so that all of them stay within their share of the requests."""
    slice_ns = int(len(stream.lookback_ns) * stream.poll_interval_ns / REVISITS_PER_LIVE)
    return max(slice_ns, stream.quantum_ns)


def _repair(standing: Standing, now_ns: int) -> Iterator[Query]:
    """The next piece of the oldest hole that a question went wrong for, and of the oldest that nobody asked for yet.

    Pieces end before the overlap: the live queries still ask for that part themselves.
    """
    behind = [hole for hole in standing.holes if hole.interval.start_ns < _overlap_start(standing)]
    for lane in (Lane.REPAIR, Lane.CATCH_UP):
        holes = [hole for hole in behind if (hole.cause in NEVER_ASKED) is (lane is Lane.CATCH_UP)]
        if holes:
            yield _piece(standing, lane, holes, now_ns)


def _piece(standing: Standing, lane: Lane, holes: Sequence[Hole], now_ns: int) -> Query:
    """The next piece of some holes, with every other series that has a hole over all of that piece."""
    window = _newest_piece(standing, holes) if standing.is_newest_first else _oldest_piece(standing, holes)
    series = [
        hole.series
        for hole in standing.holes
        if hole.interval.start_ns <= window.start_ns and window.end_ns <= hole.interval.end_ns
    ]
    silent = [one for one in series if lane is Lane.REPAIR or standing.is_doubted(one)]
    witnesses_ns = {
        one: at_ns for one in silent if (at_ns := standing.witness(one, window)) is not None and at_ns < now_ns
    }  # what lies past the bound of the service's time is too young to tell whether an answer is whole
    stretched = _stretched(standing, window, witnesses_ns.values())
    return replace(
        _query(standing, lane, window, now_ns, series),
        stretched=None if stretched == window else stretched,
        apart=_apart(standing, stretched, witnesses_ns),
    )


def _oldest_piece(standing: Standing, holes: Sequence[Hole]) -> Interval:
    oldest = min(hole.interval for hole in holes)
    end_ns = min(oldest.end_ns, oldest.start_ns + standing.chunk_ns, _overlap_start(standing))
    return Interval(oldest.start_ns, end_ns)


def _newest_piece(standing: Standing, holes: Sequence[Hole]) -> Interval:
    newest = max((hole.interval for hole in holes), key=lambda interval: (interval.end_ns, -interval.start_ns))
    end_ns = min(newest.end_ns, _overlap_start(standing))
    return Interval(max(newest.start_ns, end_ns - standing.chunk_ns), end_ns)


def _stretched(standing: Standing, window: Interval, witnesses_ns: Iterable[int]) -> Interval:
    """The window and the nearest known samples of all that are silent in it, as far as one query reaches (rule 4c)."""
    stretched = window
    for witness_ns in witnesses_ns:
        stretched = _with(standing, stretched, witness_ns, standing.reach_ns) or stretched
    return stretched


def _apart(standing: Standing, asked: Interval, witnesses_ns: Mapping[Series, int]) -> tuple[Interval, ...]:
    """Where the known samples are that do not fit into what is asked, in as few questions as show them (rule 4c).

    Only of series of which more is missing than one question asks for: three answers minutes apart, which do without
    a known sample, are enough for one hole, but many holes grow faster than that.
    """
    far_ns = {series: at_ns for series, at_ns in witnesses_ns.items() if not asked.start_ns <= at_ns < asked.end_ns}
    if not far_ns:
        return ()
    missing_ns = Counter[Series]()
    for hole in standing.holes:
        missing_ns[hole.series] += hole.interval.end_ns - hole.interval.start_ns
    result: list[Interval] = []
    for at_ns in sorted(at_ns for series, at_ns in far_ns.items() if missing_ns[series] > standing.chunk_ns):
        both = _with(standing, result[-1], at_ns, standing.chunk_ns) if result else None
        if both is not None:
            result[-1] = both
        else:
            result.append(_around(standing, at_ns))
    return tuple(result)


def _around(standing: Standing, instant_ns: int) -> Interval:
    quantum_ns = standing.group.stream.quantum_ns
    start_ns = align_down(instant_ns, quantum_ns)
    return Interval(start_ns, start_ns + quantum_ns)


def _with(standing: Standing, window: Interval, instant_ns: int, longest_ns: int) -> Interval | None:
    """A window that has an instant in it as well; None when that is too long."""
    around = _around(standing, instant_ns)
    start_ns, end_ns = min(window.start_ns, around.start_ns), max(window.end_ns, around.end_ns)
    return Interval(start_ns, end_ns) if end_ns - start_ns <= longest_ns else None


def _query(
    standing: Standing, lane: Lane, window: Interval, now_ns: int, series: Sequence[Series] | None = None
) -> Query:
    group = standing.group
    asked = tuple(series or standing.together.get(lane, group.series))
    return Query(group, lane, asked, window, now_ns, standing.place, quarantined=standing.quarantined)


def _collide(query: Query, other: Query) -> bool:
    return query.window.overlaps(other.window) and not set(query.series).isdisjoint(other.series)
