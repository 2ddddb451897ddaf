"""Only a repair of nothing but silence shows samples that had not come before, rather than ones that were missed."""

from __future__ import annotations

import pytest

from streamer.ledger.book import Account
from streamer.ledger.coverage import is_of_silence
from streamer.model import NS_PER_S, Group, Hole, Interval, Lane, Place, Query, Series, SignalId, Stream

SERIES = Series(SignalId(7, 1))
GROUP = Group("pv/raw/0", Stream("pv", NS_PER_S, 3 * NS_PER_S, (15 * NS_PER_S,)), 0, 7, (SERIES,))


def query(lane: Lane) -> Query:
    return Query(GROUP, lane, (SERIES,), Interval(10, 20), 100, Place(50, (0,), 0))


def account(*holes: tuple[int, int, str]) -> Account:
    result = Account()
    for start, end, cause in holes:
        result.open_hole(Hole(SERIES, Interval(start, end), cause))
    return result


@pytest.mark.parametrize(
    ("holes", "is_silence"),
    [
        ([(5, 25, "silent")], True),
        ([(5, 25, "absent")], False),
        ([(5, 25, "new")], False),
        ([(0, 9, "absent"), (10, 20, "silent")], True),
        ([(10, 14, "silent"), (16, 20, "absent")], False),
    ],
)
def test_every_hole_that_is_asked_for_has_to_be_silence(holes: list[tuple[int, int, str]], is_silence: bool) -> None:
    assert is_of_silence(query(Lane.REPAIR), [account(*holes)]) is is_silence


def test_one_series_that_was_missed_spoils_it() -> None:
    assert not is_of_silence(query(Lane.REPAIR), [account((5, 25, "silent")), account((5, 25, "absent"))])


@pytest.mark.parametrize("lane", [Lane.LIVE, Lane.REVISIT, Lane.CATCH_UP, Lane.BACKFILL])
def test_other_lanes_repair_nothing(lane: Lane) -> None:
    assert not is_of_silence(query(lane), [account((5, 25, "silent"))])
