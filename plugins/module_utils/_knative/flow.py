# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the module knative does, in order: read, refuse, write, wait, explain. PRIVATE to the collection."""

from __future__ import annotations

import typing as t

from ansible_collections.rhdh.orchestrator.plugins.module_utils._knative import judge as knative_judge
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube import kinds as k
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.objects import Object, created_by_us
from ansible_collections.rhdh.orchestrator.plugins.module_utils._release.products import EVENTING_WEBHOOK
from ansible_collections.rhdh.orchestrator.plugins.module_utils._run.failures import InputError
from ansible_collections.rhdh.orchestrator.plugins.module_utils._run.flow import Call
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.gone import judge_gone
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.snapshot import Snapshot
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.source import Source
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.verdict import READY, Result, Verdict

if t.TYPE_CHECKING:
    Found = dict[str, tuple[knative_judge.Component, "Object | None"]]


def read(call: Call) -> tuple[Found, list[str], list[str]]:
    """Read the components that the options name; return them with every problem and the namespaces that are missing."""
    session, state = call.session, call.params["state"]
    found: Found = {}
    problems: list[str] = []
    missing: list[str] = []
    for component in knative_judge.COMPONENTS:
        if not (call.params[component.key] or {}).get("enabled", True):
            continue
        everywhere = session.list(component.kind)
        obj = knative_judge.find(component, everywhere)
        found[component.key] = (component, obj)
        if state == "absent":
            continue
        problems += knative_judge.misplaced(component, everywhere)
        if state == "ready":
            if obj is None and not call.check_mode:
                problems.append(f"{component.title} does not exist: create it with state: present first.")
            continue
        if obj is None:
            if not everywhere and not call.check_mode and not session.served_versions(component.kind):
                problems.append(f"{component.kind.kind} is not served: install OpenShift Serverless first.")
            namespace = session.get(k.NAMESPACE, component.namespace)
            if namespace is None:
                missing.append(component.namespace)
            elif namespace["metadata"].get("deletionTimestamp"):
                problems.append(f"Namespace {component.namespace} is being deleted; run again when it is gone.")
    return found, problems, missing


def present(call: Call, found: Found, missing: list[str]) -> dict[str, t.Any]:
    """Create or complete what is ours, adopt the rest, wait."""
    call.changed = bool(missing)
    outcomes: list[dict[str, t.Any]] = []
    leaving = {key: entry for key, entry in found.items() if entry[1] and entry[1]["metadata"].get("deletionTimestamp")}
    if leaving and not call.check_mode:
        until_gone(call, leaving)
    for namespace in missing:
        call.session.ensure(k.NAMESPACE, {"metadata": {"name": namespace}})
    for key, (component, obj) in found.items():
        action = ensure(call, component, None if key in leaving else obj)
        outcomes.append({"name": component.name, "kind": component.kind.kind, "action": action})
    timing = until_ready(call, found, outcomes) if call.params["wait"] and not call.check_mode else {}
    return call.result(components=outcomes, namespaces_created=missing, **timing)


def ensure(call: Call, component: knative_judge.Component, obj: Object | None) -> str:
    """Write one component, unless it was created by others; return what was done."""
    wanted = knative_judge.body(component, (call.params[component.key] or {}).get("spec") or {})
    if obj is not None and not created_by_us(obj):
        if different := knative_judge.differences(obj.get("spec") or {}, wanted["spec"]):
            call.warn(f"{component.title} was not created by this collection and is left as is: {', '.join(different)}")
        return "adopted"
    if call.check_mode and obj is None:
        # The namespace or the kind may be missing as well: nothing to ask the server about.
        call.record(component.title, {}, wanted)
        return "created"
    change = call.session.ensure(component.kind, wanted)
    if change.changed:
        call.record(component.title, change.before, change.after)
    return change.action


def ready(call: Call, found: Found) -> dict[str, t.Any]:
    """Wait for what exists and write nothing. In check mode nothing may exist yet, and nothing is waited for."""
    outcomes = [
        {"name": component.name, "kind": component.kind.kind, "action": "none"} for component, _rest in found.values()
    ]
    timing = {} if call.check_mode else until_ready(call, found, outcomes)
    return call.result(components=outcomes, namespaces_created=[], **timing)


def source_of(component: knative_judge.Component) -> Source:
    """Return what is watched of a component."""
    return Source(component.kind, component.namespace, component.name)


