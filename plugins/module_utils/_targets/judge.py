# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What `k8s_wait` can wait for, as pure functions from objects to verdicts. PRIVATE to the collection."""

from __future__ import annotations

import dataclasses
import re
import typing as t

from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.objects import Object, condition, current
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm.judge import judge_csv
from ansible_collections.rhdh.orchestrator.plugins.module_utils._targets.target import STEP, Target, number
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.verdict import FAILED, PENDING, READY, Verdict
from ansible_collections.rhdh.orchestrator.plugins.module_utils._workload.jobs import job
from ansible_collections.rhdh.orchestrator.plugins.module_utils._workload.pods import selected
from ansible_collections.rhdh.orchestrator.plugins.module_utils._workload.rollout import workload


@dataclasses.dataclass(frozen=True)
class Around:
    """What else is known of a target's objects; all of it may be empty."""

    deployments: t.Sequence[Object] = ()  # of a CSV
    pods: t.Sequence[Object] = ()
    replica_sets: t.Sequence[Object] = ()
    last: Object | None = None  # a single object as it was before it vanished
    now: float | None = None  # seconds since the epoch


NOTHING = Around()


def judge(target: Target, objects: t.Sequence[Object], around: Around = NOTHING, fail_fast: bool = True) -> Verdict:
    """Judge a target on the objects that it selects. Without `fail_fast` nothing ends the wait but readiness."""
    verdict = _judge_all(target, objects, around)
    if verdict.state == READY:
        return dataclasses.replace(verdict, stable_for=max(verdict.stable_for, target.stable_for))
    if verdict.state == FAILED and not fail_fast:
        return dataclasses.replace(verdict, state=PENDING)
    return verdict


def _judge_all(target: Target, objects: t.Sequence[Object], around: Around) -> Verdict:
    if target.check == "absent":
        return _judge_absent(objects)
    if target.check == "job" and target.name and not objects:
        return job(None, (), around.last)
    if len(objects) < target.at_least:
        wanted = "does not exist" if target.name else f"{len(objects)} of at least {target.at_least} exist"
        return Verdict.pending("NotFound", wanted)
    verdicts = [(obj, _judge_one(target, obj, around)) for obj in objects]
    for state in (FAILED, PENDING):
        for obj, verdict in verdicts:
            if verdict.state == state:
                prefix = "" if target.name else f"{obj['metadata']['name']}: "
                return dataclasses.replace(verdict, message=prefix + verdict.message)
    return verdicts[0][1]


def _judge_absent(objects: t.Sequence[Object]) -> Verdict:
    if not objects:
        return Verdict.ready("is gone")
    names = ", ".join(obj["metadata"]["name"] for obj in objects[:5])
    if not all(obj["metadata"].get("deletionTimestamp") for obj in objects):
        return Verdict.pending("StillThere", f"{names}: nobody has asked for its deletion")
    held = sorted({f for obj in objects for f in obj["metadata"].get("finalizers") or []})
    return Verdict.pending("Deleting", f"{names}; held by finalizers {', '.join(held)}" if held else names)


def _judge_one(target: Target, obj: Object, around: Around) -> Verdict:
    if obj["metadata"].get("deletionTimestamp"):
        return Verdict.pending("Deleting", "is being deleted")
    if target.check == "csv":
        deployments = {item["metadata"]["name"]: item for item in around.deployments}
        return judge_csv(obj, deployments, around.pods, around.replica_sets)
    if target.check == "job":
        return job(obj, around.pods)
    if target.check == "rollout":
        return _judge_workload(obj, around)
    verdict = Verdict.ready("exists")
    if target.check != "exists" and target.generation_aware and not current(obj):
        verdict = Verdict.pending("NotObserved", "its controller has not seen the current generation yet")
    elif target.check == "condition":
        verdict = _judge_conditions(target, obj)
    elif target.check == "field":
        verdict = _judge_field(target, obj)
    if verdict.state == READY and target.check != "exists":
        return verdict
    return _failed_condition(target, obj) or verdict


