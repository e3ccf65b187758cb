# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Why one object is not as wanted, by its own words: cause, remedy and the command that shows more. PRIVATE.

Pure functions over plain dicts; `reader` and the modules of the products go from one object to the next.
"""

from __future__ import annotations

import typing as t

from ansible_collections.rhdh.orchestrator.plugins.module_utils._diagnose.cause import Cause, called, get_command
from ansible_collections.rhdh.orchestrator.plugins.module_utils._knative.judge import text_of
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.objects import Object, condition
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm.judge import unmet_requirements
from ansible_collections.rhdh.orchestrator.plugins.module_utils._release.products import LOGIC_DEPLOYMENTS
from ansible_collections.rhdh.orchestrator.plugins.module_utils._text.lines import LOG_LINES, log_line, short
from ansible_collections.rhdh.orchestrator.plugins.module_utils._text.redact import redact_text
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.states.table import find, hint, terminal
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.verdict import READY
from ansible_collections.rhdh.orchestrator.plugins.module_utils._workload.claims import claim
from ansible_collections.rhdh.orchestrator.plugins.module_utils._workload.jobs import ended
from ansible_collections.rhdh.orchestrator.plugins.module_utils._workload.pods import Missing, finding, missing_object
from ansible_collections.rhdh.orchestrator.plugins.module_utils._workload.rollout import creation_failure

_ABNORMAL = ("NotReady", "Failed", "Degraded", "Stalled")  # conditions that tell of trouble by being True
_NORMAL = ("BuildSkipped",)  # reasons of conditions that stay False where all is well
_SUMMARY = ("Ready", "Succeed", "Available", "Running", "Deployed")  # conditions that sum up the others
WEBHOOKS = "oc get validatingwebhookconfigurations,mutatingwebhookconfigurations"


class Finalizer(t.NamedTuple):
    """Who takes a finalizer off."""

    part: str  # of its name
    remedy: str
    operators: tuple[tuple[str, ...], ...] = ()  # Deployments that must all run; each by its possible names


FINALIZERS: tuple[Finalizer, ...] = (
    Finalizer("operators.coreos.com/csv-cleanup", "OLM must run.", (("olm-operator",),)),
    Finalizer("workflow-deletion", "The Serverless Logic operator must run.", (LOGIC_DEPLOYMENTS,)),
    Finalizer("trigger-deletion", "The Serverless Logic operator must run.", (LOGIC_DEPLOYMENTS,)),
    Finalizer(
        "kafka.eventing/",
        "Kafka was not reachable when its Broker was deleted: take the finalizer off when no Broker has that uid.",
    ),
    Finalizer(
        "sinkbindings.sources.knative.dev",
        "The eventing-webhook must run, that is KnativeEventing must still be there.",
        (("eventing-webhook",),),
    ),
    Finalizer(
        "brokers.eventing.knative.dev",
        "kafka-controller must run and reach Kafka, that is KnativeKafka must still be there.",
        (("kafka-controller",),),
    ),
    Finalizer(
        "triggers.eventing.knative.dev",
        "kafka-controller must run, that is KnativeKafka must still be there.",
        (("kafka-controller",),),
    ),
    Finalizer(
        "knative",
        "Both operators of OpenShift Serverless must run, and its webhook must allow the change.",
        (("knative-openshift",), ("knative-operator-webhook",)),
    ),
    Finalizer("pvc-protection", "A pod still uses the claim: delete the pod first."),
    Finalizer(
        "foregroundDeletion", "Its dependents go first. For a Backstage this never ends: delete it again in background."
    ),
)


def holder(obj: Object) -> Finalizer | None:
    """Return the first finalizer, known to us, that holds an object, or what is left in a namespace."""
    left = condition(obj, "NamespaceFinalizersRemaining") or {}
    text = " ".join([*(obj["metadata"].get("finalizers") or []), left.get("message") or ""])
    return next((each for each in FINALIZERS if each.part in text), None)


# -- pods and what they need ------------------------------------------------------------------------------------------


def pod_cause(pod: Object, log: t.Callable[[str, bool], str] = lambda container, previous: "") -> Cause | None:
    """Return why a pod is not ready, or None when it is. `log(container, previous)` returns its last log lines."""
    found = finding(pod)
    if found is None:
        return None
    name, namespace = pod["metadata"]["name"], pod["metadata"].get("namespace")
    missing = missing_object(found.message) if found.key == "pod/CreateContainerConfigError" else None
    if missing:
        return Cause(short(found.message), *missing_remedy(missing, namespace))
    if not found.log:
        return Cause(short(found.message), found.remedy, f"oc describe pod {name} -n {namespace}")
    previous = found.log == "previous"
    text = redact_text(log(found.container, previous))
    lines = [log_line(line) for line in text.strip().splitlines()[-LOG_LINES:] if line.strip()]
    command = f"oc logs {name} -c {found.container} -n {namespace}{' --previous' if previous else ''}"
    return Cause(short(found.message), hint(found.key, text) or found.remedy, command, " | ".join(lines))


def missing_remedy(missing: Missing, namespace: str | None) -> tuple[str, str]:
    """Return what to do about a missing object, and the command that shows it."""
    kind = missing.kind.lower()
    if missing.key:
        remedy = f"Put the key {missing.key} into {missing.kind} {missing.name} in {namespace}, or name the right key"
        return f"{remedy}; the pod goes on by itself.", f"oc describe {kind} {missing.name} -n {namespace}"
    remedy = f"Create {missing.kind} {missing.name} in {namespace}; the pod goes on by itself."
    return remedy, f"oc get {kind}s -n {namespace}"


def references(pod: Object) -> list[Missing]:
    """Return the Secrets and ConfigMaps that a pod cannot start without."""
    spec = pod.get("spec") or {}
    found: list[Missing] = []

    def add(kind: str, reference: t.Any, name: str = "name") -> None:
        if isinstance(reference, dict) and reference.get(name) and not reference.get("optional"):
            found.append(Missing(kind, reference[name]))

    for container in (spec.get("initContainers") or []) + (spec.get("containers") or []):
        for source in container.get("envFrom") or []:
            add("Secret", source.get("secretRef"))
            add("ConfigMap", source.get("configMapRef"))
        for variable in container.get("env") or []:
            source = variable.get("valueFrom") or {}
            add("Secret", source.get("secretKeyRef"))
            add("ConfigMap", source.get("configMapKeyRef"))
    for volume in spec.get("volumes") or []:
        add("Secret", volume.get("secret"), "secretName")
        add("ConfigMap", volume.get("configMap"))
    return list(dict.fromkeys(found))


def node_cause(node: Object | None, name: str) -> Cause | None:
    """Return what is wrong with a pod's node, or None when it is ready."""
    if node is None:
        return Cause(f"its node {name} is gone", "The pod is replaced after five minutes.", "oc get nodes")
    ready = condition(node, "Ready")
    if ready and ready.get("status") == "True":
        return None
    text = f"its node {name} is not ready: {short(text_of(ready or {})) or 'it does not say why'}"
    return Cause(text, "Repair the node, or drain it.", f"oc describe node {name}")


