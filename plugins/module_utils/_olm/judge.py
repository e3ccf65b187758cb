# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What OLM's objects mean for one operator: installed, on its way, or stuck and why. PRIVATE.

Success is tested first, on the objects that prove it. Conditions only explain why it is not there yet: OLM leaves
stale ones behind, and a healthy upgrade shows some that look final. What ends a wait, and when, says `_terminal`.
"""

from __future__ import annotations

import dataclasses
import re
import typing as t

from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.objects import Object, condition
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm.approval import Approval
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm.csv import (
    deployments_of,
    find_csv,
    is_orphan,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm.resolution import (
    catalog_state,
    judge_resolution,
    resolution_class,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm.resolve import Target, Wanted
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm.view import View
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.states.table import find, terminal
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.verdict import FAILED, READY, Verdict
from ansible_collections.rhdh.orchestrator.plugins.module_utils._workload.pods import selected
from ansible_collections.rhdh.orchestrator.plugins.module_utils._workload.rollout import rolled_out, workload

REFUSALS = ("WrongVersion", "CollateralUpgrade", "ApprovalNeeded", "StoredVersionDropped")  # to approve a plan
UNMET = ("Pending", "RequirementsNotMet")  # phase and reason
GROUP_COUNT = ("TooManyOperatorGroups", "NoOperatorGroup")  # reasons of a CSV whose namespace needs exactly one
STABLE = 2.0  # seconds a CSV must stay Succeeded: in a replacement it may flip once
SETTLED = 60.0  # seconds after which a new config of the Subscription has changed nothing: a busy OLM lags


def crd_safety(message: str) -> str | None:
    """Return what OLM's protection of custom resources objects to, in words, or None for another message."""
    match = re.search(
        r'risk of data loss updating "([^"]+)": new CRD removes version (\S+) that is listed as a stored', message
    )
    if match:
        return (
            f"the new CRD {match.group(1)} no longer has version {match.group(2)}, in which objects are still stored; "
            "migrate them and remove the version from the CRD's status.storedVersions"
        )
    match = re.search(
        r'new CRD\'s schema for "([^"]+)": error validating (\S+), Kind=(\w+) "([^"]+)".*too restrictive: (.*)',
        message,
    )
    if match:
        return f"{match.group(3)} {match.group(4)} is not valid under the new CRD {match.group(1)}: {match.group(5)}"
    return None


def configured(subscription: Object, deployment: Object | None) -> bool:
    """Tell whether the variables of a Subscription's config are in a Deployment.

    OLM applies the config only once the Subscription names the CSV as installed: the first pods run without it.
    """
    env = (subscription["spec"].get("config") or {}).get("env") or []
    wanted = {item["name"]: item.get("value", "") for item in env if "valueFrom" not in item}
    containers = ((deployment or {}).get("spec") or {}).get("template", {}).get("spec", {}).get("containers") or []
    found = [{item["name"]: item.get("value", "") for item in c.get("env") or []} for c in containers]
    return all(wanted.items() <= variables.items() for variables in found)


def installed(view: View, name: str) -> bool:
    """Tell whether the operator is installed as this CSV and really runs; what the conditions say does not matter."""
    status = (view.subscription or {}).get("status") or {}
    csv = find_csv(view.csvs, name)
    return (
        csv is not None
        and not csv["metadata"].get("deletionTimestamp")
        and (csv.get("status") or {}).get("phase") == "Succeeded"
        and status.get("installedCSV") == name
        and all(rolled_out(view.deployments.get(item)).state == READY for item in deployments_of(csv))
        and all(configured(t.cast(Object, view.subscription), view.deployments[n]) for n in deployments_of(csv))
    )


def group_is_right_again(csv: Object, view: View) -> bool:
    """Tell whether a CSV complains of the number of OperatorGroups, which is right: OLM looks again after a pause."""
    status = csv.get("status") or {}
    return status.get("phase") == "Failed" and status.get("reason") in GROUP_COUNT and len(view.groups) == 1


