"""What one question to the source takes: known samples beside it, proofs, and a second look before it is refuted."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace

import pytest

from streamer.clock import SystemClock
from streamer.errors import INCOMPLETE, QueryFailed, SourceUnreachable
from streamer.inquiry import Inquiry
from streamer.metrics import Metrics
from streamer.model import NS_PER_S, Answer, Column, Interval, Lane, Query
from streamer.planner.proof import Proof
from tests.unit.planner.makers import busy_with, group_of, place_of, seconds, standing_of

Seconds = Mapping[int, Collection[int]]
"""By index, the seconds of which an answer shows a sample."""


class Service:
    """Answers with the samples that are there when it is asked for the n-th time; notes what it was asked."""

    def __init__(self, there: Callable[[int], Seconds]) -> None:
        self._there = there
        self.asked: list[Interval] = []

    async def query(self, query: Query) -> Answer:
        self.asked.append(query.asked)
        columns = {}
        for index, there in self._there(len(self.asked)).items():
            instants = [at * NS_PER_S + 1 for at in sorted(there) if seconds(at, at + 1).overlaps(query.asked)]
            if instants:
                columns[index] = Column(instants, [""] * len(instants), [1.0] * len(instants))
        return Answer(columns)


async def answer(service: Service, query: Query, metrics: Metrics | None = None) -> Answer:
    return await Inquiry(service, SystemClock(), metrics or Metrics()).answer(query, Proof(), {})


def query_of(start: float, end: float, *, apart: Sequence[Interval] = (), at: float = 10_000) -> Query:
    group = group_of()
    query = busy_with(standing_of(place_of(end), group=group), Lane.REPAIR, start, end)
    return replace(query, asked_at_ns=round(at * NS_PER_S), apart=tuple(apart))


async def test_known_samples_that_are_apart_are_asked_for_first_and_the_answer_says_which_were_shown() -> None:
    service = Service(lambda time: {1: [100], 2: [101], 3: [505]})
    shown = await answer(service, query_of(500, 510, apart=[seconds(100, 101), seconds(101, 102), seconds(70, 71)]))
    assert service.asked == [seconds(100, 101), seconds(101, 102), seconds(70, 71), seconds(500, 510)]
    assert (set(shown.read), set(shown.columns)) == ({1, 2}, {3})


async def test_a_question_for_a_known_sample_that_fails_fails_the_whole() -> None:
    class Away(Service):
        async def query(self, query: Query) -> Answer:
            raise SourceUnreachable("away")

    with pytest.raises(SourceUnreachable):
        await answer(Away(lambda time: {}), query_of(500, 510, apart=[seconds(100, 101)]))


async def test_samples_that_come_between_an_answer_and_its_proof_do_not_refute_it() -> None:
    late = [455, 465, 475, 485, 495]
    whole = [at for at in range(500) if at not in late]
    service = Service(lambda time: {index: whole if time == 1 else range(500) for index in (1, 2, 3)})
    metrics = Metrics()
    shown = await answer(service, query_of(400, 500), metrics)
    assert len(shown.columns[1].instants_ns) == 100
    assert service.asked[0] == service.asked[-1] == seconds(400, 500)
    assert (
        metrics.registry.get_sample_value("streamer_proofs_total", {"doubt": "length", "outcome": "proved"})
        == len(service.asked) - 1
    )


async def test_an_answer_that_is_cut_again_is_refuted() -> None:
    def there(time: int) -> Seconds:
        is_whole = service.asked[-1] != seconds(400, 500)
        return {index: range(500) if is_whole else range(480) for index in (1, 2, 3)}

    service = Service(there)
    with pytest.raises(QueryFailed) as refused:
        await answer(service, query_of(400, 500))
    assert refused.value.kind == INCOMPLETE
    assert service.asked.count(seconds(400, 500)) == 2


async def test_a_second_answer_that_lacks_what_the_first_has_is_refuted() -> None:
    def there(time: int) -> Seconds:
        is_second = service.asked.count(seconds(400, 500)) == 2
        if is_second:
            return {index: [at for at in range(500) if not 440 < at < 450] for index in (1, 2, 3)}
        return {index: range(499) if time == 1 else range(500) for index in (1, 2, 3)}

    service = Service(there)
    with pytest.raises(QueryFailed):
        await answer(service, query_of(400, 500))
