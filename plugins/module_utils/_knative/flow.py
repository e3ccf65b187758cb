# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the module knative does, in order: look, refuse, write, wait, explain. PRIVATE to the collection."""

from __future__ import annotations

import typing as t

from ansible_collections.rhdh.orchestrator.plugins.module_utils._diagnose.reader import diagnose
from ansible_collections.rhdh.orchestrator.plugins.module_utils._knative import judge as knative_judge
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube import kinds as k
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.apply import without_bookkeeping
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.objects import Object
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.session import Session
from ansible_collections.rhdh.orchestrator.plugins.module_utils._run.failures import InputError, WaitFailed
from ansible_collections.rhdh.orchestrator.plugins.module_utils._text.redact import redacted_diff
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.engine import wait
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.source import Source
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.verdict import READY, Result, Verdict
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.world import Snapshot

if t.TYPE_CHECKING:
    Found = dict[str, tuple[knative_judge.Component, "Object | None"]]


def look(module: t.Any, session: Session) -> tuple[Found, list[str], list[str]]:
    """Return what exists of each treated component, problems, and namespaces that are missing."""
    found: Found = {}
    problems: list[str] = []
    missing: list[str] = []
    for component in knative_judge.COMPONENTS:
        if not (module.params[component.key] or {}).get("enabled", True):
            continue
        everywhere = session.list(component.kind)
        obj = knative_judge.find(component, everywhere)
        found[component.key] = (component, obj)
        if module.params["state"] == "absent":
            continue
        problems += knative_judge.misplaced(component, everywhere)
        if module.params["state"] == "ready":
            if obj is None and not module.check_mode:
                problems.append(f"{component.title} does not exist: create it with state: present first.")
            continue
        if obj is None:
            if not everywhere and not module.check_mode and not session.served_versions(component.kind):
                problems.append(f"{component.kind.kind} is not served: install OpenShift Serverless first.")
            namespace = session.get(k.NAMESPACE, component.namespace)
            if namespace is None:
                missing.append(component.namespace)
            elif namespace["metadata"].get("deletionTimestamp"):
                problems.append(f"Namespace {component.namespace} is being deleted; run again when it is gone.")
    return found, problems, missing


def present(module: t.Any, session: Session, found: Found, missing: list[str]) -> dict[str, t.Any]:
    """Create or complete what is ours, adopt the rest, wait."""
    result: dict[str, t.Any] = {"changed": bool(missing), "components": [], "namespaces_created": missing, "diff": []}
    leaving = {key: entry for key, entry in found.items() if entry[1] and entry[1]["metadata"].get("deletionTimestamp")}
    if leaving and not module.check_mode:
        until_gone(module, session, leaving)
    for namespace in missing:
        session.ensure(k.NAMESPACE, {"metadata": {"name": namespace}})
    for key, (component, obj) in found.items():
        wanted = knative_judge.body(component, (module.params[key] or {}).get("spec") or {})
        outcome: dict[str, t.Any] = {"name": component.name, "kind": component.kind.kind}
        if obj is not None and key not in leaving and not knative_judge.is_ours(obj):
            outcome["action"] = "adopted"
            if different := knative_judge.differences(obj.get("spec") or {}, wanted["spec"]):
                module.warn(f"{component.title} was made by somebody else and is left as it is: {', '.join(different)}")
        elif module.check_mode and (obj is None or key in leaving):
            # The namespace or the kind may be missing as well: nothing to ask the server about.
            outcome["action"], result["changed"] = "created", True
            result["diff"].append(redacted_diff({}, wanted))
        else:
            change = session.ensure(component.kind, wanted)
            outcome["action"] = change.action
            result["changed"] = result["changed"] or change.changed
            if change.changed:
                before = without_bookkeeping(change.before) if change.before else {}
                result["diff"].append(redacted_diff(before, without_bookkeeping(change.after)))
        result["components"].append(outcome)
    if module.params["wait"] and not module.check_mode:
        result.update(until_ready(module, session, found, result))
    return result


def ready(module: t.Any, session: Session, found: Found) -> dict[str, t.Any]:
    """Wait for what exists and write nothing. In check mode nothing may exist yet, and nothing is waited for."""
    components = [
        {"name": component.name, "kind": component.kind.kind, "action": "none"} for component, _rest in found.values()
    ]
    result: dict[str, t.Any] = {"changed": False, "components": components, "namespaces_created": [], "diff": []}
    if not module.check_mode:
        result.update(until_ready(module, session, found, result))
    return result


def source_of(component: knative_judge.Component) -> Source:
    """Return what is watched of a component."""
    return Source(component.kind, component.namespace, component.name)


