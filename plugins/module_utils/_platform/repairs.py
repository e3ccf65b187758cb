# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is repaired while a platform is waited for, since neither its operator nor time does it. PRIVATE."""

from __future__ import annotations

import time
import typing as t

from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube import kinds as k
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.apply import contains
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.errors import ApiError
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.objects import Object, current
from ansible_collections.rhdh.orchestrator.plugins.module_utils._platform import cluster as cluster_platforms
from ansible_collections.rhdh.orchestrator.plugins.module_utils._platform import parts as platform_parts
from ansible_collections.rhdh.orchestrator.plugins.module_utils._platform.ownership import of_operator
from ansible_collections.rhdh.orchestrator.plugins.module_utils._platform.platform import Patch, Platform
from ansible_collections.rhdh.orchestrator.plugins.module_utils._platform.write import SETTLE, adopt, refusal
from ansible_collections.rhdh.orchestrator.plugins.module_utils._run.failures import InputError
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.snapshot import Snapshot

TOUCH_PAUSE = 20.0  # seconds between touches
TOUCHES = 10
REAPPLY_PAUSE = 1.0  # seconds before a reverted patch is sent again
REAPPLIES = 10


class Repairs:
    """Adopts a new platform, sends a reverted patch again, deletes leftovers, triggers a reconcile."""

    def __init__(self, wanted: Platform) -> None:
        self.wanted, self.session = wanted, wanted.session
        self._deleted: set[str] = set()  # uids of what was deleted
        self._reapplied = 0
        self._touched_at = 0.0
        self._behind_since: float | None = None
        self._waited_for_cause = False  # whether something outside was seen not to be ready

    def act(self, snapshot: Snapshot) -> None:
        """Repair what waiting alone does not."""
        wanted, patch = self.wanted, self.wanted.patch
        live = snapshot.get(k.SONATAFLOW_PLATFORM, wanted.name, wanted.namespace)
        if live is None or live["metadata"].get("deletionTimestamp"):
            return
        now = time.monotonic()
        if wanted.hub and wanted.body["spec"] and live["metadata"]["uid"] != wanted.body["metadata"].get("uid"):
            # The Developer Hub operator has created it, or created it again.
            unless_replaced(lambda: adopt(wanted, live))
            return
        if patch is not None and is_reverted(wanted, live):
            self.apply_again(patch, live, now)
            return
        if current(live) and (patch is None or now - patch.sent_at >= patch.settle):
            self._delete_leftovers(leftovers(snapshot, live))
        self._trigger_reconcile(snapshot, live, now)
        clusters = snapshot.list(k.SONATAFLOW_CLUSTER_PLATFORM)
        if wanted.cluster and cluster_platforms.promotable(wanted.cluster, clusters):
            self._touch(k.SONATAFLOW_CLUSTER_PLATFORM, wanted.cluster, None, now)

    def apply_again(self, patch: Patch, live: Object, now: float) -> None:
        """Send a reverted patch again: the operator's write took our values, and often their ownership, along."""
        if now - patch.sent_at < REAPPLY_PAUSE or self._reapplied >= REAPPLIES:
            return
        self._reapplied += 1
        patch.sent_at = now
        unless_replaced(lambda: self._send(patch, live))

    def _send(self, patch: Patch, live: Object) -> None:
        wanted, kind = self.wanted, k.SONATAFLOW_PLATFORM
        again = platform_parts.restored(live["spec"], patch.removed)
        if again:  # apply does not remove what the operator has made its own; stale, this is refused with a conflict
            version = {"resourceVersion": live["metadata"]["resourceVersion"]}
            self.session.patch(kind, wanted.name, wanted.namespace, {"metadata": version, "spec": again})
            return
        try:
            self.session.apply(kind, wanted.body)
        except ApiError as exc:
            if not exc.foreign_fields:
                raise
            if not of_operator(exc.details["causes"], live):
                raise InputError([refusal(wanted, exc)]) from exc
            self.session.apply(kind, wanted.body, force=True)

    def _delete_leftovers(self, left: t.Iterable[Object]) -> None:
        """Delete what eventing left behind; the operator does not, and the Job Service would go on sending."""
        for item in left:
            metadata = item["metadata"]
            if metadata.get("deletionTimestamp") or metadata["uid"] in self._deleted:
                continue
            kind = k.TRIGGER if item["kind"] == "Trigger" else k.SINK_BINDING
            self.session.delete(kind, metadata["name"], metadata["namespace"], uid=metadata["uid"])
            self._deleted.add(metadata["uid"])
            title = kind.title(metadata["namespace"], metadata["name"])
            self.wanted.cleared = sorted({*self.wanted.cleared, title})
            self.wanted.call.record(title, item, {})

    def _trigger_reconcile(self, snapshot: Snapshot, live: Object, now: float) -> None:
        """Touch a platform that the operator failed on: it watches no Brokers or Jobs, and backs off for minutes."""
        broker = self.wanted.broker()
        found = snapshot.get(k.BROKER, *broker) if broker else None
        if not self.wanted.may_go_on(live, found, snapshot.list(k.JOB)):
            self._waited_for_cause = True
            return
        deployments = {item["metadata"]["name"]: item for item in snapshot.list(k.DEPLOYMENT)}
        if not platform_parts.behind(live, deployments):
            self._behind_since = None
            return
        self._behind_since = self._behind_since or now
        if self._waited_for_cause or now - self._behind_since > SETTLE:
            self._waited_for_cause = False
            self._touch(k.SONATAFLOW_PLATFORM, self.wanted.name, self.wanted.namespace, now)

    def _touch(self, kind: k.Kind, name: str, namespace: str | None, now: float) -> None:
        if (self._touched_at and now - self._touched_at < TOUCH_PAUSE) or self.wanted.touches >= TOUCHES:
            return
        self._touched_at = now
        self.wanted.touches += self.wanted.call.touch(
            f"make the operator reconcile {kind.kind} {name}", kind, name, namespace
        )


def unless_replaced(write: t.Callable[[], object]) -> None:
    """Send a write of an object that may be replaced at the same moment: then the next event shows what to do."""
    try:
        write()
    except ApiError as exc:
        if not (exc.conflict or exc.not_found):
            raise


def leftovers(snapshot: Snapshot, live: Object) -> list[Object]:
    """Return the Triggers and SinkBindings of a platform whose eventing was switched off."""
    if platform_parts.sends_events(live):
        return []
    found = snapshot.list(k.TRIGGER) + snapshot.list(k.SINK_BINDING)
    return [item for item in found if platform_parts.belongs(item, live)]


def is_reverted(wanted: Platform, live: Object) -> bool:
    """Tell whether the operator has written back what it had read before our patch."""
    removed = wanted.patch.removed if wanted.patch else {}
    return not contains(live["spec"], wanted.body["spec"]) or bool(platform_parts.restored(live["spec"], removed))
