"""What is told of holes adds up: opened less healed and lost is what is open."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.ledger.book import Account
from streamer.ledger.intervals import joined, punched
from streamer.ledger.transitions import QUARANTINED, transitions
from streamer.model import GapEvent, Hole, Interval, Series, SignalId

SERIES = Series(SignalId(7, 1))
INTERVALS = st.builds(
    lambda start_ns, span_ns: Interval(start_ns, start_ns + span_ns), st.integers(0, 50), st.integers(1, 20)
)
CAUSES = st.sampled_from(["absent", "silent", QUARANTINED])
HOLES = st.lists(st.builds(lambda interval, cause: Hole(SERIES, interval, cause), INTERVALS, CAUSES), max_size=6)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("open"), INTERVALS, CAUSES),
        st.tuples(st.just("cover"), INTERVALS, CAUSES),
        st.tuples(st.just("lose"), INTERVALS, CAUSES),
        st.tuples(st.just("tell"), INTERVALS, CAUSES),
        st.tuples(st.just("tell now"), INTERVALS, CAUSES),
    ),
    max_size=40,
)


def hole(start_ns: int, end_ns: int, cause: str = "absent") -> Hole:
    return Hole(SERIES, Interval(start_ns, end_ns), cause)


def known(holes: list[Hole], events: list[tuple[GapEvent, Hole]]) -> list[Hole]:
    """What a reader of the events knows to be open."""
    for event, one in events:
        is_open = event in ("opened", "quarantined")
        holes = joined([*holes, one]) if is_open else punched(holes, one.interval)
    return holes


def instants(holes: list[Hole]) -> set[int]:
    return {at for one in holes for at in range(*one.interval)}


@given(told=HOLES, holes=HOLES)
def test_whoever_knows_what_was_told_knows_what_is(told: list[Hole], holes: list[Hole]) -> None:
    told, holes = joined(told), joined(holes)
    events = list(transitions(told, holes))
    assert instants(known(told, events)) == instants(holes)
    healed = [one for event, one in events if event == "healed"]
    opened = [one for event, one in events if event == "opened"]
    assert instants(healed) == instants(told) - instants(holes)
    assert instants(opened) <= instants(holes) - instants(told)


@given(told=HOLES)
def test_nothing_is_told_twice(told: list[Hole]) -> None:
    assert list(transitions(joined(told), joined(told))) == []


def test_a_hole_that_is_set_apart_is_told_again_as_quarantined() -> None:
    assert list(transitions([hole(0, 10)], [hole(0, 15, QUARANTINED)])) == [
        ("quarantined", hole(10, 15, QUARANTINED)),
        ("quarantined", hole(0, 10, QUARANTINED)),
    ]


@given(steps=STEPS)
def test_what_was_told_adds_up_to_what_is_written_down_whatever_happens(steps: list[tuple[str, Interval, str]]) -> None:
    account = Account()
    reader: list[Hole] = []
    lost: set[int] = set()
    for step, interval, cause in steps:
        if step == "open":
            account.open_hole(Hole(SERIES, interval, cause))
        elif step == "cover":
            account.cover(interval)
        elif step == "lose":
            lost = instants(account.lost) | instants(account.holes) & set(range(*interval))
            account.lose(interval)
            assert instants(account.lost) == lost
        else:
            events = account.tell(is_due=step == "tell")
            assert lost == instants([one for event, one in events if event == "lost"])
            lost = set()
            reader = known(reader, events)
            assert instants(reader) == instants(account.told)
            if step == "tell":
                assert instants(reader) <= instants(account.holes)
    reader = known(reader, [*account.tell(is_due=True), *account.tell(is_due=True)])
    assert instants(reader) == instants(account.holes) == instants(account.told)


def test_a_hole_that_does_not_stand_is_not_told() -> None:
    account = Account()
    account.open_hole(hole(0, 10))
    assert account.tell(is_due=True) == []
    account.cover(Interval(0, 10))
    assert account.tell(is_due=True) == []
    account.open_hole(hole(0, 10))
    assert account.tell(is_due=True) == []


def test_a_hole_that_stands_is_told_and_its_pieces_as_they_heal() -> None:
    account = Account()
    account.open_hole(hole(0, 10))
    account.tell(is_due=True)
    assert account.tell(is_due=False) == []
    assert account.tell(is_due=True) == [("opened", hole(0, 10))]
    account.cover(Interval(0, 4))
    assert account.tell(is_due=True) == [("healed", hole(0, 4))]
    account.cover(Interval(4, 10))
    assert account.tell(is_due=True) == [("healed", hole(4, 10))]


@pytest.mark.parametrize("is_due", [True, False])
def test_what_is_lost_is_told_at_once(is_due: bool) -> None:
    account = Account()
    account.open_hole(hole(0, 10))
    account.lose(Interval(5, 20))
    assert account.tell(is_due=is_due) == [("lost", hole(5, 10))]
    assert account.holes == [hole(0, 5)]
