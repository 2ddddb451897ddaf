"""The catalogue of metrics and what a process exposes are the same."""

from __future__ import annotations

import re

import pytest
from prometheus_client import generate_latest

from streamer.config import Settings
from streamer.metric_definitions import CATALOGUE
from streamer.metric_types import LABELS, Definition
from streamer.metrics import Metrics
from streamer.model import Lane
from streamer.status.collector import StateCollector
from streamer.status.summary import OpenHoles, Snapshot, StreamSummary

SETTINGS = Settings.model_validate(
    {
        "source": {"client_id": "id", "client_secret": "secret"},
        "streams": [{"name": "pv", "database_id": 7, "all": True}],
        "bus": {"shards": 4},
    }
)


class Shown:
    """A daemon, its budget and its token as a scrape sees them."""

    in_flight = 3
    limit = 4
    waiting = dict.fromkeys(Lane, 0) | {Lane.REPAIR: 2}
    held_for_s = 1.5
    age_s: float | None = 60.0
    clock_skew_s: float | None = -0.25
    streams: tuple[StreamSummary, ...] = (
        StreamSummary(
            *("pv", 3, 1, 4.5, 130.0, 4.0, 141.0, 3.0, 120.0, 3),
            {"absent": OpenHoles(2, 30.0), "new": OpenHoles(1, 600.0)},
        ),
    )

    def snapshot(self) -> Snapshot:
        return Snapshot(True, (0, 2), self.streams, ("pv: 7:9",), 21, 840, self.clock_skew_s)


def exposed(shown: Shown) -> dict[str, dict[tuple[str, ...], float]]:
    """Every series by name and label values."""
    metrics = Metrics()
    metrics.registry.register(StateCollector(shown, shown, shown, SETTINGS))
    return {
        family.name: {tuple(sample.labels.values()): sample.value for sample in family.samples}
        for family in metrics.registry.collect()
    }


def test_a_process_exposes_the_catalogue_and_nothing_else() -> None:
    metrics = Metrics()
    metrics.registry.register(StateCollector(Shown(), Shown(), Shown(), SETTINGS))
    families = {family.name: (family.type, family.documentation, family.unit) for family in metrics.registry.collect()}
    assert families == {one.full_name: (one.kind, one.meaning, "") for one in CATALOGUE}


def test_every_series_that_is_shown_has_a_name_of_the_catalogue() -> None:
    metrics = Metrics()
    metrics.registry.register(StateCollector(Shown(), Shown(), Shown(), SETTINGS))
    metrics.published.labels("pv").inc()
    metrics.end_to_end.observe("pv", [0], 1)
    shown = {line.split("{")[0].split(" ")[0] for line in generate_latest(metrics.registry).decode().splitlines()}
    assert shown - {"#"} <= {name for one in CATALOGUE for name in one.exposed_names}


@pytest.mark.parametrize("one", CATALOGUE, ids=lambda one: one.name)
def test_a_metric_is_told_of_in_full(one: Definition) -> None:
    assert one.meaning.endswith(".")
    assert one.remedy.endswith((".", "?"))
    assert set(one.labels) <= set(LABELS)
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", one.name)
    assert not one.name.endswith("_total")
    assert (one.kind == "histogram") == bool(one.buckets)
    if one.unit in ("seconds", "bytes"):
        assert one.name.endswith(f"_{one.unit}")


def test_names_are_given_once() -> None:
    names = [name for one in CATALOGUE for name in one.exposed_names]
    assert len(names) == len(set(names))


def test_no_label_is_a_signal() -> None:
    assert set(LABELS) & {"signal", "series", "index", "tag", "group", "database_id"} == set()


def test_a_scrape_reads_how_everything_stands() -> None:
    read = exposed(Shown())
    assert read["streamer_watermark_lag_seconds"] == {("pv",): 4.5}
    assert read["streamer_watermark_lag_expected_seconds"] == {("pv",): 4.0}
    assert read["streamer_settled_lag_seconds"] == {("pv",): 130.0}
    assert read["streamer_settled_lag_expected_seconds"] == {("pv",): 141.0}
    assert read["streamer_overlap_seconds"] == {("pv",): 3.0}
    assert read["streamer_last_age_seconds"] == {("pv",): 120.0}
    assert read["streamer_series"] == {("pv",): 3}
    assert read["streamer_holes_open"] == {("pv", "absent"): 2, ("pv", "new"): 1}
    assert read["streamer_holes_open_seconds"] == {("pv", "absent"): 30.0, ("pv", "new"): 600.0}
    assert read["streamer_signals_unknown"] == {(): 1}
    assert read["streamer_requests_waiting"] == {(lane.name.lower(),): 2 * (lane is Lane.REPAIR) for lane in Lane}
    assert read["streamer_budget_in_flight_requests"] == {(): 3}
    assert read["streamer_budget_limit_requests"] == {(): 4}
    assert read["streamer_budget_paused_seconds"] == {(): 1.5}
    assert read["streamer_token_age_seconds"] == {(): 60.0}
    assert read["streamer_shards_owned"] == {(): 2}
    assert read["streamer_shards_configured"] == {(): 4}
    assert read["streamer_ledger_entries"] == {(): 21}
    assert read["streamer_ledger_bytes"] == {(): 840}
    assert read["streamer_ledger_limit_bytes"] == {(): 256 * 2**20}
    assert read["streamer_ready"] == {(): 1}
    assert read["streamer_clock_skew_seconds"] == {(): -0.25}


def test_a_scrape_tells_what_is_unknown_from_nought() -> None:
    shown = Shown()
    shown.age_s, shown.clock_skew_s, shown.streams = None, None, ()
    read = exposed(shown)
    assert read["streamer_token_age_seconds"] == {}
    assert str(read["streamer_clock_skew_seconds"][()]) == "nan"
    assert read["streamer_watermark_lag_seconds"] == {}
