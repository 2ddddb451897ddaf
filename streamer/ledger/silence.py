"""What it means that an answer shows nothing of a signal (rule 4).

The service leaves a signal out that it failed to read just as one that has no samples, so silence has to be proved.

Pure; one ``Silence`` a series, kept by its account.
"""

from __future__ import annotations

from streamer.ledger.memory import Memory
from streamer.model import NS_PER_S, Interval

DUE_AFTER_SPACINGS = 4
"""A signal that is silent for so many times its usual spacing is suspect."""

MOST_DOUBTS = 3
"""Answers without any sample after which a signal without a witness counts as silent."""

DOUBTS_APART_NS = 180 * NS_PER_S
"""How far apart such answers are asked for at least."""

ANSWERS_BESIDE = 3
"""Answers without any sample that are enough when each came just after a known sample was shown by itself: the service
reads the signal then, and may leave it out of single answers only."""

MOST_PATIENCE = 8
"""Doublings of a silent signal's patience: a quiet signal is asked about less and less."""


class Silence:
    """What is known of the silence of one series.

    Args:
        doubts: answers in a row that showed nothing, not even a witness.
        proved_ns: up to where silence was proved.
        times_proved: in a row.
    """

    __slots__ = ("_beside", "_doubted_at_ns", "_doubts", "_proved_ns", "_times_proved")

    def __init__(self, doubts: int = 0, proved_ns: int = 0, times_proved: int = 0) -> None:
        self._doubts = doubts
        self._doubted_at_ns: int | None = None
        self._proved_ns = proved_ns
        self._times_proved = times_proved
        self._beside = (0, 0)

    @property
    def figures(self) -> tuple[int, int, int]:
        """The arguments that make it anew; all zero when there was no silence."""
        return self._doubts, self._proved_ns, self._times_proved

    @property
    def is_doubted(self) -> bool:
        """Whether the last answers showed nothing, not even a witness."""
        return self._doubts > 0

    def broken(self) -> None:
        """A new sample was seen."""
        self._proved_ns = self._times_proved = 0

    def shown(self) -> None:
        """A repair showed something of the signal: it is read."""
        self._doubts = 0

    def left_out(self) -> None:
        """A repair did not show what is known where it asked: a witness from elsewhere is needed from now on."""
        self._doubts = max(self._doubts, 1)

    def proved(self, until_ns: int) -> None:
        """A known sample was shown beside an interval without any: there are none in it."""
        self._doubts = 0
        self._proved_ns = max(self._proved_ns, until_ns)
        self._times_proved = min(self._times_proved + 1, MOST_PATIENCE)

    def doubted(self, until_ns: int, asked_at_ns: int) -> bool:
        """One more answer without any witness to be had; True when there were enough to believe it.

        Answers close together count once: a service that fails to read a signal may do so for minutes.
        """
        last_ns, is_restored = self._doubted_at_ns, self._doubted_at_ns is None and self._doubts > 0
        if last_ns is not None and asked_at_ns - last_ns < DOUBTS_APART_NS:
            return False
        self._doubted_at_ns = asked_at_ns
        if is_restored:  # when the last doubt was is not known any more
            return False
        self._doubts += 1
        if self._doubts < MOST_DOUBTS:
            return False
        self.proved(until_ns)
        return True

    def proved_beside(self, covered: Interval) -> bool:
        """One more answer without any sample of an interval, just after a known one was shown by itself (rule 4c).

        True when there were enough of one interval to believe them.
        """
        start_ns, times = self._beside
        times = times + 1 if start_ns == covered.start_ns else 1
        self._beside = (covered.start_ns, times)
        if times < ANSWERS_BESIDE:
            return False
        self._beside = (0, 0)
        self.proved(covered.end_ns)
        return True

    def is_suspect(self, memory: Memory, end_ns: int, shown_ns: int | None = None) -> bool:
        """Whether the signal's own cadence says that samples before ``end_ns`` are due (rule 4b).

        Args:
            memory: of the signal.
            end_ns: samples before it would have arrived.
            shown_ns: the last sample that is there; the newest known one unless told otherwise.
        """
        spacing_ns = memory.spacing_ns()
        if spacing_ns is None or memory.newest_ns is None:
            return False
        quiet_since_ns = max(memory.newest_ns if shown_ns is None else shown_ns, self._proved_ns)
        return end_ns - quiet_since_ns > DUE_AFTER_SPACINGS * spacing_ns << self._times_proved
