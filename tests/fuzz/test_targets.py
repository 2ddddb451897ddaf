"""The targets under Hypothesis: bodies that are nearly right, and bytes that are not even that."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.targets import SEEDS, TARGETS

FRAGMENTS = st.sampled_from(
    [
        *(b"[", b"]", b"{", b"}", b",", b":", b'"', b"\\", b"null", b"true", b"-", b"0", b"1e400", b"-0.0", b"NaN"),
        *(b"9" * 20, b"9" * 5_000, b"[" * 5_000, b"{a: " * 3_000, b"\\ud800", b"\\u0000", b"\xff", b"\xed\xa0\x80"),
        *(
            b"\n",
            b"\r",
            b"\x1b",
            b"\x00",
            "\u202e".encode(),
            b"\xef\xbb\xbf",
            b'"index":1',
            b"!!",
            b"&a ",
            b"*a",
            b"? ",
        ),
    ]
)


@st.composite
def nearly_right(draw: st.DrawFn, name: str) -> bytes:
    """A good body with some of it replaced, taken away or said twice."""
    body = draw(st.sampled_from(SEEDS[name]))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(body)))
        end = draw(st.integers(start, min(len(body), start + 40)))
        middle = draw(st.one_of(FRAGMENTS, st.binary(max_size=8), st.just(body[start:end] * 2)))
        body = body[:start] + middle + body[end:]
    return body


@pytest.mark.parametrize("name", sorted(TARGETS))
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_a_body_that_is_nearly_right_is_no_surprise(name: str, data: st.DataObject) -> None:
    TARGETS[name](data.draw(nearly_right(name)))


@pytest.mark.parametrize("name", sorted(TARGETS))
@settings(max_examples=50, deadline=None)
@given(body=st.binary(max_size=200))
def test_bytes_are_no_surprise(name: str, body: bytes) -> None:
    TARGETS[name](body)


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_what_is_right_is_no_surprise_either(name: str) -> None:
    for body in SEEDS[name]:
        TARGETS[name](body)
