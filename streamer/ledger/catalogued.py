"""Which signals were told to the catalogue of a shard, and what: kept in the ledger, so that it is told once.

Called by the ledger and, through it, by the bulletin.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b

from streamer.ledger.codec import SIGNAL_PREFIX


class Catalogued:
    """A short digest of what was last told of each signal, by its key."""

    def __init__(self) -> None:
        self._digests: dict[str, bytes] = {}
        self._changes: dict[bytes, bytes | None] = {}

    @classmethod
    def restore(cls, records: Mapping[bytes, bytes]) -> Catalogued:
        """As the state records of a shard say."""
        catalogued = cls()
        catalogued._digests = {
            key.removeprefix(SIGNAL_PREFIX).decode(): digest
            for key, digest in records.items()
            if key.startswith(SIGNAL_PREFIX)
        }
        return catalogued

    def renew(self, wanted: Mapping[str, bytes]) -> dict[str, bytes | None]:
        """What must be told, now that these are the signals of the shard; None for one that is gone.

        Args:
            wanted: what is to be known of each signal, by its key.
        """
        digests = {key: blake2b(value, digest_size=8).hexdigest().encode() for key, value in wanted.items()}
        told: dict[str, bytes | None] = {key: None for key in self._digests if key not in wanted}
        told |= {key: value for key, value in wanted.items() if self._digests.get(key) != digests[key]}
        for key in told:
            self._changes[SIGNAL_PREFIX + key.encode()] = digests.get(key)
        self._digests = digests
        return told

    @property
    def is_changed(self) -> bool:
        """Whether there are any changes."""
        return bool(self._changes)

    def changes(self) -> dict[bytes, bytes | None]:
        """The state records of everything since the last call."""
        changes, self._changes = self._changes, {}
        return changes
