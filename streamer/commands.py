"""The one-shot commands: check, tail, status, signals. Each opens what it needs, prints, and closes."""

from __future__ import annotations

from contextlib import aclosing

from streamer.bus.records import Record
from streamer.check import Check
from streamer.config import Settings
from streamer.errors import BusUnreachable
from streamer.roster import call_roll
from streamer.show import print_findings, print_record, print_signals, print_status, stored_streams
from streamer.wiring import Parts, assembled

DEFAULT_TAIL = 10
"""Records that ``tail`` shows when nothing else is said."""


async def check(settings: Settings, as_json: bool) -> int:
    """Try everything once and print what was found; the exit code is that of the first thing that is wrong."""
    async with assembled(settings) as parts:
        findings = await Check(
            settings, api=parts.api, bus=parts.bus, service_time=parts.service_time, clock=parts.clock
        ).run()
    print_findings(findings, as_json)
    return next((finding.exit_code for finding in findings if finding.exit_code), 0)


async def signals(settings: Settings, as_json: bool) -> None:
    """Print the catalogue, with the stream that each signal is in."""
    async with assembled(settings) as parts:
        catalogue = await parts.api.measurements()
    print_signals(catalogue, call_roll(settings, catalogue), as_json)


async def status(settings: Settings, as_json: bool) -> None:
    """Print what the stored ledgers say. Raises BusUnreachable when nothing is stored yet."""
    shards = settings.bus.shards
    async with assembled(settings) as parts:
        states = [(shard, shards, await parts.bus.read_state(shard)) for shard in range(shards)]
    if not any(records for _, _, records in states):
        raise BusUnreachable("No ledger is stored yet.", "`streamer run` with this configuration begins one.")
    print_status(stored_streams(states, parts.clock.wall_ns()), as_json)


async def tail(
    settings: Settings, topic: str, *, from_beginning: bool, follow: bool, limit: int | None, is_table: bool
) -> None:
    """Print committed records.

    Args:
        settings: of the bus.
        topic: logical name.
        from_beginning: begin with the oldest; else with the next one when following, or near the end.
        follow: wait for more until interrupted.
        limit: end after so many records; without it, the last ten are shown where nothing else is said.
        is_table: for people, not JSON.
    """
    async with assembled(settings) as parts:
        if not (from_beginning or follow):
            for record in await _newest(parts, topic, limit or DEFAULT_TAIL):
                print_record(record, is_table)
            return
        shown = 0
        async with aclosing(parts.bus.read(topic, last=None if from_beginning else 0, follow=follow)) as records:
            async for record in records:
                print_record(record, is_table)
                shown += 1
                if shown == limit:
                    return


async def _newest(parts: Parts, topic: str, count: int) -> list[Record]:
    """The last records over all partitions, by their timestamps."""
    # On Kafka the marker of a transaction takes an offset as well: every other one where each has one record.
    records = [record async for record in parts.bus.read(topic, last=2 * count, follow=False)]
    return sorted(records, key=lambda record: record.timestamp_ns)[-count:]
