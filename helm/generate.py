"""Write what of the chart is made from something else: the schema of its values, its README, topics, the dashboard.

The schema's ``config`` is the program's own settings, the rest is ``chart_values.py``; what each key means is told by
the comments in ``config/reference.yaml`` and ``values.yaml``. ``make chart`` runs this, a test finds what is stale.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from helm.chart_values import ChartValues
from helm.dashboard import dashboard
from streamer.bus.kafka_topics import Shape, shapes
from streamer.config import Settings, TopicSettings

ROOT = Path(__file__).parents[1]
CHART = ROOT / "helm" / "powerp-streamer"
REFERENCE = ROOT / "config" / "reference.yaml"

SET_BY_THE_CHART = {
    "source": ("client_secret", "client_secret_file"),
    "kafka": ("sasl_password", "sasl_password_file", "ssl_key_password"),
    "bus": ("path",),
}
"""Secrets never get into a ConfigMap, and where files are is the chart's to decide."""

NEEDED = {"source": ["base_url", "client_id"], "bus": ["kind"], "status": ["host", "port"]}
"""What the program can do without or has a default for, and a cluster has not."""

_KEY = re.compile(r"(?P<indent> *)(?P<item>- )?(?P<key>[A-Za-z_]+):(?: (?P<value>.*))?$")


def explanations(text: str) -> dict[str, str]:
    """The comment above each key of a YAML file, by the key's dotted path; positions in lists are left out."""
    found: dict[str, str] = {}
    path: list[tuple[int, str]] = []
    comment: list[str] = []
    for line in text.splitlines():
        stripped = line.strip()
        if stripped.startswith("#"):
            comment.append(stripped.lstrip("# "))
        elif match := _KEY.match(line):
            depth = len(match["indent"]) + len(match["item"] or "")
            path = [(at, key) for at, key in path if at < depth] + [(depth, match["key"])]
            if comment:
                found.setdefault(".".join(key for _, key in path), " ".join(comment))
            comment = []
        else:
            comment = []
    return found


def values_schema() -> dict[str, Any]:
    """JSON Schema of the chart's values."""
    schema = _plain(ChartValues.model_json_schema(by_alias=True))
    schema["properties"] = {"config": _config_schema(), **schema["properties"]}
    schema["required"] = list(schema["properties"])
    _explain(schema, explanations((CHART / "values.yaml").read_text("utf-8")))
    schema["properties"]["global"] = {"type": "object"}  # Helm hands it to every chart
    return {"$schema": "http://json-schema.org/draft-07/schema#", **schema}


def _config_schema() -> dict[str, Any]:
    schema = _plain(Settings.model_json_schema())
    _explain(schema, explanations(REFERENCE.read_text("utf-8")))
    sections = schema["properties"]
    for section, keys in SET_BY_THE_CHART.items():
        for key in keys:
            del sections[section]["properties"][key]
    for section, needed in NEEDED.items():
        sections[section]["required"] = needed
    sections["streams"]["minItems"] = 1
    sections["status"]["properties"]["port"]["minimum"] = 1
    sections["kafka"]["properties"]["bootstrap_servers"]["minItems"] = 1
    schema["required"] = ["source", "streams", "bus", "kafka", "status"]
    schema["if"] = {"properties": {"bus": {"properties": {"kind": {"const": "kafka"}}}}}
    schema["then"] = {"properties": {"kafka": {"required": ["bootstrap_servers"]}}}
    return schema


def _plain(schema: dict[str, Any]) -> dict[str, Any]:
    """Pydantic's schema without references, titles and defaults, which are pydantic's and not as they are written."""
    definitions = schema.get("$defs", {})

    def plain(node: dict[str, Any]) -> dict[str, Any]:
        if "$ref" in node:
            return plain(definitions[node["$ref"].rpartition("/")[2]])
        if "anyOf" in node:  # something, or null
            options = [plain(option) for option in node["anyOf"] if option != {"type": "null"}]
            (only,) = options
            kinds = only["type"] if isinstance(only["type"], list) else [only["type"]]
            return only | {"type": [*kinds, "null"]}
        left = {key: value for key, value in node.items() if key not in ("$defs", "title", "default", "description")}
        left.pop("format", None)
        if "properties" in left:
            left["properties"] = {key: plain(value) for key, value in left["properties"].items()}
        if isinstance(left.get("items"), dict):
            left["items"] = plain(left["items"])
        return left

    return plain(schema)


def _explain(schema: dict[str, Any], told: Mapping[str, str], path: str = "") -> None:
    for key, node in schema.get("properties", {}).items():
        inner = f"{path}.{key}".lstrip(".")
        if inner in told:
            node["description"] = told[inner]
        _explain(node, told, inner)
        if isinstance(node.get("items"), dict):
            _explain(node["items"], told, inner)


def topics() -> dict[str, Any]:
    """Each topic's usual name, its configuration and what the program does with it, by its logical name."""
    names = TopicSettings()
    return {
        topic: {
            "name": getattr(names, topic),
            "config": dict(shape.configuration),
            "operations": _operations(topic, shape),
        }
        for topic, shape in shapes(1, 1).items()
    }


def _operations(topic: str, shape: Shape) -> list[str]:
    """Whoever needs a topic compacted looks whether it is; the shards' topic is never written to."""
    described = ["Describe", "DescribeConfigs"] if shape.is_compacted else ["Describe"]
    return [*described, "Read"] if topic == "shards" else [*described, "Read", "Write"]


def readme() -> str:
    """The chart's README: how to install it, and every value."""
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text("utf-8"))
    text = (CHART / "values.yaml").read_text("utf-8")
    told = explanations(text)
    rows = [f"| `{path}` | {_shown(value)} | {told[path]} |" for path, value in _leaves(yaml.safe_load(text), told)]
    introduction = (CHART / "README.md.in").read_text("utf-8")
    return introduction.format(
        name=chart["name"],
        description=chart["description"],
        app_version=chart["appVersion"],
        kube_version=chart["kubeVersion"].removeprefix(">=").removesuffix("-0"),
        values="\n".join(rows),
    )


def _leaves(values: Mapping[str, Any], told: Mapping[str, str], path: str = "") -> list[tuple[str, Any]]:
    """The keys that are explained; a mapping whose own keys are explained is named without its value."""
    found: list[tuple[str, Any]] = []
    for key, value in values.items():
        inner = f"{path}.{key}".lstrip(".")
        is_section = isinstance(value, dict) and any(other.startswith(f"{inner}.") for other in told)
        if inner in told:
            found.append((inner, None if is_section else value))
        if is_section:
            found += _leaves(value, told, inner)
    return found


def _shown(value: object) -> str:
    return "" if value is None else f"`{json.dumps(value)}`"


def outputs() -> dict[Path, str]:
    """What each generated file should hold."""
    return {
        CHART / "values.schema.json": json.dumps(values_schema(), indent=2, ensure_ascii=False) + "\n",
        CHART / "README.md": readme(),
        CHART / "files" / "topics.yaml": "# Written by make chart.\n" + yaml.safe_dump(topics(), sort_keys=False),
        CHART / "files" / "dashboard.json": json.dumps(dashboard(), indent=1) + "\n",
    }


if __name__ == "__main__":
    for file, content in outputs().items():
        file.write_text(content, "utf-8")
