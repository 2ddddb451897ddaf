"""From a YAML file and the environment to one plain mapping, and from pydantic's errors to problems in plain words.

Pure but for reading the one file. Called by ``config.py`` only. What was written is never repeated in a problem.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from streamer.errors import ConfigurationError

KeyPath = tuple[str | int, ...]
Problem = tuple[str, str]

PREFIX = "STREAMER_"
NAMED_VARIABLES: Mapping[str, KeyPath] = {
    "POWERP_BASE_URL": ("source", "base_url"),
    "POWERP_API_BASE_URL": ("source", "base_url"),
    "POWERP_CLIENT_ID": ("source", "client_id"),
    "POWERP_CLIENT_SECRET": ("source", "client_secret"),
    "POWERP_CLIENT_SECRET_FILE": ("source", "client_secret_file"),
    "KAFKA_BOOTSTRAP_SERVERS": ("kafka", "bootstrap_servers"),
}
"""Of two for one key the later wins; ``STREAMER_<SECTION>__<KEY>`` wins over both."""

_SECRET_KEYS = ("client_secret", "sasl_password", "ssl_key_password")


class _Loader(yaml.SafeLoader):
    """Safe YAML that refuses a key given twice, and leaves instants as text: datetime would cut off nanoseconds."""

    yaml_implicit_resolvers = {  # noqa: RUF012  # an attribute that the library defines so
        first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        if len(keys) != len(set(keys)):
            raise yaml.MarkedYAMLError(problem="a key is given twice", problem_mark=node.start_mark)
        return super().construct_mapping(node, deep)


def read_yaml(path: Path) -> dict[str, Any]:
    """The file's mapping; empty for an empty file.

    Raises:
        ConfigurationError: the file cannot be read, is no YAML, or is no mapping of sections.
    """
    try:
        read = yaml.load(path.read_text("utf-8"), Loader=_Loader)  # noqa: S506  # a SafeLoader
    except OSError as error:
        raise ConfigurationError([(str(path), f"cannot be read: {error.strerror}")]) from error
    except UnicodeDecodeError:
        raise ConfigurationError([(str(path), "is not UTF-8 text")]) from None
    except yaml.YAMLError as error:  # its text quotes the file, which may hold a secret
        raise ConfigurationError([(str(path), _where_broken(error))]) from None
    except (ValueError, RecursionError):  # of a number of thousands of digits, of brackets within brackets
        raise ConfigurationError([(str(path), "holds a number too long or lists too deep to be read")]) from None
    if read is None:
        return {}
    if not isinstance(read, dict):
        raise ConfigurationError([(str(path), "must be a mapping of sections: source, streams, bus …")])
    return {str(key): value for key, value in read.items() if value is not None}


def merge_environment(raw: dict[str, Any], environ: Mapping[str, str]) -> tuple[dict[KeyPath, str], list[Problem]]:
    """Overlay ``raw``, in place, with what the environment says; an empty variable is as good as none.

    Returns:
        The variable that set each key, and the problems of variables that set none.
    """
    origins: dict[KeyPath, str] = {}
    problems: list[Problem] = []
    for variable, path in NAMED_VARIABLES.items():
        if environ.get(variable):
            _set(raw, path, environ[variable])
            origins[path] = variable
    for variable, text in sorted(environ.items()):
        if not text or not variable.startswith(PREFIX) or "__" not in variable:
            continue  # a cluster adds variables such as STREAMER_SERVICE_HOST of its own
        path = tuple(variable.removeprefix(PREFIX).lower().split("__"))
        if path[0] == "streams":
            problems.append((variable, "streams are written in the file only"))
            continue
        try:
            _set(raw, path, text if path[-1] in _SECRET_KEYS else _parsed(text))
        except (yaml.YAMLError, ValueError, RecursionError):
            problems.append((variable, "is not a YAML list or mapping"))
        origins[path] = variable
    return origins, problems


def problems_of(
    error: ValidationError, model: type[BaseModel], raw: Mapping[str, Any], origins: Mapping[KeyPath, str]
) -> list[Problem]:
    """Each of pydantic's errors as a dotted path and what is allowed there."""
    problems: list[Problem] = []
    for details in error.errors(include_url=False, include_input=False):
        path = details["loc"]
        setters = sorted({variable for key, variable in origins.items() if key[: len(path)] == path})
        suffix = f" (set by {', '.join(setters)})" if setters else ""
        problems.append((shown_path(path, raw), _allowed(details, model) + suffix))
    return problems


