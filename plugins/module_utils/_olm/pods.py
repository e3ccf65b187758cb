# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The pods of operators that do not come up: watched only then, since they tell why. PRIVATE to the collection."""

from __future__ import annotations

import time
import typing as t

from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube import kinds as k
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm.csv import deployments_of
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.snapshot import Snapshot
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.source import Source

PATIENCE = 5.0  # seconds that a CSV may be installing before its pods are looked at: most operators are up by then


class Pods:
    """Names the pods to watch, once there is a reason to."""

    def __init__(self, namespaces: t.Iterable[str]) -> None:
        self._namespaces = list(namespaces)
        self._since: dict[tuple[str, str], float] = {}

    def follow(self, snapshot: Snapshot) -> t.Iterator[Source]:
        """Name pods and ReplicaSets of the operators whose CSV has not come up for a while."""
        for home in self._namespaces:
            for csv in snapshot.list(k.CSV, home):
                if (csv.get("status") or {}).get("phase") not in ("Installing", "Failed"):
                    continue
                since = self._since.setdefault((home, csv["metadata"]["name"]), time.monotonic())
                if time.monotonic() - since < PATIENCE:
                    continue
                for name in deployments_of(csv):
                    deployment = snapshot.get(k.DEPLOYMENT, name, home) or {}
                    labels = ((deployment.get("spec") or {}).get("selector") or {}).get("matchLabels") or {}
                    if labels:
                        selector = ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
                        yield Source(k.POD, home, label_selector=selector, optional=True)
                        yield Source(k.REPLICA_SET, home, label_selector=selector, optional=True)
