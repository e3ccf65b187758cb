# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Why a Knative component, a Broker, a Trigger or a SinkBinding is not ready. PRIVATE to the collection."""

from __future__ import annotations

import dataclasses
import re
import typing as t

from ansible_collections.rhdh.orchestrator.plugins.module_utils._diagnose.cause import Cause, called, get_command
from ansible_collections.rhdh.orchestrator.plugins.module_utils._diagnose.causes import (
    conditions_cause,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._diagnose.workload import below_workload
from ansible_collections.rhdh.orchestrator.plugins.module_utils._knative import judge as knative_judge
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube import kinds as k
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.objects import Object, condition, current
from ansible_collections.rhdh.orchestrator.plugins.module_utils._release.products import (
    BROKER_DEPLOYMENTS,
    EVENTING_NAMESPACE,
    EVENTING_WEBHOOK,
    KAFKA_DEPLOYMENT,
    SERVERLESS_DEPLOYMENT,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._text.lines import short
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.states.table import terminal
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.verdict import READY

if t.TYPE_CHECKING:
    from ansible_collections.rhdh.orchestrator.plugins.module_utils._diagnose.reader import Reader


def below_component(reader: Reader, obj: Object) -> Cause | None:
    """Return why a KnativeServing, KnativeEventing or KnativeKafka is not ready."""
    home = obj["metadata"]["namespace"]
    message = " ".join(knative_judge.text_of(each) for each in (obj.get("status") or {}).get("conditions") or [])
    if "must be installed into the namespace" in message:
        text = f"{called(obj)} is in namespace {home}, where the product does not install it"
        remedy = (
            "Delete it. If that hangs, scale Deployment knative-openshift to 0, wait until it is gone, and scale "
            "it back to 1."
        )
        return Cause(text, remedy, get_command(obj))
    ready = (condition(obj, "Ready") or {}).get("status") == "True"
    if ready and current(obj):
        return None
    if ready or not (obj.get("status") or {}).get("conditions"):
        operator = KAFKA_DEPLOYMENT if obj["kind"] == "KnativeKafka" else SERVERLESS_DEPLOYMENT
        cause = reader.operator_down((operator,), "the OpenShift Serverless operator")
        if cause:
            return cause
        text = f"{called(obj)} has no status yet: the operator applies its objects for up to half a minute"
        return None if ready else Cause(text, "", get_command(obj))
    cause = _waiting_on(reader, message, home) or conditions_cause(obj)
    remedy = terminal("knative/Error" if "Error" in message else "knative/NotReady").remedy
    return dataclasses.replace(cause, remedy=cause.remedy or remedy) if cause else None


def _waiting_on(reader: Reader, message: str, home: str) -> Cause | None:
    """Return why the workloads do not run that a component of Knative waits for."""
    found = re.search(r"Waiting on (deployments|StatefulSets)(?:: ([\w, .-]+))?", message)
    if not found:
        return None
    kind = k.STATEFUL_SET if found.group(1) == "StatefulSets" else k.DEPLOYMENT
    names = re.findall(r"[\w.-]+", found.group(2) or "")
    if names:
        homes = (
            [home] if home == EVENTING_NAMESPACE else [home, f"{home}-ingress"]
        )  # Kourier has a namespace of its own
        objects = [obj for name in names[:3] for each in homes if (obj := reader.get(kind, name, each))]
    else:
        # Those with 0 replicas are meant to be so.
        objects = [obj for obj in reader.list(kind, home) if (obj.get("spec") or {}).get("replicas")]
    return next((cause for obj in objects if (cause := below_workload(reader, obj))), None)


def below_broker(reader: Reader, broker: Object) -> Cause | None:
    """Return why a Broker is not ready."""
    verdict = knative_judge.judge_broker(broker)
    if verdict.state == READY:
        return None
    metadata = broker["metadata"]
    text = f"Broker {metadata['namespace']}/{metadata['name']}: {short(verdict.message)}"
    own = (metadata.get("annotations") or {}).get("eventing.knative.dev/broker.class")
    if verdict.reason == "NoStatus" and own and own.lower() == "kafka" and own != "Kafka":
        text = f"{text}; nobody works on class {own!r}, which must be spelt Kafka, and cannot be changed"
        return Cause(text, "Delete the Broker and create it again with class Kafka.", get_command(broker))
    cause = None
    if verdict.reason in ("NoStatus", "BrokerNotReady"):
        for name in BROKER_DEPLOYMENTS:
            deployment = reader.get(k.DEPLOYMENT, name, EVENTING_NAMESPACE)
            cause = cause or (below_workload(reader, deployment) if deployment else None)
    return cause.below(text) if cause else Cause(text, verdict.remedy, get_command(broker))


def below_trigger(reader: Reader, trigger: Object) -> Cause | None:
    """Return why a Trigger is not ready: its Broker, its conditions, its events."""
    spec, namespace = trigger.get("spec") or {}, trigger["metadata"]["namespace"]
    broker = (condition(trigger, "BrokerReady") or condition(trigger, "Broker") or {}).get("status")
    if spec.get("broker") and broker != "True":
        cause = reader.down(k.BROKER, spec["broker"], namespace)
        if cause:
            return cause.below(called(trigger))
    return conditions_cause(trigger) or reader.events(trigger, anything=True)


def below_sink_binding(reader: Reader, binding: Object) -> Cause | None:
    """Return why a SinkBinding is not bound: the webhook that does it, its conditions."""
    if knative_judge.ready(binding):
        return None
    webhook = reader.get(k.DEPLOYMENT, EVENTING_WEBHOOK, EVENTING_NAMESPACE)
    if webhook is None and reader.known(k.DEPLOYMENT):
        text = f"{called(binding)} is not bound: Deployment {EVENTING_WEBHOOK}, which does it, does not exist"
        return Cause(text, "Install KnativeEventing.", f"oc get knativeeventing,deployments -n {EVENTING_NAMESPACE}")
    cause = below_workload(reader, webhook) if webhook else None
    if cause:
        return cause.below(f"{called(binding)} is not bound")
    return conditions_cause(binding) or Cause(
        f"{called(binding)} is not bound yet", terminal("platform/SinkNotBound").remedy, get_command(binding)
    )
