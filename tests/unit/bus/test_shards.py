"""Partitions as every other Kafka client computes them."""

from __future__ import annotations

import pytest

from streamer.bus.shards import partition_of, partitions_of_shard

# From Kafka's own UtilsTest.testMurmur2.
MURMUR2 = {
    b"21": -973932308,
    b"foobar": -790332482,
    b"a-little-bit-long-string": -985981536,
    b"a-little-bit-longer-string": -1486304829,
    b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    b"abc": 479470107,
}


@pytest.mark.parametrize("key", MURMUR2)
@pytest.mark.parametrize("partitions", [1, 4, 12, 97])
def test_a_partition_is_the_one_of_javas_default_partitioner(key: bytes, partitions: int) -> None:
    assert partition_of(key, partitions) == (MURMUR2[key] & 0x7FFFFFFF) % partitions


def test_a_shard_writes_its_own_partitions_only() -> None:
    shards, partitions = 4, 12
    for index in range(1000):
        key = f"7:{index}".encode()
        assert partition_of(key, partitions) % shards == partition_of(key, shards)


PARTITIONS = {"samples": 12, "gaps": 8, "signals": 4, "completeness": 4, "state": 4, "shards": 4}


def test_every_partition_that_is_written_belongs_to_one_shard() -> None:
    owned = [place for shard in range(4) for place in partitions_of_shard(shard, 4, PARTITIONS)]
    written = [(topic, at) for topic, count in PARTITIONS.items() if topic != "shards" for at in range(count)]
    assert sorted(owned) == sorted(written)


def test_of_an_unknown_number_of_shards_a_shard_may_have_written_all_from_its_own_number_on() -> None:
    assert partitions_of_shard(2, 1, PARTITIONS) == [
        ("state", 2),
        ("completeness", 2),
        *(("samples", at) for at in range(2, 12)),
        *(("gaps", at) for at in range(2, 8)),
        *(("signals", at) for at in range(2, 4)),
    ]
