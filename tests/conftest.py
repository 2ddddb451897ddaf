"""What every kind of test may ask for."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.support.local_kafka import NoKafka, any_kafka


@pytest.fixture(scope="session")
def kafka_bootstrap() -> Iterator[str]:
    """The bootstrap servers of a real Kafka; the test is skipped where none can be had, or fails in CI."""
    try:
        with any_kafka() as servers:
            yield servers
    except NoKafka as exc:
        if os.environ.get("STREAMER_REQUIRE_KAFKA") == "1":
            pytest.fail(f"STREAMER_REQUIRE_KAFKA=1, and there is {exc}")
        pytest.skip(str(exc))
