"""Everything that is said in a run, in order and in virtual time: by the world, and by the daemon in its own log."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr

from streamer.logs import configure_logs
from tests.support.log_state import logging_restored

SECRET_MARK = "hush"
"""Is part of every secret and every token of a simulation: no output may ever have it."""


class Chronicle(io.TextIOBase):
    """The log of a run, written to by the world and, in place of stderr, by the daemon.

    Args:
        on_leak: told of an output that holds a secret.

    Attributes:
        lines: what was said so far.
    """

    def __init__(self, on_leak: Callable[[str], None]) -> None:
        super().__init__()
        self.lines: list[str] = []
        self._on_leak = on_leak

    def note(self, what: str) -> None:
        """The world says something."""
        self.lines.append(f"{asyncio.get_running_loop().time():.6f} {what}")

    def write(self, text: str) -> int:
        """The daemon logs something. Its own time is the host's, and left out."""
        for line in text.splitlines():
            self.inspect("the log", line)
            self.note(line.partition(", ")[2] if line.startswith('{"timestamp"') else line)
        return len(text)

    def inspect(self, where: str, text: str) -> None:
        """Look for secrets in an output."""
        if SECRET_MARK in text:
            self._on_leak(f"a secret in {where}: {text}")


@contextmanager
def daemon_heard(chronicle: Chronicle) -> Iterator[None]:
    """Until the end of the block, all that the program logs goes into the chronicle."""
    with logging_restored(), redirect_stderr(chronicle):
        configure_logs("json", "info")
        yield
