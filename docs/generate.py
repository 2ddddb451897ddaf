"""Write the pages made from the code. ``make docs`` runs this, a test looks."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

import yaml

from docs import configuration, scaling
from docs.log_events import LogEvent, log_events
from streamer.metric_definitions import CATALOGUE
from streamer.metric_types import LABELS, Definition
from streamer.settings_sections import MOST_SIGNALS_A_QUERY

DOCS = Path(__file__).parent
SOURCE = DOCS.parent / "streamer"


def metrics_page() -> str:
    """Every metric, by section."""
    sections = [
        f"## {section}\n\n| metric | type | unit | meaning | when it is bad |\n| --- | --- | --- | --- | --- |\n"
        + "".join(_metric_row(one) for one in some)
        for section, some in groupby(CATALOGUE, lambda one: one.section)
    ]
    labels = "".join(f"| `{label}` | {meaning} |\n" for label, meaning in LABELS.items())
    introduction = (DOCS / "metrics.md.in").read_text("utf-8")
    return introduction.format(metrics="\n".join(sections), labels=f"| label | is |\n| --- | --- |\n{labels}")


def _metric_row(one: Definition) -> str:
    labels = f"{{{', '.join(one.labels)}}}" if one.labels else ""
    name = one.exposed_names[0] if one.kind == "counter" else one.full_name
    return f"| `{name}{labels}` | {one.kind} | {one.unit} | {one.meaning} | {one.remedy} |\n"


def meanings() -> dict[str, str]:
    """What each log event means."""
    told: dict[str, str] = yaml.safe_load((DOCS / "log_events.yaml").read_text("utf-8"))
    return told


def logs_page() -> str:
    """Every log event, by name. Raises KeyError for one without a meaning."""
    told = meanings()
    rows = "".join(_log_row(one, told[one.name]) for one in log_events(SOURCE))
    return (DOCS / "logs.md.in").read_text("utf-8").format(events=rows)


def _log_row(one: LogEvent, meaning: str) -> str:
    keys = ", ".join(f"`{key}`" for key in one.keys)
    return f"| `{one.name}` | {', '.join(one.levels)} | {', '.join(one.rooms)} | {keys} | {meaning} |\n"


def configuration_page() -> str:
    """Every key of the configuration, by section."""
    introduction = (DOCS / "configuration.md.in").read_text("utf-8")
    return introduction.format(sections=configuration.sections(), variables=configuration.variables())


def scaling_page() -> str:
    """What many signals need, by the arithmetic of ``docs.scaling``."""
    introduction = (DOCS / "scaling.md.in").read_text("utf-8")
    return introduction.format(table=scaling.table(), most=MOST_SIGNALS_A_QUERY)


def outputs() -> dict[Path, str]:
    """What each generated page should hold."""
    return {
        DOCS / "configuration.md": configuration_page(),
        DOCS / "metrics.md": metrics_page(),
        DOCS / "logs.md": logs_page(),
        DOCS / "scaling.md": scaling_page(),
    }


if __name__ == "__main__":
    for file, content in outputs().items():
        file.write_text(content, "utf-8")
