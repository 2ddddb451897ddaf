"""What the group's coordinator says of its members, read: aiokafka hands it on as it came."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment
from aiokafka.errors import GroupAuthorizationFailedError, KafkaError

from streamer.bus.kafka_group import DescribedGroup, GroupMember, describe, owners
from streamer.bus.kafka_reshape import refuse_members
from streamer.errors import ShardTaken
from tests.support.virtual_time import run_virtually


def given(*partitions: int, topic: str = "shards") -> bytes:
    """What a member was given, as its group's leader writes it."""
    return bytes(ConsumerProtocolMemberAssignment(0, [(topic, list(partitions))], b"").encode())


def group(*members: tuple[str, bytes], state: str = "Stable") -> DescribedGroup:
    return DescribedGroup(state, [GroupMember(*member) for member in members])


class FakeAdmin:
    """Answers as the coordinator does; ``rights`` are those that newer brokers add."""

    def __init__(self, code: int = 0, *members: tuple[str, bytes], rights: tuple[int, ...] = ()) -> None:
        self._rows = [(f"{name}-1", name, "/10.0.0.1", b"", assignment) for name, assignment in members]
        self._rights = rights
        self.change(code)

    def change(self, code: int) -> None:
        """Answer otherwise from now on."""
        self._described = (code, "owners", "" if code else "Stable", "consumer", "sticky", self._rows, *self._rights)

    async def describe_consumer_groups(self, groups: list[str]) -> list[Any]:
        assert groups == ["owners"]
        return [SimpleNamespace(groups=[self._described])]


def admin(code: int = 0, *members: tuple[str, bytes], rights: tuple[int, ...] = ()) -> Any:
    return FakeAdmin(code, *members, rights=rights)


@pytest.mark.parametrize("rights", [(), (-2147483648,)])
async def test_each_shard_has_the_replica_that_was_given_it(rights: tuple[int, ...]) -> None:
    members = (("pod-a", given(0, 2)), ("pod-b", given(1)), ("pod-c", given()), ("pod-d", b""))
    described = await describe(admin(0, *members, rights=rights), "owners")
    assert owners(described, "shards") == {0: "pod-a", 1: "pod-b", 2: "pod-a"}


def test_a_topic_that_stands_for_no_shards_counts_for_nothing() -> None:
    assert owners(group(("pod-a", given(0, topic="others"))), "shards") == {}


@pytest.mark.parametrize("state", ["Empty", "Dead"])
def test_a_group_without_members_gives_its_shards_to_nobody(state: str) -> None:
    assert owners(group(state=state), "shards") == {}


@pytest.mark.parametrize("state", ["PreparingRebalance", "CompletingRebalance"])
def test_while_the_group_decides_nobody_is_taken_for_nobody(state: str) -> None:
    assert owners(group(("pod-a", b""), state=state), "shards") is None


@pytest.mark.parametrize("assignment", [b"\0", given(0)[:-6], b"\0\0" + b"\xff" * 8, b"\0\0\0\0\0\1\0\1\xff"])
def test_what_cannot_be_read_is_an_error_and_not_an_owner_that_is_missing(assignment: bytes) -> None:
    with pytest.raises(KafkaError, match="pod-a"):
        owners(group(("pod-a", assignment)), "shards")


async def test_an_answer_that_is_an_error_is_raised() -> None:
    with pytest.raises(GroupAuthorizationFailedError, match="owners"):
        await describe(admin(30), "owners")


@pytest.mark.parametrize("code", [14, 15, 16])
def test_a_coordinator_that_is_not_there_yet_is_waited_for(code: int) -> None:
    async def main() -> None:
        coming = admin(code)
        asyncio.get_running_loop().call_later(3, coming.change, 0)
        assert await describe(coming, "owners") == group()
        assert 3 <= asyncio.get_running_loop().time() < 4

    run_virtually(main())


def test_a_group_that_cannot_be_described_is_not_taken_for_one_without_members() -> None:
    async def main() -> None:
        with pytest.raises(TimeoutError):
            await refuse_members(admin(14), "owners")
        with pytest.raises(ShardTaken, match="2 replicas run as the group owners"):
            await refuse_members(admin(0, ("pod-a", b""), ("pod-b", b"")), "owners")
        await refuse_members(admin(), "owners")

    run_virtually(main())
