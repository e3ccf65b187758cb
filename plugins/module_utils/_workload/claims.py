# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a PersistentVolumeClaim is bound, and why not. PRIVATE to the collection; pure functions."""

from __future__ import annotations

from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.objects import Object
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.states.table import terminal
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.verdict import Verdict


def claim(obj: Object | None) -> Verdict:
    """Judge a PersistentVolumeClaim."""
    if obj is None:
        return Verdict.pending("NotCreated", "does not exist yet")
    if obj["metadata"].get("deletionTimestamp"):
        return Verdict.pending("Deleting", "is being deleted")
    phase = (obj.get("status") or {}).get("phase") or "new"
    if phase == "Bound":
        return Verdict.ready("is bound")
    storage = (obj.get("spec") or {}).get("storageClassName")
    text = f"is {phase}, storage class {storage if storage is not None else '(the default of the cluster)'}"
    return terminal("claim/Lost" if phase == "Lost" else "claim/Unbound").verdict(text)
