"""An API that means harm: each attack ends in an error that is named, in bounded memory, and reaches nobody else."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from random import Random

import msgspec
import pytest
from pydantic import SecretStr

from streamer.clock import ServiceTime, SystemClock
from streamer.errors import SourceError
from streamer.source.client import ApiClient
from streamer.source.http_transport import HttpTransport
from streamer.source.throttle import Throttle
from streamer.source.token import TokenSource
from tests.support.besieged import FOUR_TIMES, Suffered
from tests.support.hostile_api import BODIES, TOKENS, WIRES, HostileApi, besieging
from tests.unit.source.fakes import query_for

ENDED_WITHIN_S = 150.0
MOST_GROWN_BYTES = 80 * 1024 * 1024
"""Two and a half bodies of 32 MiB: one as it came, and what is made of it."""

ATTEMPTS = 4

ANSWERED = {
    "absurd_instants": 1,
    "a_million_keys_in_a_row": 1,
    "a_number_of_31_megabytes": 0,
    "a_text_of_31_megabytes": 0,
    "as_many_rows_as_allowed": 100_000,
    "deep_arrays_in_a_row": 1,
    "escapes_without_end": 0,
    "invalid_utf_8": 1,
    "shuffled_rows": 99_999,
}
"""Attacks that cost no more than their own rows, and the rows that are left."""

NOT_NOW = {"error_of_30_megabytes", *WIRES, *(f"token_{name}" for name in TOKENS)}
TOGETHER = ["bomb_of_gzip_at_once", "honest_rows_up_to_the_limit", "zeros"]


class Siege:
    """What came of every attack, by its name, and what the API was asked for."""

    def __init__(self, api: HostileApi) -> None:
        self._api = api
        self.suffered: dict[str, Suffered] = {}

    def lay(self, timeout_s: float, *attacks: str) -> None:
        command = (sys.executable, "-m", "tests.support.besieged", self._api.url, str(timeout_s), *attacks)
        done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, timeout=ENDED_WITHIN_S)
        assert done.stderr == b""
        for line in done.stdout.splitlines():
            suffered = msgspec.json.decode(line, type=Suffered)
            self.suffered[suffered.attack] = suffered

    def paths(self, attack: str) -> list[str]:
        return self._api.paths(attack)


@pytest.fixture(scope="module")
def siege() -> Iterator[Siege]:
    """All attacks, each kind in one process after the other, so that memory that is not given back adds up."""
    with besieging() as api:
        siege = Siege(api)
        siege.lay(60.0, *BODIES)
        siege.lay(60.0, *(FOUR_TIMES + attack for attack in TOGETHER))
        siege.lay(0.5, *WIRES, *(f"token_{name}" for name in TOKENS))
        yield siege


@pytest.mark.timeout(400)
@pytest.mark.parametrize("attack", [*BODIES, *WIRES, *(f"token_{name}" for name in TOKENS)])
def test_an_attack_costs_bounded_memory_and_ends_in_what_is_documented(siege: Siege, attack: str) -> None:
    suffered = siege.suffered[attack]
    assert suffered.grown_bytes < MOST_GROWN_BYTES
    expected = "answer" if attack in ANSWERED else "SourceUnreachable" if attack in NOT_NOW else "QueryFailed"
    assert (suffered.outcome, suffered.rows) == (expected, ANSWERED.get(attack, 0))
    assert suffered.text.isprintable()
    assert len(suffered.text) < 1_000
    assert "b3arer" not in suffered.text


@pytest.mark.timeout(400)
@pytest.mark.parametrize("attack", TOGETHER)
def test_four_attacks_at_once_cost_no_more_than_one(siege: Siege, attack: str) -> None:
    assert siege.suffered[FOUR_TIMES + attack].grown_bytes < MOST_GROWN_BYTES


@pytest.mark.timeout(400)
def test_what_may_pass_is_asked_a_few_times_and_what_cannot_once(siege: Siege) -> None:
    for attack in BODIES:
        questions = [path for path in siege.paths(attack) if path != "v1/auth/token"]
        assert len(questions) <= (ATTEMPTS if attack in NOT_NOW else 1) + (attack in TOGETHER) * 4
    for name in TOKENS:
        assert siege.paths(f"token_{name}") == ["v1/auth/token"] * ATTEMPTS


class Bystander:
    """A host that nobody has any business with, and how many came all the same."""

    def __init__(self) -> None:
        self.visits = 0

    async def meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.visits += 1
        writer.close()


LURES = {
    "location": ("307 Temporary Redirect", "Location: {url}/stolen"),
    "location_without_scheme": ("302 Found", "Location: //{host}/stolen"),
    "permanent": ("308 Permanent Redirect", "Location: {url}/stolen"),
    "see_other": ("303 See Other", "Location: {url}/stolen"),
    "use_proxy": ("305 Use Proxy", "Location: {url}"),
    "refresh": ("200 OK", "Refresh: 0; url={url}/stolen"),
    "alternative": ("200 OK", 'Alt-Svc: http/1.1="{host}"; ma=86400'),
    "link": ("200 OK", "Link: <{url}>; rel=preconnect"),
    "content_location": ("200 OK", "Content-Location: {url}/stolen"),
    "proxy_demanded": ("407 Proxy Authentication Required", "Proxy-Authenticate: Basic"),
    "login_demanded": ("401 Unauthorized", 'WWW-Authenticate: Bearer realm="{url}"'),
}


@pytest.mark.parametrize("lure", LURES)
@pytest.mark.parametrize("is_for_the_token", [False, True])
async def test_nothing_that_an_answer_says_leads_to_another_host(
    lure: str, is_for_the_token: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    bystander = Bystander()
    elsewhere = await asyncio.start_server(bystander.meet, "127.0.0.1", 0)
    port = elsewhere.sockets[0].getsockname()[1]
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{port}")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login other password stolen\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    status, header = LURES[lure]
    header = header.format(url=f"http://127.0.0.1:{port}", host=f"127.0.0.1:{port}")
    asked: list[str] = []

    async def lead_astray(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append((await reader.readuntil(b"\r\n\r\n")).decode())
        is_lure = ("auth/token" in asked[-1]) == is_for_the_token
        body = b'{"access_token":"b3arer","expires_in":3600}' if "auth/token" in asked[-1] else b"[]"
        lines = [f"HTTP/1.1 {status if is_lure else '200 OK'}", *([header] if is_lure else [])]
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}", "Connection: close", "", ""]
        writer.write("\r\n".join(lines).encode() + body)
        writer.close()

    async with elsewhere, await asyncio.start_server(lead_astray, "127.0.0.1", 0) as server:
        clock = SystemClock()
        transport = HttpTransport(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", timeout_s=10)
        tokens = TokenSource(transport, "c", lambda: SecretStr("s3cret"), clock, dialect="form")
        client = ApiClient(transport, tokens, Throttle(clock, Random(1)), ServiceTime(clock), clock, random=Random(1))
        with suppress(SourceError):
            await client.query(query_for(1))
        await client.close()
    assert bystander.visits == 0
    assert asked
    assert not any("Basic " in request for request in asked)
    assert all(request.split(" ")[1].startswith("/v1/") for request in asked)
