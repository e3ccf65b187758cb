# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The SonataFlowClusterPlatform that offers a platform to all namespaces. PRIVATE; pure functions."""

from __future__ import annotations

import typing as t

from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.objects import Object, condition, current
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.states.table import terminal
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.verdict import Verdict

# -- the cluster platform ---------------------------------------------------------------------------------------------


def cluster_platform(name: str, platform: str, namespace: str) -> Object:
    """Return the cluster platform that offers a platform's services to the workflows of all namespaces."""
    return {"metadata": {"name": name}, "spec": {"platformRef": {"name": platform, "namespace": namespace}}}


def refers_to(cluster: Object, platform: str, namespace: str) -> bool:
    """Tell whether a cluster platform offers this platform."""
    reference = (cluster.get("spec") or {}).get("platformRef") or {}
    return (reference.get("name"), reference.get("namespace")) == (platform, namespace)


def cluster_problems(name: str, platform: str, namespace: str, found: t.Sequence[Object]) -> list[str]:
    """Return why a cluster platform cannot be made or adopted: one is active in a cluster, and none is repointed."""
    problems = []
    for item in found:
        other, ours = item["metadata"]["name"], refers_to(item, platform, namespace)
        reference = item["spec"]["platformRef"]
        what = f"SonataFlowClusterPlatform {other} offers {reference.get('namespace')}/{reference.get('name')}"
        if other == name and not ours:
            problems.append(
                f"{what}, not {namespace}/{platform}: it was not created for this platform and is not changed."
            )
        elif other != name and not _idle(item):
            remedy = f"say cluster_platform: {other}" if ours else "delete it, or do without one of your own"
            problems.append(f"{what} and only one is active in a cluster: {name} would stay Duplicated; {remedy}.")
    return problems


def _idle(cluster: Object) -> bool:
    duplicated = (condition(cluster, "Succeed") or {}).get("reason") == "Duplicated"
    return duplicated or bool(cluster["metadata"].get("deletionTimestamp"))


def promotable(name: str, found: t.Sequence[Object]) -> bool:
    """Tell whether a cluster platform is Duplicated beside no active one: the operator leaves it so until a touch."""
    ours = next((item for item in found if item["metadata"]["name"] == name), None)
    if (condition(ours, "Succeed") or {}).get("reason") != "Duplicated":
        return False
    return all(_idle(item) for item in found)


def judge_cluster_platform(name: str, platform: str, namespace: str, found: t.Sequence[Object]) -> Verdict:
    """Judge the cluster platform by itself."""
    ours = next((item for item in found if item["metadata"]["name"] == name), None)
    if ours is None:
        return Verdict.pending("NotCreated", f"SonataFlowClusterPlatform {name} does not exist")
    if ours["metadata"].get("deletionTimestamp"):
        return Verdict.pending("Deleting", f"SonataFlowClusterPlatform {name} is being deleted")
    if not refers_to(ours, platform, namespace):
        return Verdict.pending("OtherPlatform", f"SonataFlowClusterPlatform {name} offers another platform")
    succeed = condition(ours, "Succeed") or {}
    reason, message = succeed.get("reason") or "Creating", succeed.get("message") or ""
    if reason == "Duplicated":
        active = [item["metadata"]["name"] for item in found if not _idle(item)]
        remedy = "Only one cluster platform is active in a cluster: delete the other one, or use it."
        text = f"SonataFlowClusterPlatform {name} is Duplicated; active is {', '.join(active) or 'none'}"
        return terminal("platform/Duplicated").verdict(text, remedy=remedy)
    if succeed.get("status") != "True" or not current(ours):
        text = message or "the Serverless Logic operator has not worked on it yet"
        return Verdict.pending(reason, f"SonataFlowClusterPlatform {name}: {text}")
    return Verdict.ready(message)
