"""The recordings: read as they were measured, joined without a seam."""

from __future__ import annotations

import pytest

from streamer.model import NS_PER_S
from streamer.simulator.recordings import Recording, Track, joined, read_recording

STEP_NS = {"pmu_shelby_30hz": 33_333_300, "stj_1s_midday": NS_PER_S, "pv20mw_10s_hour_a": 10 * NS_PER_S}


def track_of(recording: Recording, tag: str) -> Track:
    return next(track for track in recording.tracks if track.tag == tag)


@pytest.mark.parametrize(
    ("name", "signals"), [("pmu_shelby_30hz", 14), ("stj_1s_midday", 26), ("pv20mw_10s_hour_a", 60)]
)
def test_a_recording_has_all_signals_of_its_file(name: str, signals: int) -> None:
    assert len(read_recording(name, STEP_NS[name]).tracks) == signals


@pytest.mark.parametrize("name", STEP_NS)
def test_a_recording_lasts_one_step_longer_than_its_last_row(name: str) -> None:
    recording = read_recording(name, STEP_NS[name])
    assert {track.offsets_ns[-1] for track in recording.tracks} == {recording.period_ns - STEP_NS[name]}


def test_offsets_are_those_of_the_file() -> None:
    frequency = track_of(read_recording("pmu_shelby_30hz", 33_333_300), "SHELBY.FREQ")
    assert list(frequency.offsets_ns[:3]) == [0, 33_333_000, 66_666_000]
    assert list(frequency.values[:3]) == [59.967, 59.968, 59.962]


def test_integers_stay_integers() -> None:
    recording = read_recording("stj_1s_coldstart", NS_PER_S)
    assert [type(value) for value in track_of(recording, "STJ.AmbientTemperature").values[:2]] == [int, int]
    assert {type(value) for value in track_of(recording, "STJ.PT100Global").values} == {int, float}


def test_an_empty_cell_is_no_sample() -> None:
    hour_b = read_recording("pv20mw_10s_hour_b", 10 * NS_PER_S)
    assert sum(not track.values for track in hour_b.tracks) == 8
    hour_e = read_recording("pv20mw_10s_hour_e", 10 * NS_PER_S)
    assert sum(len(track.values) for track in hour_e.tracks) == 361 * 60 - 3


def test_a_gap_in_the_file_stays_a_gap() -> None:
    track = track_of(read_recording("stj_1s_coldstart", NS_PER_S), "STJ.Direct")
    assert list(track.offsets_ns[:3]) == [0, 3 * NS_PER_S, 4 * NS_PER_S]


def test_joined_recordings_follow_each_other() -> None:
    parts = [read_recording(f"pv20mw_10s_hour_{hour}", 10 * NS_PER_S) for hour in "abe"]
    whole = joined(*parts)
    assert whole.period_ns == 3 * 3_610 * NS_PER_S
    box = track_of(whole, "PV.CMB-02-01")  # missing in hour b
    assert len(box.values) == 2 * 361
    assert box.offsets_ns[361] == 2 * 3_610 * NS_PER_S
    assert box.values[361] == track_of(parts[2], "PV.CMB-02-01").values[0]


def test_joining_leaves_its_parts_alone() -> None:
    parts = [read_recording(f"stj_1s_{part}", NS_PER_S) for part in ("coldstart", "midday")]
    lengths = [len(part.tracks[0].values) for part in parts]
    joined(*parts)
    assert [len(part.tracks[0].values) for part in parts] == lengths == [3_598, 3_600]


def test_signals_are_described() -> None:
    frequency = track_of(read_recording("pmu_shelby_30hz", 33_333_300), "SHELBY.FREQ")
    assert (frequency.description, frequency.unit) == ("frequency", "Hz")
