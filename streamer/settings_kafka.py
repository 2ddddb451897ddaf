"""The ``kafka`` section of the configuration; read by the bus's Kafka half only, unused by the embedded bus."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, ValidationInfo, field_validator

from streamer.settings_sections import Section
from streamer.settings_types import Endpoints, Text, TopicName, read_secret_file


class TopicSettings(Section):
    """Names of the topics."""

    samples: TopicName = "powerp.samples"
    state: TopicName = "powerp.state"
    shards: TopicName = "powerp.shards"
    completeness: TopicName = "powerp.completeness"
    signals: TopicName = "powerp.signals"
    gaps: TopicName = "powerp.gaps"

    @classmethod
    def under(cls, prefix: str) -> Self:
        """Every topic with another prefix than ``powerp``."""
        return cls.model_validate({topic: f"{prefix}.{topic}" for topic in cls.model_fields})

    @field_validator("state", "shards", "completeness", "signals", "gaps")
    @classmethod
    def _is_another(cls, name: str, info: ValidationInfo) -> str:
        for other, taken in info.data.items():
            if name == taken:
                raise ValueError(f"must be another topic than {other}")
        return name


class KafkaSettings(Section):
    """The cluster, the credential for it, and the topics. Of passwords and keys only what the protocol uses."""

    bootstrap_servers: Endpoints = ()
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "PLAIN"
    sasl_username: Text | None = Field(default=None, validate_default=True)
    sasl_password_file: Path | None = None
    sasl_password: SecretStr | None = Field(default=None, validate_default=True)
    ssl_ca_file: Path | None = None
    ssl_cert_file: Path | None = None
    ssl_key_file: Path | None = None
    ssl_key_password: SecretStr | None = None
    ssl_check_hostname: bool = True
    compression: Literal["none", "gzip", "snappy", "lz4", "zstd"] = "zstd"
    topics: TopicSettings = TopicSettings()
    group_id: Text | None = None
    partitions: int | None = Field(default=None, ge=1)
    replication_factor: int | None = Field(default=None, ge=1, le=32767)

    @property
    def owners(self) -> str:
        """The consumer group that shares out the shards: as configured, else one of its own for each ledger."""
        return self.group_id or f"{self.topics.state}.owners"

    @property
    def principal(self) -> str:
        """Whom the brokers take this program for, as far as can be told from here."""
        return "this client" if self.sasl_username is None else f"User:{self.sasl_username}"

    def read_sasl_password(self) -> SecretStr | None:
        """The SASL password; its file, where there is one, is read at each call. None without SASL.

        Raises:
            ConfigurationError: the file cannot be read or is empty.
        """
        if self.sasl_password_file is not None:
            return read_secret_file(self.sasl_password_file, "kafka.sasl_password_file")
        return self.sasl_password

    @field_validator("sasl_username")
    @classmethod
    def _goes_with_sasl(cls, username: str | None, info: ValidationInfo) -> str | None:
        protocol = info.data.get("security_protocol")
        if protocol is not None and protocol.startswith("SASL") != (username is not None):
            raise ValueError(
                f"is missing; {protocol} needs it" if username is None else f"is set, but {protocol} does not use it"
            )
        return username

    @field_validator("sasl_password")
    @classmethod
    def _is_one_password(cls, password: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        protocol = info.data.get("security_protocol")
        if protocol is None or "sasl_password_file" not in info.data:
            return password
        given = (password is not None) + (info.data["sasl_password_file"] is not None)
        if given > 1:
            raise ValueError("stands beside sasl_password_file; keep one of the two")
        if protocol.startswith("SASL") and not given:
            raise ValueError(f"is missing; {protocol} needs it, or sasl_password_file")
        if given and not protocol.startswith("SASL"):
            raise ValueError(f"is set (or sasl_password_file is), but {protocol} does not use it")
        if password is not None and not password.get_secret_value():
            raise ValueError("is empty")
        return password

    @field_validator("ssl_ca_file", "ssl_cert_file", "ssl_key_file", "ssl_key_password")
    @classmethod
    def _goes_with_ssl(cls, value: Path | SecretStr | None, info: ValidationInfo) -> Path | SecretStr | None:
        protocol = info.data.get("security_protocol")
        if value is not None and protocol is not None and not protocol.endswith("SSL"):
            raise ValueError(f"is set, but {protocol} does not use it")
        is_of_a_key = info.field_name in ("ssl_key_file", "ssl_key_password")
        if value is not None and is_of_a_key and info.data.get("ssl_cert_file", value) is None:
            raise ValueError("needs ssl_cert_file")
        return value