def claim_cause(obj: Object) -> Cause | None:
    """Return why a PersistentVolumeClaim is not bound, or None when it is."""
    verdict = claim(obj)
    if verdict.state == READY:
        return None
    text = f"PersistentVolumeClaim {obj['metadata']['name']} {verdict.message}"
    return Cause(
        text, verdict.remedy, f"oc describe pvc {obj['metadata']['name']} -n {obj['metadata'].get('namespace')}"
    )


def storage_cause(obj: Object, classes: t.Sequence[Object]) -> Cause | None:
    """Return what is wrong with the storage class of a claim that is not bound, or None."""
    name, namespace = obj["metadata"]["name"], obj["metadata"].get("namespace")
    wanted = (obj.get("spec") or {}).get("storageClassName")
    names = sorted(item["metadata"]["name"] for item in classes)
    marks = ("storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class")
    there = f"; there are: {', '.join(names)}" if names else "; there is none at all"
    if wanted and wanted not in names:
        text = f"PersistentVolumeClaim {name} asks for storage class {wanted}, which does not exist{there}"
        return Cause(text, "Create the class, or create the claim again with one that exists.", "oc get storageclass")
    if wanted is None and not any(
        (item["metadata"].get("annotations") or {}).get(mark) == "true" for item in classes for mark in marks
    ):
        text = f"PersistentVolumeClaim {name} names no storage class, and the cluster has no default one{there}"
        return Cause(
            text, "Mark a class as default, or name one in the claim.", f"oc describe pvc {name} -n {namespace}"
        )
    return None