def shown_path(path: KeyPath, raw: Mapping[str, Any]) -> str:
    """``streams[turbines].overlap`` when the stream's name is known and nobody else's, else ``streams.0.overlap``."""
    if len(path) > 1 and path[0] == "streams" and isinstance(path[1], int):
        names = [stream.get("name") if isinstance(stream, dict) else None for stream in raw["streams"]]
        name = names[path[1]]
        if isinstance(name, str) and re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", name) and names.count(name) == 1:
            return ".".join([f"streams[{name}]", *map(_shown_key, path[2:])])
    return ".".join(map(_shown_key, path))


def _shown_key(key: str | int) -> str:
    """A key up to where it cannot be one: without a blank behind the colon the value is read as a part of it."""
    shown = re.split(r"\W", str(key), maxsplit=1, flags=re.ASCII)[0][:64]
    return shown if shown == str(key) else f"{shown}…"


def _parsed(text: str) -> Any:
    """A list or mapping in YAML's flow style, null, or the text as it stands, which the key's own type reads."""
    if text.strip() in ("null", "~"):
        return None
    if text.lstrip().startswith(("[", "{")):
        return yaml.safe_load(text)
    return text


def _set(raw: dict[str, Any], path: KeyPath, value: object) -> None:
    place: Any = raw
    for key in path[:-1]:
        if place.get(key) is None:
            place[key] = {}
        place = place[key]
        if not isinstance(place, dict):
            return  # the file has something else where a section belongs, which is reported as such
    place[path[-1]] = value


def _where_broken(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    where = f" at line {mark.line + 1}, column {mark.column + 1}" if mark is not None else ""
    if getattr(error, "problem", None) == "a key is given twice":
        return f"has a key twice in the section{where}"
    return f"is not YAML{where}"


def _known_keys(model: type[BaseModel], path: KeyPath) -> list[str]:
    """The keys of the section that the path's last element was found in."""
    section = model
    for key in path[:-1]:
        field = section.model_fields.get(key) if isinstance(key, str) else None
        if field is None:
            continue  # the position in the list of streams
        candidates = (field.annotation, *getattr(field.annotation, "__args__", ()))
        section = next((c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)), section)
    return list(section.model_fields)


_MESSAGES: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "missing": lambda _: "is missing",
    "literal_error": lambda context: f"must be {context['expected'].replace(chr(39), '')}",
    "greater_than": lambda context: f"must be more than {context['gt']}",
    "greater_than_equal": lambda context: f"must be at least {context['ge']}",
    "less_than_equal": lambda context: f"must be at most {context['le']}",
    "string_type": lambda _: "must be text; put it in quotes",
    "string_too_short": lambda _: "is empty",
    "path_type": lambda _: "must be the path of a file",
    "finite_number": lambda _: "must be a finite number",
    "tuple_type": lambda _: "must be a list",
    "model_type": lambda _: "must be a section with keys of its own",
    "byte_size": lambda _: "is not a size; write 256MiB or 1GiB",
    "byte_size_unit": lambda _: "is not a size; write 256MiB or 1GiB",
}
_MESSAGES_BY_BEGINNING = {
    "int_": "must be a whole number",
    "float_": "must be a number",
    "bool_": "must be true or false",
}


def _allowed(details: ErrorDetails, model: type[BaseModel]) -> str:
    kind, context = details["type"], details.get("ctx", {})
    if kind == "value_error":
        return str(context["error"])
    if kind == "extra_forbidden":
        return f"is not a known key; known are {', '.join(_known_keys(model, details['loc']))}"
    if kind == "string_pattern_mismatch":
        return f"must match {context['pattern'].strip('^$')}"
    if kind in _MESSAGES:
        return _MESSAGES[kind](context)
    beginnings = (text for beginning, text in _MESSAGES_BY_BEGINNING.items() if kind.startswith(beginning))
    return next(beginnings, details["msg"])
