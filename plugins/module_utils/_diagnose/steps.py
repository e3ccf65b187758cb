# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From an unready object to the deepest cause that the cluster knows, and what to do about it. PRIVATE."""

from __future__ import annotations

import dataclasses

from ansible_collections.rhdh.orchestrator.plugins.module_utils._diagnose import (
    hub,
    knative,
    olm,
    other,
    platform,
    workload,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._diagnose.cause import Cause
from ansible_collections.rhdh.orchestrator.plugins.module_utils._diagnose.reader import ANY, Reader, Step
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube import kinds as k
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.session import Session

STEPS: dict[str, Step] = {
    "Subscription": olm.below_subscription,
    "InstallPlan": olm.below_plan,
    "CatalogSource": olm.below_catalog,
    "ClusterServiceVersion": olm.below_csv,
    "Deployment": workload.below_workload,
    "StatefulSet": workload.below_workload,
    "ReplicaSet": workload.below_workload,
    "DaemonSet": workload.below_workload,
    "Job": workload.below_job,
    "Pod": workload.below_pod,
    "PersistentVolumeClaim": workload.below_claim,
    "Backstage": hub.below_backstage,
    "KnativeServing": knative.below_component,
    "KnativeEventing": knative.below_component,
    "KnativeKafka": knative.below_component,
    "Broker": knative.below_broker,
    "Trigger": knative.below_trigger,
    "SinkBinding": knative.below_sink_binding,
    "SonataFlowPlatform": platform.below_platform,
    ANY: other.below_other,
}


def diagnose(session: Session, kind: k.Kind, name: str, namespace: str | None = None) -> Cause:
    """Return the deepest cause known for an object that is not ready, or not gone. Never raises for the API."""
    reader = Reader(session, STEPS)
    cause = reader.down(kind, name, namespace)
    if cause is None:
        plural = f"{kind.plural}.{kind.group}" if kind.group else kind.plural
        where = f" -n {namespace}" if namespace else ""
        cause = Cause(f"nothing below {kind.kind} {name} tells why", "", f"oc get {plural} {name}{where} -o yaml")
    if reader.notes:
        cause = dataclasses.replace(cause, message=f"{cause.message} (less detail: {'; '.join(reader.notes)})")
    return cause
