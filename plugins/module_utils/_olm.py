# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Bring several operators about side by side: read, resolve all, refuse all, write, one wait over all. PRIVATE."""

from __future__ import annotations

import dataclasses
import time
import typing as t

from ansible_collections.rhdh.orchestrator.plugins.module_utils import _kinds as k
from ansible_collections.rhdh.orchestrator.plugins.module_utils import _olm_judge as judging
from ansible_collections.rhdh.orchestrator.plugins.module_utils import _olm_resolve as resolving
from ansible_collections.rhdh.orchestrator.plugins.module_utils._api import (
    ApiError,
    Object,
    Session,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._diagnose import (
    diagnose,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._module import (
    InputError,
    WaitFailed,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm_operator import (
    OWN_CSVS,
    Operator,
    Options,
    as_installed,
    change,
    subscription_body,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm_prepare import (
    Preparation,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm_resolve import (
    Target,
    Wanted,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait import (
    READY,
    Result,
    Snapshot,
    Source,
    Verdict,
    condition,
    wait,
)


class Run:
    """One call of the module for `state: present`."""

    def __init__(self, session: Session, wanted: t.Sequence[Wanted], options: Options) -> None:
        self.session, self.options = session, options
        self.operators = [Operator(item) for item in wanted]
        self._preparation = Preparation(session, self.operators, options)
        self._started = time.monotonic()

    def present(self) -> dict[str, t.Any]:
        """Bring all operators about. Raises InputError before the first write, WaitFailed after it."""
        problems = resolving.check_input([operator.wanted for operator in self.operators])
        if problems:
            raise InputError(problems)
        self._preparation.read()
        views = {id(o): self._preparation.settled(o) for o in self.operators}
        open_operators = [o for o in self.operators if not views[id(o)]]
        problems = self._preparation.refusals(open_operators)
        if problems:
            raise InputError(problems)
        self._write(open_operators)
        changed = any(o.changes for o in self.operators)
        ended = None
        waiting = [o for o in open_operators if o.changes or not views[id(o)]]
        if self.session.check_mode:
            # What is not installed yet is approved and installed by the real run, even where nothing else differs.
            for operator in filter(self._preparation.would_approve, open_operators):
                changed = True
                operator.action = "updated" if operator.action == "none" else operator.action
        elif self.options.wait and waiting:
            ended = self._wait(waiting)
            for operator in self.operators:
                changed = changed or bool(operator.approved)
                if operator.approved and operator.action == "none":
                    operator.action = "updated"
        if not self.session.check_mode and self.options.wait:
            self._crds(ended)
        return self._result(changed, ended)

    def _result(self, changed: bool, ended: Result | None) -> dict[str, t.Any]:
        changes = [item for operator in self.operators for item in operator.changes]
        return {
            "changed": changed,
            "operators": [o.result(o.target.owned_crds if o.target else ()) for o in self.operators],
            "timeline": ended.timeline if ended else [],
            "elapsed": round(time.monotonic() - self._started, 2),
            "warnings": [f"{o.wanted.package}: {text}" for o in self.operators for text in o.warnings],
            "diff": {
                "before": {item["object"]: item["before"] for item in changes},
                "after": {item["object"]: item["after"] for item in changes},
            },
        }

    # -- writing ----------------------------------------------------------------------------------------------------

    def _write(self, operators: t.Sequence[Operator]) -> None:
        done: set[tuple[str, str, str]] = set()
        for operator in operators:
            planned, operator.changes = operator.changes, []
            for item in planned:
                self._ensure(operator, item["kind"], item["body"], done)
            if operator.orphan:
                self.session.delete(k.CSV, operator.orphan, operator.namespace)
                operator.changes.append(change(k.CSV, operator.namespace, operator.orphan, {"present": True}, {}))
            if operator.repair and operator.subscription is not None:
                self._repair(operator)
            if operator.write is not None:
                self._ensure(operator, k.SUBSCRIPTION, operator.write, done)
            if operator.pending_plan and operator.changes and not self.session.check_mode:
                # OLM does not resolve again while a plan is pending, so the change would be ignored.
                self.session.delete(k.INSTALL_PLAN, operator.pending_plan, operator.namespace)

    def _ensure(self, operator: Operator, kind: k.Kind, body: Object, done: set[tuple[str, str, str]]) -> None:
        metadata = body["metadata"]
        key = (kind.kind, metadata.get("namespace", ""), metadata["name"])
        if key in done:
            return
        done.add(key)
        done_to = self.session.ensure(kind, body, force=operator.foreign)
        if done_to.changed:
            before = {"spec": done_to.before.get("spec")} if done_to.before else {}
            after = {"spec": done_to.after.get("spec")}
            operator.changes.append(change(kind, metadata.get("namespace"), metadata["name"], before, after))

    def _repair(self, operator: Operator) -> None:
        subscription = t.cast(Object, operator.subscription)
        metadata = subscription["metadata"]
        if operator.repair == "reset":
            plan = operator.status["installPlanRef"]["name"]
            patch = {"status": {"phase": "Installing", "startTime": None, "message": None, "conditions": []}}
            if not self.session.check_mode:
                self.session.patch(k.INSTALL_PLAN, plan, operator.namespace, patch, subresource="status")
            before, after = {"phase": "Failed"}, {"phase": "Installing"}
            operator.changes.append(change(k.INSTALL_PLAN, operator.namespace, plan, before, after))
            return
        self.session.delete(k.SUBSCRIPTION, metadata["name"], operator.namespace, uid=metadata["uid"])
        operator.subscription, operator.action = None, "created"
        operator.write = subscription_body(operator.wanted, t.cast(Target, operator.target), None)

    # -- waiting ----------------------------------------------------------------------------------------------------

    def _wait(self, operators: t.Sequence[Operator]) -> Result:
        def view(snapshot: Snapshot, operator: Operator) -> judging.View:
            home = operator.namespace
            name = (operator.subscription or {"metadata": {"name": operator.wanted.package}})["metadata"]["name"]
            subscription = snapshot.get(k.SUBSCRIPTION, name, home)
            ref = (((subscription or {}).get("status") or {}).get("installPlanRef") or {}).get("name")
            return judging.View(
                subscription,
                snapshot.get(k.INSTALL_PLAN, ref, home) if ref else None,
                snapshot.list(k.CSV, home),
                {item["metadata"]["name"]: item for item in snapshot.list(k.DEPLOYMENT, home)},
                snapshot.list(k.OPERATOR_GROUP, home),
                [
                    c
                    for c in snapshot.list(k.CATALOG_SOURCE)
                    if c["metadata"]["namespace"] in (home, operator.wanted.catalog_namespace)
                ],
                snapshot.list(k.SUBSCRIPTION, home),
                operator.stale,
            )

        def approval(operator: Operator, seen: judging.View) -> judging.Approval | None:
            target = t.cast(Target, operator.target)
            if seen.subscription is None or judging.find_csv(seen.csvs, target.csv):
                return None
            asked = {o.target.csv for o in operators if o.target and o.namespace == operator.namespace}
            asked |= {
                (s.get("status") or {}).get("currentCSV")
                for o in operators
                for s in seen.subscriptions
                if o.target
                and s["spec"].get("name") == o.wanted.package
                and judging.on_the_way(
                    o.target,
                    (s.get("status") or {}).get("currentCSV"),
                    (s.get("status") or {}).get("installedCSV"),
                )
            }
            decision = judging.decide_approval(
                operator.wanted, target, seen.subscription, seen.plan, seen.subscriptions, asked
            )
            if decision.action == "approve" and operator.foreign and not self.options.manage_adopted:
                return judging.Approval(
                    "refuse",
                    "ApprovalNeeded",
                    f"plan {(seen.plan or {})['metadata']['name']} of somebody else's Subscription waits for approval",
                    "Approve it, or set manage_adopted.",
                )
            return decision

        def act(snapshot: Snapshot) -> None:
            for operator in operators:
                seen = view(snapshot, operator)
                decision = approval(operator, seen)
                if decision and decision.action == "approve":
                    self._approve(operator, t.cast(Object, seen.plan), decision)

        def evaluate(snapshot: Snapshot) -> dict[str, Verdict]:
            verdicts = {}
            for operator in operators:
                seen = view(snapshot, operator)
                operator.subscription = seen.subscription or operator.subscription
                target = self._follow_automatic(operator, seen)
                verdicts[operator.wanted.package] = judging.judge(
                    operator.wanted, target, seen, approval(operator, seen)
                )
            return verdicts

        homes = list(dict.fromkeys(operator.namespace for operator in operators))
        sources = [Source(k.SUBSCRIPTION), Source(k.OPERATOR_GROUP), Source(k.CATALOG_SOURCE)]
        for home in homes:
            sources += [
                Source(k.INSTALL_PLAN, home),
                Source(k.CSV, home, label_selector=OWN_CSVS),
                Source(k.DEPLOYMENT, home),
            ]
        ended = wait(self.session, sources, evaluate, timeout=self.options.wait_timeout, act=act)
        if ended.phase != READY:
            raise self._failed(operators, ended)
        return ended

    def _approve(self, operator: Operator, plan: Object, decision: judging.Approval) -> None:
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
        operator.approved.append(metadata["name"])
        own = {name for name, _version in t.cast(Target, operator.target).entries}
        operator.included += [n for n in plan["spec"].get("clusterServiceVersionNames") or [] if n not in own]

    @staticmethod
    def _follow_automatic(operator: Operator, seen: judging.View) -> Target:
        """With Automatic approval OLM may end at a newer head than the one read: follow it."""
        target = t.cast(Target, operator.target)
        status = (seen.subscription or {}).get("status") or {}
        name = status.get("installedCSV")
        if operator.wanted.approval != "Automatic" or not name or name in (target.csv, None):
            return target
        csv = judging.find_csv(seen.csvs, name)
        version = ((csv or {}).get("spec") or {}).get("version")
        if version and resolving.version_key(version) > resolving.version_key(target.version):
            operator.target = target = as_installed(t.cast(Object, csv), target.channel)
        return target

    def _failed(self, operators: t.Sequence[Operator], ended: Result) -> WaitFailed:
        causes = []
        for operator in operators:
            verdict = ended.verdicts.get(operator.wanted.package)
            if verdict is not None and verdict.state == READY:
                continue
            target, home = t.cast(Target, operator.target), operator.namespace
            csv = ended.snapshot.get(k.CSV, target.csv, home)
            kind, name = (k.CSV, target.csv) if csv else (k.SUBSCRIPTION, operator.wanted.package)
            if operator.subscription is not None and not csv:
                name = operator.subscription["metadata"]["name"]
            cause = diagnose(self.session, kind, name, home)
            if cause is not None:
                causes.append(cause.text(f"{operator.wanted.package}: "))
        names = ", ".join(o.wanted.package for o in operators)
        results = [o.result() for o in self.operators]
        changed = any(o.changes or o.approved for o in self.operators)
        return WaitFailed(ended, f"operators {names}", causes, operators=results, changed=changed)

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
            owned = ((csv or {}).get("spec") or {}).get("customresourcedefinitions", {}).get("owned") or []
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

        left = max(10.0, self.options.wait_timeout - (time.monotonic() - self._started))
        result = wait(self.session, [Source(k.CRD, name=name) for name in missing], evaluate, timeout=left)
        if result.phase != READY:
            raise WaitFailed(result, f"the operators' CustomResourceDefinitions {', '.join(missing)}")


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
