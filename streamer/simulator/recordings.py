"""The recordings of real plants that are shipped in ``data/``, as they were measured.

Nothing is resampled or filled in: an empty cell is no sample. Called by ``plants``.
"""

from __future__ import annotations

import csv
import gzip
import io
from array import array
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import NamedTuple

from streamer.simulator.tapes import LoopTape, Number


class Track(NamedTuple):
    """What one signal measured: ``values[i]`` at ``offsets_ns[i]`` after the first row; ascending."""

    tag: str
    description: str
    unit: str
    offsets_ns: Sequence[int]
    values: Sequence[Number]


class Recording(NamedTuple):
    """The tracks of a plant, in the order of the file, and how long it lasts: its last row counts for one step."""

    period_ns: int
    tracks: tuple[Track, ...]

    def tape(self, track: Track) -> LoopTape:
        """The track over and over, in step with all tracks of the recording."""
        return LoopTape(track.offsets_ns, track.values, self.period_ns)


@lru_cache
def read_recording(name: str, step_ns: int) -> Recording:
    """Read ``data/<name>.csv.gz`` and what ``data/<name>.signals.csv`` says of its signals.

    Args:
        name: the file's, without what follows the first dot.
        step_ns: nominal time between two rows.
    """
    folder = files("streamer.simulator") / "data"
    with gzip.open(io.BytesIO((folder / f"{name}.csv.gz").read_bytes()), "rt", encoding="utf-8", newline="") as text:
        header, *rows = csv.reader(text)
    first = datetime.fromisoformat(rows[0][0])
    offsets_ns = [(datetime.fromisoformat(row[0]) - first) // timedelta(microseconds=1) * 1_000 for row in rows]
    told = _told_of_signals(folder / f"{name}.signals.csv")
    tracks = []
    for tag, cells in zip(header[1:], list(zip(*rows, strict=True))[1:], strict=True):
        kept = [(offset_ns, _number(cell)) for offset_ns, cell in zip(offsets_ns, cells, strict=True) if cell]
        track_offsets_ns = array("q", [offset_ns for offset_ns, _ in kept])
        tracks.append(Track(tag, *told[tag], track_offsets_ns, [value for _, value in kept]))
    return Recording(offsets_ns[-1] + step_ns, tuple(tracks))


def joined(*recordings: Recording) -> Recording:
    """One after the other. A signal is described as in the first; where it is missing, it has no samples."""
    described: dict[str, Track] = {}
    offsets_ns: dict[str, array[int]] = {}
    values: dict[str, list[Number]] = {}
    begins_ns = 0
    for recording in recordings:
        for track in recording.tracks:
            described.setdefault(track.tag, track)
            shifted_ns = (begins_ns + offset_ns for offset_ns in track.offsets_ns)
            offsets_ns.setdefault(track.tag, array("q")).extend(shifted_ns)
            values.setdefault(track.tag, []).extend(track.values)
        begins_ns += recording.period_ns
    tracks = (track._replace(offsets_ns=offsets_ns[tag], values=values[tag]) for tag, track in described.items())
    return Recording(begins_ns, tuple(tracks))


def _told_of_signals(file: Traversable) -> dict[str, tuple[str, str]]:
    text = io.StringIO(file.read_text("utf-8"), newline="")
    return {row["tag"]: (row["description"], row["unit"]) for row in csv.DictReader(text)}


def _number(cell: str) -> Number:
    return int(cell) if cell.lstrip("-").isdecimal() else float(cell)
