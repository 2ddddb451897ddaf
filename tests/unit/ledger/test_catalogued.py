"""What the catalogue of signals was told is told once, also by the next owner."""

from __future__ import annotations

from streamer.ledger.catalogued import Catalogued
from tests.unit.ledger.bench import fold


def test_a_signal_is_told_once_until_what_is_known_of_it_changes() -> None:
    catalogued = Catalogued()
    assert catalogued.renew({"7:1": b"one", "7:2": b"two"}) == {"7:1": b"one", "7:2": b"two"}
    assert catalogued.renew({"7:1": b"one", "7:2": b"two"}) == {}
    assert catalogued.renew({"7:1": b"one", "7:2": b"other"}) == {"7:2": b"other"}


def test_a_signal_that_is_gone_is_told_to_be() -> None:
    catalogued = Catalogued()
    catalogued.renew({"7:1": b"one", "7:2": b"two"})
    assert catalogued.renew({"7:2": b"two"}) == {"7:1": None}
    assert catalogued.renew({"7:2": b"two"}) == {}


def test_the_next_owner_knows_what_was_told_and_nothing_that_was_not_committed() -> None:
    store: dict[bytes, bytes] = {}
    first = Catalogued()
    first.renew({"7:1": b"one", "7:2": b"two"})
    fold(store, first.changes())
    first.renew({"7:1": b"never committed"})
    second = Catalogued.restore(store)
    assert second.renew({"7:1": b"one", "7:2": b"two"}) == {}
    assert second.changes() == {}
    second.renew({"7:1": b"other"})
    fold(store, second.changes())
    assert Catalogued.restore(store).renew({}) == {"7:1": None}
