# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What of an operator is removed, what stays, and when it is gone. PRIVATE to the collection."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube import kinds as k
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.errors import ApiError
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.objects import Object
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.session import Session
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm.csv import (
    component_label,
    deployments_of,
    owned_crds,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm.resolve import Wanted
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.states.table import terminal
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.verdict import Verdict

OPERATOR_NAMESPACE_KINDS = (
    *(k.SUBSCRIPTION, k.CSV, k.DEPLOYMENT, k.STATEFUL_SET, k.JOB, k.POD, k.PVC, k.SERVICE),
    *(k.CONFIG_MAP, k.SECRET),
)
# What every namespace has: it is lost with none.
AUTOMATIC_CONFIG_MAPS = ("kube-root-ca.crt", "openshift-service-ca.crt", "config-service-cabundle")
AUTOMATIC_ACCOUNTS = ("default", "builder", "deployer", "pipeline")
AUTOMATIC_BINDINGS = "system:"  # how OpenShift's own RoleBindings begin
LEADER = "control-plane.alpha.kubernetes.io/leader"  # annotation on what only elects one of several pods
AUTOMATIC_SECRETS = ("kubernetes.io/service-account-token", "kubernetes.io/dockercfg")
OLM_PLACES = ("openshift-operator-lifecycle-manager", "olm")


@dataclasses.dataclass
class RemovedOperator:
    """One operator that is to be removed, or turns out to stay."""

    wanted: Wanted
    subscription: Object | None
    csvs: list[Object]
    action: str = "absent"
    warnings: list[str] = dataclasses.field(default_factory=list)
    removed: list[str] = dataclasses.field(default_factory=list)

    @property
    def namespace(self) -> str:
        """Where it is: one in another namespace is not what was asked for."""
        return self.wanted.namespace

    @property
    def uids(self) -> list[str]:
        """The uids of its Subscription and CSVs."""
        return [obj["metadata"]["uid"] for obj in (self.subscription, *self.csvs) if obj is not None]

    @property
    def crds(self) -> list[Object]:
        """The CRDs that its CSVs own, as the CSVs name them."""
        owned = {}
        for csv in self.csvs:
            for crd in owned_crds(csv["spec"]):
                owned[crd["name"]] = crd
        return list(owned.values())

    @property
    def deployments(self) -> list[str]:
        """Names of the Deployments that go with its CSVs."""
        return [name for csv in self.csvs for name in deployments_of(csv)]

    def result(self, subscriptions: t.Iterable[Object], packages: t.Collection[str]) -> dict[str, t.Any]:
        """Return what the module reports of it, given all Subscriptions and the packages that the call removes."""
        names = [csv["metadata"]["name"] for csv in self.csvs]
        leftovers = [f"operators.operators.coreos.com {self.wanted.package}.{self.namespace}"]
        leftovers += [
            f"Subscription {self.namespace}/{found['metadata']['name']} (a dependency that OLM added)"
            for found in subscriptions
            if found["metadata"]["namespace"] == self.namespace
            and "olm.generated-by" in (found["metadata"].get("annotations") or {})
            and found["spec"]["name"] not in packages
        ]
        kept = [f"CustomResourceDefinition {crd['name']}" for crd in self.crds]
        leftovers += [text for text in kept if text not in self.removed]
        return {
            "name": self.wanted.package,
            "namespace": self.namespace,
            "channel": None,
            "csv": names[0] if names else None,
            "version": self.csvs[0]["spec"].get("version") if self.csvs else None,
            "subscription": self.subscription["metadata"]["name"] if self.subscription else None,
            "action": self.action,
            "plans_approved": [],
            "upgrades_included": [],
            "crds": [crd["name"] for crd in self.crds],
            "removed": self.removed,
            "leftovers": leftovers if self.action == "removed" else [],
            "warnings": self.warnings,
        }


def kind_of(crd: Object) -> k.Kind:
    """Return the kind of a CRD, as a CSV names it."""
    plural, _dot, group = crd["name"].partition(".")
    return k.Kind(group, crd["version"], plural, crd["kind"])


def csvs_of(wanted: Wanted, subscription: Object | None, csvs: t.Sequence[Object]) -> list[Object]:
    """Return the own CSVs that belong to an operator: those its Subscription names, and those with its label."""
    namespace = subscription["metadata"]["namespace"] if subscription else wanted.namespace
    status = (subscription or {}).get("status") or {}
    names = {status.get("installedCSV"), status.get("currentCSV")}
    label = component_label(wanted.package, namespace)
    return [csv for csv in csvs if csv["metadata"]["name"] in names or label in (csv["metadata"].get("labels") or {})]


def automatic(obj: Object) -> bool:
    """Tell whether an object comes by itself, in every namespace or to one where OLM has installed something."""
    metadata, kind = obj["metadata"], obj.get("kind")
    labels, name = metadata.get("labels") or {}, metadata["name"]
    return (
        "olm.copiedFrom" in labels
        or labels.get("olm.managed") == "true"
        or LEADER in (metadata.get("annotations") or {})
        or (kind == "ConfigMap" and name in AUTOMATIC_CONFIG_MAPS)
        or (kind == "Secret" and obj.get("type") in AUTOMATIC_SECRETS)
        or (kind == "ServiceAccount" and name in AUTOMATIC_ACCOUNTS)
        or (kind == "RoleBinding" and name.startswith(AUTOMATIC_BINDINGS))
    )


def stopped_part(session: Session) -> str:
    """Return which of OLM's two operators does not run, as far as that may be seen; empty when all is well."""
    for namespace in OLM_PLACES:
        for name in ("olm-operator", "catalog-operator"):
            try:
                found = session.get(k.DEPLOYMENT, name, namespace)
            except ApiError as exc:
                if not exc.forbidden:
                    raise
                return ""
            if found is not None and not (found.get("status") or {}).get("availableReplicas"):
                return f"{namespace}/{name}"
    return ""


def judge_removal(left: t.Sequence[str], csvs: t.Iterable[Object | None]) -> Verdict:
    """Return the verdict on an operator that is being removed: what is left of it, and its CSVs as they are now."""
    held = [csv["metadata"]["name"] for csv in csvs if csv and csv["metadata"].get("deletionTimestamp")]
    if held:
        return terminal("csv/CleanupHeld").verdict(f"{', '.join(held)} still has OLM's finalizer")
    if left:
        return Verdict.pending("Removing", ", ".join(left))
    # OLM may have made one more CSV of a plan that was approved just before.
    return Verdict.ready("gone", stable_for=1.0)