def job_cause(job: Object) -> Cause | None:
    """Return why a Job failed by its own words, or None when it has not."""
    how, reason, message = ended(job)
    if how != "failed":
        return None
    name, namespace = job["metadata"]["name"], job["metadata"].get("namespace")
    remedy = (find("job", reason) or terminal("job/JobFailed")).remedy
    return Cause(f"Job {name} failed ({reason}): {short(message)}", remedy, f"oc logs job/{name} -n {namespace}")


# -- events -----------------------------------------------------------------------------------------------------------


def event_time(event: Object) -> str:
    """Return when an event was last seen (RFC 3339, UTC)."""
    series = event.get("series") or {}
    times = (event.get("lastTimestamp"), event.get("eventTime"), series.get("lastObservedTime"))
    return max((time for time in times if time), default=event["metadata"].get("creationTimestamp") or "")


def event_cause(events: t.Iterable[Object], what: str, anything: bool = False) -> Cause | None:
    """Return what the newest telling warning says; with `anything`, what any says where none tells more."""
    warnings = sorted((e for e in events if e.get("type") == "Warning"), key=event_time, reverse=True)
    for event in warnings:
        reason, message = event.get("reason") or "", event.get("message") or ""
        namespace = event["metadata"].get("namespace")
        command = f"oc get events -n {namespace} --sort-by=.lastTimestamp"
        text = f"{what}: {reason}: {short(message)}"
        missing = missing_object(message)
        if reason == "FailedMount" and missing:
            return Cause(text, *missing_remedy(missing, namespace))
        if reason == "FailedCreate":
            return creation_cause(message, what, namespace)
        if "failed calling webhook" in message:
            return Cause(text, terminal("workload/WebhookDown").remedy, WEBHOOKS)
        if reason == "FailedScheduling":
            return Cause(text, terminal("pod/Unschedulable").remedy, command)
        if reason == "ProvisioningFailed":
            return Cause(text, terminal("claim/Unbound").remedy, command)
        if reason in ("FailedMount", "FailedAttachVolume", "FailedMapVolume", "FailedCreatePodSandBox"):
            return Cause(text, "Repair what it names; the pod goes on by itself.", command)
    if anything and warnings:
        event = warnings[0]
        text = f"{what}: {event.get('reason')}: {short(event.get('message') or '')}"
        return Cause(text, "", f"oc get events -n {event['metadata'].get('namespace')} --sort-by=.lastTimestamp")
    return None


def creation_cause(message: str, what: str, namespace: str | None) -> Cause:
    """Return why the API server refuses to create pods."""
    key = creation_failure(message)
    command = {
        "workload/ExceededQuota": f"oc describe quota -n {namespace}",
        "workload/WebhookDown": WEBHOOKS,
        "workload/Denied": WEBHOOKS,
    }.get(key, f"oc get events -n {namespace} --sort-by=.lastTimestamp")
    return Cause(f"{what}: pods cannot be created: {short(message)}", terminal(key).remedy, command)


