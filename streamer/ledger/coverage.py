"""What an answer covers, and what it does not though it was asked for (rules 3, 4 and 5). Pure.

Called by the ledger alone.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable

from streamer.ledger.book import Account, Book
from streamer.model import NS_PER_S, Answer, Column, Hole, Interval, Lane, Place, Query, Series, align_down

EMPTY_FOR_NS = 180 * NS_PER_S
"""How long answers of a group are empty until one is believed: longer than a service fails to read, short enough that
nobody waits for what is not there any more."""


def covered_by(query: Query) -> Interval:
    """What a query covers at most: up to the time of the service when it was asked."""
    end_ns = min(query.window.end_ns, align_down(query.asked_at_ns, query.group.stream.quantum_ns))
    return Interval(query.window.start_ns, max(end_ns, query.window.start_ns))


def skipped_by(query: Query, place: Place) -> Interval | None:
    """What a query leaves behind that starts past the frontier (live first); None for all others.

    It reaches down to the floor: what no revisit has come back to yet is left behind too (rule 5).
    """
    if query.fills_holes or query.window.start_ns <= place.frontier_ns:
        return None
    return Interval(place.floor_ns, query.window.start_ns)


def skipped_cause(place: Place) -> str:
    """Why a group skips what it skips: it was never there, or was away for too long."""
    return "new" if place.frontier_ns == place.floor_ns else "outage"


def resumed_by(query: Query, place: Place, ages_ns: tuple[int, ...]) -> Place:
    """The place from which a query goes on: past what it skips, which is a hole and not for revisits to come back to.

    Save where it is younger than an age: nothing counts as asked for at an age that it has not reached.
    """
    if skipped_by(query, place) is None:
        return place
    start_ns, quantum_ns = query.window.start_ns, query.group.stream.quantum_ns
    revisited = tuple(
        max(frontier, min(start_ns, align_down(query.asked_at_ns - age, quantum_ns)))
        for age, frontier in zip(ages_ns, place.revisited_ns, strict=True)
    )
    return Place(start_ns, revisited, max(place.floor_ns, min(revisited)))


def moved_by(query: Query, place: Place, ages_ns: tuple[int, ...]) -> Place:
    """The place after an answer: what counts is when the question was asked, not when it was answered.

    Args:
        query: what was asked.
        place: from which it goes on, see ``resumed_by``.
        ages_ns: of the place's revisits.
    """
    if query.fills_holes:
        return place
    covered, quantum_ns = covered_by(query), query.group.stream.quantum_ns
    revisited = tuple(
        max(frontier, min(covered.end_ns, align_down(query.asked_at_ns - age, quantum_ns)))
        if covered.start_ns <= frontier
        else frontier
        for age, frontier in zip(ages_ns, place.revisited_ns, strict=True)
    )
    frontier = place.frontier_ns if query.lane is Lane.REVISIT else max(place.frontier_ns, covered.end_ns)
    return Place(frontier, revisited, place.floor_ns)


def spoken_for(query: Query, covered: Interval, place: Place) -> tuple[Interval, ...]:
    """The parts of the holes that an answer closes.

    A repair that asks before the last age closes only what a revisit will still come back to; in a group that is
    younger than the last age nothing else would ask for the rest again.
    """
    last_age_ns = query.group.stream.lookback_ns[-1]
    # What is left of the hole is asked for again: on the grid, or the historian would clip a window of it.
    settled_ns = align_down(query.asked_at_ns - last_age_ns, query.group.stream.quantum_ns)
    last_ns = place.revisited_ns[-1]
    if not query.fills_holes or last_ns <= settled_ns:
        return (covered,)
    early = Interval(covered.start_ns, min(covered.end_ns, settled_ns))
    late = Interval(max(covered.start_ns, last_ns), covered.end_ns)
    return tuple(part for part in (early, late) if part.start_ns < part.end_ns)


def left_out_by(query: Query) -> list[Hole]:
    """The holes of the series of the group that a query which moves a frontier does not ask for."""
    covered = covered_by(query)
    if query.fills_holes or covered.start_ns >= covered.end_ns:
        return []
    return [
        Hole(series, covered, "quarantined" if series in query.quarantined else "aside")
        for series in query.group.series
        if series not in query.series
    ]


def is_failed(query: Query, answer: Answer, book: Book) -> bool:
    """Whether an answer has no rows at all though samples are known where it was asked (rule 4d).

    A source may have let go of all of them. Where the catalogue says so the answer counts, and wherever it has been
    the same for minutes; what is known and not shown is a hole then.
    """
    if answer.columns or answer.read:
        if not query.fills_holes:
            book.empty_since_ns = None
        return False
    accounts = (book.accounts[series.name] for series in query.series)
    known = [one for one in accounts if one.memory.knows_any(query.asked) and not one.extent.is_before_all(query.asked)]
    if not known:
        return False
    if query.fills_holes:
        for account in known:
            account.silence.left_out()
        return True
    if book.empty_since_ns is None:
        book.empty_since_ns = query.asked_at_ns
    return query.asked_at_ns - book.empty_since_ns < EMPTY_FOR_NS


def uncovered_by(query: Query, answer: Answer, series: Series, account: Account, last_look: Interval) -> Hole | None:
    """What an answer leaves uncovered of one series, None when it speaks for all of it.

    Args:
        query: what was asked.
        answer: what was said.
        series: the series.
        account: what the ledger holds of it, before this answer.
        last_look: what the answer would settle.
    """
    covered, index = covered_by(query), series.signal.index
    if covered.start_ns >= covered.end_ns:
        return None
    column = answer.columns.get(index)
    if index in answer.unreadable:
        return Hole(series, covered, "rejected")
    if column is not None and query.fills_holes:
        account.silence.shown()
        shown = Interval(covered.start_ns + query.group.stream.quantum_ns, query.window.end_ns)
        if not clipped(column, shown).instants_ns:  # at most what begins the hole, which was known before
            account.silence.proved(covered.end_ns)
        return None
    if column is not None:
        return _cut_off(query, column, series, account)
    if index in answer.read:
        return None if account.silence.proved_beside(covered) else Hole(series, covered, "silent")
    if account.memory.knows_any(query.asked) and not (query.fills_holes and account.extent.is_before_all(query.asked)):
        if query.fills_holes:
            account.silence.left_out()
        return Hole(series, covered, "absent")
    if query.fills_holes:
        return None if account.silence.doubted(covered.end_ns, query.asked_at_ns) else Hole(series, covered, "silent")
    if account.silence.is_suspect(account.memory, covered.end_ns):
        return Hole(series, covered, "silent")
    if last_look.start_ns < last_look.end_ns:
        return Hole(series, last_look, "silent")
    return None


def _cut_off(query: Query, column: Column, series: Series, account: Account) -> Hole | None:
    """What a column that shows some of a signal leaves out at its ends; up to the row that it does show.

    A repair asks for it by itself, and is believed: then what is known and not there has vanished.
    """
    covered, stream = covered_by(query), query.group.stream
    first_ns, last_ns = (align_down(column.instants_ns[at], stream.quantum_ns) for at in (0, -1))
    head = Interval(covered.start_ns, min(first_ns + stream.quantum_ns, covered.end_ns))
    tail = Interval(last_ns, covered.end_ns)
    is_tail_known = account.memory.knows_any(Interval(column.instants_ns[-1] + 1, covered.end_ns))
    if account.memory.knows_any(Interval(covered.start_ns, column.instants_ns[0])):
        return Hole(series, covered if is_tail_known else head, "absent")
    if is_tail_known:
        return Hole(series, tail, "absent")
    due_ns = min(covered.end_ns, query.asked_at_ns - stream.overlap_ns)
    since_ns = max(covered.start_ns, account.memory.newest_ns or 0)
    is_head_due = account.silence.is_suspect(account.memory, first_ns, since_ns)
    if account.silence.is_suspect(account.memory, due_ns, last_ns):
        return Hole(series, covered if is_head_due else tail, "silent")
    return Hole(series, head, "silent") if is_head_due else None


def is_of_silence(query: Query, accounts: Iterable[Account]) -> bool:
    """Whether a query repairs only what was silent: a signal that comes later than the overlap looks like that."""
    return query.lane is Lane.REPAIR and all(
        hole.cause == "silent" for account in accounts for hole in account.holes if hole.interval.overlaps(query.window)
    )


def vanished_by(query: Query, answer: Answer, series: Series, account: Account) -> int:
    """How many published samples a repair says are not there any more, though others of the signal were shown."""
    if not query.fills_holes:
        return 0
    column = answer.columns.get(series.signal.index)
    is_shown = column is not None or series.signal.index in answer.read
    if not is_shown or shows_any(column, query.window):
        return 0
    return account.memory.count(covered_by(query))


def shows_any(column: Column | None, interval: Interval) -> bool:
    """Whether a column has rows in an interval."""
    return column is not None and bool(clipped(column, interval).instants_ns)


def clipped(column: Column, window: Interval) -> Column:
    """The rows of a column that lie in a window."""
    instants_ns = column.instants_ns
    part = slice(bisect_left(instants_ns, window.start_ns), bisect_left(instants_ns, window.end_ns))
    return Column(column.instants_ns[part], column.texts[part], column.values[part])
