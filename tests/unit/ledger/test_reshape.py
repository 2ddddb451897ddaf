"""Ledgers divided anew: every series keeps what it had, wherever it goes."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from streamer.ledger.ledger import Ledger
from streamer.ledger.reshape import reshaped
from streamer.model import NS_PER_S, SignalId
from tests.unit.ledger.bench import Bench, every_second, group_of, raw

Stored = dict[bytes, bytes]


def old(shards: int) -> list[Ledger]:
    """Ledgers of shards with two signals each, revisions, a hole, and values that no double holds."""
    result = []
    for shard in range(shards):
        first, second = 2 * shard + 1, 2 * shard + 2
        bench = Bench(group_of(first, second))
        bench.live(0, 10, {first: every_second(0, 10), second: every_second(0, 10, 2**53 + 1)})
        bench.live(7, 20, {first: every_second(7, 20), second: every_second(7, 20, None)})
        bench.live(17, 30 + shard, {first: every_second(17, 30 + shard)})
        ledger = bench.ledger
        ledger.shard = shard
        result.append(ledger)
    return result


def remembered(ledgers: list[Ledger]) -> dict[str, list[object]]:
    """What is known of each series: samples, holes, what was told, place."""
    return {
        name: [
            [(list(instants), list(values), revision) for instants, values, revision in account.memory.parts()],
            account.holes,
            account.told,
            account.silence.figures,
            book.place,
            book.ages_ns,
        ]
        for ledger in ledgers
        for book in ledger.books.values()
        for name, account in book.accounts.items()
    }


def stored(ledger: Ledger) -> Stored:
    return {key: value for key, value in ledger.changes().items() if value is not None}


@settings(deadline=None)
@given(before=st.integers(1, 4), after=st.integers(1, 6), salt=st.integers(0, 5))
def test_every_series_keeps_what_it_had_and_is_where_it_belongs(before: int, after: int, salt: int) -> None:
    ledgers = old(before)
    expected = remembered(ledgers)

    def shard_of(signal: SignalId) -> int:
        return (signal.index * 7 + salt) % after

    made = reshaped(ledgers, shard_of, shards=after, partitions=60, owner="new")
    assert len(made) == after
    restored = [
        Ledger.restore(stored(ledger), shard=shard, shards=after, partitions=60, owner="next")
        for shard, ledger in enumerate(made)
    ]
    assert remembered(restored) == expected
    for shard, ledger in enumerate(restored):
        for names in ledger.members().values():
            assert all(shard_of(raw(int(name.split(":")[1])).signal) == shard for name in names)


def test_groups_that_are_cut_anew_ask_once_more_for_what_their_places_differ_by() -> None:
    made = reshaped(old(2), lambda signal: 0, shards=1, partitions=12, owner="new")[0]
    made.changes()
    group = group_of(1, 2, 3, 4)
    made.adopt([group], {})
    assert made.members() == {group.id: tuple(series.name for series in group.series)}
    assert made.place(group.id).frontier_ns == 31 * NS_PER_S
    moved = {hole.series.signal.index for hole in made.holes(group.id) if hole.interval.end_ns == 31 * NS_PER_S}
    assert moved >= {1, 2}
