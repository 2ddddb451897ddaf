"""The world that is shipped: three real plants on replay, and as many synthetic signals as wanted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from streamer.model import NS_PER_MS, NS_PER_S, SignalId
from streamer.simulator.behaviour import Behaviour
from streamer.simulator.recordings import Recording, joined, read_recording
from streamer.simulator.tapes import SyntheticTape
from streamer.simulator.world import FIRST_INDEX, Database, SimulatedSignal, World

SUBSTATION, TOWER, PV, SYNTHETIC = 1, 2, 3, 9

MOST_SYNTHETIC_SIGNALS = 10_000

_SUBSTATION_STEP_NS = 33_333_300  # 30 Hz, cut to what the API can write, so that the joint of a loop can be written
_PV_HOURS = ("pv20mw_10s_hour_a", "pv20mw_10s_hour_b", "pv20mw_10s_hour_e")

_behaviour = partial(
    Behaviour, late_share=0.002, late_delay_ns=20 * NS_PER_S, revised_share=0.001, revised_after_ns=10 * NS_PER_S
)
DEMO_BEHAVIOURS: Mapping[int, Behaviour] = {
    SUBSTATION: _behaviour(120 * NS_PER_MS, 60 * NS_PER_MS),
    TOWER: _behaviour(300 * NS_PER_MS, 200 * NS_PER_MS),
    PV: _behaviour(1_500 * NS_PER_MS, 1_000 * NS_PER_MS),
    SYNTHETIC: _behaviour(100 * NS_PER_MS, 50 * NS_PER_MS),
}
"""Real plants are not prompt: gateways buffer, and now and then a value is corrected."""


def demo_world(
    first_ns: int | None = None,
    *,
    synthetic_signals: int = 0,
    synthetic_hz: float = 5.0,
    seed: int = 0,
    behaviours: Mapping[int, Behaviour] | None = None,
) -> World:
    """A substation at 30 Hz, a solar tower at 1 Hz, a photovoltaic plant every 10 s, and synthetic signals.

    Args:
        first_ns: nothing exists before; by default a day of history.
        synthetic_signals: how many the synthetic database has, at most 10,000; without any there is none.
        synthetic_hz: samples a second of each.
        seed: decides which samples are late or revised.
        behaviours: by database, in place of ``DEMO_BEHAVIOURS``.

    Raises:
        ValueError: the number of synthetic signals, or their rate, is out of range.
    """
    if not 0 <= synthetic_signals <= MOST_SYNTHETIC_SIGNALS:
        raise ValueError(f"synthetic_signals must be 0 to {MOST_SYNTHETIC_SIGNALS}")
    if not 0 < synthetic_hz <= 1000:
        raise ValueError("synthetic_hz must be more than 0 and at most 1000")
    behaviour = {**DEMO_BEHAVIOURS, **(behaviours or {})}
    substation = read_recording("pmu_shelby_30hz", _SUBSTATION_STEP_NS)
    tower = joined(*(read_recording(f"stj_1s_{part}", NS_PER_S) for part in ("coldstart", "midday")))
    pv = joined(*(read_recording(hour, 10 * NS_PER_S) for hour in _PV_HOURS))
    databases = [
        Database(SUBSTATION, "substation", _replayed(SUBSTATION, substation), behaviour[SUBSTATION]),
        Database(TOWER, "tower", _replayed(TOWER, tower), behaviour[TOWER], has_zone=False, is_interleaved=True),
        Database(PV, "pv", _replayed(PV, pv), behaviour[PV]),
    ]
    if synthetic_signals:
        signals = [_synthetic(FIRST_INDEX + place, synthetic_hz) for place in range(synthetic_signals)]
        databases.append(Database(SYNTHETIC, "synthetic", signals, behaviour[SYNTHETIC], has_zone=False))
    return World(databases, first_ns=first_ns, seed=seed)


def _replayed(database_id: int, recording: Recording) -> Sequence[SimulatedSignal]:
    return [
        SimulatedSignal(
            id=SignalId(database_id, index),
            tag=track.tag,
            tape=recording.tape(track),
            name=track.tag.partition(".")[2],
            unit=track.unit,
            description=track.description,
            data_type=(data_type := "int" if all(isinstance(value, int) for value in track.values) else "float"),
            default_aggregation="last" if data_type == "int" else "mean",
            minimum=min(track.values),
            maximum=max(track.values),
        )
        for index, track in enumerate(recording.tracks, FIRST_INDEX)
    ]


def _synthetic(index: int, rate_hz: float) -> SimulatedSignal:
    tape = SyntheticTape(index, rate_hz)
    return SimulatedSignal(
        id=SignalId(SYNTHETIC, index),
        tag=f"SYN.{index}",
        tape=tape,
        name=str(index),
        unit="1",
        description="which signal and which sample it is, as a number",
        data_type="float",
        default_aggregation="mean",
        minimum=tape.minimum,
        maximum=tape.maximum,
    )
