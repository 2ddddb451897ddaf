"""How samples reach the API: when each becomes visible, and whether its value changes afterwards.

Decided for each sample by a hash of seed, signal and instant: a pure function that anybody can ask again.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from streamer.model import SignalId
from streamer.simulator.tapes import Number, Sample

_BITS = 20
_BELOW = (1 << _BITS) - 1
_WORD = (1 << 64) - 1

DEFAULT_BY = 1
"""How far off the first value of a revised sample is; whole, so that integers stay integers."""


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What a database does to its samples.

    Attributes:
        usual_delay_ns: from a sample's instant until it is visible.
        jitter_ns: most that the delay of an ordinary sample differs from the usual one.
        late_share: share of samples that are late.
        late_delay_ns: most that a late sample's delay is longer.
        revised_share: share of samples that show another value first.
        revised_after_ns: most time from a sample's arrival until it shows its final value.
    """

    usual_delay_ns: int = 0
    jitter_ns: int = 0
    late_share: float = 0.0
    late_delay_ns: int = 0
    revised_share: float = 0.0
    revised_after_ns: int = 0

    @classmethod
    def prompt(cls) -> Behaviour:
        """Everything is visible at once and stays as it is."""
        return cls()


@dataclass(frozen=True, slots=True)
class Recurrence:
    """Intervals of one length: once, or again and again."""

    start_ns: int
    duration_ns: int
    every_ns: int | None = None

    def covers(self, instant_ns: int) -> bool:
        """Whether the instant lies in one of the intervals."""
        begun_ns = self.last_start_ns(instant_ns)
        return begun_ns is not None and instant_ns < begun_ns + self.duration_ns

    def last_start_ns(self, instant_ns: int) -> int | None:
        """Start of the last interval that began at or before the instant, None before the first."""
        since_ns = instant_ns - self.start_ns
        if since_ns < 0:
            return None
        return self.start_ns if self.every_ns is None else instant_ns - since_ns % self.every_ns


@dataclass(frozen=True, slots=True)
class Disturbance:
    """What a scenario does to samples whose instants lie in ``when``, on top of the database's behaviour.

    Attributes:
        share: of the samples that are disturbed.
        databases: which ones; None for all.
        delay_ns: how much later they arrive.
        by: how far off their first value is; 0 leaves it alone.
        after_ns: from arrival until the final value is shown.
    """

    when: Recurrence
    share: float = 1.0
    databases: frozenset[int] | None = None
    delay_ns: int = 0
    by: Number = 0
    after_ns: int = 0


class Fates:
    """What happens to the samples of one database on their way.

    A sample that is neither late nor revised is visible ``_ordinary_ns`` after its instant, any other one final
    ``_longest_ns`` after it: older ones are not looked at one by one.
    """

    def __init__(self, behaviour: Behaviour, disturbances: Iterable[Disturbance] = ()) -> None:
        self._soonest_ns = max(behaviour.usual_delay_ns - behaviour.jitter_ns, 0)
        self._spread_ns = behaviour.usual_delay_ns + behaviour.jitter_ns - self._soonest_ns
        self._late = _threshold(behaviour.late_share)
        self._late_ns = behaviour.late_delay_ns
        self._revised = _threshold(behaviour.revised_share)
        self._revised_ns = behaviour.revised_after_ns
        self._disturbances = tuple((place, _threshold(one.share), one) for place, one in enumerate(disturbances, 1))
        ordinary_ns = behaviour.usual_delay_ns + behaviour.jitter_ns
        self._longest_ns = ordinary_ns + behaviour.late_delay_ns + behaviour.revised_after_ns + 1
        self._longest_ns += sum(one.delay_ns + one.after_ns for _, _, one in self._disturbances)
        # Nothing is ordinary any more where a scenario acts.
        self._ordinary_ns = self._longest_ns if self._disturbances else ordinary_ns

    def shown(self, key: int, samples: Sequence[Sample], now_ns: int) -> list[Sample]:
        """Those of a signal's samples that have arrived at ``now_ns``, with the values that they have then.

        Args:
            key: of the signal, from ``signal_key``.
            samples: ascending, with their final values.
            now_ns: the time of the service.
        """
        final = bisect_left(samples, (now_ns - self._longest_ns,))
        shown = list(samples[:final])
        here_anyway_ns, late, revised = now_ns - self._ordinary_ns, self._late, self._revised
        for sample in samples[final:]:
            instant_ns = sample[0]
            if instant_ns <= here_anyway_ns:
                drawn = _mixed(key ^ instant_ns)
                if drawn >> _BITS & _BELOW >= late and drawn >> 2 * _BITS >= revised:
                    shown.append(sample)
                    continue
            delay_ns, revised_after_ns, by = self.of(key, instant_ns)
            since_arrival_ns = now_ns - instant_ns - delay_ns
            if since_arrival_ns >= 0:
                shown.append(sample if since_arrival_ns >= revised_after_ns else Sample(instant_ns, sample[1] + by))
        return shown

    def of(self, key: int, instant_ns: int) -> tuple[int, int, Number]:
        """What happens to one sample.

        Args:
            key: of the signal, from ``signal_key``.
            instant_ns: of the sample.

        Returns:
            How long after its instant it arrives; how long after that its value becomes final, 0 when it always
            was; how far off its value is until then.
        """
        drawn = _mixed(key ^ instant_ns)
        delay_ns = self._soonest_ns + ((drawn & _BELOW) * self._spread_ns >> _BITS)
        revised_after_ns = 0
        by: Number = 0
        if drawn >> _BITS & _BELOW < self._late:
            delay_ns += (_mixed(drawn) & _BELOW) * self._late_ns >> _BITS
        if drawn >> 2 * _BITS < self._revised:
            revised_after_ns, by = ((_mixed(drawn) >> _BITS & _BELOW) * self._revised_ns >> _BITS) + 1, DEFAULT_BY
        for place, threshold, one in self._disturbances:
            if one.when.covers(instant_ns) and _mixed(drawn + place) & _BELOW < threshold:
                delay_ns += one.delay_ns
                if one.by:
                    revised_after_ns, by = one.after_ns, one.by
        return delay_ns, revised_after_ns, by


def signal_key(seed: int, signal: SignalId) -> int:
    """What distinguishes the fates of a signal's samples from those of any other signal or seed."""
    return _mixed(_mixed(_mixed(seed & _WORD) ^ signal.database_id) + signal.index)


def _threshold(share: float) -> int:
    return round(share * (1 << _BITS))


def _mixed(word: int) -> int:
    """Multiply, fold, multiply: cheap, and the upper 60 of 64 bits, which are what is returned, look random."""
    word = word * 0xBF58476D1CE4E5B9 & _WORD
    return ((word ^ word >> 32) * 0x94D049BB133111EB & _WORD) >> 4
