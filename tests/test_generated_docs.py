"""The pages that are written from the code are current."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from docs.generate import SOURCE, meanings, outputs
from docs.log_events import LEVELS, LogEvent, Said, log_events, said_in
from streamer.metric_definitions import CATALOGUE

PAGES = outputs()
EVENTS = log_events(SOURCE)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_make_docs_writes_is_current(page: Path) -> None:
    assert page.read_text("utf-8") == PAGES[page], "stale; run: make docs"


def test_the_page_names_every_metric() -> None:
    (page,) = (text for path, text in PAGES.items() if path.name == "metrics.md")
    assert [one.name for one in CATALOGUE if f"`streamer_{one.name}" not in page] == []


@pytest.mark.parametrize(
    "row",
    [
        "| `client_id` | text | **needed** |  | ",
        "| `max_in_flight` | integer | `4` | 1 to 4 | ",
        "| `lookback` | list of durations | `[15s, 2m]` |  | ",
        "| `resample_period` | duration |  |  | ",
        "| `kind` | text | `sqlite` | `sqlite`, `kafka` | ",
        "| `topics.samples` | topic | `powerp.samples` |  | ",
        "| `POWERP_CLIENT_ID` | `source.client_id` |",
    ],
)
def test_a_key_is_told_with_its_type_default_and_range(row: str) -> None:
    (page,) = (text for path, text in PAGES.items() if path.name == "configuration.md")
    assert [line for line in page.splitlines() if line.startswith(row)] != []


def test_every_log_event_has_a_meaning_and_every_meaning_its_event() -> None:
    assert {event.name for event in EVENTS} ^ set(meanings()) == set()


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.name)
def test_a_log_event_is_named_after_its_room_and_what_happened(event: LogEvent) -> None:
    assert re.fullmatch(r"[a-z]+\.[a-z]+(_[a-z]+)*", event.name)
    assert set(event.levels) <= set(LEVELS)
    assert meanings()[event.name].endswith(".")


def test_events_are_read_from_loggers_complaints_and_patience() -> None:
    text = """
_log.info("bus.opened", shard=1)
self._complaints.say("bus.lost", reason, who=name, remedy="Wait.")
around.complaints.over("bus.lost", "bus.found", shard=2)
await self._patience.persist("source.lost", "source.found", ask)
stream.write(json.dumps({"event": "logs.failed", "level": "error", "logger": name}))
other.info("not.said")
"""
    assert set(said_in("bus", text)) == {
        Said("bus.opened", "info", "bus", ("shard",)),
        Said("bus.lost", "warning", "bus", ("cause", "times", "remedy")),
        Said("bus.found", "info", "bus", ("shard",)),
        Said("source.lost", "warning", "bus", ("cause", "times", "remedy")),
        Said("source.found", "info", "bus", ()),
        Said("logs.failed", "error", "bus", ()),
    }


@pytest.mark.parametrize("text", ["_log.info(name)", "_log.info(f'bus.{verb}')", "complaints.over('bus.lost', name)"])
def test_an_event_that_is_not_literal_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not literal"):
        list(said_in("bus", text))


def test_every_logger_goes_by_the_name_that_is_looked_for() -> None:
    named = [
        line.partition(" = structlog.get_logger(")[0]
        for path in SOURCE.rglob("*.py")
        for line in path.read_text("utf-8").splitlines()
        if " = structlog.get_logger(" in line
    ]
    assert set(named) == {"_log"}
