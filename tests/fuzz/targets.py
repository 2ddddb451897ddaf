"""What takes bytes from outside, and what must hold whatever they are.

A target takes bytes; anything that it raises is a finding. ``SEEDS`` are bodies as they should be, to begin with.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

from streamer.config import load_settings
from streamer.errors import ConfigurationError, LedgerUntrusted, QueryFailed, SourceUnreachable
from streamer.ledger.codec import decode_head, decode_memory, decode_place, verify
from streamer.ledger.ledger import Ledger
from streamer.simulator.scenario import load_scenario
from streamer.source.catalogue_wire import LONGEST_TEXT, decode_catalogue
from streamer.source.credentials import LONGEST_LIFETIME_S, SHORTEST_LIFETIME_S, decode_token
from streamer.source.instants import parse_instant
from streamer.source.refusals import refusal
from streamer.source.retry_after import LONGEST_WAIT_S, parse_http_date, parse_retry_after
from streamer.source.transport import Reply
from streamer.source.wire import MOST_ROWS, decode_answer
from tests.unit.ledger.test_codec import a_state
from tests.unit.source.fakes import URL, body_of, query_for

SECRET = "correct-horse-battery"
ASKED = (1, 2)
DATE_NS = 1_768_564_800_000_000_000


def answer(data: bytes) -> None:
    """Columns ascend, lie in the window and hold what a column may hold; only a failed query is raised."""
    query = query_for(*ASKED)
    try:
        read = decode_answer(data, query, 0)
    except QueryFailed:
        return
    assert set(read.columns) <= set(ASKED)
    assert read.unreadable <= set(ASKED)
    assert sum(read.rejected.values()) <= MOST_ROWS
    for column in read.columns.values():
        assert len(column.instants_ns) == len(column.texts) == len(column.values) > 0
        assert all(one < other for one, other in pairwise(column.instants_ns))
        assert query.window.start_ns <= column.instants_ns[0]
        assert column.instants_ns[-1] < query.window.end_ns
        for instant_ns, text in zip(column.instants_ns, column.texts, strict=True):
            assert parse_instant(text) == (instant_ns, text)
        json.dumps(column.values, allow_nan=False)


def catalogue(data: bytes) -> None:
    """Texts are short and can be written; an aggregation can be a part of a name."""
    try:
        signals = decode_catalogue(data)
    except QueryFailed:
        return
    for signal in signals:
        for text in (signal.name, signal.tag, signal.unit, signal.description):
            assert text is None or len(text.encode()) <= 4 * LONGEST_TEXT
        assert signal.default_aggregation is None or signal.default_aggregation.isidentifier()
        assert -(2**63) <= signal.id.index < 2**63
        assert signal.first_instant_ns is None or signal.first_instant_ns >= 0


def token(data: bytes) -> None:
    """What is believed to be a token can be sent, and for a sane time."""
    try:
        read = decode_token(data)
    except SourceUnreachable:
        return
    bearer = read.bearer.get_secret_value()
    assert bearer.isascii()
    assert bearer.isprintable()
    assert " " not in bearer
    assert SHORTEST_LIFETIME_S <= read.lifetime_s <= LONGEST_LIFETIME_S


def error(data: bytes) -> None:
    """A message is one short line, and holds no secret even when the service repeats it."""
    for status in (307, 400, 401, 403, 500):
        for body in (data, data.replace(b"secret", SECRET.encode())):
            text = str(refusal(Reply(url=URL, status=status, body=body), SECRET))
            assert text.isprintable()
            assert len(text) < 600
            assert SECRET not in text


def header(data: bytes) -> None:
    """A header is understood or left alone; nobody waits for more than an hour."""
    text = data.decode("utf-8", "surrogateescape")
    wait_s = parse_retry_after(text, DATE_NS)
    assert wait_s is None or 0 < wait_s <= LONGEST_WAIT_S
    date_ns = parse_http_date(text)
    assert date_ns is None or date_ns % 1_000_000_000 == 0


def ledger(data: bytes) -> None:
    """A state record that is not what was written is refused, and nothing else happens."""
    with suppress(LedgerUntrusted):
        decode_head(data)
    with suppress(LedgerUntrusted):
        decode_place(b"place/x", data)
    with suppress(LedgerUntrusted):
        decode_memory(b"memory/x", data)
    state = a_state()
    for key in state:
        if state[key] != data:
            with suppress(LedgerUntrusted):
                Ledger.restore({**state, key: data}, shard=0, shards=4, partitions=12, owner="fuzz")
                raise AssertionError("a record that was altered was believed")
    with suppress(LedgerUntrusted):
        verify({data: b""}, shard=0, shards=4)


def configuration(data: bytes) -> None:
    """A file is a configuration, or a list of problems that repeat nothing of what was written."""
    _written(data, lambda path: load_settings(path, {}))


def scenario(data: bytes) -> None:
    """The same for the simulator's faults."""
    _written(data, load_scenario)


def _written(data: bytes, load: Callable[[Path], object]) -> None:
    with TemporaryDirectory() as directory:
        path = Path(directory) / "file.yaml"
        path.write_bytes(data)
        said = ""
        try:
            load(path)
        except ConfigurationError as exc:
            said = str(exc)
        assert SECRET not in said


TARGETS: Mapping[str, Callable[[bytes], None]] = {
    one.__name__: one for one in (answer, catalogue, token, error, header, ledger, configuration, scenario)
}

_ROWS = body_of(
    [
        {"index": 1, "timestamp": "2026-01-16T12:00:01.2000000Z", "value": 12.5},
        {"index": 2, "timestamp": "2026-01-16T12:00:01", "value": 2**70},
        {"index": 1, "timestamp": "2026-01-16T14:00:00+02:00", "value": None},
        {"index": 9, "timestamp": "2026-01-16T12:00:00Z", "value": -1e-7},
    ]
)

SEEDS: Mapping[str, tuple[bytes, ...]] = {
    "answer": (_ROWS, _ROWS.replace(b"12.5", b"NaN"), b"[]"),
    "catalogue": (
        b'[{"id":1,"databaseId":7,"index":1001,"name":"Power","tag":"U1/P","unitSymbol":"MW","description":null,'
        b'"firstDataPoint":"2026-01-16T12:00:00","defaultAgg":"mean","minValue":NaN}]',
    ),
    "token": (
        b'{"access_token":"eyJ.abc.def","token_type":"Bearer","expires_in":3600}',
        b'{"accessToken":"abc","expiresIn":"3600"}',
    ),
    "error": (b'{"status":401,"title":"No","detail":"secret is wrong","error_description":"x","error":"y"}',),
    "header": (b"120", b"Fri, 16 Jan 2026 12:00:09 GMT", b"1.5"),
    "ledger": tuple(a_state().values()),
    "configuration": (
        b"source: {base_url: 'https://t.powerp.app/rt-api/api/', client_id: a, client_secret: correct-horse-battery}\n"
        b"streams:\n  - {name: t, database_id: 1, signals: [1], overlap: 3s, lookback: [15s, 2m], start: now}\n",
    ),
    "scenario": (b"faults:\n  - {kind: status_429, start: 5s, duration: 10s, every: 1m, retry_after: 3s}\n",),
}
