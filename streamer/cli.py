"""The command line: arguments in, exit codes out. Results on stdout, logs on stderr.

Every error that the program explains is printed as one sentence with its remedy; a traceback is a bug. Modules are
imported by the command that needs them, so that ``--help`` is there at once.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Coroutine
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from streamer.errors import ConfigurationError, StreamerError

if TYPE_CHECKING:
    from streamer.config import Settings

_T = TypeVar("_T")

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
        "--config",
        "-c",
        help="The configuration (YAML); the environment comes on top of it.",
        readable=False,  # one that cannot be read is a configuration error, not one of usage
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="JSON for programs instead of a table for people.")]


class Format(StrEnum):
    """How records are printed."""

    JSON = "json"
    TABLE = "table"


class Topic(StrEnum):
    """The topics by their logical names."""

    SAMPLES = "samples"
    COMPLETENESS = "completeness"
    GAPS = "gaps"
    SIGNALS = "signals"


class Kind(StrEnum):
    """The buses."""

    SQLITE = "sqlite"
    KAFKA = "kafka"


@app.command()
def run(config: Config = None) -> None:
    """Poll, publish and keep the ledger until SIGTERM or SIGINT; then drain and exit 0."""
    from streamer.running import run_daemon

    _finish(run_daemon(_complete(_settings(config))))


@app.command()
def check(config: Config = None, as_json: AsJson = False) -> None:
    """Try everything that run needs, once, and say what to do about what is wrong. Publishes nothing."""
    from streamer import commands

    sys.exit(_finish(commands.check(_complete(_settings(config, quiet=True)), as_json)))


@app.command()
def signals(config: Config = None, as_json: AsJson = False) -> None:
    """List the catalogue, and the stream that each signal is in."""
    from streamer import commands

    _finish(commands.signals(_settings(config, quiet=True), as_json))


@app.command()
def tail(
    config: Config = None,
    topic: Annotated[Topic, typer.Option(help="What to read.")] = Topic.SAMPLES,
    from_beginning: Annotated[bool, typer.Option("--from-beginning", help="Begin with the oldest record.")] = False,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Wait for more.")] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="End after so many records.")] = None,
    format: Annotated[Format, typer.Option(help="json: a record a line.")] = Format.JSON,
) -> None:
    """Print committed records; without other options the last ten."""
    from streamer import stored

    settings = _settings(config, quiet=True)
    _finish(
        stored.tail(
            settings,
            topic.value,
            from_beginning=from_beginning,
            follow=follow,
            limit=limit,
            is_table=format is Format.TABLE,
        ),
        interrupted=0,
    )


@app.command()
def status(
    config: Config = None,
    as_json: AsJson = False,
    live: Annotated[
        bool, typer.Option("--live", help="Ask only whether the daemon on this machine lives (for health checks).")
    ] = False,
) -> None:
    """Say what the stored ledger says: up to where each stream is covered and settled, and its holes."""
    settings = _settings(config, quiet=True)
    if live:
        from streamer.status.probe import ask_whether_alive

        print(ask_whether_alive(settings.status.host, settings.status.port))  # noqa: T201  # the result
        return
    from streamer import stored

    _finish(stored.status(settings, as_json))


@app.command()
def rebuild(
    config: Config = None,
    since: Annotated[
        str | None,
        typer.Option(
            help="Take everything before as settled: an instant with Z or an offset. What is not published before "
            "it is not asked for any more.",
            metavar="INSTANT",
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Also where the ledger can be trusted.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Set the old state aside without asking.")] = False,
    as_json: AsJson = False,
) -> None:
    """Make the ledger anew from what was published, where its state is lost or refused. End every daemon first."""
    from streamer import commands

    since_ns = None if since is None else _instant(since)
    settings = _complete(_settings(config, quiet=True))
    _finish(commands.rebuild(settings, since_ns=since_ns, is_forced=force, is_agreed=yes, as_json=as_json))


@app.command()
def reshard(config: Config = None, as_json: AsJson = False) -> None:
    """Move the ledger to the configured bus.shards and kafka.partitions. Stop every replica first."""
    from streamer import stored

    _finish(stored.reshard(_complete(_settings(config, quiet=True)), as_json))


@app.command()
def simulate(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 for any.")] = 5000,
    signals: Annotated[
        int, typer.Option(min=0, max=10_000, help="Synthetic signals, in database 9, beside the real plants.")
    ] = 0,
    rate: Annotated[float, typer.Option(min=0.001, max=1000, help="Samples a second of each of them.")] = 5.0,
    scenario: Annotated[
        Path | None, typer.Option(help="Faults to play (YAML); config/faults.yaml shows them all.", dir_okay=False)
    ] = None,
    latency: Annotated[float, typer.Option(min=0, max=60, help="Seconds before each answer.")] = 0.0,
) -> None:
    """Serve the PowerP API with three real plants on replay, until SIGTERM or SIGINT."""
    from streamer.simulate import simulate as serve_until_stopped

    _finish(serve_until_stopped(host, port, signals=signals, rate_hz=rate, scenario_file=scenario, latency_s=latency))


@app.command()
def demo(
    bus: Annotated[Kind, typer.Option(help="Where events go; kafka needs KAFKA_BOOTSTRAP_SERVERS.")] = Kind.SQLITE,
    duration: Annotated[
        str | None,
        typer.Option("--for", envvar="DEMO_FOR", help="How long, such as 30s; else until Ctrl-C.", metavar="DURATION"),
    ] = None,
) -> None:
    """Run the daemon against the simulated plants, show what it does, and check it against the truth."""
    from streamer.demo import demo as run_demo
    from streamer.settings_types import parse_duration

    try:
        duration_ns = None if duration is None else parse_duration(duration)
    except ValueError as exc:
        raise ConfigurationError([("DEMO_FOR", str(exc))]) from exc
    sys.exit(_finish(run_demo(bus.value, duration_ns, os.environ)))


def _instant(text: str) -> int:
    """Nanoseconds since the epoch of an instant on the command line."""
    from streamer.settings_types import parse_start

    problem = "is not an instant; write 2026-01-16T10:00:00Z"
    try:
        start = parse_start(text)
    except ValueError as exc:
        raise ConfigurationError([("--since", problem)]) from exc
    if start.kind != "at":
        raise ConfigurationError([("--since", problem)])
    return start.ns


def _settings(config: Path | None, *, quiet: bool = False) -> Settings:
    """The configuration, with the logs set up as it says; one-shot commands log warnings for people only."""
    from streamer.config import load_settings
    from streamer.logs import configure_logs

    settings = load_settings(config, os.environ)
    if quiet:
        configure_logs("console", "error", settings.secrets)
    else:
        configure_logs(settings.log.format, settings.log.level, settings.secrets)
    return settings


def _complete(settings: Settings) -> Settings:
    """What a daemon needs beyond a configuration that is right: streams, and secrets that can be read."""
    if not settings.streams:
        problem = "names no stream; config/reference.yaml shows how one is written"
        raise ConfigurationError([("streams", problem)])
    settings.source.read_secret()
    settings.kafka.read_sasl_password()
    return settings


def _finish(work: Coroutine[Any, Any, _T], *, interrupted: int = 130) -> _T:
    """Run a command to its end; Ctrl-C (with this exit code) and a reader that has gone end it quietly."""
    try:
        return asyncio.run(work)
    except KeyboardInterrupt:
        sys.exit(interrupted)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the interpreter flushes once more
        sys.exit(0)


def main() -> None:
    """Run a command, explain its errors, exit with the code that is documented."""
    try:
        app()
    except ConfigurationError as exc:
        for path, problem in exc.problems:
            _explain(f"The configuration cannot be used: {path}: {problem}.", exc.remedy)
        sys.exit(exc.exit_code)
    except StreamerError as exc:
        _explain(exc.what, exc.remedy)
        sys.exit(exc.exit_code)


def _explain(what: str, remedy: str) -> None:
    """One line: often the last one of a log is all that is seen of a process that ended."""
    from streamer.redaction import safe_text

    print(safe_text(f"{what} {remedy}".rstrip()), file=sys.stderr)  # noqa: T201  # the command line's own words
