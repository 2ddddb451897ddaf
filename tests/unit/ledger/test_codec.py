"""How the ledger is written down, and that nothing less or else is believed."""

from __future__ import annotations

from random import Random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.errors import ConfigurationError, LedgerUntrusted
from streamer.ledger.codec import (
    FORMAT,
    HEAD,
    Digest,
    Head,
    PlaceRecord,
    decode_head,
    decode_memory,
    decode_place,
    decode_value,
    encode_head,
    encode_place,
    encode_value,
    place_key,
    sealed,
    verify,
)
from streamer.ledger.ledger import Ledger
from streamer.ledger.memory import is_same
from streamer.model import Value
from tests.unit.ledger.bench import Bench, every_second, fold, group_of

KEYS = st.binary(min_size=1, max_size=3)
RECORDS = st.dictionaries(KEYS, st.binary(max_size=4), max_size=6)
CHANGES = st.dictionaries(KEYS, st.none() | st.binary(max_size=4), max_size=6)
INSTANTS = st.integers(-(2**63), 2**63 - 1)
POSITIONS = st.integers(0, 2)
PLACES = st.builds(
    PlaceRecord,
    stream=st.text(),
    database_id=st.integers(0, 2**31),
    series=st.lists(st.text(), max_size=3),
    frontier=INSTANTS,
    revisited=st.lists(st.tuples(INSTANTS, INSTANTS), max_size=3),
    floor=INSTANTS,
    holes=st.lists(st.tuples(POSITIONS, INSTANTS, INSTANTS, st.text()), max_size=3),
    newest=st.lists(st.tuples(POSITIONS, INSTANTS, st.text(), st.integers(0, 9)), max_size=3),
)


def a_state() -> dict[bytes, bytes]:
    """The state of two groups after a few commits."""
    bench = Bench(group_of(1, 2), group_of(3, number=1))
    bench.live(0, 10, {1: every_second(0, 10), 2: every_second(0, 10, 2**53 + 1)})
    bench.live(0, 10, {3: every_second(0, 10)}, number=1)
    bench.live(7, 20, {1: every_second(7, 20), 2: every_second(7, 20, None)})
    return bench.store


def head_of(state: dict[bytes, bytes]) -> Head:
    return decode_head(state[HEAD])


def refused(state: dict[bytes, bytes], *, shard: int = 0, shards: int = 4) -> str:
    with pytest.raises(LedgerUntrusted) as refusal:
        verify(state, shard=shard, shards=shards)
    with pytest.raises(LedgerUntrusted):
        Ledger.restore(state, shard=shard, shards=shards, partitions=12, owner="test")
    return refusal.value.what


@given(st.none() | st.integers() | st.floats())
def test_a_value_is_read_as_it_was_written(value: Value) -> None:
    again = decode_value(encode_value(value))
    assert is_same(again, value)
    assert type(again) is type(value)


def test_an_integer_stays_exact_past_the_doubles() -> None:
    assert decode_value(encode_value(2**53 + 1)) == 2**53 + 1


@given(PLACES)
def test_a_place_is_read_as_it_was_written(place: PlaceRecord) -> None:
    assert decode_place(b"place/x", encode_place(place)) == place


def test_a_head_is_read_as_it_was_written() -> None:
    head = Head(sequence=5, records=3, digest="0f", shard=1, shards=4, partitions=12, owner="me")
    assert decode_head(encode_head(head)) == head


@given(RECORDS, st.randoms(use_true_random=False))
def test_the_digest_does_not_depend_on_order(records: dict[bytes, bytes], random: Random) -> None:
    items = list(records.items())
    random.shuffle(items)
    assert Digest.of(dict(items)).text == Digest.of(records).text


@given(st.lists(CHANGES))
def test_the_digest_depends_on_what_is_there_and_not_on_how_it_came(history: list[dict[bytes, bytes | None]]) -> None:
    digest, records = Digest(), dict[bytes, bytes]()
    for changes in history:
        digest.follow(changes.items())
        fold(records, changes)
    assert (digest.text, digest.records) == (Digest.of(records).text, len(records))


@given(RECORDS, RECORDS)
def test_different_records_have_different_digests(one: dict[bytes, bytes], other: dict[bytes, bytes]) -> None:
    assert (Digest.of(one).text == Digest.of(other).text) == (one == other)


def test_the_bytes_of_a_key_are_told_from_those_of_its_value() -> None:
    assert Digest.of({b"ab": b"c"}).text != Digest.of({b"a": b"bc"}).text


def test_the_digest_leaves_the_head_out() -> None:
    state = a_state()
    assert Digest.of(state).text == Digest.of({key: value for key, value in state.items() if key != HEAD}).text


