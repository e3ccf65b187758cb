# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a workload is rolled out, and why not. PRIVATE to the collection; pure functions."""

from __future__ import annotations

import calendar
import dataclasses
import re
import time
import typing as t

from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.objects import Object, condition, current
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.states.table import terminal
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.verdict import READY, Verdict
from ansible_collections.rhdh.orchestrator.plugins.module_utils._workload.pods import finding, last_line


def rolled_out(workload: Object | None) -> Verdict:
    """Judge a Deployment or StatefulSet: rolled out in its current generation, with at least one replica."""
    if workload is None:
        return Verdict.pending("NotCreated", "does not exist yet")
    if workload["metadata"].get("deletionTimestamp"):
        return Verdict.pending("Deleting", "is being deleted")
    status = workload.get("status") or {}
    wanted = (workload.get("spec") or {}).get("replicas", 1)
    if wanted == 0:
        return Verdict.pending("ScaledToZero", "is scaled to 0 replicas: nothing runs, though it counts as available")
    if not current(workload) or "observedGeneration" not in status:
        return Verdict.pending("NotObserved", "its controller has not seen the current generation yet")
    ready, updated = status.get("readyReplicas") or 0, status.get("updatedReplicas") or 0
    progress = condition(workload, "Progressing")
    if progress and progress.get("reason") == "ProgressDeadlineExceeded":
        return Verdict.pending("ProgressDeadlineExceeded", progress.get("message") or "exceeded its progress deadline")
    if updated < wanted or ready < wanted or (status.get("replicas") or 0) > wanted:
        return Verdict.pending("RollingOut", f"{ready} of {wanted} replicas ready, {updated} updated")
    return Verdict.ready(f"{ready} of {wanted} replicas ready")


SETTLED = 10.0  # seconds after a crash that a container without a probe must live to count as ready
REVISION = "deployment.kubernetes.io/revision"  # annotation of a ReplicaSet: the highest is the wanted one


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
        return terminal(creation_failure(refusal)).verdict(f"pods cannot be created: {last_line(refusal)}")
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
