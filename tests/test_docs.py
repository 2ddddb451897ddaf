"""What the documentation points to is there, and what it claims is what the code does."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from typer.main import get_command

from streamer.bus.events import EventEncoder
from streamer.bus.kafka_topics import STATE_CONFIGURATION
from streamer.cli import app
from streamer.config import StreamSettings
from streamer.demo import STREAMS
from streamer.model import NS_PER_MS, Run, Series, Signal, SignalId, Stream
from streamer.roster import Member
from streamer.sizing import BYTES_A_SAMPLE, needed_bytes

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
SCHEMA = json.loads((ROOT / "docs" / "event.schema.json").read_text())
SIGNAL = SignalId(123, 1001)


def links(page: Path) -> list[str]:
    return re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text())


def listed(contents: object) -> set[str]:
    """The pages that a table of contents names, at any depth."""
    if isinstance(contents, list):
        return set().union(*map(listed, contents))
    if isinstance(contents, dict):
        here = {contents[key] for key in ("root", "file") if key in contents}
        return here.union(*map(listed, contents.values()))
    return set()


def event(series: Series, value: float | None, unit: str | None) -> dict[str, object]:
    encoder = EventEncoder(Signal(SIGNAL, tag="U1/P", unit=unit), series, "turbines", 0, False)
    run = Run(series, 1, False, [0], ["1970-01-01T00:00:00.1234567Z"], [value])
    return dict(json.loads(encoder.encode(run, "2026-01-16T10:00:01.113Z").values[0]))


def test_the_settings_of_the_state_topic_are_told_to_whoever_makes_it_by_hand() -> None:
    (row,) = re.findall(r"^\| `powerp.state`.*$", (ROOT / "docs" / "kafka.md").read_text(), re.MULTILINE)
    told = dict(setting.split("=") for setting in re.findall(r"`([a-z.]+=[^`]+)`", row))
    assert told == STATE_CONFIGURATION


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    relative = [link for link in links(page) if "://" not in link]
    assert [link for link in relative if not (page.parent / link).exists()] == []


def test_every_page_has_its_place_on_the_site() -> None:
    named = listed(yaml.safe_load((ROOT / "docs" / "contents.yml").read_text()))
    pages = {str(page.relative_to(ROOT).with_suffix("")) for page in PAGES}
    assert pages - named == set(), "name it in docs/contents.yml"


def test_a_link_that_leads_nowhere_would_be_seen(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("[one](absent.md#there) [two](https://example.org)")
    assert links(page) == ["absent.md", "https://example.org"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_to_elsewhere_has_the_shape_of_one(page: Path) -> None:
    """Nobody is asked whether it is there: tests need no network."""
    elsewhere = [link for link in links(page) if "://" in link]
    assert [link for link in elsewhere if not re.fullmatch(r"https://[a-z0-9-]+(\.[a-z0-9-]+)+(/\S*)?", link)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_that_a_page_names_exists(page: Path) -> None:
    commands = set(getattr(get_command(app), "commands"))  # noqa: B009  # of click's group, which typer hides
    named = set(re.findall(r"(?:bin/|`)streamer ([a-z]+)", page.read_text()))
    assert named - commands == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_make_target_that_a_page_names_exists(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {word for line in re.findall(r"(?:\$ |`)make ([a-z -]+)", page.read_text()) for word in line.split()[:1]}
    assert named - targets == set()


@pytest.mark.parametrize("series", [Series(SIGNAL), Series(SIGNAL, "mean", 200 * NS_PER_MS)])
@pytest.mark.parametrize("value", [12.5, 10**30, None])
@pytest.mark.parametrize("unit", ["MW", None])
def test_an_event_is_as_its_schema_says(series: Series, value: float | None, unit: str | None) -> None:
    jsonschema.validate(event(series, value, unit), SCHEMA, format_checker=jsonschema.FormatChecker())


def test_the_schema_names_every_field_of_an_event_and_no_other() -> None:
    assert list(event(Series(SIGNAL), 1.0, None)) == list(SCHEMA["properties"]) == SCHEMA["required"]


@pytest.mark.parametrize(("field", "wrong"), [("value", "12"), ("revision", -1), ("timestamp", "2026-01-16 10:00")])
def test_the_schema_refuses_what_is_no_event(field: str, wrong: object) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**event(Series(SIGNAL), 1.0, None), field: wrong}, SCHEMA)


def test_the_memory_that_a_page_names_is_what_check_would_say() -> None:
    settings = StreamSettings(name="all", database_id=1, all=True)
    stream = Stream("all", settings.poll_interval, settings.overlap, tuple(settings.lookback))
    members = [Member(Series(SIGNAL), stream, settings, Signal(SIGNAL))] * 1000
    mebibytes = needed_bytes(members, {"all": 5.0}) / 2**20
    assert f"need {mebibytes:.0f} MiB" in (ROOT / "docs" / "deployment.md").read_text()
    assert f"{BYTES_A_SAMPLE} bytes for each sample" in (ROOT / "docs" / "deployment.md").read_text()


def test_the_recipe_for_what_is_complete_waits_for_the_samples_of_every_shard() -> None:
    (recipe,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "events.md").read_text(), re.DOTALL)
    names: dict[str, Any] = {}
    exec(recipe, names)
    for shard, end, watermark in [(0, 10, "10:00:27Z"), (1, 5, "10:00:27.5Z"), (0, 20, "10:00:30Z")]:
        statement = {"stream": "turbines", "shard": shard, "samples_end": {str(shard): end}}
        names["told"](statement | {"watermark": f"2026-01-16T{watermark}"})
    seconds = []
    for position in [{}, {0: 10}, {0: 10, 1: 5}, {0: 20, 1: 5}]:
        names["reached"](position)
        until = names["complete_until"]("turbines")
        seconds.append(until and until.second + until.microsecond / 1e6)
    assert seconds == [None, None, 27.0, 27.5]


@pytest.mark.parametrize("name", ["demo.yaml", "kafka.yaml"])
def test_the_demo_and_the_example_configurations_have_the_same_streams(name: str) -> None:
    assert yaml.safe_load((ROOT / "config" / name).read_text())["streams"] == list(STREAMS)
