# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The network policies around a platform of our own. PRIVATE to the collection.

The Developer Hub operator makes them along with its platform and for no other one. Policies add up, so ours have names
of their own; they select the platform's services alone, since a pod that a policy selects is shut off from everybody
whom no policy names. Workflows get one only where a policy of the namespace shuts them off already. The platform owns
them, so that they go with it.
"""

from __future__ import annotations

import typing as t

from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.apply import Change
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.errors import ApiError
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.kinds import (
    NETWORK_POLICY,
    SONATAFLOW_PLATFORM,
    SUBSCRIPTION,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.objects import (
    Object,
    created_by_us,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.session import Session
from ansible_collections.rhdh.orchestrator.plugins.module_utils._platform.parts import SERVICE_LABEL
from ansible_collections.rhdh.orchestrator.plugins.module_utils._platform.spec import SERVICES, service_name
from ansible_collections.rhdh.orchestrator.plugins.module_utils._release.lookup import known_releases, release
from ansible_collections.rhdh.orchestrator.plugins.module_utils._release.products import (
    EVENTING_NAMESPACE,
    SERVING_NAMESPACE,
)

NAME_LABEL = "kubernetes.io/metadata.name"  # of every namespace
# Knative delivers events to the services and scales workflows; the Serverless Logic operator asks them.
KNATIVE = (EVENTING_NAMESPACE, SERVING_NAMESPACE)
MONITORING = "openshift-user-workload-monitoring"
WORKFLOW_LABEL = "sonataflow.org/workflow-app"  # on the pods of workflows


def operator_namespaces(session: Session) -> list[str]:
    """Return where the Serverless Logic operator runs; where it is installed by default, if that may not be read."""
    rows = [release(name)["operators"]["logic"] for name in known_releases()]
    packages = {row["package"] for row in rows}
    default = sorted({row["namespace"] for row in rows})
    try:
        subscriptions = session.list(SUBSCRIPTION)
    except ApiError as exc:
        if not exc.forbidden:
            raise
        return default
    found = {
        item["metadata"]["namespace"]
        for item in subscriptions
        if item["spec"].get("name") in packages and (item.get("status") or {}).get("installedCSV")
    }
    return sorted(found) or default


def shut_off(platform: Object, existing: t.Iterable[Object]) -> bool:
    """Tell whether a policy that is not the platform's shuts off the pods of workflows."""
    for policy in existing:
        spec = policy.get("spec") or {}
        if _owned(policy, platform) or "Ingress" not in (spec.get("policyTypes") or ["Ingress"]):
            continue
        if _selects_workflows(spec.get("podSelector") or {}):
            return True
    return False


def _owned(policy: Object, platform: Object) -> bool:
    owners = [owner.get("uid") for owner in policy["metadata"].get("ownerReferences") or []]
    return platform["metadata"]["uid"] in owners


def _selects_workflows(selector: Object) -> bool:
    """Tell whether a selector takes pods of any workflow: of their labels only the one that all have is known."""
    others = [key for key in selector.get("matchLabels") or {} if key != WORKFLOW_LABEL]
    for expression in selector.get("matchExpressions") or []:
        known, absence = expression["key"] == WORKFLOW_LABEL, expression["operator"] in ("DoesNotExist", "NotIn")
        if known and expression["operator"] == "DoesNotExist":
            return False
        if not known and not absence:
            others.append(expression["key"])
    return not others


def policies(
    platform: Object, operators: t.Iterable[str], others: t.Iterable[str] = (), *, workflows: bool = False
) -> list[Object]:
    """Return the policies for a platform that exists.

    `operators` are the namespaces of the Serverless Logic operator, `others` further namespaces with workflows. With
    `workflows`, one for the pods of workflows as well.
    """
    metadata = platform["metadata"]
    infrastructure = [*KNATIVE, *operators, *sorted(set(others) - {metadata["namespace"]})]
    sources: dict[str, list[Object]] = {
        "infrastructure": [_namespace({NAME_LABEL: name}) for name in infrastructure],
        "ingress": [_namespace({"policy-group.network.openshift.io/ingress": ""})],
        "namespace": [{"podSelector": {}}],
        "monitoring": [_namespace({NAME_LABEL: MONITORING})],
    }
    services = [service_name(metadata["name"], service) for service in SERVICES]
    ours = {"matchExpressions": [{"key": SERVICE_LABEL, "operator": "In", "values": services}]}
    found = [_policy(platform, name, ours, allowed) for name, allowed in sources.items()]
    if workflows:
        pods = {"matchExpressions": [{"key": WORKFLOW_LABEL, "operator": "Exists"}]}
        found.append(_policy(platform, "workflows", pods, [peer for allowed in sources.values() for peer in allowed]))
    return found


def _policy(platform: Object, name: str, selector: Object, allowed: list[Object]) -> Object:
    metadata = platform["metadata"]
    owner = {
        "apiVersion": SONATAFLOW_PLATFORM.api_version,
        "kind": SONATAFLOW_PLATFORM.kind,
        "name": metadata["name"],
        "uid": metadata["uid"],
    }
    return {
        "metadata": {
            "name": f"{metadata['name']}-allow-{name}",
            "namespace": metadata["namespace"],
            "ownerReferences": [owner],
        },
        "spec": {"podSelector": selector, "policyTypes": ["Ingress"], "ingress": [{"from": allowed}]},
    }


def _namespace(labels: Object) -> Object:
    return {"namespaceSelector": {"matchLabels": labels}}


def ensure(session: Session, platform: Object, others: t.Iterable[str] = ()) -> list[Change]:
    """Ensure the policies of a platform; in check mode, say what would be done.

    The one for workflows goes when nothing but itself shuts them off.
    """
    existing = session.list(NETWORK_POLICY, platform["metadata"]["namespace"])
    wanted = policies(platform, operator_namespaces(session), others, workflows=shut_off(platform, existing))
    changes = [session.ensure(NETWORK_POLICY, body) for body in wanted]
    names = {body["metadata"]["name"] for body in wanted}
    for policy in existing:
        metadata = policy["metadata"]
        ours = _owned(policy, platform) and created_by_us(policy)
        if ours and metadata["name"] not in names:
            session.delete(NETWORK_POLICY, metadata["name"], metadata["namespace"], uid=metadata["uid"])
            changes.append(Change("deleted", policy, policy))
    return changes
