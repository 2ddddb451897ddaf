"""The Grafana dashboard, made from the catalogue of metrics: every metric is on it, and nothing that does not exist.

Called by ``generate.py`` only.
"""

from __future__ import annotations

from itertools import groupby
from typing import Any

from streamer import metric_definitions as defined
from streamer.metric_definitions import CATALOGUE
from streamer.metric_types import Definition

Json = dict[str, Any]

JOB = 'job=~"$job"'
"""What every query asks of its series."""

DRAWN_WITH = {
    defined.WATERMARK_LAG: (defined.WATERMARK_LAG_EXPECTED,),
    defined.SETTLED_LAG: (defined.SETTLED_LAG_EXPECTED,),
    defined.ARRIVAL_DELAY: (defined.OVERLAP, defined.LAST_AGE),
    defined.IN_FLIGHT: (defined.LIMIT,),
    defined.OWNED: (defined.SHARDS,),
    defined.LEDGER_BYTES: (defined.LEDGER_LIMIT,),
}
"""What a metric is to be compared with, in its own panel."""

AT_A_GLANCE = (
    (
        "Behind",
        "s",
        f"max({defined.WATERMARK_LAG.full_name}{{{JOB}}} - {defined.WATERMARK_LAG_EXPECTED.full_name}{{{JOB}}})",
    ),
    (
        "Overdue samples",
        "percentunit",
        f"sum(rate({defined.OVERDUE.exposed_names[0]}{{{JOB}}}[$__rate_interval]))"
        f" / sum(rate({defined.END_TO_END.full_name}_count{{{JOB}}}[$__rate_interval]))",
    ),
    ("Open holes", "none", f"sum({defined.HOLES.full_name}{{{JOB}}}) or vector(0)"),
    (
        "Shards without owner",
        "none",
        f"max({defined.SHARDS.full_name}{{{JOB}}}) - sum({defined.OWNED.full_name}{{{JOB}}})",
    ),
    (
        "Requests that fail",
        "percentunit",
        f'sum(rate({defined.REQUESTS.exposed_names[0]}{{{JOB}, status!~"2.."}}[$__rate_interval]))'
        f" / sum(rate({defined.REQUESTS.exposed_names[0]}{{{JOB}}}[$__rate_interval]))",
    ),
    ("Samples a second", "none", f"sum(rate({defined.PUBLISHED.exposed_names[0]}{{{JOB}}}[$__rate_interval]))"),
)
"""Title, unit and query of what is to be seen first."""

UNITS = {"seconds": "s", "bytes": "bytes"}
SOURCE: Json = {"type": "prometheus", "uid": "$source"}
WIDTH, HEIGHT = 8, 8
STAT_WIDTH, STAT_HEIGHT = 4, 4
COLUMNS = 24


def dashboard() -> Json:
    """The whole dashboard as Grafana imports it."""
    companions = {one for some in DRAWN_WITH.values() for one in some}
    panels: list[Json] = [_stat(at, *glance) for at, glance in enumerate(AT_A_GLANCE)]
    y = STAT_HEIGHT
    for section, some in groupby(CATALOGUE, lambda one: one.section):
        panels.append({"type": "row", "title": section, "collapsed": False, "gridPos": _place(0, y, COLUMNS, 1)})
        y += 1
        drawn = [one for one in some if one not in companions]
        for at, one in enumerate(drawn):
            panels.append(_panel(one, _place(at * WIDTH % COLUMNS, y + at * WIDTH // COLUMNS * HEIGHT, WIDTH, HEIGHT)))
        y += -(-len(drawn) * WIDTH // COLUMNS) * HEIGHT
    return {
        "uid": "powerp-streamer",
        "title": "PowerP Streamer",
        "tags": ["powerp-streamer"],
        "schemaVersion": 39,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "templating": {"list": _variables()},
        "panels": [panel | {"id": number} for number, panel in enumerate(panels, 1)],
    }


def queries(one: Definition) -> list[tuple[str, str]]:
    """What is drawn of a metric: each query with its legend."""
    legend = " ".join(f"{{{{{label}}}}}" for label in one.labels)
    if one.kind == "gauge":
        selected = f"{one.full_name}{{{JOB}}}"
        return [(f"{one.across}{_by(one.labels)} ({selected})", legend)]
    if one.kind == "counter":
        return [(f"sum{_by(one.labels)} (rate({one.exposed_names[0]}{{{JOB}}}[$__rate_interval]))", legend)]
    rate = f"rate({one.full_name}_bucket{{{JOB}}}[$__rate_interval])"
    buckets = f"sum{_by((*one.labels, 'le'))} ({rate})"
    return [(f"histogram_quantile({part}, {buckets})", f"{legend} {part:.0%}".strip()) for part in (0.5, 0.99)]


def _by(labels: tuple[str, ...]) -> str:
    return f" by ({', '.join(labels)})" if labels else ""


def _panel(one: Definition, place: Json) -> Json:
    drawn = queries(one)
    for other in DRAWN_WITH.get(one, ()):
        drawn += [(query, f"{legend} {other.name}".strip()) for query, legend in queries(other)]
    return {
        "type": "timeseries",
        "title": one.name,
        "description": f"{one.meaning} {one.remedy}",
        "datasource": SOURCE,
        "gridPos": place,
        "fieldConfig": {
            "defaults": {"unit": _unit(one), "min": None if one is defined.CLOCK_SKEW else 0},
            "overrides": [],
        },
        "targets": _targets(drawn),
    }


def _stat(at: int, title: str, unit: str, query: str) -> Json:
    return {
        "type": "stat",
        "title": title,
        "datasource": SOURCE,
        "gridPos": _place(at * STAT_WIDTH, 0, STAT_WIDTH, STAT_HEIGHT),
        "fieldConfig": {"defaults": {"unit": unit}, "overrides": []},
        "targets": _targets([(query, title)]),
    }


def _unit(one: Definition) -> str:
    return UNITS.get(one.unit, "none") if one.kind != "counter" else "cps"


def _targets(drawn: list[tuple[str, str]]) -> list[Json]:
    return [
        {"refId": chr(ord("A") + at), "datasource": SOURCE, "expr": query, "legendFormat": legend or "__auto"}
        for at, (query, legend) in enumerate(drawn)
    ]


def _place(x: int, y: int, width: int, height: int) -> Json:
    return {"x": x, "y": y, "w": width, "h": height}


def _variables() -> list[Json]:
    names = f"label_values({defined.BUILD.full_name}, job)"
    return [
        {"name": "source", "label": "Prometheus", "type": "datasource", "query": "prometheus"},
        {
            "name": "job",
            "label": "Job",
            "type": "query",
            "datasource": SOURCE,
            "query": names,
            "refresh": 2,
            "multi": True,
            "includeAll": True,
            "allValue": ".*",
            "current": {"text": "All", "value": "$__all"},
        },
    ]
