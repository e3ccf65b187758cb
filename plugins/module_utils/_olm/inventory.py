# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a namespace of operators holds, and what of it goes with the operators that are removed. PRIVATE."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube import inventory as inventories
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube import kinds as k
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.objects import Object, created_by_us
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.session import Session
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm.csv import component_label
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm.removed import (
    RemovedOperator,
    automatic,
    kind_of,
)


class NamespaceInventory:
    """The objects in namespaces of ours, as they were before the removal of operators, and as they are now."""

    def __init__(self, session: Session, *, delete_crds: bool) -> None:
        self._session, self._delete_crds = session, delete_crds
        self._kinds: list[k.Kind] = []
        self._unlisted: list[str] = []  # groups whose kinds are not known
        self._before: dict[str, inventories.Inventory] = {}  # by namespace
        self._going: dict[str, set[str]] = {}  # by namespace the uids of what goes with the operators

    def take_inventory(self, operators: t.Sequence[RemovedOperator]) -> None:
        """Read our namespaces, so that what goes with the operators is still known after they have gone."""
        for home in dict.fromkeys(item.namespace for item in operators if item.action == "removed"):
            namespace = self._session.get(k.NAMESPACE, home)
            if namespace is None or not created_by_us(namespace):
                continue
            if not self._kinds:
                self._kinds, self._unlisted = inventories.listable(self._session)
            found = inventories.take(self._session, home, self._kinds)
            here = [item for item in operators if item.namespace == home]
            self._going[home] = inventories.going(found.objects, self._roots(home, here), self._follows(here))
            self._before[home] = found

    def in_use(self, home: str, operators: t.Sequence[RemovedOperator]) -> str:
        """Return why a namespace of ours must not be deleted; empty when nothing would be lost with it."""
        if home not in self._before:  # nothing was removed by this call: a namespace that an earlier one left
            self.take_inventory([dataclasses.replace(item, action="removed") for item in operators])
        found = self._before[home]
        if not self._session.check_mode:
            found = inventories.take(self._session, home, self._kinds)
        gone = inventories.going(found.objects, self._going[home], self._follows(operators))
        left = inventories.used(found.objects, gone)
        if left:
            return f"it still holds {', '.join(left[:5])}{f' and {len(left) - 5} more' if len(left) > 5 else ''}"
        unknown = [*self._unlisted, *found.unknown]
        if unknown:
            return f"it is not known what it holds: {', '.join(unknown[:5])} cannot be listed"
        return ""

    def _roots(self, home: str, operators: t.Sequence[RemovedOperator]) -> list[str]:
        """Return the uids of our OperatorGroups, and of what is deleted of the operators."""
        groups = self._session.list(k.OPERATOR_GROUP, home)
        ours = [group["metadata"]["uid"] for group in groups if created_by_us(group)]
        return ours + [uid for item in operators if item.action == "removed" for uid in item.uids]

    def _follows(self, operators: t.Sequence[RemovedOperator]) -> t.Callable[[Object], bool]:
        """Return what tells whether an object goes with the operators by itself, or would not be missed."""
        csvs = {csv["metadata"]["name"] for item in operators for csv in item.csvs}
        marks = {component_label(item.wanted.package, item.namespace) for item in operators}
        # With its CustomResourceDefinition every object goes.
        crds = [crd for item in operators for crd in item.crds] if self._delete_crds else []
        apis = {(kind_of(crd).group, crd["kind"]) for crd in crds}

        def follows(obj: Object) -> bool:
            labels = obj["metadata"].get("labels") or {}
            if (obj["apiVersion"].rpartition("/")[0], obj["kind"]) in apis:
                return True
            return automatic(obj) or labels.get("olm.owner") in csvs or not marks.isdisjoint(labels)

        return follows
