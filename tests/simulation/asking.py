"""The client of the API, watched: no two questions about an instant of a signal may be open at once (rule 7).

Its errors are looked at as well: they hold no secret, whoever may show them.
"""

from __future__ import annotations

import asyncio

from streamer.errors import SourceError
from streamer.model import Answer, Query
from streamer.source.client import ApiClient
from tests.simulation.chronicle import SECRET_MARK
from tests.simulation.service import Violation, asking


class WatchedClient(ApiClient):
    """Asks as the real one does. A question is open until the task that asked it ends: in flight or uncommitted."""

    _open: dict[asyncio.Task[object], Query] | None = None

    async def query(self, query: Query) -> Answer:
        """See ``ApiClient``. Raises Violation."""
        task = asyncio.current_task()
        assert task is not None
        others = {asker: other for asker, other in (self._open or {}).items() if not asker.done() and asker is not task}
        for other in others.values():
            if other.window.overlaps(query.window) and not set(other.series).isdisjoint(query.series):
                raise Violation(
                    f"two questions at once: {query.lane.name} {query.window}, {other.lane.name} {other.window}"
                )
        self._open = {**others, task: query}
        asking.set(object())
        try:
            return await super().query(query)
        except SourceError as exc:
            if SECRET_MARK in f"{exc} {exc!r} {exc.what} {exc.remedy}":
                raise Violation(f"a secret in an error: {exc!r}") from None
            raise
