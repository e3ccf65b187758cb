# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a workload, a Job or a volume claim comes about, judged by it and by its pods. PRIVATE to the collection.

Pure functions over plain dicts. Success is tested first; what a state means for a wait is in the table of `_terminal`.
"""

from __future__ import annotations

import calendar
import dataclasses
import re
import time
import typing as t

from ansible_collections.rhdh.orchestrator.plugins.module_utils._terminal import (
    find,
    hint,
    terminal,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait import (
    READY,
    Verdict,
    condition,
    current,
    rolled_out,
)

Object = dict[str, t.Any]
SETTLED = 10.0  # seconds after a crash that a container without a probe must live to count as ready
JOB_LABEL = "batch.kubernetes.io/job-name"
REVISION = "deployment.kubernetes.io/revision"  # annotation of a ReplicaSet: the highest is the wanted one

# What the kubelet says of a container that waits -> row of the table. Reasons of one row alternate in one trouble.
_WAITING = {
    "InvalidImageName": "pod/InvalidImageName",
    "ErrImageNeverPull": "pod/ErrImageNeverPull",
    "ErrImagePull": "pod/ImagePullBackOff",
    "ImagePullBackOff": "pod/ImagePullBackOff",
    "ImageInspectError": "pod/ImagePullBackOff",
    "RegistryUnavailable": "pod/ImagePullBackOff",
    "SignatureValidationFailed": "pod/ImagePullBackOff",
    "CreateContainerConfigError": "pod/CreateContainerConfigError",
    "CreateContainerError": "pod/CreateContainerError",
    "RunContainerError": "pod/CreateContainerError",
    "PostStartHookError": "pod/CreateContainerError",
}
_JOB_STATES = {  # of a Job's pod: those that do not count as a failed attempt, so that the Job would hang on them
    "pod/InvalidImageName",
    "pod/ErrImageNeverPull",
    "pod/ImagePullBackOff",
    "pod/CreateContainerConfigError",
    "pod/CreateContainerError",
    "pod/Unschedulable",
}


class Finding(t.NamedTuple):
    """What keeps a pod from being ready."""

    key: str  # row of the table of states
    message: str
    container: str = ""
    log: str = ""  # "previous" or "current": which run of the container says more; empty where none does

    @property
    def remedy(self) -> str:
        """What to do about it."""
        return hint(self.key, self.message) or terminal(self.key).remedy


class Missing(t.NamedTuple):
    """An object, or a key of it, that a container needs."""

    kind: str  # Secret or ConfigMap
    name: str
    key: str = ""


def missing_object(message: str) -> Missing | None:
    """Return the Secret or ConfigMap that a message of the kubelet misses, or None."""
    found = re.search(r"couldn't find key (\S+) in (Secret|ConfigMap) (?:\S+/)?([^\s/\"]+)", message)
    if found:
        return Missing(found.group(2), found.group(3), found.group(1))
    found = re.search(r'\b(secret|configmap)s? "([^"]+)" not found', message, re.IGNORECASE)
    if found:
        return Missing("Secret" if found.group(1).lower() == "secret" else "ConfigMap", found.group(2))
    return None


# -- pods -------------------------------------------------------------------------------------------------------------


def finding(pod: Object) -> Finding | None:
    """Return what keeps a pod from being ready, or None when it is ready or has ended well."""
    metadata, status = pod["metadata"], pod.get("status") or {}
    name, phase = metadata["name"], status.get("phase") or ""
    said = _line(status.get("message") or "")
    if metadata.get("deletionTimestamp"):
        return Finding("pod/Terminating", f"pod {name} is being deleted")
    if status.get("reason") == "NodeLost" or phase == "Unknown":
        return Finding("pod/NodeLost", f"pod {name} is on a node that does not answer: {said}")
    if status.get("reason") == "Evicted":
        return Finding("pod/Evicted", f"pod {name} was evicted: {said}")
    scheduled = condition(pod, "PodScheduled")
    if scheduled and scheduled.get("status") == "False":
        row = find("pod", scheduled.get("reason") or "") or terminal("pod/Unschedulable")
        return Finding(row.key, f"pod {name} cannot be scheduled: {_line(scheduled.get('message') or '')}")
    states = [(True, item) for item in status.get("initContainerStatuses") or []]
    states += [(False, item) for item in status.get("containerStatuses") or []]
    found = [each for init, item in states if (each := _container(name, item, init)) is not None]
    ending = [each for each in found if terminal(each.key).ends]
    if ending:
        return ending[0]
    if phase == "Failed":
        return found[0] if found else Finding("pod/Failed", f"pod {name} has failed: {said}")
    ready = condition(pod, "Ready")
    if phase == "Succeeded" or (ready and ready.get("status") == "True"):
        return None
    return found[0] if found else Finding("pod/ContainerCreating", f"pod {name} is {phase or 'new'} {said}".rstrip())


def _container(pod: str, item: Object, init: bool) -> Finding | None:
    """Return what keeps a container from being ready (an init container: from being done)."""
    name, state = item.get("name", ""), item.get("state") or {}
    waiting, ended = state.get("waiting") or {}, state.get("terminated")
    what = f"{'init ' if init else ''}container {name} of pod {pod}"
    if item.get("ready") or (init and ended is not None and not ended.get("exitCode")):
        return None
    reason, message = waiting.get("reason") or "", _line(waiting.get("message") or "")
    if reason in _WAITING:
        key = _WAITING[reason]
        doing = f"cannot pull image {item.get('image')}" if key == "pod/ImagePullBackOff" else "cannot be created"
        return Finding(key, f"{what} {doing} ({reason}): {message}".rstrip(": "), name)
    crashed = ended or (item.get("lastState") or {}).get("terminated")
    # Between two crashes a container runs, and looks well.
    if crashed and (crashed.get("exitCode") or item.get("restartCount") or reason == "CrashLoopBackOff"):
        why = crashed.get("reason") or "Error"
        last = (crashed.get("message") or "").strip().splitlines()
        text = (
            f"{what} ended with exit code {crashed.get('exitCode')} ({why}, {item.get('restartCount') or 0} restarts)"
        )
        key = "pod/OOMKilled" if why == "OOMKilled" else "pod/CrashLoopBackOff"
        return Finding(key, text + (f": {last[-1]}" if last else ""), name, "current" if ended else "previous")
    if reason == "CrashLoopBackOff":
        return Finding("pod/CrashLoopBackOff", f"{what} crashes: {message}", name, "previous")
    if state.get("running") is not None:
        if init:
            return Finding("pod/Initializing", f"{what} is still running", name, "current")
        return Finding("pod/NotReady", f"{what} runs, but its readiness probe does not pass", name, "current")
    if ended is not None:
        return Finding("pod/NotReady", f"{what} has ended", name, "current")
    if reason == "PodInitializing":
        return Finding("pod/Initializing", f"{what} waits for the init containers", name)
    return Finding("pod/ContainerCreating", f"{what} waits ({reason or 'new'}): {message}".rstrip(": "), name)


def _line(text: str) -> str:
    return " ".join(text.split())


def selected(pods: t.Iterable[Object], labels: t.Mapping[str, str]) -> list[Object]:
    """Return the pods that carry all of the labels."""
    return [pod for pod in pods if labels.items() <= (pod["metadata"].get("labels") or {}).items()]


def newest(workload: Object, pods: t.Sequence[Object], replica_sets: t.Sequence[Object] = ()) -> list[Object]:
    """Return the live pods of the wanted revision, the newest first: older ones may be healthy, or on their way out.

    Without the ReplicaSets of a Deployment the newest pod tells which revision that is.
    """
    live = [pod for pod in pods if not pod["metadata"].get("deletionTimestamp")]
    live.sort(key=lambda pod: (pod["metadata"].get("creationTimestamp") or "", pod["metadata"]["name"]), reverse=True)
    if workload.get("kind") in ("StatefulSet", "DaemonSet"):
        label, wanted = "controller-revision-hash", (workload.get("status") or {}).get("updateRevision")
    else:
        if not (workload.get("status") or {}).get("updatedReplicas"):
            return []  # all that is there is old
        label = "pod-template-hash"
        newer = newest_set(workload, replica_sets)
        wanted = ((newer or {"metadata": {}})["metadata"].get("labels") or {}).get(label)

    def revision(pod: Object) -> str | None:
        return t.cast("str | None", (pod["metadata"].get("labels") or {}).get(label))

    hashes = [revision(pod) for pod in live]
    wanted = wanted or next(iter(hashes), None)
    if workload.get("kind") == "StatefulSet" and wanted not in hashes:
        return live  # it replaces one by one, and stops at an old pod that is not healthy
    return [pod for pod in live if revision(pod) == wanted]


def newest_set(workload: Object, replica_sets: t.Sequence[Object]) -> Object | None:
    """Return the ReplicaSet of a Deployment's newest revision, or None."""
    uid = workload["metadata"].get("uid")

    def revision(replica_set: Object) -> int:
        text = (replica_set["metadata"].get("annotations") or {}).get(REVISION) or "0"
        return int(text) if text.isdigit() else 0

    owned = [
        item
        for item in replica_sets
        if any(owner.get("uid") == uid for owner in item["metadata"].get("ownerReferences") or [])
    ]
    return max(owned, key=revision, default=None)


