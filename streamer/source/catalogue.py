"""Which signals there are, which a stream selects, and what changed since the catalogue was last read. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from streamer.model import Signal, SignalId


@dataclass(frozen=True, slots=True)
class Match:
    """Case-sensitive patterns (``*``, ``?``, ``[…]``); all that are given must match, and null matches none."""

    tag: str | None = None
    name: str | None = None
    unit: str | None = None

    def admits(self, signal: Signal) -> bool:
        """Whether the signal is selected."""
        pairs = ((self.tag, signal.tag), (self.name, signal.name), (self.unit, signal.unit))
        return all(pattern is None or (text is not None and fnmatchcase(text, pattern)) for pattern, text in pairs)


@dataclass(frozen=True, slots=True)
class Selection:
    """The signals of a stream: those that the catalogue knows, and those that were named but are not in it."""

    found: tuple[Signal, ...]
    unknown: tuple[SignalId, ...] = ()


class Catalogue:
    """The signals of the tenant, by name. Of two entries for one signal the first wins.

    Attributes:
        duplicates: entries that were passed over.
    """

    def __init__(self, signals: Sequence[Signal]) -> None:
        self._signals: dict[SignalId, Signal] = {}
        for signal in signals:
            self._signals.setdefault(signal.id, signal)
        self.duplicates = len(signals) - len(self._signals)

    @property
    def signals(self) -> tuple[Signal, ...]:
        """All signals, in the API's order."""
        return tuple(self._signals.values())

    def select(
        self, database_id: int, *, indexes: Sequence[int] | None = None, match: Match | None = None
    ) -> Selection:
        """The signals of one database: those named, those matched, or all when neither is given.

        Args:
            database_id: only signals of this database are selected.
            indexes: by index, in this order, repetitions left out; not together with ``match``.
            match: by patterns, in the catalogue's order.
        """
        if indexes is None:
            candidates = (signal for signal in self._signals.values() if signal.id.database_id == database_id)
            return Selection(tuple(signal for signal in candidates if match is None or match.admits(signal)))
        asked = [SignalId(database_id, index) for index in dict.fromkeys(indexes)]
        found = tuple(self._signals[signal] for signal in asked if signal in self._signals)
        return Selection(found, tuple(signal for signal in asked if signal not in self._signals))


@dataclass(frozen=True, slots=True)
class CatalogueDiff:
    """What a later catalogue has more, less, or different. ``changed`` holds the later entries."""

    added: tuple[Signal, ...]
    removed: tuple[Signal, ...]
    changed: tuple[Signal, ...]

    @classmethod
    def between(cls, before: Catalogue, after: Catalogue) -> CatalogueDiff:
        """Compare two readings of the catalogue."""
        old = {signal.id: signal for signal in before.signals}
        new = {signal.id: signal for signal in after.signals}
        return cls(
            added=tuple(signal for key, signal in new.items() if key not in old),
            removed=tuple(signal for key, signal in old.items() if key not in new),
            changed=tuple(signal for key, signal in new.items() if key in old and old[key] != signal),
        )

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed)
