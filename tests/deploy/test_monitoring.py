"""Alerts and dashboard: their expressions name what exists, each alert is explained, and each fires when it should."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml

from docs.generate import DOCS
from helm.dashboard import DRAWN_WITH, dashboard
from helm.generate import CHART
from streamer.metric_definitions import CATALOGUE

RULES = CHART / "files" / "rules.yaml"
FIRING = Path(__file__).parent / "rules_test.yaml"
RUNBOOK = (DOCS / "runbook.md").read_text("utf-8")

GROUPS: list[dict[str, Any]] = yaml.safe_load(RULES.read_text("utf-8"))["groups"]
EVERY_RULE = [rule for group in GROUPS for rule in group["rules"]]
ALERTS = {rule["alert"]: rule for rule in EVERY_RULE if "alert" in rule}
RECORDED = {rule["record"] for rule in EVERY_RULE if "record" in rule}
EXPOSED = {name for one in CATALOGUE for name in one.exposed_names}
PANELS = [panel for panel in dashboard()["panels"] if panel["type"] != "row"]


def selected(expression: str) -> set[str]:
    """The series that an expression reads. Raises ValueError when it cannot be parsed."""
    found: set[str] = set()

    def visit(node: promql_parser.Expr) -> None:
        if isinstance(node, promql_parser.MatrixSelector):
            node = node.vector_selector
        if isinstance(node, promql_parser.VectorSelector):
            found.add(str(node.name))

    promql_parser.walk(promql_parser.parse(expression), visit)
    return found


def drawn(panel: dict[str, Any]) -> set[str]:
    """The series that a panel reads."""
    filled_in = (target["expr"].replace("$__rate_interval", "1m") for target in panel["targets"])
    return {name for expression in filled_in for name in selected(expression)}


def sections(text: str) -> dict[str, str]:
    """The text below each heading of the second level."""
    parts = re.split(r"^## (.+)$", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def promtool(*arguments: str) -> None:
    if shutil.which("promtool") is None:
        if os.environ.get("STREAMER_REQUIRE_PROMTOOL") == "1":
            pytest.fail("STREAMER_REQUIRE_PROMTOOL=1, and there is no promtool")
        pytest.skip("needs promtool, which comes with Prometheus")
    done = subprocess.run(["promtool", *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_series_is_found_wherever_it_is_read() -> None:
    text = "sum by (le) (rate(a_bucket[5m])) / (b - 2 * c) > 1 or max_over_time(d[1h:1m]) and absent(e) unless f == 1"
    assert selected(text) == {"a_bucket", "b", "c", "d", "e", "f"}


@pytest.mark.parametrize("rule", EVERY_RULE, ids=lambda rule: rule.get("alert", rule.get("record")))
def test_a_rule_reads_only_series_of_the_catalogue_and_recorded_ones(rule: dict[str, Any]) -> None:
    assert selected(rule["expr"]) - EXPOSED - RECORDED == set()


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_has_its_section_in_the_runbook(name: str) -> None:
    text = sections(RUNBOOK)[name]
    assert re.findall(r"^\*\*(.+):\*\*", text, re.MULTILINE) == ["Means", "Look at", "Do"]
    assert ALERTS[name]["annotations"]["runbook_url"] == f"docs/runbook.md#{name.lower()}"


def test_the_runbook_tells_of_no_alert_that_there_is_not() -> None:
    assert set(sections(RUNBOOK)) - set(ALERTS) == set()
    told = [RUNBOOK, *(one.remedy for one in CATALOGUE)]
    assert {name for text in told for name in re.findall(r"\bStreamer[A-Z]\w+", text)} - set(ALERTS) == set()


def test_the_runbook_names_only_metrics_that_there_are() -> None:
    bare = {one.full_name for one in CATALOGUE}
    assert set(re.findall(r"`(streamer_\w+)`", RUNBOOK)) - EXPOSED - bare == set()


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_says_how_bad_it_is_and_what(name: str) -> None:
    alert = ALERTS[name]
    assert alert["labels"]["severity"] in ("critical", "warning")
    assert set(alert["annotations"]) == {"summary", "description", "runbook_url"}


def test_the_burn_rates_are_those_of_the_objective() -> None:
    """99.9 % over 30 days: a pace of 14.4 uses up two percent of the allowance in an hour, one of 6 five in six."""
    fast, slow = (ALERTS[f"StreamerFreshnessBurns{how}"]["expr"] for how in ("Fast", "Slowly"))
    pace = re.compile(r"rate(\w+) > (?:([\d.]+) \* )?0\.001")
    assert pace.findall(fast) == [("5m", "14.4"), ("1h", "14.4"), ("30m", "6"), ("6h", "6")]
    assert pace.findall(slow) == [("2h", "3"), ("1d", "3"), ("6h", ""), ("3d", "")]


def test_prometheus_takes_the_rules() -> None:
    promtool("check", "rules", str(RULES))


def test_alerts_fire_when_they_should_and_only_then() -> None:
    promtool("test", "rules", str(FIRING))


def test_every_alert_is_seen_firing_and_silent() -> None:
    tested = [test for case in yaml.safe_load(FIRING.read_text("utf-8"))["tests"] for test in case["alert_rule_test"]]
    assert {test["alertname"] for test in tested if test.get("exp_alerts")} == set(ALERTS)
    assert {test["alertname"] for test in tested if not test.get("exp_alerts")} == set(ALERTS)


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_a_panel_reads_only_series_of_the_catalogue(panel: dict[str, Any]) -> None:
    assert drawn(panel) - EXPOSED == set()
    assert drawn(panel)


def test_every_metric_has_one_panel_or_is_drawn_with_another() -> None:
    titles = [panel["title"] for panel in PANELS if panel["type"] == "timeseries"]
    companions = {one.name for some in DRAWN_WITH.values() for one in some}
    assert sorted([*titles, *companions]) == sorted(one.name for one in CATALOGUE)


def test_panels_do_not_cover_each_other() -> None:
    places = [panel["gridPos"] for panel in dashboard()["panels"]]
    cells = [
        (x, y) for at in places for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24


def test_the_dashboard_asks_of_every_query_which_job() -> None:
    text = json.dumps([panel["targets"] for panel in PANELS])
    assert len(re.findall(r"streamer_\w+\{job=~", text)) == len(re.findall(r"streamer_\w+\{", text))
