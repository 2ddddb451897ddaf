"""The chart on a real API server: it takes every object, and an update rolls under load without a gap or a double."""

from __future__ import annotations

import calendar
import json
import os
import time
import uuid
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from streamer.simulator.plants import SYNTHETIC
from tests.deploy.chart import CHART, MATRIX, VALUES, merged, objects, only
from tests.deploy.cluster import Cluster, Refused, running_cluster
from tests.deploy.node import Node, attended
from tests.support.program import SECRET, STREAM, simulated, wait_for

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}
SPACING_NS = 200_000_000

GOES_ON_S = 15.0
"""The new pods publish for so long before their samples are counted: an update may take only seconds."""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    programs = os.environ.get("STREAMER_KUBERNETES")
    if programs is None:
        pytest.skip("STREAMER_KUBERNETES names no directory with kube-apiserver; .ci/cluster builds it")
    with running_cluster(Path(programs), tmp_path_factory.mktemp("cluster")) as running:
        yield running


@pytest.fixture
def namespace(cluster: Cluster) -> str:
    """One in which only pods of the restricted standard may run."""
    name = f"grid-{uuid.uuid4().hex[:8]}"
    cluster.ask("POST", "/api/v1/namespaces", {"metadata": {"name": name, "labels": RESTRICTED}})
    accounts = f"/api/v1/namespaces/{name}/serviceaccounts"
    wait_for(lambda: bool(cluster.ask("GET", accounts)["items"]))  # its default one is made a moment later
    return name


@pytest.fixture
def node(cluster: Cluster, namespace: str, tmp_path: Path) -> Iterator[Node]:
    with attended(cluster, namespace, tmp_path) as attending:
        yield attending


class Release:
    """The release ``plant`` on the simulator and a Kafka."""

    def __init__(self, cluster: Cluster, namespace: str, values: dict[str, Any]) -> None:
        helm = pytest.importorskip("helm_python")
        self._cluster = cluster
        self._namespace = namespace
        self._values = values
        self._helm = helm.Config(kubeconfig_content=cluster.kubeconfig, namespace=namespace)

    def install(self) -> None:
        self._helm.install(str(CHART), "plant", self._values, namespace=self._namespace)

    def upgrade(self, more: dict[str, Any]) -> None:
        self._values = merged(self._values, more)
        self._helm.upgrade(str(CHART), "plant", self._values, namespace=self._namespace)

    def test(self) -> None:
        self._helm.test("plant", timeout=60)

    def is_rolled_out(self) -> bool:
        """As ``kubectl rollout status`` sees it."""
        path = f"/apis/apps/v1/namespaces/{self._namespace}/deployments/plant-powerp-streamer"
        deployment = self._cluster.ask("GET", path)
        status, wanted = deployment["status"], deployment["spec"]["replicas"]
        counts = [status.get(key, 0) for key in ("replicas", "updatedReplicas", "availableReplicas")]
        return status.get("observedGeneration") == deployment["metadata"]["generation"] and counts == [wanted] * 3

    def pods(self) -> list[dict[str, Any]]:
        return [pod for pod in self._cluster.pods(self._namespace) if "deletionTimestamp" not in pod["metadata"]]


@pytest.fixture
def release(cluster: Cluster, namespace: str, kafka_bootstrap: str) -> Iterator[Release]:
    repository, _, tag = os.environ["STREAMER_IMAGE"].partition(":")
    prefix = f"cluster-{uuid.uuid4().hex[:8]}"
    topics = {topic: f"{prefix}.{topic}" for topic in ("samples", "state", "shards")}
    with simulated() as simulator:
        yield Release(
            cluster,
            namespace,
            {
                "image": {"repository": repository, "tag": tag},
                "credentials": {"source": {"value": SECRET}},
                "replicas": 2,
                "config": {
                    "source": {"base_url": simulator.url, "client_id": "demo"},
                    "streams": [STREAM],
                    "kafka": {"bootstrap_servers": [kafka_bootstrap], "topics": topics},
                },
            },
        )


def rendered(_cluster: Cluster, _namespace: str, name: str) -> list[dict[str, Any]]:
    """Every object of a set of values as the chart makes it for any cluster."""
    return objects(MATRIX[name])


def chosen(cluster: Cluster, namespace: str, name: str) -> list[dict[str, Any]]:
    """The same, as it makes them by what this server has. Helm's dry run asks for that, and sends no object."""
    helm = pytest.importorskip("helm_python")
    with helm.Config(kubeconfig_content=cluster.kubeconfig, namespace=namespace) as config:
        values = merged(VALUES, MATRIX[name])
        planned = config.install(str(CHART), "plant", values, namespace=namespace, dry_run="server")
    return [made for made in yaml.safe_load_all(planned["manifest"]) if made]


