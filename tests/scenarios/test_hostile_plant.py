"""The whole daemon on a plant whose answers hold what nobody should write: it costs the one signal, and nobody else."""

from __future__ import annotations

import asyncio
import json
from random import Random

import pytest

from streamer.bus.events import EventEncoder
from streamer.bus.records import Record
from streamer.daemon import Daemon
from streamer.model import NS_PER_S, Answer, Query, Run, Series, Signal, SignalId
from streamer.roster import Roster
from streamer.show import print_record, print_signals
from streamer.source.catalogue_wire import decode_catalogue
from streamer.source.wire import decode_answer
from tests.scenarios.conftest import Site
from tests.support.memory_bus import MemoryBus
from tests.support.plant import DATABASE, Plant
from tests.support.virtual_time import run_virtually

BAD = 7
SIGNALS = 20
ROW = b'{"index":7,"timestamp":"2026-01-16T10:00:00Z","value":%s}'
BAD_ROWS = {
    "text": ROW % b'"many"',
    "infinite": ROW % b"Infinity",
    "past the doubles": ROW % b"1e400",
    "5000 digits": ROW % (b"9" * 5_000),
    "broken": ROW % b"tru",
    "deep": b'{"index":7,"x":' + b"[" * 20_000 + b"]" * 20_000 + b"}",
    "a thousand keys": b'{"index":7,' + b",".join(b'"k%d":0' % number for number in range(1_000)) + b"}",
    "no instant": b'{"index":7,"timestamp":"yesterday","value":1}',
    "not unicode": b'{"index":7,"timestamp":"\xff","value":1}',
    "half a pair": b'{"index":7,"timestamp":"\\ud800","value":1}',
}


class WrittenPlant:
    """The plant's answers as bytes, with one row more in each: what nobody can read, of one signal."""

    def __init__(self, plant: Plant, bad_row: bytes) -> None:
        self._plant = plant
        self._bad_row = bad_row

    async def measurements(self) -> list[Signal]:
        return await self._plant.measurements()

    async def query(self, query: Query) -> Answer:
        answer = await self._plant.query(query)
        rows = [self._bad_row] if any(series.signal.index == BAD for series in query.series) else []
        for index, column in answer.columns.items():
            if index != BAD:
                shown = zip(column.texts, column.values, strict=True)
                rows += [json.dumps({"index": index, "timestamp": at, "value": value}).encode() for at, value in shown]
        return decode_answer(b"[" + b",".join(rows) + b"]", query, answer.received_wall_ns)


@pytest.mark.parametrize("name", BAD_ROWS)
def test_a_series_that_nobody_can_read_does_not_lose_the_other_nineteen(name: str) -> None:
    async def main() -> None:
        site = Site(bus=MemoryBus(partitions=1), stream={"group_size": 20}, shards=1)
        site.plant.signals = SIGNALS
        daemon = Daemon(
            site.settings(),
            api=WrittenPlant(site.plant, BAD_ROWS[name]),
            bus=site.bus,
            service_time=site.service_time,
            clock=site.clock,
            metrics=site.metrics,
            random=Random(1),
        )
        running = asyncio.create_task(daemon.run())
        await asyncio.sleep(300)
        [generation] = daemon.ownership.generations.values()
        holes = [hole for group in generation.groups for hole in generation.ledger.holes(group.id)]
        daemon.stop()
        await running
        assert {hole.series.signal.index for hole in holes} == {BAD}
        published = {event.index for event in site.events()}
        assert published == set(range(1, SIGNALS + 1)) - {BAD}
        newest = max(at for records in site.bus.records for at in records.timestamps_ns)
        assert site.clock.service_ns() - newest < 5 * NS_PER_S
        assert not [fault for fault in site.faults(site.settled_ns()) if not fault.startswith(f"{BAD}:")]

    run_virtually(main())


NAMES = ["a\nb", "a\r\nb", "\x1b[2J", "a\u202eb", "a\x00b", "a\u2028b", '"},{"x":"', "[red]a[/red]", "\x9b31m"]


@pytest.mark.parametrize("name", NAMES, ids=ascii)
@pytest.mark.parametrize("is_table", [False, True])
def test_a_name_that_means_harm_is_published_as_it_is_and_shown_as_one_line(
    name: str, is_table: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    entry = {"databaseId": DATABASE, "index": 1, "tag": name, "name": name, "unitSymbol": name, "description": name}
    [signal] = decode_catalogue(json.dumps([entry]).encode())
    series = Series(SignalId(DATABASE, 1))
    run = Run(series, 0, False, [0], ["1970-01-01T00:00:00Z"], [1.0])
    records = EventEncoder(signal, series, "all", 0, False).encode(run, "1970-01-01T00:00:00.000Z")
    [value] = records.values
    assert json.loads(value)["tag"] == json.loads(value)["unit"] == name
    record = Record("samples", 0, 0, records.key.decode(), {}, value, 0)
    print_record(record, is_table)
    shown = capfd.readouterr().out
    assert shown.count("\n") == 1
    assert shown[:-1].isprintable() or not is_table
    assert "\x1b" not in shown
    print_signals([signal], Roster(), as_json=not is_table)
    listed = capfd.readouterr().out
    assert all(line.isprintable() for line in listed.split("\n")) or not is_table
    assert "\x1b" not in listed
