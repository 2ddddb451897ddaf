"""The kinds that operators bring to a cluster, defined as the operators themselves define them.

Nothing of theirs is copied here. The Prometheus operator's definitions come with its Go module. Strimzi's are made by
its own generator out of its API's classes, both from Maven Central: this API has both versions that the chart knows,
and there is no later generator that Maven would find. But for one thing they are what Strimzi publishes: that v1
requires a ``spec`` and ``operations`` is not in them.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

KINDS = {"PodMonitor", "ServiceMonitor", "PrometheusRule", "KafkaTopic", "KafkaUser"}

PROMETHEUS_OPERATOR = "github.com/prometheus-operator/prometheus-operator@v0.85.0"
PROMETHEUS_OPERATOR_SUM = "h1:M5xLCLEoaW2IJfnuCwFzzpL+jSVQu3KGT84Pye+fW8s="

STRIMZI = {
    "io.strimzi:crd-generator:0.45.0": "f03aab1b83d29bbd340ce484a4bb651faac7685c685865a30351a636da6008ea",
    "io.strimzi:api:0.51.0": "219b54d570c408523f62bffc999041c64ea926afbc784be942290709fbbcde62",
}
"""SHA-256 of each jar."""

JARS = Path(__file__).parents[2] / ".cache" / "strimzi"


class Unfit(Exception):
    """What was fetched is not what is pinned, or cannot be had; the message says why."""


def definitions() -> Iterator[dict[str, Any]]:
    """A CustomResourceDefinition for each kind. Raises Unfit."""
    yield from _of_prometheus()
    yield from _of_strimzi()


def _of_prometheus() -> Iterator[dict[str, Any]]:
    module = json.loads(_output("go", "mod", "download", "-json", PROMETHEUS_OPERATOR))
    if module["Sum"] != PROMETHEUS_OPERATOR_SUM:
        raise Unfit(f"{PROMETHEUS_OPERATOR} has the sum {module['Sum']}")
    for kind in ("podmonitors", "servicemonitors", "prometheusrules"):
        file = Path(module["Dir"], "example", "prometheus-operator-crd", f"monitoring.coreos.com_{kind}.yaml")
        yield yaml.safe_load(file.read_text("utf-8"))


def _of_strimzi() -> Iterator[dict[str, Any]]:
    classpath = ":".join(str(_jar(artifact, sha256)) for artifact, sha256 in STRIMZI.items())
    with tempfile.TemporaryDirectory() as directory:
        files = {name: Path(directory, f"{name}.yaml") for name in ("topic.KafkaTopic", "user.KafkaUser")}
        made = [f"io.strimzi.api.kafka.model.{name}={file}" for name, file in files.items()]
        _output(
            "java", "-XX:TieredStopAtLevel=1", "-cp", classpath, "io.strimzi.crdgenerator.CrdGenerator", "--yaml", *made
        )
        for file in files.values():
            yield yaml.safe_load(file.read_text("utf-8"))


def _jar(artifact: str, sha256: str) -> Path:
    """The file of an artifact, fetched by Maven unless it is there."""
    _, name, version = artifact.split(":")
    file = JARS / f"{name}-{version}.jar"
    if not file.is_file():
        _output(
            "mvn", "--batch-mode", "--quiet", "dependency:copy", f"-Dartifact={artifact}", f"-DoutputDirectory={JARS}"
        )
    if hashlib.sha256(file.read_bytes()).hexdigest() != sha256:
        raise Unfit(f"{file} is not the {artifact} that is pinned; remove it to have it fetched again")
    return file


def _output(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Unfit(f"{' '.join(command)} failed: {(done.stdout + done.stderr).strip()[-500:]}")
    return done.stdout
