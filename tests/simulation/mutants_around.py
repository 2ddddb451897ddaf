"""Mutants of what lies around planner and ledger: the bus, the source, time and ownership."""

from __future__ import annotations

from tests.simulation.mutant import Mutant

AROUND = (
    Mutant(
        "wall_clock_decides",
        "2: the host's wall clock never decides about data",
        "clock",
        "        return self._carried(now_ns)\n\n    @property",
        "        return self._clock.wall_ns()\n\n    @property",
        seed=5,
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
        seed=3,
    ),
    Mutant(
        "resent_after_doubt",
        "9, aiokafka 6: never resend",
        "bus.producer",
        "                raise self._unknown(exc) from exc\n",
        "                await self.start()\n                return await self.commit(records, state, closing)\n",
        seed=2,
    ),
    Mutant(
        "doubt_taken_for_success",
        "9: never assume that an indefinite outcome is a commit",
        "bus.producer",
        "                raise self._unknown(exc) from exc\n",
        "                return await self.start()\n",
        seed=2,
    ),
    Mutant(
        "forgotten_left_open",
        "8: what a broker has forgotten to end holds up the ledger's readers until a later writer ends it",
        "bus.producer",
        "                    await producer.end(forgotten)\n",
        "                    pass\n",
    ),
    Mutant(
        "forgotten_aborted",
        "8: what a broker has forgotten to end is ended as it had been decided",
        "bus.producer",
        "await producer.end(forgotten)",
        "await producer.end(forgotten._replace(is_commit=False))",
    ),
    Mutant(
        "no_deadline",
        "aiokafka 4: retries have no deadline; each step of the producer gets one",
        "bus.producer",
        "COMMIT_DEADLINE_S = 5.0",
        "COMMIT_DEADLINE_S = 1e9",
        seed=4369,
    ),
    Mutant(
        "refusals_retried",
        "11: 403 is never retried unchanged",
        "source.refusals",
        "    if reply.status not in (408, 429) and reply.status < 500:",
        "    if reply.status not in (403, 408, 429) and reply.status < 500:",
        seed=2,
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
        survives="the permit waits for the gate; only a token that is minted meanwhile passes it, which is rare",
    ),
    Mutant(
        "lost_state_begun_afresh",
        "9: only the ledger tells; without it nothing begins where events were published",
        "ownership",
        "            if generation.ledger.is_fresh:",
        "            if False:",
        seed=3,
    ),
    Mutant(
        "read_before_the_fence",
        "10: first the fence, then the state",
        "ownership",
        "        writer = await self._bus.acquire(tenure.shard)\n        tenure.is_in_doubt = True\n",
        "        early = await self._bus.read_state(tenure.shard)\n"
        "        await asyncio.sleep(2)\n"
        "        writer = await self._bus.acquire(tenure.shard)\n        tenure.is_in_doubt = True\n"
        "        async def restore():\n            return early\n"
        "        writer.restore = restore\n",
        seed=3,
    ),
    Mutant(
        "secret_in_a_message",
        "Secrets: never in an error, though the service echoes them",
        "source.refusals",
        'ascii(said.replace(secret, "***") if secret else said)',
        "ascii(said)",
    ),
)
