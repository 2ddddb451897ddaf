"""A Kubernetes API server with its controllers on loopback: what installs, validates and rolls is real.

There is no kubelet: ``node.py`` runs the pods.
"""

from __future__ import annotations

import json
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.client import HTTPSConnection
from pathlib import Path
from typing import Any

import yaml

from tests.deploy.operators import definitions
from tests.support.kafka_broker import free_port
from tests.support.program import wait_for

TOKEN = "sesame"
STARTED_WITHIN_S = 90.0


class Refused(Exception):
    """The API server refuses a request."""


@dataclass(frozen=True)
class Cluster:
    """An API server that answers at a port of this machine."""

    port: int

    @property
    def kubeconfig(self) -> str:
        cluster = {"server": f"https://127.0.0.1:{self.port}", "insecure-skip-tls-verify": True}
        return yaml.safe_dump(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": "local", "cluster": cluster}],
                "users": [{"name": "admin", "user": {"token": TOKEN}}],
                "contexts": [{"name": "local", "context": {"cluster": "local", "user": "admin"}}],
                "current-context": "local",
            }
        )

    def ask(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        """The answer to a request; a PATCH is a merge patch."""
        kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
        connection = HTTPSConnection("127.0.0.1", self.port, timeout=30, context=ssl._create_unverified_context())
        try:
            headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": kind}
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            text = answer.read().decode()
        finally:
            connection.close()
        if answer.status >= 400:
            raise Refused(f"{method} {path}: {answer.status} {text}")
        return dict(json.loads(text)) if text.startswith("{") else {"text": text}

    def pods(self, namespace: str) -> list[dict[str, Any]]:
        return list(self.ask("GET", f"/api/v1/namespaces/{namespace}/pods")["items"])

    def is_ready(self) -> bool:
        try:
            return bool(self.ask("GET", "/readyz")["text"] == "ok")
        except (OSError, Refused):
            return False

    def make(self, made: dict[str, Any], namespace: str) -> None:
        """Make an object, in this namespace whatever it says. A field that its kind does not know is Refused."""
        inside = made | {"metadata": made["metadata"] | {"namespace": namespace}}
        plural = self._kinds(made["apiVersion"])[made["kind"]]
        path = f"{_root(made['apiVersion'])}/namespaces/{namespace}/{plural}"
        self.ask("POST", f"{path}?fieldValidation=Strict", inside)

    def define(self, definition: dict[str, Any]) -> None:
        """Have the server know an operator's kind, as the operator defines it."""
        self.ask("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", definition)

    def serves(self, definition: dict[str, Any]) -> bool:
        """Whether a kind that was defined can be used, in each of its versions."""
        specification = definition["spec"]
        versions = [version["name"] for version in specification["versions"] if version["served"]]
        served = (f"{specification['group']}/{version}" for version in versions)
        try:
            return all(specification["names"]["kind"] in self._kinds(api_version) for api_version in served)
        except Refused:
            return False

    def _kinds(self, api_version: str) -> dict[str, str]:
        """What paths call the kinds of a group's version."""
        resources = self.ask("GET", _root(api_version))["resources"]
        return {resource["kind"]: resource["name"] for resource in resources if "/" not in resource["name"]}


def _root(api_version: str) -> str:
    return f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"


@contextmanager
def running_cluster(programs: Path, directory: Path) -> Iterator[Cluster]:
    """A cluster that runs as long as the context, its data and logs in the directory."""
    etcd, peers, api = free_port(), free_port(), free_port()
    key = directory / "accounts.key"
    subprocess.run(["openssl", "genrsa", "-out", str(key), "2048"], check=True, capture_output=True)
    (directory / "tokens.csv").write_text(f"{TOKEN},admin,1,system:masters\n")
    cluster = Cluster(api)
    (directory / "kubeconfig").write_text(cluster.kubeconfig)
    store = f"http://127.0.0.1:{etcd}"
    commands = [
        [
            *(
                "etcd",
                "--data-dir",
                directory / "etcd",
                "--listen-client-urls",
                store,
                "--advertise-client-urls",
                store,
            ),
            *("--listen-peer-urls", f"http://127.0.0.1:{peers}"),
        ],
        [
            *(
                programs / "kube-apiserver",
                "--etcd-servers",
                store,
                "--secure-port",
                api,
                "--bind-address",
                "127.0.0.1",
            ),
            *("--advertise-address", "127.0.0.1", "--cert-dir", directory / "certificates"),
            *("--service-cluster-ip-range", "10.99.0.0/16", "--authorization-mode", "RBAC"),
            *("--service-account-issuer", "https://kubernetes.default.svc", "--service-account-key-file", key),
            *("--service-account-signing-key-file", key, "--token-auth-file", directory / "tokens.csv"),
        ],
        [
            *(programs / "kube-controller-manager", "--kubeconfig", directory / "kubeconfig", "--secure-port", 0),
            *(
                "--leader-elect=false",
                "--controllers=deployment-controller,replicaset-controller,disruption-controller,serviceaccount-controller",
            ),
        ],
    ]
    with ExitStack() as stack:
        for command in commands:
            log = stack.enter_context((directory / f"{Path(str(command[0])).name}.log").open("wb"))
            process = subprocess.Popen([str(word) for word in command], stdout=log, stderr=log)
            stack.callback(process.wait)
            stack.callback(process.kill)
        wait_for(cluster.is_ready, STARTED_WITHIN_S)
        defined = list(definitions())
        for definition in defined:
            cluster.define(definition)
        wait_for(lambda: all(map(cluster.serves, defined)), STARTED_WITHIN_S)
        yield cluster
