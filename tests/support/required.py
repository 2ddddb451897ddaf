"""A Kafka that a test needs: where none can be had the test is skipped, or fails in CI."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import TypeVar

import pytest

from tests.support.kafka_jars import NoKafka

_T = TypeVar("_T")


def required(kafka: AbstractContextManager[_T]) -> Iterator[_T]:
    """What the context gives, for a fixture to yield from."""
    try:
        with kafka as running:
            yield running
    except NoKafka as exc:
        if os.environ.get("STREAMER_REQUIRE_KAFKA") == "1":
            pytest.fail(f"STREAMER_REQUIRE_KAFKA=1, and there is {exc}")
        pytest.skip(str(exc))
