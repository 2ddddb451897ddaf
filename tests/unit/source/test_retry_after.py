"""How long the service asks us to wait."""

from __future__ import annotations

import pytest

from streamer.model import NS_PER_S
from streamer.source.retry_after import LONGEST_WAIT_S, parse_http_date, parse_retry_after

DATE = "Fri, 16 Jan 2026 12:00:00 GMT"
DATE_NS = 1_768_564_800 * NS_PER_S


def test_a_date_is_read_to_the_second() -> None:
    assert parse_http_date(DATE) == DATE_NS


@pytest.mark.parametrize("text", [None, "", "soon", "Fri, 99 Jan 2026 12:00:00 GMT", "1 2 3 4 5 6 7"])
def test_a_date_that_is_none_is_none(text: str | None) -> None:
    assert parse_http_date(text) is None


@pytest.mark.parametrize(
    ("text", "wait_s"),
    [
        ("7", 7.0),
        (" 1.5 ", 1.5),
        ("Fri, 16 Jan 2026 12:00:30 GMT", 30.0),
        ("86400", LONGEST_WAIT_S),
        ("9" * 5_000, LONGEST_WAIT_S),
        ("Sat, 17 Jan 2026 12:00:00 GMT", LONGEST_WAIT_S),
    ],
)
def test_seconds_and_dates_are_understood_up_to_an_hour(text: str, wait_s: float) -> None:
    assert parse_retry_after(text, DATE_NS) == wait_s


@pytest.mark.parametrize("text", [None, "", "0", "-5", "soon", "NaN", "inf", "٣", "Fri, 16 Jan 2026 11:59:00 GMT"])
def test_garbage_is_ignored(text: str | None) -> None:
    assert parse_retry_after(text, DATE_NS) is None


def test_a_date_means_nothing_without_the_answers_own() -> None:
    assert parse_retry_after("Fri, 16 Jan 2026 12:00:30 GMT", None) is None
