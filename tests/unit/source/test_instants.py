"""Instants keep every digit and are exact integers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.model import instant_text
from streamer.source.instants import InstantCache, InvalidInstant, parse_instant

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
moments = st.datetimes(min_value=datetime(1, 1, 3), max_value=datetime(9999, 12, 29))
offsets = st.integers(min_value=-14 * 60, max_value=14 * 60)


def nanoseconds(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(microseconds=1) * 1000


@given(moments, offsets)
def test_an_instant_is_what_datetime_says(moment: datetime, offset_min: int) -> None:
    local = moment.replace(tzinfo=timezone(timedelta(minutes=offset_min)))
    instant_ns, text = parse_instant(local.isoformat())
    assert instant_ns == nanoseconds(local)
    assert text.endswith("Z")
    assert parse_instant(text) == (instant_ns, text)


@given(st.integers(min_value=-(2**62), max_value=2**62))
def test_a_written_instant_is_read_back_exactly(instant_ns: int) -> None:
    text = instant_text(instant_ns)
    assert parse_instant(text) == (instant_ns, text)


@given(moments, st.text("0123456789", min_size=1, max_size=9), st.sampled_from(["", "Z", "+02:00", "-0530"]))
def test_digits_are_kept(moment: datetime, digits: str, zone: str) -> None:
    whole = moment.replace(microsecond=0).isoformat()
    instant_ns, text = parse_instant(f"{whole}.{digits}{zone}")
    assert text.endswith(f".{digits}Z")
    assert instant_ns % 1_000_000_000 == int(digits.ljust(9, "0"))


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("2026-01-16T10:00:00.2Z", "2026-01-16T10:00:00.2Z"),
        ("2026-01-16T10:00:00.2000000", "2026-01-16T10:00:00.2000000Z"),
        ("2026-01-16T01:00:00+02:00", "2026-01-15T23:00:00Z"),
        ("2026-01-16 10:00:00z", "2026-01-16T10:00:00Z"),
        ("2026-01-16T10:00:00-00:00", "2026-01-16T10:00:00Z"),
    ],
)
def test_events_have_utc_and_the_sources_digits(text: str, canonical: str) -> None:
    assert parse_instant(text)[1] == canonical


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "2026-01-16",
        "2026-02-30T00:00:00Z",
        "2026-01-16T24:00:00Z",
        "2026-01-16T10:60:00Z",
        "2026-01-16T10:00:60Z",
        "2026-01-16T10:00:00.Z",
        "2026-01-16T10:00:00.0000000001Z",
        "2026-01-16T10:00:00+25:00",
        "0000-01-01T00:00:00Z",
        "0001-01-01T00:00:00+02:00",
        "9999-12-31T23:59:59-01:00",
        "2026-01-16T10:00:00Z\n",
        "２026-01-16T10:00:00Z",  # noqa: RUF001 - a full-width digit
    ],
)
def test_what_is_no_instant_is_refused(text: str) -> None:
    with pytest.raises(InvalidInstant):
        parse_instant(text)


def test_the_cache_forgets_only_when_trimmed() -> None:
    cache = InstantCache(limit=2)
    texts = [f"2026-01-16T10:00:0{second}" for second in range(3)]
    instants = cache.instants(texts)
    assert len(cache) == 3
    assert cache.event_texts(texts) == [f"{text}Z" for text in texts]
    cache.trim()
    assert len(cache) == 0
    assert cache.instants(texts) == instants
    assert cache.event_texts(texts) == [f"{text}Z" for text in texts]
