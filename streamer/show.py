"""What ``tail``, ``status`` and ``signals`` print: records, ledgers and the catalogue, for people and for programs."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import msgspec
import orjson
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from streamer.bus.records import Record
from streamer.check import Finding
from streamer.ledger.codec import HEAD, PLACE_PREFIX, PlaceRecord, decode_place, verify
from streamer.model import NS_PER_S, Signal, instant_text
from streamer.rebuild import Rebuilt
from streamer.redaction import safe_text
from streamer.reshard import Resharded
from streamer.roster import Roster

WIDTH_OF_FILES = 160

_Event = Mapping[str, Any]


def print_json(value: object) -> None:
    """One value on one line of stdout."""
    sys.stdout.buffer.write(orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE))
    sys.stdout.buffer.flush()


def print_record(record: Record, is_table: bool) -> None:
    """A record: one line of JSON, or columns for people."""
    if is_table:
        _print_row(record)
    else:
        _print_line(record)


def _print_line(record: Record) -> None:
    # The value is JSON already: it goes through untouched, so that integers keep all their digits.
    about = orjson.dumps(
        {
            "topic": record.topic,
            "partition": record.partition,
            "offset": record.offset,
            "key": record.key,
            "headers": dict(record.headers),
        }
    )
    sys.stdout.buffer.write(about[:-1] + b',"value":' + (record.value or b"null") + b"}\n")
    sys.stdout.buffer.flush()


def _print_row(record: Record) -> None:
    event = msgspec.json.decode(record.value) or {}  # not orjson: integers keep all their digits
    text = _ROWS[record.topic](event, record.key or "")
    print(safe_text(text.rstrip()), flush=True)  # noqa: T201  # a result


def _sample_row(event: _Event, key: str) -> str:
    unit = event.get("unit") or ""
    marks = f"rev {event['revision']}" if event.get("revision") else ("late" if event.get("late") else "")
    name = event.get("tag") or key
    return f"{event.get('timestamp', ''):<28} {name!s:<28} {_number(event.get('value')):>22} {unit:<10} {marks}"


def _completeness_row(event: _Event, key: str) -> str:
    reach = f"complete to {event.get('watermark', ''):<28} settled to {event.get('settled', ''):<28}"
    return f"{key:<28} {reach} {len(event.get('holes', ())):>5} holes"


def _gap_row(event: _Event, key: str) -> str:
    interval = f"{event.get('start', ''):<28} {event.get('end', ''):<28}"
    return f"{event.get('at', ''):<28} {event.get('event', ''):<12} {key:<16} {interval} {event.get('cause', '')}"


def _signal_row(event: _Event, key: str) -> str:
    if not event:
        return f"{key:<16} gone"
    streams = ", ".join(dict.fromkeys(str(one["stream"]) for one in event.get("series", ())))
    tag, unit, name = (event.get(field) or "" for field in ("tag", "unit", "name"))
    return f"{key:<16} {tag:<28} {unit:<10} {streams:<28} {name}"


_ROWS = {"samples": _sample_row, "completeness": _completeness_row, "gaps": _gap_row, "signals": _signal_row}


@dataclass(slots=True)
class StoredStream:
    """A stream as its stored ledgers say.

    Attributes:
        frontier: of the group that is furthest behind, ISO 8601.
        lag_s: how far that is behind the host's clock, for orientation only.
    """

    stream: str
    series: int
    groups: int
    frontier: str
    settled: str
    lag_s: float
    holes: int
    hole_s: float


def stored_streams(states: Iterable[tuple[int, int, Mapping[bytes, bytes]]], wall_ns: int) -> list[StoredStream]:
    """One summary a stream of the stored ledgers, given as ``(shard, shards, state records)``.

    Raises:
        LedgerUntrusted: a stored ledger cannot be believed; names the key.
    """
    places: dict[str, list[PlaceRecord]] = {}
    for shard, shards, records in states:
        verify(records, shard=shard, shards=shards)
        for key, value in records.items():
            if key != HEAD and key.startswith(PLACE_PREFIX):
                place = decode_place(key, value)
                places.setdefault(place.stream, []).append(place)
    result = []
    for stream, parts in sorted(places.items()):
        frontier_ns = min(place.frontier for place in parts)
        settled_ns = min(min(frontier for _, frontier in place.revisited) for place in parts)
        holes = [hole for place in parts for hole in place.holes]
        result.append(
            StoredStream(
                stream=stream,
                series=sum(len(place.series) for place in parts),
                groups=len(parts),
                frontier=instant_text(frontier_ns),
                settled=instant_text(settled_ns),
                lag_s=round((wall_ns - frontier_ns) / NS_PER_S, 3),
                holes=len(holes),
                hole_s=round(sum(end - start for _, start, end, _ in holes) / NS_PER_S, 3),
            )
        )
    return result


def print_status(streams: Sequence[StoredStream], as_json: bool) -> None:
    """The stored ledgers."""
    if as_json:
        print_json([asdict(stream) for stream in streams])
        return
    table = Table(title="Ledger (instants in UTC)", box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("stream", "series", "frontier", "settled", "lag", "holes"):
        table.add_column(heading, no_wrap=True)
    for one in streams:
        holes = f"{one.holes} ({one.hole_s:g} s)" if one.holes else "0"
        frontier, settled = (_whole_seconds(text) for text in (one.frontier, one.settled))
        table.add_row(_cell(one.stream), str(one.series), frontier, settled, f"{one.lag_s:.1f} s", holes)
    _console().print(table)


def print_rebuilt(streams: Sequence[Rebuilt], as_json: bool) -> None:
    """The ledgers that were made anew."""
    if as_json:
        print_json([asdict(stream) for stream in streams])
        return
    table = Table(title="Rebuilt (instants in UTC)", box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("stream", "series", "samples", "asked for again since", "frontier", "holes"):
        table.add_column(heading, no_wrap=True)
    for one in streams:
        since, frontier = (_whole_seconds(text or "") for text in (one.since, one.frontier))
        series = f"{one.series} (and {one.parked} parked)" if one.parked else str(one.series)
        table.add_row(_cell(one.stream), series, f"{one.samples:,}", since, frontier, str(one.holes))
    _console().print(table)


def print_resharded(done: Resharded, as_json: bool) -> None:
    """What became of the ledger's shape, in a sentence."""
    if as_json:
        print_json(asdict(done))
        return
    after = f"{done.after.shards} shards and {done.after.partitions} partitions"
    if done.before is None:
        text = f"No ledger is stored yet; everything is ready for {after}."
    elif done.before == done.after:
        text = f"The ledger has {after} already; nothing was changed."
    else:
        before = f"{done.before.shards} shards and {done.before.partitions} partitions"
        text = f"Moved the ledger of {done.series} series from {before} to {after}; {done.moved} changed their shard."
    _console().print(text, soft_wrap=True)


