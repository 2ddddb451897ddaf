"""What happened lately, slot by slot, in bounded memory."""

from __future__ import annotations

from streamer.history import SLOT_NS, SLOTS, History, Track
from streamer.ledger.ledger import Applied, Outcome
from streamer.model import NS_PER_S, Run
from tests.support.watched import NOW_NS, group_of

GROUP = group_of("turbines", 1)
SLOT = NOW_NS // SLOT_NS


def run(*ages_s: float, revision: int = 0, is_late: bool = False) -> Run:
    """Samples of these ages, the oldest first."""
    instants = [NOW_NS - int(age_s * NS_PER_S) for age_s in sorted(ages_s, reverse=True)]
    return Run(GROUP.series[0], revision, is_late, instants, [""] * len(instants), [1.0] * len(instants))


def committed(history: History, *runs: Run) -> Track:
    history.committed("turbines", Applied(Outcome.COVERED, runs=list(runs)))
    return history.track("turbines")


def test_samples_are_counted_in_the_slot_that_they_belong_to() -> None:
    track = committed(History(), run(1, 2, 12, 31), run(15, is_late=True), run(25, revision=2))
    counts = track.counts(SLOT - 4, 5)
    assert list(counts.published) == [1, 0, 1, 2, 0]
    assert list(counts.late) == [0, 0, 1, 0, 0]
    assert list(counts.revised) == [0, 1, 0, 0, 0]
    assert (track.published, track.late, track.revised) == (5, 1, 1)


def test_what_is_older_than_the_ring_counts_in_the_totals_only() -> None:
    track = committed(History(), run(1))
    committed_again = run(SLOTS * SLOT_NS / NS_PER_S + 20)
    track.add(committed_again.instants_ns, is_late=False, is_revision=False)
    assert track.published == 2
    assert sum(track.counts(SLOT - 2 * SLOTS, 2 * SLOTS + 1).published) == 1


def test_a_slot_that_is_used_again_forgets_what_was_in_it() -> None:
    track = committed(History(), run(1))
    track.add([NOW_NS + SLOTS * SLOT_NS], is_late=False, is_revision=False)
    assert list(track.counts(SLOT + SLOTS - 1, 2).published) == [0, 1]
    assert sum(track.counts(SLOT - 1, 2).published) == 0


def test_a_leap_of_days_costs_one_ring_and_leaves_nothing_behind() -> None:
    track = committed(History(), run(1))
    track.add([NOW_NS + 100 * SLOTS * SLOT_NS], is_late=False, is_revision=False)
    assert sum(track.counts(SLOT + 99 * SLOTS, SLOTS + 1).published) == 1


def test_a_stream_begins_with_its_group_that_is_furthest_behind() -> None:
    history = History()
    for frontier_ns in (20, 10, 30):
        history.began("turbines", frontier_ns)
    assert history.track("turbines").began_ns == 10
