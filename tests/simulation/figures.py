"""The figures of many seeds, as a table for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from tests.simulation.run import Outcome
from tests.simulation.swarm import KINDS

_KILLS = ("killed", "killed_at_step", "killed_at_failpoint")
_REPLACED = ("zombie", "rolled_out")


@dataclass
class Figures:
    """Sums over seeds.

    Attributes:
        fired: how often each kind of fault happened.
        violated: what each seed that is not clean found.
    """

    seeds: int = 0
    virtual_s: float = 0.0
    samples: int = 0
    events: int = 0
    commits: int = 0
    requests: int = 0
    fired: Counter[str] = field(default_factory=Counter)
    violated: dict[int, list[str]] = field(default_factory=dict)

    def add(self, outcome: Outcome) -> None:
        """Take in a seed."""
        self.seeds += 1
        self.virtual_s += outcome.virtual_s
        self.samples += outcome.samples
        self.events += outcome.events
        self.commits += outcome.commits
        self.requests += outcome.requests
        self.fired.update(outcome.fired)
        if outcome.violations:
            self.violated[outcome.seed] = outcome.violations

    @property
    def hours(self) -> float:
        """Virtual time."""
        return self.virtual_s / 3600

    @property
    def unfired(self) -> list[str]:
        """Kinds of faults that never happened."""
        return [kind for kind in KINDS if not self.fired[kind]]

    def table(self) -> str:
        """All figures in Markdown, faults of requests and commits last."""
        rows: list[tuple[str, int | str]] = [
            ("virtual hours", f"{self.hours:,.1f}"),
            ("seeds", self.seeds),
            ("samples", self.samples),
            ("revisions of them", self.events - self.samples),
            ("commits", self.commits),
            ("requests", self.requests),
            ("kills (of them at a step, at a failpoint)", self._kills()),
            ("zombies and second processes", self._sum(_REPLACED)),
        ]
        rows += [(kind.replace("_", " "), self.fired[kind]) for kind in KINDS if kind not in (*_KILLS, *_REPLACED)]
        rows.append(("violations", sum(map(len, self.violated.values()))))
        written = [(name, figure if isinstance(figure, str) else f"{figure:,}") for name, figure in rows]
        return "\n".join(["| | |", "| --- | ---: |", *(f"| {name} | {figure} |" for name, figure in written)])

    def _kills(self) -> str:
        at_step, at_failpoint = self.fired["killed_at_step"], self.fired["killed_at_failpoint"]
        return f"{self._sum(_KILLS):,} ({at_step:,}, {at_failpoint:,})"

    def _sum(self, kinds: Iterable[str]) -> int:
        return sum(self.fired[kind] for kind in kinds)


def replay(seed: int) -> str:
    """How to see a seed again."""
    return f"python -m tests.simulation {seed} --log"
