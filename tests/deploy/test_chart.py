"""The chart: its values in every combination make what a cluster takes; wrong ones are refused with their path."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from helm.dashboard import dashboard
from streamer.bus.kafka_topics import shapes
from streamer.config import load_settings
from tests.deploy.chart import CHART, MATRIX, SCRAM, STREAM, VALUES, kinds, merged, objects, only, templates
from tests.deploy.operators import KINDS
from tests.support.documented_rights import documented_rights

pytestmark = pytest.mark.chart

RESOURCES = {"topic": "topic", "transactional id": "transactionalId", "group": "group"}
"""What Strimzi calls a resource, by what the documentation calls it."""

KUBERNETES = "1.35"
SQLITE = MATRIX["sqlite"]


def pods(made: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The specification of the daemon's pods and of the test's."""
    deployment, check = only(made, "Deployment"), only(made, "Pod")
    return [deployment["spec"]["template"]["spec"], check["spec"]]


def configuration(more: dict[str, Any]) -> dict[str, Any]:
    text = only(objects(more), "ConfigMap", "plant-powerp-streamer")["data"]["streamer.yaml"]
    return dict(yaml.safe_load(text))


def refusal(more: dict[str, Any]) -> str:
    """What Helm says about values that it refuses."""
    helm = pytest.importorskip("helm_python")
    with pytest.raises(helm.HelmError) as caught:
        templates(more)
    return str(caught.value)


def of_stream(**keys: Any) -> dict[str, Any]:
    return {"config": {"streams": [STREAM | keys]}}


@pytest.mark.parametrize("name", MATRIX)
def test_lint_has_no_complaint(name: str) -> None:
    helm = pytest.importorskip("helm_python")
    report = helm.lint(str(CHART), merged(VALUES, MATRIX[name]), strict=True)
    assert [message for message in report["messages"] if message["severity"] > 1] == []
    assert report["errors"] == []


@pytest.mark.parametrize("name", MATRIX)
def test_every_object_is_as_kubernetes_wants_it(name: str) -> None:
    validator = pytest.importorskip("kubernetes_validate")
    for made in objects(MATRIX[name]):
        if made["kind"] not in KINDS:
            validator.validate(made, KUBERNETES, strict=True)


@pytest.mark.parametrize("name", MATRIX)
def test_every_pod_keeps_the_restricted_standard(name: str) -> None:
    for pod in pods(objects(MATRIX[name])):
        assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()
        assert (pod["securityContext"]["runAsNonRoot"], pod["securityContext"]["runAsUser"]) == (True, 65532)
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert {kind for volume in pod["volumes"] for kind in volume.keys() - {"name"}} <= {
            *("configMap", "secret", "persistentVolumeClaim")
        }
        for container in pod["containers"]:
            context = container["securityContext"]
            assert context["capabilities"] == {"drop": ["ALL"]}
            assert (context["allowPrivilegeEscalation"], context["readOnlyRootFilesystem"]) == (False, True)
            assert "hostPort" not in container.get("ports", [{}])[0]


@pytest.mark.parametrize("name", MATRIX)
def test_no_pod_gets_a_token_or_a_neighbours_address(name: str) -> None:
    made = objects(MATRIX[name])
    assert {(pod["automountServiceAccountToken"], pod["enableServiceLinks"]) for pod in pods(made)} == {(False, False)}
    assert not [one for one in made if one["kind"] == "ServiceAccount" and one["automountServiceAccountToken"]]


@pytest.mark.parametrize("name", MATRIX)
def test_the_program_takes_the_configuration_that_the_chart_writes(name: str, tmp_path: Any) -> None:
    file = tmp_path / "streamer.yaml"
    file.write_text(yaml.safe_dump(configuration(MATRIX[name])), "utf-8")
    settings = load_settings(file, {})
    assert (settings.status.host, settings.status.allow_remote) == ("0.0.0.0", True)
    assert str(settings.source.client_secret_file) == "/run/secrets/source/client-secret"


@pytest.mark.parametrize("name", MATRIX)
def test_selectors_find_the_daemons_pods_and_not_that_of_the_test(name: str) -> None:
    made = objects(MATRIX[name])
    deployment, check = only(made, "Deployment"), only(made, "Pod")
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    selectors = [
        deployment["spec"]["selector"]["matchLabels"],
        only(made, "Service")["spec"]["selector"],
        *(
            one["spec"]["selector"]["matchLabels"]
            for one in made
            if one["kind"] in ("PodDisruptionBudget", "PodMonitor")
        ),
    ]
    for selector in selectors:
        assert selector.items() <= labels.items()
        assert not selector.items() <= check["metadata"]["labels"].items()
    for policy in (one for one in made if one["kind"] == "NetworkPolicy"):
        for kept in (labels, check["metadata"]["labels"]):
            assert policy["spec"]["podSelector"]["matchLabels"].items() <= kept.items()
    for monitor in (one for one in made if one["kind"] == "ServiceMonitor"):
        service = only(made, "Service")["metadata"]["labels"]
        assert monitor["spec"]["selector"]["matchLabels"].items() <= service.items()


