"""What was published of one series, compared exactly."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.ledger.memory import Difference, Memory, is_same
from streamer.model import Interval, Value
from tests.unit.ledger.bench import column_of

NAN = float("nan")
PAST_DOUBLES = 2**53 + 1

VALUES: st.SearchStrategy[Value] = st.one_of(
    st.sampled_from([0, 0.0, -0.0, 1, 1.0, None, NAN, 2**53, float(2**53), PAST_DOUBLES, -PAST_DOUBLES, 10**400]),
    st.integers(),
    st.floats(),
)
COLUMNS = st.dictionaries(st.integers(0, 30), VALUES, min_size=1)
STEPS = st.lists(st.one_of(COLUMNS, st.tuples(st.integers(0, 35), st.sets(st.integers(0, 35), max_size=4))))


def remembering(samples: dict[int, Value]) -> Memory:
    memory = Memory()
    column = column_of(samples)
    memory.record(column.instants_ns, column.values, 0)
    return memory


def revisions(memory: Memory, samples: dict[int, Value]) -> list[tuple[int, int]]:
    return list(memory.compare(column_of(samples)).revised)


def plain(difference: Difference) -> tuple[list[int], list[tuple[int, int]], int]:
    return list(difference.new), list(difference.revised), difference.vanished


@pytest.mark.parametrize(
    ("one", "other"),
    [(0.0, -0.0), (1, 1.0), (NAN, float("nan")), (None, None), (PAST_DOUBLES, PAST_DOUBLES), (2**53, float(2**53))],
)
def test_equal_numbers_are_the_same_value(one: Value, other: Value) -> None:
    assert is_same(one, other)
    assert revisions(remembering({5: one}), {5: other}) == []


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (PAST_DOUBLES, float(2**53)),
        (PAST_DOUBLES, 2**53),
        (PAST_DOUBLES, PAST_DOUBLES + 1),
        (10**400, 10**400 + 1),
        (10**400, float("inf")),
        (None, NAN),
        (None, 0),
        (NAN, 0.0),
        (0.1, 0.1 + 2**-56),
    ],
)
def test_different_numbers_are_different_values_both_ways(one: Value, other: Value) -> None:
    assert not is_same(one, other)
    assert revisions(remembering({5: one}), {5: other}) == [(0, 1)]
    assert revisions(remembering({5: other}), {5: one}) == [(0, 1)]


def test_a_large_integer_is_given_back_to_the_last_digit() -> None:
    assert remembering({5: PAST_DOUBLES}).value_at(5) == (PAST_DOUBLES, 0)


def test_a_null_among_numbers_is_given_back_as_null() -> None:
    memory = remembering({4: 1.5, 5: None, 6: 2})
    assert [memory.value_at(at)[0] for at in (4, 5, 6)] == [1.5, None, 2]


def test_a_value_replaces_an_exact_one() -> None:
    memory = remembering({4: 1.0, 5: PAST_DOUBLES})
    memory.record([5], [2.5], 1)
    assert memory.value_at(5) == (2.5, 1)


def test_revisions_are_numbered_one_after_the_other() -> None:
    memory = remembering({5: 1.0})
    memory.record([5], [2.0], 1)
    assert revisions(memory, {5: 3.0}) == [(0, 2)]


def test_what_is_not_remembered_has_no_value() -> None:
    with pytest.raises(KeyError):
        remembering({5: 1.0}).value_at(4)


def test_a_plain_continuation_is_new_from_the_first_unknown_on() -> None:
    memory = remembering({1: 1.0, 2: 2.0})
    assert plain(memory.compare(column_of({1: 1.0, 2: 2.0, 3: 3.0, 4: 4.0}))) == ([2, 3], [], 0)


def test_an_instant_between_two_known_ones_is_new() -> None:
    memory = remembering({1: 1.0, 3: 3.0})
    assert plain(memory.compare(column_of({1: 1.0, 2: 2.0, 3: 3.0}))) == ([1], [], 0)


def test_a_known_instant_that_the_column_spans_and_leaves_out_has_vanished() -> None:
    memory = remembering({1: 1.0, 2: 2.0, 3: 3.0, 9: 9.0})
    assert plain(memory.compare(column_of({1: 1.0, 3: 3.0}))) == ([], [], 1)


def test_the_newest_sample_is_never_forgotten() -> None:
    memory = remembering({1: 1.0, 2: None, 3: PAST_DOUBLES})
    memory.forget(100, [])
    assert (len(memory), memory.newest_ns, memory.value_at(3)) == (1, 3, (PAST_DOUBLES, 0))


def test_what_lies_in_an_interval_to_keep_is_not_forgotten() -> None:
    memory = remembering({at: float(at) for at in range(10)})
    memory.forget(8, [Interval(2, 4), Interval(6, 7)])
    assert [at for at in range(10) if memory.knows_any(Interval(at, at + 1))] == [2, 3, 6, 8, 9]


def test_a_forgotten_instant_begins_again_with_its_first_revision() -> None:
    memory = remembering({1: 1.0, 2: 1.0})
    memory.record([1], [2.0], 1)
    memory.forget(2, [])
    memory.record([1], [5.0], 0)
    assert memory.value_at(1) == (5.0, 0)


@given(STEPS)
def test_it_behaves_as_a_plain_dictionary(steps: list[dict[int, Value] | tuple[int, set[int]]]) -> None:
    memory = Memory()
    model: dict[int, tuple[Value, int]] = {}
    for step in steps:
        if isinstance(step, tuple):
            before, kept = step
            memory.forget(before, [Interval(at, at + 1) for at in sorted(kept)])
            newest = max(model, default=None)
            model = {at: known for at, known in model.items() if at >= before or at in kept or at == newest}
        else:
            column = column_of(step)
            instants = list(column.instants_ns)
            new = [at for at in instants if at not in model]
            revised = [(at, model[at][1] + 1) for at in instants if at in model and not is_same(model[at][0], step[at])]
            between = [at for at in model if instants[0] <= at <= instants[-1]]
            vanished = len([at for at in between if at not in step])
            expected = [instants.index(at) for at in new], [(instants.index(at), to) for at, to in revised], vanished
            assert plain(memory.compare(column)) == expected
            memory.record(new, [step[at] for at in new], 0)
            model |= {at: (step[at], 0) for at in new}
            for at, revision in revised:
                memory.record([at], [step[at]], revision)
                model[at] = step[at], revision
        assert len(memory) == len(model)
        assert memory.newest_ns == max(model, default=None)
        for at, (value, revision) in model.items():
            known, known_revision = memory.value_at(at)
            assert is_same(known, value)
            assert known_revision == revision
        assert [one.instant_ns for one in memory.last(3)] == sorted(model)[-3:]
        assert [one.revision for one in memory.last_revised(3)] == [
            model[at][1] for at in sorted(model) if model[at][1]
        ][-3:]
        for start in range(0, 36, 3):
            assert memory.knows_any(Interval(start, start + 3)) == any(start <= at < start + 3 for at in model)