def until_ready(call: Call, found: Found, outcomes: list[dict[str, t.Any]]) -> dict[str, t.Any]:
    """Wait for the components; without a watch when everything was ready already."""
    sources = [source_of(component) for component, _rest in found.values()]
    webhook = Source(k.DEPLOYMENT, knative_judge.EVENTING.namespace, EVENTING_WEBHOOK)

    def judge(snapshot: Snapshot) -> dict[str, Verdict]:
        verdicts = {}
        for component, _old in found.values():
            obj = snapshot.get(component.kind, component.name, component.namespace)
            verdicts[component.title] = knative_judge.judge(component, obj)
        if "eventing" in found:
            deployment = snapshot.get(k.DEPLOYMENT, webhook.name or "", webhook.namespace)
            verdicts[f"Deployment {webhook.name}"] = knative_judge.judge_webhook(deployment)
        return verdicts

    if not call.changed:
        objects: dict[Source, dict[tuple[str, str], Object] | None] = {
            source_of(component): {(component.namespace, component.name): obj} if obj else {}
            for component, obj in found.values()
        }
        if "eventing" in found:
            deployment = call.session.get(k.DEPLOYMENT, webhook.name or "", webhook.namespace)
            objects[webhook] = {(webhook.namespace or "", webhook.name or ""): deployment} if deployment else {}
        snapshot = Snapshot(objects, set())
        verdicts = judge(snapshot)
        if all(verdict.state == READY for verdict in verdicts.values()):
            describe(outcomes, Result(READY, verdicts, 0.0, [], snapshot), found)
            return {"elapsed": 0.0, "timeline": []}
    if "eventing" in found:
        sources.append(webhook)

    def facts(ended: Result) -> dict[str, t.Any]:
        describe(outcomes, ended, found)
        return {"components": outcomes}

    ended = call.wait("Knative to be ready", sources, judge, causes=lambda end: causes(call, found, end), facts=facts)
    describe(outcomes, ended, found)
    return {"elapsed": round(ended.elapsed, 2), "timeline": ended.timeline}


def describe(outcomes: t.Iterable[dict[str, t.Any]], ended: Result, found: Found) -> None:
    """Add readiness and version to the outcome of each component."""
    by_kind = {outcome["kind"]: outcome for outcome in outcomes}
    for component, _old in found.values():
        outcome = by_kind[component.kind.kind]
        obj = ended.snapshot.get(component.kind, component.name, component.namespace)
        verdict = ended.verdicts.get(component.title)
        outcome["ready"] = bool(verdict and verdict.state == READY)
        outcome["version"] = ((obj or {}).get("status") or {}).get("version") or ""


def causes(call: Call, found: Found, ended: Result) -> list[str]:
    """Return the deepest known cause for each component that is not as wanted."""
    known = []
    for component, _rest in found.values():
        verdict = ended.verdicts.get(component.title)
        if verdict is not None and verdict.state != READY:
            known.append(call.cause(component.kind, component.name, component.namespace))
    webhook = ended.verdicts.get(f"Deployment {EVENTING_WEBHOOK}")
    if webhook is not None and webhook.state != READY and not known:
        known.append(call.cause(k.DEPLOYMENT, EVENTING_WEBHOOK, knative_judge.EVENTING.namespace))
    return known


def until_gone(call: Call, found: Found) -> Result:
    """Wait until the components are gone."""
    sources = [source_of(component) for component, _rest in found.values()]

    def judge(snapshot: Snapshot) -> dict[str, Verdict]:
        return {
            component.title: judge_gone(snapshot.get(component.kind, component.name, component.namespace))
            for component, _rest in found.values()
        }

    return call.wait("Knative to be gone", sources, judge, causes=lambda ended: causes(call, found, ended))


def absent(call: Call, found: Found) -> dict[str, t.Any]:
    """Remove what is ours once nothing needs it."""
    outcomes: list[dict[str, t.Any]] = []
    leaving: Found = {}
    problems: list[str] = []
    for key, (component, obj) in found.items():
        action = "none"
        if obj is not None:
            action = "deleted" if created_by_us(obj) or call.params["delete_adopted"] else "kept"
        outcomes.append({"name": component.name, "kind": component.kind.kind, "action": action})
        if action == "deleted" and obj:
            leaving[key] = (component, obj)
            users = [user for kind in knative_judge.USERS[key] for user in call.session.list(kind)]
            problems += knative_judge.removal_problems(component, users)
    if problems:
        raise InputError(problems)
    for component, obj in leaving.values():
        call.record(component.title, obj, {})
        if obj and not obj["metadata"].get("deletionTimestamp"):
            call.session.delete(component.kind, component.name, component.namespace, uid=obj["metadata"]["uid"])
    timing: dict[str, t.Any] = {}
    if leaving and call.params["wait"] and not call.check_mode:
        ended = until_gone(call, leaving)
        timing = {"elapsed": round(ended.elapsed, 2), "timeline": ended.timeline}
    leftovers = [f"Namespace {component.namespace}" for component, _rest in leaving.values()]
    if leaving:
        leftovers.append("CustomResourceDefinitions of knative.dev")
    return call.result(components=outcomes, namespaces_created=[], leftovers=leftovers, **timing)


def reconcile(call: Call) -> dict[str, t.Any]:
    """Do what the options say; return the result of the module."""
    found, problems, missing = read(call)
    if problems:
        raise InputError(problems)
    if call.params["state"] == "absent":
        return absent(call, found)
    if call.params["state"] == "ready":
        return ready(call, found)
    return present(call, found, missing)
