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
from ansible_collections.rhdh.orchestrator.plugins.module_utils import _olm_rights as rights
from ansible_collections.rhdh.orchestrator.plugins.module_utils._api import (
    ApiError,
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
from ansible_collections.rhdh.orchestrator.plugins.module_utils._terminal import (
    terminal,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait import (
    READY,
    Snapshot,
    Source,
    Verdict,
    wait,
)

OPERATOR_NAMESPACE_KINDS = (
    *(k.SUBSCRIPTION, k.CSV, k.DEPLOYMENT, k.STATEFUL_SET, k.JOB, k.POD, k.PVC, k.SERVICE),
    *(k.CONFIG_MAP, k.SECRET),
)
# What every namespace has: nobody's loss.
AUTOMATIC_CONFIG_MAPS = ("kube-root-ca.crt", "openshift-service-ca.crt", "config-service-cabundle")
AUTOMATIC_SECRETS = ("kubernetes.io/service-account-token", "kubernetes.io/dockercfg")
OLM_PLACES = ("openshift-operator-lifecycle-manager", "olm")


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


def still_used(objects: t.Iterable[Object]) -> list[str]:
    """Return what keeps a namespace from being empty; what is on its way out or comes by itself does not count."""
    used = []
    for obj in objects:
        if "olm.copiedFrom" in (obj["metadata"].get("labels") or {}) or obj["metadata"].get("deletionTimestamp"):
            continue
        if obj["metadata"]["name"] in AUTOMATIC_CONFIG_MAPS or obj.get("type") in AUTOMATIC_SECRETS:
            continue
        used.append(f"{obj.get('kind')} {obj['metadata']['name']}")
    return used


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


def judge_leaving(left: t.Sequence[str], csvs: t.Iterable[Object | None]) -> Verdict:
    """Return the verdict on an operator that is to go: what is left of it, and its CSVs as they are now."""
    held = [csv["metadata"]["name"] for csv in csvs if csv and csv["metadata"].get("deletionTimestamp")]
    if held:
        return terminal("csv/CleanupHeld").verdict(f"{', '.join(held)} still has OLM's finalizer")
    if left:
        return Verdict.pending("Removing", ", ".join(left))
    # OLM may have made one more CSV of a plan that was approved just before.
    return Verdict.ready("gone", stable_for=1.0)


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
        leaving: list[Leaving] = []
        try:
            leaving = self._read()
            problems = self._problems(leaving)
        except ApiError as exc:
            lacking = self._missing_rights(leaving or self.wanted) if exc.forbidden else []
            if not lacking:
                raise
            raise InputError([rights.in_words(lacking)], roles=rights.roles(lacking)) from exc
        if problems:
            raise InputError(problems)
        going = [item for item in leaving if item.action == "removed"]
        lacking = self._missing_rights(going)
        if lacking:
            raise InputError([rights.in_words(lacking)], roles=rights.roles(lacking))
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
        leftovers += [
            f"Subscription {item.namespace}/{found['metadata']['name']} (a dependency that OLM added)"
            for found in self._subscriptions
            if found["metadata"]["namespace"] == item.namespace
            and "olm.generated-by" in (found["metadata"].get("annotations") or {})
            and found["spec"]["name"] not in [wanted.package for wanted in self.wanted]
        ]
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

    def _problems(self, leaving: t.Sequence[Leaving]) -> list[str]:
        problems = self._objects_left(leaving)
        going = any(item.action == "removed" for item in leaving)
        stopped = stopped_part(self.session) if going else ""
        if stopped:
            problems.append(
                f"OLM does not run (Deployment {stopped} has no available replica): nothing is removed, since a "
                "ClusterServiceVersion or namespace that is deleted meanwhile hangs. Start OLM first."
            )
        return problems

    def _missing_rights(self, operators: t.Sequence[Leaving | Wanted]) -> list[rights.Right]:
        """Return the rights that are missing to remove operators."""
        if not operators:
            return []
        homes = [operator.namespace for operator in operators]
        needed: list[rights.Right] = [(verb, k.SUBSCRIPTION, None) for verb in ("list", "watch")]
        needed += [(verb, k.NAMESPACE, None) for verb in ("get", "list", "watch", "delete")]
        for home in dict.fromkeys(homes):
            needed += [("delete", kind, home) for kind in (k.SUBSCRIPTION, k.CSV, k.OPERATOR_GROUP)]
            needed += [(verb, kind, home) for kind in (k.CSV, k.DEPLOYMENT) for verb in ("list", "watch")]
            needed += [("list", kind, home) for kind in (k.OPERATOR_GROUP, *OPERATOR_NAMESPACE_KINDS)]
        for operator in operators:
            if isinstance(operator, Leaving) and not self.ignore_custom_resources:
                needed += [("list", kind_of(crd), None) for crd in operator.crds]
        if self.delete_crds:
            needed.append(("delete", k.CRD, None))
        return rights.missing(self.session, needed)

    def _objects_left(self, leaving: t.Sequence[Leaving]) -> list[str]:
        if self.ignore_custom_resources:
            return []
        problems = []
        for item in leaving:
            if item.action != "removed":
                continue
            for crd in item.crds:
                found = self.session.list(kind_of(crd))
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
                csvs = [snapshot.get(k.CSV, csv["metadata"]["name"], item.namespace) for csv in item.csvs]
                verdicts[item.wanted.package] = judge_leaving(left, csvs)
            return verdicts

        sources = [Source(k.SUBSCRIPTION)]
        for home in dict.fromkeys(item.namespace for item in going):
            sources += [Source(k.CSV, home, label_selector=OWN_CSVS), Source(k.DEPLOYMENT, home)]
        ended = wait(self.session, sources, evaluate, timeout=self.wait_for or 0)
        if ended.phase != READY:
            hint = (
                "Cause: OLM takes away what belongs to a ClusterServiceVersion, and does not: is it running?\n"
                f"  Namespace and OperatorGroup are left alone: {', '.join(item.namespace for item in going)}.\n"
                "  To look further: oc get deployments -n openshift-operator-lifecycle-manager"
            )
            results = [self._result(item) for item in going]
            raise WaitFailed(ended, "the operators to be gone", [hint], changed=True, operators=results)
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
                if is_ours(namespace):
                    item.warnings.append(f"namespace {home} stays, it still holds {', '.join(left[:5])}")
                continue
            left += self._objects_in(home, [entry for entry in leaving if entry.removed])
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
            left += still_used(objects)
        return left

    def _objects_in(self, home: str, removed: t.Sequence[Leaving]) -> list[str]:
        """Return objects of the operators' own APIs in a namespace: they would go with it."""
        if not self.ignore_custom_resources or self.delete_crds:
            return []  # there are none, or they are to go
        found = []
        for item in removed:
            for crd in item.crds:
                found += still_used(self.session.list(kind_of(crd), home))
        return found

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
