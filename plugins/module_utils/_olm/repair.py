# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ways out of a dead end: a failed plan is reset, a dead Subscription is deleted and created again. PRIVATE."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube import kinds as k
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.inventory import owners
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.objects import Object
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm.csv import find_csv
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm.operator import (
    Operator,
    subscription_body,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm.resolve import Target
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm.view import View
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm.writes import Writes
from ansible_collections.rhdh.orchestrator.plugins.module_utils._run.flow import Call
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.engine import wait
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.snapshot import Snapshot
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.source import Source
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.verdict import Verdict

FORGOTTEN = 30.0  # seconds that what belongs to a deleted Subscription is given to go
CACHED = 1.0  # seconds until OLM's cache has noticed that it is gone


class Repair:
    """Repairs what OLM will not continue by itself; only what the options of the call allow."""

    def __init__(self, call: Call, writes: Writes) -> None:
        self._call, self._session, self._writes = call, call.session, writes

    def repair(self, operator: Operator) -> None:
        """Carry out the repair that was decided before the first write."""
        if operator.repair == "reset":
            self._reset_plan(operator)
            return
        self._delete_subscription(operator, t.cast(Object, operator.subscription))
        operator.wanted = dataclasses.replace(operator.wanted, namespace=operator.namespace)
        operator.subscription, operator.action = None, "created"
        operator.write = subscription_body(operator.wanted, t.cast(Target, operator.target), None)

    def recreate(self, operator: Operator, seen: View) -> None:
        """Create once more the Subscription that we have created, and that OLM has led into the dead end again."""
        left = find_csv(seen.csvs, t.cast(Target, operator.target).csv)
        # It is of a plan that is gone, and the new Subscription does not take it for its own.
        operator.uids.update({left["metadata"]["name"]: left["metadata"]["uid"]} if left else {})
        operator.csvs_to_delete = [left["metadata"]["name"]] if left else []
        self._delete_subscription(operator, t.cast(Object, seen.subscription))
        self._writes.ensure(k.SUBSCRIPTION, t.cast(Object, operator.write))

    def _reset_plan(self, operator: Operator) -> None:
        plan = operator.status["installPlanRef"]["name"]
        patch: Object = {"status": {"phase": "Installing", "startTime": None, "message": None, "conditions": []}}
        if not self._session.check_mode:
            self._session.patch(k.INSTALL_PLAN, plan, operator.namespace, patch, subresource="status")
        before, after = {"phase": "Failed"}, {"phase": "Installing"}
        self._call.record(k.INSTALL_PLAN.title(operator.namespace, plan), before, after)

    def _delete_subscription(self, operator: Operator, subscription: Object) -> None:
        """Delete a dead Subscription with the CSVs that have to go, and wait until OLM has forgotten them."""
        metadata = subscription["metadata"]
        self._writes.delete(operator, k.SUBSCRIPTION, metadata["name"], metadata["uid"])
        for name in operator.csvs_to_delete:
            self._writes.delete(operator, k.CSV, name)
        self._until_forgotten(operator, metadata["uid"])

    def _until_forgotten(self, operator: Operator, uid: str) -> None:
        """Wait until what belongs to a deleted Subscription is gone as well.

        OLM would refer the new Subscription to a plan of the old one, which the garbage collector is about to delete:
        the new one would be dead, too. When it takes long the wait for the operator creates it once more.
        """
        if self._session.check_mode:
            return

        def evaluate(snapshot: Snapshot) -> dict[str, Verdict]:
            plans = snapshot.list(k.INSTALL_PLAN, operator.namespace)
            left = [item["metadata"]["name"] for item in plans if uid in owners(item)]
            left += [n for n in operator.csvs_to_delete if snapshot.get(k.CSV, n, operator.namespace)]
            if left:
                return {operator.wanted.package: Verdict.pending("Removing", f"{', '.join(left)} before the next try")}
            return {operator.wanted.package: Verdict.ready("removed", stable_for=CACHED)}

        sources = [Source(kind, operator.namespace) for kind in (k.INSTALL_PLAN, k.CSV)]
        wait(self._session, sources, evaluate, timeout=min(FORGOTTEN, self._call.left()))
