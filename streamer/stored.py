"""The one-shot commands on what is stored: tail, status, reshard. They ask the bus alone, and never the API."""

from __future__ import annotations

import uuid
from contextlib import aclosing

from streamer.bus.records import Record
from streamer.buses import ConfiguredBus, configured_bus
from streamer.clock import SystemClock
from streamer.config import Settings
from streamer.errors import BusUnreachable
from streamer.reshard import reshard as move_ledger
from streamer.show import print_record, print_resharded, print_status, stored_streams

DEFAULT_TAIL = 10
"""Records that ``tail`` shows when nothing else is said."""


async def status(settings: Settings, as_json: bool) -> None:
    """Print what the stored ledgers say. Raises BusUnreachable when nothing is stored yet."""
    shards = settings.bus.shards
    async with configured_bus(settings) as bus:
        states = [(shard, shards, await bus.read_state(shard)) for shard in range(shards)]
    if not any(records for _, _, records in states):
        raise BusUnreachable("No ledger is stored yet.", "`streamer run` with this configuration begins one.")
    print_status(stored_streams(states, SystemClock().wall_ns()), as_json)


async def reshard(settings: Settings, as_json: bool) -> None:
    """Move the ledger to the configured number of shards. Raises ShardTaken while a replica runs."""
    async with configured_bus(settings) as bus:
        done = await move_ledger(bus, settings.bus.shards, uuid.uuid4().hex)
    print_resharded(done, as_json)


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
    async with configured_bus(settings) as bus:
        if not (from_beginning or follow):
            for record in await _newest(bus, topic, limit or DEFAULT_TAIL):
                print_record(record, is_table)
            return
        shown = 0
        async with aclosing(bus.read(topic, last=None if from_beginning else 0, follow=follow)) as records:
            async for record in records:
                print_record(record, is_table)
                shown += 1
                if shown == limit:
                    return


async def _newest(bus: ConfiguredBus, topic: str, count: int) -> list[Record]:
    """The last records over all partitions, by their timestamps."""
    # On Kafka the marker of a transaction takes an offset as well: every other one where each has one record.
    records = [record async for record in bus.read(topic, last=2 * count, follow=False)]
    return sorted(records, key=lambda record: record.timestamp_ns)[-count:]