@pytest.mark.parametrize("name", MATRIX)
def test_every_volume_is_mounted_and_every_mount_has_its_volume(name: str) -> None:
    for pod in pods(objects(MATRIX[name])):
        mounts = {mount["name"] for container in pod["containers"] for mount in container["volumeMounts"]}
        assert mounts == {volume["name"] for volume in pod["volumes"]}


def test_on_kafka_the_new_pod_is_ready_before_the_old_one_ends() -> None:
    strategy = only(objects(), "Deployment")["spec"]["strategy"]
    assert strategy == {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}


def test_on_sqlite_the_old_pod_ends_first_and_the_file_is_on_a_volume_that_stays() -> None:
    made = objects(SQLITE)
    claim = only(made, "PersistentVolumeClaim")
    assert only(made, "Deployment")["spec"]["strategy"] == {"type": "Recreate"}
    assert claim["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
    (container,) = only(made, "Deployment")["spec"]["template"]["spec"]["containers"]
    assert {"name": "data", "mountPath": "/var/lib/streamer"} in container["volumeMounts"]
    assert configuration(SQLITE)["bus"]["path"] == "/var/lib/streamer/streamer.db"


def test_a_claim_that_exists_is_used() -> None:
    made = objects(MATRIX["sqlite-claim"])
    assert "PersistentVolumeClaim" not in {one["kind"] for one in made}
    volumes = only(made, "Deployment")["spec"]["template"]["spec"]["volumes"]
    assert {"name": "data", "persistentVolumeClaim": {"claimName": "data"}} in volumes


def test_another_configuration_makes_new_pods_and_the_same_one_does_not() -> None:
    def stamp(more: dict[str, Any]) -> str:
        annotations = only(objects(more), "Deployment")["spec"]["template"]["metadata"]["annotations"]
        return str(annotations["checksum/config"])

    assert stamp({}) == stamp({"podDisruptionBudget": {"enabled": False}})
    assert stamp({}) != stamp(of_stream(overlap="4s"))


def test_no_secret_is_anywhere_but_in_its_secret() -> None:
    made = objects(MATRIX["made-secrets"])
    assert only(made, "Secret", "-source")["data"] == {"client-secret": "c2VzYW1l"}
    assert only(made, "Secret", "-kafka")["data"] == {"password": "bWVsbG9u"}
    others = yaml.safe_dump([one for one in made if one["kind"] != "Secret"])
    assert not any(text in others for text in ("sesame", "c2VzYW1l", "mellon", "bWVsbG9u"))


def test_secrets_are_mounted_whole_so_that_the_program_tells_which_key_is_missing() -> None:
    volumes = only(objects(MATRIX["scram"]), "Deployment")["spec"]["template"]["spec"]["volumes"]
    secrets = {volume["name"]: volume["secret"] for volume in volumes if "secret" in volume}
    assert secrets == {
        "source": {"secretName": "powerp", "defaultMode": 0o440},
        "kafka": {"secretName": "kafka", "defaultMode": 0o440},
    }
    assert configuration(MATRIX["scram"])["kafka"]["sasl_password_file"] == "/run/secrets/kafka/password"


def test_probes_ask_the_process_whether_it_lives_and_the_shards_whether_it_is_ready() -> None:
    (container,) = only(objects(), "Deployment")["spec"]["template"]["spec"]["containers"]
    paths = {kind: container[f"{kind}Probe"]["httpGet"] for kind in ("startup", "liveness", "readiness")}
    assert paths == {
        "startup": {"path": "/livez", "port": "status"},
        "liveness": {"path": "/livez", "port": "status"},
        "readiness": {"path": "/readyz", "port": "status"},
    }
    assert {"name": "status", "containerPort": 8080} in container["ports"]


def test_why_a_pod_ended_is_in_its_termination_message() -> None:
    for pod in pods(objects()):
        assert [container["terminationMessagePolicy"] for container in pod["containers"]] == ["FallbackToLogsOnError"]


def test_helm_test_runs_streamer_check_as_the_daemon_would_run() -> None:
    made = objects(MATRIX["scram"])
    check = only(made, "Pod")
    (tried,), (daemon,) = (
        check["spec"]["containers"],
        only(made, "Deployment")["spec"]["template"]["spec"]["containers"],
    )
    assert check["metadata"]["annotations"]["helm.sh/hook"] == "test"
    assert tried["args"] == ["check", "--config", "/etc/streamer/streamer.yaml"]
    assert daemon["args"] == ["run", "--config", "/etc/streamer/streamer.yaml"]
    for key in ("image", "volumeMounts", "securityContext"):
        assert tried[key] == daemon[key]


def test_nobody_reaches_a_pod_unless_named_and_it_reaches_only_the_ports_it_needs() -> None:
    policy = only(objects(), "NetworkPolicy")["spec"]
    assert policy["ingress"] == []
    assert [port["port"] for rule in policy["egress"] for port in rule["ports"]] == [53, 53, 443, 9092, 9093]
    let_in = only(objects(MATRIX["pod-monitor"]), "NetworkPolicy")["spec"]["ingress"]
    assert [port["port"] for rule in let_in for port in rule["ports"]] == [8080]


@pytest.mark.parametrize(
    ("base_url", "port"), [("https://t.example/", 443), ("http://t.example/", 80), ("https://t.example:8443/api", 8443)]
)
def test_the_apis_port_is_that_of_its_url(base_url: str, port: int) -> None:
    more = merged(SQLITE, {"config": {"source": {"base_url": base_url, "allow_insecure_http": True}}})
    assert only(objects(more), "NetworkPolicy")["spec"]["egress"][1]["ports"] == [{"port": port, "protocol": "TCP"}]


def test_optional_objects_are_made_only_when_asked_for() -> None:
    always = {"ConfigMap", "Deployment", "Pod", "Service"}
    assert kinds(MATRIX["nothing-optional"]) == always
    assert kinds() == always | {"NetworkPolicy", "PodDisruptionBudget", "ServiceAccount"}
    assert kinds(MATRIX["pod-monitor"]) - kinds() == {"PodMonitor"}
    assert kinds(MATRIX["service-monitor"]) - kinds() == {"ServiceMonitor"}
    assert kinds(MATRIX["alerts"]) - kinds() == {"PrometheusRule"}
    assert kinds(MATRIX["autoscaling"]) - kinds() == {"HorizontalPodAutoscaler"}
    assert kinds(MATRIX["strimzi"]) - kinds() == {"KafkaTopic", "KafkaUser"}


def test_alerts_are_those_of_the_file_and_link_to_the_runbook_that_was_named() -> None:
    (rule,) = (one for one in objects(MATRIX["alerts"]) if one["kind"] == "PrometheusRule")
    text = (CHART / "files" / "rules.yaml").read_text("utf-8")
    assert rule["spec"] == yaml.safe_load(text.replace("docs/runbook.md", "https://wiki.example/runbook"))
    assert "https://wiki.example/runbook#streamerdown" in yaml.safe_dump(rule)
    assert rule["metadata"]["labels"]["release"] == "prometheus"


def test_the_dashboard_is_the_generated_one_where_grafanas_sidecar_looks_for_it() -> None:
    made = only(objects(MATRIX["dashboard"]), "ConfigMap", "-dashboard")
    assert made["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert json.loads(made["data"]["powerp-streamer.json"]) == dashboard()


def test_replicas_are_left_to_the_autoscaler_when_there_is_one() -> None:
    assert "replicas" not in only(objects(MATRIX["autoscaling"]), "Deployment")["spec"]
    assert only(objects(MATRIX["replicas"]), "Deployment")["spec"]["replicas"] == 3


@pytest.mark.parametrize(("shards", "partitions"), [(4, 12), (5, 15), (12, 12), (16, 16), (1, 12)])
def test_strimzis_topics_are_those_that_the_program_would_make(shards: int, partitions: int) -> None:
    made = objects(merged(MATRIX["strimzi"], {"config": {"bus": {"shards": shards}}}))
    topics = {one["spec"]["topicName"]: one["spec"] for one in made if one["kind"] == "KafkaTopic"}
    wanted = {f"powerp.{topic}": shape for topic, shape in shapes(shards, partitions).items()}
    assert {name: (topic["partitions"], topic["config"]) for name, topic in topics.items()} == {
        name: (shape.partitions, shape.configuration) for name, shape in wanted.items()
    }


def test_strimzis_user_has_the_rights_of_the_documentation_and_its_password_is_used() -> None:
    made = objects(MATRIX["strimzi"])
    user = only(made, "KafkaUser")
    rights = {
        (acl["resource"]["type"], acl["resource"]["name"], acl["resource"]["patternType"]): set(acl["operations"])
        for acl in user["spec"]["authorization"]["acls"]
    }
    documented: dict[tuple[str, str, str], set[str]] = {}
    for right in documented_rights():
        if right.operation != "Alter":  # nobody reshards from a pod
            pattern = "prefix" if right.name.endswith("*") else "literal"
            resource = RESOURCES[right.resource], right.name.removesuffix("*"), pattern
            documented.setdefault(resource, {"Describe"}).add(right.operation)
    assert rights == documented
    volumes = only(made, "Deployment")["spec"]["template"]["spec"]["volumes"]
    assert user["metadata"]["name"] in [volume["secret"]["secretName"] for volume in volumes if "secret" in volume]
    assert configuration(MATRIX["strimzi"])["kafka"]["sasl_username"] == user["metadata"]["name"]


def test_strimzis_objects_follow_names_that_the_configuration_gives() -> None:
    made = objects(merged(MATRIX["strimzi"], {"config": {"kafka": {"topics": {"state": "grid.state"}}}}))
    assert only(made, "KafkaTopic", "-state")["spec"]["topicName"] == "grid.state"
    named = {acl["resource"]["name"] for acl in only(made, "KafkaUser")["spec"]["authorization"]["acls"]}
    assert {"grid.state", "grid.state-", "grid.state.owners"} <= named
    assert not [name for name in named if name.startswith("powerp.state")]


@pytest.mark.parametrize(
    ("more", "path"),
    [
        (of_stream(overlap="3 s"), "/config/streams/0/overlap"),
        (of_stream(overlap=3), "/config/streams/0/overlap"),
        (of_stream(lookback=["15s", "2x"]), "/config/streams/0/lookback/1"),
        (of_stream(overlp="3s"), "/config/streams/0': additional properties 'overlp'"),
        (of_stream(start="yesterday"), "/config/streams/0/start"),
        ({"config": {"streams": []}}, "/config/streams"),
        ({"config": {"source": {"client_secret": "x"}}}, "/config/source': additional properties 'client_secret'"),
        ({"config": {"source": {"base_url": "tenant.example"}}}, "/config/source/base_url"),
        ({"config": {"source": {"client_id": ""}}}, "/config/source/client_id"),
        ({"config": {"bus": {"shards": "four"}}}, "/config/bus/shards"),
        ({"config": {"bus": {"ledger_memory": "many"}}}, "/config/bus/ledger_memory"),
        ({"config": {"kafka": {"bootstrap_servers": ["kafka"]}}}, "/config/kafka/bootstrap_servers/0"),
        ({"config": {"kafka": {"bootstrap_servers": None}}}, "/config/kafka"),
        ({"config": {"kafka": {"topics": {"samples": "a b"}}}}, "/config/kafka/topics/samples"),
        ({"config": {"stream": []}}, "/config': additional properties 'stream'"),
        ({"replica": 2}, "additional properties 'replica'"),
        ({"replicas": 0}, "/replicas"),
        ({"monitor": {"kind": "Probe"}}, "/monitor/kind"),
        ({"prometheusRule": {"runbook": ""}}, "/prometheusRule/runbook"),
        ({"dashboard": {"enable": True}}, "/dashboard': additional properties 'enable'"),
        ({"image": {"digest": "latest"}}, "/image/digest"),
        ({"replicas": 5}, "replicas: 5 pods share 4 shards"),
        ({"autoscaling": {"enabled": True, "maxReplicas": 9}}, "autoscaling.maxReplicas: 9 pods share 4 shards"),
        ({"autoscaling": {"enabled": True, "minReplicas": 4, "maxReplicas": 2}}, "autoscaling.minReplicas"),
        (merged(SQLITE, {"replicas": 2}), "replicas: with config.bus.kind sqlite one pod"),
        (merged(SQLITE, MATRIX["autoscaling"]), "with config.bus.kind sqlite one pod"),
        ({"credentials": {"source": {"existingSecret": ""}}}, "credentials.source: set one of"),
        ({"credentials": {"source": {"value": "x"}}}, "credentials.source: set one of"),
        ({"config": {"kafka": SCRAM}}, "credentials.kafka: config.kafka.security_protocol SASL_SSL needs"),
        (merged(MATRIX["strimzi"], {"config": {"kafka": {"sasl_mechanism": "PLAIN"}}}), "config.kafka.sasl_mechanism"),
        (merged(SQLITE, {"strimzi": {"enabled": True, "cluster": "plant"}}), "strimzi.enabled"),
        ({"strimzi": {"enabled": True}}, "strimzi.cluster"),
    ],
)
def test_a_wrong_value_is_refused_with_its_path(more: dict[str, Any], path: str) -> None:
    assert path in refusal(more)


def test_the_notes_say_what_comes_next() -> None:
    notes = templates()["NOTES.txt"]
    assert "kubectl -n grid rollout status deployment/plant-powerp-streamer" in notes
    assert "helm test plant -n grid" in notes


def test_the_notes_warn_of_a_prometheus_that_is_kept_out() -> None:
    assert "networkPolicy.ingressFrom" in templates(MATRIX["service-monitor"])["NOTES.txt"]
    assert "networkPolicy.ingressFrom" not in templates(MATRIX["pod-monitor"])["NOTES.txt"]
