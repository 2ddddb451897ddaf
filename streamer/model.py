"""The words of the project as frozen types.

Every room speaks in these; nothing here knows HTTP, Kafka, a clock or a file. Instants and spans are
integer nanoseconds (since the epoch, UTC, for instants), intervals are half-open.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from enum import IntEnum
from typing import Literal, NamedTuple

NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000

EPOCH_DAY = date(1970, 1, 1).toordinal()
_S_PER_DAY = 86_400

Value = int | float | None
"""A sample's value: integers are exact and never pass through a float; None is the API's null."""

_DURATION_UNITS = (
    ("h", 3600 * NS_PER_S),
    ("m", 60 * NS_PER_S),
    ("s", NS_PER_S),
    ("ms", NS_PER_MS),
    ("us", 1_000),
    ("ns", 1),
)


def duration_text(span_ns: int) -> str:
    """The canonical text of a span, in the largest unit that divides it: ``200ms``, ``1s``, ``90s``, ``1m``.

    Identities of events are built from it, so that ``60s`` and ``1m`` in a configuration name one series.
    """
    for unit, size_ns in _DURATION_UNITS:
        if span_ns % size_ns == 0:
            return f"{span_ns // size_ns}{unit}"
    raise AssertionError("unreachable: every integer is a multiple of one nanosecond")


def second_text(seconds: int) -> str:
    """A second of the epoch as ``2026-01-16T10:00:00``, without zone. Exact for all years from 1 to 9999."""
    days, second = divmod(seconds, _S_PER_DAY)
    day = date.fromordinal(days + EPOCH_DAY).isoformat()
    return f"{day}T{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}"


def instant_text(instant_ns: int) -> str:
    """An instant as UTC with ``Z`` and as few fractional digits as are exact."""
    seconds, fraction_ns = divmod(instant_ns, NS_PER_S)
    digits = f"{fraction_ns:09d}".rstrip("0")
    return f"{second_text(seconds)}{'.' if digits else ''}{digits}Z"


def align_down(instant_ns: int, quantum_ns: int) -> int:
    """The last multiple of the quantum that is not after the instant."""
    return instant_ns - instant_ns % quantum_ns


@dataclass(frozen=True, slots=True, order=True)
class SignalId:
    """Names a signal: one measured series of the API."""

    database_id: int
    index: int

    @property
    def key(self) -> str:
        """The Kafka key of the signal's events."""
        return f"{self.database_id}:{self.index}"


class Series(NamedTuple):
    """A signal at one aggregation and resample period (both None: raw): what the ledger keeps a place for."""

    signal: SignalId
    aggregation: str | None = None
    resample_period_ns: int | None = None

    @property
    def label(self) -> str:
        """How the series is named inside an event's identity: ``raw`` or ``mean@1s``."""
        if self.resample_period_ns is None:
            return "raw"
        return f"{self.aggregation}@{duration_text(self.resample_period_ns)}"

    @property
    def name(self) -> str:
        """The full name, unique in a configuration: ``database:index:label``."""
        return f"{self.signal.key}:{self.label}"

    @classmethod
    def parse(cls, name: str) -> Series:
        """The series of a full name. ValueError when it is none."""
        database_id, index, label = name.split(":")
        signal = SignalId(int(database_id), int(index))
        if label == "raw":
            return cls(signal)
        aggregation, _, period = label.rpartition("@")
        number = period.rstrip("abcdefghijklmnopqrstuvwxyz")
        return cls(signal, aggregation, int(number) * dict(_DURATION_UNITS)[period[len(number) :]])


class Interval(NamedTuple):
    """A half-open interval ``[start_ns, end_ns)`` of instants."""

    start_ns: int
    end_ns: int

    def overlaps(self, other: Interval) -> bool:
        """Whether the two share an instant."""
        return self.start_ns < other.end_ns and other.start_ns < self.end_ns


class Lane(IntEnum):
    """What a query is for; the smaller number goes first."""

    LIVE = 0
    REVISIT = 1
    REPAIR = 2
    CATCH_UP = 3
    BACKFILL = 4


class Hole(NamedTuple):
    """An interval of one series behind the frontier that is not covered, and why.

    Causes: ``absent`` (an answer without samples that the ledger knows), ``silent`` (an answer without any sample,
    when some were due or nothing shows that the signal was read), ``rejected`` (a row that could not be read),
    ``new`` (a signal added to a group), ``moved`` (a signal that came from another group), ``rebuilt`` (published or
    not, before the ledger was made anew), ``outage`` (what a group skipped to be fresh at once), ``aside`` (not asked
    for with its group, because one among several makes the query fail), ``quarantined`` (the same, and it is this one).
    """

    series: Series
    interval: Interval
    cause: str


