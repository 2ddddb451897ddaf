"""Loading: the file, the environment over it, every problem at once, and no secret in any of them."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import SecretStr, ValidationError

from streamer.config import Settings, load_settings
from streamer.errors import EXIT_CONFIGURATION, ConfigurationError
from streamer.model import NS_PER_S
from streamer.settings_types import Start

CREDENTIAL = {"POWERP_CLIENT_ID": "demo", "POWERP_CLIENT_SECRET": "sesame-open"}


def written(tmp_path: Path, configuration: object) -> Path:
    file = tmp_path / "streamer.yaml"
    file.write_text(configuration if isinstance(configuration, str) else yaml.safe_dump(configuration), "utf-8")
    return file


def loaded(tmp_path: Path, configuration: object, environ: Mapping[str, str] = CREDENTIAL) -> Settings:
    return load_settings(written(tmp_path, configuration), environ)


def refused(tmp_path: Path, configuration: object, environ: Mapping[str, str] = CREDENTIAL) -> dict[str, str]:
    with pytest.raises(ConfigurationError) as caught:
        loaded(tmp_path, configuration, environ)
    problems = dict(caught.value.problems)
    assert len(problems) == len(caught.value.problems)
    return problems


def stream(**keys: object) -> dict[str, Any]:
    return {"streams": [{"name": "turbines", "database_id": 1, "all": True} | keys]}


def test_a_credential_is_all_that_the_environment_must_give() -> None:
    settings = load_settings(None, CREDENTIAL)
    assert settings.source.client_id == "demo"
    assert settings.source.read_secret() == SecretStr("sesame-open")
    assert settings.streams == ()
    assert settings.bus.kind == "sqlite"


def test_a_missing_credential_is_reported_key_by_key() -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_settings(None, {})
    assert caught.value.problems == [
        ("source.client_id", "is missing"),
        ("source.client_secret", "is missing; set it, or client_secret_file"),
    ]
    assert caught.value.exit_code == EXIT_CONFIGURATION


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    file = {"source": {"client_id": "of-the-file", "base_url": "https://file/"}, "bus": {"shards": 2}}
    environ = CREDENTIAL | {
        "POWERP_BASE_URL": "https://newer",
        "POWERP_API_BASE_URL": "https://older/api",
        "KAFKA_BOOTSTRAP_SERVERS": "a:9092, b:9093",
        "STREAMER_BUS__SHARDS": "8",
        "STREAMER_BUS__KIND": "kafka",
        "STREAMER_KAFKA__TOPICS__SAMPLES": "plant.samples",
        "STREAMER_SOURCE__MAX_RATE": "2.5",
        "STREAMER_KAFKA__SSL_CHECK_HOSTNAME": "false",
        "STREAMER_SOURCE__TIMEOUT": "10s",
        "STREAMER_BUS__LEDGER_MEMORY": "64MiB",
    }
    settings = loaded(tmp_path, file, environ)
    assert settings.source.client_id == "demo"
    assert settings.source.base_url == "https://older/api/"
    assert settings.kafka.bootstrap_servers == ("a:9092", "b:9093")
    assert (settings.bus.shards, settings.bus.kind) == (8, "kafka")
    assert settings.kafka.topics.samples == "plant.samples"
    assert settings.kafka.topics.state == "powerp.state"
    assert settings.source.max_rate == 2.5
    assert settings.kafka.ssl_check_hostname is False
    assert settings.source.timeout == 10 * NS_PER_S
    assert settings.bus.ledger_memory == 64 * 1024**2


def test_the_vendors_newer_name_of_the_url_counts_when_alone() -> None:
    assert load_settings(None, CREDENTIAL | {"POWERP_BASE_URL": "https://newer"}).source.base_url == "https://newer/"


def test_lists_and_null_can_come_from_the_environment(tmp_path: Path) -> None:
    environ = CREDENTIAL | {
        "STREAMER_KAFKA__BOOTSTRAP_SERVERS": "[a:1, b:2]",
        "STREAMER_SOURCE__MAX_RATE": "null",
    }
    settings = loaded(tmp_path, {"source": {"max_rate": 3}}, environ)
    assert settings.kafka.bootstrap_servers == ("a:1", "b:2")
    assert settings.source.max_rate is None


@pytest.mark.parametrize("secret", ["[not yaml", "{a: b}", "0123", "null", "a #b", " padded "])
def test_a_secret_of_the_environment_is_taken_as_it_stands(secret: str) -> None:
    environ = {"POWERP_CLIENT_ID": "0123", "STREAMER_SOURCE__CLIENT_SECRET": secret}
    settings = load_settings(None, environ)
    assert settings.source.read_secret().get_secret_value() == secret
    assert settings.source.client_id == "0123"


def test_empty_variables_and_those_of_a_cluster_are_not_configuration() -> None:
    environ = CREDENTIAL | {
        "POWERP_CLIENT_SECRET_FILE": "",
        "STREAMER_BUS__KIND": "",
        "STREAMER_SERVICE_HOST": "10.0.0.1",
        "STREAMER_PORT": "tcp://10.0.0.1:8080",
    }
    assert load_settings(None, environ).bus.kind == "sqlite"


def test_a_problem_names_the_variable_that_made_it() -> None:
    environ = CREDENTIAL | {
        "STREAMER_BUS__SHARDS": "many",
        "STREAMER_BUS__SHARD": "4",
        "STREAMER_BOSS__KIND": "x",
        "STREAMER_STREAMS__0__NAME": "x",
        "STREAMER_KAFKA__BOOTSTRAP_SERVERS": "[a:1",
    }
    with pytest.raises(ConfigurationError) as caught:
        load_settings(None, environ)
    problems = dict(caught.value.problems)
    assert problems["bus.shards"] == "must be a whole number (set by STREAMER_BUS__SHARDS)"
    assert problems["bus.shard"].startswith("is not a known key; known are kind, path,")
    assert problems["bus.shard"].endswith("(set by STREAMER_BUS__SHARD)")
    assert problems["boss"].startswith("is not a known key; known are source, streams, bus, kafka, status, log")
    assert problems["STREAMER_STREAMS__0__NAME"] == "streams are written in the file only"
    assert problems["STREAMER_KAFKA__BOOTSTRAP_SERVERS"] == "is not a YAML list or mapping"
    assert len(problems) == 5


def test_all_problems_of_all_sections_are_raised_at_once(tmp_path: Path) -> None:
    configuration = {
        "source": {"api": "v3", "timeout": 30, "max_in_flight": 5, "proxy": "x"},
        "streams": [
            {"name": "turbines", "database_id": 1, "poll_interval": "1", "overlap": "5m", "nulls": "keep"},
            {"name": "no spaces allowed", "all": True},
            {"name": "a", "database_id": 1, "signals": [7]},
            {"name": "b", "database_id": 1, "signals": [7, 8]},
        ],
        "bus": {"kind": "kafka", "ledger_memory": "much"},
        "status": {"port": 70000},
        "log": {"level": "loud"},
        "more": 1,
    }
    problems = refused(tmp_path, configuration)
    assert set(problems) == {
        "source.api",
        "source.timeout",
        "source.max_in_flight",
        "source.proxy",
        "streams[turbines].poll_interval",
        "streams[turbines].lookback",
        "streams[turbines].nulls",
        "streams[turbines].signals",
        "streams.1.name",
        "streams.1.database_id",
        "streams[b].signals",
        "bus.ledger_memory",
        "status.port",
        "log.level",
        "more",
    }
    assert problems["source.timeout"] == "is not a duration; write 200ms, 15s, 2m or 1h30m"
    assert problems["log.level"] == "must be debug, info, warning, error or critical"
    assert problems["source.max_in_flight"] == "must be at most 4"
    assert problems["bus.ledger_memory"] == "is not a size; write 256MiB or 1GiB"
    assert problems["streams.1.database_id"] == "is missing"


@pytest.mark.parametrize(
    "configuration",
    [
        "source: {client_id: demo, client_secret: [sesame-open]}",
        "source: {client_id: demo, client_secret: {sesame-open: 1}, timeout: sesame-open}",
        "source: {client_id: demo, client_secret: *sesame-open}",
        "source: {client_id: demo, client_secret: 'sesame-open",
        "source: {client_id: demo, client_secret: sesame-open, client_secret_file: x, base_url: 'http://u:sesame-open@h/'}",
        "source: {client_id: demo, client_secret: %sesame-open}",
        "source: {client_id: demo, client_secret:sesame-open}",
        "source: {client_id: demo, client_secret:'sesame-open'}",
        "sesame-open",
        "kafka: {sasl_password: sesame-open, sasl_username: sesame-open}",
    ],
)
def test_a_problem_never_repeats_a_secret(tmp_path: Path, configuration: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        loaded(tmp_path, configuration, {})
    shown = "".join(traceback.format_exception(caught.value)) + repr(caught.value.problems)
    assert "sesame" not in shown
    assert caught.value.__context__ is None or caught.value.__suppress_context__


def test_settings_hide_their_secrets_and_hand_them_to_the_log(tmp_path: Path) -> None:
    kafka = {"security_protocol": "SASL_SSL", "sasl_username": "u", "sasl_password": "kafka-sesame"}
    settings = loaded(tmp_path, {"kafka": kafka})
    assert "sesame" not in repr(settings) + str(settings)
    assert set(settings.secrets) == {"sesame-open", "kafka-sesame"}


def test_settings_cannot_be_changed() -> None:
    settings = load_settings(None, CREDENTIAL)
    with pytest.raises(ValidationError):
        settings.bus.shards = 5  # type: ignore[misc]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (": : :", "is not YAML at line 1"),
        ("bus: {}\nbus: {kind: kafka}", "has a key twice in the section at line 1, column 1"),
        ("- a\n- b", "must be a mapping of sections: source, streams, bus …"),
    ],
)
def test_a_file_that_is_no_configuration_is_refused_with_the_place(tmp_path: Path, content: str, problem: str) -> None:
    assert refused(tmp_path, content)[str(tmp_path / "streamer.yaml")].startswith(problem)


def test_a_file_that_cannot_be_read_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read: No such file"):
        load_settings(tmp_path / "absent.yaml", CREDENTIAL)
    (tmp_path / "latin.yaml").write_bytes(b"log: {level: \xe4}")
    with pytest.raises(ConfigurationError, match="is not UTF-8 text"):
        load_settings(tmp_path / "latin.yaml", CREDENTIAL)


@pytest.mark.parametrize("section", ["source", "streams", "bus", "kafka", "status", "log"])
def test_an_empty_section_means_its_defaults_and_text_is_no_section(tmp_path: Path, section: str) -> None:
    assert loaded(tmp_path, f"{section}:\n") == load_settings(None, CREDENTIAL)
    assert section in refused(tmp_path, f"{section}: text\n")


def test_an_unquoted_instant_keeps_its_nanoseconds_and_needs_a_zone(tmp_path: Path) -> None:
    text = "streams: [{name: turbines, database_id: 1, all: true, start: %s}]"
    at = loaded(tmp_path, text % "2026-01-16T10:00:00.123456789Z").streams[0].start
    assert at == Start("at", 1_768_557_600_123_456_789)
    assert "time zone" in refused(tmp_path, text % "2026-01-16 10:00:00")["streams[turbines].start"]
    assert "date without a time" in refused(tmp_path, text % "2026-01-16")["streams[turbines].start"]


def test_two_streams_of_one_name_are_refused(tmp_path: Path) -> None:
    both = stream()["streams"] + stream(database_id=2)["streams"]
    assert set(refused(tmp_path, {"streams": both})) == {"streams.1.name"}


def test_a_series_listed_in_two_streams_is_refused_and_another_grid_is_another_series(tmp_path: Path) -> None:
    def two(**second: object) -> dict[str, object]:
        first = {"name": "a", "database_id": 1, "signals": [7, 8, 9]}
        return {"streams": [first, first | {"name": "b"} | second]}

    problems = refused(tmp_path, two(signals=[8, 9, 10]))
    assert problems == {"streams[b].signals": "8, 9: in stream a already, at the same resample_period and aggregation"}
    assert loaded(tmp_path, two(resample_period="1s")).streams[1].resample_period == NS_PER_S
    assert loaded(tmp_path, two(database_id=2)).streams[1].database_id == 2


def test_kafka_needs_servers_and_partitions_that_the_shards_divide(tmp_path: Path) -> None:
    problems = refused(tmp_path, {"bus": {"kind": "kafka", "shards": 4}, "kafka": {"partitions": 6}})
    assert set(problems) == {"kafka.bootstrap_servers", "kafka.partitions"}
    assert problems["kafka.partitions"] == "must be a multiple of bus.shards, which is 4"
    assert loaded(tmp_path, {"bus": {"kind": "sqlite"}}).kafka.bootstrap_servers == ()


@pytest.mark.parametrize(("shards", "partitions"), [(1, 12), (4, 12), (5, 15), (7, 14), (12, 12), (16, 16)])
def test_the_default_partitions_are_the_least_multiple_of_the_shards_from_twelve_on(
    tmp_path: Path, shards: int, partitions: int
) -> None:
    assert loaded(tmp_path, {"bus": {"shards": shards}}).samples_partitions == partitions


def test_configured_partitions_stand(tmp_path: Path) -> None:
    assert loaded(tmp_path, {"kafka": {"partitions": 8}}).samples_partitions == 8
