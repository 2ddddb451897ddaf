"""Dates in HTTP headers: what an answer's ``Date`` says, and how long its ``Retry-After`` asks us to wait."""

from __future__ import annotations

import calendar
import re
from email.utils import parsedate_to_datetime

from streamer.model import NS_PER_S

LONGEST_WAIT_S = 3600.0
"""A service that asks for more than an hour is asked again after an hour: outages end before their estimate."""

_SECONDS = re.compile(r"\d+(?:\.\d+)?", re.ASCII)


def parse_http_date(text: str | None) -> int | None:
    """Nanoseconds since the epoch of an HTTP date (whole seconds), None when absent or unreadable."""
    if not text:
        return None
    try:
        return calendar.timegm(parsedate_to_datetime(text.strip()).utctimetuple()) * NS_PER_S
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def parse_retry_after(text: str | None, date_ns: int | None) -> float | None:
    """Seconds to wait, at most ``LONGEST_WAIT_S``; None when there is nothing usable.

    Args:
        text: the header: seconds, or an HTTP date.
        date_ns: the same answer's ``Date``: a date is read against it, never against this host's clock.
    """
    if not text:
        return None
    text = text.strip()
    if _SECONDS.fullmatch(text):
        wait_s = float(text)
    else:
        until_ns = parse_http_date(text)
        if until_ns is None or date_ns is None:
            return None
        wait_s = (until_ns - date_ns) / NS_PER_S
    return min(wait_s, LONGEST_WAIT_S) if wait_s > 0 else None
