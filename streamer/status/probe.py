"""Whether a daemon on this machine lives, asked from another process: the image's health check.

Called by ``cli.py``. Blocking and without any client library, so that it is cheap.
"""

from __future__ import annotations

from http.client import HTTPConnection, HTTPException
from ipaddress import ip_address

from streamer.errors import ConfigurationError, StatusUnreachable

ANSWERED_WITHIN_S = 3.0


def ask_whether_alive(host: str, port: int) -> str:
    """The answer of ``/livez``. The arguments are those of the configuration's ``status`` section.

    Raises:
        ConfigurationError: the port is any that is free, so nobody else knows it.
        StatusUnreachable: no answer, or another one than a living daemon gives.
    """
    if port == 0:
        raise ConfigurationError([("status.port", "is 0, any that is free; name one, so that it can be asked")])
    connection = HTTPConnection(_reachable(host), port, timeout=ANSWERED_WITHIN_S)
    remedy = "Look into the log of `streamer run`."
    try:
        connection.request("GET", "/livez")
        answer = connection.getresponse()
        text = answer.read(80).decode("utf-8", "replace").strip()
    except (OSError, HTTPException) as exc:
        reason = str(exc) or type(exc).__name__
        raise StatusUnreachable(f"The daemon does not answer at {host}:{port} ({reason}).", remedy) from exc
    finally:
        connection.close()
    if answer.status != 200:
        raise StatusUnreachable(f"What answers at {host}:{port} is not a living daemon ({answer.status}).", remedy)
    return text


def _reachable(host: str) -> str:
    """An address to connect to, where the configured one means every address of the machine."""
    try:
        address = ip_address(host)
    except ValueError:
        return host
    if not address.is_unspecified:
        return host
    return "127.0.0.1" if address.version == 4 else "::1"
