"""What an answer publishes: the unseen, once, with the next revision."""

from __future__ import annotations

from dataclasses import replace

import pytest

from streamer.model import NS_PER_S, Lane, Value
from tests.unit.ledger.bench import STREAM, Bench, Event, answer_of, events_of, every_second, group_of

NULLS_PUBLISHED = replace(STREAM, has_null_events=True)
BIG = 2**53 + 1


def test_samples_seen_early_are_published_once_and_asked_for_again() -> None:
    bench = Bench(group_of(1))
    early = bench.live(0, 12, {1: every_second(0, 12)}, at=10)
    again = bench.live(7, 14, {1: every_second(7, 14)}, at=12)
    assert [event.second for event in early] == list(range(12))
    assert [event.second for event in again] == [12, 13]


def test_what_the_overlap_shows_again_is_published_once() -> None:
    bench = Bench(group_of(1, 2))
    bench.live(0, 10, {1: every_second(0, 10), 2: every_second(0, 10)})
    again = bench.live(7, 11, {1: every_second(7, 11), 2: every_second(7, 11)})
    assert again == [Event(1, 10, 1.0, 0, False), Event(2, 10, 1.0, 0, False)]


def test_a_sample_that_arrives_in_the_overlap_is_published() -> None:
    bench = Bench(group_of(1))
    bench.live(0, 10, {1: every_second(0, 9)})
    assert [event.second for event in bench.live(7, 11, {1: every_second(7, 11)})] == [9, 10]


def test_each_other_value_is_the_next_revision() -> None:
    bench = Bench(group_of(1))
    published = [bench.live(0, 10, {1: {5: value}}, at=at) for at, value in enumerate([1.0, 2.0, 2.0, 1.0], start=1)]
    assert [[(event.value, event.revision) for event in events] for events in published] == [
        [(1.0, 0)],
        [(2.0, 1)],
        [],
        [(1.0, 2)],
    ]


def test_a_revision_is_found_after_a_restart_as_well() -> None:
    bench = Bench(group_of(1))
    bench.live(0, 10, {1: {8: 1.0, 9: BIG}})
    bench.live(7, 11, {1: {8: 2.0, 9: BIG, 10: 1.0}})
    bench.configure(*bench.groups)
    published = bench.live(8, 12, {1: {8: 2.0, 9: BIG - 1, 10: None, 11: 0}})
    assert published == [
        Event(1, 9, BIG - 1, 1, False),
        Event(1, 10, None, 1, False),
        Event(1, 11, 0, 0, False),
    ]


@pytest.mark.parametrize(("one", "other"), [(1, 1.0), (0.0, -0.0), (float("nan"), float("nan")), (BIG, BIG)])
def test_the_same_number_written_otherwise_is_no_revision(one: Value, other: Value) -> None:
    bench = Bench(group_of(1))
    bench.live(0, 10, {1: {8: one}})
    assert bench.live(7, 11, {1: {8: other}}) == []


def test_nothing_behind_the_frontier_of_its_own_query_is_late() -> None:
    bench = Bench(group_of(1))
    assert not any(event.is_late for event in bench.live(0, 100, {1: every_second(0, 100)}))


def test_a_first_sample_behind_the_watermark_is_late_and_one_at_it_is_not() -> None:
    bench = Bench(group_of(1))
    bench.live(0, 30, {1: {0: 1.0}})
    published = events_of(bench.take(bench.ask(0, 29, lane=Lane.REVISIT, at=50), {1: every_second(0, 29)}))
    assert [event.second for event in published if event.is_late] == list(range(1, 27))
    assert [event.second for event in published if not event.is_late] == [27, 28]


def test_the_watermark_is_that_before_the_commit_though_another_answer_of_it_moves_the_frontier() -> None:
    bench = Bench(group_of(1))
    bench.live(0, 30, {1: {0: 1.0}})
    revisit = bench.ask(0, 29, lane=Lane.REVISIT, at=50)
    bench.ledger.apply(bench.ask(29, 60), answer_of({1: every_second(29, 60)}))
    published = events_of(bench.ledger.apply(revisit, answer_of({1: every_second(0, 29)})))
    assert [event.second for event in published if not event.is_late] == [27, 28]


def test_a_revision_is_never_late() -> None:
    bench = Bench(group_of(1))
    bench.live(0, 30, {1: every_second(0, 30)})
    published = events_of(bench.take(bench.ask(0, 10, lane=Lane.REVISIT, at=50), {1: every_second(0, 10, 2.0)}))
    assert {(event.revision, event.is_late) for event in published} == {(1, False)}


def test_a_null_never_seen_before_is_left_out_and_counted() -> None:
    bench = Bench(group_of(1))
    applied = bench.take(bench.ask(0, 10), {1: {3: None, 4: 1.0, 5: None}})
    assert events_of(applied) == [Event(1, 4, 1.0, 0, False)]
    assert applied.nulls == 2


def test_a_value_in_the_place_of_a_null_left_out_is_its_first_revision() -> None:
    bench = Bench(group_of(1))
    bench.live(0, 10, {1: {9: None}})
    assert bench.live(7, 11, {1: {9: 5}}) == [Event(1, 9, 5, 0, False)]


def test_a_null_is_published_where_the_stream_wants_it() -> None:
    bench = Bench(group_of(1, stream=NULLS_PUBLISHED))
    applied = bench.take(bench.ask(0, 10), {1: {9: None}})
    assert (events_of(applied), applied.nulls) == ([Event(1, 9, None, 0, False)], 0)
    assert bench.live(7, 11, {1: {9: None}}) == []
    assert bench.live(8, 12, {1: {9: 5}}) == [Event(1, 9, 5, 1, False)]


def test_a_value_withdrawn_to_null_is_a_revision_in_any_stream() -> None:
    bench = Bench(group_of(1))
    bench.live(0, 10, {1: {9: 5}})
    applied = bench.take(bench.ask(7, 11), {1: {9: None}})
    assert (events_of(applied), applied.nulls) == ([Event(1, 9, None, 1, False)], 0)
    assert bench.live(8, 12, {1: {9: 6}}) == [Event(1, 9, 6, 2, False)]


def test_a_published_sample_that_is_shown_no_more_is_counted() -> None:
    bench = Bench(group_of(1))
    bench.live(0, 10, {1: every_second(0, 10)})
    assert bench.take(bench.ask(7, 11), {1: {7: 1.0, 10: 1.0}}).vanished == 2


def test_the_texts_of_the_source_travel_with_their_samples() -> None:
    bench = Bench(group_of(1))
    bench.live(0, 10, {1: {9: 1.0}})
    applied = bench.ledger.apply(bench.ask(0, 11), answer_of({1: {8: None, 9: 2.0, 10: 3.0}}))
    texts = {
        instant_ns: text for run in applied.runs for instant_ns, text in zip(run.instants_ns, run.texts, strict=True)
    }
    assert texts == {at * NS_PER_S: f"t{at * NS_PER_S}" for at in (9, 10)}
