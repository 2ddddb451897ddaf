"""What every kind of test may ask for."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.kafka_broker import Broker
from tests.support.local_kafka import any_kafka, local_kafka
from tests.support.required import required

LONGEST_FIRST = (
    "tests/integration/test_real_faults.py",
    "tests/integration/",
    "tests/contract/",
    "tests/scenarios/",
    "tests/simulation/",
)
"""Where several processes share the tests, these come first: a long file that is begun last keeps one of them alone.

What waits for processes and for Kafka is before what computes, so that each has the other beside it.
"""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(session: pytest.Session, items: list[pytest.Item]) -> None:
    """Arrange the files for several processes; what is equal keeps its random order."""
    if hasattr(session.config, "workerinput"):  # one of several, as pytest-xdist tells it
        items.sort(key=lambda item: [not item.nodeid.startswith(place) for place in LONGEST_FIRST])


@pytest.fixture(scope="session")
def kafka_bootstrap() -> Iterator[str]:
    """The bootstrap servers of a real Kafka; the test is skipped where none can be had, or fails in CI."""
    yield from required(any_kafka())


@pytest.fixture(scope="session")
def local_broker() -> Iterator[Broker]:
    """A broker of our own on loopback, for faults; the test is skipped where none can be had, or fails in CI."""
    yield from required(local_kafka())
