"""A node in place of a kubelet: it binds every pod to itself, runs its one container by Podman and says how it is.

Pods share the machine's network, so each is given a port of its own through the environment.
"""

from __future__ import annotations

import base64
import http.client
import math
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tests.deploy.cluster import Cluster, Refused
from tests.support.kafka_broker import free_port

NODE = "node-1"
LOOKED_EVERY_S = 0.3
POD_ADDRESS = "10.244.1.7"
"""What a kubelet would call a pod by."""


class Node:
    """What runs the pods of a namespace, as a loop in a thread of its own."""

    def __init__(self, cluster: Cluster, namespace: str, directory: Path) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._directory = directory
        self._ports: dict[str, int] = {}
        self._probed: dict[str, tuple[int, float]] = {}  # failures in a row, and when it was asked
        self._stopping = threading.Event()
        self.least_ready: int | None = None
        self.failure: BaseException | None = None

    def watch_readiness(self) -> None:
        """Note from now on how few pods were ready at any moment."""
        self.least_ready = None

    def run(self) -> None:
        try:
            while not self._stopping.wait(LOOKED_EVERY_S):
                pods = self._cluster.pods(self._namespace)
                ready = sum(self._attend(pod) for pod in pods)
                self.least_ready = ready if self.least_ready is None else min(ready, self.least_ready)
        except BaseException as exc:  # noqa: BLE001  # the test's thread raises it
            self.failure = exc
        finally:
            for uid in self._ports:
                _podman("rm", "--force", "--time", "0", uid)

    def stop(self) -> None:
        self._stopping.set()

    def log(self, pod: dict[str, Any]) -> list[str]:
        return _podman("logs", pod["metadata"]["uid"]).stderr.splitlines()

    def execute(self, pod: dict[str, Any], command: list[str]) -> list[str]:
        """The lines that the program writes when it is run once more in a pod."""
        done = _podman("exec", pod["metadata"]["uid"], "streamer", *command)
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    def _attend(self, pod: dict[str, Any]) -> bool:
        """Bring one pod a step further; whether it is ready."""
        uid = pod["metadata"]["uid"]
        if "deletionTimestamp" in pod["metadata"]:
            self._end(pod)
            return False
        if uid not in self._ports:
            self._start(pod)
            return False
        state = _podman("inspect", "--format", "{{.State.Running}} {{.State.ExitCode}}", uid).stdout.split()
        if state[0] == "true":
            is_ready = self._is_ready(pod)
            self._report(pod, "Running", is_ready, {"running": {}})
            return is_ready
        ended = {"terminated": {"exitCode": int(state[1]), "message": self._message(pod, int(state[1]))}}
        if pod["spec"]["restartPolicy"] == "Never":
            self._report(pod, "Succeeded" if state[1] == "0" else "Failed", False, ended)
        else:
            self._report(pod, "Running", False, ended)
        return False

    def _start(self, pod: dict[str, Any]) -> None:
        metadata, (container,) = pod["metadata"], pod["spec"]["containers"]
        uid = metadata["uid"]
        target = {"apiVersion": "v1", "kind": "Node", "name": NODE}
        with suppress(Refused):  # bound already
            path = f"/api/v1/namespaces/{self._namespace}/pods/{metadata['name']}/binding"
            self._cluster.ask("POST", path, {"metadata": {"name": metadata["name"]}, "target": target})
        sources = {volume["name"]: self._volume(uid, volume) for volume in pod["spec"]["volumes"]}
        mounts = [f"{sources[mount['name']]}:{mount['mountPath']}:ro" for mount in container["volumeMounts"]]
        environment = {entry["name"]: entry["value"] for entry in container.get("env", [])}
        environment["STREAMER_STATUS__PORT"] = str(free_port())
        self._ports[uid] = int(environment["STREAMER_STATUS__PORT"])
        context = pod["spec"]["securityContext"]
        began = _podman(
            *("run", "--detach", "--name", uid, "--network", "host", "--health-interval", "disable"),
            *("--read-only", "--read-only-tmpfs=false", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"),
            *("--user", f"{context['runAsUser']}:{context['runAsGroup']}"),
            *(word for mount in mounts for word in ("--volume", mount)),
            *(word for key, value in environment.items() for word in ("--env", f"{key}={value}")),
            container["image"],
            *container["args"],
        )
        assert began.returncode == 0, began.stderr

    def _volume(self, uid: str, volume: dict[str, Any]) -> Path:
        """A directory with the keys of a ConfigMap or a Secret as files, which the pod's group may read."""
        directory = self._directory.joinpath(uid, str(volume["name"]))
        directory.mkdir(parents=True)
        if "configMap" in volume:
            held = self._cluster.ask(
                "GET", f"/api/v1/namespaces/{self._namespace}/configmaps/{volume['configMap']['name']}"
            )
            files = {key: text.encode() for key, text in held["data"].items()}
        else:
            held = self._cluster.ask(
                "GET", f"/api/v1/namespaces/{self._namespace}/secrets/{volume['secret']['secretName']}"
            )
            files = {key: base64.b64decode(text) for key, text in held["data"].items()}
        for key, content in files.items():
            (directory / key).write_bytes(content)
        return directory

    def _end(self, pod: dict[str, Any]) -> None:
        metadata = pod["metadata"]
        if metadata["uid"] in self._ports:
            _podman("stop", "--time", str(pod["spec"]["terminationGracePeriodSeconds"]), metadata["uid"])
        with suppress(Refused):
            path = f"/api/v1/namespaces/{self._namespace}/pods/{metadata['name']}"
            self._cluster.ask("DELETE", path, {"gracePeriodSeconds": 0})

    def _report(self, pod: dict[str, Any], phase: str, is_ready: bool, state: dict[str, Any]) -> None:
        (container,) = pod["spec"]["containers"]
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        status = {
            "name": container["name"],
            "image": container["image"],
            "imageID": "",
            "ready": is_ready,
            "restartCount": 0,
            "state": state,
        }
        kinds = ("PodScheduled", "Initialized", "ContainersReady", "Ready")
        truths = {"ContainersReady": is_ready, "Ready": is_ready}
        conditions = [
            {"type": kind, "status": str(truths.get(kind, True)), "lastTransitionTime": now} for kind in kinds
        ]
        body = {"status": {"phase": phase, "conditions": conditions, "containerStatuses": [status]}}
        with suppress(Refused):  # gone meanwhile
            path = f"/api/v1/namespaces/{self._namespace}/pods/{pod['metadata']['name']}/status"
            self._cluster.ask("PATCH", path, body)

    def _message(self, pod: dict[str, Any], code: int) -> str:
        """The termination message of a container that writes none itself."""
        (container,) = pod["spec"]["containers"]
        is_log = code != 0 and container["terminationMessagePolicy"] == "FallbackToLogsOnError"
        return "\n".join(self.log(pod))[-2048:] if is_log else ""

    def _is_ready(self, pod: dict[str, Any]) -> bool:
        """As a kubelet has it: the probe asks once a period, and a pod is ready until it fails too often in a row."""
        (container,) = pod["spec"]["containers"]
        if "readinessProbe" not in container:
            return True
        uid, probe = pod["metadata"]["uid"], container["readinessProbe"]
        failures, asked_s = self._probed.get(uid, (probe["failureThreshold"], -math.inf))
        if time.monotonic() >= asked_s + probe["periodSeconds"]:
            failures = 0 if self._answers(self._ports[uid], probe["httpGet"]["path"]) else failures + 1
            self._probed[uid] = failures, time.monotonic()
        return bool(failures < probe["failureThreshold"])

    def _answers(self, port: int, path: str) -> bool:
        """Whether a probe succeeds: under the pod's address, as a kubelet asks."""
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
        try:
            headers = {"Host": f"{POD_ADDRESS}:{port}", "User-Agent": "kube-probe/1.35"}
            connection.request("GET", path, headers=headers)
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()


def _podman(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["podman", "--log-level", "fatal", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


@contextmanager
def attended(cluster: Cluster, namespace: str, directory: Path) -> Iterator[Node]:
    """A node that runs as long as the context; what went wrong in it is raised at the end."""
    node = Node(cluster, namespace, directory)
    thread = threading.Thread(target=node.run)
    thread.start()
    try:
        yield node
    finally:
        node.stop()
        thread.join()
    if node.failure is not None:
        raise node.failure
