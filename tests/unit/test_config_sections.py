"""Each key: what it takes, what it refuses, and in which words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import pytest
from pydantic import SecretStr, TypeAdapter, ValidationError

from streamer.config import (
    BusSettings,
    KafkaSettings,
    SourceSettings,
    StatusSettings,
    StreamSettings,
    TopicSettings,
)
from streamer.errors import ConfigurationError
from streamer.model import NS_PER_MS, NS_PER_S
from streamer.settings_sections import Section
from streamer.settings_types import (
    BaseUrl,
    Duration,
    Endpoints,
    Size,
    Start,
    StartPoint,
    TopicName,
    parse_duration,
    parse_endpoints,
    parse_start,
    parse_topic,
    parse_url,
)


def source(**keys: Any) -> SourceSettings:
    return SourceSettings.model_validate({"client_id": "demo", "client_secret": "sesame"} | keys)


def stream(**keys: Any) -> StreamSettings:
    return StreamSettings.model_validate({"name": "turbines", "database_id": 1, "signals": [1001]} | keys)


def complaints(section: type[Section], written: dict[str, Any]) -> dict[str, str]:
    with pytest.raises(ValidationError) as caught:
        section.model_validate(written)
    return {".".join(map(str, error["loc"])): error["msg"] for error in caught.value.errors()}


def of_stream(**keys: Any) -> dict[str, str]:
    return complaints(StreamSettings, {"name": "turbines", "database_id": 1, "signals": [1001]} | keys)


def of_source(**keys: Any) -> dict[str, str]:
    return complaints(SourceSettings, {"client_id": "demo", "client_secret": "sesame"} | keys)


@pytest.mark.parametrize(
    ("text", "span_ns"),
    [
        ("200ms", 200 * NS_PER_MS),
        ("15s", 15 * NS_PER_S),
        ("2m", 120 * NS_PER_S),
        ("1h30m", 5400 * NS_PER_S),
        ("0.5s", 500 * NS_PER_MS),
        ("0.1s", 100 * NS_PER_MS),
        ("250us", 250_000),
        ("7d", 7 * 86_400 * NS_PER_S),
        ("0s", 0),
        ("0", 0),
        (0, 0),
    ],
)
def test_a_duration_is_exact_nanoseconds(text: object, span_ns: int) -> None:
    assert parse_duration(text) == span_ns


@pytest.mark.parametrize(
    "text",
    ["", "15", 15, 1.5, True, False, None, "-1s", "+1s", "1s?2m", "1 s", "5mm", "1y", "1.2.3s", "s", "9" * 400 + "h"],
)
def test_what_is_no_duration_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match=r"^is not a duration; write 200ms, 15s, 2m or 1h30m$"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("now", Start("now")),
        ("earliest", Start("earliest")),
        ("2h", Start("ago", 7200 * NS_PER_S)),
        ("1970-01-01T00:00:01Z", Start("at", NS_PER_S)),
        ("1970-01-01 01:00:01.5+01:00", Start("at", 1_500 * NS_PER_MS)),
        ("1970-01-01t00:00z", Start("at", 0)),
        (Start("earliest"), Start("earliest")),
    ],
)
def test_a_start_is_one_of_four_kinds(text: object, start: Start) -> None:
    assert parse_start(text) == start


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("2026-01-16T10:00:00", "time zone"),
        ("2026-01-16", "without a time"),
        ("2026-02-30T10:00:00Z", "calendar"),
        ("1969-12-31T23:59:59Z", "before 1970"),
        ("yesterday", "is not a start"),
        (5, "is not a start"),
        (["now"], "is not a start"),
    ],
)
def test_a_start_that_could_be_misread_is_refused(text: object, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        parse_start(text)


@pytest.mark.parametrize("text", ["https://t.powerp.app/rt-api/api", "https://t.powerp.app/rt-api/api///"])
def test_a_base_url_ends_with_one_slash(text: str) -> None:
    assert parse_url(text) == "https://t.powerp.app/rt-api/api/"


@pytest.mark.parametrize(
    "text",
    [
        "",
        5,
        "ftp://host/",
        "//host/",
        "https://",
        "https://host:99999/",
        "https://ho st/",
        "https://h\n/",
        "https://u:p@host/",
        "https://host/?a=b",
        "https://host/#a",
    ],
)
def test_what_is_no_base_url_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match=r"is not a URL|must not hold"):
        parse_url(text)


@pytest.mark.parametrize("host", ["localhost:5000", "127.0.0.1", "127.8.9.1:80", "[::1]:5000"])
def test_plain_http_is_fine_on_loopback(host: str) -> None:
    assert source(base_url=f"http://{host}/").base_url == f"http://{host}/"


@pytest.mark.parametrize("host", ["plant.example", "10.0.0.1", "localhost.example", "127.0.0.1.example", "[::2]"])
def test_plain_http_to_another_machine_is_refused_unless_allowed(host: str) -> None:
    assert "unencrypted" in of_source(base_url=f"http://{host}/")["base_url"]
    assert source(base_url=f"http://{host}/", allow_insecure_http=True).base_url == f"http://{host}/"
    assert source(base_url=f"https://{host}/").base_url == f"https://{host}/"


def test_v2_is_known_and_not_available_yet() -> None:
    assert "v2 is not available yet" in of_source(api="v2")["api"]


def test_a_secret_beside_a_secret_file_is_refused_and_so_is_neither() -> None:
    assert "keep one of the two" in of_source(client_secret_file="x")["client_secret"]
    assert "is missing" in complaints(SourceSettings, {"client_id": "demo"})["client_secret"]
    assert "is empty" in of_source(client_secret="")["client_secret"]


def test_the_secret_file_is_read_again_at_each_call(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("first\n")
    settings = SourceSettings.model_validate({"client_id": "demo", "client_secret_file": str(file)})
    assert settings.read_secret() == SecretStr("first")
    file.write_text("  rotated  \n")
    assert settings.read_secret() == SecretStr("rotated")


@pytest.mark.parametrize(
    ("content", "problem"), [(None, "cannot be read: No such file"), (b" \n", "is empty"), (b"\xff", "not UTF-8")]
)
def test_a_secret_file_without_a_secret_is_a_configuration_error(
    tmp_path: Path, content: bytes | None, problem: str
) -> None:
    file = tmp_path / "secret"
    if content is not None:
        file.write_bytes(content)
    settings = SourceSettings.model_validate({"client_id": "demo", "client_secret_file": str(file)})
    with pytest.raises(ConfigurationError, match=problem) as caught:
        settings.read_secret()
    assert caught.value.problems[0][0] == "source.client_secret_file"


@pytest.mark.parametrize(
    "keys",
    [
        {"timeout": "0s"},
        {"max_in_flight": 0},
        {"max_in_flight": 5},
        {"max_rate": 0},
        {"max_rate": "inf"},
        {"auth": "basic"},
        {"client_id": ""},
    ],
)
def test_the_source_keeps_within_the_services_limits(keys: dict[str, Any]) -> None:
    assert set(of_source(**keys)) == set(keys)


def test_a_stream_has_the_documented_defaults() -> None:
    settings = stream()
    assert (settings.aggregation, settings.resample_period) == ("default", None)
    assert (settings.poll_interval, settings.overlap) == (NS_PER_S, 3 * NS_PER_S)
    assert settings.lookback == (15 * NS_PER_S, 120 * NS_PER_S)
    assert (settings.settle, settings.start, settings.group_size) == (0, Start("now"), 10)
    assert (settings.catch_up, settings.nulls) == ("oldest_first", "skip")


@pytest.mark.parametrize(
    "selection",
    [{"signals": None}, {"all": True}, {"match": {"tag": "*"}}, {"signals": None, "all": True, "match": {"tag": "*"}}],
)
def test_exactly_one_selection_is_needed(selection: dict[str, Any]) -> None:
    assert "exactly one of signals, match and all" in of_stream(**selection)["signals"]


def test_each_selection_alone_is_enough() -> None:
    assert stream(signals=None, all=True).all
    chosen = stream(signals=None, match={"tag": "U1/*"}).match
    assert chosen is not None
    assert chosen.tag == "U1/*"
    assert "at least one" in of_stream(signals=None, match={})["match"]


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ({"signals": []}, "at least one index"),
        ({"signals": [-1]}, "none of them negative"),
        ({"signals": [7, 8, 7]}, "names 7 more than once"),
        ({"name": ""}, "match pattern"),
        ({"name": "a b"}, "match pattern"),
        ({"name": "a\n"}, "match pattern"),
        ({"name": "a" * 65}, "match pattern"),
        ({"aggregation": "mean"}, "raw samples have no aggregation"),
        ({"resample_period": "0s"}, "must be longer than 0s"),
        ({"poll_interval": "49ms"}, "at least 50ms"),
        ({"overlap": "30m", "lookback": ["1h"]}, "under 30m when raw"),
        ({"lookback": []}, "each longer than the one before"),
        ({"lookback": ["0s", "1m"]}, "each longer than the one before"),
        ({"lookback": ["2m", "2m"]}, "each longer than the one before"),
        ({"lookback": ["2m", "1m"]}, "each longer than the one before"),
        ({"lookback": ["3s"]}, "longer than overlap"),
        ({"settle": "1s"}, "only with resample_period"),
        ({"group_size": 21}, "at most 20 signals in a v1 query"),
        ({"group_size": 0}, "greater than or equal to 1"),
        ({"nulls": "keep"}, "'skip' or 'publish'"),
    ],
)
def test_a_stream_that_cannot_keep_the_guarantee_is_refused(keys: dict[str, Any], problem: str) -> None:
    key, message = next(iter(of_stream(**keys).items()))
    assert key == next(iter(keys))
    assert problem in message


def test_an_overlap_past_the_default_lookback_is_noticed() -> None:
    assert "longer than overlap" in of_stream(overlap="2m")["lookback"]


def test_a_resampled_stream_may_have_aggregation_and_settle() -> None:
    settings = stream(resample_period="200ms", aggregation="mean", settle="1s")
    assert (settings.resample_period, settings.aggregation, settings.settle) == (200 * NS_PER_MS, "mean", NS_PER_S)


@pytest.mark.parametrize("text", ["a:9092,b:9092", ["a:9092", "b:9092"], "a:9092 , b:9092"])
def test_servers_are_a_list_or_separated_by_commas(text: object) -> None:
    assert parse_endpoints(text) == ("a:9092", "b:9092")


@pytest.mark.parametrize("text", ["", "a", "a:0", "a:65536", "a:9092,", "http://a:9092", 5, [5], None])
def test_what_is_no_list_of_servers_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="is not a list of host:port"):
        parse_endpoints(text)


def test_a_server_may_be_an_ipv6_address() -> None:
    assert parse_endpoints("[::1]:9092") == ("[::1]:9092",)


@pytest.mark.parametrize("name", ["", ".", "..", "a b", "a/b", "a\n", "a" * 250, 5])
def test_a_name_that_kafka_refuses_is_no_topic(name: object) -> None:
    with pytest.raises(ValueError, match="is not a topic name"):
        parse_topic(name)


def test_each_ledger_has_a_group_of_its_own_unless_one_is_named() -> None:
    assert KafkaSettings().owners == "powerp.state.owners"
    assert KafkaSettings(topics=TopicSettings.under("plant")).owners == "plant.state.owners"
    assert KafkaSettings(group_id="mine").owners == "mine"


@pytest.mark.parametrize("topic", ["state", "shards", "completeness", "signals", "gaps"])
def test_no_two_topics_share_a_name(topic: str) -> None:
    assert TopicSettings.model_validate({topic: "mine"}) != TopicSettings()
    found = complaints(TopicSettings, {"samples": "mine", topic: "mine"})
    assert found == {topic: "Value error, must be another topic than samples"}


SASL = {"security_protocol": "SASL_SSL", "sasl_username": "u", "sasl_password": "p"}


@pytest.mark.parametrize(
    ("written", "key"),
    [
        ({"security_protocol": "SASL_SSL", "sasl_password": "p"}, "sasl_username"),
        ({"security_protocol": "SASL_SSL", "sasl_username": "u"}, "sasl_password"),
        (SASL | {"sasl_password_file": "x"}, "sasl_password"),
        (SASL | {"sasl_password": ""}, "sasl_password"),
        ({"sasl_username": "u"}, "sasl_username"),
        ({"sasl_password": "p"}, "sasl_password"),
        ({"ssl_ca_file": "ca.pem"}, "ssl_ca_file"),
        ({"security_protocol": "SSL", "ssl_key_file": "key.pem"}, "ssl_key_file"),
        ({"security_protocol": "SSL", "ssl_key_password": "p"}, "ssl_key_password"),
        ({"topics": {"state": "powerp.samples"}}, "topics.state"),
        ({"topics": {"samples": "a b"}}, "topics.samples"),
        ({"compression": "brotli"}, "compression"),
        ({"partitions": 0}, "partitions"),
    ],
)
def test_kafka_keys_that_contradict_each_other_are_refused(written: dict[str, Any], key: str) -> None:
    assert set(complaints(KafkaSettings, written)) == {key}


def test_the_sasl_password_file_is_read_again_at_each_call(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("first\n")
    written = {"security_protocol": "SASL_SSL", "sasl_username": "u", "sasl_password_file": str(file)}
    settings = KafkaSettings.model_validate(written)
    assert settings.read_sasl_password() == SecretStr("first")
    file.write_text("rotated\n")
    assert settings.read_sasl_password() == SecretStr("rotated")
    assert KafkaSettings.model_validate(SASL).read_sasl_password() == SecretStr("p")
    assert KafkaSettings().read_sasl_password() is None


def test_tls_with_a_client_certificate_is_accepted() -> None:
    written = {"security_protocol": "SSL", "ssl_ca_file": "ca", "ssl_cert_file": "c", "ssl_key_file": "k"}
    assert KafkaSettings.model_validate(written).ssl_key_file == Path("k")


@pytest.mark.parametrize("written", [{"shards": 0}, {"shards": 257}, {"ledger_memory": "0"}, {"headers": "all"}])
def test_the_bus_keeps_within_its_bounds(written: dict[str, Any]) -> None:
    assert set(complaints(BusSettings, written)) == set(written)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "::1", "localhost"])
def test_the_status_server_listens_on_loopback_without_being_allowed_to(host: str) -> None:
    assert StatusSettings.model_validate({"host": host}).host == host


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "plant.example"])
def test_the_status_server_lets_other_machines_in_only_when_allowed(host: str) -> None:
    assert "allow_remote: true" in complaints(StatusSettings, {"host": host})["host"]
    assert StatusSettings.model_validate({"host": host, "allow_remote": True}).host == host


DURATION_TEXTS = ["200ms", "1h30m", "0", "0.5s", "7d", "", "15", "-1s", "1 s", "5mm", "s", "1s?2m"]
ENDPOINT_TEXTS = ["a:9092", "[::1]:9092", "a", "a:b", "a b:1", ":9092"]
START_TEXTS = ["now", "earliest", "2h", "2026-01-16T10:00:00Z", "2026-01-16 10:00+01:00", "2026-01-16", "soon"]
TOPIC_TEXTS = ["powerp.samples", "a b", "", "x" * 250, "ä"]
SIZE_TEXTS = ["256MiB", "1 GiB", "1024", "1.5GB", "many", "MiB", "1 apple"]
URL_TEXTS = ["https://t.powerp.app/rt-api/api", "http://localhost:5000/", "ftp://h/", "https://", "https://h/?a=b", ""]


@pytest.mark.parametrize(
    ("written", "text"),
    [
        *((Duration, text) for text in DURATION_TEXTS),
        *((Endpoints, [text]) for text in ENDPOINT_TEXTS),
        *((StartPoint, text) for text in START_TEXTS),
        *((TopicName, text) for text in TOPIC_TEXTS),
        *((Size, text) for text in SIZE_TEXTS),
        *((BaseUrl, text) for text in URL_TEXTS),
    ],
)
def test_the_schema_of_a_type_takes_and_refuses_what_its_parser_does(written: Any, text: object) -> None:
    adapter: TypeAdapter[Any] = TypeAdapter(written)
    try:
        adapter.validate_python(text)
    except ValidationError:
        taken = False
    else:
        taken = True
    assert jsonschema.Draft7Validator(adapter.json_schema()).is_valid(text) == taken
