"""How configured groups take over the places of the ledger: nothing is lost when signals move (rule 5).

Called by the ledger alone, before anything else of a generation is committed.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count

from streamer.ledger.book import Account, Book
from streamer.model import Group, Hole, Interval, Place, Series


class Adoption:
    """One pass over the configured groups of a shard.

    A group takes the furthest place of those that its series come from. A series that comes from another place
    gets a hole from the floor of its old place, behind which all of it was settled, to the frontier of the new.
    A series never seen gets one from its start.
    """

    def __init__(self, books: dict[str, Book], starts_ns: Mapping[Series, int]) -> None:
        self._books = books
        self._starts_ns = starts_ns
        self._where = {name: book for book in books.values() for name in book.accounts}
        self._displaced: list[tuple[str, Book]] = []
        self._robbed: set[int] = set()
        self.changed: set[str] = set()
        self.abandoned: list[str] = []

    def take(self, group: Group) -> None:
        """Give a configured group its book, made anew unless it is there unchanged."""
        book = self._books.get(group.id)
        names = [series.name for series in group.series]
        if book is None or list(book.accounts) != names or book.ages_ns != group.stream.lookback_ns:
            if book is not None:
                self._displaced.append((group.id, book))
            book = self._books[group.id] = self._made(group)
            self.changed.add(group.id)
        book.group = group

    def finish(self) -> None:
        """Park what no configured group claimed, so that a signal that comes back goes on where it was."""
        for group_id, book in self._displaced:
            if book.accounts:
                parked = next(name for at in count(1) if (name := f"{group_id}~{at}") not in self._books)
                self._books[parked] = book
                self.changed.add(parked)
        for group_id, book in list(self._books.items()):
            if not book.accounts:
                del self._books[group_id]
                self.changed.discard(group_id)
                self.abandoned.append(group_id)
            elif id(book) in self._robbed:
                self.changed.add(group_id)

    def _made(self, group: Group) -> Book:
        olds = {series: self._where.get(series.name) for series in group.series}
        place = self._furthest(group, [book for book in olds.values() if book is not None])
        made = Book(group.stream.name, group.database_id, group.stream.lookback_ns, place)
        for series, old in olds.items():
            account = Account()
            if old is not None:
                account = old.accounts.pop(series.name)
                self._robbed.add(id(old))
            made.accounts[series.name] = account
            self._where[series.name] = made
            hole = self._hole(series, old, made)
            if hole is not None:
                account.open_hole(hole)
        return made

    def _furthest(self, group: Group, olds: list[Book]) -> Place:
        ages = group.stream.lookback_ns
        if not olds:
            start_ns = min(self._starts_ns[series] for series in group.series)
            return Place(start_ns, tuple(start_ns for _ in ages), start_ns)
        return Place(
            max(book.place.frontier_ns for book in olds),
            tuple(max(book.revisited_at(age) for book in olds) for age in ages),
            max(book.place.floor_ns for book in olds),
        )

    def _hole(self, series: Series, old: Book | None, made: Book) -> Hole | None:
        if old is None:
            start_ns, cause = self._starts_ns[series], "new"
        elif old.place.frontier_ns == made.place.frontier_ns and all(
            old.revisited_at(age) >= frontier
            for age, frontier in zip(made.ages_ns, made.place.revisited_ns, strict=True)
        ):
            return None
        else:
            start_ns, cause = old.place.floor_ns, "moved"
        if start_ns >= made.place.frontier_ns:
            return None
        return Hole(series, Interval(start_ns, made.place.frontier_ns), cause)