MAKERS = pytest.mark.parametrize("maker", [rendered, chosen])
Maker = Callable[[Cluster, str, str], list[dict[str, Any]]]


@MAKERS
@pytest.mark.parametrize("name", MATRIX)
def test_the_server_takes_every_object(cluster: Cluster, namespace: str, name: str, maker: Maker) -> None:
    for made in maker(cluster, namespace, name):
        cluster.make(made, namespace)


@MAKERS
@pytest.mark.parametrize(
    ("name", "kind", "path"),
    [
        ("least", "Deployment", ("spec", "template", "spec", "containers", 0, "readinessProbe")),
        ("pod-monitor", "PodMonitor", ("spec", "podMetricsEndpoints", 0, "interval")),
        ("service-monitor", "ServiceMonitor", ("spec", "endpoints", 0, "interval")),
        ("alerts", "PrometheusRule", ("spec", "groups", 0, "rules", 0, "record")),
        ("strimzi", "KafkaTopic", ("spec", "topicName")),
        ("strimzi", "KafkaUser", ("spec", "authorization", "acls", 0, "resource", "patternType")),
    ],
)
def test_a_misspelt_field_is_refused(
    cluster: Cluster, namespace: str, name: str, kind: str, path: tuple[str | int, ...], maker: Maker
) -> None:
    made = next(made for made in maker(cluster, namespace, name) if made["kind"] == kind)
    holder: Any = made
    for step in path[:-1]:
        holder = holder[step]
    holder[f"{path[-1]}s"] = holder.pop(path[-1])
    with pytest.raises(Refused, match=f"unknown field .*{path[-1]}s"):
        cluster.make(made, namespace)


def test_strimzis_newest_version_is_used_where_the_server_has_it(cluster: Cluster, namespace: str) -> None:
    versions = [only(maker(cluster, namespace, "strimzi"), "KafkaUser")["apiVersion"] for maker in (rendered, chosen)]
    assert versions == ["kafka.strimzi.io/v1beta2", "kafka.strimzi.io/v1"]


def test_an_update_rolls_under_load_without_a_gap_or_a_double(release: Release, node: Node) -> None:
    release.install()
    wait_for(release.is_rolled_out, 90)
    release.test()
    before = {pod["metadata"]["uid"] for pod in release.pods()}
    node.watch_readiness()
    release.upgrade({"config": {"streams": [STREAM | {"overlap": "4s"}]}})
    wait_for(release.is_rolled_out, 120)
    after = [pod for pod in release.pods() if pod["status"]["phase"] == "Running"]  # the test's has come to its end
    assert before.isdisjoint(pod["metadata"]["uid"] for pod in after)
    assert node.least_ready is not None
    assert node.least_ready >= 2
    time.sleep(GOES_ON_S)
    assert_complete(node, after[0])


def instant_ns(text: str) -> int:
    whole, _, fraction = text.rstrip("Z").partition(".")
    seconds = calendar.timegm(time.strptime(whole, "%Y-%m-%dT%H:%M:%S"))
    return seconds * 1_000_000_000 + int(fraction.ljust(9, "0"))


def assert_complete(node: Node, pod: dict[str, Any]) -> None:
    """Every signal's samples follow each other at their distance, each once, as a new reader finds them."""
    command = ["tail", "--from-beginning", "--config", "/etc/streamer/streamer.yaml"]
    events = [json.loads(line)["value"] for line in node.execute(pod, command)]
    assert {event["database_id"] for event in events} == {SYNTHETIC}
    for index in {event["index"] for event in events}:
        instants = sorted(instant_ns(event["timestamp"]) for event in events if event["index"] == index)
        assert len(instants) > 100
        assert {later - earlier for earlier, later in pairwise(instants)} == {SPACING_NS}


def test_a_pod_that_cannot_use_its_configuration_leaves_the_old_ones_at_work(release: Release, node: Node) -> None:
    release.install()
    wait_for(release.is_rolled_out, 90)
    node.watch_readiness()
    release.upgrade({"extraEnv": [{"name": "STREAMER_BUS__SHARDS", "value": "four"}]})

    def ended() -> list[dict[str, Any]]:
        states = [pod["status"].get("containerStatuses", [{}])[0].get("state", {}) for pod in release.pods()]
        return [state["terminated"] for state in states if "terminated" in state]

    wait_for(lambda: bool(ended()), 60)
    (terminated,) = ended()
    assert terminated["exitCode"] == 78
    assert terminated["message"].splitlines()[-1].startswith("The configuration cannot be used: bus.shards: must be")
    assert node.least_ready == 2
