# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The removal of a Developer Hub; its data goes only on request. PRIVATE to the collection."""

from __future__ import annotations

import time

from ansible_collections.rhdh.orchestrator.plugins.module_utils._hub import judge as hub_judge
from ansible_collections.rhdh.orchestrator.plugins.module_utils._hub import spec as hub_spec
from ansible_collections.rhdh.orchestrator.plugins.module_utils._hub.state import Facts, HubState, with_timing
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube import kinds as k
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.objects import Object, created_by_us
from ansible_collections.rhdh.orchestrator.plugins.module_utils._run.flow import Call
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.gone import judge_gone
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.snapshot import Snapshot
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.source import Source
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.verdict import Result, Verdict

KEPT_LABEL = "rhdh.orchestrator/kept"  # on the database Secret that outlives its Backstage, as its data does
REPEAT_PAUSE = 5.0  # seconds between repeated deletions


def absent(call: Call, state: HubState) -> Facts:
    """Remove the Backstage with what its operator created, in the background; return the facts of the result."""
    params, names, session = call.params, state.names, call.session
    facts: Facts = {"release": state.release["name"], "kept": [], "deleted": [], "backstage": state.outcome("none")}
    live = state.backstage = session.get(state.backstage_kind, names.name, names.namespace)
    if live and not created_by_us(live) and not params["delete_adopted"]:
        kept = f"Backstage {names.name}: this collection did not create it"
        return {**facts, "backstage": state.outcome("kept"), "kept": [kept]}
    state.database_claim = session.get(k.PVC, names.database_claim, names.namespace)
    if state.database_claim or params["delete_data"]:
        state.database_secret = session.get(k.SECRET, names.database_secret, names.namespace)
    if live is not None:
        facts["backstage"] = state.outcome("deleted")
        if state.database_claim and state.database_secret and not params["delete_data"]:
            keep_password(call, state, state.database_secret)
        delete(call, state, state.backstage_kind, live)
        if not call.check_mode and (params["wait"] or params["delete_data"]):
            facts = until_gone(call, state, facts)
    return remove_rest(call, state, facts)


def delete(call: Call, state: HubState, kind: k.Kind, obj: Object) -> None:
    """Delete an object of the namespace, unless it was replaced by another of its name."""
    name = obj["metadata"]["name"]
    call.session.delete(kind, name, state.names.namespace, uid=obj["metadata"]["uid"])
    call.record(kind.title(state.names.namespace, name), obj, {})


def is_kept(secret: Object) -> bool:
    """Tell whether the database Secret was taken out of the Backstage's ownership."""
    return KEPT_LABEL in (secret["metadata"].get("labels") or {})


def keep_password(call: Call, state: HubState, secret: Object) -> None:
    """Take the Secret of the kept database out of the Backstage's ownership: without it the data cannot be opened."""
    if is_kept(secret):
        return
    name, labels = secret["metadata"]["name"], {KEPT_LABEL: "true"}
    if not call.check_mode:
        patch = {"metadata": {"ownerReferences": None, "labels": labels}}
        call.session.patch(k.SECRET, name, state.names.namespace, patch)
    before = {"ownerReferences": secret["metadata"].get("ownerReferences") or []}
    call.record(k.SECRET.title(state.names.namespace, name), before, {"ownerReferences": [], "labels": labels})


def remove_rest(call: Call, state: HubState, facts: Facts) -> Facts:
    """Remove our own plugin ConfigMap, and the data where asked; return the facts, with what stays."""
    names, claim = state.names, state.database_claim
    for kind, obj in to_delete(call, state):
        delete(call, state, kind, obj)
        facts["deleted"].append(f"{kind.kind} {obj['metadata']['name']}")
    if claim and not call.params["delete_data"]:
        facts["kept"].append(f"PersistentVolumeClaim {names.database_claim}")
        if state.database_secret:
            facts["kept"].append(f"Secret {names.database_secret}")
    if claim and call.params["delete_data"] and call.params["wait"] and not call.check_mode:
        return until_claim_gone(call, state, facts)
    return facts


