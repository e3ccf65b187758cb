"""From an unready object to the deepest cause: every cause as a small object."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.rhdh.orchestrator.plugins.module_utils import _diagnose as diagnosing
from ansible_collections.rhdh.orchestrator.plugins.module_utils import _kinds as k
from ansible_collections.rhdh.orchestrator.plugins.module_utils._api import ApiError

Object = dict[str, t.Any]


def pod(*containers: Object, init: tuple[Object, ...] = (), **status: t.Any) -> Object:
    return {
        "kind": "Pod",
        "metadata": {"name": "web-1", "namespace": "home", "uid": "u"},
        "spec": {},
        "status": {"initContainerStatuses": list(init), "containerStatuses": list(containers), **status},
    }


def waiting(reason: str, message: str = "", **more: t.Any) -> Object:
    state = {"waiting": {"reason": reason, "message": message}}
    return {"name": "main", "image": "registry.example/web:1", "ready": False, "state": state, **more}


CRASHED = {"lastState": {"terminated": {"exitCode": 3, "reason": "Error"}}, "restartCount": 5}
RUNNING = {"name": "main", "ready": False, "state": {"running": {}}}
UNSCHEDULED = {"type": "PodScheduled", "status": "False", "message": "0/3 nodes are available: Insufficient cpu"}


@pytest.mark.parametrize(
    ("found", "says"),
    [
        (pod(waiting("ImagePullBackOff", "not found")), ["registry.example/web:1", "ImagePullBackOff"]),
        (pod(waiting("CreateContainerConfigError", 'secret "db" not found')), ['secret "db" not found']),
        (pod(waiting("CrashLoopBackOff", **CRASHED)), ["exit code 3", "5 restarts", "no database"]),
        (pod(init=(waiting("ErrImagePull"),)), ["init container main"]),
        (pod(conditions=[UNSCHEDULED]), ["cannot be scheduled", "Insufficient cpu"]),
        (pod(RUNNING, phase="Running"), ["readiness probe"]),
        (pod(reason="Evicted", message="low on memory"), ["evicted", "low on memory"]),
    ],
)
def test_causes_of_a_pod(found: Object, says: list[str]) -> None:
    cause = diagnosing.pod_cause(found, lambda container, previous: "starting\nno database\n")
    assert cause is not None
    for text in says:
        assert text in cause.message
    assert cause.command.startswith("oc ")


def test_a_ready_pod_has_no_cause() -> None:
    container = {"name": "main", "ready": True, "state": {"running": {}}}
    assert diagnosing.pod_cause(pod(container, conditions=[{"type": "Ready", "status": "True"}])) is None


def test_the_log_of_the_ended_container_is_read_from_before_its_restart() -> None:
    asked = []
    diagnosing.pod_cause(pod(waiting("CrashLoopBackOff", **CRASHED)), lambda *args: asked.append(args) or "")
    assert asked == [("main", True)]


@pytest.mark.parametrize(
    ("message", "remedy"),
    [
        ('pods "x" is forbidden: exceeded quota: small', "quota"),
        ('failed calling webhook "v.example": connect refused', "webhook"),
    ],
)
def test_events_tell_of_quota_and_webhooks(message: str, remedy: str) -> None:
    event = {"type": "Warning", "reason": "FailedCreate", "message": message, "metadata": {"namespace": "home"}}
    cause = diagnosing.event_cause([event], "ReplicaSet web")
    assert cause is not None
    assert remedy in cause.remedy.lower()


class FakeSession:
    """A stand-in for the API session that answers from a list of objects and refuses given kinds."""

    def __init__(self, *objects: Object, refuse: tuple[str, ...] = ()) -> None:
        self.objects, self.refuse = objects, refuse

    def _check(self, kind: k.Kind) -> None:
        if kind.plural in self.refuse:
            raise ApiError("GET", kind.path(), 403, {"reason": "Forbidden"})

    def get(self, kind: k.Kind, name: str, namespace: str | None = None) -> Object | None:
        self._check(kind)
        found = [o for o in self.objects if o["kind"] == kind.kind and o["metadata"]["name"] == name]
        return found[0] if found else None

    def list(self, kind: k.Kind, namespace: str | None = None, **selectors: str) -> list[Object]:
        self._check(kind)
        return [o for o in self.objects if o["kind"] == kind.kind]

    def pod_log(self, *args: t.Any, **kwargs: t.Any) -> str:
        return ""


DEPLOYMENT = {
    "kind": "Deployment",
    "metadata": {"name": "web", "namespace": "home", "uid": "d", "generation": 1},
    "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "web"}}},
    "status": {"observedGeneration": 1},
}


def test_a_deployment_leads_to_its_pod() -> None:
    session = FakeSession(DEPLOYMENT, pod(waiting("ImagePullBackOff")))
    cause = diagnosing.diagnose(t.cast(t.Any, session), k.DEPLOYMENT, "web", "home")
    assert "Deployment web" in cause.message
    assert "ImagePullBackOff" in cause.message


def test_an_operator_leads_to_the_pod_of_its_deployment() -> None:
    csv = {
        "kind": "ClusterServiceVersion",
        "metadata": {"name": "thing.v1", "namespace": "home"},
        "spec": {"install": {"spec": {"deployments": [{"name": "web"}]}}},
        "status": {"phase": "Installing"},
    }
    subscription = {
        "kind": "Subscription",
        "metadata": {"name": "thing", "namespace": "home"},
        "spec": {},
        "status": {"currentCSV": "thing.v1"},
    }
    session = FakeSession(subscription, csv, DEPLOYMENT, pod(waiting("CrashLoopBackOff", **CRASHED)))
    cause = diagnosing.diagnose(t.cast(t.Any, session), k.SUBSCRIPTION, "thing", "home")
    assert "exit code 3" in cause.message


def test_an_unscheduled_pod_leads_to_its_claim() -> None:
    claim = {
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data", "namespace": "home"},
        "spec": {"storageClassName": "fast"},
        "status": {"phase": "Pending"},
    }
    stuck = pod(conditions=[UNSCHEDULED])
    stuck["spec"] = {"volumes": [{"persistentVolumeClaim": {"claimName": "data"}}]}
    cause = diagnosing.diagnose(t.cast(t.Any, FakeSession(stuck, claim)), k.POD, "web-1", "home")
    assert "PersistentVolumeClaim data is Pending, storage class fast" in cause.message


def test_a_refused_read_lowers_the_detail_and_says_so() -> None:
    cause = diagnosing.diagnose(t.cast(t.Any, FakeSession(DEPLOYMENT, refuse=("pods",))), k.DEPLOYMENT, "web", "home")
    assert "not allowed to read pods" in cause.message


def test_a_missing_object_is_said_to_be_missing() -> None:
    cause = diagnosing.diagnose(t.cast(t.Any, FakeSession()), k.DEPLOYMENT, "web", "home")
    assert "does not exist" in cause.message


def test_a_quota_that_keeps_pods_from_being_made_is_named_with_its_remedy() -> None:
    failure = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "exceeded quota: small"}
    replica_set = {
        "kind": "ReplicaSet",
        "metadata": {"name": "web-1", "namespace": "home", "uid": "r"},
        "spec": {},
        "status": {"conditions": [failure]},
    }
    cause = diagnosing.diagnose(t.cast(t.Any, FakeSession(DEPLOYMENT, replica_set)), k.DEPLOYMENT, "web", "home")
    assert "exceeded quota: small" in cause.message
    assert "quota" in cause.remedy
    assert cause.command == "oc describe quota -n home"
