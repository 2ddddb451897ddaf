"""One question to the source, with what it takes to believe the answer (rule 11).

An answer of which there is a doubt is held while shorter questions prove or refute it. A refuted answer counts as a
failed query: nothing of it is covered or published.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from streamer.clock import Clock
from streamer.errors import INCOMPLETE, QueryFailed
from streamer.metrics import Metrics
from streamer.model import NS_PER_S, Answer, Query
from streamer.pipeline import Source
from streamer.planner.proof import Doubt, Proof, shows_all


class Inquiry:
    """Asks the source, for all groups of a process.

    Attributes:
        answered_ns: when a question was answered last, on the monotonic clock.
    """

    def __init__(self, source: Source, clock: Clock, metrics: Metrics) -> None:
        self._source = source
        self._clock = clock
        self._metrics = metrics
        self.answered_ns = 0

    async def answer(self, query: Query, proof: Proof, known_ns: Mapping[int, Sequence[int]]) -> Answer:
        """The answer to a query, proved to be whole where that is in doubt.

        Args:
            query: what is asked.
            proof: what was proved for the query's group.
            known_ns: by index, the newest instants that are known of a signal.

        Raises:
            QueryFailed: shorter questions showed what the answer lacks (kind ``incomplete``): ask for less.
            SourceError: there is no answer, or none of the questions that would prove it.
        """
        read = frozenset[int]()
        for around in query.apart:
            read |= (await self._asked(replace(query, stretched=around))).columns.keys()
        answer = await self._asked(query, read)
        doubt = proof.doubt(query, answer, known_ns)
        if doubt is None:
            proof.answered()
            return answer
        pieces = [(piece, await self._asked(piece)) for piece in proof.pieces(query, answer, doubt)]
        questions, is_whole = len(pieces), shows_all(query, answer, pieces, doubt)
        if not is_whole:  # samples that came in between look like that: then the whole question shows them now
            first, answer = answer, await self._asked(query, read)
            questions, is_whole = questions + 1, shows_all(query, answer, [*pieces, (query, first)], doubt)
        self._metrics.proofs.labels(doubt.value, "proved" if is_whole else "refuted").inc(questions)
        if not is_whole:
            proof.refuted(query, doubt)
            raise _refutation(query, doubt)
        proof.proved(query, answer)
        return answer

    async def _asked(self, query: Query, read: frozenset[int] = frozenset()) -> Answer:
        answer = await self._source.query(query)
        self.answered_ns = self._clock.monotonic_ns()
        return replace(answer, read=read) if read else answer


def _refutation(query: Query, doubt: Doubt) -> QueryFailed:
    span_s = (query.asked.end_ns - query.asked.start_ns) / NS_PER_S
    how = "thinned out to a grid" if doubt is Doubt.GRID else "cut short"
    return QueryFailed(
        f"The answer for {span_s:g} s lacks samples that shorter questions show: it was {how}.",
        "Nothing to do: shorter windows are asked for. Tell whoever runs the service about its limit.",
        kind=INCOMPLETE,
    )
