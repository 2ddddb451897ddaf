"""The events that the program logs, read from its source: names, levels, rooms and keys.

Events are literal, so that they can be found. They are said to a logger, or to ``Complaints`` (a fault that goes on)
and ``Patience`` (an attempt that is repeated), which say a fault as a warning and its end as an information.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

LEVELS = ("debug", "info", "warning", "error")
LOGGER = "_log"
SAY_WHAT_THEY_ARE_TOLD = {"complaints", "patience"}
FAULT_KEYS = ("cause", "times")
"""What ``Complaints`` adds to each fault."""


class Said(NamedTuple):
    """An event at one place of the source."""

    event: str
    level: str
    room: str
    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LogEvent:
    """An event over all places that say it."""

    name: str
    levels: tuple[str, ...]
    rooms: tuple[str, ...]
    keys: tuple[str, ...]


def log_events(source: Path) -> list[LogEvent]:
    """All events of a package, by name."""
    said = sorted(one for file in source.rglob("*.py") for one in said_in(_room(source, file), file.read_text("utf-8")))
    return [
        LogEvent(
            name,
            levels=tuple(dict.fromkeys(one.level for one in said if one.event == name)),
            rooms=tuple(dict.fromkeys(one.room for one in said if one.event == name)),
            keys=tuple(dict.fromkeys(key for one in said if one.event == name for key in one.keys)),
        )
        for name in dict.fromkeys(one.event for one in said)
    ]


def said_in(room: str, text: str) -> Iterator[Said]:
    """What one module says. Raises ValueError where an event is not literal."""
    if room in SAY_WHAT_THEY_ARE_TOLD:
        return
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            of, verb = node.func.value, node.func.attr
            keys = tuple(keyword.arg for keyword in node.keywords if keyword.arg and keyword.arg != "who")
            if isinstance(of, ast.Name) and of.id == LOGGER and verb in LEVELS:
                yield Said(_literal(room, node, 0), verb, room, keys)
            elif _ends_with(of, "complaints") and verb == "say":
                yield Said(_literal(room, node, 0), "warning", room, (*FAULT_KEYS, *keys))
            elif _ends_with(of, "complaints") and verb == "over":
                yield Said(_literal(room, node, 1), "info", room, keys)
            elif _ends_with(of, "patience") and verb == "persist":
                yield Said(_literal(room, node, 0), "warning", room, (*FAULT_KEYS, "remedy"))
                yield Said(_literal(room, node, 1), "info", room, ())

        elif isinstance(node, ast.Dict) and (said := _written_by_hand(room, node)):
            yield said


def _written_by_hand(room: str, node: ast.Dict) -> Said | None:
    """A whole line in one literal, for when a logger cannot be trusted; None of any other mapping."""
    line = {
        str(key.value): str(value.value) if isinstance(value, ast.Constant) else None
        for key, value in zip(node.keys, node.values, strict=True)
        if isinstance(key, ast.Constant)
    }
    event, level = line.pop("event", None), line.pop("level", None)
    if event is None or level is None:
        return None
    return Said(event, level, room, tuple(key for key in line if key != "logger"))


def _ends_with(node: ast.expr, name: str) -> bool:
    """Whether it is ``complaints``, ``self._complaints``, ``around.complaints`` …, given ``complaints``."""
    last = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
    return last.lstrip("_") == name


def _literal(room: str, call: ast.Call, at: int) -> str:
    match call.args[at : at + 1]:
        case [ast.Constant(value=str(event))]:
            return event
    raise ValueError(f"{room}, line {call.lineno}: the event is not literal")


def _room(source: Path, file: Path) -> str:
    """A package is a room, and so is a module beside the packages."""
    return file.relative_to(source).parts[0].removesuffix(".py")