# -- objects of any kind ----------------------------------------------------------------------------------------------


def csv_cause(csv: Object) -> Cause | None:
    """Return what a CSV itself says, or None when it has Succeeded or only its Deployments can tell."""
    status, name = csv.get("status") or {}, csv["metadata"]["name"]
    phase, reason, message = status.get("phase"), status.get("reason") or "", short(status.get("message") or "")
    command = get_command(csv, "get") + " -o yaml"
    origin = (csv["metadata"].get("labels") or {}).get("olm.copiedFrom")
    if origin:
        remedy = terminal("csv/Copied").remedy.format(origin=origin)
        return Cause(f"{name} is a copy from namespace {origin}, which installs nothing here", remedy, command)
    unmet = unmet_requirements(csv)
    if unmet and phase in ("Pending", "Failed"):
        minimum = any("minKubeVersion" in item for item in unmet)
        remedy = terminal("csv/MinKubeVersion" if minimum else "csv/RequirementsNotMet").remedy
        return Cause(f"{name} misses: {short('; '.join(unmet))}", remedy, command)
    if reason == "OperatorConditionNotUpgradeable":
        namespace = csv["metadata"].get("namespace")
        command = f"oc get operatorconditions -n {namespace} -o yaml"
        return Cause(f"{name} is not installed yet: {message}", terminal(f"csv/{reason}").remedy, command)
    row = find("csv", reason)
    if phase == "Failed" and (row is None or row.ends):
        return Cause(f"{name} Failed ({reason}): {message}", row.remedy if row else "", command)
    return None


def conditions_cause(obj: Object) -> Cause | None:
    """Return what the conditions of an object of any kind say, or None when they are all well.

    One that explains is taken rather than the one that sums up; the first that is False rather than Unknown.
    """
    found = []
    for each in (obj.get("status") or {}).get("conditions") or []:
        kind, status = each.get("type") or "", each.get("status")
        if each.get("reason") in _NORMAL:
            continue
        if status == ("True" if kind in _ABNORMAL else "False") or status == "Unknown":
            found.append((status == "Unknown", not text_of(each), kind in _SUMMARY, kind, each))
    if not found:
        return None
    _unknown, _silent, _summary, kind, worst = min(found, key=lambda item: item[:3])
    text = f"{called(obj)}: {kind} is {worst.get('status')}: {short(text_of(worst)) or 'it does not say why'}"
    if "failed calling webhook" in text:
        return Cause(text, terminal("workload/WebhookDown").remedy, WEBHOOKS)
    return Cause(text, "", get_command(obj))


def deletion_cause(obj: Object) -> Cause:
    """Return what holds an object that is being deleted."""
    metadata = obj["metadata"]
    held = metadata.get("finalizers") or []
    if not held:
        return Cause(f"{called(obj)} is being deleted", "", get_command(obj))
    owner = holder(obj)
    remedy = owner.remedy if owner else "Whoever set the finalizer must run to take it off; look for its operator."
    text = f"{called(obj)} is being deleted since {metadata['deletionTimestamp']}, held by {', '.join(held)}"
    return Cause(text, remedy, get_command(obj, "get") + " -o yaml")


def namespace_cause(namespace: Object) -> Cause:
    """Return what is left in a namespace that is being deleted."""
    conditions = {each["type"]: each for each in (namespace.get("status") or {}).get("conditions") or []}
    left = [short(each.get("message") or "") for each in conditions.values() if each.get("status") == "True"]
    name = namespace["metadata"]["name"]
    text = f"Namespace {name} is being deleted; {'; '.join(left) or 'it does not say what is left'}"
    owner = holder(namespace)
    remedy = owner.remedy if owner else "Delete what is named, or have the operator run that takes its finalizer off."
    return Cause(text, remedy, f"oc get namespace {name} -o yaml")
