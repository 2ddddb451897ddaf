"""Scripted faults: what a YAML file says goes wrong with the simulated API, and when.

``late`` and ``revised`` act on the samples of the world, all other kinds on answers. Times count from the
simulator's start.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import isfinite
from pathlib import Path
from random import Random
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from streamer.errors import ConfigurationError
from streamer.model import NS_PER_S
from streamer.settings_reading import problems_of, read_yaml
from streamer.settings_types import Duration
from streamer.simulator.behaviour import DEFAULT_BY, Disturbance, Recurrence

Kind = Literal[
    "late",
    "revised",
    "missing",
    "status_429",
    "status_503",
    "status_504",
    "outage",
    "broken_body",
    "slow",
    "unauthorized",
]

QUERIES_ONLY: frozenset[Kind] = frozenset({"missing", "status_504", "broken_body"})
"""These faults are the historian's; all other faults of answers meet every request, unless ``databases`` are given."""


DEFAULT_AFTER_NS = 5 * NS_PER_S

_TAKES: Mapping[str, frozenset[Kind]] = {
    "delay": frozenset({"late", "slow"}),
    "by": frozenset({"revised"}),
    "after": frozenset({"revised"}),
    "retry_after": frozenset({"status_429", "status_503"}),
    "form": frozenset({"status_429", "status_503"}),
}


def _positive(span_ns: int) -> int:
    if span_ns == 0:
        raise ValueError("must be more than 0")
    return span_ns


def _difference(written: object) -> object:
    if isinstance(written, bool) or not isinstance(written, int | float) or not isfinite(written) or not written:
        raise ValueError("must be a number other than 0")
    return written


PositiveDuration = Annotated[Duration, AfterValidator(_positive)]
Difference = Annotated[int | float, BeforeValidator(_difference)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Fault(_Section):
    """One kind of trouble, once or again and again. All times are nanoseconds.

    Attributes:
        start: from the simulator's start to the first time.
        every: from one time to the next; None for once.
        duration: of each time.
        share: of samples, of signals in an answer, or of requests that it meets.
        databases: where; None for everywhere.
        delay: of ``late`` samples and ``slow`` answers, on top of the ordinary one.
        by: how far off the first value of a ``revised`` sample is.
        after: from a ``revised`` sample's arrival until its final value is shown.
        retry_after: what ``Retry-After`` asks for.
        form: how ``Retry-After`` is written.
    """

    kind: Kind
    start: Duration = 0
    every: PositiveDuration | None = None
    duration: PositiveDuration
    share: float = Field(default=1.0, gt=0.0, le=1.0)
    databases: tuple[int, ...] | None = None
    delay: PositiveDuration | None = None
    by: Difference | None = None
    after: PositiveDuration | None = None
    retry_after: Duration | None = None
    form: Literal["seconds", "date"] | None = None

    @model_validator(mode="after")
    def _check_keys(self) -> Self:
        for key, kinds in _TAKES.items():
            if self.kind not in kinds and getattr(self, key) is not None:
                raise ValueError(f"{self.kind} takes no {key}")
        if self.kind in _TAKES["delay"] and self.delay is None:
            raise ValueError(f"{self.kind} needs a delay")
        if self.kind == "unauthorized" and (self.share != 1.0 or self.databases is not None):
            raise ValueError("unauthorized takes no share and no databases: it is the token that is revoked")
        if self.every is not None and self.every < self.duration:
            raise ValueError("every must not be shorter than duration")
        return self

    def when(self, started_ns: int) -> Recurrence:
        """The times of the fault in a simulator that was started at ``started_ns``."""
        return Recurrence(started_ns + self.start, self.duration, self.every)


class Scenario(_Section):
    """All faults of a file. They may overlap."""

    faults: tuple[Fault, ...] = ()

    def disturbances(self, started_ns: int) -> list[Disturbance]:
        """What the world is to be disturbed with."""
        return [
            Disturbance(
                fault.when(started_ns),
                share=fault.share,
                databases=None if fault.databases is None else frozenset(fault.databases),
                delay_ns=fault.delay or 0,
                by=(fault.by or DEFAULT_BY) if fault.kind == "revised" else 0,
                after_ns=(fault.after or DEFAULT_AFTER_NS) if fault.kind == "revised" else 0,
            )
            for fault in self.faults
            if fault.kind in ("late", "revised")
        ]


class FaultyAnswers:
    """Decides for each request what goes wrong with its answer.

    Args:
        scenario: the faults.
        started_ns: when the simulator was started.
        seed: of the draws by ``share``.
    """

    def __init__(self, scenario: Scenario, started_ns: int, seed: int = 0) -> None:
        self._faults = [(fault, fault.when(started_ns)) for fault in scenario.faults]
        self._random = Random(seed)  # noqa: S311  # chance, not secrets

    def met(self, kind: Kind, now_ns: int, database_id: int | None) -> Fault | None:
        """The fault of a kind that this request meets, None for none.

        Args:
            kind: any but ``late``, ``revised``, ``missing`` and ``unauthorized``.
            now_ns: the time of the service.
            database_id: of a query, None for any other request.
        """
        return next((fault for fault in self._active(kind, now_ns, database_id) if self._is_drawn(fault)), None)

    def missing(self, now_ns: int, database_id: int, indexes: Iterable[int]) -> frozenset[int]:
        """The signals that are left out of an answer."""
        active = self._active("missing", now_ns, database_id)
        return frozenset(index for index in indexes if any(self._is_drawn(fault) for fault in active))

    def is_revoked(self, minted_ns: int, now_ns: int) -> bool:
        """Whether a token has been revoked since it was minted."""
        starts = (when.last_start_ns(now_ns) for fault, when in self._faults if fault.kind == "unauthorized")
        return any(start_ns is not None and start_ns > minted_ns for start_ns in starts)

    def _active(self, kind: Kind, now_ns: int, database_id: int | None) -> list[Fault]:
        if database_id is None and kind in QUERIES_ONLY:
            return []
        return [
            fault
            for fault, when in self._faults
            if fault.kind == kind
            and when.covers(now_ns)
            and (fault.databases is None or database_id in fault.databases)
        ]

    def _is_drawn(self, fault: Fault) -> bool:
        return self._random.random() < fault.share


def load_scenario(path: Path) -> Scenario:
    """Read and check a file of faults.

    Raises:
        ConfigurationError: with all problems at once.
    """
    raw = read_yaml(path)
    try:
        return Scenario.model_validate(raw)
    except ValidationError as error:
        problems = problems_of(error, Scenario, raw, {})
    raise ConfigurationError(problems)  # outside of the handler, as pydantic's error holds what was written
