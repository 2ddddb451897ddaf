"""The chart rendered as Helm renders it, by its own engine, and the values that tests begin with.

``python -m tests.deploy.chart DIRECTORY`` writes what each set of values makes, for other programs to judge.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

CHART = Path(__file__).parents[2] / "helm" / "powerp-streamer"

STREAM = {"name": "turbines", "database_id": 123, "all": True, "lookback": ["15s", "2m"]}
VALUES: dict[str, Any] = {
    "credentials": {"source": {"existingSecret": "powerp"}},
    "config": {
        "source": {"base_url": "https://tenant.powerp.example/rt-api/api/", "client_id": "me"},
        "streams": [STREAM],
        "kafka": {"bootstrap_servers": ["kafka-1:9092", "kafka-2:9093"]},
    },
}
"""The least that an installation says."""

SCRAM = {"security_protocol": "SASL_SSL", "sasl_mechanism": "SCRAM-SHA-512", "sasl_username": "streamer"}

MATRIX: dict[str, dict[str, Any]] = {
    "least": {},
    "made-secrets": {
        "credentials": {"source": {"existingSecret": "", "value": "sesame"}, "kafka": {"value": "mellon"}},
        "config": {"kafka": SCRAM},
    },
    "scram": {"credentials": {"kafka": {"existingSecret": "kafka"}}, "config": {"kafka": SCRAM}},
    "sqlite": {"config": {"bus": {"kind": "sqlite"}}},
    "sqlite-claim": {"config": {"bus": {"kind": "sqlite"}}, "persistence": {"existingClaim": "data"}},
    "replicas": {"replicas": 3, "config": {"bus": {"shards": 8}}},
    "autoscaling": {"autoscaling": {"enabled": True, "minReplicas": 2}},
    "pod-monitor": {
        "monitor": {"kind": "PodMonitor", "labels": {"release": "prometheus"}},
        "networkPolicy": {"ingressFrom": [{"namespaceSelector": {"matchLabels": {"name": "monitoring"}}}]},
    },
    "service-monitor": {"monitor": {"kind": "ServiceMonitor"}},
    "alerts": {
        "prometheusRule": {
            "enabled": True,
            "labels": {"release": "prometheus"},
            "runbook": "https://wiki.example/runbook",
        },
    },
    "dashboard": {"dashboard": {"enabled": True}},
    "strimzi": {"strimzi": {"enabled": True, "cluster": "plant"}, "config": {"kafka": SCRAM | {"sasl_username": None}}},
    "strimzi-tls": {
        "strimzi": {"enabled": True, "cluster": "plant"},
        "config": {"bus": {"shards": 5}, "kafka": {"security_protocol": "SSL", "replication_factor": 3}},
    },
    "extras": {
        "extraEnv": [{"name": "STREAMER_LOG__LEVEL", "value": "debug"}],
        "extraVolumes": [{"name": "ca", "secret": {"secretName": "cluster-ca"}}],
        "extraVolumeMounts": [{"name": "ca", "mountPath": "/etc/kafka", "readOnly": True}],
        "image": {"digest": "sha256:" + 64 * "0", "pullSecrets": [{"name": "registry"}]},
        "nodeSelector": {"kubernetes.io/arch": "arm64"},
        "tolerations": [{"key": "edge", "operator": "Exists"}],
        "affinity": {"nodeAffinity": {}},
        "priorityClassName": "high",
        "podAnnotations": {"note": "yes"},
        "podLabels": {"team": "grid"},
        "serviceAccount": {"annotations": {"note": "yes"}},
    },
    "nothing-optional": {
        "serviceAccount": {"create": False},
        "podDisruptionBudget": {"enabled": False},
        "networkPolicy": {"enabled": False},
        "topologySpreadConstraints": [],
    },
}
"""What an installation may say on top, by a name for each."""


def merged(base: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """``base`` with ``more`` on top, as Helm merges values: mappings by key, everything else as a whole."""
    result = copy.deepcopy(dict(base))
    for key, value in more.items():
        both = isinstance(value, Mapping) and isinstance(result.get(key), Mapping)
        result[key] = merged(result[key], value) if both else copy.deepcopy(value)
    return result


def templates(more: Mapping[str, Any] | None = None) -> dict[str, str]:
    """Text by template name for these values on top of the least. Raises helm_python's errors."""
    helm = pytest.importorskip("helm_python", reason="`make chart-test` installs Helm")
    with helm.Chart.load(str(CHART)) as chart:
        rendered: dict[str, str] = chart.render(merged(VALUES, more or {}), name="plant", namespace="grid")
    return {name.partition("/templates/")[2]: text for name, text in rendered.items()}


def objects(more: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
    """Every object that these values make."""
    texts = [text for name, text in templates(more).items() if name.endswith(".yaml")]
    return [made for text in texts for made in yaml.safe_load_all(text) if made]


def only(made: list[dict[str, Any]], kind: str, name: str = "") -> dict[str, Any]:
    """The one object of a kind, or of a kind whose name ends so."""
    (found,) = [one for one in made if one["kind"] == kind and one["metadata"]["name"].endswith(name)]
    return found


def kinds(more: Mapping[str, Any] | None = None) -> set[str]:
    return {made["kind"] for made in objects(more)}


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.mkdir(parents=True)
    for case, values in MATRIX.items():
        (target / f"{case}.yaml").write_text(yaml.safe_dump_all(objects(values)), "utf-8")
