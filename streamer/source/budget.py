"""What one credential may ask of the service, and when. Pure: ``throttle`` replaces the value with each event."""

from __future__ import annotations

from dataclasses import dataclass, replace

from streamer.model import NS_PER_S
from streamer.source.limits import Limit, Rate


@dataclass(frozen=True, slots=True)
class Budget:
    """Everything that decides whether one more request may start.

    What was on its way when the service refused says nothing about what it allows since: requests that started
    before ``fell_at_ns`` change nothing any more, so that a burst of refusals counts once.

    Attributes:
        limit: requests in flight of the whole credential.
        rate: starts of the whole credential.
        share: of both, above 0, at most 1.
        held_until_ns: as ``Retry-After`` asks.
        backed_off_until_ns: after a refusal that did not say for how long, or no answer at all.
        next_start_ns: as the rate asks.
        rests_until_ns: as a share of less than one request in flight asks.
        failures: pauses in a row that the service did not time itself; one probe at a time while there are any.
        fell_at_ns: of the last refusal or loss.
    """

    limit: Limit
    rate: Rate
    share: float = 1.0
    held_until_ns: int = 0
    backed_off_until_ns: int = 0
    next_start_ns: int = 0
    rests_until_ns: int = 0
    failures: int = 0
    fell_at_ns: int = -1

    @property
    def allowed(self) -> int:
        """Requests in flight at most; one at least, which rests in between when the share is smaller."""
        return 1 if self.failures else max(1, int(self.limit.allowed * self.share))

    @property
    def gate_opens_at_ns(self) -> int:
        """When the service may be asked again."""
        return max(self.held_until_ns, self.backed_off_until_ns)

    @property
    def opens_at_ns(self) -> int:
        """When the next request may start, if there is room for it in flight."""
        return max(self.gate_opens_at_ns, self.next_start_ns, self.rests_until_ns)

    def rate_at(self, now_ns: int) -> float | None:
        """Starts a second now; None: any."""
        rate = self.rate.at(now_ns)
        return None if rate is None else rate * self.share

    def started(self, now_ns: int) -> Budget:
        """A request starts. A late one is not made up for: the service may count each interval by itself."""
        rate = self.rate_at(now_ns)
        return self if rate is None else replace(self, next_start_ns=now_ns + int(NS_PER_S / rate))

    def ended(self, started_ns: int, now_ns: int) -> Budget:
        """A request is over at the service, however it went."""
        part = self.limit.allowed * self.share
        if part >= 1:
            return self
        return replace(self, rests_until_ns=now_ns + int((now_ns - started_ns) * (1 / part - 1)))

    def succeeded(self, started_ns: int) -> Budget:
        """A request was answered."""
        if started_ns <= self.fell_at_ns:
            return self
        return replace(self, limit=self.limit.grown(), failures=0, backed_off_until_ns=0)

    def lost(self, started_ns: int, now_ns: int, backoff_s: float) -> Budget:
        """No answer came: a pause of our own."""
        return self if started_ns <= self.fell_at_ns else self._backed_off(now_ns, backoff_s)

    def refused(
        self, started_ns: int, now_ns: int, *, asked_for_s: float | None, backoff_s: float, used: float | None
    ) -> Budget:
        """The service says 'not now' (429, 503): a pause, then fewer in flight, and slower.

        Args:
            started_ns: when the request was started.
            now_ns: when the refusal came.
            asked_for_s: how long to wait, never for shorter than was asked for before; None when it did not say.
            backoff_s: how long to wait then.
            used: starts a second just before; None when the refusal is not about the rate (503).
        """
        held = self
        if asked_for_s is not None:
            until_ns = now_ns + int(asked_for_s * NS_PER_S)
            held = replace(self, held_until_ns=max(self.held_until_ns, until_ns))
        if started_ns <= self.fell_at_ns:
            return held
        fallen = replace(held, fell_at_ns=now_ns) if asked_for_s is not None else held._backed_off(now_ns, backoff_s)
        rate = self.rate
        if used is not None:
            rate = rate.fallen(used / self.share, now_ns, max(now_ns, fallen.gate_opens_at_ns))
        return replace(fallen, limit=self.limit.halved(), rate=rate)

    def _backed_off(self, now_ns: int, backoff_s: float) -> Budget:
        until_ns = now_ns + int(backoff_s * NS_PER_S)
        return replace(self, backed_off_until_ns=until_ns, failures=self.failures + 1, fell_at_ns=now_ns)
