"""The ledger, drawn."""

from __future__ import annotations

import pytest

from streamer.model import NS_PER_MS, NS_PER_S
from streamer.status.timeline import SPANS, Strip, draw
from tests.support.watched import HOLE, NOW_NS, WatchedDaemon, group_of


def strip(*holes: HOLE, span: str = "15m", behind_s: float = 10, began_s: float = 400) -> Strip:
    daemon = WatchedDaemon.serving(group_of("turbines", 1, 2), holes, behind_s=behind_s)
    daemon.history.began("turbines", NOW_NS - int(began_s * NS_PER_S))
    (drawn,) = draw(daemon.owned.values(), daemon.history, NOW_NS, span).strips
    return drawn


def columns(values: list[int]) -> dict[int, int]:
    """The columns that hold something."""
    return {at: value for at, value in enumerate(values) if value}


def test_the_right_edge_is_past_now_and_the_columns_fill_the_span() -> None:
    timeline = draw([], WatchedDaemon().history, NOW_NS, "15m")
    assert (timeline.columns, timeline.column_ms) == (90, 10_000)
    assert timeline.first_ms + 90 * 10_000 == NOW_NS // NS_PER_MS + 10_000
    assert {span: count * slots * 10 / 60 for span, (count, slots) in SPANS.items()} == {"15m": 15, "1h": 60, "6h": 360}


def test_covered_is_from_the_beginning_to_the_frontier() -> None:
    drawn = strip(behind_s=10, began_s=400)
    assert (drawn.covered_from, drawn.covered_to) == (49.0, 88.0)


def test_what_lies_outside_is_cut_at_the_edges() -> None:
    drawn = strip(behind_s=-30, began_s=5_000)
    assert (drawn.covered_from, drawn.covered_to) == (0.0, 90.0)


def test_a_hole_fills_the_columns_that_it_touches() -> None:
    assert columns(strip((0, 40, 20, "silent")).holes) == {85: 1, 86: 1}
    assert columns(strip((0, 41, 19, "silent")).holes) == {84: 1, 85: 1, 86: 1, 87: 1}


def test_holes_of_several_signals_add_up() -> None:
    assert columns(strip((0, 40, 20, "silent"), (1, 30, 20, "absent")).holes) == {85: 1, 86: 2}


def test_a_hole_that_begins_before_the_left_edge_is_drawn_from_there() -> None:
    assert columns(strip((0, 5_000, 880, "new")).holes) == {0: 1}


def test_a_hole_before_the_left_edge_is_not_drawn() -> None:
    assert columns(strip((0, 5_000, 2_000, "new")).holes) == {}


def test_counts_are_summed_up_where_a_column_holds_several_slots() -> None:
    daemon = WatchedDaemon.serving(group_of("turbines", 1))
    instants = [NOW_NS - age * NS_PER_S for age in (55, 45, 35, 25, 15)]
    daemon.history.track("turbines").add(instants, is_late=True, is_revision=False)
    (drawn,) = draw(daemon.owned.values(), daemon.history, NOW_NS, "1h").strips
    assert columns(drawn.late) == {117: 3, 118: 2}


def test_a_span_that_is_none_is_refused() -> None:
    with pytest.raises(KeyError):
        strip(span="2h")
