"""Which faults a seed has, and how often: each kind is off in a third of the seeds, its rate log-uniform else.

After Groce et al., "Swarm Testing" (ISSTA 2012): leaving kinds out finds what all kinds together hide.
"""

from __future__ import annotations

import math
from collections import Counter
from random import Random

REQUEST_FAULTS = {
    "status_401": (0.001, 0.02),
    "status_403": (0.001, 0.02),
    "status_429": (0.001, 0.05),
    "status_500": (0.001, 0.03),
    "status_503": (0.001, 0.03),
    "status_504": (0.001, 0.05),
    "secret_echoed": (0.05, 1.0),
    "dropped": (0.001, 0.05),
    "slow": (0.0005, 0.01),
    "no_date": (0.001, 0.2),
    "broken_body": (0.001, 0.03),
    "left_out": (0.001, 0.05),
    "shuffled": (0.01, 0.5),
    "doubled": (0.01, 0.3),
    "out_of_range": (0.01, 0.3),
    "unreadable_row": (0.001, 0.03),
}
"""Chance for a request, or for an answer that can have it."""

COMMIT_FAULTS = {
    "start_failed": (0.01, 0.2),
    "start_slow": (0.05, 0.5),
    "batch_lost": (0.001, 0.02),
    "commit_refused": (0.001, 0.02),
    "ack_lost": (0.001, 0.02),
    "end_delayed": (0.001, 0.02),
}
"""Chance for a step of a producer."""

HABITS = {"row_cap": (1.0, 1.0), "silent_aggregation": (1.0, 1.0), "too_long": (1.0, 1.0)}
"""What the service of a seed always does until it is healed; no rate."""

EVENTS = {
    "bad_series": (0.1, 1.0),
    "api_away": (0.1, 1.0),
    "token_service_away": (0.1, 1.0),
    "secret_rotated": (0.1, 0.5),
    "signal_silent": (0.2, 3.0),
    "broker_away": (0.1, 1.0),
    "killed": (0.1, 2.0),
    "killed_at_step": (0.2, 4.0),
    "killed_at_failpoint": (0.2, 4.0),
    "drained": (0.1, 1.0),
    "zombie": (0.1, 1.0),
    "rolled_out": (0.1, 0.5),
    "suspended": (0.1, 1.0),
    "wall_clock_stepped": (0.1, 2.0),
    "reconfigured": (0.1, 0.7),
    "state_lost": (0.1, 1.0),
}
"""Times a virtual minute."""

LONG_OUTAGES = ("api_away_for_long", "broker_away_for_long")
"""For 20 minutes to 2 hours, once in a seed that has it."""

LONG_OUTAGE_SHARE = 0.05
OFF_SHARE = 1 / 3

KINDS = (*REQUEST_FAULTS, *COMMIT_FAULTS, *HABITS, *EVENTS, *LONG_OUTAGES)
"""All kinds of faults."""


class Swarm:
    """The faults of one seed.

    Attributes:
        rates: of the kinds that are on.
        fired: how often each kind happened.
        is_healed: nothing goes wrong any more.
    """

    def __init__(self, random: Random) -> None:
        self.rates: dict[str, float] = {}
        self.fired: Counter[str] = Counter()
        self.is_healed = False
        self._random = random
        for kind, (least, most) in {**REQUEST_FAULTS, **COMMIT_FAULTS, **HABITS, **EVENTS}.items():
            rate = math.exp(random.uniform(math.log(least), math.log(most)))
            if random.random() >= OFF_SHARE:
                self.rates[kind] = rate
        if {"state_lost", "reconfigured"} <= self.rates.keys():  # a rebuild knows little of what is configured no more
            del self.rates[random.choice(["state_lost", "reconfigured"])]

    def strikes(self, kind: str) -> bool:
        """Whether a fault of this kind happens to this request or step."""
        if self.is_healed or self._random.random() >= self.rates.get(kind, 0.0):
            return False
        self.fired[kind] += 1
        return True

    def next_in_s(self, kind: str) -> float:
        """Seconds until the next event of this kind; infinite when it is off."""
        rate = self.rates.get(kind, 0.0)
        return self._random.expovariate(rate / 60) if rate else math.inf
