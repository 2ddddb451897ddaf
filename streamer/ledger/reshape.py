"""The ledgers of all shards, divided anew: when there are more or fewer shards, or other partitions.

Every series takes its memory, its holes and what was told of it along, under the place that it had. Groups are cut anew
by the next run, which asks once more for what their places differ by (rule 5).

No clock, no I/O. Called by ``streamer reshard`` alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from streamer.ledger.book import Account, Book
from streamer.ledger.ledger import Ledger
from streamer.ledger.parts import Fresh
from streamer.model import Series, SignalId


def reshaped(
    ledgers: Iterable[Ledger], shard_of: Callable[[SignalId], int], *, shards: int, partitions: int, owner: str
) -> list[Ledger]:
    """One ledger a shard, whose first changes write all of it.

    Args:
        ledgers: of all shards as they were; not to be used any more.
        shard_of: where a signal belongs from now on.
        shards: how many there are from now on.
        partitions: of the samples topic, from now on.
        owner: in whose name the new ledgers are signed.
    """
    books: list[dict[str, Book]] = [{} for _ in range(shards)]
    for ledger in ledgers:
        for group_id, book in ledger.books.items():
            for name, account in book.accounts.items():
                of_shard = books[shard_of(Series.parse(name).signal)]
                part = of_shard.setdefault(
                    f"{group_id}~{ledger.shard}", Book(book.stream, book.database_id, book.ages_ns, book.place)
                )
                part.accounts[name] = _unstored(account)
    return [
        Ledger.of_books(of_shard, shard=shard, shards=shards, partitions=partitions, owner=owner)
        for shard, of_shard in enumerate(books)
    ]


def _unstored(account: Account) -> Account:
    """The account as one of which nothing is stored yet."""
    account.stored.clear()
    account.fresh = [Fresh(*part) for part in account.memory.parts()]
    return account
