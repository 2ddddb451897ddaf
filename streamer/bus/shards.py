"""Which partition and which shard a signal belongs to: the arithmetic of every other Kafka client."""

from __future__ import annotations

from aiokafka.partitioner import murmur2


def partition_of(key: bytes, partitions: int) -> int:
    """The partition of a key as Java's default partitioner has it: murmur2 without its sign, modulo.

    A shard is the partition modulo the number of shards; with partitions a multiple of the shards that is the
    hash modulo the shards, so a shard writes its own partitions only.
    """
    return int(murmur2(key) & 0x7FFFFFFF) % partitions
