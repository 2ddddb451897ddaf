"""Where one group is worked on: how it stands for the planner, and what follows for it from answers and failures.

The rounds ask; a desk only keeps what is learned in between, for one generation.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence

from streamer.errors import CredentialRefused, QueryRefused, SourceError, SourceUnreachable
from streamer.ledger.ledger import Ledger, Outcome
from streamer.model import NS_PER_S, Answer, Group, Lane, Query, Series, align_down
from streamer.planner.chunks import RAW_LIMIT_NS, Chunk, Reach
from streamer.planner.failures import NARROWABLE
from streamer.planner.pace import Pace
from streamer.planner.plan import Standing
from streamer.planner.proof import Proof
from streamer.planner.quarantine import Quarantine

HELD_AFTER_FAILURE_NS = NS_PER_S
"""A group that failed is not asked again sooner; the source has already retried and backed off by itself."""


class Desk:
    """The desk of one group: its pace, its chunk, its proofs, its bad series, and what is being asked."""

    def __init__(self, group: Group, pace: Pace, quarantine: Quarantine) -> None:
        self.group = group
        self.pace = pace
        self.quarantine = quarantine
        self.proof = Proof()
        self.chunk = Chunk.first(group)
        self.reach = Reach()
        self.busy: list[Query] = []
        self.held_until_ns = 0
        self.woken = asyncio.Event()

    def standing(self, ledger: Ledger, now_ns: int, *, may_advance: bool = True) -> Standing:
        """How the group stands for the planner."""
        place, quarantine = ledger.place(self.group.id), self.quarantine
        ready = self.pace.ready(ledger.holes(self.group.id), now_ns)
        longest_ns = self._longest_ns()
        chunk_ns = min(self.chunk.span_ns, longest_ns)
        behind_ns = place.frontier_ns - self.group.stream.overlap_ns
        holes, is_newest_first = quarantine.repairable(ready, behind_ns, now_ns)
        return Standing(
            self.group,
            place,
            holes,
            tuple(self.busy),
            chunk_ns,
            witness=lambda series, interval: ledger.witness(self.group.id, series, interval),
            reach_ns=max(chunk_ns, min(longest_ns, self.reach.span_ns)),
            is_doubted=lambda series: ledger.is_doubted(self.group.id, series),
            together={lane: quarantine.together(lane) for lane in (Lane.LIVE, Lane.REVISIT, Lane.CATCH_UP)},
            quarantined=quarantine.quarantined,
            is_newest_first=is_newest_first,
            may_advance=may_advance,
        )

    def known_ns(self, ledger: Ledger, query: Query) -> Mapping[int, Sequence[int]]:
        """By index, the newest instants that are known of what is asked for."""
        return {series.signal.index: ledger.newest(self.group.id, series) for series in query.series}

    def begin(self, query: Query, now_ns: int) -> None:
        """A question is being asked."""
        self.busy.append(query)
        self.quarantine.begun(query)
        if query.lane in (Lane.LIVE, Lane.CATCH_UP):
            self.pace.polled(now_ns)

    def failed(self, query: Query, error: SourceError, answered_ns: int, now_ns: int) -> None:
        """A question had no usable answer; ``answered_ns`` says when any other had one last."""
        is_least = self.chunk.is_least(self.group)
        if error.kind in NARROWABLE:
            self._narrow(query.asked.end_ns - query.asked.start_ns, is_stretched=query.stretched is not None)
        is_divided = self.quarantine.failed(
            query, error.kind, is_least=is_least, answered_ns=answered_ns, now_ns=now_ns
        )
        if is_divided and query.fills_holes:
            return
        self.held_until_ns = now_ns + HELD_AFTER_FAILURE_NS
        if is_divided:
            return
        if query.fills_holes and not isinstance(error, SourceUnreachable):
            self.pace.unrepaired(query.series, now_ns)
        if isinstance(error, CredentialRefused | QueryRefused):
            self.pace.refused(now_ns)
            self.held_until_ns = self.pace.due_ns

    def answered(
        self, query: Query, answer: Answer, outcome: Outcome, unrepaired: Collection[Series], now_ns: int
    ) -> None:
        """A question was answered and committed; ``unrepaired``: of which series a hole is left there."""
        self.pace.answered()
        if outcome is Outcome.COVERED:
            rows = sum(len(column.instants_ns) for column in answer.columns.values())
            self.chunk = self.chunk.answered(self.group, query.asked.end_ns - query.asked.start_ns, rows)
            self.reach = self.reach.answered()
            self.quarantine.answered(query)
        elif outcome is Outcome.EMPTY:
            self.held_until_ns = now_ns + HELD_AFTER_FAILURE_NS
        if query.fills_holes:
            self.pace.repaired(series for series in query.series if series not in unrepaired)
            self.pace.unrepaired(unrepaired, now_ns)

    def _narrow(self, asked_ns: int, *, is_stretched: bool) -> None:
        if is_stretched and asked_ns > self.chunk.span_ns:
            self.reach = self.reach.failed(asked_ns)
        else:
            self.chunk = self.chunk.failed(self.group, asked_ns)

    def _longest_ns(self) -> int:
        """How long a window may be that is likely to be answered whole: well below what was refuted."""
        longest_ns, quantum_ns = self.proof.longest_ns, self.group.stream.quantum_ns
        if longest_ns is None:
            return self.chunk.span_ns + RAW_LIMIT_NS
        return max(align_down(longest_ns * 3 // 4, quantum_ns), quantum_ns)
