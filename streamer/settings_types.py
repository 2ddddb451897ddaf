"""How single values of the configuration are written, and what they become.

Pure functions from text to value; a ``ValueError`` says in plain words what is allowed, and never repeats what was
written, which may be a secret in the wrong place. Used by ``settings_sections.py`` only.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

import durationpy
from pydantic import BeforeValidator, ByteSize, Field, PlainValidator, SecretStr, StringConstraints, WithJsonSchema

from streamer.errors import ConfigurationError
from streamer.model import NS_PER_S

LONGEST_TOPIC_NAME = 249
"""Kafka's own limit."""

_DURATION = re.compile(r"(\d+(\.\d+)?(us|µs|ms|s|m|h|d))+")
_INSTANT = re.compile(
    r"(?P<whole>\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(:\d\d)?)(\.(?P<fraction>\d{1,9}))? ?(?P<offset>[Zz]|[+-]\d\d:\d\d)?"
)
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_ENDPOINT = re.compile(r"([A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\]):(\d{1,5})")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Start:
    """Where a new stream begins.

    Attributes:
        kind: the present, the source's first sample, an instant, or a span before the present.
        ns: nanoseconds since the epoch for ``at``, the span for ``ago``, else 0.
    """

    kind: Literal["now", "earliest", "at", "ago"]
    ns: int = 0


def parse_duration(value: object) -> int:
    """Nanoseconds of a span written in Go's style (``1h30m``, also ``7d``); a bare ``0`` is one, ``15`` is not."""
    problem = "is not a duration; write 200ms, 15s, 2m or 1h30m"
    text = str(value) if isinstance(value, str) or (value == 0 and not isinstance(value, bool)) else ""
    if text == "0":
        return 0
    if not _DURATION.fullmatch(text):  # the library looks at both ends only and would take '1s?2m', and 5mm as months
        raise ValueError(problem)
    try:
        span: timedelta = durationpy.from_str(text)
    except durationpy.DurationError:
        raise ValueError(problem) from None
    return span // timedelta(microseconds=1) * 1_000


def parse_start(value: object) -> Start:
    """``now``, ``earliest``, an instant with ``Z`` or an offset, or a duration before the present."""
    if isinstance(value, Start):
        return value
    if value in ("now", "earliest"):
        return Start("now" if value == "now" else "earliest")
    if isinstance(value, str) and (match := _INSTANT.fullmatch(value)):
        return Start("at", _instant_ns(match))
    if isinstance(value, str) and _DATE.fullmatch(value):
        raise ValueError("is a date without a time; write 2026-01-16T10:00:00Z")
    try:
        return Start("ago", parse_duration(value))
    except ValueError:
        raise ValueError(
            "is not a start; write now, earliest, 2026-01-16T10:00:00Z or a duration ago like 2h"
        ) from None


def _instant_ns(match: re.Match[str]) -> int:
    offset = match["offset"]
    if offset is None:
        raise ValueError("is an instant without a time zone; end it with Z or an offset like +01:00")
    try:
        instant = datetime.fromisoformat(match["whole"].upper() + offset.upper())
        elapsed = instant - _EPOCH
    except (ValueError, OverflowError):
        raise ValueError("is not an instant of the calendar; write 2026-01-16T10:00:00Z") from None
    if elapsed < timedelta():
        raise ValueError("is before 1970")
    return elapsed // timedelta(seconds=1) * NS_PER_S + int((match["fraction"] or "").ljust(9, "0"))


def parse_url(value: object) -> str:
    """A base URL with exactly one trailing slash: joining would drop the last segment of one without."""
    if not isinstance(value, str) or not value.isprintable() or " " in value.strip():
        raise ValueError("is not a URL; write https://tenant.powerp.app/rt-api/api/")
    try:
        parts = urlsplit(value.strip())
        is_usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_usable = False
    if not is_usable:
        raise ValueError("is not a URL; write https://tenant.powerp.app/rt-api/api/")
    if parts.username is not None or parts.password is not None:
        raise ValueError("must not hold a user or a password; use client_id and client_secret")
    if parts.query or parts.fragment:
        raise ValueError("must not hold a query or a fragment")
    return value.strip().rstrip("/") + "/"


