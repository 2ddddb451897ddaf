"""Logs: structlog and the standard library through one chain, to stderr, one line a call.

Called once by ``cli.py``, before anything else runs; rooms only say ``structlog.get_logger(__name__)``. What
reaches a line went through ``redaction.py``: no secret, and no control character from outside, in either format.
"""

from __future__ import annotations

import json
import logging
import sys
import traceback
from collections.abc import Iterable, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Literal, TextIO

import structlog
from pydantic import SecretBytes, SecretStr
from structlog.typing import EventDict, Processor, WrappedLogger

from streamer.errors import StreamerError
from streamer.redaction import configure_secrets, register_secret, safe_exception, safe_item, safe_lines, safe_value

__all__ = ["configure_logs", "register_secret"]

CHATTY_LOGGERS = {"aiohttp": logging.WARNING, "aiokafka": logging.CRITICAL, "asyncio": logging.WARNING}
"""From which level on these are heard unless debugging. aiohttp writes a line a request; aiokafka an error for each
attempt to reach a broker that is away, and what it says beside that, it raises too."""

TRACEBACK_MARGIN = "    | "
"""Starts each line of a console traceback, so that an exception's message cannot pose as a record of its own."""

LEADING_KEYS = ("timestamp", "level", "logger", "event")

_ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]


def configure_logs(format: Literal["json", "console"], level: str, secrets: Iterable[str] = ()) -> None:
    """Send all logs of the process to stderr; a second call replaces the first.

    Args:
        format: one JSON object a line, or aligned text for a person (a bug's traceback then spans lines).
        level: name of the lowest level that is written, in any case.
        secrets: values that must never be written; tokens minted later are added by ``register_secret``.
    """
    configure_secrets(secrets)
    lowest = logging.getLevelNamesMapping()[level.upper()]
    before: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *before,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = _StderrHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=before,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _make_safe, _renderer(format)],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(lowest)
    for name, least in CHATTY_LOGGERS.items():
        logging.getLogger(name).setLevel(lowest if lowest <= logging.DEBUG else max(lowest, least))


class _StderrHandler(logging.StreamHandler[TextIO]):
    """Writes to whatever ``sys.stderr`` is at that moment, and never shows a record that it could not format."""

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        if record.args:  # of a third party: structlog's records carry none
            arguments = _safe_arguments(record.args)
            record = logging.makeLogRecord(record.__dict__)
            record.args = arguments
        super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  # the name is the standard library's
        """The library's own would print the message and its arguments as they are, secrets included."""
        line = {"event": "logs.record_failed", "level": "error", "logger": str(safe_value(record.name))}
        with suppress(OSError, ValueError):
            sys.stderr.write(json.dumps(line) + "\n")


def _safe_arguments(arguments: tuple[object, ...] | Mapping[str, object]) -> tuple[object, ...] | Mapping[str, object]:
    """Arguments of a ``%`` message: ``%r`` of an exception would write the headers of its request."""
    if isinstance(arguments, Mapping):
        return {key: _safe_argument(value) for key, value in arguments.items()}
    return tuple(_safe_argument(value) for value in arguments)


def _safe_argument(value: object) -> object:
    if isinstance(value, (BaseException, bytes, bytearray, memoryview, SecretStr, SecretBytes, Mapping, list, tuple)):
        return safe_value(value)
    return value


def _make_safe(_logger: WrappedLogger, _method: str, event_dict: EventDict) -> EventDict:
    exc_info = _figured_out(event_dict.pop("exc_info", None))
    stack = event_dict.pop("stack_info", None)
    ordered = {key: event_dict.pop(key) for key in LEADING_KEYS if key in event_dict} | dict(event_dict)
    safe: EventDict = {str(safe_value(key)): safe_item(key, value) for key, value in ordered.items()}
    if isinstance(stack, str):
        safe["stack"] = "\n".join(safe_lines(stack))
    if exc_info is not None:
        error = exc_info[1]
        if isinstance(error, StreamerError):  # explained to its user: where it was raised says nothing more
            safe["error"] = safe_exception(error)
        else:
            safe["exception"] = "\n".join(safe_lines("".join(traceback.format_exception(*exc_info)).rstrip("\n")))
    return safe


def _figured_out(exc_info: object) -> _ExcInfo | None:
    if isinstance(exc_info, BaseException):
        return type(exc_info), exc_info, exc_info.__traceback__
    if isinstance(exc_info, tuple):
        kind, error, trace = exc_info
        return None if error is None else (kind, error, trace)
    if exc_info:
        kind, error, trace = sys.exc_info()
        return None if kind is None or error is None else (kind, error, trace)
    return None


def _renderer(format: Literal["json", "console"]) -> Processor:
    if format == "json":
        return structlog.processors.JSONRenderer(serializer=json.dumps, ensure_ascii=False)
    console = structlog.dev.ConsoleRenderer(
        colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
    )

    def render(logger: WrappedLogger, method: str, event_dict: EventDict) -> str:
        for key in ("exception", "stack"):
            text = event_dict.get(key)
            if text is not None:
                event_dict[key] = "\n".join(TRACEBACK_MARGIN + line for line in text.split("\n"))
        return console(logger, method, event_dict)

    return render
