"""What every kind of test may ask for."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import TypeVar

import pytest

from tests.support.kafka_broker import Broker
from tests.support.kafka_jars import NoKafka
from tests.support.local_kafka import any_kafka, local_kafka

_T = TypeVar("_T")


@pytest.fixture(scope="session")
def kafka_bootstrap() -> Iterator[str]:
    """The bootstrap servers of a real Kafka; the test is skipped where none can be had, or fails in CI."""
    yield from _required(any_kafka())


@pytest.fixture(scope="session")
def local_broker() -> Iterator[Broker]:
    """A broker of our own on loopback, for faults; the test is skipped where none can be had, or fails in CI."""
    yield from _required(local_kafka())


def _required(kafka: AbstractContextManager[_T]) -> Iterator[_T]:
    try:
        with kafka as running:
            yield running
    except NoKafka as exc:
        if os.environ.get("STREAMER_REQUIRE_KAFKA") == "1":
            pytest.fail(f"STREAMER_REQUIRE_KAFKA=1, and there is {exc}")
        pytest.skip(str(exc))