def judge(wanted: Wanted, target: Target, view: View, approval: Approval | None = None) -> Verdict:
    """Return the verdict for one operator."""
    if installed(view, target.csv):
        names = deployments_of(t.cast(Object, find_csv(view.csvs, target.csv)))
        # The CSV stays Succeeded until OLM gets to a new config, and its Deployments then change.
        waits = view.generations and all(_generation(view.deployments[n]) == view.generations.get(n) for n in names)
        return Verdict.ready(f"{target.csv} runs", stable_for=SETTLED if waits else STABLE)
    if view.subscription is None:
        return terminal("subscription/SubscriptionGone").verdict("the Subscription was deleted")
    csv = find_csv(view.csvs, target.csv)
    if passed_over(view.subscription, target, csv):
        text = f"{target.csv} was deleted, and OLM offers only {view.subscription['status']['currentCSV']}"
        names = {"package": wanted.package, "namespace": wanted.namespace}
        return terminal("subscription/DeadSubscription").verdict(text, **names)
    if approval and approval.action == "refuse":
        names = {"package": wanted.package, "current": (view.subscription.get("status") or {}).get("currentCSV")}
        return terminal(f"plan/{approval.reason}").verdict(approval.message, **names)
    aim = (view.subscription.get("status") or {}).get("currentCSV") or ""
    if dead(view.subscription, view.plan, find_csv(view.csvs, aim)):
        # A pending plan that is deleted looks the same until OLM, which may be busy, makes another.
        unsure = not dead_for_sure(view, target.csv)
        what = f"plan {view.plan['metadata']['name']} is Complete" if view.plan else "its InstallPlan is gone"
        names = {"package": wanted.package, "namespace": wanted.namespace}
        text = f"{what} but {aim} is not installed; OLM will not go on"
        return terminal("subscription/DeadSubscription").verdict(text, stale=unsure, **names)
    if orphaned(view, target.csv):
        resolution = t.cast(Object, condition(view.subscription, "ResolutionFailed"))
        return judge_resolution(wanted, resolution["message"], view)
    if csv is not None:
        # The CSV is made first: when its plan fails afterwards, only the plan says why nothing goes on.
        return _judge_failed_plan(view, target) or _judge_retrying_plan(view, target) or _judge_own_csv(csv, view)
    verdict = _judge_plan(wanted, target, view)
    if verdict is not None:
        return verdict
    return _judge_conditions(wanted, view) or _judge_silence(wanted, target, view)


def _generation(obj: Object) -> int | None:
    return t.cast("int | None", obj["metadata"].get("generation"))


def _judge_own_csv(csv: Object, view: View) -> Verdict:
    if group_is_right_again(csv, view):
        status = csv["status"]
        text = f"{csv['metadata']['name']} is still {status['reason']}, though the namespace has one OperatorGroup now"
        return terminal("csv/OperatorGroupMended").verdict(text)
    verdict = judge_csv(csv, view.deployments, view.pods, view.replica_sets, view.stale)
    if verdict.state == READY:
        text = f"{csv['metadata']['name']} runs; OLM has yet to note it in the Subscription and apply its config"
        return Verdict.pending("Settling", text)
    return verdict


def judge_csv(
    csv: Object,
    deployments: t.Mapping[str, Object],
    pods: t.Sequence[Object] = (),
    replica_sets: t.Sequence[Object] = (),
    stale: t.Collection[str] = (),
) -> Verdict:
    """Judge one CSV by itself and its Deployments. `pods` may hold more than theirs; `stale` are texts of before."""
    name, status = csv["metadata"]["name"], csv.get("status") or {}
    phase, reason, message = status.get("phase") or "", status.get("reason") or "", status.get("message") or ""
    if "olm.copiedFrom" in (csv["metadata"].get("labels") or {}):
        origin = csv["metadata"]["labels"]["olm.copiedFrom"]
        return terminal("csv/Copied").verdict(f"{name} is a copy from namespace {origin}", origin=origin)
    if csv["metadata"].get("deletionTimestamp"):
        return Verdict.pending("CSVDeleting", f"{name} is being deleted")
    if reason == "RequirementsNotMet":
        unmet = unmet_requirements(csv)
        text = f"{name}: {'; '.join(unmet)[:300] or message}"
        minimum = any("minKubeVersion" in item for item in unmet)
        return terminal("csv/MinKubeVersion" if minimum else "csv/RequirementsNotMet").verdict(text)
    state = find("csv", reason) if phase in ("Failed", "Pending") else None
    if state is not None and state.ends and phase == "Failed":
        return state.verdict(f"{name}: {message}", stale=message in stale)
    broken = _judge_deployments(csv, deployments, pods, replica_sets)
    if broken is not None:
        return broken
    if state is not None and not state.ends:
        return state.verdict(f"{name}: {message}")  # OLM tries again for ever, and it may well heal
    if phase == "Succeeded":
        return Verdict.ready("Succeeded, and its Deployments are available", stable_for=STABLE)
    return Verdict.pending(phase or "CSVNew", f"{name}: {message or reason}")


