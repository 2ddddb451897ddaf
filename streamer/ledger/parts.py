"""The parts that a commit adds to the stored memory: what the series of a group have in common is written once.

A restart takes as long as there are parts to read; a part has samples of a whole group, column behind column.
Called by the books alone; ``recall`` reads what is written here.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import NamedTuple

from streamer.ledger.codec import SEPARATOR, Remembered, encode_value
from streamer.ledger.memory import as_doubles
from streamer.ledger.segments import SEGMENT_BYTES, size_of
from streamer.model import Value

WHOLE_FROM_SHARE = 0.25
"""From this share of its series on, a part names all of a group: parts that name the same are read together."""


class Fresh(NamedTuple):
    """Samples of one series that are remembered and not stored yet, ascending, with one revision."""

    instants_ns: Sequence[int]
    values: Sequence[Value]
    revision: int


class Part(NamedTuple):
    """A part as it is written, and the series that it has samples of."""

    names: Sequence[str]
    written: Remembered


def parts_of(fresh: Mapping[str, Sequence[Fresh]]) -> Iterator[Part]:
    """Parts that each fit into a record.

    Args:
        fresh: by name of each series of the group what is to be stored of it, be it nothing.
    """
    tables: dict[tuple[int, int], dict[str, Fresh]] = {}
    for name, lots in fresh.items():
        for at, lot in enumerate(lots):
            if lot.instants_ns:
                tables.setdefault((at, lot.revision), {})[name] = lot
    for (_, revision), table in tables.items():
        if len(table) >= WHOLE_FROM_SHARE * len(fresh):
            nothing = Fresh((), (), revision)
            table = {name: table.get(name, nothing) for name in fresh}
        yield from _fitting(table)


def _fitting(table: Mapping[str, Fresh]) -> Iterator[Part]:
    """A table in parts that fit into a record; a single sample always does."""
    part = _part(table)
    count = len(table[part.names[0]].instants_ns)
    if size_of(part.written) <= SEGMENT_BYTES or len(part.names) == count == 1:
        yield part
    elif len(part.names) > 1:
        half = len(part.names) // 2
        for names in (part.names[:half], part.names[half:]):
            yield from _fitting({name: table[name] for name in names})
    else:
        (name,) = part.names
        instants_ns, values, revision = table[name]
        for piece in (slice(None, count // 2), slice(count // 2, None)):
            yield from _fitting({name: Fresh(instants_ns[piece], values[piece], revision)})


def _part(table: Mapping[str, Fresh]) -> Part:
    lots = list(table.values())
    some = [lot for lot in lots if lot.instants_ns]
    first = lots[0].instants_ns
    is_shared = all(lot.instants_ns == first for lot in lots)
    values = list(chain.from_iterable(lot.values for lot in some))
    numbers, exact = as_doubles(range(len(values)), values)
    written = Remembered(
        series=SEPARATOR.join(table),
        revision=some[0].revision,
        first=min(lot.instants_ns[0] for lot in some),
        last=max(lot.instants_ns[-1] for lot in some),
        counts=array("I", [len(lot.instants_ns) for lot in lots]).tobytes(),
        instants=array("q", first if is_shared else chain.from_iterable(lot.instants_ns for lot in some)).tobytes(),
        values=numbers.tobytes(),
        exact={position: encode_value(value) for position, value in exact.items()},
    )
    return Part([name for name, lot in table.items() if lot.instants_ns], written)
