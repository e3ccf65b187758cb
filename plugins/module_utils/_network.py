# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The network policies around a platform of our own. PRIVATE to the collection.

The Developer Hub operator makes them along with its platform and for no other one. They only matter in a namespace that
has a policy already: without any, everything may talk to everything. Policies add up, so ours have names of their own
and hurt nobody; the platform owns them, so that they go with it.
"""

from __future__ import annotations

import typing as t

from ansible_collections.rhdh.orchestrator.plugins.module_utils._api import (
    Change,
    Object,
    Session,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kinds import (
    NETWORK_POLICY,
    SONATAFLOW_PLATFORM,
)

NAME_LABEL = "kubernetes.io/metadata.name"  # of every namespace
# Knative delivers events to the services and scales workflows; the Serverless Logic operator asks them.
INFRASTRUCTURE = ("knative-eventing", "knative-serving", "openshift-serverless-logic")
MONITORING = "openshift-user-workload-monitoring"


def policies(platform: Object, others: t.Iterable[str] = ()) -> list[Object]:
    """Return the policies for a platform that exists; `others` are further namespaces with workflows."""
    metadata = platform["metadata"]
    infrastructure = [*INFRASTRUCTURE, *sorted(set(others) - {metadata["namespace"]})]
    sources: dict[str, list[Object]] = {
        "infrastructure": [_namespace({NAME_LABEL: name}) for name in infrastructure],
        "ingress": [_namespace({"policy-group.network.openshift.io/ingress": ""})],
        "namespace": [{"podSelector": {}}],
        "monitoring": [_namespace({NAME_LABEL: MONITORING})],
    }
    owner = {
        "apiVersion": SONATAFLOW_PLATFORM.api_version,
        "kind": SONATAFLOW_PLATFORM.kind,
        "name": metadata["name"],
        "uid": metadata["uid"],
    }
    return [
        {
            "metadata": {
                "name": f"{metadata['name']}-allow-{name}",
                "namespace": metadata["namespace"],
                "ownerReferences": [owner],
            },
            "spec": {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{"from": allowed}]},
        }
        for name, allowed in sources.items()
    ]


def _namespace(labels: Object) -> Object:
    return {"namespaceSelector": {"matchLabels": labels}}


def ensure(session: Session, platform: Object, others: t.Iterable[str] = ()) -> list[Change]:
    """Bring the policies of a platform about; in check mode, say what would be done."""
    return [session.ensure(NETWORK_POLICY, body) for body in policies(platform, others)]
