"""Rules of the program taken away, one at a time: the simulation must notice each.

A mutant replaces a piece of source text that must be there exactly once; one that does not fit any more is an error, to
be mended with the code. ``seed`` is one that notices: it is tried first.
"""

from __future__ import annotations

from typing import NamedTuple


class Mutant(NamedTuple):
    """A change that must be noticed.

    Attributes:
        name: names it on the command line.
        rule: of the documentation of the design, or the fault of aiokafka, that it breaks.
        module: dotted, below ``streamer``.
        old: text of the module, to be replaced by ``new``.
        seed: of the simulation; it notices.
    """

    name: str
    rule: str
    module: str
    old: str
    new: str
    seed: int = 1


MUTANTS = (
    Mutant(
        "unaligned_start",
        "1: both bounds of a resampled query are multiples of the period",
        "planner.plan",
        "align_down(place.frontier_ns - stream.overlap_ns, stream.quantum_ns)",
        "place.frontier_ns - stream.overlap_ns",
        seed=3,
    ),
    Mutant(
        "unaligned_end",
        "1: a range that ends inside a window shows a part of it",
        "planner.plan",
        "    return align_down(now_ns - settle_ns, stream.quantum_ns)",
        "    return now_ns - settle_ns",
    ),
    Mutant(
        "optimistic_frontier",
        "1: a raw query asks a little past the service's time, the frontier never passes it",
        "ledger.coverage",
        "end_ns = min(query.window.end_ns, align_down(query.asked_at_ns, query.group.stream.quantum_ns))",
        "end_ns = query.window.end_ns",
    ),
    Mutant(
        "wall_clock_decides",
        "2: the host's wall clock never decides about data",
        "clock",
        "        return self._carried(now_ns)\n\n    def host_ahead_ns",
        "        return self._clock.wall_ns()\n\n    def host_ahead_ns",
        seed=5,
    ),
    Mutant(
        "no_revisits",
        "3: every instant is asked for once more at each age",
        "planner.plan",
        "        if end_ns - start_ns >= slice_ns:",
        "        if end_ns - start_ns >= 10**18:",
    ),
    Mutant(
        "silence_believed",
        "4b: a signal that is silent though points are due is a hole",
        "ledger.coverage",
        "    if account.silence.is_suspect(account.memory, covered.end_ns):",
        "    if False:",
        seed=4,
    ),
    Mutant(
        "last_look_believed",
        "4c: at the last look absence counts only beside a known sample",
        "ledger.coverage",
        "    if last_look.start_ns < last_look.end_ns:",
        "    if False:",
    ),
    Mutant(
        "no_witness",
        "4c: an interval is asked for again together with a known sample",
        "planner.plan",
        "    return None if stretched == window else stretched",
        "    return None",
    ),
    Mutant(
        "newest_not_kept",
        "4c, 10: the newest sample of each signal is always kept",
        "ledger.memory",
        "cut = min(bisect_left(self._instants, before_ns), len(self._instants) - 1)",
        "cut = bisect_left(self._instants, before_ns)",
    ),
    Mutant(
        "hole_at_the_frontier",
        "5: a hole starts at the lower end of the query that failed",
        "ledger.coverage",
        '        return Hole(series, covered, "absent")\n',
        "        start_ns = min(covered.start_ns + query.group.stream.overlap_ns, covered.end_ns - 1)\n"
        '        return Hole(series, Interval(start_ns, covered.end_ns), "absent")\n',
        seed=4,
    ),
    Mutant(
        "holes_dropped",
        "5: a hole is never dropped",
        "ledger.ledger",
        "                account.open_hole(uncovered)\n",
        "                pass\n",
    ),
    Mutant(
        "unreadable_rows_covered",
        "5: a row that cannot be read leaves its signal uncovered",
        "ledger.coverage",
        "    if index in answer.unreadable:",
        "    if False:",
        seed=12,
    ),
    Mutant(
        "moved_without_a_hole",
        "5: a signal that moves gets a hole from its old place on",
        "ledger.adoption",
        '            start_ns, cause = old.place.floor_ns, "moved"',
        '            start_ns, cause = made.place.frontier_ns, "moved"',
    ),
    Mutant(
        "new_without_a_hole",
        "5: a new signal gets a hole from its start on",
        "ledger.adoption",
        '            start_ns, cause = self._starts_ns[series], "new"',
        '            start_ns, cause = made.place.frontier_ns, "new"',
        seed=11,
    ),
    Mutant(
        "numbers_by_their_form",
        "6: values are compared as exact numbers: -0 = 0, 1 = 1.0",
        "ledger.memory",
        "    return one == other or (one != one and other != other)",
        "    return repr(one) == repr(other)",
    ),
    Mutant(
        "integers_through_a_float",
        "6: integers never pass through a float",
        "ledger.memory",
        "    return number if is_same(number, value) else None",
        "    return number",
    ),
    Mutant(
        "late_by_the_watermark_after",
        "6: late is what is behind the watermark before the commit",
        "ledger.ledger",
        "        watermark_ns = book.stored_frontier_ns - stream.overlap_ns",
        "        watermark_ns = moved.frontier_ns - stream.overlap_ns",
    ),
    Mutant(
        "stretched_is_diffed",
        "6: only what lies in the range that the query speaks for is diffed",
        "ledger.ledger",
        "clipped(column, query.window)",
        "column",
    ),
    Mutant(
        "revisions_not_counted_on",
        "6: the next revision follows from the one that is remembered",
        "ledger.memory",
        "revised.append((position, self._revisions.get(instant_ns, 0) + 1))",
        "revised.append((position, 1))",
    ),
    Mutant(
        "two_questions_at_once",
        "7: one question at a time about an instant of a signal",
        "planner.plan",
        "    return query.window.overlaps(other.window) and not set(query.series).isdisjoint(other.series)",
        "    return False",
    ),
    Mutant(
        "two_transactions",
        "8: one transaction holds events and ledger",
        "bus.producer",
        '                await self._send(producer, records, state)\n                failpoint("transaction.sent")\n',
        "                await self._send(producer, records, {})\n                await producer.commit_transaction()\n"
        '                failpoint("transaction.sent")\n                await producer.begin_transaction()\n'
        "                await self._send(producer, [], state)\n",
    ),
    Mutant(
        "lost_batches_unseen",
        "8, aiokafka 1: await every send, then commit",
        "bus.producer",
        "            raise result\n        if result.offset < 0:",
        "            continue\n        if result.offset < 0:",
    ),
    Mutant(
        "resent_after_doubt",
        "9, aiokafka 6: never resend",
        "bus.producer",
        '                raise OutcomeUnknown(what, "The ledger is read again and tells.") from exc\n',
        "                await self.start()\n                return await self.commit(records, state, closing)\n",
    ),
    Mutant(
        "doubt_taken_for_success",
        "9: never assume that an indefinite outcome is a commit",
        "bus.producer",
        '                raise OutcomeUnknown(what, "The ledger is read again and tells.") from exc\n',
        "                return await self.start()\n",
    ),
    Mutant(
        "no_deadline",
        "aiokafka 4: retries have no deadline; each step of the producer gets one",
        "bus.producer",
        "COMMIT_DEADLINE_S = 5.0",
        "COMMIT_DEADLINE_S = 1e9",
        seed=5,
    ),
    Mutant(
        "trimmed_too_early",
        "10: the memory holds everything from the earliest frontier of a revisit on",
        "ledger.book",
        "        lowest_ns = min(*place.revisited_ns, align_down",
        "        lowest_ns = max(*place.revisited_ns, align_down",
    ),
    Mutant(
        "holes_not_remembered",
        "10: the memory holds all of every open hole",
        "ledger.book",
        "            account.memory.forget(floor_ns, [hole.interval for hole in account.holes])",
        "            account.memory.forget(floor_ns, [])",
    ),
    Mutant(
        "holes_not_restored",
        "10: what is stored of an open hole is kept as well",
        "ledger.book",
        "        return any(hole.interval.overlaps(Interval(first_ns, last_ns + 1)) for hole in self.holes)",
        "        return False",
        seed=2,
    ),
    Mutant(
        "missed_ticks_skipped",
        "3: after an outage the query starts where the frontier is",
        "planner.plan",
        "Lane.CATCH_UP, Interval(_live_start(standing), end_ns), now_ns)",
        "Lane.CATCH_UP, Interval(max(_live_start(standing), end_ns - 10**10), end_ns), now_ns)",
    ),
    Mutant(
        "refusals_retried",
        "11: 403 is never retried unchanged",
        "source.refusals",
        "    if reply.status not in (408, 429) and reply.status < 500:",
        "    if reply.status not in (403, 408, 429) and reply.status < 500:",
    ),
    Mutant(
        "retry_after_by_the_hosts_clock",
        "Throttle: a date is read against the answer's own Date",
        "source.retry_after",
        "        wait_s = (until_ns - date_ns) / NS_PER_S",
        '        wait_s = (until_ns - __import__("time").time_ns()) / NS_PER_S',
    ),
    Mutant(
        "gate_passed_after_a_wait",
        "Throttle: one gate for all on Retry-After",
        "source.client",
        "        await self._throttle.opened()  # it may have closed while the token was minted\n",
        "",
        seed=7,
    ),
    Mutant(
        "by_the_time_of_the_answer",
        "3: what counts is when the question was asked, not when it was answered",
        "rounds",
        "desk.known_ns(self._ledger, query))\n",
        "desk.known_ns(self._ledger, query))\n"
        "        if query.lane is Lane.REVISIT:\n"
        "            from dataclasses import replace\n"
        "            query = replace(query, asked_at_ns=self._service_time.now_ns() or query.asked_at_ns)\n",
        seed=18,
    ),
    Mutant(
        "absence_of_the_known",
        "4a: a signal that is absent though samples of it are known in the range was not read",
        "ledger.coverage",
        "    if account.memory.knows_any(query.asked):",
        "    if False:",
    ),
    Mutant(
        "empty_answer_believed",
        "4d: an answer without rows, though samples are known in the range, is a failed query",
        "ledger.ledger",
        "        if not answer.columns and any(account.memory.knows_any(query.asked) for _, account in accounts):",
        "        if False:",
    ),
    Mutant(
        "early_repairs_settle",
        "5: a repair that asks before the last age closes only what a revisit will still come back to",
        "ledger.coverage",
        "    if not query.fills_holes or last_ns <= settled_ns:",
        "    if True:",
    ),
    Mutant(
        "stale_answers_applied",
        "7: a result belongs to the frontier that it was planned with",
        "ledger.ledger",
        "        return query.lane != Lane.REVISIT and query.planned_with.frontier_ns != book.place.frontier_ns",
        "        return False",
    ),
    Mutant(
        "asked_before_the_floor",
        "10: the memory is not trimmed below the start of a query in flight",
        "ledger.ledger",
        "        if query.group is not book.group or query.window.start_ns < book.place.floor_ns:",
        "        if query.group is not book.group:",
    ),
    Mutant(
        "skipped_without_a_hole",
        "5: what live_first skips after an outage is a hole",
        "ledger.ledger",
        "applied = Applied(Outcome.COVERED, opened=self._skip(book, query))",
        "applied = Applied(Outcome.COVERED)",
    ),
    Mutant(
        "skipped_from_the_frontier",
        "5: what is skipped reaches down to what revisits have not come back to",
        "ledger.coverage",
        "    return Interval(place.floor_ns, query.window.start_ns)",
        "    return Interval(place.frontier_ns, query.window.start_ns)",
    ),
    Mutant(
        "resumed_as_settled",
        "3: nothing counts as asked for at an age that it has not reached",
        "ledger.coverage",
        "max(frontier, min(start_ns, align_down(query.asked_at_ns - age, quantum_ns)))\n"
        "        for age, frontier in zip(ages_ns, place.revisited_ns, strict=True)\n    )\n    return Place(start_ns",
        "max(frontier, start_ns)\n"
        "        for age, frontier in zip(ages_ns, place.revisited_ns, strict=True)\n    )\n    return Place(start_ns",
    ),
    Mutant(
        "lost_state_begun_afresh",
        "9: only the ledger tells; without it nothing begins where events were published",
        "ownership",
        "            if generation.ledger.is_fresh:",
        "            if False:",
    ),
    Mutant(
        "rebuilt_without_holes",
        "5: what a rebuild does not know to be settled is a hole",
        "ledger.rebuild",
        "        if since_ns < frontier_ns:",
        "        if False:",
    ),
    Mutant(
        "rebuilt_without_revisions",
        "6: the next revision follows from the one that was published",
        "ledger.rebuild",
        "        self.memory.record(instants_ns, values, published.revision)",
        "        self.memory.record(instants_ns, values, 0)",
    ),
    Mutant(
        "long_answers_believed",
        "11: a longer or larger answer than any that was proved may have been cut short",
        "inquiry",
        "        if doubt is None:",
        "        if True:",
    ),
    Mutant(
        "grids_believed",
        "11: one grid coarser than the signal's means incomplete",
        "planner.proof",
        "        if span_ns > TRUSTED_NS and not self._grids_trusted_for and is_thinned(query, answer, known_ns):",
        "        if False:",
    ),
    Mutant(
        "cut_off_believed",
        "4a: what an answer leaves out at the ends of a signal that it shows was not read",
        "ledger.coverage",
        "        return _cut_off(query, column, series, account)",
        "        return None",
    ),
    Mutant(
        "aside_without_a_hole",
        "11: what is not asked for with the others is a hole",
        "ledger.ledger",
        "        for hole in left_out_by(query):",
        "        for hole in ():",
    ),
    Mutant(
        "read_before_the_fence",
        "10: first the fence, then the state",
        "ownership",
        "        writer = await self._bus.acquire(tenure.shard)\n        tenure.is_in_doubt = True\n",
        "        early = await self._bus.read_state(tenure.shard)\n"
        "        writer = await self._bus.acquire(tenure.shard)\n        tenure.is_in_doubt = True\n"
        "        async def restore():\n            return early\n"
        "        writer.restore = restore\n",
        seed=17,
    ),
    Mutant(
        "too_long_a_range",
        "API: a raw range of 30 minutes is aggregated in silence",
        "planner.chunks",
        "RAW_LIMIT_NS = 29 * 60 * NS_PER_S",
        "RAW_LIMIT_NS = 120 * 60 * NS_PER_S",
        seed=99,
    ),
    Mutant(
        "secret_in_a_message",
        "Secrets: never in an error, though the service echoes them",
        "source.refusals",
        'ascii(said.replace(secret, "***") if secret else said)',
        "ascii(said)",
    ),
)
"""All of them; ``python -m tests.simulation.gate`` tries each."""
