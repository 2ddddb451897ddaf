"""The schemas of docs/ and the AsyncAPI document against what a daemon really publishes."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from streamer.bus.completeness import MOST_HOLES
from streamer.bus.gaps import encode
from streamer.bus.kafka_topics import shapes
from streamer.config import TopicSettings
from streamer.model import NS_PER_S, Hole, Interval, Series, SignalId, Transition
from tests.scenarios.conftest import Site
from tests.support.virtual_time import run_virtually

DOCS = Path(__file__).parents[1] / "docs"
FILES = {"samples": "event", "completeness": "completeness", "gaps": "gap", "signals": "signal"}
SCHEMAS = {topic: json.loads((DOCS / f"{name}.schema.json").read_text()) for topic, name in FILES.items()}
ASYNCAPI = yaml.safe_load((DOCS / "asyncapi.yaml").read_text())
PARSER = "@asyncapi/parser@3.6.6"
PARSE = """
import { Parser, fromFile } from "@asyncapi/parser";
const { document, diagnostics } = await fromFile(new Parser(), process.argv[2]).parse();
for (const one of diagnostics) if (one.severity < 2) console.error(`${one.path.join(".")}: ${one.message}`);
process.exit(document ? 0 : 1);
"""


def check(topic: str, value: object) -> None:
    jsonschema.validate(value, SCHEMAS[topic], format_checker=jsonschema.FormatChecker())


def refused(topic: str, value: dict[str, Any], **changes: object) -> bool:
    try:
        check(topic, {**value, **changes})
    except jsonschema.ValidationError:
        return True
    return False


@pytest.fixture(scope="module")
def published() -> dict[str, list[tuple[bytes, Any]]]:
    """Keys and values of all notices of a daemon that had its troubles, by topic."""

    async def main() -> Site:
        site = Site(shards=1)
        async with site.running():
            await asyncio.sleep(60)
            site.plant.silent = {2}
            await asyncio.sleep(30)
            site.plant.silent = set()
            await asyncio.sleep(60)
        site.stream |= {"all": False, "signals": [1, 3], "resample_period": "5s", "aggregation": "mean"}
        site.plant.period_ns = 5 * NS_PER_S
        async with site.running():
            await asyncio.sleep(30)
        return site

    found: dict[str, list[tuple[bytes, Any]]] = {}
    for notice in run_virtually(main()).bus.notices:
        value = None if notice.value is None else json.loads(notice.value)
        found.setdefault(notice.topic, []).append((notice.key, value))
    return found


@pytest.mark.parametrize("topic", ["completeness", "gaps", "signals"])
def test_what_is_published_is_as_its_schema_says_field_by_field(
    published: dict[str, list[tuple[bytes, Any]]], topic: str
) -> None:
    values = [value for _, value in published[topic] if value is not None]
    assert values
    for value in values:
        check(topic, value)
        assert list(value) == list(SCHEMAS[topic]["properties"]) == SCHEMAS[topic]["required"]


def test_gaps_of_a_signal_that_is_left_out_are_told_and_healed(
    published: dict[str, list[tuple[bytes, Any]]],
) -> None:
    assert {(key, value["event"]) for key, value in published["gaps"]} >= {(b"7:2", "opened"), (b"7:2", "healed")}


def test_signals_that_are_no_longer_configured_are_taken_back(published: dict[str, list[tuple[bytes, Any]]]) -> None:
    newest = dict(published["signals"])
    assert {key for key, value in newest.items() if value is not None} == {b"7:1", b"7:3"}
    assert newest[b"7:1"]["series"] == [{"stream": "all", "aggregation": "mean", "resample_period": "5s"}]


def test_completeness_is_stated_at_most_once_a_second(published: dict[str, list[tuple[bytes, Any]]]) -> None:
    first_run = [value["at"][:19] for key, value in published["completeness"] if key == b"all:0"][1:100]
    assert len(first_run) > 50
    assert len(set(first_run)) >= len(first_run) - 2  # a second may have one at each of its ends


@pytest.mark.parametrize("event", ["opened", "quarantined", "healed", "lost"])
def test_every_transition_has_its_place_in_the_schema(event: Any) -> None:
    hole = Hole(Series(SignalId(7, 1), "mean", NS_PER_S), Interval(0, 1_500_000_000), "absent")
    value = json.loads(encode(Transition(event, "all", hole), NS_PER_S).value or b"")
    check("gaps", value)
    assert refused("gaps", value, event="closed")
    assert refused("gaps", value, start=5)


def test_the_schemas_refuse_what_is_no_event(published: dict[str, list[tuple[bytes, Any]]]) -> None:
    statement = published["completeness"][0][1]
    assert refused("completeness", statement, samples_end={"a": 1})
    assert refused("completeness", statement, watermark="2026-01-16 10:00")
    assert refused("completeness", statement, holes=[{"index": 1}])
    assert refused("signals", published["signals"][0][1], series=[])
    assert SCHEMAS["completeness"]["properties"]["holes"]["maxItems"] == MOST_HOLES


def test_every_example_of_the_documentation_is_as_its_schema_says() -> None:
    sections = re.split(r"^## ", (DOCS / "events.md").read_text(), flags=re.MULTILINE)
    seen = []
    for section in sections:
        topic = section.partition("\n")[0].lower()
        for example in re.findall(r"```json\n(.*?)```", section, re.DOTALL):
            check(topic, json.loads(example))
            seen.append(topic)
    assert seen == ["completeness", "gaps", "signals"]


def test_the_asyncapi_document_has_every_topic_as_it_is_made() -> None:
    made = shapes(4, 12)
    assert set(ASYNCAPI["channels"]) == set(SCHEMAS)
    for topic, channel in ASYNCAPI["channels"].items():
        assert channel["address"] == getattr(TopicSettings(), topic)
        policy = channel["bindings"]["kafka"]["topicConfiguration"]["cleanup.policy"]
        assert policy == [made[topic].configuration["cleanup.policy"]]
        (message,) = channel["messages"]
        payload = ASYNCAPI["components"]["messages"][message]["payload"]
        assert payload == {"$ref": f"{FILES[topic]}.schema.json"}


def test_the_asyncapi_document_describes_the_keys(published: dict[str, list[tuple[bytes, Any]]]) -> None:
    for topic, channel in ASYNCAPI["channels"].items():
        (message,) = channel["messages"]
        key = ASYNCAPI["components"]["messages"][message]["bindings"]["kafka"]["key"]["$ref"].rpartition("/")[2]
        pattern = ASYNCAPI["components"]["schemas"][key]["pattern"]
        assert all(re.match(pattern, key.decode()) for key, _ in published.get(topic, []))


@pytest.mark.timeout(300)
def test_the_asyncapi_document_is_valid(tmp_path: Path) -> None:
    if shutil.which("npm") is None:
        if os.environ.get("STREAMER_REQUIRE_NPM") == "1":
            pytest.fail("STREAMER_REQUIRE_NPM=1, and there is no npm")
        pytest.skip("npm is not there to bring the AsyncAPI parser")
    install = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(tmp_path), PARSER]
    subprocess.run(install, check=True, capture_output=True, timeout=240)
    (tmp_path / "parse.mjs").write_text(PARSE)
    document = DOCS / "asyncapi.yaml"
    parsed = subprocess.run(
        ["node", str(tmp_path / "parse.mjs"), str(document)], capture_output=True, text=True, check=False, timeout=60
    )
    assert (parsed.returncode, parsed.stderr) == (0, "")
