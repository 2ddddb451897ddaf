"""Named steps of the program, at which tests may kill it.

Called by whoever takes a step after which a crash would be remembered differently. Nothing is armed outside of tests:
then a failpoint is one call and one comparison, and there is one at most a request or a commit, never one a sample.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

_armed: Callable[[str], None] | None = None


def failpoint(name: str) -> None:
    """The program is at this step, ``room.step``. What is armed may raise ``asyncio.CancelledError``: a crash."""
    if _armed is not None:
        _armed(name)


@contextmanager
def armed(hook: Callable[[str], None]) -> Iterator[None]:
    """Call ``hook`` at every failpoint of the process until the end of the block."""
    global _armed  # failpoints are the process's, as its steps are
    before, _armed = _armed, hook
    try:
        yield
    finally:
        _armed = before
