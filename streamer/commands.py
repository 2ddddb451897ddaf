"""The one-shot commands that ask the API: check, signals, rebuild. Each opens what it needs, prints, and closes."""

from __future__ import annotations

import sys
import uuid
from collections.abc import Mapping

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from streamer.check import Check
from streamer.config import Settings
from streamer.rebuild import Rebuild
from streamer.redaction import safe_text
from streamer.roster import call_roll
from streamer.show import print_findings, print_rebuilt, print_signals
from streamer.wiring import assembled


async def check(settings: Settings, as_json: bool) -> int:
    """Try everything once and print what was found; the exit code is that of the first thing that is wrong."""
    async with assembled(settings) as parts:
        findings = await Check(
            settings, api=parts.api, bus=parts.bus, service_time=parts.service_time, clock=parts.clock
        ).run()
    print_findings(findings, as_json)
    return next((finding.exit_code for finding in findings if finding.exit_code), 0)


async def signals(settings: Settings, as_json: bool) -> None:
    """Print the catalogue, with the stream that each signal is in."""
    async with assembled(settings) as parts:
        catalogue = await parts.api.measurements()
    print_signals(catalogue, call_roll(settings, catalogue), as_json)


async def rebuild(settings: Settings, *, since_ns: int | None, is_forced: bool, is_agreed: bool, as_json: bool) -> None:
    """Make the ledgers anew that cannot be believed, once it is agreed.

    Args:
        settings: complete.
        since_ns: everything before counts as settled; None to find out.
        is_forced: also those that can be believed.
        is_agreed: do not ask.
        as_json: the result as JSON.

    Raises:
        ShardTaken: a daemon has the file of the embedded bus.
        BadParameter: nobody is there to agree.
    """
    async with assembled(settings) as parts:
        await parts.bus.open()
        progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            TimeElapsedColumn(),
            console=Console(stderr=True),
            disable=not sys.stderr.isatty(),
        )
        reading = progress.add_task("Reading the ledgers")
        making = Rebuild(
            settings,
            bus=parts.bus,
            api=parts.api,
            owner=uuid.uuid4().hex,
            since_ns=since_ns,
            progress=lambda shard, events: progress.update(
                reading, description=f"shard {shard}: {events:,} events read"
            ),
        )
        doubts = await making.doubts()
        shards = range(settings.bus.shards) if is_forced else sorted(doubts)
        if not shards:
            _say("Every ledger can be trusted; nothing was changed. (--force makes them anew all the same.)")
        elif _agreed(doubts, is_agreed):
            with progress:
                print_rebuilt(await making.run(shards), as_json)
            return
    if as_json:
        print_rebuilt([], as_json)


def _agreed(doubts: Mapping[int, str], is_agreed: bool) -> bool:
    """Say what is wrong; whether the old state may be set aside."""
    for what in doubts.values() or ["Every ledger can be trusted; --force makes them anew all the same."]:
        _say(what)
    if is_agreed:
        return True
    if not sys.stdin.isatty():
        raise typer.BadParameter("nobody is there to be asked; say --yes to set the old state aside")
    return typer.confirm("End every daemon first. Set the old state aside and make the ledger anew?", err=True)


def _say(text: str) -> None:
    print(safe_text(text), file=sys.stderr)  # noqa: T201  # the command's own words
