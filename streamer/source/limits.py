"""What a service that only ever says 'not now' allows: learned from when it says it. Pure.

It answers 429 to a fifth request in flight and to one above its rate, and does not tell which it was: both learn.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace

from streamer.model import NS_PER_S

FIRST_PATIENCE = 8
"""Successes that earn one more request in flight: back from two to four in about twenty requests."""
MOST_PATIENCE = 512
"""The same where each attempt to have more was refused: less than one refusal in five hundred requests."""

ASSUMED = 10.0
"""Starts a second that a service is taken to allow until it refuses at less: one a second for each of ten groups."""

FALL = 0.9
"""Of the rate at which the service refused. It is regained evenly, so that 95 % of what is allowed is used."""
REGAINED_S = 60.0
"""Until the rate is where it was refused; at ten requests a second one in six hundred is refused."""
DOUBLED_S = 10.0
"""Past twice that time what was learned is out of date: the rate doubles each time as long passes again."""
_MOST_DOUBLINGS = 64.0
_LATELY_S = 10


@dataclass(frozen=True, slots=True)
class Limit:
    """Requests in flight. Invariant: ``1 <= allowed <= most``.

    Attributes:
        most: what the service allows at best.
        allowed: what it seems to allow now.
        patience: successes that earn one more; doubles with each refusal until ``most`` was held that long.
        successes: since the last change.
    """

    most: int
    allowed: int
    patience: int = FIRST_PATIENCE
    successes: int = 0

    def grown(self) -> Limit:
        """After a success."""
        if self.allowed < self.most and self.successes + 1 >= self.patience:
            return replace(self, allowed=self.allowed + 1, successes=0)
        return replace(self, successes=min(self.successes + 1, self.patience))

    def halved(self) -> Limit:
        """After a refusal."""
        is_again = self.allowed < self.most or self.successes < self.patience
        patience = min(self.patience * 2, MOST_PATIENCE) if is_again else FIRST_PATIENCE
        return Limit(self.most, max(1, self.allowed // 2), patience)


@dataclass(frozen=True, slots=True)
class Rate:
    """Starts a second: unbounded, or ``most``, until the service has refused once.

    Attributes:
        most: never more, None for no bound.
        refused: the rate at which the service last refused, None for never.
        since_ns: when requests could start again after it.
    """

    most: float | None = None
    refused: float | None = None
    since_ns: int = 0

    def at(self, now_ns: int) -> float | None:
        """The rate now: up evenly from where it fell to, faster once what was learned is out of date; None: any."""
        if self.refused is None:
            return self.most
        elapsed_s = max(0, now_ns - self.since_ns) / NS_PER_S
        even_s = min(elapsed_s, 2 * REGAINED_S)
        doublings = min((elapsed_s - even_s) / DOUBLED_S, _MOST_DOUBLINGS)
        rate = self.refused * (FALL + (1 - FALL) * even_s / REGAINED_S) * 2**doublings
        return rate if self.most is None else min(rate, self.most)

    def fallen(self, used: float, now_ns: int, resumes_at_ns: int) -> Rate:
        """After a refusal: below what was used, yet not below half of what was allowed.

        Who asks little and is refused learns little from it: another of the credential's clients may have asked.

        Args:
            used: starts a second just before it, above 0.
            now_ns: when it came.
            resumes_at_ns: from when on requests may start again.
        """
        allowed = self.at(now_ns)
        least = ASSUMED if allowed is None else min(allowed / 2, ASSUMED)
        refused = max(used, least)
        return replace(self, refused=refused if allowed is None else min(refused, allowed), since_ns=resumes_at_ns)


class RecentStarts:
    """The instants of the last starts, to know at which rate the service refused."""

    def __init__(self) -> None:
        self._starts_ns: deque[int] = deque()

    def add(self, now_ns: int) -> None:
        """A request starts; never before an earlier one."""
        self._forget(now_ns)
        self._starts_ns.append(now_ns)

    def rate(self, now_ns: int) -> float:
        """Starts a second, above 0: of the last second, or of the last ten when that is more."""
        self._forget(now_ns)
        last_second = sum(start_ns > now_ns - NS_PER_S for start_ns in self._starts_ns)
        return max(last_second, len(self._starts_ns) / _LATELY_S, 1 / _LATELY_S)

    def _forget(self, now_ns: int) -> None:
        while self._starts_ns and self._starts_ns[0] <= now_ns - _LATELY_S * NS_PER_S:
            self._starts_ns.popleft()
