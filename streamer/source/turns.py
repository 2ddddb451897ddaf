"""Which lane goes next. Pure: the lanes that wait come in.

The better lane goes first, and none starves: whoever is passed over earns credit, and at a full price is owed a turn.
"""

from __future__ import annotations

from collections.abc import Sequence

from streamer.model import Lane

PRICE = 100
SHARE = {Lane.LIVE: 50, Lane.REVISIT: 20, Lane.REPAIR: 15, Lane.CATCH_UP: 10, Lane.BACKFILL: 5}
"""What a waiting lane earns with each turn; at the price it goes first and pays it. In percent: sums are exact."""


class Turns:
    """The credit of all lanes. Under load of all of them each has its share of the turns, over any hundred or so."""

    def __init__(self) -> None:
        self._credit = dict.fromkeys(Lane, 0)

    def next(self, waiting: Sequence[Lane]) -> Lane:
        """Whose turn it is among those that wait (one at least)."""
        owed = max(waiting, key=lambda lane: self._credit[lane])
        return owed if self._credit[owed] >= PRICE else min(waiting)

    def took(self, lane: Lane, waiting: Sequence[Lane]) -> None:
        """A lane had its turn; ``waiting`` as given to ``next``."""
        is_owed = self._credit[lane] >= PRICE
        if is_owed:
            self._credit[lane] -= PRICE
        for other in waiting:
            if is_owed or other is not lane:  # who goes by priority is not passed over and earns nothing
                self._credit[other] += SHARE[other]
