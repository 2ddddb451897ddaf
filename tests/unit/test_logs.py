"""The log: one line a call, no secret, no control character of others, in both formats."""

from __future__ import annotations

import gc
import json
import logging
import weakref
from collections import deque
from collections.abc import Iterator
from typing import Any, Literal

import pytest
import structlog
from aiohttp import ClientResponseError, RequestInfo
from multidict import CIMultiDict, CIMultiDictProxy
from pydantic import SecretBytes, SecretStr
from yarl import URL

from streamer import redaction
from streamer.errors import SourceUnreachable
from streamer.logs import CHATTY_LOGGERS, configure_logs, register_secret
from streamer.redaction import MINTED_SECRETS_KEPT, REDACTED
from tests.support.log_state import logging_restored

Format = Literal["json", "console"]
FORMATS: tuple[Format, ...] = ("json", "console")
SECRET = "correct-horse/battery+staple"
DANGEROUS = ["\n", "\r", "\x1b", "\x00", "\x07", "\x7f", "\x85", "\x9b", "\u2028", "\u2029"] + [
    chr(point) for point in (*range(0x202A, 0x202F), *range(0x2066, 0x206A))
]


@pytest.fixture(autouse=True)
def _process_logging_restored() -> Iterator[None]:
    with logging_restored():
        yield


