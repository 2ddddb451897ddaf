"""What happened lately, stream by stream: samples published, late and revised by the time they belong to, and lags.

Fed by the tally with each commit, and with a lag now and then; read by the operator's page. Bounded, in memory
only: what was before this process began is not known here. No clock, no I/O.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from streamer.ledger.ledger import Applied
from streamer.model import NS_PER_S

SLOT_NS = 10 * NS_PER_S
SLOTS = 2160
"""Six hours; 26 kB a stream."""

LAG_EVERY_S = 5
LAGS = 120
"""Ten minutes of the lag."""


@dataclass(frozen=True, slots=True)
class Counts:
    """What was published of some slots, by revision and lateness; one element a slot."""

    published: Sequence[int]
    late: Sequence[int]
    revised: Sequence[int]


class Track:
    """One stream. A slot holds what belongs to its ten seconds, whenever it was published.

    Attributes:
        began_ns: the least frontier of a group when it was adopted; None before.
        published: events of revision 0 since this process began.
        late: of those, behind the watermark.
        revised: events of later revisions.
        lags_s: every ``LAG_EVERY_S``, the newest last.
    """

    def __init__(self) -> None:
        self.began_ns: int | None = None
        self.published = 0
        self.late = 0
        self.revised = 0
        self.lags_s: deque[float] = deque(maxlen=LAGS)
        self._newest_slot = -1
        self._rings = tuple(array("I", bytes(4 * SLOTS)) for _ in range(3))

    def add(self, instants_ns: Sequence[int], *, is_late: bool, is_revision: bool) -> None:
        """Count published samples, ascending; those of more than six hours before the newest only in the totals."""
        count = len(instants_ns)
        if not count:
            return
        if is_revision:
            self.revised += count
        else:
            self.published += count
            self.late += count if is_late else 0
        published, late, revised = self._rings
        ring = revised if is_revision else late if is_late else published
        self._make_room(instants_ns[-1] // SLOT_NS)
        at = bisect_left(instants_ns, (self._newest_slot - SLOTS + 1) * SLOT_NS)
        while at < count:
            slot = instants_ns[at] // SLOT_NS
            after = bisect_left(instants_ns, (slot + 1) * SLOT_NS, at)
            ring[slot % SLOTS] += after - at
            at = after

    def counts(self, first_slot: int, slots: int) -> Counts:
        """What some slots hold; nothing where they are too old or yet to come."""
        published, late, revised = (
            [ring[slot % SLOTS] if self._is_held(slot) else 0 for slot in range(first_slot, first_slot + slots)]
            for ring in self._rings
        )
        return Counts(published, late, revised)

    def _is_held(self, slot: int) -> bool:
        return self._newest_slot - SLOTS < slot <= self._newest_slot

    def _make_room(self, slot: int) -> None:
        for passed in range(max(self._newest_slot + 1, slot - SLOTS + 1), slot + 1):
            for ring in self._rings:
                ring[passed % SLOTS] = 0
        self._newest_slot = max(self._newest_slot, slot)


class History:
    """The tracks of all streams of one process."""

    def __init__(self) -> None:
        self._tracks: dict[str, Track] = {}

    @property
    def tracks(self) -> Mapping[str, Track]:
        """By stream, in the order in which they were first seen."""
        return self._tracks

    def track(self, stream: str) -> Track:
        """That of a stream, a new one the first time."""
        return self._tracks.setdefault(stream, Track())

    def began(self, stream: str, frontier_ns: int) -> None:
        """A group of a stream was adopted with this frontier: what comes from there on is known here."""
        track = self.track(stream)
        track.began_ns = frontier_ns if track.began_ns is None else min(track.began_ns, frontier_ns)

    def committed(self, stream: str, applied: Applied) -> None:
        """Take note of what was published of a stream."""
        if not applied.runs:
            return
        track = self.track(stream)
        for run in applied.runs:
            track.add(run.instants_ns, is_late=run.is_late, is_revision=run.revision > 0)
