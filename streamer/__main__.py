"""Entry of the program, as ``streamer`` and as ``python -m streamer``.

Signals have an answer before the rest is imported: process 1 of a container has no default action, so that a SIGTERM
without a handler would be lost, and the container killed when its grace period is over.
"""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType

SERVICES = {"run", "simulate", "demo"}
"""Commands that go on until they are told to end; they put handlers of their own in place of this one."""


def main() -> None:
    """Run the command line, see ``streamer.cli``."""
    is_service = not SERVICES.isdisjoint(sys.argv[1:2])

    def end_at_once(number: int, _frame: FrameType | None) -> None:
        """Nothing has begun that would have to be ended in order."""
        os._exit(0 if is_service else 128 + number)

    if is_service:  # Ctrl-C ends the others by KeyboardInterrupt
        signal.signal(signal.SIGINT, end_at_once)
    signal.signal(signal.SIGTERM, end_at_once)
    from streamer.cli import main as command_line

    command_line()


if __name__ == "__main__":
    main()
