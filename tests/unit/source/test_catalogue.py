"""Which signals a stream selects."""

from __future__ import annotations

from streamer.model import Signal, SignalId
from streamer.source.catalogue import Catalogue, CatalogueDiff, Match

POWER = Signal(SignalId(7, 1), name="Active power", tag="U1/P", unit="MW")
LEVEL = Signal(SignalId(7, 2), name="Level", tag="U2/L", unit=None)
FOREIGN = Signal(SignalId(8, 1), name="Active power", tag="U1/P", unit="MW")


def test_named_signals_come_in_the_order_asked_and_unknown_ones_are_told() -> None:
    selection = Catalogue([POWER, LEVEL, FOREIGN]).select(7, indexes=[2, 9, 1, 2])
    assert selection.found == (LEVEL, POWER)
    assert selection.unknown == (SignalId(7, 9),)


def test_all_means_all_of_the_database() -> None:
    assert Catalogue([POWER, LEVEL, FOREIGN]).select(7).found == (POWER, LEVEL)


def test_all_patterns_must_match() -> None:
    catalogue = Catalogue([POWER, LEVEL])
    assert catalogue.select(7, match=Match(tag="U?/*")).found == (POWER, LEVEL)
    assert catalogue.select(7, match=Match(tag="U*", name="Act*")).found == (POWER,)
    assert catalogue.select(7, match=Match(tag="U2/*", name="Act*")).found == ()


def test_patterns_are_case_sensitive() -> None:
    assert Catalogue([POWER]).select(7, match=Match(tag="u1/*")).found == ()


def test_null_matches_no_pattern() -> None:
    assert Catalogue([POWER, LEVEL]).select(7, match=Match(unit="*")).found == (POWER,)


def test_of_two_entries_for_a_signal_the_first_wins_and_the_other_is_counted() -> None:
    catalogue = Catalogue([POWER, Signal(SignalId(7, 1), tag="other"), LEVEL])
    assert catalogue.signals == (POWER, LEVEL)
    assert catalogue.duplicates == 1


def test_a_difference_names_what_came_went_and_changed() -> None:
    renamed = Signal(SignalId(7, 1), name="P", tag="U1/P", unit="kW")
    diff = CatalogueDiff.between(Catalogue([POWER, LEVEL]), Catalogue([renamed, FOREIGN]))
    assert (diff.added, diff.removed, diff.changed) == ((FOREIGN,), (LEVEL,), (renamed,))
    assert diff
    assert not CatalogueDiff.between(Catalogue([POWER]), Catalogue([POWER]))