# -- workloads --------------------------------------------------------------------------------------------------------


def workload(
    obj: Object | None,
    pods: t.Sequence[Object] = (),
    replica_sets: t.Sequence[Object] = (),
    now: float | None = None,
) -> Verdict:
    """Judge a Deployment, StatefulSet or DaemonSet by itself, and by its `pods` and ReplicaSets as far as given.

    `pods` may hold those of all revisions, but none of other workloads. With `now` (seconds since the epoch) a pod that
    has just started again after a crash has to stay ready for a while.
    """
    verdict = _daemon_set(obj) if obj is not None and obj.get("kind") == "DaemonSet" else rolled_out(obj)
    if obj is None or verdict.reason in ("Deleting", "NotObserved"):
        return verdict
    if verdict.state == READY:
        flapping = now is not None and any(restarted(pod, now) for pod in newest(obj, pods, replica_sets))
        return dataclasses.replace(verdict, stable_for=SETTLED) if flapping else verdict
    name, namespace = obj["metadata"]["name"], obj["metadata"].get("namespace")
    kind = str(obj.get("kind") or "Deployment").lower()
    if verdict.reason == "ScaledToZero":
        return terminal("workload/ScaledToZero").verdict(verdict.message, kind=kind, name=name, namespace=namespace)
    found = [each for pod in newest(obj, pods, replica_sets) if (each := finding(pod)) is not None]
    found.sort(key=lambda each: not terminal(each.key).ends)
    if found and terminal(found[0].key).ends:
        return terminal(found[0].key).verdict(found[0].message, remedy=found[0].remedy)
    # A Deployment repeats the condition of its newest ReplicaSet, but later.
    refusal = replica_failure(newest_set(obj, replica_sets)) or replica_failure(obj)
    if refusal:
        return terminal(creation_failure(refusal)).verdict(f"pods cannot be created: {_line(refusal)}")
    # An init container may take as long as it needs, and a Deployment counts only pods that became ready.
    if verdict.reason == "ProgressDeadlineExceeded" and not any(each.key == "pod/Initializing" for each in found):
        return terminal("workload/ProgressDeadlineExceeded").verdict(verdict.message)
    if (obj.get("spec") or {}).get("paused"):
        text = f"is paused: {verdict.message}"
        return terminal("workload/Paused").verdict(text, kind=kind, name=name, namespace=namespace)
    status = obj.get("status") or {}
    left = (status.get("replicas") or 0) - (status.get("updatedReplicas") or 0)
    text = verdict.message
    if verdict.reason == "RollingOut" and left > 0:
        text += f", {left} of the old revision left"
    return Verdict.pending(verdict.reason, f"{text}; {found[0].message}" if found else text)


