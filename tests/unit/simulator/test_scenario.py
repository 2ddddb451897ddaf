"""Scenarios: what a file may say, and when its faults are met."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import pytest

from streamer.errors import ConfigurationError
from streamer.model import NS_PER_S
from streamer.simulator.behaviour import Disturbance, Recurrence
from streamer.simulator.scenario import FaultyAnswers, Kind, Scenario, load_scenario

EXAMPLE = Path(__file__).parents[3] / "config" / "faults.yaml"
STARTED_NS = 1_768_557_600 * NS_PER_S


def scenario_of(**fault: Any) -> Scenario:
    return Scenario.model_validate({"faults": [{"duration": "10s", **fault}]})


def answers_of(**fault: Any) -> FaultyAnswers:
    return FaultyAnswers(scenario_of(**fault), STARTED_NS)


def problems_of(tmp_path: Path, text: str) -> list[tuple[str, str]]:
    path = tmp_path / "faults.yaml"
    path.write_text(text, "utf-8")
    with pytest.raises(ConfigurationError) as caught:
        load_scenario(path)
    return caught.value.problems


def test_the_example_shows_each_kind_once() -> None:
    assert [fault.kind for fault in load_scenario(EXAMPLE).faults] == list(get_args(Kind))


def test_an_empty_file_has_no_faults(tmp_path: Path) -> None:
    (tmp_path / "faults.yaml").write_text("", "utf-8")
    assert load_scenario(tmp_path / "faults.yaml").faults == ()


@pytest.mark.parametrize(
    ("fault", "path", "problem"),
    [
        ("{kind: outage}", "faults.0.duration", "is missing"),
        ("{kind: outage, duration: 2}", "faults.0.duration", "is not a duration"),
        ("{kind: outage, duration: 0}", "faults.0.duration", "more than 0"),
        ("{kind: outrage, duration: 1s}", "faults.0.kind", "must be late, revised"),
        ("{kind: outage, duration: 1s, evry: 2s}", "faults.0.evry", "known are kind, start, every"),
        ("{kind: outage, duration: 1s, share: 0}", "faults.0.share", "more than 0"),
        ("{kind: outage, duration: 1s, share: 1.1}", "faults.0.share", "at most 1"),
        ("{kind: outage, duration: 2s, every: 1s}", "faults.0", "every must not be shorter"),
        ("{kind: outage, duration: 1s, delay: 2s}", "faults.0", "outage takes no delay"),
        ("{kind: late, duration: 1s}", "faults.0", "late needs a delay"),
        ("{kind: slow, duration: 1s}", "faults.0", "slow needs a delay"),
        ("{kind: slow, duration: 1s, delay: 1s, form: date}", "faults.0", "slow takes no form"),
        ("{kind: late, duration: 1s, delay: 1s, by: 2}", "faults.0", "late takes no by"),
        ("{kind: revised, duration: 1s, by: 0}", "faults.0.by", "other than 0"),
        ("{kind: revised, duration: 1s, by: .inf}", "faults.0.by", "other than 0"),
        ("{kind: status_429, duration: 1s, form: words}", "faults.0.form", "must be seconds or date"),
        ("{kind: unauthorized, duration: 1s, share: 0.5}", "faults.0", "takes no share"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, fault: str, path: str, problem: str) -> None:
    ((found_path, found_problem),) = problems_of(tmp_path, f"faults: [{fault}]")
    assert found_path == path
    assert problem in found_problem


def test_all_problems_are_named_at_once(tmp_path: Path) -> None:
    problems = problems_of(tmp_path, "falts: []\nfaults: [{kind: outage}, {kind: slow, duration: x, delay: 1s}]")
    assert [path for path, _ in problems] == ["faults.0.duration", "faults.1.duration", "falts"]


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"nowhere\.yaml: cannot be read"):
        load_scenario(tmp_path / "nowhere.yaml")


def seconds_met(answers: FaultyAnswers, kind: Kind = "outage", database_id: int | None = 1) -> list[int]:
    return [at for at in range(-10, 100) if answers.met(kind, STARTED_NS + at * NS_PER_S, database_id)]


def test_a_fault_comes_once() -> None:
    assert seconds_met(answers_of(kind="outage", start="5s")) == [*range(5, 15)]


def test_a_fault_comes_again() -> None:
    assert seconds_met(answers_of(kind="outage", start="5s", every="40s")) == [
        *range(5, 15),
        *range(45, 55),
        *range(85, 95),
    ]


def test_a_fault_keeps_to_its_databases() -> None:
    answers = answers_of(kind="slow", delay="1s", databases=[1])
    assert [bool(seconds_met(answers, "slow", database_id)) for database_id in (1, 2, None)] == [True, False, False]


def test_a_fault_of_the_historian_meets_queries_only() -> None:
    answers = answers_of(kind="status_504")
    assert [bool(seconds_met(answers, "status_504", database_id)) for database_id in (1, None)] == [True, False]


def test_a_share_of_the_requests_meets_a_fault() -> None:
    answers = answers_of(kind="broken_body", share=0.2)
    met = sum(answers.met("broken_body", STARTED_NS, 1) is not None for _ in range(10_000))
    assert 1_800 < met < 2_200


def test_a_share_of_the_signals_is_missing() -> None:
    answers = answers_of(kind="missing", share=0.2)
    missing = answers.missing(STARTED_NS, 1, range(10_000))
    assert 1_800 < len(missing) < 2_200


def test_no_signal_is_missing_at_other_times() -> None:
    assert not answers_of(kind="missing").missing(STARTED_NS + 10 * NS_PER_S, 1, [1001])


def test_a_token_minted_before_is_revoked_and_stays_so() -> None:
    answers = answers_of(kind="unauthorized", start="5s")
    minted_ns = STARTED_NS + 4 * NS_PER_S
    assert [answers.is_revoked(minted_ns, STARTED_NS + at * NS_PER_S) for at in (4, 5, 99)] == [False, True, True]


def test_a_token_minted_afterwards_is_good() -> None:
    answers = answers_of(kind="unauthorized", start="5s")
    assert not answers.is_revoked(STARTED_NS + 6 * NS_PER_S, STARTED_NS + 99 * NS_PER_S)


def test_late_and_revised_disturb_the_world() -> None:
    scenario = Scenario.model_validate(
        {
            "faults": [
                {"kind": "late", "start": "1s", "duration": "2s", "share": 0.5, "databases": [1], "delay": "3s"},
                {"kind": "revised", "duration": "2s", "every": "4s", "by": 0.5, "after": "6s"},
                {"kind": "outage", "duration": "2s"},
            ]
        }
    )
    assert scenario.disturbances(STARTED_NS) == [
        Disturbance(
            Recurrence(STARTED_NS + NS_PER_S, 2 * NS_PER_S), share=0.5, databases=frozenset({1}), delay_ns=3 * NS_PER_S
        ),
        Disturbance(Recurrence(STARTED_NS, 2 * NS_PER_S, 4 * NS_PER_S), by=0.5, after_ns=6 * NS_PER_S),
    ]
