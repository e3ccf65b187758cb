# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""KnativeServing and KnativeEventing: what must be so before, what ready means, what stands in the way of removal.

PRIVATE to the collection. Decisions are pure functions over plain dicts.
"""

from __future__ import annotations

import re
import typing as t

from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube import kinds as k
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.apply import contains
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.objects import (
    Object,
    condition,
    current,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._release.products import (
    EVENTING_NAMESPACE,
    EVENTING_WEBHOOK,
    SERVING_NAMESPACE,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.states.table import terminal
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.verdict import Verdict


class Component(t.NamedTuple):
    """One of the two; the product accepts each in one place only."""

    key: str  # the module's option
    kind: k.Kind
    name: str

    @property
    def namespace(self) -> str:
        """The namespace has the name of the object."""
        return self.name

    @property
    def title(self) -> str:
        """How messages call it."""
        return f"{self.kind.kind} {self.name}"


SERVING = Component("serving", k.KNATIVE_SERVING, SERVING_NAMESPACE)
EVENTING = Component("eventing", k.KNATIVE_EVENTING, EVENTING_NAMESPACE)
COMPONENTS = (SERVING, EVENTING)
# What hangs, or breaks, when a component is removed under it.
USERS: dict[str, tuple[k.Kind, ...]] = {
    "eventing": (k.BROKER, k.TRIGGER, k.SINK_BINDING, k.KNATIVE_KAFKA),
    "serving": (k.KNATIVE_SERVICE,),
}


def find(component: Component, found: t.Iterable[Object]) -> Object | None:
    """Return the object in its one right place, out of all of the kind in the cluster."""
    for obj in found:
        if (obj["metadata"].get("namespace"), obj["metadata"]["name"]) == (component.namespace, component.name):
            return obj
    return None


def misplaced(component: Component, found: t.Iterable[Object]) -> list[str]:
    """Return one problem per object of the kind elsewhere: two of them fight over the same installation."""
    problems = []
    for obj in found:
        namespace, name = obj["metadata"].get("namespace"), obj["metadata"]["name"]
        if (namespace, name) == (component.namespace, component.name):
            continue
        problems.append(
            f"A {component.kind.kind} {name} exists in namespace {namespace}; the product allows one, named "
            f"{component.name} in {component.namespace}. Remove it first: oc delete "
            f"{component.kind.plural}.{component.kind.group} {name} -n {namespace}. If its deletion hangs because the "
            "admission webhook denies the removal of its finalizer, scale Deployment knative-openshift to 0, wait "
            "until the object is gone, and scale it back to 1."
        )
    return problems


def differences(live: t.Any, wanted: t.Any, path: str = "spec") -> list[str]:
    """Return the paths at which `live` does not hold what `wanted` says."""
    if isinstance(wanted, dict) and isinstance(live, dict):
        return [
            difference
            for key, value in wanted.items()
            for difference in differences(live.get(key), value, f"{path}.{key}")
        ]
    return [] if contains(live, wanted) else [path]


def body(component: Component, spec: Object) -> Object:
    """Return what we apply: only what the user said, the operators' defaults never show in the spec."""
    return {"metadata": {"name": component.name, "namespace": component.namespace}, "spec": spec}


def judge(component: Component, obj: Object | None) -> Verdict:
    """Judge a KnativeServing or KnativeEventing.

    A Ready that is False with reason Error is progress: webhooks of the component are called before they serve. It
    never fails here; a wait shows the message when it times out.
    """
    if obj is None:
        return Verdict.pending("NotCreated", f"{component.title} does not exist yet")
    metadata, status = obj["metadata"], obj.get("status") or {}
    if metadata.get("deletionTimestamp"):
        return Verdict.pending("Deleting", "is being deleted; it can be created again when it is gone")
    if not status.get("conditions"):
        return Verdict.pending("NoStatus", "the operator has not reported yet")
    if status.get("observedGeneration", 0) < metadata.get("generation", 0):
        return Verdict.pending("NotObserved", "the operator has not seen the current generation yet")
    skipped = condition(obj, "VersionMigrationEligible")
    if skipped and skipped.get("status") == "False":
        return terminal("knative/VersionNotEligible").verdict(
            skipped.get("message") or "the operator cannot migrate from the installed version"
        )
    main = condition(obj, "Ready")
    if main and main.get("status") == "True":
        return Verdict.ready(f"version {status.get('version', 'unknown')}")
    parts = [
        f"{each['type']}: {' '.join(filter(None, (each.get('reason'), each.get('message'))))}".rstrip(": ")
        for each in status["conditions"]
        if each.get("status") != "True" and each.get("type") != "Ready"
    ]
    key = "knative/Error" if (main or {}).get("reason") == "Error" else "knative/NotReady"
    return terminal(key).verdict("; ".join(parts) or "conditions are not True yet")


