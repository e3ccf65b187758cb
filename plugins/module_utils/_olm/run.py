# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Bring several operators about side by side: read, resolve all, refuse all, write, one wait over all. PRIVATE."""

from __future__ import annotations

import dataclasses
import time
import typing as t

from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube import kinds as k
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.errors import ApiError
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.inventory import owners
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.objects import Object, condition
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.session import Session
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
    subscription_body,
    title,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm.pods import Pods
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm.prepare import Preparation
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm.resolve import Target, Wanted
from ansible_collections.rhdh.orchestrator.plugins.module_utils._run.failures import InputError
from ansible_collections.rhdh.orchestrator.plugins.module_utils._run.flow import Call
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.engine import wait
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.source import Source
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.verdict import READY, Result, Verdict
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.world import Snapshot

FORGOTTEN = 30.0  # seconds that what belongs to a deleted Subscription is given to go
CACHED = 1.0  # seconds until OLM's cache has noticed that it is gone
WAKE_PAUSE = 10.0  # seconds between touches, and before the first
MOST_REPLACED = 2  # plans of before a change: OLM was resolving at that moment; what it makes then is what it wants
WOKEN = "rhdh.orchestrator/woken"  # annotation on a Subscription or CSV


class Run:
    """One call of the module for `state: present`."""

    def __init__(self, call: Call, wanted: t.Sequence[Wanted], options: Options) -> None:
        self.call, self.session, self.options = call, call.session, options
        self.operators = [Operator(item) for item in wanted]
        self._preparation = Preparation(call.session, self.operators, options)

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
            self._crds(ended)
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
        for operator in operators:
            for item in operator.changes:
                self._ensure(operator, item["kind"], item["body"], done)
            if operator.orphan:
                self._delete(operator, k.CSV, operator.orphan)
            if operator.repair and operator.subscription is not None:
                self._repair(operator)
            if operator.write is not None:
                self._ensure(operator, k.SUBSCRIPTION, operator.write, done)
            if operator.pending_plan:
                # OLM does not resolve again while a plan is pending, so the change would be ignored.
                self._delete(operator, k.INSTALL_PLAN, operator.pending_plan)

    def _delete(self, operator: Operator, kind: k.Kind, name: str, uid: str | None = None) -> None:
        self.session.delete(kind, name, operator.namespace, uid=uid or operator.uids.get(name))
        self.call.record(title(kind, operator.namespace, name), {"present": True}, {})

    def _ensure(self, operator: Operator, kind: k.Kind, body: Object, done: set[tuple[str, str, str]]) -> None:
        metadata = body["metadata"]
        key = (kind.kind, metadata.get("namespace", ""), metadata["name"])
        if key in done:
            return
        done.add(key)
        # A Subscription gets here only if it is ours, or taken over: what others have set in it gives way.
        done_to = self.session.ensure(kind, body, force=kind == k.SUBSCRIPTION)
        if done_to.changed:
            before = {"spec": done_to.before.get("spec")} if done_to.before else {}
            after = {"spec": done_to.after.get("spec")}
            self.call.record(title(kind, metadata.get("namespace"), metadata["name"]), before, after)

    def _repair(self, operator: Operator) -> None:
        subscription = t.cast(Object, operator.subscription)
        if operator.repair == "reset":
            plan = operator.status["installPlanRef"]["name"]
            patch: Object = {"status": {"phase": "Installing", "startTime": None, "message": None, "conditions": []}}
            if not self.session.check_mode:
                self.session.patch(k.INSTALL_PLAN, plan, operator.namespace, patch, subresource="status")
            before, after = {"phase": "Failed"}, {"phase": "Installing"}
            self.call.record(title(k.INSTALL_PLAN, operator.namespace, plan), before, after)
            return
        self._delete_subscription(operator, subscription)
        operator.wanted = dataclasses.replace(operator.wanted, namespace=operator.namespace)
        operator.subscription, operator.action = None, "created"
        operator.write = subscription_body(operator.wanted, t.cast(Target, operator.target), None)

    def _delete_subscription(self, operator: Operator, subscription: Object) -> None:
        """Delete a dead Subscription with the CSVs that have to go, and wait until OLM has forgotten them."""
        metadata = subscription["metadata"]
        self._delete(operator, k.SUBSCRIPTION, metadata["name"], metadata["uid"])
        for name in operator.csvs_to_delete:
            self._delete(operator, k.CSV, name)
        self._until_forgotten(operator, metadata["uid"])

    def _until_forgotten(self, operator: Operator, uid: str) -> None:
        """Wait until what belongs to a deleted Subscription is gone as well.

        OLM would refer the new Subscription to a plan of the old one, which the garbage collector is about to delete:
        the new one would be dead, too. When it takes long the wait for the operator creates it once more.
        """
        if self.session.check_mode:
            return

        def evaluate(snapshot: Snapshot) -> dict[str, Verdict]:
            plans = snapshot.list(k.INSTALL_PLAN, operator.namespace)
            left = [item["metadata"]["name"] for item in plans if uid in owners(item)]
            left += [n for n in operator.csvs_to_delete if snapshot.get(k.CSV, n, operator.namespace)]
            if left:
                return {operator.wanted.package: Verdict.pending("Removing", f"{', '.join(left)} before the next try")}
            return {operator.wanted.package: Verdict.ready("removed", stable_for=CACHED)}

        sources = [Source(kind, operator.namespace) for kind in (k.INSTALL_PLAN, k.CSV)]
        wait(self.session, sources, evaluate, timeout=min(FORGOTTEN, self.call.left()))

    def _recreate(self, operator: Operator, seen: olm_view.View) -> None:
        """Create once more the Subscription that we have created, and that OLM has led into the dead end again."""
        left = olm_csv.find_csv(seen.csvs, t.cast(Target, operator.target).csv)
        # It is of a plan that is gone, and the new Subscription does not take it for its own.
        operator.uids.update({left["metadata"]["name"]: left["metadata"]["uid"]} if left else {})
        operator.csvs_to_delete = [left["metadata"]["name"]] if left else []
        self._delete_subscription(operator, t.cast(Object, seen.subscription))
        self._ensure(operator, k.SUBSCRIPTION, t.cast(Object, operator.write), set())

    # -- waiting ----------------------------------------------------------------------------------------------------

    def _wait(self, operators: t.Sequence[Operator]) -> Result:
        looked: set[str] = set()  # packages

        def act(snapshot: Snapshot) -> None:
            for operator in operators:
                if operator.wanted.package not in looked:
                    looked.add(operator.wanted.package)
                    operator.stale |= olm_csv.messages(snapshot.list(k.CSV, operator.namespace))
                    if operator.reconfigured and not operator.generations:
                        found = [item["metadata"] for item in snapshot.list(k.DEPLOYMENT, operator.namespace)]
                        operator.generations = {item["name"]: item["generation"] for item in found}
                seen = self._view(snapshot, operator)
                if self._preparation.managed(operator):
                    self._wake(operator, seen)
                csv = t.cast(Target, operator.target).csv
                dead = operator.repair == "recreate" and olm_judge.dead_for_sure(seen, csv)
                if operator.recreation.due(dead, time.monotonic()):
                    self._recreate(operator, seen)
                    continue
                decision = self._approval(operators, operator, seen)
                if decision is None:
                    continue
                plan = t.cast(Object, seen.plan)
                if decision.action == "approve":
                    self._approve(operator, plan, decision)
                elif decision.action == "replace" and olm_approval.may_be_deleted(
                    t.cast(Object, seen.subscription), plan
                ):
                    self._replace(operator, plan)

        def evaluate(snapshot: Snapshot) -> dict[str, Verdict]:
            verdicts = {}
            for operator in operators:
                seen = self._view(snapshot, operator)
                operator.subscription = seen.subscription or operator.subscription
                target = self._follow_automatic(operator, seen)
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
            act=act,
            follow=follow,
        )

    @staticmethod
    def _view(snapshot: Snapshot, operator: Operator) -> olm_view.View:
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
            text = f"plan {plan['metadata']['name']} of somebody else's Subscription waits for approval"
            return olm_approval.Approval("refuse", "ApprovalNeeded", text)
        problem = self._preparation.crd_check.problem(plan, seen.subscriptions)
        return olm_approval.Approval("refuse", "StoredVersionDropped", problem) if problem else decision

    def _wake(self, operator: Operator, seen: olm_view.View) -> None:
        """Touch what OLM pauses about, so that it looks at it now and not when its pause is over."""
        csv = olm_csv.find_csv(seen.csvs, t.cast(Target, operator.target).csv)
        if olm_resolution.backs_off(seen):
            kind, sleeper = k.SUBSCRIPTION, t.cast(Object, seen.subscription)
        elif csv is not None and olm_judge.group_mended(csv, seen):
            kind, sleeper = k.CSV, csv
        else:
            return
        now = time.monotonic()
        if operator.woken and now - operator.woken < WAKE_PAUSE:
            return
        if operator.woken:  # the first time is only noted: OLM may be about to see it by itself
            metadata = sleeper["metadata"]
            name, namespace = metadata["name"], metadata["namespace"]
            patch = {"metadata": {"annotations": {WOKEN: time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}}}
            self.call.repair(
                f"make OLM look at {title(kind, namespace, name)} again before its pause is over",
                lambda: self.session.patch(kind, name, namespace, patch),
                f"patch on {kind.plural}",
            )
        operator.woken = now

    def _replace(self, operator: Operator, plan: Object) -> None:
        """Delete a plan that OLM was making for what the Subscription said before our change: OLM makes another."""
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
        self.call.record(title(k.INSTALL_PLAN, operator.namespace, metadata["name"]), {"present": True}, {})

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

    @staticmethod
    def _follow_automatic(operator: Operator, seen: olm_view.View) -> Target:
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

    def _crds(self, ended: Result | None) -> None:
        """Wait until every owned CRD of the installed operators is served; costs one read a group and version."""
        missing = []
        for operator in self.operators:
            target = operator.target
            if target is None:
                continue
            csv = operator.csv
            if csv is None or csv["metadata"]["name"] != target.csv:
                csv = ended.snapshot.get(k.CSV, target.csv, operator.namespace) if ended else None
            owned = olm_csv.owned_crds((csv or {}).get("spec") or {})
            operator.target = dataclasses.replace(target, owned_crds=tuple(dict.fromkeys(c["name"] for c in owned)))
            missing += [name for name in unserved(self.session, owned) if name not in missing]
        if not missing:
            return

        def evaluate(snapshot: Snapshot) -> dict[str, Verdict]:
            verdicts = {}
            for name in missing:
                found = condition(snapshot.get(k.CRD, name), "Established")
                ready = found is not None and found.get("status") == "True"
                verdicts[name] = Verdict.ready() if ready else Verdict.pending("NotEstablished", "is not served yet")
            return verdicts

        sources = [Source(k.CRD, name=name) for name in missing]
        self.call.wait(f"the operators' CustomResourceDefinitions {', '.join(missing)}", sources, evaluate)


def unserved(session: Session, owned: t.Iterable[Object]) -> list[str]:
    """Return those of a CSV's owned CRDs that the API server does not serve in the version that the CSV names."""
    by_version: dict[str, set[str]] = {}
    for crd in owned:
        plural, _dot, group = crd["name"].partition(".")
        by_version.setdefault(f"{group}/{crd['version']}", set()).add(plural)
    missing = []
    for api_version, plurals in by_version.items():
        try:
            served = {item["name"] for item in session.get_path(f"/apis/{api_version}").get("resources") or []}
        except ApiError as exc:
            if not exc.not_found:
                raise
            served = set()
        group = api_version.split("/")[0]
        missing += [f"{plural}.{group}" for plural in sorted(plurals - served)]
    return missing
