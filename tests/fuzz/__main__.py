"""Search a target for findings, guided by coverage. Without arguments: the names of the targets.

    python -m tests.fuzz TARGET 60s

What a target raises ends the search with a traceback; the bytes that did it are in ``crash-…`` then, and become a test.
"""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import atheris

with atheris.instrument_imports(include=["streamer"]):
    from tests.fuzz.targets import SEEDS, TARGETS

LONGEST_BYTES = 4_096


def search(name: str, duration: str) -> None:
    """Feed one target for so long (seconds), beginning with its seeds; ends the process."""
    with TemporaryDirectory() as corpus:
        for number, seed in enumerate(SEEDS[name]):
            Path(corpus, str(number)).write_bytes(seed)
        options = (f"-max_total_time={duration.removesuffix('s')}", f"-max_len={LONGEST_BYTES}", "-verbosity=0")
        atheris.Setup([sys.argv[0], corpus, *options, "-print_final_stats=1"], TARGETS[name])
        atheris.Fuzz()


if __name__ == "__main__":
    if len(sys.argv) == 1:
        sys.stdout.write(" ".join(TARGETS) + "\n")
    else:
        search(*sys.argv[1:])
