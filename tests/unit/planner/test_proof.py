"""Which answers are believed, and which have to be proved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.model import NS_PER_MS, NS_PER_S, Answer, Column, Lane, Query
from streamer.planner.proof import REFUTED_FOR, REPROVED_AFTER, TRUSTED_ROWS, Doubt, Proof, shows_all
from tests.unit.planner.makers import GRID, busy_with, group_of, place_of, seconds, standing_of

FRACTION_NS = 40 * NS_PER_MS
"""Every service in these tests has its samples off the whole seconds by this much."""


class Service:
    """One sample a period of each signal; answers may be cut to a number of rows, or thinned out past a length."""

    def __init__(self, *, cap: int | None = None, order: str = "oldest", raw: float = 1e9, period: float = 1) -> None:
        self.cap = cap
        self.order = order
        self.raw = raw
        self.period_ns = round(period * NS_PER_S)

    def answer(self, query: Query) -> Answer:
        start_ns, end_ns = query.asked
        indexes = [series.signal.index for series in query.series]
        rows = [
            (index, at_ns)
            for index in indexes
            for at_ns in range(-(-start_ns // self.period_ns) * self.period_ns, end_ns, self.period_ns)
        ]
        is_raw = end_ns - start_ns <= self.raw * NS_PER_S
        step_ns = 5 * NS_PER_S
        rows = [
            (index, at_ns + FRACTION_NS) if is_raw else (index, at_ns // step_ns * step_ns) for index, at_ns in rows
        ]
        return answer_of(self._cut(sorted(set(rows))))

    def _cut(self, rows: list[tuple[int, int]]) -> list[tuple[int, int]]:
        if self.cap is None:
            return rows
        if self.order != "signals":
            rows = sorted(rows, key=lambda row: row[1])
        return rows[-self.cap :] if self.order == "newest" else rows[: self.cap]


def answer_of(rows: Sequence[tuple[int, int]]) -> Answer:
    columns = {}
    for index in dict.fromkeys(index for index, _ in rows):
        instants = sorted(at_ns for one, at_ns in rows if one == index)
        columns[index] = Column(instants, [""] * len(instants), [1.0] * len(instants))
    return Answer(columns)


def asked(start: float, end: float, *, at: float = 10_000, lane: Lane = Lane.CATCH_UP) -> Query:
    return replace(busy_with(standing_of(place_of(end)), lane, start, end), asked_at_ns=round(at * NS_PER_S))


def believed(proof: Proof, query: Query, service: Service, known: Mapping[int, Sequence[int]] | None = None) -> bool:
    """Ask as an inquiry does; whether the answer counts."""
    answer = service.answer(query)
    doubt = proof.doubt(query, answer, known or {})
    if doubt is None:
        proof.answered()
        return True
    pieces = [(piece, service.answer(piece)) for piece in proof.pieces(query, answer, doubt)]
    if shows_all(query, answer, pieces, doubt):
        proof.proved(query, answer)
        return True
    proof.refuted(query, doubt)
    return False


def doubt_of(proof: Proof, query: Query, service: Service) -> Doubt | None:
    return proof.doubt(query, service.answer(query), {})


def test_a_short_answer_with_few_rows_is_taken_on_trust() -> None:
    assert doubt_of(Proof(), asked(0, 10), Service()) is None


def test_an_answer_longer_than_any_proved_is_doubted_until_it_is_proved() -> None:
    proof, query = Proof(), asked(0, 30)
    assert doubt_of(proof, query, Service()) is Doubt.LENGTH
    assert believed(proof, query, Service())
    assert doubt_of(proof, asked(30, 60), Service()) is None


def test_an_answer_with_more_rows_than_any_proved_is_doubted() -> None:
    proof = Proof()
    assert believed(proof, asked(0, 30), Service())
    assert doubt_of(proof, asked(30, 60), Service(period=0.5)) is Doubt.ROWS


def test_a_window_of_the_last_moments_is_taken_on_trust() -> None:
    assert doubt_of(Proof(), asked(985, 1005, at=990, lane=Lane.LIVE), Service(period=0.01)) is None


def test_a_window_of_one_quantum_is_taken_on_trust() -> None:
    query = replace(asked(0, 2), group=group_of(GRID))
    assert doubt_of(Proof(), query, Service(period=0.001)) is None


def test_the_pieces_are_the_two_ends_and_shorter_than_what_was_proved() -> None:
    proof, query = Proof(), asked(0, 60)
    windows = [piece.asked for piece in proof.pieces(query, Service().answer(query), Doubt.LENGTH)]
    assert windows == [seconds(0, 10), seconds(50, 60)]


@pytest.mark.parametrize("order", ["oldest", "newest", "signals"])
@pytest.mark.parametrize("cap", [100, 137, 150])
def test_an_answer_that_a_cap_cut_is_refuted(cap: int, order: str) -> None:
    assert not believed(Proof(), asked(0, 60), Service(cap=cap, order=order))


def test_an_answer_that_was_thinned_out_is_refuted() -> None:
    assert not believed(Proof(), asked(0, 60), Service(raw=30))


@given(st.integers(TRUSTED_ROWS, 3000), st.sampled_from(["oldest", "newest", "signals"]), st.integers(11, 1700))
def test_however_a_service_cuts_no_answer_that_it_cut_is_believed(cap: int, order: str, longest: int) -> None:
    proof, service, whole = Proof(), Service(cap=cap, order=order), Service()
    span = 10
    while span <= longest:
        query = asked(0, span)
        if believed(proof, query, service):
            assert service.answer(query) == whole.answer(query)
            span = span * 2
        else:
            span = span * 3 // 4
            if span <= cap // 3:
                return


def test_what_was_refuted_bounds_the_windows_for_a_while() -> None:
    proof = Proof()
    believed(proof, asked(0, 60), Service(raw=30))
    assert proof.longest_ns == 60 * NS_PER_S
    for _ in range(REFUTED_FOR):
        assert proof.longest_ns is not None
        proof.answered()
    assert proof.longest_ns is None


def test_a_round_number_of_rows_is_doubted_each_time() -> None:
    proof = Proof()
    assert believed(proof, asked(0, 200), Service())
    query = asked(0, 100)
    assert doubt_of(proof, query, Service()) is Doubt.CAP
    assert believed(proof, query, Service())
    assert doubt_of(proof, asked(100, 200), Service()) is Doubt.CAP


def test_the_same_number_of_rows_for_windows_that_differ_is_doubted() -> None:
    proof = Proof()
    assert believed(proof, asked(0, 301), Service())
    assert doubt_of(proof, asked(0, 77), Service()) is None
    assert doubt_of(proof, asked(0, 90), Service(cap=231)) is Doubt.CAP


def test_a_service_that_begins_to_cut_is_noticed_by_its_round_number() -> None:
    proof = Proof()
    assert believed(proof, asked(0, 101), Service())
    assert not believed(proof, asked(0, 101), Service(cap=200))
    assert doubt_of(proof, asked(0, 20), Service()) is Doubt.LENGTH


def test_long_answers_are_proved_again_now_and_then_at_one_end_in_turn() -> None:
    proof, query = Proof(), asked(0, 33)
    assert believed(proof, query, Service())
    doubts = [doubt_of(proof, query, Service()) for _ in range(REPROVED_AFTER)]
    assert doubts == [None] * (REPROVED_AFTER - 1) + [Doubt.TURN]
    ends = [proof.pieces(query, Service().answer(query), Doubt.TURN) for _ in range(2)]
    assert [[piece.asked for piece in pieces] for pieces in ends] == [[seconds(24.75, 33)], [seconds(0, 8.25)]]


def test_whole_seconds_are_doubted_of_a_signal_that_has_samples_in_between() -> None:
    proof = Proof()
    assert believed(proof, asked(0, 60), Service())
    query, known = asked(60, 120), {1: [50 * NS_PER_S + FRACTION_NS]}
    assert proof.doubt(query, Service().answer(query), known) is None
    assert proof.doubt(query, Service(raw=30).answer(query), known) is Doubt.GRID
    assert not believed(proof, query, Service(raw=30), known)


def test_a_grid_twice_as_coarse_as_the_usual_distance_is_doubted() -> None:
    proof, query = Proof(), asked(0, 60)
    assert believed(proof, query, Service())
    known = {1: [second * NS_PER_S for second in range(8)]}
    for step, doubt in ((1, None), (2, Doubt.GRID)):
        answer = answer_of([(1, second * NS_PER_S) for second in range(0, 60, step)])
        assert proof.doubt(query, answer, known) is doubt


def test_a_signal_that_became_slower_is_believed_when_a_shorter_question_shows_the_same() -> None:
    proof, query, known = Proof(), asked(0, 60), {1: [FRACTION_NS]}
    answer = answer_of([(1, 0), (1, 50 * NS_PER_S)])
    assert proof.doubt(query, answer, known) is Doubt.GRID
    newest, oldest = proof.pieces(query, answer, Doubt.GRID)
    assert (newest.asked, oldest.asked) == (seconds(50, 60), seconds(0, 10))
    for first_ns, is_whole in ((0, True), (3 * NS_PER_S, False)):  # one row of a grid may be there by chance
        pieces = [(newest, answer_of([(1, 50 * NS_PER_S)])), (oldest, answer_of([(1, first_ns)]))]
        assert shows_all(query, answer, pieces, Doubt.GRID) is is_whole


def test_a_grid_that_was_proved_once_is_doubted_again() -> None:
    proof, query, known = Proof(), asked(0, 60), {1: [FRACTION_NS]}
    answer = answer_of([(1, 0), (1, 50 * NS_PER_S)])
    assert proof.doubt(query, answer, known) is Doubt.GRID
    proof.proved(query, answer)
    assert proof.doubt(query, answer, known) is Doubt.GRID


@pytest.mark.parametrize(("shown_ns", "is_whole"), [(58 * NS_PER_S, True), (58 * NS_PER_S + FRACTION_NS, False)])
def test_a_grid_that_shows_in_what_is_young_alone_is_compared_there(shown_ns: int, is_whole: bool) -> None:
    query, answer = asked(0, 60, at=60), answer_of([(1, 58 * NS_PER_S)])
    (piece,) = Proof().pieces(query, answer, Doubt.GRID)
    assert piece.asked.start_ns <= 58 * NS_PER_S < shown_ns + 1 <= piece.asked.end_ns
    assert shows_all(query, answer, [(piece, answer_of([(1, shown_ns)]))], Doubt.GRID) is is_whole


def test_a_resampled_answer_lies_on_a_grid_of_right() -> None:
    query = replace(asked(0, 60), group=group_of(GRID))
    answer = answer_of([(1, second * NS_PER_S) for second in range(0, 60, 10)])
    assert Proof().doubt(query, answer, {1: [1]}) is Doubt.LENGTH


def test_what_arrived_in_between_refutes_nothing() -> None:
    query = asked(0, 60, at=62)
    young, old = [(1, 59 * NS_PER_S + 1)], [(1, 58 * NS_PER_S + 1)]
    piece = replace(query, stretched=seconds(45, 60))
    assert shows_all(query, answer_of([]), [(piece, answer_of(young))], Doubt.LENGTH)
    assert not shows_all(query, answer_of([]), [(piece, answer_of(old))], Doubt.LENGTH)


def test_an_answer_with_few_rows_is_compared_where_it_has_one() -> None:
    query, proof = asked(0, 60), Proof()
    answer = answer_of([(1, 30 * NS_PER_S)])
    pieces = proof.pieces(query, answer, Doubt.LENGTH)
    assert [piece.asked for piece in pieces] == [seconds(0, 10), seconds(50, 60), seconds(0, 30.001), seconds(30, 60)]
    nothing = [(piece, answer_of([])) for piece in pieces]
    assert not shows_all(query, answer, nothing, Doubt.LENGTH)


KNOWN = {index: [second * NS_PER_S + FRACTION_NS for second in range(8)] for index in (1, 2, 3)}


def test_rows_from_end_to_end_at_the_usual_distance_need_no_proof() -> None:
    proof, query = Proof(), asked(0, 600)
    assert proof.doubt(query, Service().answer(query), KNOWN) is None
    assert doubt_of(proof, asked(600, 1200), Service()) is None


@pytest.mark.parametrize("order", ["oldest", "newest", "signals"])
@pytest.mark.parametrize("cap", [137, 1000, 1799])
def test_rows_that_end_early_are_doubted_however_usual_their_distance(cap: int, order: str) -> None:
    query = asked(0, 600)
    assert Proof().doubt(query, Service(cap=cap, order=order).answer(query), KNOWN) is Doubt.LENGTH


def test_a_signal_of_which_too_little_is_known_needs_proof() -> None:
    query = asked(0, 600)
    assert Proof().doubt(query, Service().answer(query), {**KNOWN, 3: KNOWN[3][:2]}) is Doubt.LENGTH


def test_rows_at_twice_the_usual_distance_need_proof() -> None:
    query = asked(0, 600)
    assert Proof().doubt(query, Service(period=2).answer(query), KNOWN) is Doubt.LENGTH


def test_a_grid_is_compared_with_a_window_that_no_service_thins_out() -> None:
    proof = Proof()
    assert believed(proof, asked(0, 800), Service())
    assert not believed(proof, asked(800, 1600), Service(raw=30), KNOWN)


def test_an_even_answer_up_to_now_proves_nothing_because_its_end_may_be_cut_unseen() -> None:
    proof, service = Proof(), Service(cap=180)
    live = asked(0, 62, at=61, lane=Lane.LIVE)
    assert proof.doubt(live, service.answer(live), KNOWN) is None
    assert doubt_of(proof, asked(0, 50), service) is Doubt.LENGTH


def test_an_answer_without_rows_is_taken_on_trust_and_proves_nothing() -> None:
    proof = Proof()
    assert proof.doubt(asked(0, 60), answer_of([]), {}) is None
    assert doubt_of(proof, asked(60, 110), Service()) is Doubt.LENGTH


def test_a_piece_that_leaves_out_what_the_answer_shows_there_proves_nothing() -> None:
    query = asked(0, 600)
    answer = Service().answer(query)
    pieces = [(piece, answer_of([])) for piece in Proof().pieces(query, answer, Doubt.LENGTH)]
    assert not shows_all(query, answer, pieces, Doubt.LENGTH)


def test_a_beginning_of_which_an_answer_shows_nothing_is_asked_for_up_to_its_first_row() -> None:
    query, proof = asked(0, 240), Proof()
    answer = answer_of([(1, at * NS_PER_S) for at in range(103, 240)])
    beginning, end, head = proof.pieces(query, answer, Doubt.LENGTH)
    assert (beginning.asked, end.asked, head.asked) == (seconds(0, 10), seconds(230, 240), seconds(0, 103.001))
    shown, nothing = answer_of([(1, at * NS_PER_S) for at in range(230, 240)]), answer_of([])
    for first, is_whole in ((nothing, False), (answer_of([(1, 103 * NS_PER_S)]), True)):
        assert shows_all(query, answer, [(beginning, nothing), (end, shown), (head, first)], Doubt.LENGTH) is is_whole


def test_an_end_of_which_an_answer_shows_nothing_is_asked_for_from_its_last_row_on() -> None:
    query, proof = asked(0, 240), Proof()
    answer = answer_of([(1, at * NS_PER_S) for at in range(137)])
    beginning, end, tail = proof.pieces(query, answer, Doubt.LENGTH)
    assert (beginning.asked, end.asked, tail.asked) == (seconds(0, 10), seconds(230, 240), seconds(136, 240))
    shown, nothing = answer_of([(1, at * NS_PER_S) for at in range(10)]), answer_of([])
    for last, is_whole in ((nothing, False), (answer_of([(1, 136 * NS_PER_S)]), True)):
        assert shows_all(query, answer, [(beginning, shown), (end, nothing), (tail, last)], Doubt.LENGTH) is is_whole


def test_an_answer_with_rows_in_its_end_is_proved_by_its_two_ends() -> None:
    answer = answer_of([(1, at * NS_PER_S) for at in range(240)])
    pieces = Proof().pieces(asked(0, 240), answer, Doubt.LENGTH)
    assert [piece.asked for piece in pieces] == [seconds(0, 10), seconds(230, 240)]
