"""A record as ``tail`` and other readers see it, on either bus."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Record(NamedTuple):
    """A committed record. ``topic`` is the logical name (``samples``), whatever the topic is called."""

    topic: str
    partition: int
    offset: int
    key: str | None
    headers: Mapping[str, str]
    value: bytes
    timestamp_ns: int
