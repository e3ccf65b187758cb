# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is worth telling of an installed operator, from OLM's objects. PRIVATE to the collection."""

from __future__ import annotations

import typing as t

from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.objects import (
    Object,
    created_by_us,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm.csv import deployments_of
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.verdict import READY
from ansible_collections.rhdh.orchestrator.plugins.module_utils._workload.rollout import rolled_out


def describe(
    package: str,
    subscription: Object | None = None,
    csv: Object | None = None,
    plan: Object | None = None,
    deployments: t.Iterable[Object] = (),
) -> dict[str, t.Any]:
    """Return the summary of one operator; `plan` is the one that its Subscription refers to."""
    metadata = (subscription or {}).get("metadata") or {}
    spec, status = (subscription or {}).get("spec") or {}, (subscription or {}).get("status") or {}
    if csv is not None and "olm.copiedFrom" in (csv["metadata"].get("labels") or {}):
        csv = None  # a copy installs nothing
    found = {item["metadata"]["name"]: item for item in deployments}
    available = {name: rolled_out(found.get(name)).state == READY for name in deployments_of(csv)} if csv else {}
    phase = ((csv or {}).get("status") or {}).get("phase")
    waits = plan is not None and ((plan.get("status") or {}).get("phase") == "RequiresApproval")
    return {
        "name": package,
        "namespace": metadata.get("namespace"),
        "subscription": metadata.get("name"),
        "created_by_us": subscription is not None and created_by_us(subscription),
        "channel": spec.get("channel"),
        "approval": (spec.get("installPlanApproval") or "Automatic") if subscription else None,
        "catalog": spec.get("source"),
        "catalog_namespace": spec.get("sourceNamespace"),
        "csv": csv["metadata"]["name"] if csv else None,
        "version": csv["spec"].get("version") if csv else None,
        "phase": phase,
        "running": phase == "Succeeded" and all(available.values()),
        "deployments": available,
        "pending_plan": plan["metadata"]["name"] if plan and waits else None,
        "pending_csvs": list(plan["spec"].get("clusterServiceVersionNames") or []) if plan and waits else [],
        "conditions": {
            item["type"]: item.get("reason", "") for item in status.get("conditions") or [] if item["status"] == "True"
        },
    }


def channels(manifest: Object | None) -> dict[str, list[str]]:
    """Return the versions by channel, newest first, of a PackageManifest; none when there is none."""
    return {
        channel["name"]: [entry.get("version") or entry["name"] for entry in channel.get("entries") or []]
        for channel in ((manifest or {}).get("status") or {}).get("channels") or []
    }
