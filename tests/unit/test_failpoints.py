"""Failpoints: silent until armed, heard while armed, silent again."""

from __future__ import annotations

import pytest

from streamer.failpoints import armed, failpoint


def test_a_failpoint_does_nothing_unless_armed() -> None:
    failpoint("nobody.listens")


def test_an_armed_hook_hears_every_name_until_the_block_ends() -> None:
    heard: list[str] = []
    with armed(heard.append):
        failpoint("commit.begun")
        failpoint("commit.done")
    failpoint("too.late")
    assert heard == ["commit.begun", "commit.done"]


def test_what_the_hook_raises_comes_out_of_the_step_and_disarms_it() -> None:
    def crash(name: str) -> None:
        raise KeyError(name)

    with pytest.raises(KeyError, match="begun"), armed(crash):
        failpoint("commit.begun")
    failpoint("commit.begun")