def restarted(pod: Object, now: float) -> bool:
    """Tell whether a container has just started again after a crash: without a probe it counts as ready until the next.

    A node's clock that is ahead makes more restarts look recent, one that is behind fewer.
    """
    for item in (pod.get("status") or {}).get("containerStatuses") or []:
        crashed = (item.get("lastState") or {}).get("terminated") or {}
        started = ((item.get("state") or {}).get("running") or {}).get("startedAt")
        if crashed.get("exitCode") and started and now - _seconds(started) < SETTLED:
            return True
    return False


def _seconds(stamp: str) -> float:
    return calendar.timegm(time.strptime(stamp[:19], "%Y-%m-%dT%H:%M:%S"))


def _daemon_set(obj: Object) -> Verdict:
    status = obj.get("status") or {}
    if obj["metadata"].get("deletionTimestamp"):
        return Verdict.pending("Deleting", "is being deleted")
    if not current(obj) or "observedGeneration" not in status:
        return Verdict.pending("NotObserved", "its controller has not seen the current generation yet")
    wanted = status.get("desiredNumberScheduled") or 0
    ready, updated = status.get("numberReady") or 0, status.get("updatedNumberScheduled") or 0
    text = f"{ready} of {wanted} pods ready, {updated} updated"
    return Verdict.ready(text) if ready >= wanted and updated >= wanted else Verdict.pending("RollingOut", text)


