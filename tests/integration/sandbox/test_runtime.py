"""The process runtime on a sandbox: pods as a kubelet runs them, and what happens when things go wrong.

The stack (database, Data Index, Job Service, Hub) is applied by hand, so that no operator is needed.
"""

from __future__ import annotations

import base64
import functools
import json
import os
import signal
import time
import typing as t
from pathlib import Path

import pytest

from sandbox.paths import Instance
from sandbox.runtime import process
from tests.toolkit.cluster import Cluster, Object

pytestmark = pytest.mark.sandbox("any")

NAMESPACE = "runtime-test"
STACK = Path(__file__).with_name("stack.yaml")


class Stack(Cluster):
    """The stack's namespace."""

    def kubectl(self, *arguments: str, given: str | None = None, check: bool = True) -> str:
        """Run kubectl in the test's namespace and return what it printed."""
        return super().kubectl("-n", NAMESPACE, *arguments, given=given, check=check)

    def pod(self, app: str) -> Object:
        """Return the newest pod of an application that is not being deleted."""
        found = [pod for pod in self.all("Pod", NAMESPACE, f"app={app}") if "deletionTimestamp" not in pod["metadata"]]
        return max(found, key=lambda pod: pod["metadata"]["creationTimestamp"], default={})

    def container(self, app: str) -> Object:
        """Return the status of the first container of that pod."""
        return t.cast(Object, (self.pod(app).get("status", {}).get("containerStatuses") or [{}])[0])

    def proxy(self, path: str, body: object = None) -> Object:
        """Ask a service through the API server."""
        url = f"/api/v1/namespaces/{NAMESPACE}/services/{path.replace('/', ':80/proxy/', 1)}"
        return t.cast(Object, self.api.request("GET" if body is None else "POST", url, body))

    def wait(self, what: str, test: t.Callable[[], object], seconds: float = 120) -> None:
        """Wait until the test is true."""
        deadline = time.monotonic() + seconds
        while not test():
            pods = "" if time.monotonic() < deadline else self.kubectl("get", "pods", "-o", "wide")
            assert time.monotonic() < deadline, f"not within {seconds} s: {what}\n{pods}"
            time.sleep(0.3)

    def wait_ready(self, *apps: str) -> None:
        """Wait until the newest pod of each application is ready."""
        for app in apps:
            self.wait(f"{app} is ready", functools.partial(self._is_ready, app))

    def _is_ready(self, app: str) -> bool:
        return bool(self.container(app).get("ready"))

    def runtime_pid(self) -> int:
        """Return the process id of this sandbox's runtime."""
        mark = f"SANDBOX_INSTANCE={self.instance.name}".encode()
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    command = (entry / "cmdline").read_bytes()
                    if b"\0sandbox.runtime\0" in command and mark in (entry / "environ").read_bytes().split(b"\0"):
                        return int(entry.name)
                except OSError:
                    continue
        raise AssertionError("the runtime does not run")

    def processes(self) -> list[str]:
        """Return the work directories of this namespace that have a process."""
        mark = f"{process.MARK}={self.instance.pods}/{NAMESPACE}_".encode()
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    variables = (entry / "environ").read_bytes().split(b"\0")
                except OSError:
                    continue
                found += [variable.decode() for variable in variables if variable.startswith(mark)]
        return found


@pytest.fixture(scope="module")
def stack(instance: Instance) -> t.Iterator[Stack]:
    """The whole stack, ready."""
    cluster = Stack(instance)
    cluster.create("Namespace", NAMESPACE)
    cluster.kubectl("apply", "-f", str(STACK))
    cluster.wait_ready("db", "data-index", "jobs-service", "hub")
    yield cluster
    cluster.kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found")


def secret(cluster: Stack, password: str) -> None:
    """Change the database password in the Secret, and nowhere else."""
    value = base64.b64encode(password.encode()).decode()
    change = {"data": {"POSTGRES_PASSWORD": value, "POSTGRESQL_ADMIN_PASSWORD": value}}
    cluster.kubectl("patch", "secret", "db-secret", "--type=merge", "-p", json.dumps(change))


def test_graphql_answers_from_the_database(stack: Stack) -> None:
    event = {"specversion": "1.0", "id": "1", "source": "test", "type": "ProcessDefinitionEvent"}
    stack.proxy("data-index/definitions", {**event, "data": {"id": "greeting", "version": "1.0", "name": "Greeting"}})
    query = {"query": "{ ProcessDefinitions { id version __typename } ProcessInstances { id state } Jobs { id } }"}
    answer = stack.proxy("data-index/graphql", query)
    assert answer["data"] == {
        "ProcessDefinitions": [{"id": "greeting", "version": "1.0", "__typename": "ProcessDefinition"}],
        "ProcessInstances": [],
        "Jobs": [],
    }
    assert stack.proxy("data-index/q/health/ready")["status"] == "UP"


