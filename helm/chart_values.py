"""The types of the chart's own values; the program's configuration beside them is typed by its settings.

Read by ``generate.py`` only. What Kubernetes itself types (resources, affinity …) is left to its API server.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

Objects = list[dict[str, Any]]
Labels = dict[str, str]
DataKey = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]+$")]
Name = Annotated[str, Field(pattern=r"^([a-z0-9]([a-z0-9.-]*[a-z0-9])?)?$", max_length=253)]
Digest = Annotated[str, Field(pattern=r"^(sha256:[0-9a-f]{64})?$")]
Quantity = Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+)?([KMGTPE]i?)?$")]
Count = Annotated[int, Field(ge=1)]


class Values(BaseModel):
    """Keys in camelCase as Kubernetes writes them, all of them known."""

    model_config = ConfigDict(extra="forbid", alias_generator=to_camel)


class Credential(Values):
    """A secret in a Secret that exists or is made."""

    existing_secret: Name
    key: DataKey
    value: str


class Credentials(Values):
    """One a service."""

    source: Credential
    kafka: Credential


class Image(Values):
    """Which image."""

    repository: Annotated[str, Field(min_length=1)]
    tag: str
    digest: Digest
    pull_policy: Literal["Always", "IfNotPresent", "Never"]
    pull_secrets: Objects


class ServiceAccount(Values):
    """The account of the pods."""

    create: bool
    name: Name
    annotations: Labels


class Persistence(Values):
    """The volume."""

    existing_claim: Name
    storage_class: Name
    access_mode: Literal["ReadWriteOnce", "ReadWriteOncePod"]
    size: Quantity


class PodDisruptionBudget(Values):
    """What a drain may take."""

    enabled: bool
    max_unavailable: Count


class Autoscaling(Values):
    """The bounds of the replicas."""

    enabled: bool
    min_replicas: Count
    max_replicas: Count
    metrics: Objects


class NetworkPolicy(Values):
    """Peers."""

    enabled: bool
    ingress_from: Objects
    egress: Objects


class Monitor(Values):
    """Scraping."""

    kind: Literal["none", "PodMonitor", "ServiceMonitor"]
    interval: Annotated[str, Field(pattern=r"^([0-9]+(ms|s|m|h))+$")]
    labels: Labels


class PrometheusRule(Values):
    """Alerts."""

    enabled: bool
    labels: Labels
    runbook: Annotated[str, Field(min_length=1)]


class Dashboard(Values):
    """The dashboard."""

    enabled: bool
    labels: Labels


class Strimzi(Values):
    """Objects of Strimzi."""

    enabled: bool
    cluster: Name


class ChartValues(Values):
    """All values but ``config``."""

    credentials: Credentials
    image: Image
    replicas: Count
    name_override: Name
    fullname_override: Name
    service_account: ServiceAccount
    resources: dict[str, Any]
    persistence: Persistence
    pod_disruption_budget: PodDisruptionBudget
    autoscaling: Autoscaling
    network_policy: NetworkPolicy
    monitor: Monitor
    prometheus_rule: PrometheusRule
    dashboard: Dashboard
    strimzi: Strimzi
    topology_spread_constraints: Objects
    termination_grace_period_seconds: Annotated[int, Field(ge=10)]
    pod_annotations: Labels
    pod_labels: Labels
    priority_class_name: Name
    node_selector: Labels
    tolerations: Objects
    affinity: dict[str, Any]
    extra_env: Objects
    extra_volumes: Objects
    extra_volume_mounts: Objects
