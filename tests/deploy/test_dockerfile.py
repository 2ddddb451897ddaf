"""The image's recipe: what a linter and a reader can tell without building it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from streamer import __version__

ROOT = Path(__file__).parents[2]
RECIPE = (ROOT / "Dockerfile").read_text("utf-8")
FINAL_STAGE = RECIPE.rpartition("FROM ${BASE}")[2]


@pytest.mark.chart
def test_the_linter_has_no_complaint() -> None:
    linter = Path(sys.executable).with_name("hadolint")
    if not linter.exists():
        pytest.skip("`make chart-test` installs hadolint")
    linted = subprocess.run([linter, ROOT / "Dockerfile"], capture_output=True, text=True, check=False)
    assert (linted.returncode, linted.stdout) == (0, "")


def test_everything_that_is_installed_is_hashed_and_needs_no_compiler() -> None:
    installs = [line for line in RECIPE.replace("\\\n", " ").splitlines() if " install " in line]
    for command in re.findall(r"pip (?:--python \S+ )?install [^&]*", " ".join(installs)):
        assert "--require-hashes --only-binary :all:" in command or "--no-deps --no-index dist/" in command


def test_it_runs_as_a_user_that_kubernetes_can_tell_is_not_root() -> None:
    assert re.findall(r"^USER (.*)$", FINAL_STAGE, re.MULTILINE) == ["65532:65532"]


def test_the_last_stage_runs_nothing_and_nothing_of_it_goes_through_a_shell() -> None:
    assert not re.search(r"^RUN", FINAL_STAGE, re.MULTILINE)
    for instruction in ("ENTRYPOINT", r"\s*CMD"):
        assert all(
            argument.startswith("[") for argument in re.findall(rf"^{instruction} (.*)$", FINAL_STAGE, re.MULTILINE)
        )


def test_it_is_labelled_with_the_programs_version() -> None:
    assert f"ARG VERSION={__version__}\n" in RECIPE