def _failed_condition(target: Target, obj: Object) -> Verdict | None:
    for failing in target.failed_conditions:
        found = condition(obj, failing.type)
        if found and failing.holds(found) and not (target.generation_aware and _behind(obj, found)):
            return Verdict.failed("Condition" + failing.type, _told(found), "Repair what it says.", failing.grace)
    return None


def _behind(obj: Object, found: Object) -> bool:
    observed = found.get("observedGeneration")
    return observed is not None and bool(observed < obj["metadata"].get("generation", 0))


def _told(found: Object) -> str:
    reason = found.get("reason") or "no reason"
    return f"{found['type']} is {found.get('status')} ({reason}): {found.get('message') or ''}".rstrip(": ")


def _judge_conditions(target: Target, obj: Object) -> Verdict:
    for wanted in target.conditions:
        found = condition(obj, wanted.type)
        if found is None:
            return Verdict.pending("NoCondition", f"has no condition {wanted.type}")
        if target.generation_aware and _behind(obj, found):
            return Verdict.pending("NotObserved", f"condition {wanted.type} is of an older generation")
        if not wanted.holds(found):
            return Verdict.pending("Condition" + wanted.type, _told(found))
    return Verdict.ready(", ".join(f"{wanted.type} is {wanted.status}" for wanted in target.conditions))


def look_up(obj: t.Any, path: str) -> tuple[bool, t.Any]:
    """Return whether a path such as `status.items[0].name` or `metadata.labels["a.b/c"]` is there, and its value."""
    for key, index, quoted in STEP.findall(path):
        if index:
            if not isinstance(obj, list) or int(index) >= len(obj):
                return False, None
            obj = obj[int(index)]
        else:
            if not isinstance(obj, dict) or (key or quoted) not in obj:
                return False, None
            obj = obj[key or quoted]
    return True, obj


def compare(comparison: str, found: t.Any, value: t.Any) -> bool:
    """Compare a field with the wanted value; text is equal only to the same text (1.10 is not 1.1). Never raises."""
    if comparison == "in":
        return str(found) in [str(item) for item in (value if isinstance(value, list) else str(value).split(","))]
    if comparison == "matches":
        return re.search(str(value), str(found)) is not None
    if isinstance(found, bool):  # Ansible hands the value over as text
        one, other = str(found).lower(), str(value).lower()
        return {"eq": one == other, "ne": one != other}.get(comparison, False)
    left, right = number(found), number(value)
    if comparison in ("eq", "ne") and (isinstance(found, str) or left is None or right is None):
        return (str(found) == str(value)) == (comparison == "eq")
    if left is None or right is None:
        return False
    results = {"eq": left == right, "ne": left != right, "gt": left > right, "ge": left >= right}
    return {**results, "lt": left < right, "le": left <= right}[comparison]


def _judge_field(target: Target, obj: Object) -> Verdict:
    path = t.cast(str, target.field)
    there, found = look_up(obj, path)
    if target.comparison in ("exists", "absent"):
        holds = there == (target.comparison == "exists")
    else:
        holds = there and compare(target.comparison, found, target.value)
    secret = target.kind == "Secret" and not path.startswith(("metadata", "type"))
    text = f"{path} is {'(hidden)' if secret else repr(found)}" if there else f"{path} is not there"
    if holds:
        return Verdict.ready(text)
    wanted = "" if target.value is None or secret else f" {target.value}"
    return Verdict.pending("Field", f"{text}, wanted is {target.comparison}{wanted}")


def _judge_workload(obj: Object, around: Around) -> Verdict:
    selector = (obj.get("spec") or {}).get("selector") or {}
    labels = selector.get("matchLabels") or {}
    # Expressions are not worked out: without pods the workload is judged by itself.
    pods = selected(around.pods, labels) if labels and not selector.get("matchExpressions") else ()
    return workload(obj, pods, around.replica_sets, around.now)