def _judge_deployments(
    csv: Object, deployments: t.Mapping[str, Object], pods: t.Sequence[Object], replica_sets: t.Sequence[Object]
) -> Verdict | None:
    """Judge the Deployments that a CSV has made; None when they have nothing to say."""
    succeeded = (csv.get("status") or {}).get("phase") == "Succeeded"
    for name in deployments_of(csv):
        found = deployments.get(name)
        selector = (((found or {}).get("spec") or {}).get("selector") or {}).get("matchLabels") or {}
        verdict = workload(found, selected(pods, selector) if selector else (), replica_sets)
        text = f"Deployment {name} {verdict.message}"
        # OLM gives a Deployment more than its own progress deadline.
        if verdict.state == FAILED and verdict.reason != "ProgressDeadlineExceeded":
            return dataclasses.replace(verdict, message=text)
        if succeeded and verdict.state != READY:
            return terminal("csv/DeploymentNotReady").verdict(text)
    return None


def unmet_requirements(csv: Object) -> list[str]:
    """Return the requirements of a CSV that are not satisfied, in words, with the rules that are missing."""
    unmet = []
    for item in (csv.get("status") or {}).get("requirementStatus") or []:
        if item.get("status") == "Present":
            continue
        rules = [rule["message"] for rule in item.get("dependents") or [] if rule.get("status") == "NotSatisfied"]
        detail = ", ".join(rules) or item.get("message") or item.get("status")
        unmet.append(f"{item.get('kind')} {item.get('name')}: {detail}")
    return unmet


def _judge_failed_plan(view: View, target: Target) -> Verdict | None:
    """Judge a plan for the target that has Failed; None for any other."""
    plan = view.plan
    if plan is None or (plan.get("status") or {}).get("phase") != "Failed":
        return None
    if target.csv not in (plan["spec"].get("clusterServiceVersionNames") or []):
        return None
    message = plan_message(plan)
    return terminal("plan/InstallPlanFailed").verdict(
        f"plan {plan['metadata']['name']}: {crd_safety(message) or message}"
    )


def _judge_retrying_plan(view: View, target: Target) -> Verdict | None:
    """Judge a plan for the target that OLM tries again and again; None for any other."""
    plan = view.plan
    if plan is None or (plan.get("status") or {}).get("phase") != "Installing" or not plan_message(plan):
        return None
    if target.csv not in (plan["spec"].get("clusterServiceVersionNames") or []):
        return None
    text = crd_safety(plan_message(plan)) or plan_message(plan)
    return terminal("plan/InstallPlanRetrying").verdict(f"plan {plan['metadata']['name']}: {text}")


def plan_message(plan: Object) -> str:
    """Return what an InstallPlan says of its trouble: it says so only while it retries, or once it has Failed."""
    status = plan.get("status") or {}
    messages = [condition["message"] for condition in status.get("conditions") or [] if condition.get("message")]
    return t.cast(str, status.get("message") or (messages[0] if messages else ""))


def _judge_plan(wanted: Wanted, target: Target, view: View) -> Verdict | None:
    """Judge by the plan, or return None when it says nothing."""
    plan = view.plan
    if plan is None:
        return None
    name, phase = plan["metadata"]["name"], (plan.get("status") or {}).get("phase") or ""
    message = plan_message(plan)
    names = plan["spec"].get("clusterServiceVersionNames") or []
    if phase == "Failed":
        return _judge_failed_plan(view, dataclasses.replace(target, csv=names[0] if names else target.csv))
    if phase == "Installing" and message:
        return _judge_retrying_plan(view, dataclasses.replace(target, csv=names[0] if names else target.csv))
    if phase in ("Installing", "") and not (phase == "" and plan["spec"].get("approved")):
        return Verdict.pending("InstallPlan" + (phase or "New"), f"plan {name} for {', '.join(names)}")
    if phase == "RequiresApproval":
        return Verdict.pending("RequiresApproval", f"plan {name} for {', '.join(names)}")
    steps = [csv for csv in view.csvs if csv["metadata"]["name"] in names]
    for csv in steps:  # a step on the way to the target
        state = csv.get("status") or {}
        if state.get("phase") != "Succeeded":
            return _judge_own_csv(csv, view)
    return None


def dead(subscription: Object, plan: Object | None, csv: Object | None) -> bool:
    """Tell whether OLM will never go on by itself: what it had planned is done or gone, and not installed.

    `plan` is the one that the Subscription refers to, `csv` the own one that it aims at.
    """
    status = subscription.get("status") or {}
    if plan is not None:
        complete = (plan.get("status") or {}).get("phase") == "Complete"
        return complete and csv is None and status.get("currentCSV") in plan["spec"]["clusterServiceVersionNames"]
    if csv is not None:  # of a plan that had failed: what the CSV needs was in the plan
        found = csv.get("status") or {}
        return plan_missing(subscription) and (found.get("phase"), found.get("reason")) == UNMET
    lost = status.get("state") == "UpgradePending" or plan_missing(subscription)
    return lost and bool(status.get("installPlanRef") and status.get("currentCSV"))


