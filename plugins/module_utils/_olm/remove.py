# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Remove operators in the order that OLM survives: Subscription, CSV, then group and namespace if ours. PRIVATE.

A Subscription alone leaves the operator running; a namespace deleted while a CSV is in it may hang for ever.
"""

from __future__ import annotations

import typing as t

from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube import inventory as inventories
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube import kinds as k
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.errors import ApiError
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.objects import Object, created_by_us
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm import rights
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm.csv import owned_crds
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm.inventory import NamespaceInventory
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm.operator import (
    OWN_CSVS,
    find_subscription,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm.removed import (
    RemovedOperator,
    csvs_of,
    judge_removal,
    kind_of,
    stopped_part,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm.resolve import Wanted, check_input
from ansible_collections.rhdh.orchestrator.plugins.module_utils._run.failures import InputError
from ansible_collections.rhdh.orchestrator.plugins.module_utils._run.flow import Call
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.snapshot import Snapshot
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.source import Source
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.verdict import Verdict


class Removal:
    """One call of the module for `state: absent`."""

    def __init__(
        self,
        call: Call,
        wanted: t.Sequence[Wanted],
        *,
        wait: bool,
        delete_adopted: bool = False,
        ignore_custom_resources: bool = False,
        delete_crds: bool = False,
    ) -> None:
        """Without `wait`, OperatorGroups and namespaces are left alone."""
        self.call, self.session, self.wanted, self.wait = call, call.session, list(wanted), wait
        self.delete_adopted, self.delete_crds = delete_adopted, delete_crds
        self.ignore_custom_resources = ignore_custom_resources or delete_crds
        self._inventory = NamespaceInventory(call.session, delete_crds=delete_crds)
        self._subscriptions: list[Object] = []  # of the whole cluster

    def absent(self) -> dict[str, t.Any]:
        """Remove the operators. Raises InputError before the first deletion, WaitFailed after it."""
        problems = check_input(self.wanted, "absent")
        if problems:
            raise InputError(problems)
        operators: list[RemovedOperator] = []
        try:
            operators = self._read()
            problems = self._problems(operators)
        except ApiError as exc:
            lacking = self._missing_rights(operators or self.wanted) if exc.forbidden else []
            if not lacking:
                raise
            raise InputError([rights.in_words(lacking)], roles=rights.roles(lacking)) from exc
        if problems:
            raise InputError(problems)
        to_remove = [item for item in operators if item.action == "removed"]
        lacking = self._missing_rights(to_remove)
        if lacking:
            raise InputError([rights.in_words(lacking)], roles=rights.roles(lacking))
        if self.wait:
            self._inventory.take_inventory(to_remove)
        crds = self._owned_crds(to_remove) if self.delete_crds else {}
        for item in to_remove:
            self._delete(item)
        timeline: list[dict[str, t.Any]] = []
        self.call.changed = bool(to_remove)
        if to_remove and self.wait and not self.session.check_mode:
            timeline = self._until_gone(to_remove)
        if self.wait:
            self._clean_namespaces(operators)
        for item in to_remove:
            self._delete_crds(item, crds)
        for item in operators:
            if item.removed:
                self.call.record(item.wanted.package, {"removed": item.removed}, {})
            for text in item.warnings:
                self.call.warn(f"{item.wanted.package}: {text}")
        results = [self._result(item) for item in operators]
        return self.call.result(operators=results, timeline=timeline, elapsed=self.call.elapsed)

    def _owned_crds(self, to_remove: t.Sequence[RemovedOperator]) -> dict[str, str]:
        """Return the CRDs that may go, by name with their uids; those that another operator provides as well stay."""
        to_delete = {uid for item in to_remove for uid in item.uids}
        users: dict[str, str] = {}
        for csv in self.session.list(k.CSV, label_selector=OWN_CSVS):
            if csv["metadata"]["uid"] not in to_delete:
                for crd in owned_crds(csv["spec"]):
                    users[crd["name"]] = f"{csv['metadata']['namespace']}/{csv['metadata']['name']}"
        found = {}
        for item in to_remove:
            for crd in item.crds:
                if crd["name"] in users:
                    item.warnings.append(f"{crd['name']} stays, {users[crd['name']]} provides it as well")
                elif live := self.session.get(k.CRD, crd["name"]):
                    found[crd["name"]] = live["metadata"]["uid"]
        return found

    def _read(self) -> list[RemovedOperator]:
        self._subscriptions = self.session.list(k.SUBSCRIPTION)
        operators = []
        for wanted in self.wanted:
            found = find_subscription(self._subscriptions, wanted.package, wanted.namespace)
            elsewhere = found is not None and found["metadata"]["namespace"] != wanted.namespace
            own = self.session.list(k.CSV, wanted.namespace, label_selector=OWN_CSVS)
            subscription = None if elsewhere else found
            item = RemovedOperator(wanted, subscription, csvs_of(wanted, subscription, own))
            item.action = self._decide(item)
            if elsewhere and found is not None:
                item.warnings.append(
                    f"is not in {wanted.namespace} but in {found['metadata']['namespace']}, where it stays: "
                    "name that namespace to remove it"
                )
            operators.append(item)
        return operators

    def _decide(self, item: RemovedOperator) -> str:
        if item.subscription is None and not item.csvs:
            return "absent"
        if self.delete_adopted:
            return "removed"
        if item.subscription is not None and created_by_us(item.subscription):
            return "removed"
        if item.subscription is None:
            # Left over from a removal that was interrupted, if the place is ours.
            namespace = self.session.get(k.NAMESPACE, item.namespace)
            if namespace is not None and created_by_us(namespace):
                return "removed"
        item.warnings.append(
            f"was not installed by this collection and stays in {item.namespace} (delete_adopted removes it)"
        )
        return "kept"

    def _problems(self, operators: t.Sequence[RemovedOperator]) -> list[str]:
        problems = self._objects_left(operators)
        to_remove = any(item.action == "removed" for item in operators)
        stopped = stopped_part(self.session) if to_remove else ""
        if stopped:
            problems.append(
                f"OLM does not run (Deployment {stopped} has no available replica): nothing is removed, since a "
                "ClusterServiceVersion or namespace that is deleted meanwhile hangs. Start OLM first."
            )
        return problems

    def _missing_rights(self, operators: t.Sequence[RemovedOperator | Wanted]) -> list[rights.Right]:
        if not operators:
            return []
        needed = rights.to_remove(
            operators, custom_resources=not self.ignore_custom_resources, delete_crds=self.delete_crds
        )
        return rights.missing(self.session, needed)

    def _result(self, item: RemovedOperator) -> dict[str, t.Any]:
        return item.result(self._subscriptions, [wanted.package for wanted in self.wanted])

    def _objects_left(self, operators: t.Sequence[RemovedOperator]) -> list[str]:
        if self.ignore_custom_resources:
            return []
        problems = []
        for item in operators:
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

    def _delete(self, item: RemovedOperator) -> None:
        if item.subscription is not None:
            metadata = item.subscription["metadata"]
            self.session.delete(k.SUBSCRIPTION, metadata["name"], item.namespace, uid=metadata["uid"])
            item.removed.append(f"Subscription {item.namespace}/{metadata['name']}")
        for csv in item.csvs:
            self.session.delete(k.CSV, csv["metadata"]["name"], item.namespace, uid=csv["metadata"]["uid"])
            item.removed.append(f"ClusterServiceVersion {item.namespace}/{csv['metadata']['name']}")

    def _delete_crds(self, item: RemovedOperator, uids: t.Mapping[str, str]) -> None:
        for crd in item.crds:
            if crd["name"] in uids and self.session.delete(k.CRD, crd["name"], uid=uids[crd["name"]]):
                item.removed.append(f"CustomResourceDefinition {crd['name']}")

    def _until_gone(self, to_remove: t.Sequence[RemovedOperator]) -> list[dict[str, t.Any]]:
        def evaluate(snapshot: Snapshot) -> dict[str, Verdict]:
            verdicts = {}
            for item in to_remove:
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
                verdicts[item.wanted.package] = judge_removal(left, csvs)
            return verdicts

        sources = [Source(k.SUBSCRIPTION)]
        for home in dict.fromkeys(item.namespace for item in to_remove):
            sources += [Source(k.CSV, home, label_selector=OWN_CSVS), Source(k.DEPLOYMENT, home)]
        hint = (
            "Cause: OLM removes what belongs to a ClusterServiceVersion, and does not: is it running?\n"
            f"  Namespace and OperatorGroup are left alone: {', '.join(item.namespace for item in to_remove)}.\n"
            "  Inspect with: oc get deployments -n openshift-operator-lifecycle-manager"
        )
        return self.call.wait(
            "the operators to be gone",
            sources,
            evaluate,
            causes=lambda _ended: [hint],
            facts=lambda _ended: {"operators": [self._result(item) for item in to_remove]},
        ).timeline

    def _clean_namespaces(self, operators: t.Sequence[RemovedOperator]) -> None:
        """Delete our OperatorGroups and namespaces where nothing uses them any more."""
        deleted = []
        for home in dict.fromkeys(item.namespace for item in operators):
            here = [item for item in operators if item.namespace == home]
            if all(item.action != "kept" for item in here) and self._clean_namespace(home, here):
                deleted.append(home)
        if deleted and not self.session.check_mode:
            wait_until_namespaces_gone(self.call, deleted)

    def _clean_namespace(self, home: str, operators: t.Sequence[RemovedOperator]) -> bool:
        """Clean one namespace, given its operators; True when the namespace itself was deleted."""
        namespace, item = self.session.get(k.NAMESPACE, home), operators[0]
        if namespace is None or namespace["metadata"].get("deletionTimestamp"):
            return False
        left = self._operators_left(home, operators)
        if left:
            if created_by_us(namespace):
                item.warnings.append(f"namespace {home} stays, it still holds {', '.join(left[:5])}")
            return False
        for group in self.session.list(k.OPERATOR_GROUP, home):
            if created_by_us(group):
                metadata = group["metadata"]
                gone = self.session.delete(k.OPERATOR_GROUP, metadata["name"], home, uid=metadata["uid"])
                self.call.changed = gone or self.call.changed
                item.removed.append(f"OperatorGroup {home}/{metadata['name']}")
        if not created_by_us(namespace):
            return False
        reason = self._inventory.in_use(home, operators)
        if reason:
            item.warnings.append(f"namespace {home} stays, {reason}")
            return False
        gone = self.session.delete(k.NAMESPACE, home, uid=namespace["metadata"]["uid"])
        self.call.changed = gone or self.call.changed
        item.removed.append(f"Namespace {home}")
        return True

    def _operators_left(self, home: str, operators: t.Sequence[RemovedOperator]) -> list[str]:
        """Return the Subscriptions and CSVs that this call does not delete: OLM still works for them."""
        to_delete = {uid for item in operators if item.removed for uid in item.uids}
        objects = [*self.session.list(k.SUBSCRIPTION, home), *self.session.list(k.CSV, home, label_selector=OWN_CSVS)]
        return inventories.used(objects, to_delete)


def wait_until_namespaces_gone(call: Call, names: t.Sequence[str]) -> None:
    """Wait until namespaces are deleted."""

    def evaluate(snapshot: Snapshot) -> dict[str, Verdict]:
        return {
            name: (
                Verdict.ready("gone")
                if snapshot.get(k.NAMESPACE, name) is None
                else Verdict.pending("Terminating", "is being deleted")
            )
            for name in names
        }

    call.wait(f"namespaces {', '.join(names)} to be gone", [Source(k.NAMESPACE)], evaluate)