def test_the_pod_looks_as_a_kubelet_leaves_it(stack: Stack) -> None:
    pod = stack.pod("hub")
    conditions = {entry["type"]: entry["status"] for entry in pod["status"]["conditions"]}
    assert conditions == dict.fromkeys(
        ["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"], "True"
    )
    assert pod["status"]["phase"] == "Running"
    assert pod["status"]["podIP"].startswith("10.98.")
    states = [entry["state"]["terminated"]["reason"] for entry in pod["status"]["initContainerStatuses"]]
    assert states == ["Completed", "Completed"]
    log = stack.kubectl("logs", pod["metadata"]["name"], "-c", "install-dynamic-plugins")
    assert "Successfully installed dynamic plugin oci://" in log
    jobs = json.loads(stack.kubectl("get", "job", "create-database", "-o", "json"))
    assert jobs["status"]["succeeded"] == 1


def test_a_missing_secret_is_named(stack: Stack) -> None:
    container = {
        "name": "c",
        "image": "quay.io/fedora/postgresql-15:latest",
        "command": ["sh", "-c", "echo $(GREETING); exit 3"],
        "env": [{"name": "GREETING", "valueFrom": {"secretKeyRef": {"name": "late", "key": "word"}}}],
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "late", "labels": {"app": "late"}},
        "spec": {"restartPolicy": "Never", "containers": [container]},
    }
    stack.kubectl("create", "-f", "-", given=json.dumps(pod))

    def waiting() -> Object:
        return t.cast(Object, stack.container("late").get("state", {}).get("waiting", {}))

    stack.wait("Secret missing", lambda: waiting().get("message") == 'secret "late" not found')
    assert waiting()["reason"] == "CreateContainerConfigError"
    stack.kubectl("create", "secret", "generic", "late", "--from-literal=other=x")
    text = f"couldn't find key word in Secret {NAMESPACE}/late"
    stack.wait("key missing", lambda: waiting().get("message") == text)
    stack.kubectl("patch", "secret", "late", "-p", '{"stringData": {"word": "hello"}}')
    stack.wait("the pod has failed", lambda: stack.pod("late")["status"]["phase"] == "Failed")
    ended = stack.container("late")["state"]["terminated"]
    assert (ended["exitCode"], ended["reason"], ended["message"]) == (3, "Error", "hello\n")


def test_settings_stop_a_player_and_spoil_an_image(stack: Stack) -> None:
    stack.set(runtime__stopped_players=["jobs-service"], runtime__bad_images=["logic-data-index"])
    try:
        stack.wait("jobs-service is stopped", lambda: stack.container("jobs-service").get("ready") is False)
        stack.kubectl("delete", "pod", "-l", "app=data-index")
        stack.wait(
            "the image is bad",
            lambda: (
                stack.container("data-index").get("state", {}).get("waiting", {}).get("reason") == "ImagePullBackOff"
            ),
        )
    finally:
        stack.set(runtime__stopped_players=None, runtime__bad_images=None)
    stack.wait_ready("data-index", "jobs-service")


def test_a_killed_runtime_leaves_no_orphan_and_goes_on(stack: Stack) -> None:
    before = {app: stack.container(app) for app in ("db", "data-index")}
    old = {int(container["containerID"].removeprefix("process://")) for container in before.values()}
    os.kill(stack.runtime_pid(), signal.SIGKILL)
    stack.wait("old processes are gone", lambda: not any(Path(f"/proc/{pid}").exists() for pid in old), 10)
    stack.wait(
        "containers were started again",
        lambda: all(stack.container(app).get("restartCount", 0) > before[app]["restartCount"] for app in before),
    )
    stack.wait_ready("db", "data-index", "jobs-service", "hub")
    answer = stack.proxy("data-index/graphql", {"query": "{ ProcessDefinitions { id } }"})
    assert answer["data"]["ProcessDefinitions"] == [{"id": "greeting"}], "the data survived"


def test_a_new_password_does_not_open_old_data(stack: Stack) -> None:
    secret(stack, "second-password")
    stack.kubectl("delete", "pod", "-l", "app in (db, data-index)")
    stack.wait_ready("db")
    stack.wait(
        "Data Index crash-loops",
        lambda: (
            stack.container("data-index").get("state", {}).get("waiting", {}).get("reason") == "CrashLoopBackOff"
            and stack.container("data-index")["restartCount"] > 1
        ),
    )
    name = stack.pod("data-index")["metadata"]["name"]
    refusal = 'FATAL: password authentication failed for user "postgres"'
    stack.wait("the refusal is in the log", lambda: refusal in stack.pod_log(name, NAMESPACE, previous=True))
    log = stack.pod_log(name, NAMESPACE, previous=True)
    assert "second-password" not in log
    secret(stack, "first-password")
    stack.wait_ready("data-index")


def test_deletion_ends_processes_and_removes_data(stack: Stack) -> None:
    assert stack.processes()
    claims = json.loads(stack.kubectl("get", "pvc", "-o", "json"))["items"]
    places = [stack.instance.volumes / claim["spec"]["volumeName"] for claim in claims]
    assert places
    assert all(place.exists() for place in places)
    stack.kubectl("delete", "namespace", NAMESPACE, "--timeout=60s")
    assert stack.processes() == []
    stack.wait("data are gone", lambda: not any(place.exists() for place in places), 20)
    assert list(stack.instance.pods.glob(f"{NAMESPACE}_*")) == []
