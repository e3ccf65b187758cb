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

from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm_resolve import (
    Target,
    Wanted,
    version_key,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._restart import (
    deployments_of,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._terminal import (
    find,
    terminal,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait import (
    FAILED,
    READY,
    Verdict,
    condition,
    rolled_out,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._workload import (
    selected,
    workload,
)

Object = dict[str, t.Any]

REFUSALS = ("WrongVersion", "CollateralUpgrade", "ApprovalNeeded", "StoredVersionDropped")  # to approve a plan
UNMET = ("Pending", "RequirementsNotMet")  # phase and reason
GROUP_COUNT = ("TooManyOperatorGroups", "NoOperatorGroup")  # reasons of a CSV whose namespace needs exactly one
STABLE = 2.0  # seconds a CSV must stay Succeeded: in a replacement it may flip once
SETTLED = 60.0  # seconds after which a new config of the Subscription has changed nothing: a busy OLM lags
MOVING = ("Replacing", "Pending", "Installing", "InstallReady", "Deleting")  # phases of CSVs in an upgrade


@dataclasses.dataclass(frozen=True)
class View:
    """Everything about one operator that a verdict needs, as last seen."""

    subscription: Object | None
    plan: Object | None  # the one that the Subscription refers to
    csvs: t.Sequence[Object]  # own (not copied) ones of the namespace
    deployments: t.Mapping[str, Object]
    groups: t.Sequence[Object]
    catalogs: t.Sequence[Object]
    subscriptions: t.Sequence[Object] = ()  # all of the namespace
    stale: frozenset[str] = frozenset()  # messages that were there before we changed anything
    pods: t.Sequence[Object] = ()  # of the operator's Deployments, as far as they are watched
    replica_sets: t.Sequence[Object] = ()
    generations: t.Mapping[str, int] = dataclasses.field(default_factory=dict)  # of Deployments, before a new config


def resolution_class(message: str) -> tuple[str, str]:
    """Return the class of a ResolutionFailed message and what it names (a catalog, a CSV, a channel)."""
    for pattern, found in (
        (r"error using catalogsource ([^:\s]+)", "catalog_unhealthy"),
        (r"no operators found from catalog (\S+)", "no_such_catalog"),
        (r"no operators found with name (\S+) in channel", "no_such_version"),
        (r"no operators found in channel (\S+) of package", "no_such_channel"),
        (r"no operators found in package (\S+) in the catalog", "no_such_package"),
        (r"requires an operator providing an API with (group: .+?kind: \w+)", "missing_dependency"),
    ):
        if match := re.search(pattern, message):
            return found, match.group(1)
    orphan = re.search(r"clusterserviceversion (\S+) exists and is not referenced by a subscription", message)
    if orphan and "originate from package" in message:
        return "orphan_csv", orphan.group(1)
    if match := re.search(r"provide ([^,]+\([^)]+\))", message):
        return "api_conflict", match.group(1)
    return ("orphan_csv", orphan.group(1)) if orphan else ("other", "")


def is_orphan(name: str, csvs: t.Sequence[Object], subscriptions: t.Sequence[Object]) -> bool:
    """Tell whether a CSV belongs to nobody: never true for the old half of a running upgrade."""
    csv = next((item for item in csvs if item["metadata"]["name"] == name), None)
    if csv is None or (csv.get("status") or {}).get("phase") in ("Replacing", "Deleting"):
        return False
    if csv["metadata"].get("deletionTimestamp"):
        return False
    if any(item["spec"].get("replaces") == name for item in csvs):
        return False
    for subscription in subscriptions:
        status = subscription.get("status") or {}
        if name in (status.get("installedCSV"), status.get("currentCSV")):
            return False
    return True


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


# -- approval -------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Approval:
    """What to do about the plan that a Subscription refers to."""

    action: str  # "approve", "wait", "refuse", or "replace": delete it, so that OLM makes another
    reason: str = ""
    message: str = ""
    collateral: tuple[str, ...] = ()  # CSVs of others in the plan
    dependencies: tuple[str, ...] = ()  # CSVs that OLM adds because ours needs them


def awaits_approval(plan: Object | None) -> bool:
    """Tell whether a plan is pending: nobody has approved it."""
    if plan is None or plan["metadata"].get("deletionTimestamp") or plan["spec"].get("approved"):
        return False
    return bool((plan.get("status") or {}).get("phase") == "RequiresApproval")


def may_be_deleted(subscription: Object, plan: Object | None) -> bool:
    """Tell whether OLM will make another plan when a pending one is deleted.

    It forgets a plan that is gone only in the update that takes the condition away (its InstallPlanNotFound). A plan
    that is deleted before a busy OLM has set that condition is referred to for ever, and nothing is resolved again.
    """
    return awaits_approval(plan) and (condition(subscription, "InstallPlanPending") or {}).get("status") == "True"


def decide_approval(
    wanted: Wanted,
    target: Target,
    subscription: Object,
    plan: Object | None,
    subscriptions: t.Sequence[Object],
    others_wanted: t.Collection[str] = (),
) -> Approval:
    """Decide about a plan. `others_wanted` are CSVs that the same call asks for in this namespace.

    Approving a moment too early makes OLM put a duplicate beside the plan, approving an old one reinstalls the old
    version: so only the plan referred to, only in RequiresApproval, of the right generation, with the right CSV.
    """
    status = subscription.get("status") or {}
    current = status.get("currentCSV")
    if plan is None or plan["metadata"].get("deletionTimestamp"):
        return Approval("wait", "NoInstallPlan", "OLM has not made a plan yet")
    spec, phase = plan["spec"], (plan.get("status") or {}).get("phase") or ""
    if spec.get("approved") or phase != "RequiresApproval":
        return Approval("wait", "InstallPlan" + (phase or "New"), f"plan {plan['metadata']['name']}")
    if status.get("state") != "UpgradePending":
        return Approval("wait", "NotPending", "the Subscription does not refer to this plan as pending")
    if status.get("installPlanGeneration") not in (None, spec.get("generation")):
        return Approval("wait", "OldPlan", f"plan {plan['metadata']['name']} is of another generation")
    names = list(spec.get("clusterServiceVersionNames") or [])
    if current not in names:
        return Approval("wait", "OtherPlan", f"plan {plan['metadata']['name']} does not hold {current}")
    if not on_the_way(target, current, status.get("installedCSV")):
        return Approval(
            "refuse",
            "WrongVersion",
            f"plan {plan['metadata']['name']} would install {current}, wanted is {target.csv}",
        )
    added = added_for_others(plan, subscriptions)
    rest = [n for n in names if n != current and n not in others_wanted and n not in wanted.allow_collateral]
    collateral = [name for name in rest if name not in added]
    if collateral:
        return Approval(
            "refuse",
            "CollateralUpgrade",
            f"plan {plan['metadata']['name']} would also install {', '.join(collateral)}, which nobody asked for",
            tuple(collateral),
        )
    return Approval("approve", dependencies=tuple(name for name in rest if name in added))


def added_for_others(plan: Object, subscriptions: t.Sequence[Object]) -> set[str]:
    """Return the CSVs of a plan that OLM adds because others need them: their Subscriptions are OLM's own.

    A new dependency's Subscription is a step of the plan; that of one which is there already says who made it.
    """
    steps = (plan.get("status") or {}).get("plan") or []
    added = {step.get("resolving") for step in steps if (step.get("resource") or {}).get("kind") == "Subscription"}
    for subscription in subscriptions:
        if "olm.generated-by" in (subscription["metadata"].get("annotations") or {}):
            added.add((subscription.get("status") or {}).get("currentCSV"))
    return t.cast("set[str]", added - {None})


def on_the_way(target: Target, csv: str | None, installed: str | None) -> bool:
    """Tell whether a CSV is the target or a step between what is installed and the target."""
    if csv == target.csv:
        return True
    version = target.version_of(csv or "")
    if not version or not installed or installed == target.csv:
        return False
    start = target.version_of(installed)
    if start and version_key(version) <= version_key(start):
        return False  # an old plan, left over
    return version_key(version) < version_key(target.version)


# -- verdict --------------------------------------------------------------------------------------------------------


def find_csv(csvs: t.Sequence[Object], name: str) -> Object | None:
    """Return the operator's own CSV of that name: a copied one installs nothing."""
    for csv in csvs:
        if csv["metadata"]["name"] == name and "olm.copiedFrom" not in (csv["metadata"].get("labels") or {}):
            return csv
    return None


def told(csvs: t.Iterable[Object]) -> frozenset[str]:
    """Return what CSVs say of their state: said already when we begin to look, it may be what was mended just now."""
    return frozenset(text for csv in csvs if (text := (csv.get("status") or {}).get("message")))


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
        return _judge_resolution(wanted, resolution["message"], view)
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
    if group_mended(csv, view):
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
    told = [condition["message"] for condition in status.get("conditions") or [] if condition.get("message")]
    return t.cast(str, status.get("message") or (told[0] if told else ""))


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
            return _judge_resolution(wanted, message, view)
    if failed and failed.get("status") == "True" and failed.get("reason") != "EnsureInstallPlanFailed":
        message = failed.get("message") or ""
        return terminal("subscription/BundleUnpackFailed").verdict(
            message, stale=message in view.stale, catalog_namespace=wanted.catalog_namespace
        )
    if unpacking and unpacking.get("status") == "True":
        message = unpacking.get("message") or "OLM unpacks the operator's bundle"
        return terminal("subscription/BundleUnpacking").verdict(message, catalog_namespace=wanted.catalog_namespace)
    return None


RESOLUTION_STATES = {  # class of the text -> row of the table
    "catalog_unhealthy": "resolution/CatalogUnhealthy",
    "no_such_catalog": "resolution/NoSuchCatalog",
    "no_such_package": "resolution/NoSuchPackage",
    "no_such_channel": "resolution/NoSuchChannel",
    "no_such_version": "resolution/NoSuchVersion",
    "missing_dependency": "resolution/MissingDependency",
    "orphan_csv": "resolution/OrphanCSV",
    "api_conflict": "resolution/ApiConflict",
    "other": "resolution/ConstraintsNotSatisfiable",
}


def _judge_resolution(wanted: Wanted, message: str, view: View) -> Verdict:
    kind, name = resolution_class(message)
    stale = message in view.stale
    if kind == "catalog_unhealthy":
        stale = not _sick(name, view.catalogs)  # it is back, or was deleted: OLM has not said so yet
        return terminal(RESOLUTION_STATES[kind]).verdict(f"catalog {name}: {message}", stale=stale, catalog=name)
    if kind.startswith("no_such"):
        stale = stale or not catalogs_ready(wanted, view.catalogs)
        return terminal(RESOLUTION_STATES[kind]).verdict(message, stale=stale)
    if kind == "missing_dependency":
        return terminal(RESOLUTION_STATES[kind]).verdict(message, stale=stale)
    moving = [csv["metadata"]["name"] for csv in view.csvs if (csv.get("status") or {}).get("phase") in MOVING]
    if moving or ((view.plan or {}).get("status") or {}).get("phase") == "Installing":
        text = f"an upgrade is running ({', '.join(moving)}); OLM says: {message}"
        return terminal("resolution/UpgradeRunning").verdict(text)
    if kind == "orphan_csv" and not is_orphan(name, view.csvs, view.subscriptions):
        kind = "other"
    lead = {
        "orphan_csv": f"{name} is there and belongs to no Subscription: ",
        "api_conflict": f"{name}: ",
    }.get(kind, "")
    names = {"csv": name, "namespace": wanted.namespace}
    return terminal(RESOLUTION_STATES[kind]).verdict(lead + message, stale=stale, **names)


def _sick(name: str, catalogs: t.Sequence[Object]) -> bool:
    """Tell whether a catalog (namespace/name) is there and does not answer."""
    states = {f"{c['metadata']['namespace']}/{c['metadata']['name']}": catalog_state(c) for c in catalogs}
    return states.get(name, "READY") != "READY"


def group_mended(csv: Object, view: View) -> bool:
    """Tell whether a CSV complains of the number of OperatorGroups, which is right: OLM looks again after a pause."""
    status = csv.get("status") or {}
    return status.get("phase") == "Failed" and status.get("reason") in GROUP_COUNT and len(view.groups) == 1


def backs_off(view: View) -> bool:
    """Tell whether OLM complains of a catalog that is well, or gone: it tries again with pauses of up to 16 min."""
    found = condition(view.subscription, "ResolutionFailed") or {}
    kind, name = resolution_class(found.get("message") or "")
    return found.get("status") == "True" and kind == "catalog_unhealthy" and not _sick(name, view.catalogs)


def catalogs_ready(wanted: Wanted, catalogs: t.Sequence[Object]) -> bool:
    """Tell whether the wanted catalog is there and connected; READY is the one signal that can be trusted."""
    for catalog in catalogs:
        metadata = catalog["metadata"]
        if (metadata["name"], metadata["namespace"]) == (wanted.catalog, wanted.catalog_namespace):
            return catalog_state(catalog) == "READY"
    return False


def catalog_state(catalog: Object) -> str:
    """Return the last seen connection state of a CatalogSource, `UNKNOWN` before the first."""
    state = ((catalog.get("status") or {}).get("connectionState") or {}).get("lastObservedState")
    return t.cast(str, state or "UNKNOWN")


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
