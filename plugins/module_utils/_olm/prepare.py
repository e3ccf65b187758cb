# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the cluster and its catalogs allow, decided for all operators before anything is written. PRIVATE."""

from __future__ import annotations

import typing as t

from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube import kinds as k
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.apply import contains, gives_up_fields
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.errors import ApiError
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.objects import Object, condition, created_by_us
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.session import Session
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm import approval as olm_approval
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm import group as olm_group
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm import judge as olm_judge
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm import rights
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm import view as olm_view
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm.crds import CrdCheck
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm.facts import Facts
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm.namespace import decide_namespace
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm.operator import (
    OWN_CSVS,
    Operator,
    Options,
    as_installed,
    settled_target,
    subscription_body,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm.refusals import (
    check_catalog,
    check_cluster,
    check_watched,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm.resolve import Target
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm.target import find_target, warn_about_foreign
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.states.table import terminal


class Preparation:
    """Works out what is to be written, and refuses what cannot go well; writes nothing itself."""

    def __init__(self, session: Session, operators: t.Sequence[Operator], options: Options) -> None:
        self.session, self.operators, self.options = session, operators, options
        self.crd_check = CrdCheck(session)
        self.roles: list[Object] = []  # that would grant what is missing
        self._facts = Facts(session)

    def decide(self) -> tuple[list[Operator], list[str]]:
        """Return the operators that are not as wanted yet, and all problems. What may not be read is one of these."""
        try:
            return self._decide()
        except ApiError as exc:
            if not exc.forbidden:
                raise
            problems = self._missing_rights(self.operators)
            if not problems:
                raise
            return [], problems

    def _decide(self) -> tuple[list[Operator], list[str]]:
        self._facts.read(self.operators)
        waiting = [operator for operator in self.operators if not self._settled(operator)]
        problems = self._refusals(waiting)
        if not problems:
            waiting = [operator for operator in waiting if not self._nothing_to_do(operator)]
        return waiting, problems

    def managed(self, operator: Operator) -> bool:
        """Tell whether this call may change an operator."""
        return not operator.foreign or self.options.manage_adopted

    def _settled(self, operator: Operator) -> bool:
        """Tell whether an operator is as wanted already, as far as its own objects tell; no catalog is read."""
        if check_watched(self._facts, operator):
            return False
        target = settled_target(operator)
        if not self.managed(operator) and operator.csv is not None:
            target = as_installed(operator.csv, (operator.subscription or {})["spec"].get("channel") or "")
        if target is None or operator.subscription is None or not self._runs(operator, target):
            return False
        if self.managed(operator) and self._differs(
            operator, subscription_body(operator.wanted, target, operator.subscription)
        ):
            return False
        operator.target = target
        operator.group = olm_group.GroupDecision("adopt", self._facts.group_name(operator.namespace))
        operator.action = "adopted" if operator.foreign else "none"
        if not self.managed(operator):
            warn_about_foreign(operator)
        return True

    def _nothing_to_do(self, operator: Operator) -> bool:
        """Tell whether an operator turned out to be as wanted, now that the catalog has said what is wanted."""
        target = operator.target
        return (
            target is not None
            and not (operator.changes or operator.write or operator.orphan or operator.repair)
            and self._runs(operator, target)
        )

    def _runs(self, operator: Operator, target: Target) -> bool:
        """Tell whether a CSV is installed and runs; costs one read of its Deployments."""
        if operator.csv is None or operator.csv["metadata"]["name"] != target.csv:
            return False
        deployments = self._facts.deployments(operator.namespace, target.csv)
        operator.generations = {name: item["metadata"].get("generation", 0) for name, item in deployments.items()}
        return olm_judge.installed(
            olm_view.View(operator.subscription, None, [operator.csv], deployments, [], []), target.csv
        )

    def _differs(self, operator: Operator, body: Object) -> bool:
        """Tell whether a live Subscription needs to be written."""
        live = t.cast(Object, operator.subscription)
        # One that is adopted (manage_adopted) does not get our label: its other fields stay as their owners set them.
        return not contains(live["spec"], body["spec"]) or (
            created_by_us(live) and gives_up_fields(live, body, self.session.field_manager)
        )

    # -- refusing -----------------------------------------------------------------------------------------------

    def _refusals(self, operators: t.Sequence[Operator]) -> list[str]:
        """Resolve and check everything; returns all problems. Writes nothing."""
        problems: list[str] = []
        for operator in operators:
            problems += check_watched(self._facts, operator)  # as asked for: `find_target` may change what is wanted
            problems += find_target(self._facts, operator, managed=self.managed(operator))
        for operator in operators:
            if operator.target is not None and self.managed(operator):
                problems += self._check(operator, operator.target)
                problems += self._check_pending_plan(operator, operator.target)
        if not problems and any(self._acts(operator) for operator in operators):
            problems = self._missing_rights(operators)
        return problems

    def _acts(self, operator: Operator) -> bool:
        return bool(operator.changes or operator.write or operator.orphan or operator.repair) or self.would_approve(
            operator
        )

    def _check(self, operator: Operator, target: Target) -> list[str]:
        operator.write = subscription_body(operator.wanted, target, operator.subscription)
        replace_orphan = self.options.replace_orphan
        problems = check_cluster(self._facts, self.operators, operator, target)
        problems += decide_namespace(self._facts, self.operators, operator, target, replace_orphan=replace_orphan)
        self._decide_subscription(operator, target)
        return problems + check_catalog(self._facts, operator)

    def _check_pending_plan(self, operator: Operator, target: Target) -> list[str]:
        """Look into a plan that is there already and would be approved: OLM would stop it half-way."""
        plan, current = operator.plan, operator.status.get("currentCSV")
        if operator.pending_plan or not self.would_approve(operator) or not olm_approval.awaits_approval(plan):
            return []
        if not olm_approval.on_the_way(target, current, operator.status.get("installedCSV")):
            return []
        beside = self._facts.subscriptions_in(operator.namespace)
        problem = self.crd_check.problem(t.cast(Object, plan), beside)
        remedy = terminal("plan/StoredVersionDropped").remedy
        return [f"operators[{operator.wanted.package}]: {problem}. {remedy}"] if problem else []

    def _missing_rights(self, operators: t.Sequence[Operator]) -> list[str]:
        """Return one problem that names every right that is missing; `roles` then would grant them."""
        homes = list(dict.fromkeys(operator.wanted.namespace for operator in operators))
        catalogs = list(dict.fromkeys(operator.wanted.catalog_namespace for operator in operators))
        needed = rights.to_read(homes, catalogs)
        for operator in operators:
            needed += rights.to_write(operator, self.would_approve(operator))
        lacking = rights.missing(self.session, needed)
        self.roles = rights.roles(lacking)
        return [rights.in_words(lacking)] if lacking else []

    # -- deciding about an existing Subscription ----------------------------------------------------------------

    def _decide_subscription(self, operator: Operator, target: Target) -> None:
        """Decide what an existing Subscription needs: a change, a repair, nothing."""
        live, body = operator.subscription, t.cast(Object, operator.write)
        if live is None:
            operator.action = "created"
            return
        differs = self._differs(operator, body)
        if not differs:
            operator.write = None
        phase = ((operator.csv or {}).get("status") or {}).get("phase")
        if not differs and operator.status.get("installedCSV") == target.csv and phase == "Succeeded":
            operator.action = "adopted" if operator.foreign else "none"
            return
        operator.stale = frozenset(c["message"] for c in operator.status.get("conditions") or [] if c.get("message"))
        ref = (operator.status.get("installPlanRef") or {}).get("name")
        operator.plan = self.session.get(k.INSTALL_PLAN, ref, operator.namespace) if ref else None
        self._decide_repair(operator, live)
        if not differs:
            operator.action = "adopted" if operator.foreign else "none"
            return
        operator.action = "updated"
        keys = ("channel", "startingCSV", "installPlanApproval", "source", "sourceNamespace")
        stays = operator.status.get("installedCSV") == target.csv
        operator.reconfigured = stays and live["spec"].get("config") != body["spec"].get("config")
        operator.redirected = any(live["spec"].get(key) != body["spec"].get(key) for key in keys)
        if operator.redirected and olm_approval.may_be_deleted(live, operator.plan):
            operator.pending_plan = ref
            operator.uids[str(ref)] = t.cast(Object, operator.plan)["metadata"].get("uid")

    def _decide_repair(self, operator: Operator, live: Object) -> None:
        """Choose the way out of a dead end, where it was asked for."""
        phase = ((operator.plan or {}).get("status") or {}).get("phase")
        if phase == "Failed" and self.options.reset_failed_plan:
            operator.repair = "reset"
        if not self.options.recreate_dead_subscription:
            return
        if olm_judge.passed_over(live, t.cast(Target, operator.target), operator.csv):
            operator.repair = "recreate"
            return
        lost = operator.plan is None and condition(live, "InstallPlanMissing") is not None
        current = operator.status.get("currentCSV")
        if not (lost or phase == "Complete") or not current:
            return
        csv = self.session.get(k.CSV, current, operator.namespace)
        if csv is None and operator.status.get("state") == "UpgradePending":
            operator.repair = "recreate"
        elif lost and csv is not None and (csv.get("status") or {}).get("phase") != "Succeeded":
            # Its plan had failed and was deleted: OLM makes another one only once both CSVs of the upgrade are gone.
            operator.repair = "recreate"
            own = self.session.list(k.CSV, operator.namespace, label_selector=OWN_CSVS)
            names = {current, csv["spec"].get("replaces")}
            upgrade = [item["metadata"] for item in own if item["metadata"]["name"] in names]
            operator.csvs_to_delete = [metadata["name"] for metadata in upgrade]
            operator.uids.update({metadata["name"]: metadata.get("uid") for metadata in upgrade})

    def would_approve(self, operator: Operator) -> bool:
        """Tell whether a plan will have to be approved before the operator is as wanted."""
        target = operator.target
        if (
            target is None
            or not self.options.wait
            or operator.wanted.approval != "Manual"
            or not self.managed(operator)
            or operator.status.get("installedCSV") == target.csv
        ):
            return False
        if operator.plan is None or operator.pending_plan or operator.repair:
            return True
        on_its_way = target.csv in (operator.plan["spec"].get("clusterServiceVersionNames") or [])
        return not (on_its_way and operator.plan["spec"].get("approved"))
