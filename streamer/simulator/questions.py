"""What a client may ask of the simulated API: bodies of queries, read and checked as the service does.

Pure. A body that is not acceptable raises ``Refusal``, which says what the problem document holds.
"""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel

from streamer.model import NS_PER_S
from streamer.settings_types import parse_duration, parse_start

MOST_INDEXES = 20
RAW_RANGE_LIMIT_NS = 30 * 60 * NS_PER_S
"""A longer range without ``windowPeriod`` is silently aggregated."""

AGGREGATIONS = ("mean", "last", "max", "min", "sum")

_INDEX = re.compile(r"[+-]?[0-9]{1,18}")


class Refusal(Exception):
    """The answer is a problem document of ``application/problem+json``; ``retry_after`` is its header, if any."""

    def __init__(self, status: int, title: str, detail: str, code: str, retry_after: str | None = None) -> None:
        super().__init__(detail)
        self.retry_after = retry_after
        self.status = status
        self.title = title
        self.detail = detail
        self.code = code


def _instant_ns(written: object) -> int:
    if not isinstance(written, str):
        raise ValueError("is not an ISO 8601 timestamp")
    for text in (written, f"{written}Z"):  # without a zone it is UTC
        try:
            start = parse_start(text)
        except ValueError:
            continue
        if start.kind == "at":
            return start.ns
    raise ValueError("is not an ISO 8601 timestamp")


def _aggregation(written: str) -> str:
    if written not in AGGREGATIONS:
        raise ValueError(f"is not one of {', '.join(AGGREGATIONS)}")
    return written


def _window_period_ns(written: object) -> int | None:
    if written is None:
        return None
    try:
        span_ns = parse_duration(written)
    except ValueError:
        span_ns = 0
    if span_ns == 0:
        raise ValueError("is not a period such as 200ms, 1s or 1m")
    return span_ns


Instant = Annotated[int, BeforeValidator(_instant_ns)]


class _Body(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, alias_generator=to_camel, hide_input_in_errors=True)

    database_id: int
    measurement_indexes: list[str]

    @property
    def indexes(self) -> list[int]:
        """Those that are integers, each once; the others are dropped without a word."""
        return list(dict.fromkeys(int(text) for text in self.measurement_indexes if _INDEX.fullmatch(text)))


class RangeQuestion(_Body):
    """Body of ``v1/query``: samples in ``[start_time, end_time)``, nanoseconds since the epoch."""

    start_time: Instant
    end_time: Instant
    agg_function: Annotated[str, AfterValidator(_aggregation)] | None = None
    window_period: Annotated[int | None, BeforeValidator(_window_period_ns)] = None

    @property
    def window_ns(self) -> int | None:
        """The period that the answer is aggregated by, None when it is raw."""
        if self.window_period is None and self.end_time - self.start_time > RAW_RANGE_LIMIT_NS:
            return NS_PER_S
        return self.window_period

    @property
    def aggregation(self) -> str:
        """What a window's value is; without a period of the client's own always the mean."""
        return "mean" if self.window_period is None else self.agg_function or "mean"


class LatestQuestion(_Body):
    """Body of ``v1/query/latest``: the newest sample, within bounds if there are any."""

    start_time: Instant | None = None
    end_time: Instant | None = None


def read_range_question(body: bytes) -> RangeQuestion:
    """Read the body of ``v1/query``.

    Raises:
        Refusal: 400.
    """
    try:
        question = RangeQuestion.model_validate_json(body)
    except ValidationError as error:
        malformed = _malformed(error)
    else:
        _check_count(question)
        if question.end_time <= question.start_time:
            raise Refusal(400, "Bad Request", "endTime must be after startTime.", "invalid_range")
        return question
    raise malformed


def read_latest_question(body: bytes) -> LatestQuestion:
    """Read the body of ``v1/query/latest``.

    Raises:
        Refusal: 400.
    """
    try:
        question = LatestQuestion.model_validate_json(body)
    except ValidationError as error:
        malformed = _malformed(error)
    else:
        _check_count(question)
        return question
    raise malformed


def _check_count(question: _Body) -> None:
    asked = len(question.measurement_indexes)
    if asked > MOST_INDEXES:
        detail = f"{asked} measurementIndexes were asked for; the maximum is {MOST_INDEXES}."
        raise Refusal(400, "Bad Request", detail, "too_many_measurements")


def _malformed(error: ValidationError) -> Refusal:
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(map(str, first["loc"])) or "The body"
    reason = str(first.get("ctx", {}).get("error", first["msg"]))
    return Refusal(400, "Bad Request", f"{where}: {reason}", "malformed_request")
