"""The files shipped in ``config/``: they load, and the reference cannot lie."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from streamer.config import MatchSettings, Settings, StreamSettings, load_settings
from streamer.errors import ConfigurationError
from streamer.model import NS_PER_S

CONFIG = Path(__file__).parents[2] / "config"
EXAMPLES = {"source.client_id", "source.client_secret_file", "streams.name", "streams.database_id", "streams.signals"}


def written(name: str) -> dict[str, Any]:
    read = yaml.safe_load((CONFIG / name).read_text("utf-8"))
    assert isinstance(read, dict)
    return read


def differences(model: type[BaseModel], section: dict[str, Any], settings: BaseModel, path: str) -> list[str]:
    """Keys of the model that the section does not show, or shows with another value than the default."""
    found: list[str] = []
    for key, field in model.model_fields.items():
        value = getattr(settings, key)
        if key not in section:
            found.append(f"{path}{key} is not shown")
        elif isinstance(value, BaseModel):
            found += differences(type(value), section[key], value, f"{path}{key}.")
        elif path + key not in EXAMPLES and (field.is_required() or value != field.get_default()):
            found.append(f"{path}{key} is shown as {value!r}")
    return found


def test_the_reference_shows_every_key_with_its_default() -> None:
    reference, settings = written("reference.yaml"), load_settings(CONFIG / "reference.yaml", {})
    found = differences(StreamSettings, reference["streams"][0], settings.streams[0], "streams.")
    for section, field in Settings.model_fields.items():
        if section != "streams":
            assert isinstance(field.annotation, type)
            found += differences(field.annotation, reference[section], getattr(settings, section), f"{section}.")
    assert found == []
    assert set(reference["streams"][1]["match"]) == set(MatchSettings.model_fields)


def test_the_reference_explains_every_key_of_a_section() -> None:
    lines = (CONFIG / "reference.yaml").read_text("utf-8").splitlines()
    second_stream = lines.index("  - name: transformers")
    unexplained = [
        line
        for number, line in enumerate(lines)
        if line.startswith("  ")
        and not line.lstrip().startswith("#")
        and line.strip()
        and not lines[number - 1].lstrip().startswith("#")
        and number not in (second_stream, second_stream + 1)
    ]
    assert unexplained == []


@pytest.mark.parametrize("name", ["demo.yaml", "kafka.yaml"])
def test_the_demos_read_three_plants_from_the_simulator(name: str) -> None:
    settings = load_settings(CONFIG / name, {})
    assert settings.source.base_url == "http://127.0.0.1:5000/api/"
    assert settings.source.client_id == "demo"
    assert settings.source.read_secret().get_secret_value() == "demo"
    assert [(stream.name, stream.database_id, stream.all) for stream in settings.streams] == [
        ("substation", 1, True),
        ("tower", 2, True),
        ("pv", 3, True),
    ]
    substation, tower, plant = settings.streams
    assert [stream.poll_interval for stream in settings.streams] == [NS_PER_S, NS_PER_S, 5 * NS_PER_S]
    assert substation.lookback == (15 * NS_PER_S, 120 * NS_PER_S)
    assert tower.lookback == (15 * NS_PER_S, 60 * NS_PER_S)
    assert (plant.overlap, plant.lookback) == (30 * NS_PER_S, (60 * NS_PER_S, 300 * NS_PER_S))


def test_the_demos_differ_in_the_bus() -> None:
    demo, kafka = load_settings(CONFIG / "demo.yaml", {}), load_settings(CONFIG / "kafka.yaml", {})
    assert (demo.bus.kind, kafka.bus.kind) == ("sqlite", "kafka")
    assert kafka.kafka.bootstrap_servers == ("127.0.0.1:9092",)
    assert demo.streams == kafka.streams


@pytest.mark.parametrize(
    "text", ["source: {x: " + "9" * 5_000 + "}", "source: " + "[" * 20_000], ids=["number", "depth"]
)
def test_a_file_that_python_cannot_hold_is_a_problem_with_its_path(text: str, tmp_path: Path) -> None:
    path = tmp_path / "streamer.yaml"
    path.write_text(text, "utf-8")
    with pytest.raises(ConfigurationError) as caught:
        load_settings(path, {})
    assert caught.value.problems[0][0] == str(path)
