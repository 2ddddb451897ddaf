"""Clients that are closed while somebody waits for them to be."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from streamer.bus.kafka_clients import closed


async def swallows() -> None:
    """As aiokafka's client does."""
    with suppress(asyncio.CancelledError):
        await asyncio.Event().wait()


async def test_a_cancellation_that_a_client_swallows_while_it_is_closed_counts_all_the_same() -> None:
    closing = asyncio.create_task(closed(swallows()))
    await asyncio.sleep(0)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing


async def test_a_deadline_that_a_client_swallows_while_it_is_closed_counts_all_the_same() -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await closed(swallows())


async def test_a_client_that_is_closed_undisturbed_is_closed() -> None:
    await closed(asyncio.sleep(0))
