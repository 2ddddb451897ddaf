"""Finding a signal, and what is remembered of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from streamer.model import NS_PER_S, Answer, Column, Interval, Lane, Query, Signal, Value, instant_text
from streamer.roster import Member
from streamer.status.signals import MOST_FOUND, Found, SignalView, find, look_up
from tests.support.watched import NOW_NS, WatchedDaemon, group_of

HOSTILE = "<img src=x onerror=alert(1)>"


def members(*tags: str) -> list[Member]:
    """One member a tag."""
    daemon = WatchedDaemon.serving(group_of("turbines", *range(1, len(tags) + 1)))
    return [
        replace(member, signal=replace(member.signal, tag=tag))
        for member, tag in zip(daemon.roster.members, tags, strict=True)
    ]


def found(text: str, *tags: str) -> list[str | None]:
    return [one.tag for one in find(members(*tags), text)]


def test_a_part_of_the_tag_in_any_case_is_enough() -> None:
    assert found("u1", "U1/P", "U2/P", "XU1") == ["U1/P", "XU1"]


def test_the_same_comes_first_then_what_begins_alike() -> None:
    assert found("p", "XP", "PX", "P") == ["P", "PX", "XP"]


def test_the_key_and_the_name_count_as_well() -> None:
    one, two = members("A", "B")
    named = replace(two, signal=replace(two.signal, name="Feed pump"))
    assert [each.series for each in find([one, named], "7:1")] == ["7:1:raw"]
    assert [each.series for each in find([one, named], "feed")] == ["7:2:raw"]


def test_nothing_is_found_for_nothing() -> None:
    assert found("  ", "A") == []


def test_a_signal_without_texts_is_found_by_its_key() -> None:
    (member,) = members("A")
    bare = replace(member, signal=Signal(member.signal.id))
    assert find([bare], "7:1") == [Found("7:1:raw", None, None, None, "turbines")]


def test_no_more_are_found_than_a_person_reads() -> None:
    assert len(found("T", *(f"T{number}" for number in range(3 * MOST_FOUND)))) == MOST_FOUND


def test_text_of_the_plant_is_passed_on_as_it_is() -> None:
    assert found("img", HOSTILE) == [HOSTILE]


def looked_up(values: list[Value], revised: dict[int, Value] | None = None) -> SignalView:
    """Signal 1 after its values, one a second, were published, and then some of them anew."""
    daemon = WatchedDaemon.serving(group_of("turbines", 1), [(0, 90, 80, "silent")])
    shard = daemon.owned[0]
    (group,) = shard.groups
    for shown in (values, [(revised or {}).get(at, value) for at, value in enumerate(values)]):
        place = shard.ledger.place(group.id)
        instants = [NOW_NS - (len(values) - at) * NS_PER_S for at in range(len(values))]
        window = Interval(instants[0], NOW_NS)
        query = Query(group, Lane.LIVE, group.series, window, NOW_NS, place)
        shard.ledger.apply(query, Answer({1: Column(instants, [instant_text(at) for at in instants], shown)}))
    view = look_up(daemon.roster.members, daemon.owned, daemon.shard_of, "7:1:raw")
    assert view is not None
    return view


def test_the_last_samples_come_newest_first() -> None:
    view = looked_up([1.5, 2.5])
    assert [(one.instant, one.value, one.revision) for one in view.samples] == [
        ("2026-01-16T09:59:59Z", "2.5", 0),
        ("2026-01-16T09:59:58Z", "1.5", 0),
    ]
    assert (view.shard, view.frontier, view.watermark) == (0, "2026-01-16T10:00:00Z", "2026-01-16T09:59:57Z")


def test_a_revised_sample_shows_its_last_value_and_is_listed_by_itself() -> None:
    view = looked_up([1.5, 2.5], {0: 1.75})
    assert [(one.value, one.revision) for one in view.revised] == [("1.75", 1)]
    assert [(one.value, one.revision) for one in view.samples] == [("2.5", 0), ("1.75", 1)]


@pytest.mark.parametrize(
    ("value", "text"), [(2**70 + 1, str(2**70 + 1)), (float("nan"), "nan"), (12, "12"), (0.1, "0.1")]
)
def test_a_value_is_shown_as_exactly_as_it_was_published(value: Value, text: str) -> None:
    assert [one.value for one in looked_up([value]).samples] == [text]


def test_its_holes_are_there() -> None:
    (hole,) = looked_up([1.0]).holes
    assert (hole.start, hole.end, hole.cause, hole.tag) == (
        "2026-01-16T09:58:30Z",
        "2026-01-16T09:58:40Z",
        "silent",
        "U1/1",
    )


@pytest.mark.parametrize("shard", [0, 1])
def test_of_a_series_of_another_replica_the_shard_is_known_and_no_more(shard: int) -> None:
    daemon = WatchedDaemon.serving(group_of("turbines", 1))
    view = look_up(daemon.roster.members, {} if shard == 0 else daemon.owned, lambda _: shard, "7:1:raw")
    assert view is not None
    assert (view.shard, view.frontier, view.samples) == (shard, None, ())


def test_a_series_that_no_stream_wants_is_none() -> None:
    assert look_up((), {}, lambda _: 0, "7:1:raw") is None
