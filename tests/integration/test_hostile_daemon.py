"""The program as a process, on an API that means harm."""

from __future__ import annotations

import json
from pathlib import Path

from tests.support.hostile_api import GOOD_TOKEN, IN_TURN, PLANT, PLANT_SIGNALS, besieging
from tests.support.program import SECRET, STREAM, Site, wait_for

BEARER = json.loads(GOOD_TOKEN)["access_token"]


def test_a_daemon_whose_api_means_harm_stays_up_says_so_in_plain_lines_and_drains(tmp_path: Path) -> None:
    with besieging() as api:
        streams = [{**STREAM, "database_id": 7, "group_size": 1}]
        site = Site(tmp_path, f"{api.url}/{PLANT}", streams=streams)
        with site.started("run") as daemon:
            wait_for(lambda: api.paths(PLANT).count("v1/query") > len(IN_TURN) + PLANT_SIGNALS, within_s=90)
            assert daemon.process.poll() is None
            assert daemon.stop() == 0
    assert daemon.logged("source.query_failed")
    for line in daemon.stderr.split("\n")[:-1]:
        assert json.loads(line)["event"]
        assert line.isprintable()
    for secret in (SECRET, BEARER):
        assert secret not in daemon.stderr + daemon.stdout
