"""What the guarantee asks for at the places of a ledger, and what it says nothing about."""

from __future__ import annotations

from streamer.demo_audit import bounds_of
from streamer.ledger.codec import PlaceRecord
from streamer.model import SignalId
from streamer.simulator.audit import Bound

START, SETTLED, WATERMARK, FRONTIER = 1_000, 2_000, 3_700, 4_000
OVERLAP, FIRST_AGE, LAST_AGE = 300, 500, 900
OVERLAPS = {"turbines": OVERLAP, "slow": 1_000}
TURBINE, PUMP = SignalId(7, 1), SignalId(7, 2)


def place(
    *series: str,
    stream: str = "turbines",
    settled: int = SETTLED,
    frontier: int = FRONTIER,
    holes: list[tuple[int, int, int, str]] | None = None,
) -> PlaceRecord:
    return PlaceRecord(
        stream=stream,
        database_id=7,
        series=list(series) or ["7:1:raw"],
        frontier=frontier,
        revisited=[(FIRST_AGE, 3_000), (LAST_AGE, settled)],
        floor=0,
        holes=holes or [],
    )


def bounds(*places: PlaceRecord) -> dict[SignalId, list[Bound]]:
    return bounds_of(places, OVERLAPS, START)


def test_what_is_settled_must_have_all_that_came_within_the_last_age() -> None:
    assert bounds(place())[TURBINE][0] == Bound(START, SETTLED, LAST_AGE)


def test_from_there_to_the_watermark_all_that_came_within_the_overlap_must_be_there() -> None:
    assert bounds(place())[TURBINE][1:] == [Bound(SETTLED, WATERMARK, OVERLAP)]


def test_each_stream_has_its_own_overlap() -> None:
    (_, recent) = bounds(place(stream="slow"))[TURBINE]
    assert recent == Bound(SETTLED, FRONTIER - 1_000, 1_000)


def test_nothing_is_asked_for_in_a_hole() -> None:
    assert bounds(place(holes=[(0, 1_200, 1_300, "absent")]))[TURBINE] == [
        Bound(START, 1_200, LAST_AGE),
        Bound(1_300, SETTLED, LAST_AGE),
        Bound(SETTLED, WATERMARK, OVERLAP),
    ]


def test_a_hole_over_both_parts_is_cut_out_of_both() -> None:
    assert bounds(place(holes=[(0, 1_900, 2_100, "absent")]))[TURBINE] == [
        Bound(START, 1_900, LAST_AGE),
        Bound(2_100, WATERMARK, OVERLAP),
    ]


def test_several_holes_are_all_cut_out() -> None:
    holes = [(0, 1_200, 1_300, "absent"), (0, 1_500, 1_600, "rejected")]
    assert [bound[:2] for bound in bounds(place(holes=holes))[TURBINE][:3]] == [
        (START, 1_200),
        (1_300, 1_500),
        (1_600, SETTLED),
    ]


def test_nothing_is_asked_for_where_all_is_a_hole() -> None:
    assert bounds(place(holes=[(0, 0, FRONTIER, "new")])) == {TURBINE: []}


def test_a_hole_of_one_series_is_none_of_another() -> None:
    found = bounds(place("7:1:raw", "7:2:raw", holes=[(1, 0, FRONTIER, "new")]))
    assert found == {TURBINE: [Bound(START, SETTLED, LAST_AGE), Bound(SETTLED, WATERMARK, OVERLAP)], PUMP: []}


def test_nothing_is_settled_at_the_start() -> None:
    assert bounds(place(settled=START)) == {TURBINE: [Bound(START, WATERMARK, OVERLAP)]}


def test_nothing_is_asked_for_before_the_watermark_has_left_what_is_settled() -> None:
    assert bounds(place(settled=START, frontier=START + OVERLAP)) == {TURBINE: []}


def test_places_of_all_shards_count() -> None:
    assert set(bounds(place("7:1:raw"), place("7:2:raw"))) == {TURBINE, PUMP}
