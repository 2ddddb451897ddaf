"""The world: what is visible when, and why."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.model import NS_PER_MS, NS_PER_S, SignalId
from streamer.simulator.behaviour import Behaviour, Disturbance, Recurrence
from streamer.simulator.plants import PV, SUBSTATION, SYNTHETIC, TOWER, demo_world
from streamer.simulator.tapes import Sample
from streamer.simulator.world import World

FIRST_NS = 1_768_557_600 * NS_PER_S
HOUR_NS = 3_600 * NS_PER_S
ROUGH = Behaviour(
    usual_delay_ns=300 * NS_PER_MS,
    jitter_ns=200 * NS_PER_MS,
    late_share=0.1,
    late_delay_ns=20 * NS_PER_S,
    revised_share=0.1,
    revised_after_ns=10 * NS_PER_S,
)


def world_with(behaviour: Behaviour, seed: int = 0) -> World:
    behaviours = dict.fromkeys((SUBSTATION, TOWER, PV, SYNTHETIC), behaviour)
    return demo_world(FIRST_NS, synthetic_signals=3, seed=seed, behaviours=behaviours)


PROMPT_WORLD = world_with(Behaviour.prompt())
ROUGH_WORLD = world_with(ROUGH)

seconds = st.integers(0, 120 * 1_000).map(lambda ms: FIRST_NS + HOUR_NS + ms * NS_PER_MS)
spans = st.integers(0, 60 * 1_000).map(lambda ms: ms * NS_PER_MS)


@given(start_ns=seconds, first_ns=spans, second_ns=spans, now_ns=seconds)
def test_two_halves_of_a_range_show_the_whole(start_ns: int, first_ns: int, second_ns: int, now_ns: int) -> None:
    middle_ns, end_ns = start_ns + first_ns, start_ns + first_ns + second_ns

    def visible(from_ns: int, to_ns: int) -> list[Sample]:
        return ROUGH_WORLD.visible(SUBSTATION, 1002, from_ns, to_ns, now_ns)

    assert visible(start_ns, middle_ns) + visible(middle_ns, end_ns) == visible(start_ns, end_ns)


@given(start_ns=seconds, length_ns=spans, now_ns=seconds, passed_ns=spans)
def test_what_was_visible_stays_visible(start_ns: int, length_ns: int, now_ns: int, passed_ns: int) -> None:
    def instants(at_ns: int) -> set[int]:
        return {at for at, _ in ROUGH_WORLD.visible(SUBSTATION, 1002, start_ns, start_ns + length_ns, at_ns)}

    assert instants(now_ns) <= instants(now_ns + passed_ns)


@given(start_ns=seconds, now_ns=seconds)
def test_what_is_visible_follows_from_delay_and_revision(start_ns: int, now_ns: int) -> None:
    end_ns = start_ns + 20 * NS_PER_S
    expected = []
    for instant_ns, value in ROUGH_WORLD.samples(TOWER, 1002, start_ns, end_ns):
        if instant_ns + ROUGH_WORLD.delay_ns(TOWER, 1002, instant_ns) <= now_ns:
            revision = ROUGH_WORLD.revision_of(TOWER, 1002, instant_ns)
            off = revision.by if revision is not None and now_ns < revision.at_ns else 0
            expected.append((instant_ns, value + off))
    assert ROUGH_WORLD.visible(TOWER, 1002, start_ns, end_ns, now_ns) == expected


@given(now_ns=seconds)
def test_nothing_is_visible_before_its_instant(now_ns: int) -> None:
    shown = PROMPT_WORLD.visible(SUBSTATION, 1001, now_ns - NS_PER_S, now_ns + NS_PER_S, now_ns)
    assert shown == PROMPT_WORLD.samples(SUBSTATION, 1001, now_ns - NS_PER_S, now_ns + 1)


@pytest.mark.parametrize(
    ("database_id", "period_ns", "step_ns"),
    [
        (SUBSTATION, 32_433_333_300, 33_333_300),
        (TOWER, 7_200 * NS_PER_S, NS_PER_S),
        (PV, 3 * 3_610 * NS_PER_S, 10 * NS_PER_S),
    ],
)
def test_the_joint_of_two_loops_is_one_nominal_step(database_id: int, period_ns: int, step_ns: int) -> None:
    joint_ns = (FIRST_NS // period_ns + 2) * period_ns
    around = PROMPT_WORLD.samples(database_id, 1001, joint_ns - 2 * step_ns, joint_ns + 1)
    assert [instant_ns for instant_ns, _ in around][-2:] == [joint_ns - step_ns, joint_ns]


def test_every_instant_of_every_plant_can_be_written() -> None:
    for database in PROMPT_WORLD.databases.values():
        samples = PROMPT_WORLD.samples(database.id, 1001, FIRST_NS, FIRST_NS + 100 * NS_PER_S)
        assert {instant_ns % 100 for instant_ns, _ in samples} == {0}


def test_nothing_exists_before_the_first_instant() -> None:
    assert PROMPT_WORLD.samples(TOWER, 1001, FIRST_NS - HOUR_NS, FIRST_NS) == []
    assert PROMPT_WORLD.samples(TOWER, 1001, FIRST_NS - HOUR_NS, FIRST_NS + 1)[0].instant_ns == FIRST_NS


def test_history_begins_at_a_full_hour_a_day_ago() -> None:
    now_ns = time.time_ns()
    first_ns = World([]).first_ns
    assert first_ns % HOUR_NS == 0
    assert 24 * HOUR_NS - NS_PER_S < now_ns - first_ns < 25 * HOUR_NS


@pytest.mark.parametrize(("database_id", "index"), [(1, 5), (8, 1001)])
def test_an_unknown_signal_has_no_samples(database_id: int, index: int) -> None:
    assert PROMPT_WORLD.visible(database_id, index, FIRST_NS, FIRST_NS + HOUR_NS, FIRST_NS + HOUR_NS) == []


def test_a_box_that_is_missing_in_an_hour_is_silent_in_it() -> None:
    period_ns = 3 * 3_610 * NS_PER_S
    loop_ns = (FIRST_NS // period_ns + 1) * period_ns
    box = next(signal.id for signal in PROMPT_WORLD.databases[PV].signals if signal.tag == "PV.CMB-02-01")
    hours = [
        PROMPT_WORLD.samples(PV, box.index, loop_ns + hour * 3_610 * NS_PER_S, loop_ns + (hour + 1) * 3_610 * NS_PER_S)
        for hour in range(3)
    ]
    assert [len(samples) for samples in hours] == [361, 0, 361]


def fates(world: World, index: int = 1001) -> list[tuple[int, object]]:
    samples = world.samples(SYNTHETIC, index, FIRST_NS, FIRST_NS + HOUR_NS)
    return [(world.delay_ns(SYNTHETIC, index, at), world.revision_of(SYNTHETIC, index, at)) for at, _ in samples]


def test_another_world_of_the_same_seed_tells_the_same_story() -> None:
    assert fates(world_with(ROUGH)) == fates(ROUGH_WORLD)


def test_seeds_and_signals_differ_in_their_fates() -> None:
    stories = (fates(ROUGH_WORLD), fates(world_with(ROUGH, seed=1)), fates(ROUGH_WORLD, 1002))
    assert len({tuple(story) for story in stories}) == 3


def test_shares_and_delays_are_as_configured() -> None:
    story = fates(ROUGH_WORLD)
    delays_ns = [delay_ns for delay_ns, _ in story]
    late_ns = [delay_ns for delay_ns in delays_ns if delay_ns > 500 * NS_PER_MS]
    assert min(delays_ns) >= 100 * NS_PER_MS
    assert 10 * NS_PER_S < max(delays_ns) <= 20_500 * NS_PER_MS
    assert 0.08 < len(late_ns) / len(story) < 0.12
    assert 0.08 < sum(revision is not None for _, revision in story) / len(story) < 0.12


def test_a_prompt_world_has_no_delays_and_no_revisions() -> None:
    assert set(fates(PROMPT_WORLD)) == {(0, None)}


def test_a_revised_integer_is_an_integer_all_along() -> None:
    world = world_with(Behaviour(revised_share=1.0, revised_after_ns=NS_PER_S))
    (first,) = world.visible(SUBSTATION, 1001, FIRST_NS, FIRST_NS + 33_000_000, FIRST_NS + 33_000_000)[:1]
    assert (first.value, type(first.value)) == (8229, int)


def disturbed_world(disturbance: Disturbance) -> World:
    world = world_with(Behaviour.prompt())
    world.disturb([disturbance])
    return world


TEN_SECONDS = Recurrence(FIRST_NS + 10 * NS_PER_S, 10 * NS_PER_S, every_ns=60 * NS_PER_S)


def test_a_disturbance_delays_the_samples_of_its_times() -> None:
    world = disturbed_world(Disturbance(TEN_SECONDS, delay_ns=HOUR_NS))
    delayed = [second for second in range(120) if world.delay_ns(TOWER, 1001, FIRST_NS + second * NS_PER_S)]
    assert delayed == [*range(10, 20), *range(70, 80)]


def test_delayed_samples_are_missing_until_they_arrive() -> None:
    world = disturbed_world(Disturbance(TEN_SECONDS, delay_ns=HOUR_NS))
    start_ns, end_ns = FIRST_NS + 60 * NS_PER_S, FIRST_NS + 120 * NS_PER_S
    assert len(world.visible(TOWER, 1001, start_ns, end_ns, end_ns)) == 50
    assert len(world.visible(TOWER, 1001, start_ns, end_ns, end_ns + HOUR_NS)) == 60


def test_a_disturbance_shows_another_value_first() -> None:
    world = disturbed_world(Disturbance(TEN_SECONDS, by=0.5, after_ns=NS_PER_S))
    at_ns = FIRST_NS + 12 * NS_PER_S
    final = world.samples(TOWER, 1009, at_ns, at_ns + 1)[0].value
    shown = [world.visible(TOWER, 1009, at_ns, at_ns + 1, at_ns + age_ns)[0].value for age_ns in (0, NS_PER_S)]
    assert shown == [final + 0.5, final]


def test_a_disturbance_keeps_to_its_databases() -> None:
    world = disturbed_world(Disturbance(TEN_SECONDS, delay_ns=1, databases=frozenset({PV})))
    at_ns = FIRST_NS + 10 * NS_PER_S
    assert [world.delay_ns(database_id, 1001, at_ns) for database_id in (TOWER, PV)] == [0, 1]


def test_a_disturbance_takes_its_share_of_the_samples() -> None:
    when = Recurrence(FIRST_NS, HOUR_NS)
    world = disturbed_world(Disturbance(when, share=0.2, delay_ns=NS_PER_S))
    delayed = [delay_ns for delay_ns, _ in fates(world) if delay_ns]
    assert 0.18 < len(delayed) / 18_000 < 0.22


def test_the_demo_world_has_three_plants() -> None:
    databases = demo_world(FIRST_NS).databases
    assert {number: (database.name, len(database.signals)) for number, database in databases.items()} == {
        1: ("substation", 14),
        2: ("tower", 26),
        3: ("pv", 60),
    }


def test_indexes_count_up_in_the_order_of_the_file() -> None:
    signals = PROMPT_WORLD.databases[SUBSTATION].signals
    assert [signal.id for signal in signals[:2]] == [SignalId(1, 1001), SignalId(1, 1002)]
    assert [signal.tag for signal in signals[:2]] == ["SHELBY.STATUS", "SHELBY.FREQ"]


@pytest.mark.parametrize(("signals", "rate_hz"), [(-1, 5.0), (10_001, 5.0), (1, 0.0), (1, 1001.0)])
def test_synthetic_signals_have_their_limits(signals: int, rate_hz: float) -> None:
    with pytest.raises(ValueError, match="synthetic"):
        demo_world(FIRST_NS, synthetic_signals=signals, synthetic_hz=rate_hz)
