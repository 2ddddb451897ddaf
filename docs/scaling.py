"""The arithmetic of docs/scaling.md: what a number of signals asks of the API, of Kafka and of the machine. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from streamer.model import NS_PER_S
from streamer.planner.plan import REVISITS_PER_LIVE
from streamer.settings_sections import DEFAULT_LOOKBACK_NS, MOST_SIGNALS_A_QUERY
from streamer.sizing import BYTES_A_SAMPLE

NAME_BYTES, COUNT_BYTES, SAMPLE_BYTES, PART_BYTES = 13, 4, 16, 80
"""Of a series in a part of the stored memory, name and count; of a sample; of a part, with its share of a record."""

IN_FLIGHT = 4
"""Requests of a credential that the service answers at a time."""

ANSWER_S = 0.1
"""What an answer is taken to need."""

SHARD_SIGNALS = 2_500
V2_SIGNALS_A_QUERY = 500
EVENT_BYTES = 245
MIB, GIB = 2**20, 2**30


@dataclass(frozen=True, slots=True)
class Load:
    """Signals alike, on a plant where nothing is late.

    Attributes:
        rate_hz: samples a second of each signal.
        overlap_s: how far before the frontier each live query starts.
        lookback_s: the ages at which all is asked for again.
    """

    signals: int
    rate_hz: float
    poll_s: float
    group_size: int
    shards: int
    overlap_s: float = 3.0
    lookback_s: tuple[float, ...] = tuple(age_ns / NS_PER_S for age_ns in DEFAULT_LOOKBACK_NS)

    @property
    def samples_a_second(self) -> float:
        """Events, as each sample is published once."""
        return self.signals * self.rate_hz

    @property
    def groups(self) -> float:
        """The last group of a shard is half full, more or less."""
        return self.signals / self.group_size + self.shards / 2

    @property
    def requests_a_second(self) -> float:
        """Live queries, and the revisits that come with them."""
        return self.groups / self.poll_s * (1 + REVISITS_PER_LIVE)

    @property
    def rows_a_second(self) -> float:
        """Rows of answers: each sample in a live query, in what the next ones overlap, and once at each age."""
        return self.samples_a_second * (1 + self.overlap_s / self.poll_s + len(self.lookback_s))

    @property
    def remembered_s(self) -> float:
        """How much is remembered: up to the last age, and half of the slice that a revisit asks for, on average."""
        slice_s = len(self.lookback_s) * self.poll_s / REVISITS_PER_LIVE
        return self.lookback_s[-1] + slice_s / 2 + self.poll_s / 2

    @property
    def entries(self) -> float:
        """Samples in the memory of all ledgers."""
        return self.samples_a_second * self.remembered_s

    @property
    def state_bytes(self) -> float:
        """Live bytes of the state topic, before compression."""
        together = max(1.0, self.rate_hz * self.poll_s)
        framing = (NAME_BYTES + COUNT_BYTES + PART_BYTES / self.group_size) / together
        return self.entries * (SAMPLE_BYTES + framing)

    @property
    def credentials(self) -> int:
        """How many are needed, so that all requests find a place in flight."""
        return ceil(self.requests_a_second * ANSWER_S / IN_FLIGHT)


@dataclass(frozen=True, slots=True)
class Case:
    """A column of the table."""

    signals: int
    poll_s: float
    group_size: int = MOST_SIGNALS_A_QUERY

    @property
    def load(self) -> Load:
        """Signals of 1 Hz."""
        shards = ceil(self.signals / SHARD_SIGNALS)
        return Load(self.signals, rate_hz=1, poll_s=self.poll_s, group_size=self.group_size, shards=shards)


CASES = (
    Case(10_000, 5),
    Case(100_000, 5),
    Case(1_000_000, 5),
    Case(100_000, 60),
    Case(1_000_000, 60),
    Case(1_000_000, 5, V2_SIGNALS_A_QUERY),
)


def table() -> str:
    """What each case needs, as Markdown."""
    loads = [case.load for case in CASES]
    rows: dict[str, list[str]] = {
        "poll interval": [f"{load.poll_s:g} s" for load in loads],
        "signals a request": [f"{load.group_size}" for load in loads],
        "requests/s": [f"{load.requests_a_second:,.0f}" for load in loads],
        "credentials, and releases": [f"{load.credentials:,}" for load in loads],
        "rows of answers a second": [f"{load.rows_a_second:,.0f}" for load in loads],
        "samples/s": [f"{load.samples_a_second:,.0f}" for load in loads],
        "events, before compression": [f"{load.samples_a_second * EVENT_BYTES / MIB:,.1f} MiB/s" for load in loads],
        "shards, and partitions of state": [f"{load.shards:,}" for load in loads],
        "memory of the ledgers, at most": [f"{load.entries * BYTES_A_SAMPLE / GIB:,.2f} GiB" for load in loads],
        "live state, before compression": [f"{load.state_bytes / GIB:,.2f} GiB" for load in loads],
    }
    head = "| | " + " | ".join(f"{load.signals:,} signals" for load in loads) + " |\n"
    rule = "| --- |" + " --- |" * len(loads) + "\n"
    return head + rule + "".join(f"| {name} | {' | '.join(cells)} |\n" for name, cells in rows.items())
