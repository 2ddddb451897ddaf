"""What may be written where people and programs read: values without secrets, text without control characters.

Called by ``logs.py`` for every value of every record, and by whoever shows text from outside to an operator.
It must never raise for a value that it does not know, and never write the ``repr`` of an exception: that of
aiohttp's ClientResponseError holds the request's headers, and with them the bearer token.
"""

from __future__ import annotations

import json
import math
import re
from collections import deque
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from enum import Enum

from pydantic import SecretBytes, SecretStr

REDACTED = "**********"

MINTED_SECRETS_KEPT = 32
"""Tokens live one hour; older ones are expired, and what writes them as a bearer is caught by its pattern."""

SHORTEST_SECRET_IN_TEXT = 6
"""A shorter secret is redacted only where it is a whole value: replacing ``demo`` everywhere would ruin the log."""

DEEPEST_LEVEL = 8
"""Nesting past this is not followed, so that a value that contains itself ends."""

_UNSAFE_CODE_POINTS = (
    *range(0x20),  # C0: newline, ESC
    *range(0x7F, 0xA0),  # DEL, C1 (0x9B starts a terminal sequence just as ESC does)
    0x061C,
    *range(0x200E, 0x2010),
    *range(0x2028, 0x202F),  # line and paragraph separators, bidi embeddings and overrides
    *range(0x2066, 0x206A),  # bidi isolates
    *range(0xD800, 0xE000),  # lone surrogates, which no UTF-8 stream takes
    0xFEFF,
)
_ESCAPES = {point: chr(point).encode("unicode_escape").decode("ascii") for point in _UNSAFE_CODE_POINTS}

_SECRET_KEY = re.compile(
    r"(authorization|cookie|password|passwd|secret|token|credential|api[-_]?key)s?$", re.IGNORECASE
)
_NAMES_OF_SECRETS = r"[\w-]{0,40}(?:secret|password|passwd|token|authorization|cookie|credentials?|api[-_]?key)"
_SECRET_PATTERNS = (
    re.compile(r"(?i)(\bbearer(?:\s|%20|\+|\\[nrt])+[\"']?)[^\s\"'<>,;)}\]]+"),
    re.compile(r"(?i)(\bbasic\s+)[a-z0-9+/]{8,}=*"),
    re.compile(r"()\beyJ[\w-]+\.[\w-]+\.[\w-]*"),  # a JSON web token
    re.compile(r"(://[^\s/@:]*:)[^\s/@]+(?=@)"),  # user:password in a URL
    re.compile(rf"(?i)(\b{_NAMES_OF_SECRETS}=[\"']?)[^\s\"'&,;)}}\]]+"),  # form body, query string, keyword argument
    re.compile(rf"(?i)([\"']{_NAMES_OF_SECRETS}[\"']\s*[:,]\s*b?\")(?:[^\"\\]|\\.)*"),  # JSON, or repr of headers
    re.compile(rf"(?i)([\"']{_NAMES_OF_SECRETS}[\"']\s*[:,]\s*b?')(?:[^'\\]|\\.)*"),
    re.compile(r"(?i)(\b(?:authorization|(?:set-)?cookie):\s*)[^\r\n]+"),  # a header as it is sent
)

_configured: set[str] = set()
_minted: deque[str] = deque(maxlen=MINTED_SECRETS_KEPT)
_registered: re.Pattern[str] | None = None


def configure_secrets(secrets: Iterable[str]) -> None:
    """Start over with the secrets of the configuration; these are never forgotten. Empty ones are ignored."""
    _configured.clear()
    _configured.update(secret for secret in secrets if secret)
    _minted.clear()
    _compile_registered()


def register_secret(secret: str) -> None:
    """Have a secret that came up later (a token, a rotated file) redacted from now on. Idempotent."""
    if not secret or secret in _configured:
        return
    if secret in _minted:
        _minted.remove(secret)
    _minted.append(secret)
    _compile_registered()


def safe_text(text: str) -> str:
    """One line: secrets replaced, control and bidi characters written as escapes (backslash n, backslash u202e)."""
    return _without_secrets(text).translate(_ESCAPES)


