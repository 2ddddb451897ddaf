"""The plants behind the simulated API: which signals there are, and what the API shows of them at which time.

Pure functions of time. ``samples`` is the truth; ``visible`` is what has arrived of it; ``delay_ns`` and
``revision_of`` say why, for whoever checks what was made of it.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from streamer.model import NS_PER_S, SignalId, align_down
from streamer.simulator.behaviour import Behaviour, Disturbance, Fates, signal_key
from streamer.simulator.tapes import Number, Sample, Tape

FIRST_INDEX = 1001
"""Of the signals of each database, counted up from here."""

HISTORY_NS = 24 * 3600 * NS_PER_S


@dataclass(frozen=True, slots=True)
class SimulatedSignal:
    """A signal as the catalogue shows it, and what it measures."""

    id: SignalId
    tag: str
    tape: Tape
    name: str
    unit: str
    description: str
    data_type: str
    default_aggregation: str
    minimum: Number
    maximum: Number


@dataclass(frozen=True, slots=True)
class Database:
    """Signals of one plant and how they reach the API.

    Attributes:
        has_zone: whether its timestamps end with ``Z``.
        is_interleaved: whether answers come instant by instant; else signal by signal.
    """

    id: int
    name: str
    signals: Sequence[SimulatedSignal]
    behaviour: Behaviour
    has_zone: bool = True
    is_interleaved: bool = False


class Revision(NamedTuple):
    """Until ``at_ns`` the API shows the final value plus ``by``, from then on the final one."""

    at_ns: int
    by: Number


class World:
    """All databases.

    Args:
        databases: in the order in which they are listed.
        first_ns: nothing exists before; by default the full hour before yesterday at this time.
        seed: decides which samples are late or revised.
    """

    def __init__(self, databases: Iterable[Database], *, first_ns: int | None = None, seed: int = 0) -> None:
        self.databases: Mapping[int, Database] = {database.id: database for database in databases}
        self.first_ns = align_down(time.time_ns() - HISTORY_NS, 3600 * NS_PER_S) if first_ns is None else first_ns
        self._signals = {signal.id: signal for database in self.databases.values() for signal in database.signals}
        self._keys = {signal_id: signal_key(seed, signal_id) for signal_id in self._signals}
        self._fates = {database.id: Fates(database.behaviour) for database in self.databases.values()}

    def disturb(self, disturbances: Sequence[Disturbance]) -> None:
        """Let a scenario act on samples that are still to come; replaces the one before."""
        for database in self.databases.values():
            acting = [one for one in disturbances if one.databases is None or database.id in one.databases]
            self._fates[database.id] = Fates(database.behaviour, acting)

    def samples(self, database_id: int, index: int, start_ns: int, end_ns: int) -> list[Sample]:
        """All samples in ``[start, end)`` with their final values, ascending; none of an unknown signal."""
        signal = self._signals.get(SignalId(database_id, index))
        return [] if signal is None else signal.tape.samples(max(start_ns, self.first_ns), end_ns)

    def visible(self, database_id: int, index: int, start_ns: int, end_ns: int, now_ns: int) -> list[Sample]:
        """What the API shows at ``now_ns`` of the samples in ``[start, end)``, with the values it shows then."""
        samples = self.samples(database_id, index, start_ns, min(end_ns, now_ns + 1))
        if not samples:
            return samples
        return self._fates[database_id].shown(self._keys[SignalId(database_id, index)], samples, now_ns)

    def delay_ns(self, database_id: int, index: int, instant_ns: int) -> int:
        """How long after its instant a sample becomes visible. KeyError for an unknown signal."""
        return self._fates[database_id].of(self._keys[SignalId(database_id, index)], instant_ns)[0]

    def revision_of(self, database_id: int, index: int, instant_ns: int) -> Revision | None:
        """How a sample's value changes, None when it does not. KeyError for an unknown signal."""
        key = self._keys[SignalId(database_id, index)]
        delay_ns, revised_after_ns, by = self._fates[database_id].of(key, instant_ns)
        return Revision(instant_ns + delay_ns + revised_after_ns, by) if revised_after_ns else None
