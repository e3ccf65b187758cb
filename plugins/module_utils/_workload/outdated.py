# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which pods of an operator are older than the APIs that it looks for only at its start. PRIVATE to the collection."""

from __future__ import annotations

import typing as t

from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.objects import Object, condition


def established_at(crd: Object | None) -> str | None:
    """Return when an API began to be served (RFC 3339), or None while it is not."""
    found = condition(crd, "Established")
    if found is None or found.get("status") != "True":
        return None
    return t.cast(str, found.get("lastTransitionTime") or (crd or {})["metadata"]["creationTimestamp"])


def started_at(pod: Object) -> str | None:
    """Return when the last container of a pod started (RFC 3339), or None while one has not."""
    times = [
        (status.get("state") or {}).get("running", {}).get("startedAt")
        for status in (pod.get("status") or {}).get("containerStatuses") or []
    ]
    return max(times) if times and all(times) else None


def outdated(pods: t.Iterable[Object], crds: t.Iterable[Object | None]) -> list[Object]:
    """Return the running pods that started before, or in the same second as, one of the APIs began to be served.

    An API that is not served cannot have been missed, and a pod that has not started yet will find what is there.
    RFC 3339 times in UTC compare as text.
    """
    newest = max((time for crd in crds if (time := established_at(crd))), default=None)
    if newest is None:
        return []
    return [
        pod
        for pod in pods
        if not pod["metadata"].get("deletionTimestamp") and (start := started_at(pod)) and start <= newest
    ]


def pods_of(pods: t.Iterable[Object], deployments: t.Collection[str]) -> list[Object]:
    """Return the pods that belong to the given Deployments.

    A ReplicaSet is named after its Deployment plus a hash, which its pods carry as a label.
    """
    found = []
    for pod in pods:
        template = (pod["metadata"].get("labels") or {}).get("pod-template-hash")
        owners = {owner["name"] for owner in pod["metadata"].get("ownerReferences") or []}
        if template and any(f"{name}-{template}" in owners for name in deployments):
            found.append(pod)
    return found
