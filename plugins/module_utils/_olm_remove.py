# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Take operators away in the order that OLM survives: Subscription, CSV, then group and namespace if ours. PRIVATE.

A Subscription alone leaves the operator running; a namespace deleted while a CSV is in it may hang for ever.
"""

from __future__ import annotations

import dataclasses
import time
import typing as t

from ansible_collections.rhdh.orchestrator.plugins.module_utils import _kinds as k
from ansible_collections.rhdh.orchestrator.plugins.module_utils._api import (
    Object,
    Session,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._module import (
    InputError,
    WaitFailed,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm_operator import (
    OWN_CSVS,
    find_subscription,
    is_ours,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm_resolve import (
    Wanted,
    check_input,
    component_label,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._restart import (
    deployments_of,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait import (
    READY,
    Snapshot,
    Source,
    Verdict,
    wait,
)

OPERATOR_NAMESPACE_KINDS = (k.SUBSCRIPTION, k.CSV, k.DEPLOYMENT, k.STATEFUL_SET, k.POD, k.PVC, k.SERVICE)


@dataclasses.dataclass
class Leaving:
    """One operator that is to go."""

    wanted: Wanted
    subscription: Object | None
    csvs: list[Object]
    action: str = "absent"
    warnings: list[str] = dataclasses.field(default_factory=list)
    removed: list[str] = dataclasses.field(default_factory=list)

    @property
    def namespace(self) -> str:
        """Where it is."""
        return self.subscription["metadata"]["namespace"] if self.subscription else self.wanted.namespace

    @property
    def crds(self) -> list[Object]:
        """The CRDs that its CSVs own, as the CSVs name them."""
        owned = {}
        for csv in self.csvs:
            for crd in (csv["spec"].get("customresourcedefinitions") or {}).get("owned") or []:
                owned[crd["name"]] = crd
        return list(owned.values())

    @property
    def deployments(self) -> list[str]:
        """Names of the Deployments that go with its CSVs."""
        return [name for csv in self.csvs for name in deployments_of(csv)]


def csvs_of(wanted: Wanted, subscription: Object | None, csvs: t.Sequence[Object]) -> list[Object]:
    """Return the own CSVs that belong to an operator: those its Subscription names, and those with its label."""
    namespace = subscription["metadata"]["namespace"] if subscription else wanted.namespace
    status = (subscription or {}).get("status") or {}
    names = {status.get("installedCSV"), status.get("currentCSV")}
    label = component_label(wanted.package, namespace)
    return [csv for csv in csvs if csv["metadata"]["name"] in names or label in (csv["metadata"].get("labels") or {})]


def still_used(namespace: str, objects: t.Iterable[Object]) -> list[str]:
    """Return what keeps a namespace from being empty; pods on their way out do not count."""
    used = []
    for obj in objects:
        if "olm.copiedFrom" in (obj["metadata"].get("labels") or {}) or obj["metadata"].get("deletionTimestamp"):
            continue
        used.append(f"{obj.get('kind')} {obj['metadata']['name']}")
    return used


class Removal:
    """One call of the module for `state: absent`."""

    def __init__(
        self,
        session: Session,
        wanted: t.Sequence[Wanted],
        *,
        wait_for: float | None,
        manage_adopted: bool = False,
        ignore_custom_resources: bool = False,
        delete_crds: bool = False,
    ) -> None:
        """`wait_for` is in seconds; None does not wait, and then leaves groups and namespaces alone."""
        self.session, self.wanted, self.wait_for = session, list(wanted), wait_for
        self.manage_adopted, self.delete_crds = manage_adopted, delete_crds
        self.ignore_custom_resources = ignore_custom_resources or delete_crds
        self._started = time.monotonic()

    def absent(self) -> dict[str, t.Any]:
        """Take the operators away. Raises InputError before the first deletion, WaitFailed after it."""
        problems = check_input(self.wanted, "absent")
        if problems:
            raise InputError(problems)
        leaving = self._read()
        problems = self._objects_left(leaving)
        if problems:
            raise InputError(problems)
        going = [item for item in leaving if item.action == "removed"]
        for item in going:
            self._delete(item)
        timeline: list[dict[str, t.Any]] = []
        if going and self.wait_for is not None and not self.session.check_mode:
            timeline = self._until_gone(going)
        changed = bool(going)
        if self.wait_for is not None:
            changed = self._clean_namespaces(leaving) or changed
        for item in going:
            if self.delete_crds:
                for crd in item.crds:
                    if self.session.delete(k.CRD, crd["name"]):
                        item.removed.append(f"CustomResourceDefinition {crd['name']}")
        before = {item.wanted.package: item.removed for item in leaving if item.removed}
        return {
            "changed": changed,
            "operators": [self._result(item) for item in leaving],
            "timeline": timeline,
            "elapsed": round(time.monotonic() - self._started, 2),
            "warnings": [f"{item.wanted.package}: {text}" for item in leaving for text in item.warnings],
            "diff": {"before": before, "after": {}},
        }

    def _result(self, item: Leaving) -> dict[str, t.Any]:
        names = [csv["metadata"]["name"] for csv in item.csvs]
        leftovers = [f"operators.operators.coreos.com {item.wanted.package}.{item.namespace}"]
        if not self.delete_crds:
            leftovers += [f"CustomResourceDefinition {crd['name']}" for crd in item.crds]
        return {
            "name": item.wanted.package,
            "namespace": item.namespace,
            "channel": None,
            "csv": names[0] if names else None,
            "version": item.csvs[0]["spec"].get("version") if item.csvs else None,
            "subscription": item.subscription["metadata"]["name"] if item.subscription else None,
            "action": item.action,
            "plans_approved": [],
            "upgrades_included": [],
            "crds": [crd["name"] for crd in item.crds],
            "removed": item.removed,
            "leftovers": leftovers if item.action == "removed" else [],
            "warnings": item.warnings,
        }

    def _read(self) -> list[Leaving]:
        self._subscriptions = self.session.list(k.SUBSCRIPTION)
        leaving = []
        for wanted in self.wanted:
            subscription = find_subscription(self._subscriptions, wanted.package, wanted.namespace)
            namespace = subscription["metadata"]["namespace"] if subscription else wanted.namespace
            own = self.session.list(k.CSV, namespace, label_selector=OWN_CSVS)
            item = Leaving(wanted, subscription, csvs_of(wanted, subscription, own))
            item.action = self._decide(item)
            leaving.append(item)
        return leaving

    def _decide(self, item: Leaving) -> str:
        if item.subscription is None and not item.csvs:
            return "absent"
        if self.manage_adopted:
            return "removed"
        if item.subscription is not None and is_ours(item.subscription):
            return "removed"
        if item.subscription is None:
            # Left over from a removal that was interrupted, if the place is ours.
            namespace = self.session.get(k.NAMESPACE, item.namespace)
            if namespace is not None and is_ours(namespace):
                return "removed"
        item.warnings.append(f"somebody else installed it in {item.namespace}; it stays (manage_adopted removes it)")
        return "kept"

    def _objects_left(self, leaving: t.Sequence[Leaving]) -> list[str]:
        if self.ignore_custom_resources:
            return []
        problems = []
        for item in leaving:
            if item.action != "removed":
                continue
            for crd in item.crds:
                plural, _dot, group = crd["name"].partition(".")
                kind = k.Kind(group, crd["version"], plural, crd["kind"])
                found = self.session.list(kind)
                if found:
                    names = [
                        "/".join(filter(None, (o["metadata"].get("namespace"), o["metadata"]["name"]))) for o in found
                    ]
                    problems.append(
                        f"operators[{item.wanted.package}]: {len(found)} {crd['kind']} exist ({', '.join(names[:5])}); "
                        "nobody would look after them, and their finalizers would keep them. Delete them first, or "
                        "set ignore_custom_resources."
                    )
        return problems

    def _delete(self, item: Leaving) -> None:
        if item.subscription is not None:
            metadata = item.subscription["metadata"]
            self.session.delete(k.SUBSCRIPTION, metadata["name"], item.namespace, uid=metadata["uid"])
            item.removed.append(f"Subscription {item.namespace}/{metadata['name']}")
        for csv in item.csvs:
            self.session.delete(k.CSV, csv["metadata"]["name"], item.namespace)
            item.removed.append(f"ClusterServiceVersion {item.namespace}/{csv['metadata']['name']}")

    def _until_gone(self, going: t.Sequence[Leaving]) -> list[dict[str, t.Any]]:
        def evaluate(snapshot: Snapshot) -> dict[str, Verdict]:
            verdicts = {}
            for item in going:
                wanted = [(k.CSV, csv["metadata"]["name"]) for csv in item.csvs]
                wanted += [(k.DEPLOYMENT, name) for name in item.deployments]
                if item.subscription is not None:
                    wanted.append((k.SUBSCRIPTION, item.subscription["metadata"]["name"]))
                left = [
                    f"{kind.kind} {name}"
                    for kind, name in wanted
                    if snapshot.get(kind, name, item.namespace) is not None
                ]
                # OLM may have made one more CSV of a plan that was approved just before.
                verdicts[item.wanted.package] = (
                    Verdict.pending("Removing", ", ".join(left)) if left else Verdict.ready("gone", stable_for=1.0)
                )
            return verdicts

        sources = [Source(k.SUBSCRIPTION)]
        for home in dict.fromkeys(item.namespace for item in going):
            sources += [Source(k.CSV, home, label_selector=OWN_CSVS), Source(k.DEPLOYMENT, home)]
        ended = wait(self.session, sources, evaluate, timeout=self.wait_for or 0)
        if ended.phase != READY:
            hint = (
                "Cause: OLM takes away what belongs to a ClusterServiceVersion; it must be running.\n"
                "  To look further: oc get deployments -n openshift-operator-lifecycle-manager"
            )
            raise WaitFailed(ended, "the operators to be gone", [hint], changed=True)
        return ended.timeline

    def _clean_namespaces(self, leaving: t.Sequence[Leaving]) -> bool:
        """Delete our OperatorGroups and namespaces where nothing uses them any more."""
        changed = False
        deleted = []
        gone = {item.subscription["metadata"]["uid"] for item in leaving if item.subscription and item.removed}
        names = {csv["metadata"]["name"] for item in leaving for csv in item.csvs if item.removed}
        pods = {name for item in leaving for name in item.deployments if item.removed}
        for home in dict.fromkeys(item.namespace for item in leaving):
            item = next(entry for entry in leaving if entry.namespace == home)
            if item.action == "kept":
                continue
            namespace = self.session.get(k.NAMESPACE, home)
            if namespace is None or namespace["metadata"].get("deletionTimestamp"):
                continue
            left = self._left_in(home, gone, names, pods)
            if any(text.startswith(("Subscription ", "ClusterServiceVersion ")) for text in left):
                continue
            for group in self.session.list(k.OPERATOR_GROUP, home):
                if is_ours(group):
                    changed = self.session.delete(k.OPERATOR_GROUP, group["metadata"]["name"], home) or changed
                    item.removed.append(f"OperatorGroup {home}/{group['metadata']['name']}")
            if not is_ours(namespace):
                continue
            if left:
                item.warnings.append(f"namespace {home} stays, it still holds {', '.join(left[:5])}")
                continue
            changed = self.session.delete(k.NAMESPACE, home) or changed
            item.removed.append(f"Namespace {home}")
            deleted.append(home)
        if deleted and not self.session.check_mode:
            self._until_namespaces_gone(deleted)
        return changed

    def _left_in(self, home: str, gone: set[str], csvs: set[str], deployments: set[str]) -> list[str]:
        """Return what is left in a namespace; what this call deletes does not count, nor what goes with it."""
        left = []
        for kind in OPERATOR_NAMESPACE_KINDS:
            objects = []
            for obj in self.session.list(kind, home):
                metadata = obj["metadata"]
                if metadata.get("uid") in gone or (kind == k.CSV and metadata["name"] in csvs):
                    continue
                owners = [owner.get("kind") for owner in metadata.get("ownerReferences") or []]
                if kind == k.DEPLOYMENT and metadata["name"] in deployments:
                    continue
                # Pods and Services of the operator's Deployments and webhooks follow by themselves.
                if (kind == k.POD and "ReplicaSet" in owners) or "ClusterServiceVersion" in owners:
                    continue
                objects.append(obj)
            left += still_used(home, objects)
        return left

    def _until_namespaces_gone(self, names: t.Sequence[str]) -> None:
        def evaluate(snapshot: Snapshot) -> dict[str, Verdict]:
            return {
                name: (
                    Verdict.ready("gone")
                    if snapshot.get(k.NAMESPACE, name) is None
                    else Verdict.pending("Terminating", "is being deleted")
                )
                for name in names
            }

        left = max(10.0, (self.wait_for or 0) - (time.monotonic() - self._started))
        ended = wait(self.session, [Source(k.NAMESPACE)], evaluate, timeout=left)
        if ended.phase != READY:
            raise WaitFailed(ended, f"namespaces {', '.join(names)} to be gone", changed=True)
