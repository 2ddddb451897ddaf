"""The rows of a JSON array, found without decoding the array whole.

What a body costs in memory must not depend on who wrote it: 32 MiB of ``0,`` would become 16 million objects. So long
bodies are cut into pieces, and a body that does not decode is walked row by row. Called by ``wire`` and
``catalogue_wire``; what a row says is theirs to judge.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from streamer.errors import BROKEN, QueryFailed
from streamer.source.transport import Body

PIECE_BYTES = 1 << 20
"""A piece has about 16,000 points, 3 MB when decoded."""

LONGEST_ROW_BYTES = 1 << 20
"""A longer row is not looked into: a point has a hundred bytes, a signal of the catalogue some hundreds."""

MOST_TOKENS = 1_000_000
"""Brackets and strings of rows that hold others, in one body: half a second of work."""

_SPACE = rb"[ \t\r\n]*+"
_STRING = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_FILLING = rb'[^"{}\[\]]*+(?:' + _STRING + rb'[^"{}\[\]]*+)*+'
_CUT = re.compile(rb"\}" + _SPACE + rb"," + _SPACE + rb"(?=\{)")
_OPENING = re.compile(_SPACE + rb"\[" + _SPACE)
_CLOSING = re.compile(rb"\]" + _SPACE + rb"\Z")
_SEPARATOR = re.compile(_SPACE + rb"," + _SPACE)
_REST = re.compile(_SPACE + rb"\]" + _SPACE + rb"\Z")
_FLAT = re.compile(rb"\{" + _FILLING + rb"\}|\[" + _FILLING + rb"\]|" + _STRING + rb'|[^"{}\[\], \t\r\n]++', re.DOTALL)
_TOKEN = re.compile(_STRING + rb"|[{\[]++|[}\]]++", re.DOTALL)

_NAN = re.compile(rb"(:\s*)NaN(?=\s*[,}])")
_INFINITY = re.compile(rb"(:\s*)(-?Infinity)(?=\s*[,}])")
_CONTROL = re.compile(rb"[\x00-\x1f]")
_HIGH, _LOW = rb"\\u[dD][89abAB][0-9a-fA-F]{2}", rb"\\u[dD][c-fC-F][0-9a-fA-F]{2}"
_LONE_SURROGATE = re.compile(rb"%b(?!%b)|(?<!%b)%b" % (_HIGH, _LOW, _HIGH, _LOW))


class Uncut(ValueError):
    """The body cannot be cut into pieces."""


def pieces(body: Body) -> Iterator[Body]:
    """The array as arrays of one to two ``PIECE_BYTES`` that follow each other; a short one as it is.

    Cut where one object ends and the next begins, as it seems: a cut within a text or a nested object gives pieces
    that are no JSON. When all of them are, they hold what the array holds.

    Raises:
        Uncut: no object ends for so long.
    """
    start, opening = 0, b""
    while len(body) - start > 2 * PIECE_BYTES:
        cut = _CUT.search(body, start + PIECE_BYTES, start + 2 * PIECE_BYTES)
        if cut is None:
            raise Uncut
        yield opening + body[start : cut.start() + 1] + b"]"
        start, opening = cut.end(), b"["
    yield opening + body[start:] if start else body


def rows(body: Body) -> Iterator[bytes]:
    """Each row of the array, whether it can be read or not; one that is too long is empty.

    Raises:
        QueryFailed: the body is no JSON array, or what follows is not a row of one; rows before it were given.
    """
    opening = _OPENING.match(body)
    if opening is None:
        raise _broken(body)
    at = opening.end()
    if _CLOSING.match(body, at):
        return
    tokens = 0
    while True:
        flat = _FLAT.match(body, at)
        if flat is not None:
            end = flat.end()
        else:
            end, spent = _end_of_nested(body, at, MOST_TOKENS - tokens)
            tokens += spent
        yield bytes(body[at:end]) if end - at <= LONGEST_ROW_BYTES else b""
        separator = _SEPARATOR.match(body, end)
        if separator is None:
            break
        at = separator.end()
    if _REST.match(body, end) is None:
        raise _broken(body)


def mended(row: bytes) -> bytes:
    """A row as its writer may have meant it: NaN is null, Infinity a text, a control character a blank.

    None of these is JSON, nor is half of a surrogate pair a character, yet lenient encoders write them: one such
    value must not cost more than itself.
    """
    numbers = _INFINITY.sub(rb'\1"\2"', _NAN.sub(rb"\1null", row))
    return _LONE_SURROGATE.sub(rb"\\ufffd", _CONTROL.sub(b" ", numbers))


def _end_of_nested(body: Body, at: int, most_tokens: int) -> tuple[int, int]:
    """Where the object at a place ends, and how many tokens it took to find that."""
    if body[at : at + 1] != b"{":
        raise _broken(body)
    depth = 0
    for count, token in enumerate(_TOKEN.finditer(body, at), 1):
        start, end = token.span()
        first = body[start : start + 1]
        if first in b"{[":
            depth += end - start
        elif first in b"}]":
            if depth <= end - start:
                return start + depth, count
            depth -= end - start
        if count > most_tokens:
            break
    raise _broken(body)


def _broken(body: Body) -> QueryFailed:
    return QueryFailed(f"The answer ({len(body)} bytes) is not a JSON array of flat objects.", status=200, kind=BROKEN)