def to_delete(call: Call, state: HubState) -> list[tuple[k.Kind, Object]]:
    """Return what does not go with the Backstage and is to be deleted."""
    names, claim, secret = state.names, state.database_claim, state.database_secret
    found: list[tuple[k.Kind, Object]] = []
    plugins = call.session.get(k.CONFIG_MAP, names.plugins, names.namespace)
    if plugins and created_by_us(plugins):
        found.append((k.CONFIG_MAP, plugins))
    if call.params["delete_data"] and claim:
        found.append((k.PVC, claim))
    if call.params["delete_data"] and secret and is_kept(secret):
        found.append((k.SECRET, secret))
    return found


def until_claim_gone(call: Call, state: HubState, facts: Facts) -> Facts:
    """Wait until the volume of the local database is gone; return the facts."""
    name, namespace = state.names.database_claim, state.names.namespace
    target = f"PersistentVolumeClaim {name}"

    def judge(snapshot: Snapshot) -> dict[str, Verdict]:
        return {target: judge_gone(snapshot.get(k.PVC, name, namespace))}

    ended = call.wait(
        f"{target} to be gone",
        [Source(k.PVC, namespace, name)],
        judge,
        causes=lambda _ended: [call.cause(k.PVC, name, namespace)],
        facts=lambda ended: call.result(**with_timing(facts, ended)),
    )
    return with_timing(facts, ended)


def removed_parts(state: HubState) -> list[tuple[k.Kind, str]]:
    """Return the Backstage and what its operator creates for it, by kind and name."""
    names = state.names
    return [
        (state.backstage_kind, names.name),
        (k.DEPLOYMENT, names.workload),
        (k.STATEFUL_SET, names.workload),
        (k.STATEFUL_SET, names.database),
        (state.platform_kind, hub_spec.PLATFORM),
    ]


def judge_removal(state: HubState, snapshot: Snapshot) -> dict[str, Verdict]:
    """Judge whether the Backstage and its dependents are gone; what belongs to another owner may stay."""
    verdicts = {}
    for kind, name in removed_parts(state):
        obj = snapshot.get(kind, name, state.names.namespace)
        counts = kind == state.backstage_kind or state.owns(obj)
        verdicts[f"{kind.kind} {name}"] = judge_gone(obj if counts else None)
    return verdicts


def until_gone(call: Call, state: HubState, facts: Facts) -> Facts:
    """Wait until the Backstage and its dependents are gone; return the facts.

    A deletion in the foreground, which never ends, is repeated in the background.
    """
    names, kind, parts = state.names, state.backstage_kind, removed_parts(state)
    repeated: float | None = None

    def act(snapshot: Snapshot) -> None:
        nonlocal repeated
        backstage, now = snapshot.get(kind, names.name, names.namespace), time.monotonic()
        due = repeated is None or now - repeated > REPEAT_PAUSE
        if backstage and hub_judge.stuck_in_foreground(backstage) and due:
            repeated = now
            call.repair(
                f"repeat the deletion of Backstage {names.name} in the background",
                lambda: call.session.delete(kind, names.name, names.namespace, uid=backstage["metadata"]["uid"]),
                f"delete on {kind.plural} in {names.namespace}",
            )

    def causes(ended: Result) -> list[str]:
        unready = {target for target, _verdict in ended.worst()}
        left = [(each, name) for each, name in parts if f"{each.kind} {name}" in unready]
        return [call.cause(each, name, names.namespace) for each, name in left[:1]]

    ended = call.wait(
        f"Developer Hub {names.name} to be gone",
        [Source(each, names.namespace, name) for each, name in parts],
        lambda snapshot: judge_removal(state, snapshot),
        causes=causes,
        facts=lambda ended: call.result(**with_timing(facts, ended)),
        act=act,
    )
    return with_timing(facts, ended)