def replica_failure(obj: Object | None) -> str:
    """Return why pods of a Deployment or ReplicaSet cannot be created; empty when they can."""
    failure = condition(obj, "ReplicaFailure")
    return (failure.get("message") or failure.get("reason") or "") if failure and failure["status"] == "True" else ""


def creation_failure(message: str) -> str:
    """Return the row of the table for a refused creation of pods (a condition's or an event's text)."""
    for pattern, key in (
        (r"exceeded quota|failed quota", "workload/ExceededQuota"),
        (r"failed calling webhook", "workload/WebhookDown"),
        (r"denied the request|ValidatingAdmissionPolicy", "workload/Denied"),
        (r"is forbidden|serviceaccount \S+ not found", "workload/PodForbidden"),
    ):
        if re.search(pattern, message):
            return key
    return "workload/FailedCreate"


# -- Jobs and claims --------------------------------------------------------------------------------------------------


def ended(job: Object | None) -> tuple[str, str, str]:
    """Return how a Job ended ("complete" or "failed"; empty while it has not), the reason and the message."""
    for kind, how in (("Complete", "complete"), ("Failed", "failed"), ("FailureTarget", "failed")):
        found = condition(job, kind)
        if found and found.get("status") == "True":
            return how, found.get("reason") or "", _line(found.get("message") or "")
    return "", "", ""


def job(obj: Object | None, pods: t.Sequence[Object] = (), last: Object | None = None) -> Verdict:
    """Judge a Job. `pods` may be of several Jobs; `last` is the Job as last seen, where it is gone now."""
    if obj is None:
        return _gone_job(last)
    name, namespace, status = obj["metadata"]["name"], obj["metadata"].get("namespace"), obj.get("status") or {}
    how, reason, message = ended(obj)
    if how == "complete":  # its work is done, even when it is deleted just now
        return Verdict.ready("is complete")
    if how == "failed":
        return (find("job", reason) or terminal("job/JobFailed")).verdict(f"failed ({reason}): {message}")
    if obj["metadata"].get("deletionTimestamp"):
        return Verdict.pending("Deleting", "is being deleted")
    if (obj.get("spec") or {}).get("suspend"):
        return terminal("job/Suspended").verdict("is suspended", name=name, namespace=namespace)
    own = [pod for pod in pods if (pod["metadata"].get("labels") or {}).get(JOB_LABEL) in (None, name)]
    own.sort(key=lambda pod: pod["metadata"].get("creationTimestamp") or "", reverse=True)
    found = [each for pod in own if (each := finding(pod)) is not None and each.key != "pod/Terminating"]
    for each in found:
        if each.key in _JOB_STATES:
            return terminal(each.key).verdict(each.message, remedy=each.remedy)
    text = f"{status.get('active') or 0} pods active, {status.get('failed') or 0} failed"
    return Verdict.pending("Running", f"{text}; {found[0].message}" if found else text)


def _gone_job(last: Object | None) -> Verdict:
    if last is None:
        return Verdict.pending("NotCreated", "does not exist yet")
    names = {"name": last["metadata"]["name"], "namespace": last["metadata"].get("namespace")}
    how, reason, message = ended(last)
    if how == "complete":
        return Verdict.ready("was complete, and is deleted")
    if how == "failed":
        return terminal("job/FailedAndDeleted").verdict(f"failed ({reason}) and was deleted: {message}", **names)
    return terminal("job/JobGone").verdict("was deleted, and how it ended was not seen", **names)


def claim(obj: Object | None) -> Verdict:
    """Judge a PersistentVolumeClaim."""
    if obj is None:
        return Verdict.pending("NotCreated", "does not exist yet")
    if obj["metadata"].get("deletionTimestamp"):
        return Verdict.pending("Deleting", "is being deleted")
    phase = (obj.get("status") or {}).get("phase") or "new"
    if phase == "Bound":
        return Verdict.ready("is bound")
    storage = (obj.get("spec") or {}).get("storageClassName")
    text = f"is {phase}, storage class {storage if storage is not None else '(the default of the cluster)'}"
    return terminal("claim/Lost" if phase == "Lost" else "claim/Unbound").verdict(text)
