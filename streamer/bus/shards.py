"""Which partition and which shard a signal belongs to: the arithmetic of every other Kafka client."""

from __future__ import annotations

from collections.abc import Mapping

from aiokafka.partitioner import murmur2

from streamer.model import Notice


def partition_of(key: bytes, partitions: int) -> int:
    """The partition of a key as Java's default partitioner has it: murmur2 without its sign, modulo.

    A shard is the partition modulo the number of shards; with partitions a multiple of the shards that is the
    hash modulo the shards, so a shard writes its own partitions only.
    """
    return int(murmur2(key) & 0x7FFFFFFF) % partitions


def partition_of_notice(notice: Notice, shard: int, partitions: int) -> int:
    """The partition of a notice, always one that its shard alone writes.

    A transaction that is left open holds up ``read_committed`` readers of all its partitions, so shards share none.
    Completeness has a partition a shard; what is keyed by a signal goes where every other client would put it.

    Args:
        notice: the notice.
        shard: whose notice it is.
        partitions: of the notice's topic, a multiple of the shards.
    """
    return shard if notice.topic == "completeness" else partition_of(notice.key, partitions)


def partitions_of_shard(shard: int, shards: int, partitions: Mapping[str, int]) -> list[tuple[str, int]]:
    """Every partition that a shard writes, by its topic's logical name.

    Args:
        shard: the shard.
        shards: how many there are; 1 for all that it may have written, however many there were.
        partitions: of the topics, by their logical names.
    """
    single = [(topic, shard) for topic in ("state", "completeness")]
    return single + [
        (topic, partition)
        for topic in ("samples", "gaps", "signals")
        for partition in range(shard, partitions[topic], shards)
    ]
