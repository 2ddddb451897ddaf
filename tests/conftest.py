"""What every kind of test may ask for."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.kafka_broker import Broker
from tests.support.local_kafka import any_kafka, local_kafka
from tests.support.required import required


@pytest.fixture(scope="session")
def kafka_bootstrap() -> Iterator[str]:
    """The bootstrap servers of a real Kafka; the test is skipped where none can be had, or fails in CI."""
    yield from required(any_kafka())


@pytest.fixture(scope="session")
def local_broker() -> Iterator[Broker]:
    """A broker of our own on loopback, for faults; the test is skipped where none can be had, or fails in CI."""
    yield from required(local_kafka())
