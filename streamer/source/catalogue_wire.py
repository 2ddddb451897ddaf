"""The catalogue on the wire: how it is asked for, and how its entries are read.

An entry costs at most itself, and a text at most its own place: names come from people and from other systems.
"""

from __future__ import annotations

import re
import sys
from typing import Annotated

import msgspec

from streamer.errors import QueryFailed
from streamer.model import Signal, SignalId
from streamer.source.instants import InvalidInstant, parse_instant
from streamer.source.rows import mended, rows
from streamer.source.transport import Body, Request

LONGEST_TEXT = 1_000
"""Characters of a text that are kept: each event of the signal repeats its tag and unit."""

MOST_BYTES = 24 * 1024 * 1024
"""What a catalogue may take in memory beside its body: about 50,000 signals with texts of ordinary length."""

SIGNAL_BYTES = 250
"""What a signal takes without its texts."""

Int64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]


class _Entry(msgspec.Struct):
    databaseId: Int64  # noqa: N815 - the API's name
    index: Int64
    name: msgspec.Raw = msgspec.Raw()
    description: msgspec.Raw = msgspec.Raw()
    tag: msgspec.Raw = msgspec.Raw()
    unitSymbol: msgspec.Raw = msgspec.Raw()  # noqa: N815
    firstDataPoint: msgspec.Raw = msgspec.Raw()  # noqa: N815
    defaultAgg: msgspec.Raw = msgspec.Raw()  # noqa: N815


_ENTRY = msgspec.json.Decoder(_Entry)
_TEXT = msgspec.json.Decoder(str)
_MALFORMED = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_AGGREGATION = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,31}")
"""A function's name; it becomes a part of series' names and of events' identities."""


def catalogue_request() -> Request:
    """The request for the catalogue of all databases."""
    return Request("GET", "v1/measurements")


def decode_catalogue(body: Body) -> list[Signal]:
    """Read the catalogue. What cannot be read of an entry is null; an entry that names no signal is left out.

    Raises:
        QueryFailed: the body is not a JSON array, or there is more than memory for it.
    """
    signals: list[Signal] = []
    shared: dict[str, str] = {}
    held_bytes = 0
    for row in rows(body):
        entry = _entry_of(row)
        if entry is None:
            continue
        signal = _signal_of(entry, shared)
        texts = (signal.name, signal.tag, signal.unit, signal.description)
        held_bytes += SIGNAL_BYTES + sum(sys.getsizeof(text) for text in texts if text)
        if held_bytes > MOST_BYTES:
            raise QueryFailed(
                f"The catalogue takes more than {MOST_BYTES} bytes of memory; it was read up to signal {len(signals)}.",
                "Ask for a credential that sees fewer databases.",
                status=200,
            )
        signals.append(signal)
    return signals


def _entry_of(row: bytes) -> _Entry | None:
    for text in (row, mended(row)):
        try:
            return _ENTRY.decode(text)
        except _MALFORMED:
            continue
    return None


def _signal_of(entry: _Entry, shared: dict[str, str]) -> Signal:
    unit, aggregation = _text(entry.unitSymbol), _text(entry.defaultAgg)
    if aggregation is not None and not _AGGREGATION.fullmatch(aggregation):
        aggregation = None
    return Signal(
        id=SignalId(entry.databaseId, entry.index),
        name=_text(entry.name),
        tag=_text(entry.tag),
        unit=None if unit is None else shared.setdefault(unit, unit),
        description=_text(entry.description),
        default_aggregation=None if aggregation is None else shared.setdefault(aggregation, aggregation),
        first_instant_ns=_first_instant_ns(entry.firstDataPoint),
    )


def _text(written: msgspec.Raw) -> str | None:
    try:
        return _TEXT.decode(written)[:LONGEST_TEXT]
    except _MALFORMED:
        return None


def _first_instant_ns(written: msgspec.Raw) -> int | None:
    """None before the epoch: year 1 is how the service's platform writes 'never'."""
    try:
        instant_ns = parse_instant(_text(written) or "")[0]
    except InvalidInstant:
        return None
    return instant_ns if instant_ns >= 0 else None
