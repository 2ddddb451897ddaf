"""What `make audit` found, for people and for its exit code.

pip-audit itself succeeds where it could ask nobody: it then skips every package. That must not look like a clean audit.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

VULNERABLE = 1


def verdict(audited: list[dict[str, Any]]) -> tuple[int, list[str]]:
    """The exit code and what to say of pip-audit's ``dependencies``."""
    skipped = [one for one in audited if "skip_reason" in one]
    lines = [
        f"{one['name']} {one['version']}: {known['id']}, fixed in {', '.join(known['fix_versions']) or 'none'}"
        for one in audited
        for known in one.get("vulns", [])
    ]
    found = len(lines)
    lines.append(f"{len(audited) - len(skipped)} packages audited, {found} known vulnerabilities.")
    if skipped:
        lines.append(
            f"!!! NOT AUDITED: {len(skipped)} of {len(audited)} packages; the advisory service knows nothing of"
        )
        lines.append("!!! them, or cannot be reached from here. Run make audit where it can be reached.")
    return (VULNERABLE if found else 0), lines


if __name__ == "__main__":
    exit_code, said = verdict(json.loads(Path(sys.argv[1]).read_text("utf-8"))["dependencies"])
    sys.stderr.write("\n".join(said) + "\n")
    sys.exit(exit_code)
