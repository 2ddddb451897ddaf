"""The consumer group of the replicas, as its coordinator describes it: who is a member, and who was given which shard.

Asked by the Kafka bus for people to look at, and before the shards are changed. aiokafka hands on the broker's answer
as it came: it looks neither at the group's error nor into the members' assignments.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment
from aiokafka.errors import KafkaError, for_code

from streamer.bus.kafka_clients import Admin
from streamer.bus.kafka_errors import asking_a_coordinator

DESCRIBED_WITHIN_S = 10.0

SETTLED = "Stable"
WITHOUT_MEMBERS = frozenset({"Empty", "Dead"})
"""States of a group; in any other its members are being told anew, and the broker shows no assignment."""


class GroupMember(NamedTuple):
    """A member: the client id under which it joined, and what it was given, as bytes of the consumer protocol."""

    replica: str
    assignment: bytes


class DescribedGroup(NamedTuple):
    """A group at one moment."""

    state: str
    members: Sequence[GroupMember]


async def describe(admin: Admin, group: str) -> DescribedGroup:
    """Ask the group's coordinator; Describe on the group is enough, and Read implies it.

    Raises KafkaError, and TimeoutError when no coordinator comes.
    """
    async with asyncio.timeout(DESCRIBED_WITHIN_S):
        return await _described(admin, group)


@asking_a_coordinator
async def _described(admin: Admin, group: str) -> DescribedGroup:
    (response,) = await admin.describe_consumer_groups([group])
    ((code, _, state, _, _, members, *_),) = response.groups
    if code:
        raise for_code(code)(group)
    return DescribedGroup(state, [GroupMember(client_id, assignment) for _, client_id, _, _, assignment in members])


def owners(group: DescribedGroup, topic: str) -> dict[int, str] | None:
    """The replica of each shard that was given to one; None while the group decides anew.

    Args:
        group: as described.
        topic: the one whose partitions stand for the shards.

    Raises:
        KafkaError: what a member was given cannot be read.
    """
    if group.state in WITHOUT_MEMBERS:
        return {}
    if group.state != SETTLED:
        return None
    return {shard: member.replica for member in group.members for shard in _given(member, topic)}


def _given(member: GroupMember, topic: str) -> list[int]:
    if not member.assignment:
        return []
    try:
        partitions = ConsumerProtocolMemberAssignment.decode(member.assignment).partitions()
    except (ValueError, TypeError) as exc:
        raise KafkaError(f"what member {member.replica} was given cannot be read") from exc
    return [partition.partition for partition in partitions if partition.topic == topic]
