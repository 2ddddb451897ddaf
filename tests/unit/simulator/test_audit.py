"""The audit: what it calls lost, doubled and wrong, and what it lets pass."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from streamer.model import NS_PER_S, SignalId
from streamer.simulator.audit import MOST_EXAMPLES, Bound, Published, Verdict, audit
from streamer.simulator.behaviour import Behaviour
from streamer.simulator.plants import SYNTHETIC, demo_world
from streamer.simulator.world import World

FIRST_NS = 1_768_557_600 * NS_PER_S
END_NS = FIRST_NS + 1_500 * NS_PER_S  # longer than the audit's own slices
SIGNAL = SignalId(SYNTHETIC, 1001)
BOUND = Bound(FIRST_NS, END_NS, 5 * NS_PER_S)


def world_with(behaviour: Behaviour) -> World:
    return demo_world(FIRST_NS, synthetic_signals=2, synthetic_hz=1.0, behaviours={SYNTHETIC: behaviour})


PROMPT = world_with(Behaviour.prompt())
LATE = world_with(Behaviour(usual_delay_ns=6 * NS_PER_S))
REVISED = world_with(Behaviour(revised_share=1.0, revised_after_ns=4 * NS_PER_S))


def final_events(world: World = PROMPT, signal: SignalId = SIGNAL) -> list[Published]:
    samples = world.samples(signal.database_id, signal.index, FIRST_NS, END_NS)
    return [Published(signal, instant_ns, 0, value) for instant_ns, value in samples]


def verdict_on(events: Iterable[Published], world: World = PROMPT, bound: Bound = BOUND) -> Verdict:
    return audit(world, events, {SIGNAL: [bound]})


def counts(verdict: Verdict) -> tuple[int, int, int]:
    return verdict.lost, verdict.doubled, verdict.wrong


def test_everything_once_is_clean() -> None:
    assert verdict_on(final_events()) == Verdict(published=1_500)
    assert verdict_on(final_events()).is_clean


def test_signals_may_be_interleaved() -> None:
    both = zip(final_events(), final_events(signal=SignalId(SYNTHETIC, 1002)), strict=True)
    events = [event for pair in both for event in pair]
    bounds = {SignalId(SYNTHETIC, index): [BOUND] for index in (1001, 1002)}
    assert audit(PROMPT, events, bounds) == Verdict(published=3_000)


@pytest.mark.parametrize("position", [0, 700, 1_499])
def test_a_sample_without_an_event_is_lost(position: int) -> None:
    events = final_events()
    del events[position]
    assert counts(verdict_on(events)) == (1, 0, 0)


def test_a_signal_without_events_is_lost_altogether() -> None:
    assert counts(verdict_on([])) == (1_500, 0, 0)


def test_a_sample_outside_of_every_bound_may_be_absent() -> None:
    bound = Bound(FIRST_NS + 10 * NS_PER_S, END_NS, 5 * NS_PER_S)
    assert verdict_on(final_events()[10:], bound=bound).is_clean
    assert not verdict_on(final_events()[11:], bound=bound).is_clean


def test_a_sample_that_arrived_after_the_bound_may_be_absent() -> None:
    assert verdict_on([], LATE).is_clean
    assert counts(verdict_on([], LATE, Bound(FIRST_NS, END_NS, 6 * NS_PER_S))) == (1_500, 0, 0)


def test_overlapping_bounds_count_a_lost_sample_once() -> None:
    assert audit(PROMPT, final_events()[1:], {SIGNAL: [BOUND, BOUND]}).lost == 1


def test_an_event_that_comes_again_is_doubled() -> None:
    events = final_events()
    assert counts(verdict_on([*events, events[3]])) == (0, 1, 0)


def test_a_gap_in_the_revisions_is_doubled() -> None:
    events = final_events()
    events.append(events[3]._replace(revision=2))
    assert counts(verdict_on(events)) == (0, 1, 0)


def test_a_sample_that_begins_with_revision_one_is_doubled() -> None:
    events = final_events()
    events[3] = events[3]._replace(revision=1)
    assert counts(verdict_on(events)) == (0, 1, 0)


@pytest.mark.parametrize("value", [None, 0.5])
def test_a_value_that_was_never_shown_is_wrong(value: float | None) -> None:
    events = final_events()
    events[3] = events[3]._replace(value=value)
    assert counts(verdict_on(events)) == (0, 0, 1)


def test_the_value_of_another_signal_is_wrong() -> None:
    events = final_events()
    events[3] = events[3]._replace(value=final_events(signal=SignalId(SYNTHETIC, 1002))[3].value)
    assert counts(verdict_on(events)) == (0, 0, 1)


@pytest.mark.parametrize("instant_ns", [0, FIRST_NS - NS_PER_S, FIRST_NS + 1])
def test_an_instant_that_the_world_does_not_have_is_wrong(instant_ns: int) -> None:
    assert counts(verdict_on([*final_events(), Published(SIGNAL, instant_ns, 0, 1.0)])) == (0, 0, 1)


def test_an_unknown_signal_is_wrong() -> None:
    assert counts(verdict_on([*final_events(), Published(SignalId(1, 7), FIRST_NS, 0, 1.0)])) == (0, 0, 1)


def revised_events() -> list[Published]:
    """First values as revision 0, final ones as revision 1."""
    final = final_events(REVISED)
    return [event._replace(value=event[3] + 1) for event in final if event[3] is not None] + [
        event._replace(revision=1) for event in final
    ]


def test_a_revision_is_clean() -> None:
    assert verdict_on(revised_events(), REVISED).is_clean


def test_a_first_value_that_nobody_saw_may_be_absent() -> None:
    assert verdict_on(final_events(REVISED), REVISED).is_clean


def test_a_last_value_that_was_outdated_at_the_bound_is_wrong() -> None:
    verdict = verdict_on(revised_events()[:1_500], REVISED)
    assert counts(verdict) == (0, 0, 1_500)


def test_a_last_value_that_was_still_shown_at_the_bound_passes() -> None:
    assert verdict_on(revised_events()[:1_500], REVISED, Bound(FIRST_NS, END_NS, 0)).is_clean


def test_a_value_that_a_revised_sample_never_showed_is_wrong() -> None:
    events = revised_events()
    events[3] = events[3]._replace(value=0.5)
    assert counts(verdict_on(events, REVISED)) == (0, 0, 1)


def test_values_in_the_wrong_order_are_wrong() -> None:
    first, final = revised_events()[:1_500], revised_events()[1_500:]
    turned = [event._replace(revision=0) for event in final] + [event._replace(revision=1) for event in first]
    assert counts(verdict_on(turned, REVISED)) == (0, 0, 1_500)


def test_examples_are_few_and_readable() -> None:
    verdict = verdict_on([])
    assert len(verdict.examples) == MOST_EXAMPLES
    assert verdict.examples[0] == f"lost: 9:1001 at {FIRST_NS} ns: {final_events()[0].value} was never published"
