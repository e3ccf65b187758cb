# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What `k8s_wait` can wait for, as pure functions from objects to verdicts. PRIVATE to the collection."""

from __future__ import annotations

import dataclasses
import itertools
import re
import typing as t

from ansible_collections.rhdh.orchestrator.plugins.module_utils._kinds import Kind
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube import quantity
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm_judge import (
    judge_csv,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait import (
    FAILED,
    PENDING,
    READY,
    Verdict,
    condition,
    current,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._workload import (
    job,
    selected,
    workload,
)

Object = dict[str, t.Any]
CHECKS = ("exists", "absent", "condition", "field", "csv", "job", "rollout")
COMPARISONS = ("eq", "ne", "gt", "ge", "lt", "le", "in", "matches", "exists", "absent")
_KINDS_OF = {"csv": ("ClusterServiceVersion",), "job": ("Job",), "rollout": ("Deployment", "StatefulSet", "DaemonSet")}
_STEP = re.compile(r"([^.\[\]]+)|\[(\d+)\]|\[\"([^\"]+)\"\]")
_PATH = re.compile(r"[^.\[\]\"\s]+(\.[^.\[\]\"\s]+|\[\d+\]|\[\"[^\"]+\"\])*")
_ORDER = ("gt", "ge", "lt", "le")


@dataclasses.dataclass(frozen=True)
class Wanted:
    """A condition that is wanted, or one that ends the wait as failed."""

    type: str
    status: str = "True"
    reason: str | None = None
    grace: float = 0.0  # seconds that a failure must last

    @classmethod
    def from_option(cls, option: Object) -> Wanted:
        """Build from the module's option."""
        return cls(option["type"], option.get("status") or "True", option.get("reason"), option.get("grace") or 0)

    def holds(self, found: Object | None) -> bool:
        """Tell whether a condition is as described."""
        if found is None or found.get("status") != self.status:
            return False
        return not self.reason or found.get("reason") == self.reason


@dataclasses.dataclass(frozen=True)
class Target:
    """One entry of the module's `targets`."""

    api_version: str
    kind: str
    check: str = "exists"
    name: str | None = None
    namespace: str | None = None
    label_selector: str | None = None
    conditions: tuple[Wanted, ...] = ()
    failed_conditions: tuple[Wanted, ...] = ()
    field: str | None = None
    comparison: str = "eq"
    value: t.Any = dataclasses.field(default=None, hash=False)
    at_least: int = 1
    stable_for: float = 0.0
    generation_aware: bool = True

    @classmethod
    def from_option(cls, option: Object) -> Target:
        """Build from the module's option."""
        return cls(
            option["api_version"],
            option["kind"],
            option["check"],
            option.get("name"),
            option.get("namespace"),
            option.get("label_selector"),
            tuple(Wanted.from_option(c) for c in option.get("conditions") or []),
            tuple(Wanted.from_option(c) for c in option.get("failed_conditions") or []),
            option.get("field"),
            option.get("comparison") or "eq",
            option.get("value"),
            option["at_least"],
            option.get("stable_for") or 0,
            option["generation_aware"],
        )

    @property
    def label(self) -> str:
        """What the target is called in messages."""
        which = self.name or (f"({self.label_selector})" if self.label_selector else "(all)")
        words = [self.kind, f"{self.namespace}/{which}" if self.namespace else which, self.check]
        if self.check == "condition":
            words.append(", ".join(f"{c.type}={c.status}" for c in self.conditions))
        elif self.check == "field":
            words += [str(self.field), self.comparison]  # not the value: it may be a secret, and this is a result's key
        return " ".join(word for word in words if word)

    @property
    def objects(self) -> tuple[str | None, ...]:
        """What it selects: equal for two targets on the same objects."""
        return self.api_version, self.kind, self.namespace, self.name, self.label_selector


def check_input(targets: t.Sequence[Target], timeout: float) -> list[str]:
    """Return every problem of the input."""
    problems = []
    if timeout <= 0:
        problems.append(f"wait_timeout: {timeout} is not a positive number of seconds.")
    if not targets:
        problems.append("targets: the list is empty; name at least one.")
    for number, target in enumerate(targets):
        where = f"targets[{number}] ({target.label})"
        problems += [f"{where}: {problem}" for problem in _problems_of(target)]
        problems += [f"{where}: {problem}" for problem in _contradictions(target, targets[:number])]
    return problems


def _problems_of(target: Target) -> t.Iterator[str]:
    if target.name == "":
        yield "name is empty; leave it out to wait for all objects of the kind."
    if target.name and target.label_selector:
        yield "name and label_selector exclude each other."
    if target.check == "condition" and not target.conditions:
        yield "check condition needs conditions."
    if target.check != "condition" and target.conditions:
        yield "conditions are looked at only with check condition."
    if target.check == "absent" and target.failed_conditions:
        yield "failed_conditions say nothing about an object that is to be absent."
    yield from _disagreements(target.conditions, target.conditions)
    for failing in target.failed_conditions:
        if any((c.type, c.status) == (failing.type, failing.status) and not failing.reason for c in target.conditions):
            yield f"condition {failing.type}={failing.status} cannot be wanted and a failure at once."
        if failing.grace < 0:
            yield f"failed_conditions: grace {failing.grace} is less than 0."
    if target.check == "field":
        yield from _field_problems(target)
    elif target.field or target.value is not None:
        yield "field and value are looked at only with check field."
    if target.check in _KINDS_OF and target.kind not in _KINDS_OF[target.check]:
        yield f"check {target.check} is for {' or '.join(_KINDS_OF[target.check])}."
    if target.at_least < 1:
        yield "at_least must be 1 or more."
    elif target.at_least > 1 and (target.name or target.check == "absent"):
        yield f"at_least {target.at_least} fits neither a single object nor check absent."
    if target.stable_for < 0:
        yield f"stable_for {target.stable_for} is less than 0."


def _field_problems(target: Target) -> t.Iterator[str]:
    if not target.field:
        yield "check field needs field."
    elif not _PATH.fullmatch(target.field):
        yield f'field {target.field} is no path: write status.phase, status.items[0].name or metadata.labels["a.b/c"].'
    if target.value is None and target.comparison not in ("exists", "absent"):
        yield f"comparison {target.comparison} needs value."
    if target.value is not None and target.comparison in ("exists", "absent"):
        yield f"comparison {target.comparison} takes no value."
    if target.value is not None and target.comparison in _ORDER and number(target.value) is None:
        yield f"comparison {target.comparison} needs a number or a quantity, not {target.value}."
    if target.value is not None and target.comparison == "matches":
        try:
            re.compile(str(target.value))
        except re.error as exc:
            yield f"value is not a regular expression: {exc}."


def _disagreements(some: t.Sequence[Wanted], others: t.Sequence[Wanted]) -> t.Iterator[str]:
    for one, other in itertools.product(some, others):
        if one.type == other.type and one.status < other.status:
            yield f"condition {one.type} cannot be {one.status} and {other.status} at once."


def _contradictions(target: Target, earlier: t.Iterable[Target]) -> t.Iterator[str]:
    for other in earlier:
        if other.objects != target.objects:
            continue
        if other == target:
            yield "is given twice."
        elif other.check != target.check and "absent" in (other.check, target.check):
            yield "the same object cannot be absent and something else."
        yield from _disagreements(target.conditions, other.conditions)
        yield from _disagreements(other.conditions, target.conditions)


def find_kind(target: Target, resources: t.Iterable[Object]) -> Kind | None:
    """Return the kind of a target among the resources that the API server lists for its group and version."""
    group, _slash, version = target.api_version.rpartition("/")
    for resource in resources:
        if resource["kind"] == target.kind and "/" not in resource["name"]:
            return Kind(group, version, resource["name"], target.kind, bool(resource.get("namespaced")))
    return None


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
    for key, index, quoted in _STEP.findall(path):
        if index:
            if not isinstance(obj, list) or int(index) >= len(obj):
                return False, None
            obj = obj[int(index)]
        else:
            if not isinstance(obj, dict) or (key or quoted) not in obj:
                return False, None
            obj = obj[key or quoted]
    return True, obj


def number(value: t.Any) -> float | None:
    """Return a number or Kubernetes quantity (500m, 2Gi) as a number, or None."""
    if isinstance(value, bool):
        return None
    try:
        return float(value)
    except (TypeError, ValueError):
        return quantity(str(value))


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
