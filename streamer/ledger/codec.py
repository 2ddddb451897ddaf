"""How the ledger is written down: state records, and the digest that proves that all of them are there.

A shard's state is a set of records, key to value, on either bus:

- ``head``: JSON; sequence of the commit, number and digest of all other live records, shape, owner.
- ``place/<group>``: JSON; members, frontier, frontiers of the revisits, floor, holes, and the newest sample of
  each series whose memory holds nothing else.
- ``memory/<sequence>-<segment>``: MessagePack; what one commit added to the memory, in as many records as its size
  asks for, each a list of ``Remembered``. Series are named, so that one takes its memory along wherever it goes. A
  tombstone follows when all of a record may be forgotten.
- ``signal/<database:index>``: a short digest of what the catalogue was last told of the signal.

The digest is the sum, modulo 2^128, of BLAKE2b over every live record, so it follows each commit in constant
time and survives compaction, which only takes away what is not live.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from hashlib import blake2b

import msgspec

from streamer.errors import ConfigurationError, LedgerUntrusted
from streamer.model import Value

FORMAT = 2
HEAD = b"head"
PLACE_PREFIX = b"place/"
MEMORY_PREFIX = b"memory/"
SIGNAL_PREFIX = b"signal/"

SEPARATOR = " "
"""Between the names of series; none has it."""

_DIGEST_MODULUS = 1 << 128
_RESHARD = (
    "Nothing was touched. Set it back; or stop every replica and run `streamer reshard`, which moves the ledger, and "
    "begin again."
)
_REMEDY = "Nothing was touched. `streamer rebuild` makes the ledger anew from the events that were published."


class Head(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The head of a shard's state.

    Attributes:
        partitions: of the samples topic: which of them a signal is in follows from it.
        owner: the instance that wrote it, new at every start of the program.
    """

    sequence: int
    records: int
    digest: str
    shard: int
    shards: int
    partitions: int
    owner: str
    format: int = FORMAT


class PlaceRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A group's place. Series are named as in ``Series.name``; holes and newest samples refer to their position.

    Attributes:
        revisited: ``(age_ns, frontier_ns)`` for each age.
        holes: ``(position, start_ns, end_ns, cause)``.
        newest: ``(position, instant_ns, value, revision)``; the value as text, see ``encode_value``.
        told: what was told to be open, like ``holes``; None when that is the same.
        silences: ``(position, doubts, proved_ns, times_proved)`` of series that were silent, see ``Silence``.
        began: ``(position, instant_ns)`` of series with holes: the oldest sample that the source ever had of them.
    """

    stream: str
    database_id: int
    series: list[str]
    frontier: int
    revisited: list[tuple[int, int]]
    floor: int
    holes: list[tuple[int, int, int, str]] = []
    told: list[tuple[int, int, int, str]] | None = None
    newest: list[tuple[int, int, str, int]] = []
    silences: list[tuple[int, int, int, int]] = []
    began: list[tuple[int, int]] = []


class Remembered(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Samples of some series with one revision, column behind column, in native order.

    Attributes:
        series: their names with ``SEPARATOR`` between them.
        first: the earliest instant.
        last: the latest instant.
        counts: 4 bytes a series: how many samples of it there are.
        instants: 8 bytes each, ascending in each column; one column where all series have the same.
        values: doubles.
        exact: by position among the values, those that no double holds, as text.
    """

    series: str
    revision: int
    first: int
    last: int
    counts: bytes
    instants: bytes
    values: bytes
    exact: dict[int, str]


_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)

_remembered = msgspec.msgpack.Decoder(list[Remembered])
_head = msgspec.json.Decoder(Head)
_place = msgspec.json.Decoder(PlaceRecord)
_json = msgspec.json.Encoder()
_msgpack = msgspec.msgpack.Encoder()


def place_key(group_id: str) -> bytes:
    """The key of a group's place record."""
    return PLACE_PREFIX + group_id.encode()


def memory_key(sequence: int, segment: int) -> bytes:
    """The key of a part of what commit ``sequence`` remembers; keys sort as they were written."""
    return MEMORY_PREFIX + b"%020d-%04d" % (sequence, segment)


def sealed(digest: Digest, *, sequence: int, shard: int, shards: int, partitions: int, owner: str) -> Head:
    """The head over all other records; its own fields count for its digest as well."""
    fields = f"{sequence}/{digest.records}/{shard}/{shards}/{partitions}/{owner}/{digest.text}"
    return Head(
        sequence=sequence,
        records=digest.records,
        digest=blake2b(fields.encode(), digest_size=16).hexdigest(),
        shard=shard,
        shards=shards,
        partitions=partitions,
        owner=owner,
    )


def encode_head(head: Head) -> bytes:
    """A head as its record's value."""
    return _json.encode(head)


def encode_place(place: PlaceRecord) -> bytes:
    """A place as its record's value."""
    return _json.encode(place)


