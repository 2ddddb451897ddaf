"""The sections of the configuration as frozen models; field names are the keys of the YAML.

Each check stands at the key that it complains of and looks only at keys declared before it, so one load reports every
problem. Rooms receive their section from ``wiring.py``; what spans sections is checked in ``config.py``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import (
    BaseModel,
    ByteSize,
    ConfigDict,
    Field,
    SecretStr,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    field_validator,
    model_validator,
)

from streamer.model import NS_PER_MS, NS_PER_S
from streamer.settings_types import (
    BaseUrl,
    Duration,
    Size,
    Start,
    StartPoint,
    Text,
    is_loopback,
    is_loopback_or_tls,
    read_secret_file,
)

MOST_SIGNALS_A_QUERY = 20
"""v1 answers 400 past it."""

SHORTEST_POLL_INTERVAL_NS = 50 * NS_PER_MS
"""Below it four requests in flight cannot keep up with even one group at ordinary round trips."""

RAW_RANGE_LIMIT_NS = 30 * 60 * NS_PER_S
"""v1 silently aggregates a range without windowPeriod that is longer."""


DEFAULT_LOOKBACK_NS = (15 * NS_PER_S, 120 * NS_PER_S)


class Section(BaseModel):
    """A part of the configuration: cannot be changed, takes no key that it does not know, hides what was written."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class SourceSettings(Section):
    """The API and the credential."""

    allow_insecure_http: bool = False
    base_url: BaseUrl = "http://localhost:5000/api/"
    api: Literal["v1", "v2"] = "v1"
    auth: Literal["auto", "form", "json"] = "auto"
    client_id: Text
    client_secret_file: Path | None = None
    client_secret: SecretStr | None = Field(default=None, validate_default=True)
    timeout: Duration = 30 * NS_PER_S
    max_in_flight: int = Field(default=4, ge=1, le=4)
    max_rate: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    ca_file: Path | None = None

    def read_secret(self) -> SecretStr:
        """The client secret; its file, where there is one, is read at each call, so that it can be rotated.

        Raises:
            ConfigurationError: the file cannot be read or is empty.
        """
        if self.client_secret_file is not None:
            return read_secret_file(self.client_secret_file, "source.client_secret_file")
        if self.client_secret is None:
            raise AssertionError("unreachable: one of the two is there, or the section was refused")
        return self.client_secret

    @field_validator("base_url")
    @classmethod
    def _is_out_of_reach(cls, url: str, info: ValidationInfo) -> str:
        if not info.data.get("allow_insecure_http", True) and not is_loopback_or_tls(url):
            raise ValueError("sends the secret unencrypted; use https, or set allow_insecure_http: true")
        return url

    @field_validator("api")
    @classmethod
    def _is_available(cls, api: str) -> str:
        if api == "v2":
            raise ValueError("v2 is not available yet; use v1")
        return api

    @field_validator("client_secret")
    @classmethod
    def _is_one_secret(cls, secret: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if secret is not None and not secret.get_secret_value():
            raise ValueError("is empty")
        if "client_secret_file" in info.data and (secret is None) == (info.data["client_secret_file"] is None):
            raise ValueError(
                "is missing; set it, or client_secret_file"
                if secret is None
                else "stands beside client_secret_file; keep one of the two"
            )
        return secret

    @field_validator("timeout")
    @classmethod
    def _is_positive(cls, timeout_ns: int) -> int:
        if timeout_ns == 0:
            raise ValueError("must be longer than 0s")
        return timeout_ns


class MatchSettings(Section):
    """Patterns (``*``, ``?``) that a signal must match, all those that are given."""

    tag: Text | None = None
    name: Text | None = None
    unit: Text | None = None

    @model_validator(mode="after")
    def _has_a_pattern(self) -> Self:
        if self.tag is None and self.name is None and self.unit is None:
            raise ValueError("needs at least one of tag, name, unit; to select everything write all: true instead")
        return self


class StreamSettings(Section):
    """A selection of signals that share aggregation, resample period, cadence and policies."""

    name: str = Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")
    database_id: int = Field(ge=0)
    match: MatchSettings | None = None
    all: bool = False
    signals: tuple[int, ...] | None = Field(default=None, validate_default=True)
    resample_period: Duration | None = None
    aggregation: str = Field(default="default", pattern=r"^[A-Za-z][A-Za-z0-9_]*$")
    poll_interval: Duration = NS_PER_S
    overlap: Duration = 3 * NS_PER_S
    lookback: tuple[Duration, ...] = Field(default=DEFAULT_LOOKBACK_NS, validate_default=True)
    settle: Duration = 0
    start: StartPoint = Start("now")
    group_size: int = Field(default=10, ge=1, json_schema_extra={"maximum": MOST_SIGNALS_A_QUERY})
    catch_up: Literal["oldest_first", "live_first"] = "oldest_first"
    nulls: Literal["skip", "publish"] = "skip"

    @field_validator("signals")
    @classmethod
    def _is_the_only_selection(cls, signals: tuple[int, ...] | None, info: ValidationInfo) -> tuple[int, ...] | None:
        if "match" in info.data and "all" in info.data:
            selections = (signals is not None) + (info.data["match"] is not None) + bool(info.data["all"])
            if selections != 1:
                raise ValueError("exactly one of signals, match and all: true selects the signals of a stream")
        if signals is None:
            return None
        if not signals or min(signals) < 0:
            raise ValueError("must name at least one index, none of them negative")
        twice = sorted({index for index in signals if signals.count(index) > 1})
        if twice:
            raise ValueError(f"names {', '.join(map(str, twice))} more than once")
        return signals

    @field_validator("resample_period")
    @classmethod
    def _is_a_grid(cls, period_ns: int | None) -> int | None:
        if period_ns == 0:
            raise ValueError("must be longer than 0s; null means raw")
        return period_ns

    @field_validator("aggregation")
    @classmethod
    def _has_a_grid(cls, aggregation: str, info: ValidationInfo) -> str:
        if aggregation != "default" and info.data.get("resample_period", 1) is None:
            raise ValueError("raw samples have no aggregation; set resample_period, or leave it at default")
        return aggregation

    @field_validator("poll_interval")
    @classmethod
    def _is_not_too_short(cls, interval_ns: int) -> int:
        if interval_ns < SHORTEST_POLL_INTERVAL_NS:
            raise ValueError("must be at least 50ms")
        return interval_ns

    @field_validator("overlap")
    @classmethod
    def _fits_a_raw_query(cls, overlap_ns: int, info: ValidationInfo) -> int:
        if info.data.get("resample_period", 1) is None and overlap_ns >= RAW_RANGE_LIMIT_NS:
            raise ValueError("must be under 30m when raw: the API silently aggregates longer ranges")
        return overlap_ns

    @field_validator("lookback", mode="wrap")
    @classmethod
    def _ascends_past_the_overlap(
        cls, written: object, parse: ValidatorFunctionWrapHandler, info: ValidationInfo
    ) -> tuple[int, ...]:
        # The default is checked against overlap too, but is no text to be parsed.
        ages_ns: tuple[int, ...] = DEFAULT_LOOKBACK_NS if written is DEFAULT_LOOKBACK_NS else parse(written)
        if not ages_ns or any(later <= earlier for earlier, later in zip((0, *ages_ns), ages_ns, strict=False)):
            raise ValueError("must be a list of ages, each longer than the one before, like [15s, 2m]")
        if ages_ns[-1] <= info.data.get("overlap", 0):
            raise ValueError("the last age must be longer than overlap")
        return ages_ns

    @field_validator("settle")
    @classmethod
    def _is_of_a_grid(cls, settle_ns: int, info: ValidationInfo) -> int:
        if settle_ns and info.data.get("resample_period", 1) is None:
            raise ValueError("has a meaning only with resample_period")
        return settle_ns

    @field_validator("group_size")
    @classmethod
    def _fits_a_query(cls, size: int) -> int:
        if size > MOST_SIGNALS_A_QUERY:
            raise ValueError(f"at most {MOST_SIGNALS_A_QUERY} signals in a v1 query")
        return size


class BusSettings(Section):
    """Where events and ledger go. ``path`` is the file of the embedded bus, unused on Kafka."""

    kind: Literal["sqlite", "kafka"] = "sqlite"
    path: Path = Path("var/streamer.db")
    commit_interval: Duration = 50 * NS_PER_MS
    shards: int = Field(default=4, ge=1, le=256)
    headers: Literal["none", "cloudevents"] = "none"
    ledger_memory: Size = ByteSize(256 * 1024**2)


class StatusSettings(Section):
    """The status server; port 0 takes any free one. It has no login, so other machines are let in on demand only."""

    allow_remote: bool = False
    host: Text = "127.0.0.1"
    port: int = Field(default=8080, ge=0, le=65535)

    @field_validator("host")
    @classmethod
    def _is_out_of_reach(cls, host: str, info: ValidationInfo) -> str:
        if not info.data.get("allow_remote", True) and not is_loopback(host):
            raise ValueError("lets other machines in without a login; use 127.0.0.1, or set allow_remote: true")
        return host


class LogSettings(Section):
    """How and how much is logged."""

    format: Literal["json", "console"] = "json"
    level: Literal["debug", "info", "warning", "error", "critical"] = "info"
