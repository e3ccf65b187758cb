"""Small objects, as a cluster would hold them, for tests of verdicts and causes."""

from __future__ import annotations

import typing as t

Object = dict[str, t.Any]
NAMESPACE = "home"


def meta(name: str, **more: t.Any) -> Object:
    return {"name": name, "namespace": NAMESPACE, "uid": f"uid-{name}", "generation": 1, **more}


def conditions(*found: tuple[str, ...]) -> Object:
    """Conditions as (type, status, reason, message), the last two optional."""
    keys = ("type", "status", "reason", "message")
    return {"conditions": [dict(zip(keys, each, strict=False)) for each in found]}


def container(state: Object | None = None, name: str = "main", ready: bool = False, **more: t.Any) -> Object:
    return {"name": name, "image": "registry.example/web:1", "ready": ready, "state": state or {}, **more}


def waiting(reason: str, message: str = "", **more: t.Any) -> Object:
    return container({"waiting": {"reason": reason, "message": message}}, **more)


def crashed(code: int = 3, reason: str = "Error", message: str = "", **more: t.Any) -> Object:
    """A container between two crashes."""
    ended = {"terminated": {"exitCode": code, "reason": reason, "message": message}}
    return waiting("CrashLoopBackOff", "back-off 5m0s", lastState=ended, restartCount=5, **more)


RUNNING: Object = container({"running": {"startedAt": "2026-01-01T00:00:00Z"}})


def pod(*containers: Object, name: str = "web-1", init: tuple[Object, ...] = (), **parts: t.Any) -> Object:
    """A pod of the Deployment `web`; `spec`, `labels` and `metadata` apart, parts go into its status."""
    labels = parts.pop("labels", {"app": "web", "pod-template-hash": "1"})
    spec, more = parts.pop("spec", {}), parts.pop("metadata", {})
    status = {"phase": "Pending", "initContainerStatuses": list(init), "containerStatuses": list(containers), **parts}
    created = {"creationTimestamp": "2026-01-01T00:00:00Z"}
    return {"kind": "Pod", "metadata": {**meta(name, labels=labels), **created, **more}, "spec": spec, "status": status}


def deployment(ready: int = 0, name: str = "web", kind: str = "Deployment", **parts: t.Any) -> Object:
    spec = {"replicas": 1, "selector": {"matchLabels": {"app": name}}, **parts.pop("spec", {})}
    more = parts.pop("metadata", {})
    status = {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "readyReplicas": ready, **parts}
    return {"kind": kind, "metadata": {**meta(name), **more}, "spec": spec, "status": status}


def replica_set(revision: int = 1, name: str = "web", **status: t.Any) -> Object:
    metadata = meta(f"{name}-{revision}", labels={"app": name, "pod-template-hash": str(revision)})
    metadata["annotations"] = {"deployment.kubernetes.io/revision": str(revision)}
    metadata["ownerReferences"] = [{"kind": "Deployment", "name": name, "uid": f"uid-{name}"}]
    return {"kind": "ReplicaSet", "metadata": metadata, "spec": {}, "status": status}


def job(*found: tuple[str, ...], name: str = "work", spec: Object | None = None, **metadata: t.Any) -> Object:
    return {"kind": "Job", "metadata": meta(name, **metadata), "spec": spec or {}, "status": conditions(*found)}


def job_pod(*containers: Object, name: str = "work", **parts: t.Any) -> Object:
    return pod(*containers, name=f"{name}-x", labels={"batch.kubernetes.io/job-name": name}, **parts)


def event(reason: str, message: str, about: str = "web-1", kind: str = "Pod", at: str = "12:00:00") -> Object:
    involved = {"kind": kind, "name": about, "namespace": NAMESPACE, "uid": f"uid-{about}"}
    said = {"type": "Warning", "reason": reason, "message": message, "lastTimestamp": f"2026-01-01T{at}Z"}
    return {"kind": "Event", "metadata": meta(f"{about}.{at}"), "involvedObject": involved, **said}


def custom(kind: str, name: str, *found: tuple[str, ...], **parts: t.Any) -> Object:
    """A custom resource with conditions; `metadata`, `spec` and `status` are added to."""
    return {
        "kind": kind,
        "metadata": {**meta(name), **parts.get("metadata", {})},
        "spec": parts.get("spec", {}),
        "status": {**conditions(*found), **parts.get("status", {})},
    }


# -- OLM --------------------------------------------------------------------------------------------------------------


def csv(
    phase: str = "Failed", reason: str = "", message: str = "says so", name: str = "thing.v1", **status: t.Any
) -> Object:
    spec = {"install": {"spec": {"deployments": [{"name": "web"}]}}}
    state = {"phase": phase, "reason": reason, "message": message, **status}
    return {"kind": "ClusterServiceVersion", "metadata": meta(name), "spec": spec, "status": state}


def subscription(*found: tuple[str, ...], **status: t.Any) -> Object:
    spec = {"name": "thing", "source": "cat", "sourceNamespace": "market"}
    return {
        "kind": "Subscription",
        "metadata": meta("thing"),
        "spec": spec,
        "status": {**conditions(*found), **status},
    }


def plan(phase: str, message: str = "", approved: bool = True, csvs: tuple[str, ...] = ("thing.v1",)) -> Object:
    spec = {"approved": approved, "generation": 1, "clusterServiceVersionNames": list(csvs)}
    return {
        "kind": "InstallPlan",
        "metadata": meta("install-a"),
        "spec": spec,
        "status": {"phase": phase, "message": message},
    }


def catalog(state: str = "READY") -> Object:
    return {
        "kind": "CatalogSource",
        "metadata": {"name": "cat", "namespace": "market", "uid": "uid-cat"},
        "spec": {},
        "status": {"connectionState": {"lastObservedState": state}},
    }


def group(name: str = "og") -> Object:
    return {"kind": "OperatorGroup", "metadata": meta(name), "spec": {}}
