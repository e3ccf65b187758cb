# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a pending InstallPlan may be approved. PRIVATE to the collection; pure functions."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.objects import Object, condition
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm.resolve import Target, Wanted
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm.semver import version_key

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
