# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From an unready object down to the deepest cause that the cluster knows, with what to do. PRIVATE.

Reads only, and only after a wait has ended badly. What may not be read makes the answer less detailed and is said.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.rhdh.orchestrator.plugins.module_utils import _kinds as k
from ansible_collections.rhdh.orchestrator.plugins.module_utils._api import (
    ApiError,
    Object,
    Session,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm_judge import (
    catalog_state,
    crd_safety,
    unmet_requirements,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._restart import (
    deployments_of,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait import (
    READY,
    condition,
    rolled_out,
)

LOG_LINES = 4  # of a crashed container: more would push the remedy out of the message
MAX_TEXT = 300
IMAGE_REASONS = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError")
CONFIG_REASONS = ("CreateContainerConfigError", "CreateContainerError", "RunContainerError")


@dataclasses.dataclass(frozen=True)
class Cause:
    """The deepest known cause, what to do about it, and the command that shows more."""

    message: str
    remedy: str = ""
    command: str = ""

    def text(self, prefix: str = "") -> str:
        """Return at most a few lines for an error message."""
        lines = [f"Cause: {prefix}{self.message}"]
        if self.remedy:
            lines.append(f"  What to do: {self.remedy}")
        if self.command:
            lines.append(f"  To look further: {self.command}")
        return "\n".join(lines)


def short(text: str) -> str:
    """Return a text on one line, cut."""
    line = " ".join(str(text).split())
    return line if len(line) <= MAX_TEXT else line[: MAX_TEXT - 3] + "..."


# -- one object: pure functions ---------------------------------------------------------------------------------------


def pod_cause(pod: Object, log: t.Callable[[str, bool], str] = lambda container, previous: "") -> Cause | None:
    """Return why a pod is not ready, or None when it is. `log(container, previous)` returns its last log lines."""
    metadata, status = pod["metadata"], pod.get("status") or {}
    name, namespace = metadata["name"], metadata.get("namespace")
    command = f"oc describe pod {name} -n {namespace}"
    if metadata.get("deletionTimestamp"):
        return Cause(f"pod {name} is being deleted", "Look for finalizers and a node that does not answer.", command)
    if status.get("reason") == "Evicted":
        return Cause(
            f"pod {name} was evicted: {short(status.get('message', ''))}", "Free the resource it names.", command
        )
    scheduled = condition(pod, "PodScheduled")
    if scheduled and scheduled.get("status") == "False":
        return Cause(
            f"pod {name} cannot be scheduled: {short(scheduled.get('message', ''))}",
            "Free or add resources, or repair the volume, selector or taint that it names.",
            command,
        )
    states = [(True, item) for item in status.get("initContainerStatuses") or []]
    states += [(False, item) for item in status.get("containerStatuses") or []]
    for init, item in states:
        cause = _container_cause(name, namespace, item, init, command, log)
        if cause:
            return cause
    ready = condition(pod, "Ready")
    if status.get("phase") == "Succeeded" or (ready and ready.get("status") == "True"):
        return None
    waiting = [item["name"] for init, item in states if not init and not item.get("ready")]
    if waiting and status.get("phase") == "Running":
        return Cause(
            f"pod {name} runs, but its readiness probe does not pass (container {', '.join(waiting)})",
            "Read what the container says.",
            f"oc logs {name} -c {waiting[0]} -n {namespace}",
        )
    return Cause(f"pod {name} is {status.get('phase') or 'new'}: {short(status.get('message') or '')}", "", command)


def _container_cause(
    pod: str,
    namespace: str | None,
    item: Object,
    init: bool,
    command: str,
    log: t.Callable[[str, bool], str],
) -> Cause | None:
    state = item.get("state") or {}
    waiting, ended = state.get("waiting") or {}, state.get("terminated") or {}
    last = (item.get("lastState") or {}).get("terminated") or {}
    what = f"{'init ' if init else ''}container {item['name']} of pod {pod}"
    reason, message = waiting.get("reason") or "", short(waiting.get("message") or "")
    if reason in IMAGE_REASONS:
        return Cause(
            f"{what} cannot pull image {item.get('image')} ({reason}): {message}",
            "Check that the image exists, that the mirror and pull secret serve it, and the network.",
            command,
        )
    if reason in CONFIG_REASONS:
        return Cause(
            f"{what} cannot be created ({reason}): {message}",
            "Create the Secret, ConfigMap or key that it names; the pod goes on by itself.",
            command,
        )
    crashed = ended if ended.get("exitCode") else (last if reason == "CrashLoopBackOff" or last.get("exitCode") else {})
    if crashed and not item.get("ready"):
        lines = log(item["name"], not ended).strip().splitlines()[-LOG_LINES:]
        said = f"; it said last: {' | '.join(line.strip()[:300] for line in lines)}" if lines else ""
        why = crashed.get("reason") or "Error"
        previous = "" if ended else " --previous"
        remedy = "Raise its memory limit." if why == "OOMKilled" else "Repair what its log says."
        return Cause(
            f"{what} ended with exit code {crashed.get('exitCode')} ({why}, {item.get('restartCount', 0)} restarts)"
            f"{said}",
            remedy,
            f"oc logs {pod} -c {item['name']} -n {namespace}{previous}",
        )
    if reason == "CrashLoopBackOff":
        remedy = "Repair what its log says."
        return Cause(f"{what} crashes: {message}", remedy, f"oc logs {pod} -c {item['name']} -n {namespace} --previous")
    if init and (state.get("running") is not None) and not item.get("ready"):
        return Cause(f"{what} is still running", "", f"oc logs {pod} -c {item['name']} -n {namespace}")
    return None


def csv_cause(csv: Object) -> Cause | None:
    """Return what a CSV itself says, or None when it has Succeeded or only its Deployments can tell."""
    status, metadata = csv.get("status") or {}, csv["metadata"]
    phase, reason = status.get("phase"), status.get("reason")
    command = f"oc get csv {metadata['name']} -n {metadata.get('namespace')} -o yaml"
    unmet = unmet_requirements(csv)
    if unmet and phase in ("Pending", "Failed"):
        text = f"{metadata['name']} misses: {short('; '.join(unmet))}"
        return Cause(text, "Restore it; the CSV goes on by itself.", command)
    if phase == "Failed" and reason not in ("InstallCheckFailed", "ComponentUnhealthy"):
        return Cause(f"{metadata['name']} Failed ({reason}): {short(status.get('message') or '')}", "", command)
    return None


def claim_cause(claim: Object) -> Cause | None:
    """Return why a PersistentVolumeClaim is not bound, or None when it is."""
    phase = (claim.get("status") or {}).get("phase")
    if phase == "Bound":
        return None
    name, namespace = claim["metadata"]["name"], claim["metadata"].get("namespace")
    storage = claim["spec"].get("storageClassName") or "(the cluster's default)"
    return Cause(
        f"PersistentVolumeClaim {name} is {phase or 'new'}, storage class {storage}",
        "Check that the storage class exists (or is marked as default) and that its provisioner works.",
        f"oc describe pvc {name} -n {namespace}",
    )


def job_cause(job: Object) -> Cause | None:
    """Return why a Job failed by its own words, or None when it has not."""
    failed = condition(job, "Failed")
    if not failed or failed.get("status") != "True":
        return None
    name, namespace = job["metadata"]["name"], job["metadata"].get("namespace")
    text = f"Job {name} failed ({failed.get('reason')}): {short(failed.get('message') or '')}"
    return Cause(text, "Read its pod's log; delete the Job to have it run again.", f"oc logs job/{name} -n {namespace}")


def event_cause(events: t.Sequence[Object], name: str) -> Cause | None:
    """Return what the newest warning says, above all refusals by quota and admission webhooks."""
    warnings = [event for event in events if event.get("type") == "Warning"]
    warnings.sort(key=lambda e: e.get("lastTimestamp") or e.get("eventTime") or "", reverse=True)
    for event in warnings:
        message, namespace = event.get("message") or "", event["metadata"].get("namespace")
        if "exceeded quota" in message:
            remedy, command = "Raise the quota, or free what uses it.", f"oc describe quota -n {namespace}"
        elif "webhook" in message:
            remedy, command = (
                "The webhook's pod must answer, or its operator be removed.",
                "oc get validatingwebhookconfigurations,mutatingwebhookconfigurations",
            )
        elif event.get("reason") in ("FailedCreate", "FailedMount", "FailedAttachVolume", "ProvisioningFailed"):
            remedy, command = "Repair what it names.", f"oc get events -n {namespace}"
        else:
            continue
        return Cause(f"{name}: {event.get('reason')}: {short(message)}", remedy, command)
    return None


# -- down the tree ----------------------------------------------------------------------------------------------------


def diagnose(session: Session, kind: k.Kind, name: str, namespace: str | None = None) -> Cause:
    """Return the deepest cause known for an object that is not ready. Never raises for what the API refuses."""
    reader = _Reader(session)
    try:
        cause = reader.down(kind, name, namespace)
    except ApiError as exc:
        cause = Cause(f"{kind.kind} {name}: no more is known, since the API server said: {short(str(exc))}")
    if cause is None:
        where = f" -n {namespace}" if namespace else ""
        plural = f"{kind.plural}.{kind.group}" if kind.group else kind.plural
        cause = Cause(f"nothing below {kind.kind} {name} tells why", "", f"oc get {plural} {name}{where} -o yaml")
    if reader.refused:
        note = f" (less detail: not allowed to read {', '.join(sorted(reader.refused))})"
        cause = dataclasses.replace(cause, message=cause.message + note)
    return cause


class _Reader:
    def __init__(self, session: Session) -> None:
        self._session = session
        self.refused: set[str] = set()

    def _get(self, kind: k.Kind, name: str, namespace: str | None) -> Object | None:
        try:
            return self._session.get(kind, name, namespace)
        except ApiError as exc:
            if not exc.forbidden:
                raise
            self.refused.add(kind.plural)
            return None

    def _list(self, kind: k.Kind, namespace: str | None, **selectors: str) -> list[Object]:
        try:
            return self._session.list(kind, namespace, **selectors)
        except ApiError as exc:
            if not exc.forbidden:
                raise
            self.refused.add(kind.plural)
            return []

    def down(self, kind: k.Kind, name: str, namespace: str | None) -> Cause | None:
        """Return the cause below one object."""
        obj = self._get(kind, name, namespace)
        if obj is None:
            if kind.plural in self.refused:
                return None
            where = f" in {namespace}" if namespace else ""
            return Cause(f"{kind.kind} {name} does not exist{where}", "", f"oc get events -n {namespace or 'default'}")
        steps: dict[str, t.Callable[[Object], Cause | None]] = {
            "Subscription": self._subscription,
            "ClusterServiceVersion": self._csv,
            "Deployment": self._workload,
            "StatefulSet": self._workload,
            "ReplicaSet": self._workload,
            "DaemonSet": self._workload,
            "Job": self._job,
            "Pod": self._pod,
            "PersistentVolumeClaim": lambda claim: self._events(claim) or claim_cause(claim),
        }
        step = steps.get(kind.kind)
        return step(obj) if step else self._events(obj)

    def _subscription(self, subscription: Object) -> Cause | None:
        status = subscription.get("status") or {}
        namespace = subscription["metadata"]["namespace"]
        ref = (status.get("installPlanRef") or {}).get("name")
        plan = self._get(k.INSTALL_PLAN, ref, namespace) if ref else None
        message = ((plan or {}).get("status") or {}).get("message") or ""
        if plan is not None and message:
            text = crd_safety(message) or short(message)
            return Cause(
                f"InstallPlan {ref} ({plan['status'].get('phase')}): {text}",
                "Repair what it names.",
                f"oc get installplan {ref} -n {namespace} -o yaml",
            )
        name = status.get("currentCSV")
        if name and self._get(k.CSV, name, namespace) is not None:
            return self.down(k.CSV, name, namespace)
        unpack = condition(subscription, "BundleUnpackFailed") or condition(subscription, "BundleUnpacking")
        if unpack and unpack.get("status") == "True" and unpack.get("reason") != "EnsureInstallPlanFailed":
            home = subscription["spec"].get("sourceNamespace")
            for job in self._list(k.JOB, home, label_selector="operatorframework.io/bundle-unpack-ref"):
                done = condition(job, "Complete")
                if not done or done.get("status") != "True":
                    return self._job(job) or Cause(short(unpack.get("message") or "the bundle is being unpacked"))
        sick = [c for c in self._list(k.CATALOG_SOURCE, None) if catalog_state(c) != "READY"]
        if sick:
            metadata = sick[0]["metadata"]
            text = f"CatalogSource {metadata['namespace']}/{metadata['name']} is {catalog_state(sick[0])}"
            command = f"oc get pods -n {metadata['namespace']} -l olm.catalogSource={metadata['name']}"
            return Cause(text, "Repair the catalog's pod, or delete a catalog that nobody needs.", command)
        resolution = condition(subscription, "ResolutionFailed")
        if resolution and resolution.get("status") == "True":
            name = subscription["metadata"]["name"]
            return Cause(short(resolution.get("message") or ""), "", f"oc describe subscription {name} -n {namespace}")
        return None

    def _csv(self, csv: Object) -> Cause | None:
        found = csv_cause(csv)
        if found:
            return found
        namespace = csv["metadata"]["namespace"]
        for name in deployments_of(csv):
            deployment = self._get(k.DEPLOYMENT, name, namespace)
            if deployment is not None and rolled_out(deployment).state != READY:
                return self._workload(deployment)
        return None

    def _workload(self, workload: Object) -> Cause | None:
        name, namespace = workload["metadata"]["name"], workload["metadata"]["namespace"]
        verdict = rolled_out(workload) if workload.get("kind") in ("Deployment", "StatefulSet") else None
        if verdict is not None and verdict.state == READY:
            return None
        labels = (workload["spec"].get("selector") or {}).get("matchLabels") or {}
        selector = ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
        pods = self._list(k.POD, namespace, label_selector=selector) if selector else []
        # The newest pods are those of the wanted revision; older ones may be healthy or on their way out.
        pods.sort(key=lambda pod: pod["metadata"].get("creationTimestamp") or "", reverse=True)
        live = [pod for pod in pods if not pod["metadata"].get("deletionTimestamp")]
        for pod in live:
            cause = self._pod(pod)
            if cause:
                return dataclasses.replace(cause, message=f"{workload.get('kind')} {name}: {cause.message}")
        for sets in (k.REPLICA_SET,) if workload.get("kind") == "Deployment" else ():
            for replica_set in self._list(sets, namespace, label_selector=selector):
                failure = condition(replica_set, "ReplicaFailure")
                if failure and failure.get("status") == "True":
                    events = [{**failure, "type": "Warning", "metadata": {"namespace": namespace}}]
                    events[0]["reason"] = failure.get("reason") or "FailedCreate"
                    return event_cause(events, f"Deployment {name}") or Cause(short(failure.get("message") or ""))
                cause = self._events(replica_set)
                if cause:
                    return cause
        cause = self._events(workload)
        if cause:
            return cause
        if verdict is None:
            return None
        plural = f"{str(workload.get('kind')).lower()}/{name}"
        return Cause(f"{workload.get('kind')} {name} {verdict.message}", "", f"oc describe {plural} -n {namespace}")

    def _job(self, job: Object) -> Cause | None:
        name, namespace = job["metadata"]["name"], job["metadata"]["namespace"]
        pods = self._list(k.POD, namespace, label_selector=f"batch.kubernetes.io/job-name={name}")
        pods.sort(key=lambda pod: pod["metadata"].get("creationTimestamp") or "", reverse=True)
        for pod in pods:
            cause = self._pod(pod)
            if cause:
                return dataclasses.replace(cause, message=f"Job {name}: {cause.message}")
        return job_cause(job) or self._events(job)

    def _pod(self, pod: Object) -> Cause | None:
        name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]

        def log(container: str, previous: bool) -> str:
            return self._session.pod_log(namespace, name, container, previous=previous, lines=LOG_LINES)

        cause = pod_cause(pod, log)
        unscheduled = condition(pod, "PodScheduled")
        if cause and unscheduled and unscheduled.get("status") == "False":
            return self._claims(pod) or cause
        if cause and (pod.get("status") or {}).get("phase") == "Pending":
            return self._events(pod) or cause
        return cause

    def _claims(self, pod: Object) -> Cause | None:
        for volume in pod["spec"].get("volumes") or []:
            claim = (volume.get("persistentVolumeClaim") or {}).get("claimName")
            found = self._get(k.PVC, claim, pod["metadata"]["namespace"]) if claim else None
            cause = claim_cause(found) if found else None
            if found and cause:
                return self._events(found) or cause
        return None

    def _events(self, obj: Object) -> Cause | None:
        metadata = obj["metadata"]
        selector = f"involvedObject.uid={metadata.get('uid')}"
        events = self._list(k.EVENT, metadata.get("namespace") or "default", field_selector=selector)
        return event_cause(events, f"{obj.get('kind')} {metadata['name']}")