@pytest.mark.parametrize("field", [{"sequence": 99}, {"owner": "another"}, {"records": 99}])
def test_a_head_that_was_altered_is_refused(field: dict[str, object]) -> None:
    state = a_state()
    state[HEAD] = encode_head(msgspec.structs.replace(head_of(state), **field))
    with pytest.raises(LedgerUntrusted, match="does not match its record 'head'"):
        verify(state, shard=0, shards=4)
    assert Digest.of(state).records == len(state) - 1


def test_a_whole_state_is_believed() -> None:
    state = a_state()
    assert verify(state, shard=0, shards=4) == head_of(state)


def test_no_records_are_a_fresh_state() -> None:
    assert verify({}, shard=0, shards=4) is None


def test_each_missing_record_is_noticed() -> None:
    state = a_state()
    for missing in state.keys() - {HEAD}:
        assert "'head'" in refused({key: value for key, value in state.items() if key != missing})


def test_each_altered_record_is_noticed() -> None:
    state = a_state()
    for altered in state.keys() - {HEAD}:
        value = state[altered]
        for position in range(0, len(value), 7):
            changed = bytes([*value[:position], value[position] ^ 1, *value[position + 1 :]])
            assert "'head'" in refused({**state, altered: changed})


def test_a_foreign_record_is_noticed() -> None:
    assert "'head'" in refused({**a_state(), place_key("other/raw/0"): b"{}"})


def test_a_record_under_the_key_of_another_is_noticed() -> None:
    state = a_state()
    one, other = sorted(state.keys() - {HEAD})[:2]
    assert "'head'" in refused({**state, one: state[other], other: state[one]})


def test_an_older_version_of_a_record_is_noticed() -> None:
    bench = Bench(group_of(1))
    old = dict(bench.store)
    bench.live(0, 10, {1: every_second(0, 10)})
    key = place_key(bench.groups[0].id)
    assert "'head'" in refused({**bench.store, key: old[key]})


def test_a_missing_head_is_noticed_and_what_is_there_is_named() -> None:
    state = a_state()
    del state[HEAD]
    what = refused(state)
    assert "'head'" in what
    assert f"'{min(state).decode()}'" in what


@pytest.mark.parametrize("value", [b"", b"{}", b"\xff", b"null", b'{"sequence":1}'])
def test_an_unreadable_head_is_named(value: bytes) -> None:
    assert "'head'" in refused({**a_state(), HEAD: value})


def test_the_state_of_another_shard_is_refused() -> None:
    assert "'head'" in refused(a_state(), shard=1)


@pytest.mark.parametrize("shards", [8, 1])
def test_another_number_of_shards_is_refused_with_the_command_that_moves_the_ledger(shards: int) -> None:
    with pytest.raises(ConfigurationError, match="written with 4") as refusal:
        verify(a_state(), shard=0, shards=shards)
    assert "streamer reshard" in refusal.value.remedy


def test_another_number_of_partitions_is_refused_with_the_command_that_moves_the_ledger() -> None:
    with pytest.raises(ConfigurationError, match="are 24, and were 12") as refusal:
        Ledger.restore(a_state(), shard=0, shards=4, partitions=24, owner="test")
    assert "streamer reshard" in refusal.value.remedy


def test_another_format_is_refused_by_its_number() -> None:
    head = Head(sequence=5, records=0, digest="0" * 32, shard=0, shards=4, partitions=12, owner="me", format=FORMAT + 1)
    assert str(FORMAT + 1) in refused({HEAD: encode_head(head)})


def test_an_unreadable_place_is_named_though_the_digest_agrees() -> None:
    records = {place_key("all/raw/0"): b"{}"}
    digest = Digest.of(records)
    head = sealed(digest, sequence=1, shard=0, shards=4, partitions=12, owner="me")
    with pytest.raises(LedgerUntrusted, match="place/all/raw/0"):
        Ledger.restore({**records, HEAD: encode_head(head)}, shard=0, shards=4, partitions=12, owner="test")


@pytest.mark.parametrize("value", [b'{"stream":"\xff"', b"[" * 100_000, b"\x91" * 100_000, b"\xa1\xff"])
def test_a_record_that_is_garbage_is_refused_and_named(value: bytes) -> None:
    with pytest.raises(LedgerUntrusted, match="place/x"):
        decode_place(b"place/x", value)
    with pytest.raises(LedgerUntrusted, match="memory/x"):
        decode_memory(b"memory/x", value)
    with pytest.raises(LedgerUntrusted, match="head"):
        decode_head(value)
