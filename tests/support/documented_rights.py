"""The table of rights in docs/kafka.md, read: what tests grant is what users are told to grant."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

PAGE = Path(__file__).parents[2] / "docs" / "kafka.md"
_ROW = re.compile(r"\| (?P<operation>\w+) \| (?P<resource>[a-z ]+) `(?P<name>[^`]+)` \| (?P<commands>.+) \|")


class DocumentedRight(NamedTuple):
    """One row. ``name`` may end in ``*``: a prefix."""

    operation: str
    resource: str
    name: str
    commands: frozenset[str]

    def under(self, prefix: str) -> DocumentedRight:
        """The same where every name has another prefix than ``powerp``."""
        return self._replace(name=self.name.replace("powerp", prefix, 1))

    def __str__(self) -> str:
        return f"{self.operation} on {self.resource} {self.name}"


def documented_rights() -> list[DocumentedRight]:
    """All rows, in their order."""
    return list(_rows(PAGE.read_text("utf-8").partition("## Rights")[2].partition("\n## ")[0]))


def _rows(text: str) -> Iterator[DocumentedRight]:
    for line in text.splitlines():
        if line.startswith("| ") and not line.startswith(("| operation", "| ---")):
            row = _ROW.fullmatch(line)
            assert row is not None, f"not a row of rights: {line}"
            commands = frozenset(re.findall(r"`(\w+)`", row["commands"]))
            yield DocumentedRight(row["operation"], row["resource"], row["name"], commands)
