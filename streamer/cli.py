"""The command line: arguments in, exit codes out. Results on stdout, logs on stderr.

Every error that the program explains is printed as one sentence with its remedy; a traceback is a bug.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from streamer.config import Settings, load_settings
from streamer.errors import ConfigurationError, StreamerError

app = typer.Typer(
    name="streamer",
    help="Publish every measurement sample of the PowerP Real-Time API exactly once.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Config = Annotated[
    Path | None,
    typer.Option(
        "--config", "-c", help="The configuration (YAML); the environment comes on top of it.", dir_okay=False
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="JSON for programs instead of a table for people.")]


@app.command()
def run(config: Config = None) -> None:
    """Poll, publish and keep the ledger until SIGTERM or SIGINT; then drain and exit 0."""
    from streamer.running import run_daemon

    asyncio.run(run_daemon(_settings(config)))


def _settings(config: Path | None) -> Settings:
    from streamer.logs import configure_logs

    settings = load_settings(config, os.environ)
    configure_logs(settings.log.format, settings.log.level, settings.secrets)
    return settings


def main() -> None:
    """Entry of the console script: run a command, explain its errors, exit with the code of design and docs."""
    try:
        app(standalone_mode=False)
    except ConfigurationError as exc:
        _explain("The configuration cannot be used:", *(f"  {path}: {problem}" for path, problem in exc.problems))
        if exc.remedy:
            _explain(exc.remedy)
        sys.exit(exc.exit_code)
    except StreamerError as exc:
        _explain(exc.what, *([exc.remedy] if exc.remedy else []))
        sys.exit(exc.exit_code)


def _explain(*lines: str) -> None:
    from streamer.redaction import safe_text

    for line in lines:
        print(safe_text(line), file=sys.stderr)  # noqa: T201  # the command line's own words