def until_ready(module: t.Any, session: Session, found: Found, result: dict[str, t.Any]) -> dict[str, t.Any]:
    """Wait for the components; without a watch when everything was ready already."""
    sources = [source_of(component) for component, _rest in found.values()]
    webhook = Source(k.DEPLOYMENT, knative_judge.EVENTING.namespace, knative_judge.EVENTING_WEBHOOK)

    def judge(snapshot: Snapshot) -> dict[str, Verdict]:
        verdicts = {}
        for component, _old in found.values():
            obj = snapshot.get(component.kind, component.name, component.namespace)
            verdicts[component.title] = knative_judge.judge(component, obj)
        if "eventing" in found:
            deployment = snapshot.get(k.DEPLOYMENT, webhook.name or "", webhook.namespace)
            verdicts[f"Deployment {webhook.name}"] = knative_judge.judge_webhook(deployment)
        return verdicts

    if not result["changed"]:
        objects: dict[Source, dict[tuple[str, str], Object] | None] = {
            source_of(component): {(component.namespace, component.name): obj} if obj else {}
            for component, obj in found.values()
        }
        if "eventing" in found:
            deployment = session.get(k.DEPLOYMENT, webhook.name or "", webhook.namespace)
            objects[webhook] = {(webhook.namespace or "", webhook.name or ""): deployment} if deployment else {}
        snapshot = Snapshot(objects, set())
        verdicts = judge(snapshot)
        if all(verdict.state == READY for verdict in verdicts.values()):
            describe(result, Result(READY, verdicts, 0.0, [], snapshot), found)
            return {"elapsed": 0.0, "timeline": []}
    if "eventing" in found:
        sources.append(webhook)
    ended = wait(session, sources, judge, timeout=module.params["wait_timeout"])
    describe(result, ended, found)
    if ended.phase != READY:
        raise WaitFailed(ended, "Knative to be ready", causes(session, found, ended), **result)
    return {"elapsed": round(ended.elapsed, 2), "timeline": ended.timeline}


def describe(result: dict[str, t.Any], ended: Result, found: Found) -> None:
    """Add readiness and version to the outcome of each component."""
    outcomes = {outcome["kind"]: outcome for outcome in result["components"]}
    for component, _old in found.values():
        outcome = outcomes[component.kind.kind]
        obj = ended.snapshot.get(component.kind, component.name, component.namespace)
        verdict = ended.verdicts.get(component.title)
        outcome["ready"] = bool(verdict and verdict.state == READY)
        outcome["version"] = ((obj or {}).get("status") or {}).get("version") or ""


def causes(session: Session, found: Found, ended: Result) -> list[str]:
    """Return the deepest known cause for each component that is not as wanted."""
    known = []
    for component, _rest in found.values():
        verdict = ended.verdicts.get(component.title)
        if verdict is not None and verdict.state != READY:
            known.append(diagnose(session, component.kind, component.name, component.namespace).text())
    webhook = ended.verdicts.get(f"Deployment {knative_judge.EVENTING_WEBHOOK}")
    if webhook is not None and webhook.state != READY and not known:
        name, namespace = knative_judge.EVENTING_WEBHOOK, knative_judge.EVENTING.namespace
        known.append(diagnose(session, k.DEPLOYMENT, name, namespace).text())
    return known


def until_gone(module: t.Any, session: Session, found: Found) -> Result:
    """Wait until the components are gone."""
    sources = [source_of(component) for component, _rest in found.values()]

    def judge(snapshot: Snapshot) -> dict[str, Verdict]:
        return {
            component.title: knative_judge.judge_gone(
                component, snapshot.get(component.kind, component.name, component.namespace)
            )
            for component, _rest in found.values()
        }

    ended = wait(session, sources, judge, timeout=module.params["wait_timeout"])
    if ended.phase != READY:
        raise WaitFailed(ended, "Knative to be gone", causes(session, found, ended), changed=True)
    return ended


def absent(module: t.Any, session: Session, found: Found) -> dict[str, t.Any]:
    """Remove what is ours once nobody needs it."""
    result: dict[str, t.Any] = {"changed": False, "components": [], "namespaces_created": []}
    result.update(leftovers=[], diff=[])
    doomed: Found = {}
    problems: list[str] = []
    for key, (component, obj) in found.items():
        action = "none"
        if obj is not None:
            action = "deleted" if knative_judge.is_ours(obj) or module.params["delete_adopted"] else "kept"
        result["components"].append({"name": component.name, "kind": component.kind.kind, "action": action})
        if action == "deleted" and obj:
            doomed[key] = (component, obj)
            users = [user for kind in knative_judge.USERS[key] for user in session.list(kind)]
            problems += knative_judge.removal_problems(component, users)
            result["diff"].append(redacted_diff(without_bookkeeping(obj), {}))
    if problems:
        raise InputError(problems)
    result["changed"] = bool(doomed)
    for component, obj in doomed.values():
        if obj and not obj["metadata"].get("deletionTimestamp"):
            session.delete(component.kind, component.name, component.namespace, uid=obj["metadata"]["uid"])
    if doomed and module.params["wait"] and not module.check_mode:
        ended = until_gone(module, session, doomed)
        result.update(elapsed=round(ended.elapsed, 2), timeline=ended.timeline)
    for component, _rest in doomed.values():
        result["leftovers"].append(f"Namespace {component.namespace}")
    if doomed:
        result["leftovers"].append("CustomResourceDefinitions of knative.dev")
    return result


def bring_about(module: t.Any, session: Session) -> dict[str, t.Any]:
    """Do what the options say."""
    found, problems, missing = look(module, session)
    if problems:
        raise InputError(problems)
    if module.params["state"] == "absent":
        result = absent(module, session, found)
    elif module.params["state"] == "ready":
        result = ready(module, session, found)
    else:
        result = present(module, session, found, missing)
    if not module._diff:
        del result["diff"]
    return result
