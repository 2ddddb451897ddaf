"""What of the chart is generated is current, and its schema takes and refuses what the program does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from pydantic import BaseModel

from helm.chart_values import ChartValues
from helm.generate import CHART, NEEDED, REFERENCE, SET_BY_THE_CHART, explanations, outputs, values_schema
from streamer import __version__
from streamer.config import Settings
from tests.deploy.chart import MATRIX, VALUES, merged

DEFAULTS = yaml.safe_load((CHART / "values.yaml").read_text("utf-8"))
SCHEMA = values_schema()


def described(schema: dict[str, Any], path: str = "") -> dict[str, bool]:
    """Whether each key of a schema has a description."""
    found = {}
    for key, node in schema.get("properties", {}).items():
        inner = f"{path}.{key}".lstrip(".")
        found[inner] = "description" in node
        found |= described(node, inner) | described(node.get("items", {}), inner)
    return found


def keys(values: dict[str, Any], model: type[BaseModel], path: str = "") -> set[str]:
    """The keys in which the values and the model differ."""
    aliases = {field.alias or name: field for name, field in model.model_fields.items()}
    found = {f"{path}{key}" for key in values.keys() ^ aliases.keys()}
    for key in values.keys() & aliases.keys():
        kind = aliases[key].annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            found |= keys(values[key], kind, f"{path}{key}.")
    return found


@pytest.mark.parametrize("file", outputs(), ids=lambda file: file.name)
def test_what_make_chart_writes_is_current(file: Path) -> None:
    assert file.read_text("utf-8") == outputs()[file], "stale; run: make chart"


def test_the_chart_is_of_the_programs_version() -> None:
    assert yaml.safe_load((CHART / "Chart.yaml").read_text("utf-8"))["appVersion"] == __version__


def test_every_value_is_typed_and_every_type_has_a_value() -> None:
    assert keys({key: value for key, value in DEFAULTS.items() if key != "config"}, ChartValues) == set()


def test_every_value_is_explained() -> None:
    told = described(SCHEMA)
    told.pop("global")
    assert [path for path, is_told in told.items() if not is_told] == []


def test_an_explanation_is_the_comment_above_its_key() -> None:
    text = "# One.\na:\n  # Two,\n  # and more.\n  b: 1\n  c: 2\n# Three.\nd:\n  - # Four.\n    e: 1\n"
    assert explanations(text) == {"a": "One.", "a.b": "Two, and more.", "d": "Three."}


@pytest.mark.parametrize("name", MATRIX)
def test_the_schema_takes_what_can_be_installed(name: str) -> None:
    jsonschema.validate(merged(DEFAULTS, merged(VALUES, MATRIX[name])), SCHEMA)


def test_the_schema_takes_the_reference_but_for_what_the_chart_sets() -> None:
    config = yaml.safe_load(REFERENCE.read_text("utf-8"))
    config["kafka"]["bootstrap_servers"] = ["kafka-1:9092"]
    refused = {
        (section, key)
        for section, names in SET_BY_THE_CHART.items()
        for key in names
        if not jsonschema.Draft7Validator(SCHEMA).is_valid(merged(DEFAULTS, VALUES | {"config": config}))
        and config[section].pop(key, "absent") != "absent"
    }
    assert refused == {(section, key) for section, names in SET_BY_THE_CHART.items() for key in names}
    jsonschema.validate(merged(DEFAULTS, VALUES | {"config": config}), SCHEMA)


def test_the_chart_sets_and_needs_keys_that_the_program_has() -> None:
    for section, names in [*SET_BY_THE_CHART.items(), *NEEDED.items()]:
        kind = Settings.model_fields[section].annotation
        assert isinstance(kind, type)
        assert issubclass(kind, BaseModel)
        assert set(names) <= set(kind.model_fields)