def is_loopback(host: str) -> bool:
    """Whether only this machine can be meant; a name other than ``localhost`` may lead anywhere."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def is_loopback_or_tls(url: str) -> bool:
    """Whether what is sent to this URL stays out of reach of others on the network."""
    parts = urlsplit(url)
    return parts.scheme == "https" or is_loopback(parts.hostname or "")


def parse_endpoints(value: object) -> tuple[str, ...]:
    """``a:9092,b:9092`` or a list of such."""
    entries: list[object] = list(value.split(",")) if isinstance(value, str) else []
    if isinstance(value, (list, tuple)):
        entries = list(value)
    endpoints = tuple(entry.strip() if isinstance(entry, str) else "" for entry in entries)
    for endpoint in endpoints:
        match = _ENDPOINT.fullmatch(endpoint)
        if match is None or not 0 < int(match[2]) <= 0xFFFF:
            raise ValueError("is not a list of host:port; write broker-1:9092,broker-2:9092")
    if not endpoints and value != [] and value != ():
        raise ValueError("is not a list of host:port; write broker-1:9092,broker-2:9092")
    return endpoints


def parse_topic(value: object) -> str:
    """A name that Kafka takes."""
    if (
        not isinstance(value, str)
        or not re.fullmatch(r"[A-Za-z0-9._-]+", value)
        or len(value) > LONGEST_TOPIC_NAME
        or value in (".", "..")
    ):
        raise ValueError("is not a topic name; letters, digits, dot, underscore and hyphen, at most 249")
    return value


def read_secret_file(file: Path, key: str) -> SecretStr:
    """The content without surrounding white space.

    Raises:
        ConfigurationError: for ``key``; the file cannot be read, or is empty.
    """
    try:
        text = file.read_text("utf-8").strip()
    except OSError as error:
        raise ConfigurationError([(key, f"{file} cannot be read: {error.strerror}")]) from error
    except UnicodeDecodeError:
        raise ConfigurationError([(key, f"{file} is not UTF-8 text")]) from None  # the error would hold the content
    if not text:
        raise ConfigurationError([(key, f"{file} is empty")])
    return SecretStr(text)


# Each type tells in JSON Schema how it is written, as far as a pattern can; what is written is what editors and
# Helm see. The parsers above decide.
Duration = Annotated[
    int,
    BeforeValidator(parse_duration),
    WithJsonSchema({"type": "string", "pattern": f"^(0|{_DURATION.pattern})$", "examples": ["200ms", "15s", "1h30m"]}),
]
"""Integer nanoseconds, never negative, written as ``200ms``."""

StartPoint = Annotated[
    Start,
    PlainValidator(parse_start),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": rf"^(now|earliest|0|{_DURATION.pattern}|\d{{4}}-\d\d-\d\d[Tt ]\d\d:\d\d.*([Zz]|[+-]\d\d:\d\d))$",
            "examples": ["now", "earliest", "2026-01-16T10:00:00Z", "2h"],
        }
    ),
]
BaseUrl = Annotated[
    str,
    BeforeValidator(parse_url),
    WithJsonSchema({"type": "string", "pattern": r"^\s*https?://[^\s/?#@]+[^\s?#]*\s*$"}),
]
Endpoints = Annotated[
    tuple[str, ...],
    BeforeValidator(parse_endpoints),
    WithJsonSchema({"type": "array", "items": {"type": "string", "pattern": rf"^\s*{_ENDPOINT.pattern}\s*$"}}),
]
TopicName = Annotated[
    str,
    BeforeValidator(parse_topic),
    WithJsonSchema({"type": "string", "pattern": r"^[A-Za-z0-9._-]+$", "maxLength": LONGEST_TOPIC_NAME}),
]
Size = Annotated[
    ByteSize,
    Field(gt=0),
    WithJsonSchema(
        {
            "type": ["string", "integer"],
            "pattern": r"^\s*(\d*\.?\d+)\s*([KMGTPEkmgtpe]?i?[Bb])?\s*$",
            "exclusiveMinimum": 0,
            "examples": ["256MiB", "1GiB"],
        }
    ),
]
"""Bytes, written as ``256MiB``."""

Text = Annotated[str, StringConstraints(min_length=1)]