@dataclass(frozen=True, slots=True)
class Signal:
    """What the catalogue knows of a signal. Text may hold anything; None where the API says null.

    Where its samples begin moves on with the source's retention: the signal is the same.
    """

    id: SignalId
    name: str | None = None
    tag: str | None = None
    unit: str | None = None
    description: str | None = None
    default_aggregation: str | None = None
    first_instant_ns: int | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Stream:
    """The policies of a configured stream at one aggregation; which signals it has, the catalogue decides.

    Attributes:
        aggregation: function of the API (``mean`` …), None when raw.
        resample_period_ns: grid of the resampled series, None when raw.
        poll_interval_ns: time between two live queries of a group.
        overlap_ns: how far before the frontier each live query starts.
        lookback_ns: ages, ascending, at which every instant is asked for once more.
        settle_ns: how far behind the service's time a resampled live query ends.
        group_size: most signals one query asks for.
        has_null_events: whether a null of a sample never seen before is published.
        is_live_first: whether a group that is older than the last age asks for what is new first.
    """

    name: str
    poll_interval_ns: int
    overlap_ns: int
    lookback_ns: tuple[int, ...]
    settle_ns: int = 0
    group_size: int = 10
    has_null_events: bool = False
    is_live_first: bool = False
    aggregation: str | None = None
    resample_period_ns: int | None = None

    @property
    def quantum_ns(self) -> int:
        """What bounds of queries are multiples of: the resample period, one millisecond when raw."""
        return self.resample_period_ns or NS_PER_MS

    @property
    def whole_after_ns(self) -> int:
        """How long after its instant a sample is asked for: when its window is over and has settled."""
        return 0 if self.resample_period_ns is None else self.resample_period_ns + self.settle_ns


@dataclass(frozen=True, slots=True)
class Group:
    """The series of one stream, database and shard that one query asks for. ``id`` is unique in a shard."""

    id: str
    stream: Stream
    shard: int
    database_id: int
    series: tuple[Series, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """How far a group is.

    Attributes:
        frontier_ns: every instant before it was asked for and committed, except holes.
        revisited_ns: for each age of the stream's lookback, in its order: every instant before it was asked
            for once more at that age.
        floor_ns: what was published is remembered completely from here on; no query may start before it.
    """

    frontier_ns: int
    revisited_ns: tuple[int, ...]
    floor_ns: int


@dataclass(frozen=True, slots=True)
class Query:
    """One question to the API: some series of a group over one window.

    Attributes:
        window: what the answer speaks for.
        stretched: what is asked for when that is more: a window and a known sample beside it, which shows whether
            the service reads the signal at all; None for the window itself.
        apart: where known samples are that lie too far away for that: each is asked for by itself, just before.
        quarantined: series of the group that are not asked for because each of them alone makes a query fail.
        asked_at_ns: lower bound of the service's time when the query was planned.
        planned_with: the group's place at that time; an answer is void when what it would move has moved.
    """

    group: Group
    lane: Lane
    series: tuple[Series, ...]
    window: Interval
    asked_at_ns: int
    planned_with: Place
    stretched: Interval | None = None
    apart: tuple[Interval, ...] = ()
    quarantined: frozenset[Series] = frozenset()

    @property
    def asked(self) -> Interval:
        """What is asked for."""
        return self.stretched or self.window

    @property
    def fills_holes(self) -> bool:
        """Whether it asks for holes; the others move the frontiers. Catching up does the one or the other."""
        if self.lane is Lane.CATCH_UP:
            return self.window.end_ns <= self.planned_with.frontier_ns
        return self.lane in (Lane.REPAIR, Lane.BACKFILL)


class Column(NamedTuple):
    """The rows of one signal in an answer, ascending by instant, no instant twice, all inside the window.

    Attributes:
        instants_ns: the instants.
        texts: the instants as events write them: UTC with ``Z`` and the source's own digits.
        values: the values.
    """

    instants_ns: Sequence[int]
    texts: Sequence[str]
    values: Sequence[Value]


@dataclass(frozen=True, slots=True)
class Answer:
    """What the API said to a query, checked.

    Attributes:
        columns: by index of the signal; a signal without rows is absent.
        unreadable: indexes of which a row could not be read: their interval is not covered.
        rejected: rows dropped, by cause (``foreign_index``, ``out_of_range``, ``unreadable``).
        received_wall_ns: the host's wall clock at arrival; written as ``observed_at``, never decided upon.
        read: indexes of which the service showed a known sample just before, asked for by itself.
    """

    columns: Mapping[int, Column]
    unreadable: frozenset[int] = frozenset()
    rejected: Mapping[str, int] = field(default_factory=dict)
    received_wall_ns: int = 0
    read: frozenset[int] = frozenset()


class Run(NamedTuple):
    """Samples of one series to be published, alike in revision and lateness; the sequences share a length."""

    series: Series
    revision: int
    is_late: bool
    instants_ns: Sequence[int]
    texts: Sequence[str]
    values: Sequence[Value]


class Records(NamedTuple):
    """Events of one signal as the bus takes them: one key and partition, one element an event.

    ``headers`` is empty when the events have none.
    """

    partition: int
    key: bytes
    values: Sequence[bytes]
    timestamps_ns: Sequence[int]
    headers: Sequence[Sequence[tuple[str, bytes]]] = ()


GapEvent = Literal["opened", "quarantined", "healed", "lost"]


class Transition(NamedTuple):
    """What became of a hole of a stream, or of a part of it.

    ``opened`` and ``quarantined``: it is open. ``healed``: it is covered. ``lost``: it never will be.
    """

    event: GapEvent
    stream: str
    hole: Hole


NoticeTopic = Literal["completeness", "gaps", "signals"]
"""Logical names of the topics that speak of samples."""


class Notice(NamedTuple):
    """A record of one of the topics beside the samples; a value of None takes away what the key stood for."""

    topic: NoticeTopic
    key: bytes
    value: bytes | None
    timestamp_ns: int


Closing = Callable[[Mapping[int, int]], Sequence[Notice]]
"""What a commit says at its end, made from where the samples end: the offset behind the last one of each of the
shard's partitions. A pure function; it may be called in another thread."""
