# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Install several operators side by side: read, resolve all, refuse all, write, one wait over all. PRIVATE."""

from __future__ import annotations

import dataclasses
import time
import typing as t

from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube import kinds as k
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.errors import ApiError
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.objects import Object
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm import approval as olm_approval
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm import csv as olm_csv
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm import judge as olm_judge
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm import resolution as olm_resolution
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm import resolve as olm_resolve
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm import semver
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm import view as olm_view
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm.operator import (
    OWN_CSVS,
    Operator,
    Options,
    as_installed,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm.pods import Pods
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm.prepare import Preparation
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm.repair import Repair
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm.resolve import Target, Wanted
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm.served import wait_until_served
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm.writes import Writes
from ansible_collections.rhdh.orchestrator.plugins.module_utils._run.failures import InputError
from ansible_collections.rhdh.orchestrator.plugins.module_utils._run.flow import Call
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.snapshot import Snapshot
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.source import Source
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.verdict import READY, Result, Verdict

TOUCH_PAUSE = 10.0  # seconds between touches, and before the first
MOST_REPLACED = 2  # plans for the state before a change, which OLM was resolving just then; a third one is no such plan


class Run:
    """One call of the module for `state: present`."""

    def __init__(self, call: Call, wanted: t.Sequence[Wanted], options: Options) -> None:
        self.call, self.session, self.options = call, call.session, options
        self.operators = [Operator(item) for item in wanted]
        self._preparation = Preparation(call.session, self.operators, options)
        self._writes = Writes(call)
        self._repair = Repair(call, self._writes)

    def present(self) -> dict[str, t.Any]:
        """Install or update all operators. Raises InputError before the first write, WaitFailed after it."""
        problems = olm_resolve.check_input([operator.wanted for operator in self.operators])
        if problems:
            raise InputError(problems)
        preparation = self._preparation
        waiting, problems = preparation.decide()
        if problems:
            raise InputError(problems, **({"roles": preparation.roles} if preparation.roles else {}))
        self._write(waiting)
        ended = None
        if self.session.check_mode:
            # What is not installed yet is approved and installed by the real run, even where nothing else differs.
            for operator in filter(preparation.would_approve, waiting):
                self.call.changed = True
                operator.action = "updated" if operator.action == "none" else operator.action
        elif self.options.wait and waiting:
            ended = self._wait(waiting)
            for operator in self.operators:
                if operator.approved and operator.action == "none":
                    operator.action = "updated"
        if not self.session.check_mode and self.options.wait:
            wait_until_served(self.call, self.operators, ended)
        for operator in self.operators:
            for text in operator.warnings:
                self.call.warn(f"{operator.wanted.package}: {text}")
        return self.call.result(
            operators=[o.result(o.target.owned_crds if o.target else ()) for o in self.operators],
            timeline=ended.timeline if ended else [],
            elapsed=self.call.elapsed,
        )

    # -- writing ----------------------------------------------------------------------------------------------------

    def _write(self, operators: t.Sequence[Operator]) -> None:
        done: set[tuple[str, str, str]] = set()

        def ensure(kind: k.Kind, body: Object) -> None:
            metadata = body["metadata"]
            key = (kind.kind, metadata.get("namespace", ""), metadata["name"])
            if key not in done:
                done.add(key)
                self._writes.ensure(kind, body)

        for operator in operators:
            for item in operator.changes:
                ensure(item["kind"], item["body"])
            if operator.orphan:
                self._writes.delete(operator, k.CSV, operator.orphan)
            if operator.repair and operator.subscription is not None:
                self._repair.repair(operator)
            if operator.write is not None:
                ensure(k.SUBSCRIPTION, operator.write)
            if operator.pending_plan:
                # OLM does not resolve again while a plan is pending, so the change would be ignored.
                self._writes.delete(operator, k.INSTALL_PLAN, operator.pending_plan)

    # -- waiting ----------------------------------------------------------------------------------------------------

    def _wait(self, operators: t.Sequence[Operator]) -> Result:
        looked: set[str] = set()  # packages

        def evaluate(snapshot: Snapshot) -> dict[str, Verdict]:
            verdicts = {}
            for operator in operators:
                seen = view_of(snapshot, operator)
                operator.subscription = seen.subscription or operator.subscription
                target = follow_automatic(operator, seen)
                decision = self._approval(operators, operator, seen)
                verdicts[operator.wanted.package] = olm_judge.judge(operator.wanted, target, seen, decision)
            return verdicts

        homes = list(dict.fromkeys(operator.namespace for operator in operators))
        sources = [Source(k.SUBSCRIPTION), Source(k.OPERATOR_GROUP), Source(k.CATALOG_SOURCE)]
        for home in homes:
            sources += [
                Source(k.INSTALL_PLAN, home),
                Source(k.CSV, home, label_selector=OWN_CSVS),
                Source(k.DEPLOYMENT, home),
            ]
        follow = Pods(homes).follow
        return self.call.wait(
            f"operators {', '.join(o.wanted.package for o in operators)}",
            sources,
            evaluate,
            causes=lambda ended: self._causes(operators, ended),
            facts=lambda _ended: {"operators": [operator.result() for operator in self.operators]},
            act=lambda snapshot: self._act(operators, looked, snapshot),
            follow=follow,
        )

    def _act(self, operators: t.Sequence[Operator], looked: set[str], snapshot: Snapshot) -> None:
        """Wake OLM, create dead Subscriptions once more, and approve or replace plans; `looked` are packages."""
        for operator in operators:
            if operator.wanted.package not in looked:
                looked.add(operator.wanted.package)
                self._note_state(operator, snapshot)
            seen = view_of(snapshot, operator)
            if self._preparation.managed(operator):
                self._touch(operator, seen)
            csv = t.cast(Target, operator.target).csv
            dead = operator.repair == "recreate" and olm_judge.dead_for_sure(seen, csv)
            if operator.recreation.due(dead, time.monotonic()):
                self._repair.recreate(operator, seen)
                continue
            decision = self._approval(operators, operator, seen)
            if decision is None:
                continue
            plan = t.cast(Object, seen.plan)
            if decision.action == "approve":
                self._approve(operator, plan, decision)
            elif decision.action == "replace" and olm_approval.may_be_deleted(t.cast(Object, seen.subscription), plan):
                self._replace(operator, plan)

    @staticmethod
    def _note_state(operator: Operator, snapshot: Snapshot) -> None:
        """Note what the first snapshot shows: messages and generations that are not the result of our change."""
        operator.stale |= olm_csv.messages(snapshot.list(k.CSV, operator.namespace))
        if operator.reconfigured and not operator.generations:
            found = [item["metadata"] for item in snapshot.list(k.DEPLOYMENT, operator.namespace)]
            operator.generations = {item["name"]: item["generation"] for item in found}

    def _approval(
        self, operators: t.Sequence[Operator], operator: Operator, seen: olm_view.View
    ) -> olm_approval.Approval | None:
        """Decide about the plan that the Subscription refers to; None while none is needed."""
        target = t.cast(Target, operator.target)
        if seen.subscription is None or olm_csv.find_csv(seen.csvs, target.csv):
            return None
        beside = [other for other in operators if other.target and other.namespace == operator.namespace]
        asked = {
            name
            for name in (seen.plan or {}).get("spec", {}).get("clusterServiceVersionNames") or []
            for other in beside
            if olm_approval.on_the_way(t.cast(Target, other.target), name, other.status.get("installedCSV"))
        }
        decision = olm_approval.decide_approval(
            operator.wanted, target, seen.subscription, seen.plan, seen.subscriptions, asked
        )
        if decision.reason == "WrongVersion" and operator.redirected and len(operator.replaced) < MOST_REPLACED:
            return dataclasses.replace(decision, action="replace")
        if decision.action != "approve":
            return decision
        plan = t.cast(Object, seen.plan)
        if not self._preparation.managed(operator):
            name = plan["metadata"]["name"]
            text = f"plan {name} of a Subscription that this collection did not create waits for approval"
            return olm_approval.Approval("refuse", "ApprovalNeeded", text)
        problem = self._preparation.crd_check.problem(plan, seen.subscriptions)
        return olm_approval.Approval("refuse", "StoredVersionDropped", problem) if problem else decision

    def _touch(self, operator: Operator, seen: olm_view.View) -> None:
        """Touch what OLM pauses about, so that it processes it now and not when its pause is over."""
        csv = olm_csv.find_csv(seen.csvs, t.cast(Target, operator.target).csv)
        if olm_resolution.backs_off(seen):
            kind, sleeper = k.SUBSCRIPTION, t.cast(Object, seen.subscription)
        elif csv is not None and olm_judge.group_is_right_again(csv, seen):
            kind, sleeper = k.CSV, csv
        else:
            return
        now = time.monotonic()
        if operator.touched_at and now - operator.touched_at < TOUCH_PAUSE:
            return
        if operator.touched_at:  # the first time is only noted: OLM may be about to see it by itself
            metadata = sleeper["metadata"]
            name, namespace = metadata["name"], metadata["namespace"]
            what = f"make OLM look at {kind.title(namespace, name)} again before its pause is over"
            self.call.touch(what, kind, name, namespace)
        operator.touched_at = now

    def _replace(self, operator: Operator, plan: Object) -> None:
        """Delete a plan that OLM was making for the Subscription as it was before our change: OLM makes another."""
        metadata = plan["metadata"]
        if metadata["name"] in operator.replaced:
            return
        try:
            self.session.delete(
                k.INSTALL_PLAN,
                metadata["name"],
                metadata["namespace"],
                uid=metadata["uid"],
                resource_version=metadata["resourceVersion"],
            )
        except ApiError as exc:
            if not exc.conflict:
                raise
            return  # it has changed meanwhile: looked at again when the change arrives
        operator.replaced.append(metadata["name"])
        self.call.record(k.INSTALL_PLAN.title(operator.namespace, metadata["name"]), {"present": True}, {})

    def _approve(self, operator: Operator, plan: Object, decision: olm_approval.Approval) -> None:
        metadata = plan["metadata"]
        if metadata["name"] in operator.approved:
            return
        patch = {"metadata": {"resourceVersion": metadata["resourceVersion"]}, "spec": {"approved": True}}
        try:
            self.session.patch(k.INSTALL_PLAN, metadata["name"], metadata["namespace"], patch)
        except ApiError as exc:
            if exc.conflict or exc.not_found:
                return  # it has changed meanwhile: looked at again when the change arrives
            raise
        self.call.changed = True
        operator.approved.append(metadata["name"])
        own = {name for name, _version in t.cast(Target, operator.target).entries}
        operator.included += [n for n in plan["spec"].get("clusterServiceVersionNames") or [] if n not in own]

    def _causes(self, operators: t.Sequence[Operator], ended: Result) -> list[str]:
        causes = []
        for operator in operators:
            verdict = ended.verdicts.get(operator.wanted.package)
            if verdict is not None and (verdict.state == READY or verdict.reason in olm_judge.REFUSALS):
                continue  # nothing deeper than a refusal of our own: the plan would only be said to wait for approval
            # From the Subscription down: its plan may tell why its CSV does not go on.
            name = (operator.subscription or {"metadata": {"name": operator.wanted.package}})["metadata"]["name"]
            prefix = f"{operator.wanted.package}: "
            causes.append(self.call.cause(k.SUBSCRIPTION, name, operator.namespace, prefix))
        return causes


def view_of(snapshot: Snapshot, operator: Operator) -> olm_view.View:
    """Return the objects of one operator in a snapshot."""
    home = operator.namespace
    name = (operator.subscription or {"metadata": {"name": operator.wanted.package}})["metadata"]["name"]
    subscription = snapshot.get(k.SUBSCRIPTION, name, home)
    ref = (((subscription or {}).get("status") or {}).get("installPlanRef") or {}).get("name")
    places = (home, operator.wanted.catalog_namespace)
    return olm_view.View(
        subscription,
        snapshot.get(k.INSTALL_PLAN, ref, home) if ref else None,
        snapshot.list(k.CSV, home),
        {item["metadata"]["name"]: item for item in snapshot.list(k.DEPLOYMENT, home)},
        snapshot.list(k.OPERATOR_GROUP, home),
        [c for c in snapshot.list(k.CATALOG_SOURCE) if c["metadata"]["namespace"] in places],
        snapshot.list(k.SUBSCRIPTION, home),
        operator.stale,
        snapshot.list(k.POD, home),
        snapshot.list(k.REPLICA_SET, home),
        operator.generations if operator.reconfigured else {},
    )


def follow_automatic(operator: Operator, seen: olm_view.View) -> Target:
    """With Automatic approval OLM may end at a newer head than the one read: follow it."""
    target = t.cast(Target, operator.target)
    status = (seen.subscription or {}).get("status") or {}
    name = status.get("installedCSV")
    if operator.wanted.approval != "Automatic" or not name or name in (target.csv, None):
        return target
    csv = olm_csv.find_csv(seen.csvs, name)
    version = ((csv or {}).get("spec") or {}).get("version")
    if version and semver.version_key(version) > semver.version_key(target.version):
        operator.target = target = as_installed(t.cast(Object, csv), target.channel)
    return target