def print_signals(signals: Sequence[Signal], roster: Roster, as_json: bool) -> None:
    """The catalogue, with the stream that each signal belongs to."""
    streams = {member.signal.id: member.stream.name for member in roster.members}
    if as_json:
        for signal in signals:
            print_json(
                {
                    "database_id": signal.id.database_id,
                    "index": signal.id.index,
                    "tag": signal.tag,
                    "name": signal.name,
                    "unit": signal.unit,
                    "default_aggregation": signal.default_aggregation,
                    "stream": streams.get(signal.id),
                }
            )
        return
    table = Table(
        "database",
        "index",
        "tag",
        "name",
        "unit",
        "default",
        "stream",
        title=f"{len(signals)} signals",
        box=box.SIMPLE_HEAD,
    )
    for signal in signals:
        texts = (signal.tag, signal.name, signal.unit, signal.default_aggregation, streams.get(signal.id))
        cells = (_cell(text) for text in texts)
        table.add_row(str(signal.id.database_id), str(signal.id.index), *cells)
    _console().print(table)


def print_findings(findings: Sequence[Finding], as_json: bool) -> None:
    """The result of ``check``."""
    if as_json:
        print_json([asdict(finding) for finding in findings])
        return
    table = Table("", "check", "found, and what to do", box=box.SIMPLE_HEAD)
    for finding in findings:
        mark = "[red]✘[/]" if finding.exit_code else "[green]✔[/]"
        found = _cell(finding.detail)
        if finding.remedy:
            found.append(f"\n→ {safe_text(finding.remedy)}", style="bold")
        table.add_row(mark, _cell(finding.subject), found)
    _console().print(table)


class _PipeConsole(Console):
    """Lets the command line deal with a reader that has gone; rich would exit with 1."""

    def on_broken_pipe(self) -> None:
        raise  # rich calls this where it handles the error


def _console() -> Console:
    """Wide enough for every column where nobody looks at a terminal."""
    return _PipeConsole(highlight=False, width=None if sys.stdout.isatty() else WIDTH_OF_FILES)


def _whole_seconds(instant: str) -> str:
    return instant[:19].replace("T", " ")


def _number(value: object) -> str:
    return "null" if value is None else str(value)


def _cell(text: str | None) -> Text:
    """Text from outside as a cell: escaped, and never taken for markup."""
    return Text(safe_text(text or ""), overflow="fold")