def judge_webhook(deployment: Object | None) -> Verdict:
    """Judge the Deployment that admits Brokers, Triggers and SinkBindings."""
    if deployment is None:
        return Verdict.pending("NotCreated", f"Deployment {EVENTING_WEBHOOK} does not exist yet")
    status = deployment.get("status") or {}
    available = condition(deployment, "Available")
    if (
        available
        and available.get("status") == "True"
        and (status.get("readyReplicas") or 0) >= 1
        and status.get("observedGeneration", 0) >= deployment["metadata"].get("generation", 0)
    ):
        return Verdict.ready(f"{status['readyReplicas']} replica(s) ready")
    return Verdict.pending("NotAvailable", (available or {}).get("message") or "no replica is ready yet")


def ready(obj: Object) -> bool:
    """Tell whether an eventing object (Broker, Trigger, SinkBinding) is Ready in its current generation."""
    return current(obj) and (condition(obj, "Ready") or {}).get("status") == "True"


# A Broker's conditions in the order in which they come true.
BROKER_CONDITIONS = ("ConfigParsed", "TopicReady", "ConfigMapUpdated", "DataPlaneAvailable", "ProbeSucceeded")
# What reason and message of the first that is False say -> row of the table of states.
_BROKER_STATES = (
    (r"run out of available brokers|i/o timeout|connection refused|no such host", "broker/KafkaUnreachable"),
    (r"[Rr]eplication-factor|Failed to create topic", "broker/TopicRefused"),
    (r"failed to get configmap|failed to get secret|not found", "broker/ObjectMissing"),
    (r"validating topic config|failed to parse|unsupported|required \(key", "broker/InvalidConfig"),
)


def judge_broker(broker: Object) -> Verdict:
    """Judge a Broker. The text may stand in a condition's reason, with an empty message: both are shown."""
    if broker["metadata"].get("deletionTimestamp"):
        return Verdict.pending("Deleting", "is being deleted")
    if ready(broker):
        return Verdict.ready("is Ready")
    if not (broker.get("status") or {}).get("conditions"):
        return terminal("broker/NoStatus").verdict("nobody has reported on it yet")
    for kind in BROKER_CONDITIONS:
        found = condition(broker, kind)
        if found and found.get("status") == "False":
            said = text_of(found)
            states = [key for pattern, key in _BROKER_STATES if re.search(pattern, said)]
            return terminal(states[0] if states else "broker/BrokerNotReady").verdict(f"{kind}: {said}")
    return terminal("broker/BrokerNotReady").verdict(text_of(condition(broker, "Ready") or {}) or "is not Ready yet")


def text_of(found: t.Mapping[str, t.Any]) -> str:
    """Return what a condition says: some of Knative's carry the text in the reason."""
    return ": ".join(part for part in (found.get("reason"), found.get("message")) if part)


def removal_problems(component: Component, users: t.Iterable[Object]) -> list[str]:
    """Return what keeps a component from being removed: objects that need it to work, or to be deleted themselves."""
    by_kind: dict[str, list[str]] = {}
    for obj in users:
        metadata = obj["metadata"]
        by_kind.setdefault(obj["kind"], []).append(f"{metadata.get('namespace')}/{metadata['name']}")
    return [
        f"{component.title} is in use by {len(names)} {kind}(s): {', '.join(sorted(names)[:5])}"
        f"{' ...' if len(names) > 5 else ''}. Remove them first: without {component.kind.kind} they stop working and "
        "their own deletion can hang."
        for kind, names in sorted(by_kind.items())
    ]