class Stderr:
    """All that was written to stderr so far."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self._written = ""

    def getvalue(self) -> str:
        self._written += self._capsys.readouterr().err
        return self._written


@pytest.fixture
def stderr(capsys: pytest.CaptureFixture[str]) -> Stderr:
    return Stderr(capsys)


def the_line(stderr: Stderr) -> str:
    written = stderr.getvalue()
    assert written.endswith("\n")
    assert written.count("\n") == 1
    return written[:-1]


def the_record(stderr: Stderr) -> dict[str, Any]:
    record = json.loads(the_line(stderr))
    assert isinstance(record, dict)
    return record


def response_error(bearer: str, plant: str = "x") -> ClientResponseError:
    sent = {"Authorization": f"Bearer {bearer}", "X-Api-Key": "key-of-the-proxy", "X-Plant": plant}
    headers = CIMultiDictProxy(CIMultiDict(sent))
    url = URL("https://tenant.powerp.app/rt-api/api/v1/query")
    return ClientResponseError(RequestInfo(url, "POST", headers, url), (), status=502, message="Bad Gateway")


def raise_and_log(error: BaseException) -> None:
    try:
        raise error
    except type(error):
        structlog.get_logger("streamer.daemon").exception("daemon.task_failed")


def test_a_json_record_has_event_level_logger_and_utc_time(stderr: Stderr) -> None:
    configure_logs("json", "info")
    structlog.get_logger("streamer.ledger").warning("ledger.hole_opened", database_id=1, cause="absent")
    record = the_record(stderr)
    assert list(record)[:4] == ["timestamp", "level", "logger", "event"]
    assert record.pop("timestamp").endswith("Z")
    assert record == {
        "event": "ledger.hole_opened",
        "level": "warning",
        "logger": "streamer.ledger",
        "database_id": 1,
        "cause": "absent",
    }


def test_the_console_shows_the_same_on_one_line_without_colours_off_a_terminal(stderr: Stderr) -> None:
    configure_logs("console", "info")
    structlog.get_logger("streamer.ledger").warning("ledger.hole_opened", cause="absent")
    line = the_line(stderr)
    assert "ledger.hole_opened" in line
    assert "cause=absent" in line
    assert "streamer.ledger" in line
    assert "\x1b" not in line


def test_records_below_the_level_are_not_written(stderr: Stderr) -> None:
    configure_logs("json", "WARNING")
    structlog.get_logger("streamer.bus").info("bus.commit_finished")
    logging.getLogger("some.library").info("hello")
    assert stderr.getvalue() == ""


@pytest.mark.parametrize("name", CHATTY_LOGGERS)
def test_third_parties_go_through_the_same_chain_with_the_context(stderr: Stderr, name: str) -> None:
    configure_logs("json", "info", [SECRET])
    structlog.contextvars.bind_contextvars(stream="turbines")
    logging.getLogger(name).critical("lost %s\nwith %s", "broker\x1b[2J", SECRET)
    record = the_record(stderr)
    assert record["event"] == f"lost broker\\x1b[2J\\nwith {REDACTED}"
    assert (record["logger"], record["level"], record["stream"]) == (name, "critical", "turbines")


def test_chatty_libraries_are_heard_from_warning_on_unless_debugging(stderr: Stderr) -> None:
    configure_logs("json", "info")
    logging.getLogger("aiohttp.access").info("GET /livez")
    assert stderr.getvalue() == ""
    configure_logs("json", "debug")
    logging.getLogger("aiohttp.access").info("GET /livez")
    assert the_record(stderr)["event"] == "GET /livez"


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("character", DANGEROUS, ids=lambda character: f"{ord(character):04x}")
def test_control_and_bidi_characters_never_reach_the_line(stderr: Stderr, format: Format, character: str) -> None:
    configure_logs(format, "info")
    text = f"U1{character}P"
    structlog.get_logger("streamer.source").info(
        text, tag=text, nested={"unit": [text], text: 1}, raw=text.encode(), error=ValueError(text), **{text: 1}
    )
    logging.getLogger("asyncio").error("%s", text)
    first, second, rest = stderr.getvalue().split("\n")
    assert rest == ""
    assert character not in first
    assert character not in second
    assert "U1\\" in first


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize(
    "value",
    [
        SECRET,
        f"before {SECRET} after",
        SECRET.encode(),
        bytearray(SECRET.encode()),
        SecretStr(SECRET),
        SecretBytes(SECRET.encode()),
        {"inner": [{"deep": (SECRET,)}]},
        {SECRET: 1},
        {"held": SecretStr(SECRET)},
        {SECRET},
        deque([SECRET]),
        ValueError(SECRET),
        [RuntimeError("x", ValueError(SECRET))],
        URL("https://host/").with_query(key=SECRET),
        "client=demo&key=correct-horse%2Fbattery%2Bstaple",
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_registered_secret_is_redacted_wherever_it_sits(stderr: Stderr, format: Format, value: object) -> None:
    configure_logs(format, "info", [SECRET])
    structlog.get_logger("streamer.source").info("source.answer_refused", value=value)
    line = the_line(stderr)
    assert "battery" not in line
    assert REDACTED in line


def test_a_token_minted_later_is_redacted_and_the_configured_secret_stays_so(stderr: Stderr) -> None:
    configure_logs("json", "info", [SECRET])
    for count in range(MINTED_SECRETS_KEPT + 1):
        register_secret(f"minted-token-{count:03}")
    structlog.get_logger("x").info("x.tried", newest=f"<minted-token-{MINTED_SECRETS_KEPT:03}>", first=f"<{SECRET}>")
    record = the_record(stderr)
    assert (record["newest"], record["first"]) == (f"<{REDACTED}>", f"<{REDACTED}>")


def test_what_redacted_earlier_tokens_is_not_kept() -> None:
    configure_logs("json", "info", [SECRET])
    register_secret("minted-token-1")
    earlier = weakref.ref(redaction._registered)
    register_secret("minted-token-2")
    gc.collect()
    assert earlier() is None


def test_a_secret_type_hides_even_what_is_not_registered(stderr: Stderr) -> None:
    configure_logs("json", "info")
    structlog.get_logger("x").info("x.tried", value=[SecretStr("h1dden"), SecretBytes(b"h1dden")])
    assert the_record(stderr)["value"] == [REDACTED, REDACTED]


def test_a_short_token_minted_later_goes_as_a_whole_value(stderr: Stderr) -> None:
    configure_logs("json", "info")
    register_secret("t0k")
    register_secret("1234")
    structlog.get_logger("x").info("x.tried", value=["t0k", 1234, "a t0kay"])
    assert the_record(stderr)["value"] == [REDACTED, REDACTED, "a t0kay"]


def test_no_header_at_all_is_written_of_an_exception_given_as_a_value_or_an_argument(stderr: Stderr) -> None:
    configure_logs("json", "info")
    error = response_error("h1dden", plant="of-the-header")
    structlog.get_logger("x").info("x.failed", error=error, wrapped=RuntimeError("wrapped", error))
    logging.getLogger("asyncio").error("failed: %r %s", error, [error])
    logging.getLogger("asyncio").error("failed: %(why)r", {"why": error})
    assert "of-the-header" in repr(error)
    assert "of-the-header" not in stderr.getvalue()


def test_a_secret_is_found_in_the_form_that_a_repr_or_json_gives_it(stderr: Stderr) -> None:
    awkward = "pass 'n\"w\\rd-ä"
    configure_logs("json", "info", [awkward])
    structlog.get_logger("x").info("x.tried", value=[f"<{repr(awkward)[1:-1]}>", f"<{json.dumps(awkward)[1:-1]}>"])
    assert the_record(stderr)["value"] == [f"<{REDACTED}>", f"<{REDACTED}>"]


def test_of_two_secrets_the_longer_is_replaced_first(stderr: Stderr) -> None:
    configure_logs("json", "info", ["abcdef", "abcdef-and-more"])
    structlog.get_logger("x").info("x.tried", value="<abcdef-and-more>")
    assert the_record(stderr)["value"] == f"<{REDACTED}>"


def test_a_very_short_secret_goes_only_as_a_whole_value(stderr: Stderr) -> None:
    configure_logs("json", "info", ["demo"])
    structlog.get_logger("streamer.demo").info("demo.started", secret_was="demo", path="var/demo.db")
    record = the_record(stderr)
    assert (record["event"], record["secret_was"], record["path"]) == ("demo.started", REDACTED, "var/demo.db")


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Bearer h1dden",
        "{'Authorization': 'Bearer h1dden'}",
        "bearer h1dden",
        "Bearer%20h1dden",
        "Authorization: Basic ZGVtbzpoMWRkZW4h1dden",
        "grant_type=client_credentials&client_secret=h1dden&client_id=demo",
        '{"clientSecret": "h1dden", "clientId": "demo"}',
        '{"accessToken":"h1dden"}',
        "{'access_token': 'h1dden'}",
        "AIOKafkaProducer(sasl_plain_password='h1dden')",
        "https://user:h1dden@host/path",
        "token eyJh1dden.eyJh1dden.h1dden",
        "Set-Cookie: session=h1dden; Path=/",
        "<CIMultiDictProxy('X-Api-Key': 'h1dden')>",
    ],
)
def test_what_looks_like_a_credential_is_redacted_without_being_registered(stderr: Stderr, text: str) -> None:
    configure_logs("json", "info")
    structlog.get_logger("x").info("x.tried", text=text)
    logging.getLogger("aiohttp").error(text)
    assert "h1dden" not in stderr.getvalue()
    assert stderr.getvalue().count("\n") == 2


@pytest.mark.parametrize("key", ["authorization", "Cookie", "sasl_password", "client_secret", "access_token"])
def test_text_under_the_name_of_a_secret_is_redacted(stderr: Stderr, key: str) -> None:
    configure_logs("json", "info")
    structlog.get_logger("x").info("x.tried", headers={key: "h1dden"}, **{key: b"h1dden"})
    assert "h1dden" not in the_line(stderr)


def test_names_that_only_resemble_secrets_are_left_alone(stderr: Stderr) -> None:
    configure_logs("json", "info")
    structlog.get_logger("x").info("x.tried", client_secret_file="/run/secrets/powerp", tokens=3)
    record = the_record(stderr)
    assert (record["client_secret_file"], record["tokens"]) == ("/run/secrets/powerp", 3)


@pytest.mark.parametrize("format", FORMATS)
def test_an_exception_that_carries_request_headers_shows_none_of_them(stderr: Stderr, format: Format) -> None:
    configure_logs(format, "info")
    error = response_error("h1dden")
    assert "h1dden" in repr(error)
    structlog.get_logger("x").info("x.failed", error=error, several=[error, RuntimeError("wrapped", error)])
    logging.getLogger("asyncio").error("failed: %r", error)
    logging.getLogger("asyncio").error("failed: %(why)r", {"why": error})
    raise_and_log(RuntimeError("wrapped", error))
    raise_and_log(error)
    written = stderr.getvalue()
    assert "h1dden" not in written
    assert "key-of-the-proxy" not in written
    assert "502, message='Bad Gateway'" in written


def test_a_json_traceback_is_one_line(stderr: Stderr) -> None:
    configure_logs("json", "info", [SECRET])
    raise_and_log(ValueError(f"bad\n{SECRET}\x1b[31m\u202e"))
    record = the_record(stderr)
    assert record["exception"].startswith("Traceback (most recent call last):\n")
    assert record["exception"].endswith(f"ValueError: bad\n{REDACTED}\\x1b[31m\\u202e")


def test_a_console_traceback_cannot_forge_a_record(stderr: Stderr) -> None:
    configure_logs("console", "info", [SECRET])
    raise_and_log(ValueError(f"bad\n2026-01-16T10:00:00Z [info] all is well {SECRET}\x1b[2J"))
    first, *others, last = stderr.getvalue().split("\n")
    assert "daemon.task_failed" in first
    assert others
    assert all(line.startswith("    | ") for line in others)
    assert last == ""
    assert "\x1b" not in stderr.getvalue()
    assert "battery" not in stderr.getvalue()


@pytest.mark.parametrize("format", FORMATS)
def test_an_error_that_is_explained_to_its_user_takes_one_line_with_its_cause(stderr: Stderr, format: Format) -> None:
    configure_logs(format, "info")
    cause = response_error("h1dden")
    try:
        raise SourceUnreachable("The API does not answer.", "Wait.") from cause
    except SourceUnreachable:
        structlog.get_logger("x").exception("source.query_failed")
    line = the_line(stderr)
    assert "SourceUnreachable: The API does not answer. Wait.; from ClientResponseError: 502" in line
    assert "h1dden" not in line


def test_a_third_party_traceback_and_stack_stay_on_the_json_line(stderr: Stderr) -> None:
    configure_logs("json", "info", [SECRET])
    try:
        raise KeyError(SECRET)
    except KeyError:
        logging.getLogger("asyncio").exception("Task exception was never retrieved", stack_info=True)
    record = the_record(stderr)
    assert "KeyError" in record["exception"]
    assert "test_logs.py" in record["stack"]
    assert "battery" not in stderr.getvalue()


def test_a_record_that_cannot_be_formatted_is_named_and_not_shown(stderr: Stderr) -> None:
    configure_logs("json", "info")
    logging.getLogger("aiohttp.server").error("%d of %d", "h1dden")
    assert the_record(stderr) == {"event": "logs.record_failed", "level": "error", "logger": "aiohttp.server"}


def test_numbers_stay_numbers_and_the_json_stays_valid(stderr: Stderr) -> None:
    configure_logs("json", "info")
    loop: list[object] = []
    loop.append(loop)
    structlog.get_logger("x").info("x.tried", big=2**70, ratio=0.5, nan=float("nan"), yes=True, none=None, loop=loop)
    record = the_record(stderr)
    assert (record["big"], record["ratio"], record["nan"]) == (2**70, 0.5, "nan")
    assert (record["yes"], record["none"]) == (True, None)


def test_a_second_configuration_replaces_the_first(stderr: Stderr) -> None:
    configure_logs("json", "info")
    configure_logs("json", "info")
    structlog.get_logger("x").info("x.tried")
    the_line(stderr)