def safe_lines(text: str) -> list[str]:
    """As ``safe_text``, a line at a time; for tracebacks. Secrets that span lines are found first."""
    return [line.translate(_ESCAPES) for line in _without_secrets(text).split("\n")]


def safe_exception(error: BaseException) -> str:
    """``Class: message`` and, after ``; from``, the same of each cause. One line."""
    parts: list[str] = []
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        parts.append(_described(link))
        link = link.__cause__
    return safe_text("; from ".join(parts))


def safe_value(value: object, depth: int = 0) -> object:
    """The value as plain data of JSON (finite numbers, text, lists, maps), safe to write. Secrets go by type too."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, (SecretStr, SecretBytes)):
        return REDACTED
    if isinstance(value, Enum):
        return safe_text(value.name)
    if isinstance(value, (int, float)):
        return _safe_number(value)
    if isinstance(value, BaseException):
        return safe_exception(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return safe_text(bytes(value).decode("utf-8", "backslashreplace"))
    if isinstance(value, (Mapping, list, tuple, deque, AbstractSet)):
        return _safe_container(value, depth)
    return safe_text(str(value))


def safe_item(key: str, value: object, depth: int = 0) -> object:
    """As ``safe_value``, for the value under ``key``: text under a name such as ``authorization`` is redacted."""
    if isinstance(value, (str, bytes, bytearray)) and _SECRET_KEY.search(key):
        return REDACTED
    return safe_value(value, depth)


def _safe_number(value: int | float) -> object:
    if isinstance(value, int):
        text = str(int(value))
        return REDACTED if text in _configured or text in _minted else int(value)
    return float(value) if math.isfinite(value) else str(value)


def _safe_container(
    value: Mapping[object, object] | list[object] | tuple[object, ...] | deque[object] | AbstractSet[object],
    depth: int,
) -> object:
    if depth >= DEEPEST_LEVEL:
        return "..."
    if isinstance(value, Mapping):
        return {safe_text(str(key)): safe_item(str(key), inner, depth + 1) for key, inner in value.items()}
    return [safe_value(inner, depth + 1) for inner in value]


def _described(error: BaseException) -> str:
    name = type(error).__name__
    if type(error).__str__ is BaseException.__str__ and any(not isinstance(arg, str) for arg in error.args):
        # The default text is the repr of the arguments, and an argument may be another exception.
        text = ", ".join(str(safe_value(arg)) for arg in error.args)
    else:
        text = str(error)
    return f"{name}: {text}" if text else name


def _without_secrets(text: str) -> str:
    if text in _configured or text in _minted:
        return REDACTED
    if _registered is not None:
        text = _registered.sub(REDACTED, text)
    for pattern in _SECRET_PATTERNS:
        text = pattern.sub(rf"\1{REDACTED}", text)
    return text


def _compile_registered() -> None:
    """The longest first, so that a secret that starts with another goes as a whole."""
    global _registered  # logging is the process's: one registry, replaced whole
    searched = (secret for secret in (*_configured, *_minted) if len(secret) >= SHORTEST_SECRET_IN_TEXT)
    longest_first = sorted(searched, key=lambda secret: (-len(secret), secret))
    _registered = re.compile("|".join(map(_any_form, longest_first))) if longest_first else None
    re.purge()  # it would keep the last 512 patterns, each as long as all tokens that are kept


def _any_form(secret: str) -> str:
    """Each character as it is or as a URL, a form, a repr or JSON writes it; they differ in what they leave alone."""
    return "".join(
        character if character.isascii() and character.isalnum() else _any_form_of_one(character)
        for character in secret
    )


def _any_form_of_one(character: str) -> str:
    encoded = character.encode("utf-8", "surrogatepass")
    percent = "".join(f"%(?i:{byte:02x})" for byte in encoded)
    escaped = character.encode("unicode_escape").decode("ascii")
    forms = {character, "\\" + character, escaped, json.dumps(character)[1:-1]}
    if character == " ":
        forms.add("+")
    longest_first = sorted(forms, key=lambda form: (-len(form), form))
    return "(?:" + "|".join([percent, *map(re.escape, longest_first)]) + ")"