def encode_memory(remembered: list[Remembered]) -> bytes:
    """What a commit remembers as its record's value."""
    return _msgpack.encode(remembered)


def decode_head(value: bytes) -> Head:
    """A head's record. Raises LedgerUntrusted when unreadable or of another format."""
    try:
        head = _head.decode(value)
    except _UNREADABLE as exc:
        raise _unreadable(HEAD) from exc
    if head.format != FORMAT:
        raise LedgerUntrusted(
            f"The state record 'head' has format {head.format}, this program reads {FORMAT}.", _REMEDY
        )
    return head


def decode_place(key: bytes, value: bytes) -> PlaceRecord:
    """A place's record. Raises LedgerUntrusted when unreadable."""
    try:
        return _place.decode(value)
    except _UNREADABLE as exc:
        raise _unreadable(key) from exc


def decode_memory(key: bytes, value: bytes) -> list[Remembered]:
    """A memory's record. Raises LedgerUntrusted when unreadable."""
    try:
        return _remembered.decode(value)
    except _UNREADABLE as exc:
        raise _unreadable(key) from exc


def encode_value(value: Value) -> str:
    """A value as text that keeps it exactly: ``12``, ``12.5``, ``nan``, ``null``."""
    return "null" if value is None else repr(value)


def decode_value(text: str) -> Value:
    """The value that ``encode_value`` wrote."""
    if text == "null":
        return None
    try:
        return int(text)
    except ValueError:
        return float(text)


def verify(records: Mapping[bytes, bytes], *, shard: int, shards: int, digest: Digest | None = None) -> Head | None:
    """The head of a restored state, None when the state is empty.

    Args:
        records: the state.
        shard: which one it should be.
        shards: how many there should be.
        digest: of the state, where it is known already.

    Raises:
        LedgerUntrusted: a head is missing though records are there, or records are missing or differ; names the key.
        ConfigurationError: the state was written with another number of shards.
    """
    if not records:
        return None
    if HEAD not in records:
        key = min(records).decode(errors="backslashreplace")
        raise LedgerUntrusted(f"Shard {shard} has no state record 'head' though '{key}' is there.", _REMEDY)
    head = decode_head(records[HEAD])
    if head.shards != shards:
        problem = f"is {shards}, and the ledger of shard {shard} was written with {head.shards}"
        raise ConfigurationError([("bus.shards", problem)], _RESHARD)
    if head.shard != shard:
        raise LedgerUntrusted(f"The state record 'head' of shard {shard} is that of shard {head.shard}.", _REMEDY)
    digest = digest or Digest.of(records)
    expected = sealed(
        digest,
        sequence=head.sequence,
        shard=shard,
        shards=shards,
        partitions=head.partitions,
        owner=head.owner,
    )
    if expected != head:
        raise LedgerUntrusted(
            f"The state of shard {shard} does not match its record 'head' (sequence {head.sequence}): "
            f"{head.records} records were written, {digest.records} are there, or their content differs.",
            _REMEDY,
        )
    return head


def check_partitions(head: Head, partitions: int) -> None:
    """Raise ConfigurationError when the samples topic had other partitions when the head was written."""
    if head.partitions != partitions:
        problem = f"are {partitions}, and were {head.partitions} when the ledger of shard {head.shard} was written"
        raise ConfigurationError([("kafka.topics.samples: its partitions", problem)], _RESHARD)


def _unreadable(key: bytes) -> LedgerUntrusted:
    return LedgerUntrusted(f"The state record '{key.decode(errors='backslashreplace')}' cannot be read.", _REMEDY)


class Digest:
    """The running digest of a shard's live records, all but the head."""

    def __init__(self) -> None:
        self._hashes: dict[bytes, int] = {}
        self._sum = 0

    @classmethod
    def of(cls, records: Mapping[bytes, bytes]) -> Digest:
        """The digest of a whole state; its head does not count."""
        digest = cls()
        digest.follow((key, value) for key, value in records.items() if key != HEAD)
        return digest

    def follow(self, changes: Iterable[tuple[bytes, bytes | None]]) -> None:
        """Take in the changes of a commit; None takes a record away."""
        for key, value in changes:
            self._sum -= self._hashes.pop(key, 0)
            if value is not None:
                self._hashes[key] = hashed = _hash(key, value)
                self._sum += hashed

    @property
    def records(self) -> int:
        """How many records are live."""
        return len(self._hashes)

    @property
    def text(self) -> str:
        """The digest as hexadecimal text, without the head."""
        return f"{self._sum % _DIGEST_MODULUS:032x}"


def _hash(key: bytes, value: bytes) -> int:
    state = blake2b(len(key).to_bytes(4, "big"), digest_size=16)
    state.update(key)
    state.update(value)
    return int.from_bytes(state.digest(), "big")