def orphaned(view: View, csv: str) -> bool:
    """Tell whether OLM does not take a CSV that is there for the Subscription's: it says so, and names none itself."""
    status = (view.subscription or {}).get("status") or {}
    if status.get("installedCSV") or status.get("currentCSV"):
        return False
    found = condition(view.subscription, "ResolutionFailed") or {}
    refused = found.get("status") == "True" and resolution_class(found.get("message") or "") == ("orphan_csv", csv)
    return refused and is_orphan(csv, view.csvs, view.subscriptions)


def dead_for_sure(view: View, csv: str) -> bool:
    """Tell whether OLM will never go on by itself to the wanted CSV.

    It has noticed itself that the plan is gone, or it has created the CSV and does not take it for the Subscription's.
    """
    if orphaned(view, csv):
        return True
    if view.subscription is None or (view.plan is None and not plan_missing(view.subscription)):
        return False
    aim = (view.subscription.get("status") or {}).get("currentCSV") or ""
    return dead(view.subscription, view.plan, find_csv(view.csvs, aim))


def passed_over(subscription: Object, target: Target, csv: Object | None) -> bool:
    """Tell whether the wanted CSV was installed and deleted (`csv` is None), while OLM already aims at a later one."""
    status = subscription.get("status") or {}
    deleted = csv is None and status.get("installedCSV") == target.csv
    return deleted and status.get("currentCSV") not in (None, "", target.csv)


def plan_missing(subscription: Object) -> bool:
    """Tell whether OLM itself misses the plan that a Subscription refers to."""
    return (condition(subscription, "InstallPlanMissing") or {}).get("status") == "True"


def _judge_conditions(wanted: Wanted, view: View) -> Verdict | None:
    """Judge by the Subscription's conditions, or return None when they explain nothing."""
    resolution = condition(view.subscription, "ResolutionFailed")
    failed = condition(view.subscription, "BundleUnpackFailed")
    unpacking = condition(view.subscription, "BundleUnpacking")
    if resolution and resolution.get("status") == "True":
        message = resolution.get("message") or ""
        # Unpacking comes after resolution, so that a complaint about a catalog beside it is an old one.
        unpacks = any(c is not None and c.get("status") == "True" for c in (failed, unpacking))
        if not (unpacks and resolution_class(message)[0] == "catalog_unhealthy"):
            return judge_resolution(wanted, message, view)
    if failed and failed.get("status") == "True" and failed.get("reason") != "EnsureInstallPlanFailed":
        message = failed.get("message") or ""
        return terminal("subscription/BundleUnpackFailed").verdict(
            message, stale=message in view.stale, catalog_namespace=wanted.catalog_namespace
        )
    if unpacking and unpacking.get("status") == "True":
        message = unpacking.get("message") or "OLM unpacks the operator's bundle"
        return terminal("subscription/BundleUnpacking").verdict(message, catalog_namespace=wanted.catalog_namespace)
    return None


def _judge_silence(wanted: Wanted, target: Target, view: View) -> Verdict:
    """Nothing is said anywhere: find out why."""
    if len(view.groups) != 1:
        names = ", ".join(group["metadata"]["name"] for group in view.groups) or "none"
        return terminal("subscription/OperatorGroups").verdict(
            f"namespace {wanted.namespace} needs exactly one OperatorGroup for OLM to act, it has: {names}"
        )
    sick = {
        f"{c['metadata']['namespace']}/{c['metadata']['name']}": catalog_state(c)
        for c in view.catalogs
        if catalog_state(c) != "READY"
    }
    if sick:
        text = ", ".join(f"{name} is {state}" for name, state in sorted(sick.items()))
        text = f"OLM resolves nothing while a catalog does not answer: {text}"
        return terminal("subscription/CatalogNotReady").verdict(text)
    status = (view.subscription or {}).get("status") or {}
    present = status.get("installedCSV")
    if status.get("state") == "AtLatestKnown" and present and present != target.csv:
        text = f"OLM offers no plan that leads from {present} to {target.csv} in channel {target.channel}"
        return terminal("subscription/NoWay").verdict(text)
    return Verdict.pending("Resolving", "OLM has not made a plan yet")
