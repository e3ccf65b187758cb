# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whose a platform is, and whether it may be changed. PRIVATE to the collection."""

from __future__ import annotations

import calendar
import re
import time
import typing as t

from ansible_collections.rhdh.orchestrator.plugins.module_utils._database import move as database_move
from ansible_collections.rhdh.orchestrator.plugins.module_utils._database import options as database_options
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube import kinds as k
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.objects import Object
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.session import Session
from ansible_collections.rhdh.orchestrator.plugins.module_utils._platform import answers as service_answers
from ansible_collections.rhdh.orchestrator.plugins.module_utils._platform import parts as platform_parts
from ansible_collections.rhdh.orchestrator.plugins.module_utils._platform import spec as platform_spec

HUB_MANAGER = "backstage-controller"  # field manager of the Developer Hub operator
SERVICE_PORT = 80


def applied_by(platform: Object | None, manager: str) -> bool:
    """Tell whether a field manager has ever applied fields of a platform."""
    entries = ((platform or {}).get("metadata") or {}).get("managedFields") or []
    return any(entry.get("manager") == manager and entry.get("operation") == "Apply" for entry in entries)


def ownership_problems(
    params: t.Mapping[str, t.Any], platforms: t.Sequence[Object], *, predicting: bool = False
) -> list[str]:
    """Return why the wanted platform does not go together with what the namespace has.

    `predicting`: in check mode, where the Developer Hub that still has the platform may release it before.
    """
    name, namespace = params["name"], params["namespace"]
    live = next((item for item in platforms if item["metadata"]["name"] == name), None)
    owner = platform_parts.owner_backstage(live)
    if params["managed_by"] == "hub" and owner and owner != params["hub_name"]:
        return [
            f"SonataFlowPlatform {namespace}/{name} belongs to the Backstage {owner!r}, not {params['hub_name']!r}."
        ]
    if params["managed_by"] == "self" and owner and not (predicting and owner == params["hub_name"]):
        return [
            f"SonataFlowPlatform {namespace}/{name} belongs to the Backstage {owner!r}, whose operator would undo "
            "every change: use managed_by: hub, or let it go first (module developer_hub, orchestrator.platform: self)."
        ]
    others = [item for item in platforms if item["metadata"]["name"] != name]
    staying = [item["metadata"]["name"] for item in others if not item["metadata"].get("deletionTimestamp")]
    if live is None and staying:
        return [
            f"Namespace {namespace} has the SonataFlowPlatform {', '.join(staying)} already; "
            "a second one stays Duplicated. Use its name, or delete it."
        ]
    return []


def leaving_problems(session: Session, live: Object, database: database_options.Database) -> list[str]:
    """Return why the services of a platform must not move to another database: what is unfinished would stay behind."""
    if not database_move.leaves(live, database):
        return []
    name, namespace = live["metadata"]["name"], live["metadata"]["namespace"]
    index = platform_spec.service_name(name, "data_index")
    answer = session.service_proxy(
        "POST", namespace, index, SERVICE_PORT, "/graphql", {"query": service_answers.UNFINISHED}
    )
    count = service_answers.unfinished(*answer)
    if count == 0 or (count is None and not session.list(k.SONATAFLOW, namespace)):
        return []
    what = f"{count if count < 100 else '100 or more'} workflow instance(s) have" if count else "workflows may have"
    why = "" if count else " (Data Index does not answer, and the namespace has workflows)"
    return [
        f"SonataFlowPlatform {namespace}/{name} would move from {', '.join(database_move.places(live))} to "
        f"{database.address}/{database.name}, but {what} not ended{why}: their timers and states would stay behind. "
        "Wait until they have ended, copy the database (pg_dump) while the services are stopped, or give them up: "
        "orchestrator_leave_unfinished: true (with_workflows of the module sonataflow_platform)."
    ]


def held_by(causes: t.Iterable[Object], managers: t.Collection[str]) -> bool:
    """Tell whether all fields of a conflict are held by some of these field managers."""
    holders = [re.search(r'conflict with "([^"]+)"', cause.get("message") or "") for cause in causes]
    return bool(holders) and all(found is not None and found.group(1) in managers for found in holders)


def of_operator(causes: t.Iterable[Object], live: Object) -> bool:
    """Tell whether all fields of a conflict are held by the operator, which is who writes the platform's status."""
    entries = live["metadata"].get("managedFields") or []
    return held_by(causes, {entry["manager"] for entry in entries if entry.get("subresource") == "status"})


def age(obj: Object, now: float) -> float:
    """Return the age of an object in seconds at a time (of the epoch); 0 when it does not say, or is from later."""
    created = obj["metadata"].get("creationTimestamp")
    if not created:
        return 0.0
    return max(0.0, now - calendar.timegm(time.strptime(created, "%Y-%m-%dT%H:%M:%SZ")))
