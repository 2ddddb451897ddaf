"""A plant whose samples come late and change, and a daemon in miniature that may die at any moment."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass, field
from functools import lru_cache, partial
from random import Random

from streamer.ledger.intervals import joined, punched
from streamer.ledger.ledger import Applied, Ledger
from streamer.ledger.memory import is_same
from streamer.ledger.rebuild import Published, Rebuilding, Scope
from streamer.model import (
    NS_PER_MS,
    NS_PER_S,
    Answer,
    Column,
    Group,
    Hole,
    Interval,
    Query,
    Series,
    SignalId,
    Stream,
    Transition,
    Value,
    align_down,
)
from streamer.planner.groups import arrange
from streamer.planner.plan import Standing, plan
from tests.unit.ledger.bench import DATABASE, answer_of, column_of, fold

LAST_AGE_NS = 15 * NS_PER_S
MOST_LAG_NS = NS_PER_S
"""How far the known lower bound of the service's time is behind at most."""

BEGINNING_NS = 1_000 * NS_PER_S

CHUNKS_NS = (4 * NS_PER_S, 20 * NS_PER_S, 60 * NS_PER_S)

NAN = float("nan")

Sample = tuple[int, int]
"""Index and instant."""


@dataclass(frozen=True)
class Plant:
    """A sample of each signal each second. Which ones come late, change or are null, the salt decides.

    Attributes:
        period_ns: the grid that the service resamples to, None when raw. A resampled value is a sum over the part of
            its bucket that lies in the window, as the historian has it.
    """

    salt: int
    period_ns: int | None

    def shown(self, index: int, window: Interval, now_ns: int) -> dict[int, Value]:
        """What the service shows at a time of a signal in a window."""
        first_ns = -(-window.start_ns // NS_PER_S) * NS_PER_S
        raw = {
            instant_ns: values[-1]
            for instant_ns in range(first_ns, window.end_ns, NS_PER_S)
            if (values := self._values(index, instant_ns, now_ns))
        }
        if self.period_ns is None:
            return raw
        buckets: dict[int, Value] = {}
        for instant_ns, value in raw.items():
            start_ns = max(align_down(instant_ns, self.period_ns), window.start_ns)
            buckets[start_ns] = (buckets.get(start_ns) or 0) + (value or 0)
        return buckets

    def truth(self, index: int, instant_ns: int) -> Value:
        """What a sample says at its last age. KeyError when it is not shown by then."""
        window = Interval(instant_ns, instant_ns + (self.period_ns or NS_PER_S))
        return self.shown(index, window, instant_ns + LAST_AGE_NS)[instant_ns]

    def _values(self, index: int, instant_ns: int, now_ns: int) -> list[Value]:
        history = _history(self.salt, index, instant_ns)
        return [value for age_ns, value in history if instant_ns + age_ns <= now_ns]


@lru_cache(maxsize=100_000)
def _history(salt: int, index: int, instant_ns: int) -> list[tuple[int, Value]]:
    """The values of a sample and how old it is when each is shown: within the last age, less a bucket."""
    random = Random(f"{salt}/{index}/{instant_ns}")
    ages_ms = [random.choice([200, 200, 200, 900, 3500, 7000, 12_900])]
    for _ in range(random.choice([0, 0, 0, 1, 2])):
        ages_ms.append(random.randint(ages_ms[-1], 13_000))
    values: list[Value] = [random.choice([instant_ns, index + 0.5, None, NAN, 2**53 + number]) for number in range(3)]
    return [(age_ms * NS_PER_MS, value) for age_ms, value in zip(ages_ms, values, strict=False)]


@dataclass(frozen=True)
class Arrived:
    """An answer that waits for its commit."""

    query: Query
    answer: Answer


@dataclass(frozen=True)
class Stated:
    """What consumers were told when something was committed: how far all groups are, and what is not covered."""

    frontier_ns: int
    settled_ns: int
    holes: tuple[Hole, ...]


@dataclass
class Process:
    """What dies with the daemon: the ledger ahead of what is stored, and all that is being asked."""

    ledger: Ledger
    groups: list[Group]
    lag_ns: int
    flying: list[Query] = field(default_factory=list)
    arrived: list[Arrived] = field(default_factory=list)

    def busy(self, group: Group) -> list[Query]:
        """What is in flight or not committed of a group."""
        queries = [*self.flying, *(one.query for one in self.arrived)]
        return [query for query in queries if query.group is group]


class World:
    """A plant, the service's time, what is committed, and the process that commits."""

    def __init__(self, stream: Stream, salt: int) -> None:
        self.plant = Plant(salt, stream.resample_period_ns)
        self.now_ns = BEGINNING_NS
        self.store: dict[bytes, bytes] = {}
        self.published: dict[Sample, list[Value]] = defaultdict(list)
        self.told: dict[Series, list[Hole]] = defaultdict(list)
        self.events: list[Published] = []
        self.stated: Stated | None = None
        self.starts_ns: dict[int, int] = {}
        self.stream = stream
        self.indexes: list[int] = []
        self.process: Process

    def begin(self, stream: Stream, indexes: Collection[int], *, lag_ns: int, history_ns: int = 0) -> None:
        """Start a process with a configuration; whatever the last one had not committed is gone."""
        self.stream, self.indexes = stream, sorted(indexes)
        series = self._series()
        ledger = Ledger.restore(dict(self.store), shard=0, shards=1, partitions=12, owner="world")
        groups = arrange(stream, DATABASE, 0, series, ledger.members())
        start_ns = align_down(self.now_ns - lag_ns - history_ns, stream.quantum_ns)
        ledger.adopt(groups, dict.fromkeys(series, start_ns))
        self._tell(ledger.tell_gaps(is_due=True))
        fold(self.store, ledger.changes())
        for index in self.indexes:
            self.starts_ns.setdefault(index, start_ns)
        self.process = Process(ledger, groups, lag_ns)
        self.state()

    def _series(self) -> list[Series]:
        stream = self.stream
        return [
            Series(SignalId(DATABASE, index), stream.aggregation, stream.resample_period_ns) for index in self.indexes
        ]

    def state(self) -> None:
        """Say how far everything is, as it is committed now."""
        ledger, groups = self.process.ledger, self.process.groups
        places = [ledger.place(group.id) for group in groups]
        self.stated = Stated(
            min(place.frontier_ns for place in places),
            min(min(place.revisited_ns[-1], place.frontier_ns - self.stream.overlap_ns) for place in places),
            tuple(hole for group in groups for hole in ledger.holes(group.id)),
        )

    def lose(self, *, is_told: bool, lag_ns: int) -> None:
        """The state is lost and the ledger made anew from what was published, and what was told if anything was."""
        stream, told = self.stream, self.stated if is_told else None
        series = [
            Series(SignalId(DATABASE, index), stream.aggregation, stream.resample_period_ns) for index in self.indexes
        ]
        scopes = {}
        for one in series:
            holes = () if told is None else tuple(hole for hole in told.holes if hole.series == one)
            settled_ns = None if told is None else told.settled_ns
            scopes[one] = Scope(settled_ns, self.starts_ns[one.signal.index], LAST_AGE_NS, 0, holes)
        made = Rebuilding(
            arrange(stream, DATABASE, 0, series, {}),
            scopes,
            {} if told is None else {stream.name: told.frontier_ns},
            parked_ages_ns=stream.lookback_ns,
            parked_span_ns=LAST_AGE_NS,
            most_samples=10**6,
        )
        for published in self.events:
            made.take(published)
        self.store = {}
        self.told.clear()  # which gaps were told is lost with the state: those that are open are told again
        fold(self.store, made.ledger(shard=0, shards=1, partitions=12, owner="rebuild").changes())
        self.begin(stream, self.indexes, lag_ns=lag_ns)

    def ask(self, *, chunk_ns: int, is_poll_due: bool = True) -> None:
        """Start what the planner wants now of every group."""
        process = self.process
        for group in process.groups:
            ledger = process.ledger
            standing = Standing(
                group,
                ledger.place(group.id),
                ledger.holes(group.id),
                process.busy(group),
                chunk_ns,
                witness=partial(ledger.witness, group.id),
                is_doubted=partial(ledger.is_doubted, group.id),
            )
            process.flying += plan(standing, self.now_ns - process.lag_ns, is_poll_due=is_poll_due)

    def answer(self, query: Query, left_out: Collection[int] = (), unreadable: Collection[int] = ()) -> None:
        """The service answers with what it shows now. It may leave out a signal of which anything is known."""
        self.process.flying.remove(query)
        columns: dict[int, Column] = {}
        for series in query.series:
            index = series.signal.index
            shown = self.plant.shown(index, query.asked, self.now_ns)
            if index in unreadable:
                shown.pop(max(shown, default=0), None)
            if shown and not (index in left_out and self.is_known(index)):
                columns[index] = column_of(shown)
        asked = frozenset(series.signal.index for series in query.series)
        answer = Answer(columns, asked.intersection(unreadable), received_wall_ns=self.now_ns + 10 * NS_PER_S)
        self.process.arrived.append(Arrived(query, answer))

    def answer_empty(self, query: Query) -> None:
        """The service has read nothing and says so like a service that has nothing."""
        if all(self.is_known(series.signal.index) for series in query.series):
            self.process.flying.remove(query)
            self.process.arrived.append(Arrived(query, answer_of({})))

    def is_known(self, index: int) -> bool:
        """Whether an event of a signal is committed: silence about it can be told from having nothing."""
        return any(one == index for one, _ in self.published)

    def commit(self, chosen: Collection[Arrived], *, is_lost: bool = False) -> None:
        """Apply some answers and commit them together; a lost commit is a crash before it."""
        process = self.process
        applied = [process.ledger.apply(one.query, one.answer) for one in chosen]
        process.arrived = [one for one in process.arrived if one not in chosen]
        transitions = process.ledger.tell_gaps(is_due=len(process.arrived) % 2 == 0)
        changes = process.ledger.changes()
        if is_lost:
            self.begin(self.stream, self.indexes, lag_ns=process.lag_ns)
            return
        fold(self.store, changes)
        self._tell(transitions)
        for one in applied:
            self._publish(one)
        if self.now_ns % (2 * NS_PER_S) < NS_PER_S:  # not with every commit
            self.state()

    def _tell(self, transitions: Collection[Transition]) -> None:
        for event, _, hole in transitions:
            known = self.told[hole.series]
            is_open = event in ("opened", "quarantined")
            self.told[hole.series] = joined([*known, hole]) if is_open else punched(known, hole.interval)

    def _publish(self, applied: Applied) -> None:
        for run in applied.runs:
            index = run.series.signal.index
            self.events.append(
                Published(run.series, self.stream.name, run.revision, run.is_late, run.instants_ns, run.values)
            )
            for instant_ns, value in zip(run.instants_ns, run.values, strict=True):
                before = self.published[index, instant_ns]
                assert run.revision == len(before), f"{index} at {instant_ns}: {run.revision} after {before}"
                assert not before or not is_same(before[-1], value), f"{index} at {instant_ns}: {value} again"
                before.append(value)

    def stumble(self, turns: int, random: Random) -> None:
        """Turns of a second in which questions and answers are lost, come later, or are not whole."""
        for _ in range(turns):
            self.now_ns += NS_PER_S
            self.ask(chunk_ns=random.choice(CHUNKS_NS))
            for query in list(self.process.flying):
                happening = random.choice(["whole", "whole", "whole", "partly", "partly", "empty", "lost", "later"])
                if happening == "lost":
                    self.process.flying.remove(query)
                elif happening == "empty":
                    self.answer_empty(query)
                elif happening != "later":
                    left_out = random.sample(self.indexes, 1) if happening == "partly" else ()
                    self.answer(query, left_out, random.sample(left_out, random.choice([0, 0, len(left_out)])))
            if random.random() < 0.8:
                self.commit(random.sample(self.process.arrived, len(self.process.arrived)))

    def heal(self) -> None:
        """Let everything go well until all that has been is settled: asked for at the last age, without holes."""
        end_ns = self.now_ns
        for _ in range(200):
            self.ask(chunk_ns=60 * NS_PER_S)
            for query in list(self.process.flying):
                self.answer(query)
            self.commit(list(self.process.arrived))
            if self._is_settled(end_ns):
                return
            self.now_ns += 2 * NS_PER_S
        raise AssertionError(f"never settled: {self._standings()}")

    def _is_settled(self, end_ns: int) -> bool:
        ledger = self.process.ledger
        return all(
            min(ledger.place(group.id).revisited_ns) >= end_ns and not ledger.holes(group.id)
            for group in self.process.groups
        )

    def _standings(self) -> list[object]:
        ledger = self.process.ledger
        return [(ledger.place(group.id), ledger.holes(group.id)) for group in self.process.groups]

    def faults(self, end_ns: int) -> list[str]:
        """What the committed events of the configured signals get wrong, from their start up to an instant."""
        found = []
        period_ns = self.stream.resample_period_ns or NS_PER_S
        for index in self.indexes:
            first_ns = -(-self.starts_ns[index] // period_ns) * period_ns
            for instant_ns in range(first_ns, end_ns, period_ns):
                found += self._fault(index, instant_ns)
        return found

    def _fault(self, index: int, instant_ns: int) -> list[str]:
        truth, values = self.plant.truth(index, instant_ns), self.published.get((index, instant_ns), [])
        if not values:
            is_left_out = truth is None and not self.stream.has_null_events
            return [] if is_left_out else [f"{index} at {instant_ns}: lost"]
        return [] if is_same(values[-1], truth) else [f"{index} at {instant_ns}: {values} and not {truth}"]
