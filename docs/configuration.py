"""The configuration, key by key: types, defaults, ranges from the settings, meanings from ``config/reference.yaml``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import yaml
from pydantic import TypeAdapter

from helm.generate import REFERENCE, explanations
from streamer.config import Settings
from streamer.settings_reading import NAMED_VARIABLES
from streamer.settings_types import BaseUrl, Duration, Endpoints, Size, StartPoint, TopicName

HEAD = "| key | type | default | allowed | meaning |\n| --- | --- | --- | --- | --- |\n"


def _pattern(kind: Any) -> str:
    schema = TypeAdapter(kind).json_schema()
    return str(schema.get("items", schema)["pattern"])


TEXTS: Mapping[str, str] = {
    _pattern(Duration): "duration",
    _pattern(StartPoint): "instant, or duration ago",
    _pattern(BaseUrl): "URL",
    _pattern(Size): "size",
    _pattern(Endpoints): "endpoint",
    _pattern(TopicName): "topic",
    "path": "file",
    "password": "secret",
}
"""What a text is, by the pattern or the format that tells it from other texts."""


def sections() -> str:
    """A table for each section, in the order of the reference."""
    text = REFERENCE.read_text("utf-8")
    written, told = yaml.safe_load(text), explanations(text)
    plain, matching = written["streams"]
    written["streams"] = plain | {"match": matching["match"]}
    schema = Settings.model_json_schema()
    definitions = schema["$defs"]
    tables = []
    for section, values in written.items():
        node = _resolved(schema["properties"][section], definitions)
        rows = "".join(_rows(_resolved(node.get("items", node), definitions), definitions, values, told, section))
        tables.append(f"## {section}\n\n{HEAD}{rows}")
    return "\n".join(tables)


def variables() -> str:
    """The variables with names of their own, a row each."""
    return "".join(f"| `{name}` | `{'.'.join(map(str, path))}` |\n" for name, path in NAMED_VARIABLES.items())


def _rows(
    schema: Mapping[str, Any],
    definitions: Mapping[str, Any],
    values: Mapping[str, Any],
    told: Mapping[str, str],
    section: str,
    path: str = "",
) -> Iterator[str]:
    """A row for each key of a section, and of the sections in it. KeyError for a key that is not explained."""
    for key, value in values.items():
        inner = f"{path}.{key}".lstrip(".")
        node = _resolved(schema["properties"][key], definitions)
        if "properties" in node:
            yield f"| `{inner}` | section | | | {told[f'{section}.{inner}']} |\n"
            yield from _rows(node, definitions, value, told, section, inner)
            continue
        default = "**needed**" if key in schema.get("required", ()) else _default(node, value)
        yield f"| `{inner}` | {_type(node)} | {default} | {_allowed(node)} | {told[f'{section}.{inner}']} |\n"


def _resolved(node: Mapping[str, Any], definitions: Mapping[str, Any]) -> Mapping[str, Any]:
    """A node without reference, and without null where that says that there is none."""
    if "anyOf" in node:
        (node,) = ({**option, "default": node["default"]} for option in node["anyOf"] if option != {"type": "null"})
    return {**definitions[node["$ref"].rpartition("/")[2]], **node} if "$ref" in node else node


def _default(node: Mapping[str, Any], written: object) -> str:
    """As it is written in the reference, which a test compares with the settings."""
    if node["default"] is None:
        return ""
    shown, *_ = yaml.safe_dump(written, default_flow_style=True).splitlines()
    return f"`{shown}`"


def _type(node: Mapping[str, Any]) -> str:
    if "items" in node:
        return f"list of {_type(node['items'])}s"
    text = TEXTS.get(node.get("pattern", ""), TEXTS.get(node.get("format", "")))
    kind = str(node["type"] if text is None else text)
    return {"string": "text", "boolean": "true or false"}.get(kind, kind)


def _allowed(node: Mapping[str, Any]) -> str:
    if "enum" in node:
        return ", ".join(f"`{one}`" for one in node["enum"])
    if "maximum" in node:
        return f"{node['minimum']} to {node['maximum']}"
    if "minimum" in node:
        return f"at least {node['minimum']}"
    return f"more than {node['exclusiveMinimum']}" if "exclusiveMinimum" in node else ""
