# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The writes of a platform: created, adopted, patched, or moved to another database. PRIVATE to the collection."""

from __future__ import annotations

import time
import typing as t

from ansible_collections.rhdh.orchestrator.plugins.module_utils._database import move as database_move
from ansible_collections.rhdh.orchestrator.plugins.module_utils._hub.spec import RELEASED, merged
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube import kinds as k
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.apply import Change
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.errors import ApiError
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.objects import Object
from ansible_collections.rhdh.orchestrator.plugins.module_utils._platform import cluster as cluster_platforms
from ansible_collections.rhdh.orchestrator.plugins.module_utils._platform import network
from ansible_collections.rhdh.orchestrator.plugins.module_utils._platform import parts as platform_parts
from ansible_collections.rhdh.orchestrator.plugins.module_utils._platform import spec as platform_spec
from ansible_collections.rhdh.orchestrator.plugins.module_utils._platform.ownership import (
    HUB_MANAGER,
    age,
    applied_by,
    held_by,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._platform.platform import Patch, Platform
from ansible_collections.rhdh.orchestrator.plugins.module_utils._run.failures import InputError
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.states.table import terminal

YOUNG = 10.0  # seconds of a platform's life in which the operator may write back what it had read before
SETTLE = 3.0  # seconds that a patch must have stayed


def ensure(wanted: Platform, live: Object | None) -> None:
    """Create or complete a platform of our own, or write what we own in one of the Developer Hub operator."""
    if not wanted.hub:
        spec = database_move.move(live, wanted.body) if live is not None and released(live) else {}
        if live is not None and spec:
            move(wanted, live, spec)
        if not (spec and wanted.call.check_mode):
            write(wanted, live)
    elif live is not None:
        adopt(wanted, live)
    elif wanted.call.check_mode and wanted.body["spec"]:
        # Once the Developer Hub operator has created it, in the run that this one predicts.
        wanted.action, wanted.call.changed = "patched", True


def adopt(wanted: Platform, live: Object) -> None:
    """Write what we own in a platform of the Developer Hub operator, if anything."""
    if wanted.body["spec"] or applied_by(live, wanted.session.field_manager):
        # With the uid, a platform that vanished in this moment is not made by us.
        wanted.body["metadata"]["uid"] = live["metadata"]["uid"]
        write(wanted, live)


def released(live: Object) -> bool:
    """Tell whether a Developer Hub has released a platform, or in check mode still will."""
    return RELEASED in (live["metadata"].get("annotations") or {}) or bool(platform_parts.owner_backstage(live))


def move(wanted: Platform, live: Object, spec: Object) -> None:
    """Name another database in a platform that its Developer Hub has released, in one request.

    The old one is still held by the field manager of that operator: applying ours would add to it.
    """
    wanted.action, wanted.after = "patched", merged(live, wanted.body)
    wanted.call.record(str(wanted), live, wanted.after)
    if not wanted.call.check_mode:
        patch = {"metadata": {"annotations": {RELEASED: None}}, "spec": spec}
        remember_patch(wanted, *wanted.session.revise(k.SONATAFLOW_PLATFORM, live, lambda _now: patch))


def remember_patch(wanted: Platform, before: Object, after: Object) -> None:
    """Remember what a patch changed, so that the wait sees whether it stays."""
    settle = max(SETTLE, YOUNG - age(before, wanted.session.now()))
    wanted.patch = Patch(time.monotonic(), platform_parts.removed(before["spec"], after["spec"]), settle)


def apply(wanted: Platform, live: Object | None) -> Change:
    """Apply what we want; by force only over what a Developer Hub set that has nothing to do with it any more."""
    try:
        return wanted.session.ensure(k.SONATAFLOW_PLATFORM, wanted.body, mark_created=not wanted.hub)
    except ApiError as exc:
        abandoned = not wanted.hub and live is not None and not platform_parts.owner_backstage(live)
        if not (exc.foreign_fields and abandoned and held_by(exc.details["causes"], {HUB_MANAGER})):
            raise
        return wanted.session.ensure(k.SONATAFLOW_PLATFORM, wanted.body, mark_created=True, force=True)


def write(wanted: Platform, live: Object | None) -> None:
    """Apply what we want and remove the blocks of disabled services. Raises InputError where that is refused."""
    try:
        change = apply(wanted, live)
        if wanted.call.check_mode and change.action == "created":
            validate(wanted)
    except ApiError as exc:
        raise InputError([refusal(wanted, exc)]) from exc
    wanted.after = change.after
    if change.action != "none":
        wanted.action = change.action
    left = platform_parts.disabled_blocks(wanted.params, change.after)
    if left:  # what the operator has added to a block outlives ours, and a block alone deploys the service
        wanted.action, wanted.after = "patched", remove_blocks(wanted, left, change.after)
    if left or change.changed:
        wanted.call.record(str(wanted), change.before, wanted.after)
    if (left or change.action == "patched") and not wanted.call.check_mode and live is not None:
        remember_patch(wanted, live, wanted.after)


def remove_blocks(wanted: Platform, fields: t.Sequence[str], platform: Object) -> Object:
    """Take the whole blocks of services out of a platform; in check mode, out of a copy."""
    if not wanted.call.check_mode:
        gone: Object = {"spec": {"services": dict.fromkeys(fields)}}
        return wanted.session.patch(k.SONATAFLOW_PLATFORM, wanted.name, wanted.namespace, gone)
    services = {name: block for name, block in platform["spec"]["services"].items() if name not in fields}
    return {**platform, "spec": {**platform["spec"], "services": services}}


def validate(wanted: Platform) -> None:
    """Have the server check a platform that is to be made; on an empty cluster it cannot."""
    try:
        wanted.session.apply(k.SONATAFLOW_PLATFORM, wanted.body, dry_run=True)
    except ApiError as exc:
        if not exc.not_found:
            raise


def refusal(wanted: Platform, exc: ApiError) -> str:
    """Return why the API server refused a write, in the words of the options; raise any other error."""
    where = str(wanted)
    if exc.foreign_fields:
        causes = [f"{cause.get('field')}: {cause.get('message')}" for cause in exc.details["causes"]]
        fields = platform_spec.user_path("; ".join(causes), wanted.params)
        return f"{where}: field ownership conflict; nothing was changed. {fields}"
    if exc.status in (400, 422) or exc.undeclared_field or exc.denied:
        return f"{where} was refused: {platform_spec.user_path(exc.message, wanted.params)}"
    if exc.not_found:
        return f"{where} cannot be created: {exc.message}."
    if exc.webhook_down:
        return f"{where} cannot be written: {exc.message}. {terminal('workload/WebhookDown').remedy}"
    raise exc


def ensure_policies(wanted: Platform) -> None:
    """Ensure the NetworkPolicies of a platform of our own."""
    platform = t.cast(Object, wanted.after or wanted.before)
    # A platform that check mode only predicts has no uid yet.
    metadata = {"uid": "predicted", **platform["metadata"]}
    changes = network.ensure(wanted.session, {**platform, "metadata": metadata}, wanted.params["workflow_namespaces"])
    for change in filter(lambda each: each.changed, changes):
        wanted.policies.append(change.after["metadata"]["name"])
        after = {} if change.action == "deleted" else change.after
        wanted.call.record(f"NetworkPolicy {change.after['metadata']['name']}", change.before, after)


def ensure_cluster_platform(wanted: Platform) -> None:
    """Ensure the cluster platform that the options name."""
    body = cluster_platforms.cluster_platform(wanted.cluster, wanted.name, wanted.namespace)
    change = wanted.session.ensure(k.SONATAFLOW_CLUSTER_PLATFORM, body)
    if change.changed:
        wanted.call.record(f"SonataFlowClusterPlatform {wanted.cluster}", change.before, change.after)


def predict(wanted: Platform, live: Object) -> None:
    """In check mode, find what the wait would do: delete what eventing left behind, trigger a reconcile."""
    after, session = wanted.after or live, wanted.session
    if not platform_parts.sends_events(after):
        wanted.cleared = [
            source.kind.title(item["metadata"]["namespace"], item["metadata"]["name"])
            for source in wanted.left_sources(after)
            for item in session.list(source.kind, source.namespace, label_selector=f"app={wanted.name}")
            if platform_parts.belongs(item, live)
        ]
    broker = wanted.broker()
    found = session.get(k.BROKER, *broker) if broker else None
    jobs = session.list(k.JOB, wanted.namespace) if wanted.by_job() else []
    deployments = session.list(k.DEPLOYMENT, wanted.namespace, label_selector=platform_parts.SERVICE_LABEL)
    created = {item["metadata"]["name"]: item for item in deployments}
    pending = age(live, session.now()) > YOUNG and platform_parts.behind(live, created)
    if pending and wanted.may_go_on(live, found, jobs):
        wanted.touches = 1
    if wanted.cleared or wanted.touches:
        wanted.call.changed = True
