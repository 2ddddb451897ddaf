"""How the demo looks: a live table, a line where there is no terminal, and the verdict."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from streamer.metrics import Metrics
from streamer.model import NS_PER_S
from streamer.simulator.audit import Verdict
from streamer.status.summary import Snapshot
from streamer.wiring import Parts


def progress_table(snapshot: Snapshot, parts: Parts, elapsed_s: float) -> RenderableType:
    """The streams as they stand, and what it costs."""
    metrics = parts.metrics
    table = Table("stream", title=f"PowerP Streamer, {elapsed_s:.0f} s", title_style="bold")
    for heading in ("signals", "published", "late", "revised", "watermark lag", "holes"):
        table.add_column(heading, justify="right")
    for stream in snapshot.streams:
        name = stream.stream
        table.add_row(
            name,
            str(stream.series),
            f"{metrics.total('samples_published', stream=name):,}",
            f"{metrics.total('samples_late', stream=name):,}",
            f"{metrics.total('samples_revised', stream=name):,}",
            f"{stream.watermark_lag_s:.1f} s",
            str(stream.holes),
        )
    state = "ready" if snapshot.ready else "starting"
    line = f"{state}; {_requests(metrics)}; {parts.throttle.in_flight} in flight; Ctrl-C ends it and checks"
    return Group(table, Text(line, style="dim"))


def progress_line(snapshot: Snapshot, parts: Parts, elapsed_s: float) -> str:
    """The same in a line."""
    metrics = parts.metrics
    lag_s = max((stream.watermark_lag_s for stream in snapshot.streams), default=0.0)
    return (
        f"{elapsed_s:4.0f} s  {metrics.total('samples_published'):,} published, "
        f"{metrics.total('samples_late'):,} late, {metrics.total('samples_revised'):,} revised, "
        f"watermark lag {lag_s:.1f} s, {_requests(metrics)}"
    )


def verdict_table(verdict: Verdict, metrics: Metrics) -> RenderableType:
    """What was published, against the truth."""
    table = Table(title="Checked against the simulator's own truth", title_style="bold", show_header=False)
    table.add_column(justify="left")
    table.add_column(justify="right")
    table.add_row("events published", f"{verdict.published:,}")
    table.add_row("late", f"{metrics.total('samples_late'):,}")
    table.add_row("revised", f"{metrics.total('samples_revised'):,}")
    for stream in metrics.arrival_delay.streams:
        bucket = metrics.arrival_delay.of(stream).quantile(0.99)
        if bucket is not None and bucket.at_most_ns is not None:
            table.add_row(f"{stream}: 99 % seen within", f"{bucket.at_most_ns / NS_PER_S:g} s")
    for name, count in (("lost", verdict.lost), ("doubled", verdict.doubled), ("wrong", verdict.wrong)):
        table.add_row(name, Text(f"{count:,}", style="bold red" if count else "bold green"))
    return Group(table, *(Text(example, style="red") for example in verdict.examples))


def _requests(metrics: Metrics) -> str:
    requests, refused = metrics.total("requests"), metrics.total("requests", status="429")
    return f"{requests:,} requests" + (f" ({refused:,} answered 429)" if refused else "")
