"""A rule of the program taken away: the simulation must notice.

A mutant replaces a piece of source text that must be there exactly once; one that does not fit any more is an error, to
be mended with the code. ``seed`` is one that notices: it is tried first.
"""

from __future__ import annotations

from typing import NamedTuple


class Mutant(NamedTuple):
    """A change that must be noticed.

    Attributes:
        name: names it on the command line.
        rule: of the documentation of the design, or the fault of aiokafka, that it breaks.
        module: dotted, below ``streamer``.
        old: text of the module, to be replaced by ``new``.
        seed: of the simulation; it notices.
        survives: why no seed notices, mostly because another rule does the same work; then it is tried by name only.
    """

    name: str
    rule: str
    module: str
    old: str
    new: str
    seed: int = 1
    survives: str = ""
