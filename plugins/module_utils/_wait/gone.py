# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether an object is gone, and what holds it. PRIVATE to the collection; a pure function."""

from __future__ import annotations

from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.objects import Object
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.verdict import Verdict


def judge_gone(obj: Object | None) -> Verdict:
    """Judge a removal; the message names the finalizers that are left."""
    if obj is None:
        return Verdict.ready("gone")
    left = obj["metadata"].get("finalizers") or []
    if left:
        return Verdict.pending("Finalizers", f"waits for finalizer {', '.join(left)}")
    return Verdict.pending("Deleting", "is being deleted")
