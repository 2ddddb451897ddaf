"""How a seed's daemon is configured: cadence, lookback, groups, shards, policies. Each seed has a shape of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from streamer.config import Settings
from streamer.model import NS_PER_S
from tests.simulation.plant import DATABASE, RESAMPLED

REVISITS_PER_LIVE = 0.1
"""The share of the requests that revisits may take (rule 3): how long their slices are follows from it."""

START = "2026-01-16T09:59:30Z"
"""Half a minute before virtual time begins: there is something to catch up with."""


@dataclass(frozen=True, slots=True)
class Shape:
    """The cadence and the policies of one seed; whole seconds."""

    poll_s: int = 1
    overlap_s: int = 3
    ages_s: tuple[int, ...] = (10, 60)
    period_s: int = 5
    settle_s: int = 0
    group_size: int = 3
    shards: int = 2
    catch_up: str = "oldest_first"
    replicas: int = 1
    nulls: str = "skip"
    headers: str = "none"
    commit_interval_ms: int = 50

    @classmethod
    def drawn(cls, random: Random) -> Shape:
        """A shape of a seed: half of them poll each second, as most plants are configured."""
        poll_s = random.choice([1, 1, 1, 2, 5, 10, 30])
        overlap_s = random.choice([1, 3, 5]) if poll_s <= 2 else poll_s * random.choice([1, 2])
        first_s = overlap_s * random.choice([2, 3])
        ages_s = [first_s, max(20, first_s * random.choice([2, 5])), max(60, first_s * 8)]
        return cls(
            poll_s=poll_s,
            overlap_s=overlap_s,
            ages_s=tuple(sorted({*ages_s[: random.choice([1, 2, 2, 3])], ages_s[random.choice([1, 2])]})),
            period_s=random.choice([1, 5, 5, 10]),
            settle_s=random.choice([0, 0, 2, 7]),
            group_size=random.randrange(1, 7),
            shards=random.choice([1, 2, 2, 4]),
            replicas=random.choice([1, 1, 2, 3]),
            nulls=random.choice(["skip", "skip", "publish"]),
            headers=random.choice(["none", "none", "cloudevents"]),
            commit_interval_ms=random.choice([0, 50, 50, 1000]),
            catch_up=random.choice(["oldest_first", "live_first"]),
        )

    @property
    def period_ns(self) -> int:
        """The resample period."""
        return self.period_s * NS_PER_S

    @property
    def last_age_ns(self) -> int:
        """What the guarantee reaches."""
        return self.ages_s[-1] * NS_PER_S

    @property
    def slack_s(self) -> float:
        """How far behind the end everything is settled: the last age, slices of revisits, and the last back-off."""
        slices_s = len(self.ages_s) * self.poll_s / REVISITS_PER_LIVE
        return self.ages_s[-1] + slices_s + 2 * self.poll_s + self.period_s + self.settle_s + 70

    def settings(self, raw: Sequence[int], group_size: int) -> Settings:
        """The configuration with these raw signals."""
        policies = {
            "database_id": DATABASE,
            "start": START,
            "group_size": group_size,
            "catch_up": self.catch_up,
            "nulls": self.nulls,
            "poll_interval": f"{self.poll_s}s",
            "overlap": f"{self.overlap_s}s",
            "lookback": [f"{age_s}s" for age_s in self.ages_s],
        }
        sums = {"aggregation": "sum", "resample_period": f"{self.period_s}s", "settle": f"{self.settle_s}s"}
        return Settings.model_validate(
            {
                "source": {"client_id": "id", "client_secret": "unused"},
                "streams": [
                    {"name": "raw", "signals": list(raw), **policies},
                    {"name": "sums", "signals": list(RESAMPLED), **policies, **sums},
                ],
                "bus": {
                    "shards": self.shards,
                    "headers": self.headers,
                    "commit_interval": f"{self.commit_interval_ms}ms",
                },
            }
        )
