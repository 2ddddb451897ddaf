"""The configuration: YAML first, then the environment, checked as a whole before anything runs.

``load_settings`` is called by ``cli.py``; the other rooms are handed the section that concerns them. Importing and
loading touch nothing but the one file; secrets' files are read when the secret is needed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from streamer.errors import ConfigurationError
from streamer.settings_kafka import KafkaSettings, TopicSettings
from streamer.settings_reading import Problem, merge_environment, problems_of, read_yaml, shown_path
from streamer.settings_sections import (
    BusSettings,
    LogSettings,
    MatchSettings,
    Section,
    SourceSettings,
    StatusSettings,
    StreamSettings,
)
from streamer.settings_types import Duration, Start

__all__ = [
    "BusSettings",
    "Duration",
    "KafkaSettings",
    "LogSettings",
    "MatchSettings",
    "Settings",
    "SourceSettings",
    "Start",
    "StatusSettings",
    "StreamSettings",
    "TopicSettings",
    "load_settings",
]

FEWEST_PARTITIONS = 12
"""Divisible by 2, 3, 4 and 6, so that as many consumers get equal shares."""

_AnySection = TypeVar("_AnySection", bound=Section)


class Settings(Section):
    """All sections. An instance that ``load_settings`` returned has passed every check."""

    source: SourceSettings
    streams: tuple[StreamSettings, ...] = ()
    bus: BusSettings = BusSettings()
    kafka: KafkaSettings = KafkaSettings()
    status: StatusSettings = StatusSettings()
    log: LogSettings = LogSettings()

    @property
    def samples_partitions(self) -> int:
        """Partitions of the samples topic: as configured, else the least multiple of the shards from 12 on."""
        shards = self.bus.shards
        return self.kafka.partitions or -(-FEWEST_PARTITIONS // shards) * shards

    @property
    def secrets(self) -> tuple[str, ...]:
        """The secrets that the configuration itself holds, for the log to redact; not those in files."""
        held = (self.source.client_secret, self.kafka.sasl_password, self.kafka.ssl_key_password)
        return tuple(secret.get_secret_value() for secret in held if secret is not None)


def load_settings(path: Path | None, environ: Mapping[str, str]) -> Settings:
    """Read, merge and check the configuration.

    Args:
        path: the YAML file; without one, the environment and the defaults are all there is.
        environ: the environment, such as ``os.environ``; empty variables count as absent.

    Raises:
        ConfigurationError: with all problems at once.
    """
    raw = {} if path is None else read_yaml(path)
    raw.setdefault("source", {})  # its own keys are then reported, not the section
    origins, problems = merge_environment(raw, environ)
    settings: Settings | None = None
    try:
        settings = Settings.model_validate(raw)
    except ValidationError as error:
        problems += problems_of(error, Settings, raw, origins)
    problems += _cross_check(raw)
    if settings is None or problems:
        # Outside of the handler: pydantic's error knows the values, and must not travel as a context.
        raise ConfigurationError(problems)
    return settings


def _cross_check(raw: Mapping[str, Any]) -> Iterator[Problem]:
    """What spans sections or streams, as far as each of them is right by itself."""
    written = raw.get("streams")
    if isinstance(written, list):
        streams = [(position, _valid(StreamSettings, stream)) for position, stream in enumerate(written)]
        yield from _shared_series(((at, stream) for at, stream in streams if stream is not None), raw)
        yield from _shared_names(written)
    bus, kafka = _valid(BusSettings, raw.get("bus", {})), _valid(KafkaSettings, raw.get("kafka", {}))
    if bus is not None and kafka is not None:
        yield from _kafka_for_bus(bus, kafka)


def _valid(section: type[_AnySection], written: object) -> _AnySection | None:
    try:
        return section.model_validate(written)
    except ValidationError:
        return None


def _shared_names(streams: Iterable[object]) -> Iterator[Problem]:
    seen: set[str] = set()
    for position, stream in enumerate(streams):
        name = stream.get("name") if isinstance(stream, dict) else None
        if isinstance(name, str) and name in seen:
            yield f"streams.{position}.name", "is the name of an earlier stream; each has its own"
        elif isinstance(name, str):
            seen.add(name)


def _shared_series(streams: Iterable[tuple[int, StreamSettings]], raw: Mapping[str, Any]) -> Iterator[Problem]:
    """A series belongs to one stream. Where signals are matched, only the catalogue tells, and is asked later."""
    owners: dict[tuple[int, int, int | None, str], str] = {}
    for position, stream in streams:
        shared: dict[str, list[int]] = {}
        for index in stream.signals or ():
            series = (stream.database_id, index, stream.resample_period, stream.aggregation)
            if series in owners:
                shared.setdefault(owners[series], []).append(index)
            owners.setdefault(series, stream.name)
        for owner, indexes in shared.items():
            listed = ", ".join(map(str, indexes))
            yield (
                shown_path(("streams", position, "signals"), raw),
                f"{listed}: in stream {owner} already, at the same resample_period and aggregation",
            )


def _kafka_for_bus(bus: BusSettings, kafka: KafkaSettings) -> Iterator[Problem]:
    if bus.kind != "kafka":
        return
    if not kafka.bootstrap_servers:
        yield "kafka.bootstrap_servers", "is missing; bus.kind kafka needs it, or KAFKA_BOOTSTRAP_SERVERS"
    if kafka.partitions is not None and kafka.partitions % bus.shards:
        yield "kafka.partitions", f"must be a multiple of bus.shards, which is {bus.shards}"
