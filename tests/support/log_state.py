"""The logging of a process is global: whoever configures it in a test puts it back."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from streamer.logs import CHATTY_LOGGERS
from streamer.redaction import configure_secrets


@contextmanager
def logging_restored() -> Iterator[None]:
    """Whatever the block does to logging is undone at its end; no secret is registered any more."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    chatty = {name: logging.getLogger(name).level for name in CHATTY_LOGGERS}
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
        for name, before in chatty.items():
            logging.getLogger(name).setLevel(before)
        structlog.reset_defaults()
        structlog.contextvars.clear_contextvars()
        configure_secrets(())
