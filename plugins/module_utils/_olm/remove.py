# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Take operators away in the order that OLM survives: Subscription, CSV, then group and namespace if ours. PRIVATE.

A Subscription alone leaves the operator running; a namespace deleted while a CSV is in it may hang for ever.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube import inventory as inventories
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube import kinds as k
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.errors import ApiError
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.objects import Object, created_by_us
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm import rights
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm.csv import component_label, owned_crds
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm.operator import (
    OWN_CSVS,
    find_subscription,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm.removed import (
    OPERATOR_NAMESPACE_KINDS,
    RemovedOperator,
    automatic,
    csvs_of,
    judge_removal,
    kind_of,
    stopped_part,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm.resolve import Wanted, check_input
from ansible_collections.rhdh.orchestrator.plugins.module_utils._run.failures import InputError
from ansible_collections.rhdh.orchestrator.plugins.module_utils._run.flow import Call
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.source import Source
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.verdict import Verdict
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.world import Snapshot


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
        self._kinds: list[k.Kind] = []
        self._silent: list[str] = []  # groups whose kinds are not known
        self._seen: dict[str, inventories.Inventory] = {}  # by namespace
        self._going: dict[str, set[str]] = {}  # by namespace the uids of what goes with the operators

    def absent(self) -> dict[str, t.Any]:
        """Remove the operators. Raises InputError before the first deletion, WaitFailed after it."""
        problems = check_input(self.wanted, "absent")
        if problems:
            raise InputError(problems)
        leaving: list[RemovedOperator] = []
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
        if self.wait:
            self._take_inventory(going)
        crds = self._owned_crds(going) if self.delete_crds else {}
        for item in going:
            self._delete(item)
        timeline: list[dict[str, t.Any]] = []
        self.call.changed = bool(going)
        if going and self.wait and not self.session.check_mode:
            timeline = self._until_gone(going)
        if self.wait:
            self._clean_namespaces(leaving)
        for item in going:
            for crd in item.crds:
                if crd["name"] in crds and self.session.delete(k.CRD, crd["name"], uid=crds[crd["name"]]):
                    item.removed.append(f"CustomResourceDefinition {crd['name']}")
        for item in leaving:
            if item.removed:
                self.call.record(item.wanted.package, {"removed": item.removed}, {})
            for text in item.warnings:
                self.call.warn(f"{item.wanted.package}: {text}")
        operators = [self._result(item) for item in leaving]
        return self.call.result(operators=operators, timeline=timeline, elapsed=self.call.elapsed)

    def _owned_crds(self, going: t.Sequence[RemovedOperator]) -> dict[str, str]:
        """Return the CRDs that may go, by name with their uids; those that another operator provides as well stay."""
        to_delete = {uid for item in going for uid in item.uids}
        users: dict[str, str] = {}
        for csv in self.session.list(k.CSV, label_selector=OWN_CSVS):
            if csv["metadata"]["uid"] not in to_delete:
                for crd in owned_crds(csv["spec"]):
                    users[crd["name"]] = f"{csv['metadata']['namespace']}/{csv['metadata']['name']}"
        found = {}
        for item in going:
            for crd in item.crds:
                if crd["name"] in users:
                    item.warnings.append(f"{crd['name']} stays, {users[crd['name']]} provides it as well")
                elif live := self.session.get(k.CRD, crd["name"]):
                    found[crd["name"]] = live["metadata"]["uid"]
        return found

    def _result(self, item: RemovedOperator) -> dict[str, t.Any]:
        names = [csv["metadata"]["name"] for csv in item.csvs]
        leftovers = [f"operators.operators.coreos.com {item.wanted.package}.{item.namespace}"]
        leftovers += [
            f"Subscription {item.namespace}/{found['metadata']['name']} (a dependency that OLM added)"
            for found in self._subscriptions
            if found["metadata"]["namespace"] == item.namespace
            and "olm.generated-by" in (found["metadata"].get("annotations") or {})
            and found["spec"]["name"] not in [wanted.package for wanted in self.wanted]
        ]
        kept = [f"CustomResourceDefinition {crd['name']}" for crd in item.crds]
        leftovers += [text for text in kept if text not in item.removed]
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

    def _read(self) -> list[RemovedOperator]:
        self._subscriptions = self.session.list(k.SUBSCRIPTION)
        leaving = []
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
            leaving.append(item)
        return leaving

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

    def _problems(self, leaving: t.Sequence[RemovedOperator]) -> list[str]:
        problems = self._objects_left(leaving)
        going = any(item.action == "removed" for item in leaving)
        stopped = stopped_part(self.session) if going else ""
        if stopped:
            problems.append(
                f"OLM does not run (Deployment {stopped} has no available replica): nothing is removed, since a "
                "ClusterServiceVersion or namespace that is deleted meanwhile hangs. Start OLM first."
            )
        return problems

    def _missing_rights(self, operators: t.Sequence[RemovedOperator | Wanted]) -> list[rights.Right]:
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
            if isinstance(operator, RemovedOperator) and not self.ignore_custom_resources:
                needed += [("list", kind_of(crd), None) for crd in operator.crds]
        if self.delete_crds:
            needed += [("get", k.CRD, None), ("delete", k.CRD, None), ("list", k.CSV, None)]
        return rights.missing(self.session, needed)

    def _objects_left(self, leaving: t.Sequence[RemovedOperator]) -> list[str]:
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

    def _delete(self, item: RemovedOperator) -> None:
        if item.subscription is not None:
            metadata = item.subscription["metadata"]
            self.session.delete(k.SUBSCRIPTION, metadata["name"], item.namespace, uid=metadata["uid"])
            item.removed.append(f"Subscription {item.namespace}/{metadata['name']}")
        for csv in item.csvs:
            self.session.delete(k.CSV, csv["metadata"]["name"], item.namespace, uid=csv["metadata"]["uid"])
            item.removed.append(f"ClusterServiceVersion {item.namespace}/{csv['metadata']['name']}")

    def _until_gone(self, going: t.Sequence[RemovedOperator]) -> list[dict[str, t.Any]]:
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
                verdicts[item.wanted.package] = judge_removal(left, csvs)
            return verdicts

        sources = [Source(k.SUBSCRIPTION)]
        for home in dict.fromkeys(item.namespace for item in going):
            sources += [Source(k.CSV, home, label_selector=OWN_CSVS), Source(k.DEPLOYMENT, home)]
        hint = (
            "Cause: OLM removes what belongs to a ClusterServiceVersion, and does not: is it running?\n"
            f"  Namespace and OperatorGroup are left alone: {', '.join(item.namespace for item in going)}.\n"
            "  To look further: oc get deployments -n openshift-operator-lifecycle-manager"
        )
        return self.call.wait(
            "the operators to be gone",
            sources,
            evaluate,
            causes=lambda _ended: [hint],
            facts=lambda _ended: {"operators": [self._result(item) for item in going]},
        ).timeline

    def _clean_namespaces(self, leaving: t.Sequence[RemovedOperator]) -> None:
        """Delete our OperatorGroups and namespaces where nothing uses them any more."""
        deleted = []
        for home in dict.fromkeys(item.namespace for item in leaving):
            item = next(entry for entry in leaving if entry.namespace == home)
            if any(entry.action == "kept" for entry in leaving if entry.namespace == home):
                continue
            namespace = self.session.get(k.NAMESPACE, home)
            if namespace is None or namespace["metadata"].get("deletionTimestamp"):
                continue
            here = [entry for entry in leaving if entry.namespace == home]
            left = self._operators_left(home, here)
            if left:
                if created_by_us(namespace):
                    item.warnings.append(f"namespace {home} stays, it still holds {', '.join(left[:5])}")
                continue
            for group in self.session.list(k.OPERATOR_GROUP, home):
                if created_by_us(group):
                    metadata = group["metadata"]
                    gone = self.session.delete(k.OPERATOR_GROUP, metadata["name"], home, uid=metadata["uid"])
                    self.call.changed = gone or self.call.changed
                    item.removed.append(f"OperatorGroup {home}/{metadata['name']}")
            if not created_by_us(namespace):
                continue
            reason = self._in_use(home, here)
            if reason:
                item.warnings.append(f"namespace {home} stays, {reason}")
                continue
            gone = self.session.delete(k.NAMESPACE, home, uid=namespace["metadata"]["uid"])
            self.call.changed = gone or self.call.changed
            item.removed.append(f"Namespace {home}")
            deleted.append(home)
        if deleted and not self.session.check_mode:
            self._until_namespaces_gone(deleted)

    def _operators_left(self, home: str, leaving: t.Sequence[RemovedOperator]) -> list[str]:
        """Return the Subscriptions and CSVs that this call does not delete: OLM still works for them."""
        to_delete = {uid for item in leaving if item.removed for uid in item.uids}
        objects = [*self.session.list(k.SUBSCRIPTION, home), *self.session.list(k.CSV, home, label_selector=OWN_CSVS)]
        return inventories.used(objects, to_delete)

    def _take_inventory(self, leaving: t.Sequence[RemovedOperator]) -> None:
        """Take the inventory of our namespaces, so that what goes with the operators is known when it has gone."""
        for home in dict.fromkeys(item.namespace for item in leaving if item.action == "removed"):
            namespace = self.session.get(k.NAMESPACE, home)
            if namespace is None or not created_by_us(namespace):
                continue
            if not self._kinds:
                self._kinds, self._silent = inventories.listable(self.session)
            found = inventories.take(self.session, home, self._kinds)
            here = [item for item in leaving if item.namespace == home]
            self._going[home] = inventories.going(found.objects, self._roots(home, here), self._follows(here))
            self._seen[home] = found

    def _roots(self, home: str, leaving: t.Sequence[RemovedOperator]) -> list[str]:
        groups = self.session.list(k.OPERATOR_GROUP, home)
        ours = [group["metadata"]["uid"] for group in groups if created_by_us(group)]
        return ours + [uid for item in leaving if item.action == "removed" for uid in item.uids]

    def _follows(self, leaving: t.Sequence[RemovedOperator]) -> t.Callable[[Object], bool]:
        """Return what tells whether an object goes with the operators by itself, or is nobody's loss."""
        csvs = {csv["metadata"]["name"] for item in leaving for csv in item.csvs}
        marks = {component_label(item.wanted.package, item.namespace) for item in leaving}
        # With its CustomResourceDefinition every object goes.
        apis = {(kind_of(crd).group, crd["kind"]) for item in leaving for crd in item.crds} if self.delete_crds else ()

        def follows(obj: Object) -> bool:
            labels = obj["metadata"].get("labels") or {}
            if (obj["apiVersion"].rpartition("/")[0], obj["kind"]) in apis:
                return True
            return automatic(obj) or labels.get("olm.owner") in csvs or not marks.isdisjoint(labels)

        return follows

    def _in_use(self, home: str, leaving: t.Sequence[RemovedOperator]) -> str:
        """Return why a namespace of ours must not be deleted; empty when nothing would be lost with it."""
        if home not in self._seen:  # nothing was removed by this call: a namespace that an earlier one left
            self._take_inventory([dataclasses.replace(item, action="removed") for item in leaving])
        found = self._seen[home]
        if not self.session.check_mode:
            found = inventories.take(self.session, home, self._kinds)
        gone = inventories.going(found.objects, self._going[home], self._follows(leaving))
        left = inventories.used(found.objects, gone)
        if left:
            return f"it still holds {', '.join(left[:5])}{f' and {len(left) - 5} more' if len(left) > 5 else ''}"
        unknown = [*self._silent, *found.unknown]
        if unknown:
            return f"it is not known what it holds: {', '.join(unknown[:5])} cannot be listed"
        return ""

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

        self.call.wait(f"namespaces {', '.join(names)} to be gone", [Source(k.NAMESPACE)], evaluate)
