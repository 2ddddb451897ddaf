"""What may help against a failed query, by the kind of its error (rule 11). Pure."""

from __future__ import annotations

from streamer.errors import BROKEN, INCOMPLETE, OVERSIZE, TIMEOUT

NARROWABLE = frozenset({TIMEOUT, OVERSIZE, INCOMPLETE, "413", "504"})
"""A narrower window may be answered; where it cannot be any narrower, fewer signals may."""

DIVISIBLE = frozenset({BROKEN, "400", "404", "422", "500"})
"""Fewer signals may be answered. Never 401, 403, 429 and 503: they are not about what was asked for."""
