# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is written for a Developer Hub: plugin ConfigMap, Backstage, platform's owner. PRIVATE to the collection."""

from __future__ import annotations

import uuid

from ansible_collections.rhdh.orchestrator.plugins.module_utils._hub import judge as hub_judge
from ansible_collections.rhdh.orchestrator.plugins.module_utils._hub import plugins as hub_plugins
from ansible_collections.rhdh.orchestrator.plugins.module_utils._hub import refusals as hub_refusals
from ansible_collections.rhdh.orchestrator.plugins.module_utils._hub import spec as hub_spec
from ansible_collections.rhdh.orchestrator.plugins.module_utils._hub.document import PluginsError
from ansible_collections.rhdh.orchestrator.plugins.module_utils._hub.state import Facts, HubState, with_timing
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube import kinds as k
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.apply import (
    needs_write,
    wanted_object,
    without_bookkeeping,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.errors import ApiError
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.objects import Object
from ansible_collections.rhdh.orchestrator.plugins.module_utils._run.failures import InputError
from ansible_collections.rhdh.orchestrator.plugins.module_utils._run.flow import Call
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.snapshot import Snapshot
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.source import Source
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.verdict import READY, Result, Verdict


def write_namespace(call: Call, state: HubState) -> None:
    """Create the namespace where it is missing."""
    if state.namespace_missing:
        wanted = {"metadata": {"name": state.names.namespace}}
        call.session.ensure(k.NAMESPACE, wanted)
        call.record(f"Namespace {state.names.namespace}", {}, wanted)


# -- the plugin ConfigMap -------------------------------------------------------------------------------------------


def write_plugins(call: Call, state: HubState, facts: Facts) -> bool:
    """Write the wanted text into the plugin ConfigMap; True when it was, or would be, written."""
    plugins, name = state.plugins, state.config_map_name
    warn_of_plugins(call, state)
    if plugins is None or name is None:
        return False
    outcome = facts["plugins_config_map"] = {"name": name, "action": "none", "replaced": plugins.replaced}
    before = text_of(state.config_map)
    if before == plugins.text:
        return False
    outcome["action"] = "patched" if state.config_map else "created"
    after = plugins.text
    if not call.check_mode and state.config_map is None:
        metadata = {"name": name, "namespace": state.names.namespace}
        call.session.ensure(k.CONFIG_MAP, {"metadata": metadata, "data": {hub_plugins.KEY: after}})
    elif not call.check_mode:
        before, after = revise_plugins(call, state)
        outcome["replaced"] = state.plugins.replaced if state.plugins else []
        warn_of_plugins(call, state)
    shown = {} if before is None else {hub_plugins.KEY: before}
    call.record(k.CONFIG_MAP.title(state.names.namespace, name), shown, {hub_plugins.KEY: after})
    return True


def text_of(config_map: Object | None) -> str | None:
    """Return the plugin file in a ConfigMap; None when it has none."""
    text = ((config_map or {}).get("data") or {}).get(hub_plugins.KEY)
    return None if text is None else str(text)


def revise_plugins(call: Call, state: HubState) -> tuple[str | None, str | None]:
    """Merge-patch the plugin ConfigMap with its resourceVersion; return its text before and after.

    The operator keeps a label and an annotation on it, by which it watches it and which a replacement would remove.
    """
    found = state.config_map or {}

    def edited(live: Object) -> Object:
        if live is not found:  # it was written in between: edit what is there now
            try:
                state.plugins = hub_plugins.edit(text_of(live) or "", state.release, state.platform_option)
            except PluginsError as problem:
                problems = [f"ConfigMap {state.config_map_name}, {hub_plugins.KEY}, {problem}."]
                raise InputError(problems) from problem
        return {"data": {hub_plugins.KEY: state.plugins.text if state.plugins else ""}}

    before, after = call.session.revise(k.CONFIG_MAP, found, edited)
    return text_of(before), text_of(after)


def warn_of_plugins(call: Call, state: HubState) -> None:
    """Warn of what is doubtful in the plugin ConfigMap, and in the plugins that the Backstage lists itself."""
    for warning in state.plugins.warnings if state.plugins else ():
        call.warn(warning)
    if call.params["orchestrator"]["enabled"]:
        for warning in hub_plugins.inline_warnings(state.spec, state.release):
            call.warn(warning)


# -- the Backstage --------------------------------------------------------------------------------------------------


def write_backstage(call: Call, state: HubState, plugins_changed: bool, facts: Facts) -> None:
    """Apply the Backstage when something of ours differs; a new handshake token goes with every change."""
    live = state.backstage
    facts["backstage"] = state.outcome("none")
    try:
        unchanged = wanted_backstage(call, state, hub_spec.token_of(live))
        if live is not None and not plugins_changed and not differs(call, state, unchanged):
            state.spec = live.get("spec") or {}
            return
        wanted = wanted_backstage(call, state, uuid.uuid4().hex[:12])
        state.spec = hub_spec.merged((live or {}).get("spec") or {}, wanted["spec"])
        if call.check_mode:
            # Namespace or kind may be missing as well: the prediction is ours, the server is asked where it can tell.
            facts["backstage"] = state.outcome("patched" if live else "created")
            after = hub_spec.merged(live, wanted) if live else wanted
        else:
            change = call.session.ensure(state.backstage_kind, wanted, force=call.params["force_conflicts"])
            facts["backstage"] = state.outcome(change.action)
            state.backstage = after = change.after
        call.record(state.backstage_kind.title(state.names.namespace, state.names.name), live, after)
    except ApiError as exc:
        refused = refusal(state, exc)
        if refused is None:
            raise
        raise InputError([refused], **call.result(**facts)) from exc


def wanted_backstage(call: Call, state: HubState, token: str | None) -> Object:
    """Return the Backstage as far as it is ours."""
    params, names = call.params, state.names
    spec = hub_spec.desired_spec(
        state.release,
        state.backstage,
        user=params["spec"] or {},
        orchestrator=params["orchestrator"]["enabled"],
        lightspeed=params["lightspeed"],
        replicas=params["replicas"],
        plugins_config_map=state.config_map_name,
        token=token,
    )
    return {"metadata": {"name": names.name, "namespace": names.namespace}, "spec": spec}


def refusal(state: HubState, error: ApiError) -> str | None:
    """Return why the API server does not take the Backstage as the options describe it; None for any other error."""
    if error.undeclared_field:
        return f"spec does not fit {state.backstage_kind.api_version}: {error.message}"
    if error.conflict:
        return (
            f"Backstage {state.names.name}: another field manager owns fields that would change: {error.message} Agree "
            "on one owner, or take them over with force_conflicts: true."
        )
    return None


def differs(call: Call, state: HubState, wanted: Object) -> bool:
    """Tell whether applying `wanted` would change the Backstage. Owning equal fields as well is no change."""
    live, kind = state.backstage, state.backstage_kind
    if live is None:
        return True
    full = wanted_object({"apiVersion": kind.api_version, "kind": kind.kind, **wanted}, live, mark_created=True)
    if not needs_write(live, full, call.session.field_manager):
        return False
    after = call.session.apply(kind, full, dry_run=True, force=True)
    return without_bookkeeping(after) != without_bookkeeping(live)


# -- the platform ---------------------------------------------------------------------------------------------------


def release_platform(call: Call, state: HubState, facts: Facts) -> Facts:
    """Take the platform out of the Backstage's ownership where its operator is no longer to create one.

    First the operator must have acted on that: until then it would take the platform back, by force. Return the facts.
    """
    facts = {**facts, "released": []}
    live = next((obj for obj in state.dependencies if obj["metadata"]["name"] == hub_spec.PLATFORM), None)
    if state.platform_option != "self" or state.platform_expected or live is None:
        return facts
    uid = state.backstage_uid
    if uid is None or not state.owns(live):
        return facts
    patch = hub_refusals.release(live, uid)
    before, after = live["metadata"].get("ownerReferences"), patch["metadata"]["ownerReferences"]
    if not call.check_mode:
        facts = until_seen(call, state, facts)
        read, written = call.session.revise(state.platform_kind, live, lambda now: hub_refusals.release(now, uid))
        before, after = (obj["metadata"].get("ownerReferences") for obj in (read, written))
    title = state.platform_kind.title(state.names.namespace, hub_spec.PLATFORM)
    call.record(title, {"ownerReferences": before or []}, {"ownerReferences": after or []})
    return {**facts, "released": [f"SonataFlowPlatform {hub_spec.PLATFORM}"]}


def until_seen(call: Call, state: HubState, facts: Facts) -> Facts:
    """Wait until the operator has acted on what the Backstage and its plugin file say now; return the facts."""
    names, kind = state.names, hub_spec.workload_kind(state.spec)
    token = hub_spec.token_of({"spec": state.spec})
    targets = f"Backstage {names.name}", f"{kind.kind} {names.workload}"

    def judge(snapshot: Snapshot) -> dict[str, Verdict]:
        workload_verdict = hub_judge.judge_seen(snapshot.get(kind, names.workload, names.namespace), token)
        if workload_verdict.state == READY:
            return {targets[1]: workload_verdict}
        backstage = hub_judge.judge_backstage(snapshot.get(state.backstage_kind, names.name, names.namespace))
        return {targets[0]: backstage, targets[1]: workload_verdict}

    def causes(_ended: Result) -> list[str]:
        return [call.cause(state.backstage_kind, names.name, names.namespace)]

    ended = call.wait(
        f"the Developer Hub operator to release SonataFlowPlatform {hub_spec.PLATFORM}",
        [Source(state.backstage_kind, names.namespace, names.name), Source(kind, names.namespace, names.workload)],
        judge,
        causes=causes,
        facts=lambda ended: call.result(**with_timing(facts, ended)),
    )
    return with_timing(facts, ended)


def leftovers(call: Call, state: HubState) -> list[str]:
    """Return what an earlier orchestrator of this Backstage left in the namespace; warn of it."""
    if state.backstage is None or not state.release["behaviour"]["provides_platform"]:
        return []
    found = [call.session.get(state.platform_kind, hub_spec.PLATFORM, state.names.namespace)]
    found += call.session.list(k.NETWORK_POLICY, state.names.namespace)
    left = [f"{obj['kind']} {obj['metadata']['name']}" for obj in found if obj is not None and state.owns(obj)]
    for each in left:
        call.warn(f"{each} stays: the operator removes nothing when the orchestrator is disabled.")
    return left
