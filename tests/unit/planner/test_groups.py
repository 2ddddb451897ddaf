"""Who is asked for together, and that nobody moves without need."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from streamer.model import Group
from streamer.planner.groups import arrange
from tests.unit.planner.makers import GRID, RAW, series_of

INDEXES = st.lists(st.integers(1, 30), unique=True)
SIZES = st.integers(1, 7)


def arranged(indexes: Sequence[int], size: int, known: Sequence[Group] = ()) -> list[Group]:
    members = {group.id: tuple(one.name for one in group.series) for group in known}
    return arrange(replace(RAW, group_size=size), 7, 2, series_of(RAW, *indexes), members)


def members(groups: Sequence[Group]) -> dict[str, list[int]]:
    return {group.id: [one.signal.index for one in group.series] for group in groups}


def test_no_series_make_no_group() -> None:
    assert arranged([], 3) == []


def test_new_series_fill_groups_in_their_order() -> None:
    assert members(arranged([5, 1, 4, 2, 3], 2)) == {"all/raw/0": [5, 1], "all/raw/1": [4, 2], "all/raw/2": [3]}


def test_a_group_knows_its_stream_database_and_shard() -> None:
    (group,) = arranged([1], 2)
    assert (group.stream, group.database_id, group.shard) == (replace(RAW, group_size=2), 7, 2)


def test_a_removed_series_moves_no_other() -> None:
    known = arranged([1, 2, 3, 4], 2)
    assert members(arranged([2, 3, 4], 2, known)) == {"all/raw/0": [2], "all/raw/1": [3, 4]}


def test_a_new_series_takes_the_room_that_there_is() -> None:
    known = arranged([2, 3, 4], 2, arranged([1, 2, 3, 4], 2))
    assert members(arranged([9, 2, 3, 4, 8], 2, known)) == {
        "all/raw/0": [2, 9],
        "all/raw/1": [3, 4],
        "all/raw/2": [8],
    }


def test_a_new_group_takes_the_first_free_number() -> None:
    known = arranged([1, 2, 3], 1)
    assert members(arranged([1, 3, 4, 5], 1, known)) == {
        "all/raw/0": [1],
        "all/raw/2": [3],
        "all/raw/1": [4],
        "all/raw/3": [5],
    }


def test_a_smaller_size_moves_only_what_is_too_much() -> None:
    known = arranged([1, 2, 3, 4], 4)
    assert members(arranged([1, 2, 3, 4], 3, known)) == {"all/raw/0": [1, 2, 3], "all/raw/1": [4]}


def test_groups_of_another_stream_or_period_are_left_alone() -> None:
    grid = arrange(GRID, 7, 2, series_of(GRID, 1, 2), {})
    other = arrange(replace(RAW, name="all2"), 7, 2, series_of(RAW, 3), {})
    assert [group.id for group in (*grid, *other)] == ["all/mean@2s/0", "all2/raw/0"]
    assert members(arranged([1, 2, 3], 3, [*grid, *other])) == {"all/raw/0": [1, 2, 3]}


def test_a_parked_group_is_not_taken_for_one_of_the_stream() -> None:
    known = {"all/raw/0": ["7:1:raw"], "all/raw/0~1": ["7:2:raw"]}
    groups = arrange(replace(RAW, group_size=1), 7, 2, series_of(RAW, 1, 2), known)
    assert members(groups) == {"all/raw/0": [1], "all/raw/1": [2]}


@given(INDEXES, INDEXES, SIZES, SIZES)
def test_each_series_is_in_one_group_and_no_group_is_too_large(
    before: list[int], wanted: list[int], old_size: int, size: int
) -> None:
    groups = arranged(wanted, size, arranged(before, old_size))
    assert sorted(index for group in members(groups).values() for index in group) == sorted(wanted)
    assert all(1 <= len(group.series) <= size for group in groups)
    assert len({group.id for group in groups}) == len(groups)


@given(INDEXES, INDEXES, SIZES)
def test_known_series_stay_in_their_group(before: list[int], wanted: list[int], size: int) -> None:
    known = members(arranged(before, size))
    now = members(arranged(wanted, size, arranged(before, size)))
    for group_id, indexes in known.items():
        kept = [index for index in indexes if index in wanted]
        assert now.get(group_id, [])[: len(kept)] == kept


@given(INDEXES, SIZES, st.randoms(use_true_random=False))
def test_the_order_in_which_the_groups_are_known_does_not_matter(indexes: list[int], size: int, random: Random) -> None:
    known = arranged(indexes, size)
    shuffled = random.sample(known, len(known))
    assert arranged([*indexes, 99], size, shuffled) == arranged([*indexes, 99], size, known)


@given(INDEXES, SIZES)
def test_an_unchanged_configuration_gives_the_same_groups(indexes: list[int], size: int) -> None:
    known = arranged(indexes, size)
    assert members(arranged(indexes[::-1], size, known)) == members(known)
