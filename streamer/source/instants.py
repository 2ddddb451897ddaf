"""Instants as the API writes them: ISO 8601 text to integer nanoseconds and back, exactly.

Called by ``wire`` for every sample, so whole texts are cached: signals of one plant share their instants.
Nothing here ever passes through a float.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date

from streamer.model import EPOCH_DAY, NS_PER_S, second_text

CACHED_TEXTS = 10_000
"""Texts kept between two answers: about 3 MB; half an hour of a 5 Hz grid, as long as raw queries get.

Signals of one answer share their instants however many there are.
"""

_ISO = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(Z|z|[+-]\d\d(?::?\d\d)?)?",
    re.ASCII,
)
_S_PER_DAY = 86_400


class InvalidInstant(ValueError):
    """A text that is no ISO 8601 instant of at most nine fractional digits. Its row cannot be read."""


def parse_instant(text: str) -> tuple[int, str]:
    """Read an instant; without ``Z`` or an offset it is UTC (v1 leaves the ``Z`` out at times).

    Returns:
        Nanoseconds since the epoch, and the text as events write it: UTC, ``Z``, the source's own digits.

    Raises:
        InvalidInstant: not an instant, more than nine fractional digits, or outside the years 1 to 9999.
    """
    match = _ISO.fullmatch(text)
    if match is None:
        raise InvalidInstant(text)
    year, month, day, hour, minute, second, fraction, zone = match.groups()
    if hour > "23" or minute > "59" or second > "59":
        raise InvalidInstant(text)
    try:
        days = date(int(year), int(month), int(day)).toordinal() - EPOCH_DAY
        seconds = days * _S_PER_DAY + int(hour) * 3600 + int(minute) * 60 + int(second) - _offset_s(zone)
        canonical = text if zone == "Z" and text[10] == "T" else second_text(seconds) + _fraction_text(fraction) + "Z"
    except (ValueError, OverflowError) as exc:
        raise InvalidInstant(text) from exc
    return seconds * NS_PER_S + (int(fraction.ljust(9, "0")) if fraction else 0), canonical


class InstantCache(dict[str, int]):
    """Whole texts and their instants; a text that is not known yet is parsed.

    Most texts are already what events write; the few that are not are kept in ``_renamed``. Neither shrinks
    while rows are being read: ``trim`` is for the moment after.
    """

    def __init__(self, limit: int = CACHED_TEXTS) -> None:
        super().__init__()
        self._limit = limit
        self._renamed: dict[str, str] = {}

    def __missing__(self, text: str) -> int:
        instant_ns, canonical = parse_instant(text)
        if canonical != text:
            self._renamed[text] = canonical
        self[text] = instant_ns
        return instant_ns

    def instants(self, texts: Sequence[str]) -> list[int]:
        """The instants of the texts, in their order.

        Raises:
            InvalidInstant: one of them is none.
        """
        return list(map(self.__getitem__, texts))

    def event_texts(self, texts: list[str]) -> list[str]:
        """The texts as events write them; all must have been through ``instants`` since the last ``trim``."""
        if not self._renamed:
            return texts
        return [self._renamed.get(text, text) for text in texts]

    def trim(self) -> None:
        """Forget everything once there is more than the limit."""
        if len(self) > self._limit:
            self.clear()
            self._renamed.clear()


def _offset_s(zone: str | None) -> int:
    if zone is None or zone in "Zz":
        return 0
    hours, minutes = int(zone[1:3]), int(zone[3:].lstrip(":") or 0)
    if hours > 23 or minutes > 59:
        raise ValueError(zone)
    return (hours * 3600 + minutes * 60) * (-1 if zone[0] == "-" else 1)


def _fraction_text(digits: str | None) -> str:
    return f".{digits}" if digits else ""
