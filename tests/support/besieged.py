"""The client under attack, in a process of its own whose memory is measured: one line of JSON an attack.

    python -m tests.support.besieged URL TIMEOUT_S ATTACK …

An attack named ``entries`` is made on the catalogue, ``four_times_…`` with four questions at once, any other on a
query. Memory is the peak over what was resident before the first attack, so nothing that stays is forgiven.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from random import Random

import msgspec
from pydantic import SecretStr

from streamer.clock import ServiceTime
from streamer.errors import StreamerError
from streamer.logs import configure_logs
from streamer.model import NS_PER_S, Interval
from streamer.source.client import ApiClient
from streamer.source.http_transport import HttpTransport
from streamer.source.throttle import Throttle
from streamer.source.token import TokenSource
from tests.unit.source.fakes import NOON_NS, query_for

HOUR = Interval(NOON_NS, NOON_NS + 3600 * NS_PER_S)
FOUR_TIMES = "four_times_"
WARM_UP = "nothing_special"


class Suffered(msgspec.Struct):
    """What an attack led to."""

    attack: str
    outcome: str
    text: str
    rows: int
    grown_bytes: int


class SkippingClock:
    """The host's time, save that sleeping takes none."""

    def __init__(self) -> None:
        self._skipped_ns = 0

    def monotonic_ns(self) -> int:
        return time.monotonic_ns() + self._skipped_ns

    def wall_ns(self) -> int:
        return time.time_ns()

    async def sleep(self, seconds: float) -> None:
        self._skipped_ns += int(seconds * NS_PER_S)
        await asyncio.sleep(0)


def resident_bytes(line: str) -> int:
    """``VmRSS`` or ``VmHWM`` of this process."""
    status = Path("/proc/self/status").read_text()
    return int(status.split(f"{line}:")[1].split()[0]) * 1024


def forget_peak() -> None:
    """Let ``VmHWM`` begin anew, where the kernel lets a process do so."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


async def question(client: ApiClient) -> tuple[str, str, int]:
    """As ``outcome``, of one query; nothing of the answer is kept."""
    try:
        answer = await client.query(query_for(1, 2, window=HOUR))
    except StreamerError as exc:
        return type(exc).__name__, str(exc), 0
    rows = sum(len(column.values) for column in answer.columns.values())
    return "answer", json.dumps(answer.rejected), rows


async def outcome(base_url: str, timeout_s: float, attack: str) -> tuple[str, str, int]:
    """The name of the error and its text, or ``answer``; and the rows that were let in."""
    clock = SkippingClock()
    transport = HttpTransport(f"{base_url}/{attack.removeprefix(FOUR_TIMES)}", timeout_s=timeout_s)
    tokens = TokenSource(transport, "c", lambda: SecretStr("s3cret-of-the-tenant"), clock, dialect="form")
    client = ApiClient(transport, tokens, Throttle(clock, Random(1)), ServiceTime(clock), clock, random=Random(1))
    try:
        if attack.startswith("entries"):
            return "answer", "", len(await client.measurements())
        times = 4 if attack.startswith(FOUR_TIMES) else 1
        outcomes = await asyncio.gather(*(question(client) for _ in range(times)))
        return outcomes[0]
    except StreamerError as exc:
        return type(exc).__name__, str(exc), 0
    finally:
        await client.close()


async def suffer(base_url: str, timeout_s: float, attacks: Iterable[str]) -> None:
    await outcome(base_url, timeout_s, WARM_UP)
    before_bytes = resident_bytes("VmRSS")
    for attack in attacks:
        forget_peak()
        came_of_it, text, rows = await outcome(base_url, timeout_s, attack)
        grown_bytes = resident_bytes("VmHWM") - before_bytes
        suffered = Suffered(attack, came_of_it, text, rows, grown_bytes)
        sys.stdout.write(msgspec.json.encode(suffered).decode() + "\n")


if __name__ == "__main__":
    configure_logs("json", "critical")
    url, seconds, *names = sys.argv[1:]
    asyncio.run(suffer(url, float(seconds), names))
