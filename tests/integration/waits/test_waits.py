"""k8s_wait on the sandbox: it ends as soon as it can, names the cause and the way out, and survives a bad API server.

Most waits run side by side, each as a process of its own. Where the grace of a
state is minutes (an image, a crash, a missing Secret: docs/terminal-states.md) the wait gets less time than that: there
the cause is asserted at the timeout, and that it is named although the state might still heal.
"""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import json
import re
import threading
import time
import typing as t
from pathlib import Path

import certifi
import pytest

from sandbox import relay
from sandbox.cluster.api import ApiError
from sandbox.faults import rules, switches
from sandbox.paths import Instance
from tests.toolkit.cluster import Cluster, Object, where
from tests.toolkit.plays import Batch, Call

pytestmark = pytest.mark.sandbox("any")

NAMESPACE = "waits"
QUOTA, LIMITED, DENIED, CROWDED, ENDING = (
    f"waits-{name}" for name in ("quota", "limited", "denied", "crowd", "ending")
)
NAMESPACES = (NAMESPACE, QUOTA, LIMITED, DENIED, CROWDED, ENDING)
SHELL = "registry.sandbox.invalid/shell"
BAD_IMAGE = f"{SHELL}:gone"
SHORT = 15  # seconds for a wait that is to time out: long enough for every cause to show
LONG = 120  # seconds for a wait that is to end before
CROWD = 1000
SECRET = "hunter2-is-no-token"

# -- objects ----------------------------------------------------------------------------------------------------------


def container(*script: str, **more: t.Any) -> Object:
    """A container that runs a script, or is simply there."""
    return {"name": "main", "image": SHELL, **({"command": ["sh", "-c", *script]} if script else {}), **more}


def deployment(name: str, main: Object, *, namespace: str = NAMESPACE, replicas: int = 1, **pod: t.Any) -> Object:
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [main], **pod}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template},
    }


def job(name: str, script: str, **spec: t.Any) -> Object:
    template = {"spec": {"restartPolicy": "Never", "containers": [container(script)]}}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"backoffLimit": 0, "template": template, **spec},
    }


def config_map(name: str, namespace: str = NAMESPACE, **metadata: t.Any) -> Object:
    metadata = {"name": name, "namespace": namespace, **metadata}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"state": "waiting"}}


def simple(kind: str, name: str, namespace: str = NAMESPACE, api_version: str = "v1", **content: t.Any) -> Object:
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name, "namespace": namespace}, **content}


def rights(account: str, *allowed: tuple[str, str, str]) -> list[Object]:
    """A ServiceAccount that may do (verbs, group, resources) in the namespace, and nothing else."""
    listed = [
        {"verbs": verbs.split(), "apiGroups": [group], "resources": resources.split()}
        for verbs, group, resources in allowed
    ]
    rbac = "rbac.authorization.k8s.io"
    return [
        simple("ServiceAccount", account),
        simple("Role", account, api_version=f"{rbac}/v1", rules=listed),
        simple(
            "RoleBinding",
            account,
            api_version=f"{rbac}/v1",
            roleRef={"apiGroup": rbac, "kind": "Role", "name": account},
            subjects=[{"kind": "ServiceAccount", "name": account, "namespace": NAMESPACE}],
        ),
    ]


