"""Which series one request asks for together. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from streamer.model import Group, Series, Stream

MAX_SIGNALS_V1 = 20
"""Most signals of one v1 query (API: "20 at most")."""


def arrange(
    stream: Stream, database_id: int, shard: int, series: Sequence[Series], known: Mapping[str, Sequence[str]]
) -> list[Group]:
    """The groups of one stream in one shard, as like those that the ledger knows as can be.

    A series stays in the group that it is in, so that adding and removing signals moves no other one; new ones
    fill the groups that have room, then make groups of their own.

    Args:
        stream: the policies; its ``group_size`` bounds a group.
        database_id: the database of all the series.
        shard: the shard of all the series.
        series: what is wanted, each once.
        known: names of the series of each group that the ledger knows, by group.
    """
    if not series:
        return []
    prefix = f"{stream.name}/{series[0].label}/"
    wanted = {one.name: one for one in series}
    members: dict[str, list[Series]] = {}
    for group_id in sorted(known, key=lambda group_id: (len(group_id), group_id)):
        if group_id.startswith(prefix) and group_id.removeprefix(prefix).isdigit():
            kept = [name for name in known[group_id] if name in wanted][: stream.group_size]
            if kept:
                members[group_id] = [wanted.pop(name) for name in kept]
    left = list(wanted.values())
    for group in members.values():
        while left and len(group) < stream.group_size:
            group.append(left.pop(0))
    number = 0
    while left:
        while (group_id := f"{prefix}{number}") in members:
            number += 1
        members[group_id], left = left[: stream.group_size], left[stream.group_size :]
    return [Group(group_id, stream, shard, database_id, tuple(group)) for group_id, group in members.items()]
