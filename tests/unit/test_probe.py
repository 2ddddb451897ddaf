"""The health check: it tells a living daemon from anything else, and names what it asked."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from streamer.errors import EXIT_UNREACHABLE, ConfigurationError, StatusUnreachable
from streamer.metrics import Metrics
from streamer.status.probe import ask_whether_alive
from streamer.status.server import StatusServer
from tests.support.watched import WatchedDaemon


@contextmanager
def something_else() -> Iterator[int]:
    """The port of a server that knows nothing of /livez."""

    class Stranger(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(404)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Stranger)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize("asked", ["127.0.0.1", "0.0.0.0", "localhost"])
async def test_a_daemon_lives_before_it_is_ready_and_wherever_it_listens(asked: str) -> None:
    server = StatusServer(WatchedDaemon(is_ready=False).board(), Metrics(), "127.0.0.1", 0)
    await server.start()
    try:
        port = int(server.url.rpartition(":")[2])
        assert await asyncio.to_thread(ask_whether_alive, asked, port) == "ok"
    finally:
        await server.close()


def test_nobody_there_is_told_with_the_address() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))  # taken, and nobody listens
        port = silent.getsockname()[1]
        with pytest.raises(StatusUnreachable, match=f"127.0.0.1:{port} .*refused") as caught:
            ask_whether_alive("127.0.0.1", port)
    assert caught.value.exit_code == EXIT_UNREACHABLE


def test_another_program_on_the_port_is_no_living_daemon() -> None:
    with something_else() as port, pytest.raises(StatusUnreachable, match=r"not a living daemon \(404\)"):
        ask_whether_alive("127.0.0.1", port)


def test_a_daemon_on_any_free_port_cannot_be_asked() -> None:
    with pytest.raises(ConfigurationError, match=r"status\.port: is 0"):
        ask_whether_alive("127.0.0.1", 0)
