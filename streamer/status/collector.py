"""What a scrape of ``/metrics`` reads: how everything stands at that moment.

Registered with the process's registry by ``running.py``. What is counted while it happens is in ``metrics``.
"""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping
from math import nan
from typing import Protocol

from prometheus_client.metrics_core import GaugeMetricFamily
from prometheus_client.registry import Collector

from streamer import __version__
from streamer import metric_definitions as defined
from streamer.config import Settings
from streamer.metric_types import Definition
from streamer.model import Lane
from streamer.status.summary import Snapshot, StreamSummary


class Shown(Protocol):
    """What is shown of the daemon."""

    def snapshot(self) -> Snapshot:
        """How everything stands now."""
        ...


class Budget(Protocol):
    """What is shown of the credential's budget."""

    @property
    def in_flight(self) -> int:
        """Requests on their way."""
        ...

    @property
    def limit(self) -> int:
        """Requests that may be on their way at once."""
        ...

    @property
    def waiting(self) -> Mapping[Lane, int]:
        """Requests that wait, by lane."""
        ...

    @property
    def held_for_s(self) -> float:
        """Seconds until any may start."""
        ...


class Token(Protocol):
    """What is shown of the access token."""

    @property
    def age_s(self) -> float | None:
        """Its age; None without one."""
        ...


class StateCollector(Collector):
    """Every gauge of one process."""

    def __init__(self, shown: Shown, budget: Budget, token: Token, settings: Settings) -> None:
        self._shown = shown
        self._budget = budget
        self._token = token
        self._settings = settings

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """See ``Collector``."""
        snapshot = self._shown.snapshot()
        yield from _of_streams(snapshot.streams)
        yield _gauge(defined.SIGNALS_UNKNOWN, {(): len(snapshot.unknown_signals)})
        yield from self._of_budget()
        yield _gauge(defined.OWNED, {(): len(snapshot.shards)})
        yield _gauge(defined.SHARDS, {(): self._settings.bus.shards})
        yield _gauge(defined.ENTRIES, {(): snapshot.ledger_entries})
        yield _gauge(defined.LEDGER_BYTES, {(): snapshot.ledger_bytes})
        yield _gauge(defined.LEDGER_LIMIT, {(): int(self._settings.bus.ledger_memory)})
        yield _gauge(defined.READY, {(): snapshot.ready})
        yield _gauge(defined.CLOCK_SKEW, {(): nan if snapshot.clock_skew_s is None else snapshot.clock_skew_s})
        yield _gauge(defined.BUILD, {(__version__, platform.python_version(), self._settings.bus.kind): 1})

    def _of_budget(self) -> Iterator[GaugeMetricFamily]:
        budget, age_s = self._budget, self._token.age_s
        yield _gauge(defined.WAITING, {(lane.name.lower(),): count for lane, count in budget.waiting.items()})
        yield _gauge(defined.IN_FLIGHT, {(): budget.in_flight})
        yield _gauge(defined.LIMIT, {(): budget.limit})
        yield _gauge(defined.PAUSED, {(): budget.held_for_s})
        yield _gauge(defined.TOKEN_AGE, {} if age_s is None else {(): age_s})


def _of_streams(streams: tuple[StreamSummary, ...]) -> Iterator[GaugeMetricFamily]:
    """What each stream has of its own."""
    by_stream: dict[Definition, dict[tuple[str, ...], float]] = {
        defined.WATERMARK_LAG: {(one.stream,): one.watermark_lag_s for one in streams},
        defined.WATERMARK_LAG_EXPECTED: {(one.stream,): one.watermark_lag_expected_s for one in streams},
        defined.SETTLED_LAG: {(one.stream,): one.settled_lag_s for one in streams},
        defined.SETTLED_LAG_EXPECTED: {(one.stream,): one.settled_lag_expected_s for one in streams},
        defined.OVERLAP: {(one.stream,): one.overlap_s for one in streams},
        defined.LAST_AGE: {(one.stream,): one.last_age_s for one in streams},
        defined.SERIES: {(one.stream,): one.series for one in streams},
        defined.HOLES: {
            (one.stream, cause): some.count for one in streams for cause, some in one.holes_by_cause.items()
        },
        defined.HOLES_SECONDS: {
            (one.stream, cause): some.seconds for one in streams for cause, some in one.holes_by_cause.items()
        },
    }
    for definition, values in by_stream.items():
        yield _gauge(definition, values)


def _gauge(definition: Definition, values: Mapping[tuple[str, ...], float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(definition.full_name, definition.meaning, labels=definition.labels)
    for labels, value in values.items():
        family.add_metric(labels, value)
    return family
