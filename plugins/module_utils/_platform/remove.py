# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The removal of a platform, and of what nothing owns any more. PRIVATE to the collection."""

from __future__ import annotations

from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube import kinds as k
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.errors import ApiError
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.objects import Object, created_by_us
from ansible_collections.rhdh.orchestrator.plugins.module_utils._platform import cluster as cluster_platforms
from ansible_collections.rhdh.orchestrator.plugins.module_utils._platform import parts as platform_parts
from ansible_collections.rhdh.orchestrator.plugins.module_utils._platform import spec as platform_spec
from ansible_collections.rhdh.orchestrator.plugins.module_utils._platform.explain import causes
from ansible_collections.rhdh.orchestrator.plugins.module_utils._platform.platform import Platform
from ansible_collections.rhdh.orchestrator.plugins.module_utils._run.failures import InputError
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.gone import judge_gone
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.snapshot import Snapshot
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.source import Source
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.verdict import Verdict


def remove(wanted: Platform) -> Object:
    """Delete the platform, wait until it and its services are gone, and delete what nothing owns any more."""
    live = wanted.session.get(k.SONATAFLOW_PLATFORM, wanted.name, wanted.namespace)
    if live is None or not may_be_removed(wanted, live):
        return {"leftovers": [], "timeline": []}
    wanted.action = "removed"
    wanted.call.record(str(wanted), live, {})
    if wanted.call.check_mode:
        return {"leftovers": [], "timeline": []}
    owner, uid = platform_parts.owner_backstage(live), live["metadata"].get("uid")
    if owner:
        wanted.call.warn(f"The Backstage {owner} owns this platform: its operator may create it again.")
    wanted.session.delete(k.SONATAFLOW_PLATFORM, wanted.name, wanted.namespace, uid=uid)
    timeline: list[Object] = []
    if wanted.params["wait"]:
        sources = [
            Source(k.SONATAFLOW_PLATFORM, wanted.namespace, wanted.name),
            Source(k.DEPLOYMENT, wanted.namespace, label_selector=platform_parts.SERVICE_LABEL),
            Source(k.POD, wanted.namespace, label_selector=platform_parts.SERVICE_LABEL),
        ]
        timeline = wanted.call.wait(
            f"{wanted} to be gone",
            sources,
            lambda snapshot: judge_removal(wanted, snapshot, uid),
            causes=lambda ended: causes(wanted, ended),
        ).timeline
    return {"leftovers": clear(wanted, live), "timeline": timeline}


def may_be_removed(wanted: Platform, live: Object) -> bool:
    """Tell whether the platform may be removed; warn where it stays. Raises InputError while workflows need it."""
    owner = platform_parts.owner_backstage(live)
    if not wanted.params["delete_adopted"] and (owner or not created_by_us(live)):
        wanted.action = "kept"
        whose = f"the Backstage {owner} owns it" if owner else "this collection did not create it"
        wanted.call.warn(f"{wanted} stays: {whose} (delete_adopted removes it).")
        return False
    workflows = [w["metadata"]["name"] for w in wanted.session.list(k.SONATAFLOW, wanted.namespace)]
    if workflows and not wanted.params["with_workflows"]:
        text = f"Namespace {wanted.namespace} has {len(workflows)} workflow(s): {', '.join(sorted(workflows)[:5])}. "
        remedy = "The operator would create a new platform for them at once: remove them first, or set with_workflows."
        raise InputError([text + remedy])
    return True


def judge_removal(wanted: Platform, snapshot: Snapshot, uid: str | None) -> dict[str, Verdict]:
    """Judge whether the platform with this uid, and its services, are gone."""
    live = snapshot.get(k.SONATAFLOW_PLATFORM, wanted.name, wanted.namespace)
    platform = judge_gone(live if live is not None and live["metadata"].get("uid") == uid else None)
    names = {platform_spec.service_name(wanted.name, service) for service in platform_spec.SERVICES}
    left = [item["metadata"]["name"] for item in snapshot.list(k.DEPLOYMENT) if item["metadata"]["name"] in names]
    pods = [
        p
        for p in snapshot.list(k.POD)
        if (p["metadata"].get("labels") or {}).get(platform_parts.SERVICE_LABEL) in names
    ]
    services = Verdict.ready("gone")
    if live is not None and live["metadata"].get("uid") != uid:
        services = Verdict.ready("belong to a new platform")
    elif left or pods:
        services = Verdict.pending("Stopping", f"{len(left)} Deployment(s), {len(pods)} pod(s) left")
    return {"platform": platform, "services": services}


def clear(wanted: Platform, live: Object) -> list[str]:
    """Delete the Triggers and the SinkBinding of a platform that is gone, where no owner takes them along."""
    cleared = []
    candidates = [(k.TRIGGER, t["name"], t["namespace"]) for t in (live.get("status") or {}).get("triggers") or []]
    if candidates:
        candidates.append((k.SINK_BINDING, f"{wanted.name}-jobs-service-sb", wanted.namespace))
    for kind, name, namespace in candidates:
        found = wanted.session.get(kind, name, namespace)
        if found is None or found["metadata"].get("deletionTimestamp") or found["metadata"].get("ownerReferences"):
            continue  # gone, going, or taken along by the garbage collector
        if platform_parts.belongs(found, live):
            wanted.session.delete(kind, name, namespace, uid=found["metadata"].get("uid"))
            cleared.append(kind.title(namespace, name))
    return cleared + clear_clusters(wanted)


def clear_clusters(wanted: Platform) -> list[str]:
    """Delete the cluster platforms that we made for a platform that is gone; name those of others."""
    try:
        found = wanted.session.list(k.SONATAFLOW_CLUSTER_PLATFORM)
    except ApiError as exc:
        if exc.forbidden:
            return []  # cluster-wide: not everybody may read them, and who made one may
        raise
    cleared = []
    for item in found:
        name = item["metadata"]["name"]
        if not cluster_platforms.refers_to(item, wanted.name, wanted.namespace) or item["metadata"].get(
            "deletionTimestamp"
        ):
            continue
        if created_by_us(item):
            wanted.session.delete(k.SONATAFLOW_CLUSTER_PLATFORM, name, uid=item["metadata"].get("uid"))
            cleared.append(f"SonataFlowClusterPlatform {name}")
        else:
            wanted.call.warn(f"SonataFlowClusterPlatform {name} still refers to this platform.")
    return cleared
