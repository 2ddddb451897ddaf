"""The failpoints of the program, as its source names them."""

from __future__ import annotations

import re
from pathlib import Path

import streamer

FAILPOINTS = tuple(
    sorted(
        name
        for path in Path(streamer.__file__).parent.rglob("*.py")
        for name in re.findall(r'\bfailpoint\("([a-z.]+)"\)', path.read_text(encoding="utf-8"))
    )
)
"""A crash at each of them is part of the simulation."""
