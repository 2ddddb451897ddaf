"""The rights that Kafka's ACLs have to give: what each is called, and which ones ``run`` needs. Pure.

Write, like Read, implies Describe. A broker that refuses says at most the name of a topic; what was wanted of it is
known to whoever asked, and is passed on to ``kafka_errors``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from streamer.config import KafkaSettings

OF_RUN = {
    "samples": ("Write", "Read"),
    "completeness": ("Write",),
    "gaps": ("Write",),
    "signals": ("Write", "DescribeConfigs"),
    "state": ("Write", "Read", "DescribeConfigs"),
    "shards": ("Read",),
}
"""What ``run`` does with each topic, by its logical name."""


class Right(NamedTuple):
    """One right of one principal; ``name`` ends in ``*`` where it stands for all names that begin so."""

    principal: str
    operation: str
    resource: str
    name: str

    def __str__(self) -> str:
        return f"{self.operation} on {self.resource} {self.name}"


def lacking(rights: Iterable[Right]) -> str:
    """Whose rights are missing, and which, of one principal."""
    rights = list(rights)
    return f"{rights[0].principal} lacks {', '.join(map(str, rights))}"


class Rights:
    """Every right by what it is needed for.

    Args:
        settings: the ``kafka`` section, for names and the user.
    """

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._principal = settings.principal

    def on(self, operation: str, topic: str) -> Right:
        """An operation on a topic, by the topic's logical name."""
        return Right(self._principal, operation, "topic", getattr(self._settings.topics, topic))

    def to_create(self) -> list[Right]:
        """What creating the topics needs of each."""
        return [self.on("Create", topic) for topic in OF_RUN]

    def to_see(self) -> list[Right]:
        """The rights of ``run`` of which each lets its topic be seen; a topic that is hidden lacks all of its own."""
        return [right for right in self.of_run() if right.resource == "topic" and right.operation != "DescribeConfigs"]

    def to_write(self, transactional_id: str) -> list[Right]:
        """What the writer with this transactional id needs."""
        written = [self.on("Write", topic) for topic, operations in OF_RUN.items() if "Write" in operations]
        return [Right(self._principal, "Write", "transactional id", transactional_id), *written]

    def to_join(self) -> list[Right]:
        """What a member of the group needs."""
        return [Right(self._principal, "Read", "group", self._settings.owners), self.on("Read", "shards")]

    def of_run(self) -> list[Right]:
        """All that ``run`` needs, where the topics are there."""
        on_topics = [self.on(operation, topic) for topic, operations in OF_RUN.items() for operation in operations]
        transactional_ids = Right(self._principal, "Write", "transactional id", f"{self._settings.topics.state}-*")
        return [*on_topics, transactional_ids, Right(self._principal, "Read", "group", self._settings.owners)]
