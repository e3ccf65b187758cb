# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Why pods do not run: workloads, Jobs, pods and what a pod needs. PRIVATE to the collection."""

from __future__ import annotations

import typing as t

from ansible_collections.rhdh.orchestrator.plugins.module_utils._diagnose.cause import Cause, called, get_command
from ansible_collections.rhdh.orchestrator.plugins.module_utils._diagnose.causes import (
    claim_cause,
    creation_cause,
    job_cause,
    missing_remedy,
    node_cause,
    pod_cause,
    references,
    storage_cause,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube import kinds as k
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.objects import Object
from ansible_collections.rhdh.orchestrator.plugins.module_utils._text.lines import short
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.states.table import terminal
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.verdict import READY
from ansible_collections.rhdh.orchestrator.plugins.module_utils._workload.jobs import JOB_LABEL
from ansible_collections.rhdh.orchestrator.plugins.module_utils._workload.pods import finding, missing_object
from ansible_collections.rhdh.orchestrator.plugins.module_utils._workload.rollout import (
    newest,
    newest_set,
    replica_failure,
    workload,
)

if t.TYPE_CHECKING:
    from ansible_collections.rhdh.orchestrator.plugins.module_utils._diagnose.reader import Reader

MAX_REFERENCES = 4  # Secrets and ConfigMaps of a pod that are looked for


def below_workload(reader: Reader, obj: Object) -> Cause | None:
    """Return why a Deployment, StatefulSet, ReplicaSet or DaemonSet is not ready: its pods, else why it has none."""
    kind, namespace = obj["kind"], obj["metadata"]["namespace"]
    verdict = workload(obj) if kind != "ReplicaSet" else None
    if verdict is not None and verdict.state == READY:
        return None
    selector = (obj.get("spec") or {}).get("selector") or {}
    labels = ",".join(f"{key}={value}" for key, value in sorted((selector.get("matchLabels") or {}).items()))
    sets = reader.list(k.REPLICA_SET, namespace, labels) if kind == "Deployment" and labels else []
    latest = newest_set(obj, sets)
    template = ((latest or {"metadata": {}})["metadata"].get("labels") or {}).get("pod-template-hash")
    narrow = f"{labels},pod-template-hash={template}" if template else labels
    pods = reader.list(k.POD, namespace, narrow) if labels else []
    cause = _worst_pod(reader, newest(obj, pods, sets) if kind != "ReplicaSet" else pods)
    if cause:
        return cause.below(called(obj))
    refusal = replica_failure(latest) or replica_failure(obj)
    if refusal:
        return creation_cause(refusal, called(obj), namespace)
    for each in (latest, obj):
        cause = reader.events(each) if each else None
        if cause:
            return cause
    if pods and all(pod["metadata"].get("deletionTimestamp") for pod in pods):
        cause = below_pod(reader, pods[0])
    if cause:
        return cause.below(called(obj))
    if verdict is None:
        return None
    return Cause(f"{called(obj)}: {short(verdict.message)}", verdict.remedy, get_command(obj))


def _worst_pod(reader: Reader, pods: t.Iterable[Object]) -> Cause | None:
    """Return the cause of the first pod that is not ready; one that cannot recover comes first."""
    found = [(each, pod) for pod in pods if (each := finding(pod)) is not None]
    found.sort(key=lambda item: not terminal(item[0].key).ends)
    return below_pod(reader, found[0][1]) if found else None


def below_job(reader: Reader, job: Object) -> Cause | None:
    """Return why a Job fails or does not end: its newest pod, its suspension, its events."""
    name, namespace = job["metadata"]["name"], job["metadata"]["namespace"]
    failed = job_cause(job)
    pods = reader.list(k.POD, namespace, f"{JOB_LABEL}={name}")
    pods.sort(key=lambda pod: pod["metadata"].get("creationTimestamp") or "", reverse=True)
    for pod in pods:
        cause = below_pod(reader, pod)
        if cause:
            return cause.below(failed.message if failed else called(job))
    if (job.get("spec") or {}).get("suspend") and not failed:
        remedy = terminal("job/Suspended").remedy.format(name=name, namespace=namespace)
        return Cause(f"{called(job)} is suspended", remedy, get_command(job))
    return failed or reader.events(job)


def below_pod(reader: Reader, pod: Object) -> Cause | None:
    """Return why a pod is not ready: what it says, what it needs and does not exist, or its node."""
    found = finding(pod)
    cause = pod_cause(pod, lambda container, previous: reader.log(pod, container, previous))
    if found is None or cause is None:
        return None
    deeper = None
    if found.key == "pod/Unschedulable":
        deeper = _claims(reader, pod)
    elif found.key in ("pod/ContainerCreating", "pod/Initializing") and not found.log:
        deeper = reader.events(pod) or _claims(reader, pod) or _references(reader, pod)
    elif found.key == "pod/CreateContainerConfigError" and missing_object(found.message) is None:
        deeper = _references(reader, pod)
    if deeper is None and found.key in ("pod/ContainerCreating", "pod/Terminating", "pod/NodeLost", "pod/NotReady"):
        deeper = _node(reader, pod)
    return deeper.below(f"pod {pod['metadata']['name']}") if deeper else cause


def _node(reader: Reader, pod: Object) -> Cause | None:
    """Return what is wrong with a pod's node."""
    name = (pod.get("spec") or {}).get("nodeName")
    node = reader.get(k.NODE, name) if name else None
    return node_cause(node, name) if name and (node or reader.known(k.NODE)) else None


def _references(reader: Reader, pod: Object) -> Cause | None:
    """Return the first Secret or ConfigMap of a pod that is not there: events get lost."""
    namespace = pod["metadata"]["namespace"]
    for missing in references(pod)[:MAX_REFERENCES]:
        kind = k.SECRET if missing.kind == "Secret" else k.CONFIG_MAP
        if reader.get(kind, missing.name, namespace) is None and reader.known(kind):
            text = f"{missing.kind} {missing.name}, which it needs, does not exist in {namespace}"
            return Cause(text, *missing_remedy(missing, namespace))
    return None


def _claims(reader: Reader, pod: Object) -> Cause | None:
    """Return why one of a pod's PersistentVolumeClaims is not bound."""
    namespace = pod["metadata"]["namespace"]
    for volume in (pod.get("spec") or {}).get("volumes") or []:
        name = (volume.get("persistentVolumeClaim") or {}).get("claimName")
        if not name:
            continue
        found = reader.get(k.PVC, name, namespace)
        if found is None and reader.known(k.PVC):
            text = f"PersistentVolumeClaim {name} does not exist in {namespace}"
            return Cause(text, "Create it.", f"oc get pvc -n {namespace}")
        cause = below_claim(reader, found) if found else None
        if cause:
            return cause
    return None


def below_claim(reader: Reader, claim: Object) -> Cause | None:
    """Return why a PersistentVolumeClaim is not bound: its storage class, its events, what it says."""
    cause = claim_cause(claim)
    if cause is None:
        return None
    classes = reader.list(k.STORAGE_CLASS)
    storage = storage_cause(claim, classes) if reader.known(k.STORAGE_CLASS) else None
    return storage or reader.events(claim) or cause