def places() -> list[Object]:
    """The namespaces, and a policy that denies every pod of one of them."""
    group = "admissionregistration.k8s.io/v1"
    match = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": DENIED}},
        "resourceRules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}],
    }
    spec = {"matchConstraints": match, "validations": [{"expression": "false", "message": "no pods on Sundays"}]}
    binding = {"policyName": "waits-sunday", "validationActions": ["Deny"]}
    return [
        *({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in NAMESPACES),
    ] + [
        {"apiVersion": group, "kind": kind, "metadata": {"name": "waits-sunday"}, "spec": content}
        for kind, content in (("ValidatingAdmissionPolicy", spec), ("ValidatingAdmissionPolicyBinding", binding))
    ]


def objects(flag: Path) -> list[Object]:
    """Everything that is there before the waits begin. Jobs that end while we wait do so when `flag` appears."""
    wait_for_flag = f"while [ ! -e {flag} ]; do sleep 0.2; done; echo flag seen; "
    secret_key = {"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "half", "key": "password"}}}
    claim = {"name": "data", "persistentVolumeClaim": {"claimName": "unbound"}}
    mapped = {"name": "settings", "configMap": {"name": "no-such-settings"}}
    never = {"exec": {"command": ["false"]}}
    hard = {"limits": [{"type": "Container", "max": {"cpu": "100m"}}]}
    return [
        simple("ResourceQuota", "nothing", QUOTA, spec={"hard": {"pods": "0"}}),
        simple("LimitRange", "small", LIMITED, spec=hard),
        deployment("image", {**container(), "image": BAD_IMAGE}),
        deployment("name", {**container(), "image": f"{SHELL}:-bad"}),
        deployment("crash", container("echo connecting; echo FATAL: no such role; exit 7", readinessProbe=never)),
        deployment("memory", container("kill -9 $$$$")),  # counts as ready for as long as it runs
        deployment("program", {**container(), "command": ["no-such-program"]}),
        deployment(
            "init", container(), initContainers=[{**container("echo no plugin index; exit 4"), "name": "first"}]
        ),
        deployment("secret", container("true", envFrom=[{"secretRef": {"name": "no-such-secret"}}])),
        simple("Secret", "half", stringData={"user": SECRET}),
        deployment("key", container("true", env=[secret_key])),
        deployment("volume", container("sleep 600"), volumes=[mapped]),
        deployment("big", container(resources={"requests": {"cpu": "5000"}})),
        deployment("nowhere", container(), nodeSelector={"disk": "golden"}),
        simple(
            "PersistentVolumeClaim",
            "unbound",
            spec={
                "storageClassName": "no-such-class",
                "accessModes": ["ReadWriteOnce"],
                "resources": {"requests": {"storage": "1Gi"}},
            },
        ),
        deployment("claim", container(), volumes=[claim]),
        deployment("quota", container(), namespace=QUOTA),
        deployment("limited", container(resources={"limits": {"cpu": "200m"}}), namespace=LIMITED),
        deployment("denied", container(), namespace=DENIED),
        deployment("zero", container(), replicas=0),
        job("schema", "echo applying schema; echo relation exists already; exit 3"),
        job("gone-before", "exit 3", ttlSecondsAfterFinished=0),
        job("gone-meanwhile", wait_for_flag + "exit 3", ttlSecondsAfterFinished=0),
        job("done-and-gone", wait_for_flag, ttlSecondsAfterFinished=0),
        *(config_map(name) for name in ("cut", "storm", "polled", "restart", "checked")),
        config_map("held", finalizers=["example.com/hold"]),
        config_map("left", ENDING, finalizers=["example.com/hold"]),
        config_map("wanted", CROWDED),
        deployment("wanted", container("sleep 600"), namespace=CROWDED),
        *rights("polls", ("get list", "", "configmaps")),
        *rights("narrow", ("get list watch", "apps", "deployments replicasets")),
        *rights("nobody"),
    ]


# -- waits ------------------------------------------------------------------------------------------------------------


@dataclasses.dataclass
class Wait:
    """One call of k8s_wait; `how` are `check`, `variables` of its environment, or options for the login."""

    targets: list[Object]
    timeout: int = LONG
    how: dict[str, t.Any] = dataclasses.field(default_factory=dict)

    def call(self) -> Call:
        how = dict(self.how)
        check, variables = how.pop("check", None), how.pop("variables", {})
        return Call({"targets": self.targets, "wait_timeout": self.timeout, **how}, check, variables)


def start(cluster: Cluster, folder: Path, waits: t.Mapping[str, Wait]) -> Batch:
    """Begin all the waits."""
    return Batch(cluster, folder, "k8s_wait", {name: wait.call() for name, wait in waits.items()})


def target(kind: str, name: str, check: str, namespace: str = NAMESPACE, **more: t.Any) -> Object:
    versions = {"Deployment": "apps/v1", "Job": "batch/v1"}
    found = {"api_version": versions.get(kind, "v1"), "kind": kind, "name": name, "namespace": namespace}
    return {**found, "check": check, **more}


def rollout(name: str, timeout: int = LONG, namespace: str = NAMESPACE, **how: t.Any) -> Wait:
    return Wait([target("Deployment", name, "rollout", namespace)], timeout, how)


def a_job(name: str, timeout: int = LONG) -> Wait:
    return Wait([target("Job", name, "job")], timeout)


def change(name: str, timeout: int = LONG, namespace: str = NAMESPACE, **how: t.Any) -> Wait:
    """Wait until the state in a ConfigMap is `done`."""
    return Wait([target("ConfigMap", name, "field", namespace, field="data.state", value="done")], timeout, how)


class WaitCluster(Cluster):
    """The cluster, with what the waits are for."""

    def dry_run(self, namespace: str, pod: Object) -> int:
        """Status of an attempt to create a pod."""
        try:
            self.api.request("POST", f"{where('Pod', namespace)}?dryRun=All", pod)
        except ApiError as error:
            return error.status
        return 201

    def finish(self, name: str, namespace: str = NAMESPACE) -> None:
        """Make the change that waits are for."""
        self.until(f"{name} is changed", lambda: self.patch("ConfigMap", name, namespace, {"data": {"state": "done"}}))

    def metric(self, pattern: str) -> float:
        """Sum of the API server's metrics that match."""
        text = str(self.api.request("GET", "/metrics"))
        return sum(float(line.rpartition(" ")[2]) for line in text.splitlines() if re.match(pattern, line))

    def watches(self, resource: str) -> float:
        """How many watches of single objects of a kind are open: waits have such, and few others."""
        return self.metric(rf'apiserver_longrunning_requests{{.*resource="{resource}",scope="resource",.*verb="WATCH"')

    def until_watched(self, resource: str, count: float) -> None:
        self.until(f"{count} watches of {resource}", lambda: self.watches(resource) >= count)


def crowd(cluster: WaitCluster) -> None:
    """Fill a namespace: half ConfigMaps, half pods that no scheduler takes."""
    pod = {"schedulerName": "nobody", "containers": [container()]}
    for number in range(CROWD // 2):
        name = f"other-{number}"
        cluster.post(where("ConfigMap", CROWDED), config_map(name, CROWDED))
        cluster.post(where("Pod", CROWDED), simple("Pod", name, CROWDED, spec=pod))


@pytest.fixture(scope="module")
def cluster(instance: Instance) -> t.Iterator[WaitCluster]:
    """The cluster with everything to wait for; the namespaces are on their way out at the end."""
    cluster = WaitCluster(instance)
    with cluster.setting(runtime__bad_images=[re.escape(BAD_IMAGE)]):
        yield cluster
    switches.clear_api_rules(instance)
    for name, namespace in (("held", NAMESPACE), ("left", ENDING)):
        with contextlib.suppress(ApiError):  # gone already
            cluster.patch("ConfigMap", name, namespace, {"metadata": {"finalizers": None}})
    cluster.delete_namespaces(*NAMESPACES)
    for kind in ("ValidatingAdmissionPolicyBinding", "ValidatingAdmissionPolicy"):
        cluster.delete(kind, "waits-sunday")


@pytest.fixture(scope="module")
def answers(cluster: WaitCluster, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Object]:
    """What all the waits said that ran side by side."""
    folder = tmp_path_factory.mktemp("waits")
    flag, instance = folder / "flag", cluster.instance
    cluster.apply(places())
    pod = simple("Pod", "any", DENIED, spec={"containers": [container()]})
    cluster.until("pods are denied", lambda: cluster.dry_run(DENIED, pod) == 422)
    cluster.apply(objects(flag))
    filling = threading.Thread(target=crowd, args=(cluster,))
    filling.start()
    cluster.delete("ConfigMap", "held", NAMESPACE)
    cluster.delete("Namespace", ENDING)
    for rule in (
        rules.Rule("cut", path=r"(?=.*watch=true)(?=.*metadata\.name%3Dcut)", count=2, seconds=1),
        rules.Rule("429", path=r"metadata\.name%3Dstorm", count=3, retry_after=1),
        rules.Rule("503", path=r"metadata\.name%3Dstorm", count=4),
    ):
        switches.add_api_rule(instance, rule)
    filling.join()
    cluster.until("the pod of the crowd runs", lambda: ready_replicas(cluster, "wanted", CROWDED))
    others = cluster.watches("configmaps")
    faulty = {"kubeconfig": str(instance.faulty_kubeconfig)}
    with relay.to_api_server(instance) as way:
        relayed = {"kubeconfig": str(way.kubeconfig(instance, folder / "relayed"))}
        crowded = change("wanted", namespace=CROWDED).targets + rollout("wanted", namespace=CROWDED).targets
        waits = {
            "polled": change("polled", kubeconfig=cluster.token("polls", NAMESPACE, folder / "polls")),
            **{name: cause.wait for name, cause in CAUSES.items()},
            **refusals(cluster, folder),
            "cut": change("cut", **faulty),
            "storm": change("storm", **faulty),
            "crowd": Wait(crowded, LONG, relayed),
            "done-and-gone": a_job("done-and-gone"),
            "checked": change("checked", check=True),
        }
        with start(cluster, folder, waits) as running:
            cluster.until_watched("configmaps", others + 3)
            cluster.until_watched("jobs", 2)
            time.sleep(5)  # watches are cut, and opened again; the first wait, which has none, looks again
            cluster.until_watched("configmaps", others + 3)
            flag.touch()
            cluster.finish("wanted", CROWDED)
            for name in ("cut", "storm", "polled"):
                cluster.finish(name)
            found = running.end()
        found["crowd"]["received"] = way.received
    return found


def ready_replicas(cluster: WaitCluster, name: str, namespace: str) -> int:
    return int((cluster.there("Deployment", name, namespace).get("status") or {}).get("readyReplicas", 0))


FAILED, TIMED_OUT = "failed", "timed_out"


@dataclasses.dataclass
class Cause:
    """A wait that never gets ready: how it ends, with which reason, and what its message names."""

    wait: Wait
    phase: str
    reason: str
    texts: tuple[str, ...]


def fails(wait: Wait, reason: str, *texts: str) -> Cause:
    """The wait ends when the state has lasted its grace (docs/terminal-states.md), before the timeout."""
    return Cause(wait, FAILED, reason, texts)


def times_out(wait: Wait, reason: str, *texts: str) -> Cause:
    """The state may heal for longer than the wait lasts, or for ever."""
    return Cause(wait, TIMED_OUT, reason, texts)


ENDS = {
    "schema": fails(a_job("schema"), "BackoffLimitExceeded", "exit code 3", "relation exists already", "oc logs"),
    # Fails, and is deleted at once, up to a minute after the wait has begun.
    "gone-meanwhile": fails(a_job("gone-meanwhile"), "", "BackoffLimitExceeded"),
    "name": fails(rollout("name"), "InvalidImageName", f"{SHELL}:-bad", "invalid reference format"),
    "denied": fails(rollout("denied", LONG, DENIED), "Denied", "no pods on Sundays", "admission"),
    "quota": fails(rollout("quota", LONG, QUOTA), "ExceededQuota", "exceeded quota: nothing"),
    "limited": fails(
        rollout("limited", LONG, LIMITED), "PodForbidden", "maximum cpu usage per Container is 100m", "LimitRange"
    ),
}
# The cause at the timeout, which comes before the grace of the state is over.
SHORTENED = {
    "image": times_out(
        rollout("image", SHORT), "ImagePullBackOff", BAD_IMAGE, "manifest unknown", "registry or mirror"
    ),
    "crash": times_out(
        rollout("crash", SHORT), "CrashLoopBackOff", "exit code 7", "FATAL: no such role", "oc logs crash-"
    ),
    "memory": times_out(
        Wait([target("Deployment", "memory", "rollout", stable_for=10)], SHORT), "", "exit code 137", "memory limit"
    ),
    "program": times_out(
        rollout("program", SHORT), "CreateContainerError", "executable file `no-such-program` not found"
    ),
    "init": times_out(
        rollout("init", SHORT), "CrashLoopBackOff", "init container first", "exit code 4", "no plugin index"
    ),
    "secret": times_out(
        rollout("secret", SHORT), "CreateContainerConfigError", '"no-such-secret" not found', "Create the Secret"
    ),
    "key": times_out(rollout("key", SHORT), "CreateContainerConfigError", "key password in Secret", "waits/half"),
    "volume": times_out(rollout("volume", SHORT), "", 'configmap "no-such-settings" not found', "FailedMount"),
    "big": times_out(rollout("big", SHORT), "Unschedulable", "Insufficient cpu"),
    "nowhere": times_out(rollout("nowhere", SHORT), "Unschedulable", "node affinity/selector"),
    "claim": times_out(rollout("claim", SHORT), "Unschedulable", "unbound", "no-such-class", "storage class"),
}
# These look like success, or like nothing at all, for as long as one looks.
SILENT = {
    "zero": times_out(rollout("zero", 5), "ScaledToZero", "0 replicas", "oc scale"),
    "gone-before": times_out(a_job("gone-before", 5), "", "BackoffLimitExceeded", "oc get events"),
    "finalizer": times_out(Wait([target("ConfigMap", "held", "absent")], 5), "", "finalizer", "example.com/hold"),
    "terminating": times_out(rollout("later", 5, ENDING), "", f"{ENDING} is being deleted", "example.com/hold"),
}
CAUSES = {**ENDS, **SHORTENED, **SILENT}


def refusals(cluster: WaitCluster, folder: Path) -> dict[str, Wait]:
    """Waits whose credentials or input are no good."""
    authorities = Path(certifi.where()).read_text(encoding="utf-8")
    other = authorities[authorities.index("-----BEGIN") :].partition("-----END CERTIFICATE-----")
    encoded = base64.b64encode((other[0] + other[1]).encode()).decode()
    nowhere = folder / "home"
    nowhere.mkdir()
    bad = [
        target("Deploymnt", "a", "exists") | {"api_version": "apps/v1"},
        target("Thing", "b", "exists") | {"api_version": "example.com/v1"},
        target("Pod", "c", "exists") | {"label_selector": "app=c"},
        target("Pod", "d", "condition"),
        target("Pod", "e", "condition", conditions=[{"type": "Ready"}, {"type": "Ready", "status": "False"}]),
        target("Pod", "f", "exists", at_least=-1),
    ]
    return {
        "narrow": rollout("secret", SHORT, kubeconfig=cluster.token("narrow", NAMESPACE, folder / "narrow")),
        "nobody": rollout("crash", kubeconfig=cluster.token("nobody", NAMESPACE, folder / "nobody")),
        "token": rollout("crash", kubeconfig=cluster.kubeconfig(folder / "bad", user={"token": SECRET})),
        "authority": rollout(
            "crash", kubeconfig=cluster.kubeconfig(folder / "ca", **{"certificate-authority-data": encoded})
        ),
        "unreachable": rollout("crash", 6, host="https://127.0.0.1:1", api_key=SECRET),
        "credentials": rollout("crash", variables={"HOME": str(nowhere), "KUBECONFIG": str(nowhere / "none")}),
        "input": Wait(bad, 0),
    }


# -- tests ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CAUSES)
def test_the_cause_is_named_with_a_way_out(answers: dict[str, Object], name: str) -> None:
    cause, answer = CAUSES[name], answers[name]
    message = answer["msg"]
    assert answer["failed"], message
    assert answer["wait"]["phase"] == cause.phase, message
    if cause.reason:
        assert answer["wait"]["reason"] == cause.reason, message
    for text in (*cause.texts, "Remedy: ", "oc "):
        assert text in message
    assert len(message.splitlines()) <= 15
    assert SECRET not in json.dumps(answer)


def test_alternating_reasons_are_one_trouble(answers: dict[str, Object]) -> None:
    """ErrImagePull and ImagePullBackOff, running and crashed, take turns: their graces go on counting."""
    for name in ("image", "crash", "init"):
        told = [entry["reason"] for entry in answers[name]["timeline"]]
        assert len(told) <= 6, told


def test_a_job_that_is_complete_and_deleted_counts(answers: dict[str, Object]) -> None:
    assert answers["done-and-gone"]["ready"]


@pytest.mark.parametrize("name", ["cut", "storm", "polled", "crowd"])
def test_the_change_is_noticed(answers: dict[str, Object], name: str) -> None:
    answer = answers[name]
    assert answer.get("ready"), answer


def test_faults_have_struck_and_were_borne(answers: dict[str, Object], cluster: WaitCluster) -> None:
    struck = {rule.action: hits for rule, hits in switches.api_rules(cluster.instance)}
    assert struck == {"cut": 2, "429": 3, "503": 4}
    assert answers["cut"]["requests"]["watch"] >= 3
    assert answers["cut"]["requests"]["list"] == 1, "a watch goes on from where it was cut"


def test_without_watch_it_polls(answers: dict[str, Object]) -> None:
    assert answers["polled"]["requests"]["list"] >= 2


def test_a_crowd_costs_nothing(answers: dict[str, Object]) -> None:
    answer = answers["crowd"]
    assert sum(answer["requests"].values()) <= 9, answer["requests"]
    assert answer["received"] < 60_000, "the crowd is about a megabyte"


def test_check_mode_looks_once(answers: dict[str, Object]) -> None:
    answer = answers["checked"]
    assert not answer["failed"]
    assert not answer["ready"]
    assert answer["elapsed"] == 0
    assert answer["requests"] == {"list": 1}


def test_fewer_rights_are_less_detail(answers: dict[str, Object]) -> None:
    answer = answers["narrow"]
    assert answer["wait"]["phase"] == TIMED_OUT
    assert "less detail: not allowed to read" in answer["msg"]
    assert "pods" in answer["msg"]
    assert "0 of 1 replicas ready" in answer["msg"]


def test_without_rights_it_ends_and_says_which(answers: dict[str, Object]) -> None:
    answer = answers["nobody"]
    assert answer["wait"]["phase"] == FAILED
    assert answer["wait"]["reason"] == "Forbidden"
    assert "Grant get, list and watch on deployments in namespace waits" in answer["msg"]
    assert "system:serviceaccount:waits:nobody" in answer["msg"]


@pytest.mark.parametrize(
    ("name", "texts"),
    [
        ("token", ("kubeconfig", "Unauthorized", "Log in again")),
        ("authority", ("kubeconfig", "certificate", "ca_cert")),
        ("unreachable", ("127.0.0.1", "port=1", "host and api_key")),
        ("credentials", ("default kubeconfig",)),
    ],
)
def test_bad_credentials_name_their_source_and_no_value(
    answers: dict[str, Object], name: str, texts: tuple[str, ...]
) -> None:
    answer = answers[name]
    assert answer["failed"]
    for text in texts:
        assert text in answer["msg"]
    assert SECRET not in json.dumps(answer)
    if name != "unreachable":
        assert answer.get("wait", {}).get("phase") != TIMED_OUT, "no time heals this"
    assert len(answer["msg"].splitlines()) <= 15


def test_all_that_is_wrong_with_the_input_is_said_at_once(answers: dict[str, Object]) -> None:
    answer = answers["input"]
    assert len(answer["problems"]) == 7, answer["msg"]
    for text in (
        "apps/v1 has no kind Deploymnt; there are: Deployment",
        "does not serve example.com/v1",
        "name and label_selector",
        "needs conditions",
        "Ready",
        "at_least",
        "wait_timeout",
    ):
        assert text in answer["msg"]
    assert set(answer["requests"]) <= {"get"}


def test_a_restart_of_the_api_server_is_waited_out(
    cluster: WaitCluster, answers: dict[str, Object], tmp_path: Path
) -> None:
    assert answers  # the other waits are over: their graces must not be disturbed
    others = cluster.watches("configmaps")
    with start(cluster, tmp_path, {"restart": change("restart"), "image": rollout("image", SHORT)}) as running:
        cluster.until_watched("configmaps", others + 1)
        away = switches.restart_api_server(cluster.instance)
        cluster.finish("restart")
        found = running.end()
    assert found["restart"].get("ready"), found["restart"]
    assert found["restart"]["elapsed"] >= away - 1
    assert found["image"]["wait"]["phase"] == TIMED_OUT
    assert BAD_IMAGE in found["image"]["msg"]
