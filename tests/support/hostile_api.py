"""An API that means harm, on loopback: whatever can be wrong with an answer, byte for byte.

The first segment of a path says what is done to whoever asks below it; a token is always minted, unless the token is
what is attacked. ``BODIES`` are well-formed HTTP with a body that is not, ``WIRES`` are not even HTTP. Below ``PLANT``
there is a catalogue, and each query meets the next of ``IN_TURN``.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.utils import formatdate
from functools import cache
from itertools import cycle, islice
from threading import Thread

MIB = 1024 * 1024
ROW = b'{"index":%d,"timestamp":"2026-01-16T12:%02d:%02d.%07dZ","value":%d.5}'
BLANKS = b" " * MIB

Chunks = Iterator[bytes | float]
"""What is written; a number is a pause in seconds."""


def head(*headers: str, status: str = "200 OK", content_type: str = "application/json") -> bytes:
    lines = (f"HTTP/1.1 {status}", f"Date: {formatdate(usegmt=True)}", f"Content-Type: {content_type}", *headers)
    return "\r\n".join((*lines, "Connection: close", "", "")).encode()


def whole(body: bytes, *headers: str, status: str = "200 OK", content_type: str = "application/json") -> Chunks:
    yield head(*headers, f"Content-Length: {len(body)}", status=status, content_type=content_type)
    yield body


def point(number: int, index: int | None = None) -> bytes:
    """One of up to 36 million rows of signal 1, or of another, each at an instant of its own."""
    return ROW % (1 if index is None else index, number // 600_000 % 60, number // 10_000 % 60, number % 10_000, number)


def listed(rows: Iterator[bytes]) -> bytes:
    return b"[" + b",".join(rows) + b"]"


def filled(row: Callable[[int], bytes], most_bytes: int = 32 * MIB) -> bytes:
    """An array of as many rows as there is room for."""
    count = most_bytes // (len(row(10_000_000)) + 1)
    return listed(map(row, range(count)))


@cache
def bomb(bits: int) -> bytes:
    """1.2 GB of blanks, a megabyte when compressed."""
    squeeze = zlib.compressobj(1, zlib.DEFLATED, bits)
    return b"".join(squeeze.compress(BLANKS) for _ in range(1_200)) + squeeze.flush()


def exploding(bits: int, coding: str, step_bytes: int) -> Chunks:
    """The bomb in steps."""
    yield head(f"Content-Encoding: {coding}")
    packed = bomb(bits)
    for at in range(0, len(packed), step_bytes):
        yield packed[at : at + step_bytes]


def many_members() -> Chunks:
    """1.2 GB in 1,200 files of gzip, one behind the other."""
    yield head("Content-Encoding: gzip")
    member = gzip.compress(BLANKS)
    for _ in range(1_200):
        yield member


def entry(number: int) -> bytes:
    """A signal whose texts take four bytes a character as soon as they are decoded."""
    text = "\N{FACTORY}" + "x" * 400
    shown = {"databaseId": 7, "index": number, "tag": text, "name": text, "description": text, "unitSymbol": "MW"}
    return json.dumps(shown, ensure_ascii=False).encode()


INSTANTS = (
    '"9999-12-31T23:59:59.9999999Z"',
    '"0001-01-01T00:00:00Z"',
    '"-2026-01-16T12:00:00Z"',
    '"2026-01-16T12:00:00.' + "1" * 30 + 'Z"',
    '"2026-01-16T12:00:00+99:99"',
    '"2026-01-16T12:00:00-99:99"',
    '"2026-02-30T12:00:00Z"',
    '"2026-01-16T24:00:00Z"',
    '"2026-01-16T12:00:60Z"',
    '"\\ud800"',
    '"\\u0000"',
    '"٢٠٢٦-01-16T12:00:00Z"',
    '""',
    "1768564800",
    "null",
    "[]",
    "{}",
)
"""Where an instant belongs."""

_ODD = b",".join(b'{"index":2,"timestamp":%s,"value":1}' % text.encode() for text in INSTANTS)

BODIES: dict[str, Callable[[], Chunks]] = {
    "bomb_of_gzip": lambda: exploding(31, "gzip", 1_000),
    "bomb_of_gzip_at_once": lambda: exploding(31, "gzip", 16 * MIB),
    "bomb_of_deflate": lambda: exploding(15, "deflate", 16 * MIB),
    "bomb_of_many_members": many_members,
    "encoding_that_is_not_gzip": lambda: whole(b"[]", "Content-Encoding: gzip"),
    "encoding_unknown": lambda: whole(b"\x1b\x00\x80", "Content-Encoding: br, compress, x-powerp"),
    "blanks_without_end": lambda: iter([head(), *[BLANKS] * 40]),
    "honest_rows_up_to_the_limit": lambda: whole(filled(point)),
    "shuffled_rows": lambda: whole(listed(map(point, islice(reversed(range(600_000)), 99_999)))),
    "as_many_rows_as_allowed": lambda: whole(listed(map(point, range(100_000))) + BLANKS * 25),
    "foreign_indexes": lambda: whole(filled(lambda number: point(number, 1_000_000 + number))),
    "zeros": lambda: whole(b"[" + b"0," * (16 * MIB - 2) + b"0]"),
    "empty_objects": lambda: whole(b"[" + b"{}," * (10 * MIB) + b"{}]"),
    "not_a_number_in_every_row": lambda: whole(
        filled(lambda number: point(number).replace(b"%d.5}" % number, b"NaN}"), 7 * MIB)
    ),
    "deep_arrays": lambda: whole(b"[" * 100_000 + b"]" * 100_000),
    "deep_arrays_in_a_row": lambda: whole(
        b'[{"index":1,"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}," + point(1, 2) + b"]"
    ),
    "brackets_without_end": lambda: whole(b'[{"x":[' + b"[]," * (10 * MIB)),
    "a_million_keys_in_a_row": lambda: whole(
        listed(iter([b"{" + b",".join(b'"key%07d":%d' % (n, n) for n in range(1_000_000)) + b"}", point(1)]))
    ),
    "an_object_in_place_of_the_array": lambda: whole(b"{" + b'"a":0,' * (5 * MIB) + b'"a":0}'),
    "a_text_of_31_megabytes": lambda: whole(b'[{"index":1,"timestamp":"' + b"x" * 31 * MIB + b'","value":1}]'),
    "escapes_without_end": lambda: whole(b'[{"index":1,"timestamp":"' + b"\\u0041" * 5 * MIB + b'","value":1}]'),
    "a_number_of_31_megabytes": lambda: whole(
        b'[{"index":1,"timestamp":"2026-01-16T12:00:00Z","value":' + b"9" * 31 * MIB + b"}]"
    ),
    "absurd_instants": lambda: whole(b"[" + _ODD + b"," + point(1) + b"]"),
    "invalid_utf_8": lambda: whole(b'[{"index":2,"timestamp":"\xff\xfe","value":1},' + point(1) + b"]"),
    "html": lambda: whole(b"<html>sign in</html>", content_type="text/html"),
    "html_called_json": lambda: whole(b"<html>sign in</html>"),
    "utf_16": lambda: whole("[]".encode("utf-16")),
    "error_of_30_megabytes": lambda: whole(
        b'{"status":500,"detail":"' + b"x" * 30 * MIB + b'"}',
        status="500 Oh",
        content_type="application/problem+json",
    ),
    "error_with_control_characters": lambda: whole(
        b'{"detail":"\\u001b[2J\\nall is well\\u202e"}', status="400 No", content_type="application/problem+json"
    ),
    "entries": lambda: whole(filled(entry)),
    "entries_without_end": lambda: whole(filled(lambda number: b'{"databaseId":7,"index":%d}' % number)),
    "redirect": lambda: whole(b"", "Location: http://169.254.169.254/latest", status="307 Away"),
}


def drip(byte: bytes, beginning: bytes) -> Chunks:
    """A byte now and then, for ever."""
    yield beginning
    while True:
        yield byte
        yield 0.2


def headers_without_end() -> Chunks:
    yield b"HTTP/1.1 200 OK\r\n"
    for number in range(2_000_000):
        yield b"X-%d: y\r\n" % number


def interim_answers_without_end() -> Chunks:
    while True:
        yield b"HTTP/1.1 103 Early Hints\r\nLink: <http://127.0.0.1/>\r\n\r\n" * 100


WIRES: dict[str, Callable[[], Chunks]] = {
    "drip": lambda: drip(b"[", beginning=head()),
    "drip_of_headers": lambda: drip(b"X", beginning=b"HTTP/1.1 200 OK\r\n"),
    "headers_without_end": headers_without_end,
    "a_header_without_end": lambda: iter([b"HTTP/1.1 200 OK\r\nX: ", *[BLANKS.replace(b" ", b"x")] * 64]),
    "interim_answers_without_end": interim_answers_without_end,
    "status_line_of_garbage": lambda: iter([b"\x00\xff\x1b[2J HTTP 200\r\n\r\n"]),
    "status_line_without_end": lambda: iter([b"HTTP/1.1 200 ", *[BLANKS] * 64]),
    "status_that_is_no_number": lambda: iter([b"HTTP/1.1 2OO OK\r\nContent-Length: 0\r\n\r\n"]),
    "status_of_1000": lambda: iter([b"HTTP/1.1 1000 OK\r\nContent-Length: 0\r\n\r\n"]),
    "another_protocol": lambda: iter([b"SSH-2.0-OpenSSH_9.2\r\n"]),
    "length_too_long": lambda: iter([head("Content-Length: 1000"), b"[]"]),
    "length_negative": lambda: iter([head("Content-Length: -1"), b"[]"]),
    "length_absurd": lambda: iter([head("Content-Length: 99999999999999999999999"), b"[]"]),
    "two_lengths": lambda: iter([head("Content-Length: 2", "Content-Length: 40"), b"[]"]),
    "chunks_that_break_off": lambda: iter([head("Transfer-Encoding: chunked"), b"40\r\n[1,"]),
    "chunk_of_garbage": lambda: iter([head("Transfer-Encoding: chunked"), b"zz\r\n[]\r\n0\r\n\r\n"]),
    "chunk_absurd": lambda: iter([head("Transfer-Encoding: chunked"), b"FFFFFFFFFFFFFFFFF\r\n[]"]),
    "chunk_extension_without_end": lambda: iter(
        [head("Transfer-Encoding: chunked"), b"2;", *[BLANKS.replace(b" ", b"x")] * 64]
    ),
    "trailers_without_end": lambda: iter(
        [head("Transfer-Encoding: chunked"), b"2\r\n[]\r\n0\r\n", *[b"X: y\r\n" * 10_000] * 200]
    ),
    "nothing": lambda: iter([]),
}

TOKENS: dict[str, bytes] = {
    "of_2_megabytes": b'{"access_token":"' + b"a" * 2 * MIB + b'","expires_in":3600}',
    "with_a_tail_of_2_megabytes": b'{"access_token":"abc","expires_in":3600,"x":"' + b"a" * 2 * MIB + b'"}',
    "html": b"<html>sign in</html>",
    "deep": b'{"access_token":' + b"[" * 30_000 + b"]" * 30_000 + b"}",
    "with_a_line_end": b'{"access_token":"abc\\r\\nX-Evil: 1","expires_in":3600}',
    "null": b'{"access_token":null,"expires_in":3600}',
    "empty": b'{"access_token":"","expires_in":3600}',
    "of_bytes": b'{"access_token":"\xff\xff"}',
    "of_surrogates": b'{"access_token":"\\ud800"}',
    "nothing": b"",
}
"""Bodies of the token endpoint that hold no token."""

GOOD_TOKEN = b'{"access_token":"b3arer-of-the-hour","expires_in":3600}'

PLANT = "plant"
PLANT_SIGNALS = 12
IN_TURN: tuple[Callable[[], Chunks], ...] = (
    lambda: whole(
        b'{"detail":"%b\\u001b[2J\\r\\nall is well\\u202e"}' % GOOD_TOKEN.replace(b'"', b"'"),
        status="400 No\x1b[2J",
        content_type="application/problem+json",
    ),
    *(
        BODIES[name]
        for name in (
            "bomb_of_gzip_at_once",
            "deep_arrays_in_a_row",
            "error_of_30_megabytes",
            "html_called_json",
            "invalid_utf_8",
            "redirect",
            "zeros",
        )
    ),
    *(
        WIRES[name]
        for name in ("chunk_of_garbage", "length_too_long", "nothing", "status_line_of_garbage", "two_lengths")
    ),
)
"""An answer for each query of a daemon; none of them goes on without end."""


def _catalogue() -> Chunks:
    name = '"\\u001b[2Jname\\n{}\\u202e"'
    entries = (f'{{"databaseId":7,"index":{index},"tag":{name},"name":{name}}}' for index in range(PLANT_SIGNALS))
    return whole(listed(entry.encode() for entry in entries))


class HostileApi:
    """A server of attacks, and what was asked of it: ``requests`` holds the heads of all requests."""

    def __init__(self) -> None:
        self.requests: list[str] = []
        self.url = ""
        self._turns = cycle(IN_TURN)

    def paths(self, attack: str) -> list[str]:
        """What was asked below an attack's name."""
        lines = (request.split("\r\n", 1)[0].split(" ")[1] for request in self.requests)
        return [path.removeprefix(f"/{attack}/") for path in lines if path.startswith(f"/{attack}/")]

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            asked = (await reader.readuntil(b"\r\n\r\n")).decode()
            self.requests.append(asked)
            _, attack, rest = asked.split(" ", 2)[1].split("/", 2)
            for chunk in self._chunks(attack, rest):
                if isinstance(chunk, bytes):
                    writer.write(chunk)
                    await writer.drain()
                else:
                    await asyncio.sleep(chunk)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # whoever asked has had enough
        finally:
            writer.close()

    def _chunks(self, attack: str, rest: str) -> Chunks:
        if rest.endswith("auth/token"):
            return whole(TOKENS[attack.removeprefix("token_")] if attack.startswith("token_") else GOOD_TOKEN)
        if attack == PLANT:
            return _catalogue() if rest.endswith("measurements") else next(self._turns)()
        return (BODIES | WIRES).get(attack, lambda: whole(b"[]"))()


@contextmanager
def besieging() -> Iterator[HostileApi]:
    """The server, in a thread with a loop of its own."""
    api = HostileApi()
    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(asyncio.start_server(api.answer, "127.0.0.1", 0))
    api.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    thread = Thread(target=loop.run_forever)
    thread.start()
    try:
        yield api
    finally:
        asyncio.run_coroutine_threadsafe(_stop(server), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _stop(server: asyncio.Server) -> None:
    server.close()
    attacks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for attack in attacks:
        attack.cancel()
    await asyncio.gather(*attacks, return_exceptions=True)
