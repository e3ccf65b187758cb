# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Why a custom resource of another kind is not ready. PRIVATE to the collection."""

from __future__ import annotations

import typing as t

from ansible_collections.rhdh.orchestrator.plugins.module_utils._diagnose.cause import Cause, called
from ansible_collections.rhdh.orchestrator.plugins.module_utils._diagnose.causes import (
    conditions_cause,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._diagnose.workload import below_workload
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube import kinds as k
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.objects import Object

if t.TYPE_CHECKING:
    from ansible_collections.rhdh.orchestrator.plugins.module_utils._diagnose.reader import Reader


def below_other(reader: Reader, obj: Object) -> Cause | None:
    """Diagnose a custom resource: the Deployments that it owns, its conditions, its events."""
    said = conditions_cause(obj)
    uid, namespace = obj["metadata"].get("uid"), obj["metadata"].get("namespace")
    if (said or "conditions" in (obj.get("status") or {})) and uid and namespace:
        for found in reader.list(k.DEPLOYMENT, namespace):
            owners = [owner.get("uid") for owner in found["metadata"].get("ownerReferences") or []]
            cause = below_workload(reader, found) if uid in owners else None
            if cause:
                return cause.below(called(obj))
    return said or reader.events(obj, anything=True)
