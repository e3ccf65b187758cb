# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What `k8s_wait` can wait for, as pure functions from objects to verdicts. PRIVATE to the collection."""

from __future__ import annotations

import dataclasses
import re
import typing as t

from ansible_collections.rhdh.orchestrator.plugins.module_utils._diagnose import (
    csv_cause,
    job_cause,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kinds import Kind
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm_judge import (
    TERMINAL_CSV,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._restart import (
    deployments_of,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait import (
    READY,
    Verdict,
    condition,
    current,
    rolled_out,
)

Object = dict[str, t.Any]
CHECKS = ("exists", "absent", "condition", "field", "csv", "job", "rollout")
COMPARISONS = ("eq", "ne", "gt", "ge", "lt", "le", "in", "matches", "exists", "absent")
CSV_STABLE = 2.0  # seconds: a CSV may leave Succeeded once for less than that during an upgrade
_KINDS_OF = {"csv": ("ClusterServiceVersion",), "job": ("Job",), "rollout": ("Deployment", "StatefulSet", "DaemonSet")}
_STEP = re.compile(r"([^.\[\]]+)|\[(\d+)\]|\[\"([^\"]+)\"\]")


@dataclasses.dataclass(frozen=True)
class Target:
    """One entry of the module's `targets`."""

    api_version: str
    kind: str
    check: str = "exists"
    name: str | None = None
    namespace: str | None = None
    label_selector: str | None = None
    conditions: tuple[tuple[str, str, str | None], ...] = ()  # type, status, reason
    field: str | None = None
    comparison: str = "eq"
    value: t.Any = None
    at_least: int = 1
    generation_aware: bool = True

    @classmethod
    def from_option(cls, option: Object) -> Target:
        """Build from the module's option."""
        conditions = tuple((c["type"], c.get("status") or "True", c.get("reason")) for c in option["conditions"] or [])
        return cls(
            option["api_version"],
            option["kind"],
            option["check"],
            option.get("name"),
            option.get("namespace"),
            option.get("label_selector"),
            conditions,
            option.get("field"),
            option.get("comparison") or "eq",
            option.get("value"),
            option["at_least"],
            option["generation_aware"],
        )

    @property
    def label(self) -> str:
        """What the target is called in messages."""
        which = self.name or (f"({self.label_selector})" if self.label_selector else "(all)")
        return f"{self.kind} {self.namespace + '/' if self.namespace else ''}{which} {self.check}"


def check_input(targets: t.Sequence[Target], timeout: float) -> list[str]:
    """Return every problem of the input."""
    problems = []
    if timeout <= 0:
        problems.append(f"wait_timeout: {timeout} is not a positive number of seconds.")
    if not targets:
        problems.append("targets: the list is empty; name at least one.")
    for number, target in enumerate(targets):
        where = f"targets[{number}] ({target.label})"
        if target.name and target.label_selector:
            problems.append(f"{where}: name and label_selector exclude each other.")
        if target.check == "condition" and not target.conditions:
            problems.append(f"{where}: check condition needs conditions.")
        if target.check != "condition" and target.conditions:
            problems.append(f"{where}: conditions are looked at only with check condition.")
        statuses: dict[str, str] = {}
        for kind, status, _reason in target.conditions:
            if statuses.setdefault(kind, status) != status:
                problems.append(f"{where}: condition {kind} cannot be {statuses[kind]} and {status} at once.")
        if target.check == "field":
            if not target.field:
                problems.append(f"{where}: check field needs field.")
            if target.value is None and target.comparison not in ("exists", "absent"):
                problems.append(f"{where}: comparison {target.comparison} needs value.")
        if target.check in _KINDS_OF and target.kind not in _KINDS_OF[target.check]:
            problems.append(f"{where}: check {target.check} is for {' or '.join(_KINDS_OF[target.check])}.")
        if target.at_least < 1:
            problems.append(f"{where}: at_least must be 1 or more.")
        if target.comparison == "matches" and target.value is not None:
            try:
                re.compile(str(target.value))
            except re.error as exc:
                problems.append(f"{where}: value is not a regular expression: {exc}.")
        others = [other for other in targets[:number] if _same(target, other) and other.check != target.check]
        if any("absent" in (target.check, other.check) for other in others):
            problems.append(f"{where}: the same object cannot be absent and something else.")
    return problems


def _same(one: Target, other: Target) -> bool:
    keys = ("api_version", "kind", "name", "namespace", "label_selector")
    return all(getattr(one, key) == getattr(other, key) for key in keys)


def find_kind(target: Target, resources: t.Iterable[Object]) -> Kind | None:
    """Return the kind of a target among the resources that the API server lists for its group and version."""
    group, _slash, version = target.api_version.rpartition("/")
    for resource in resources:
        if resource["kind"] == target.kind and "/" not in resource["name"]:
            return Kind(group, version, resource["name"], target.kind, bool(resource.get("namespaced")))
    return None


def judge(target: Target, objects: t.Sequence[Object], workloads: t.Mapping[str, Object]) -> Verdict:
    """Judge a target on the objects that it selects. `workloads` are the Deployments of its namespace, for a CSV."""
    if target.check == "absent":
        if not objects:
            return Verdict.ready("is gone")
        names = ", ".join(obj["metadata"]["name"] for obj in objects[:5])
        held = [f for obj in objects for f in obj["metadata"].get("finalizers") or []]
        going = all(obj["metadata"].get("deletionTimestamp") for obj in objects)
        text = f"{names}; held by finalizers {', '.join(sorted(set(held)))}" if going and held else names
        return Verdict.pending("Deleting" if going else "StillThere", text)
    if len(objects) < target.at_least:
        wanted = "does not exist" if target.name else f"{len(objects)} of at least {target.at_least} exist"
        return Verdict.pending("NotFound", wanted)
    verdicts = [(obj, _judge_one(target, obj, workloads)) for obj in objects]
    for state in ("failed", "pending"):
        for obj, verdict in verdicts:
            if verdict.state == state:
                prefix = "" if target.name else f"{obj['metadata']['name']}: "
                return dataclasses.replace(verdict, message=prefix + verdict.message)
    return verdicts[0][1]


def _judge_one(target: Target, obj: Object, workloads: t.Mapping[str, Object]) -> Verdict:
    if obj["metadata"].get("deletionTimestamp"):
        return Verdict.pending("Deleting", "is being deleted")
    if target.check == "exists":
        return Verdict.ready("exists")
    if target.check == "csv":
        return _judge_csv(obj, workloads)
    if target.check == "job":
        return _judge_job(obj)
    if target.check == "rollout":
        return _judge_daemon_set(obj) if target.kind == "DaemonSet" else rolled_out(obj)
    if target.generation_aware and not current(obj):
        return Verdict.pending("NotObserved", "its controller has not seen the current generation yet")
    if target.check == "condition":
        return _judge_conditions(target, obj)
    return _judge_field(target, obj)


def _judge_conditions(target: Target, obj: Object) -> Verdict:
    for kind, status, reason in target.conditions:
        found = condition(obj, kind)
        if found is None:
            return Verdict.pending("NoCondition", f"has no condition {kind}")
        behind = (found.get("observedGeneration") or obj["metadata"].get("generation", 0)) < obj["metadata"].get(
            "generation", 0
        )
        if target.generation_aware and behind:
            return Verdict.pending("NotObserved", f"condition {kind} is of an older generation")
        if found.get("status") != status or (reason and found.get("reason") != reason):
            text = f"{kind} is {found.get('status')} ({found.get('reason') or 'no reason'}): {found.get('message', '')}"
            return Verdict.pending("Condition" + kind, text)
    return Verdict.ready(", ".join(f"{kind} is {status}" for kind, status, _reason in target.conditions))


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


def compare(comparison: str, found: t.Any, value: t.Any) -> bool:
    """Compare a field with the wanted value: as numbers where both are, else as text. Never raises."""
    if comparison == "in":
        return str(found) in [str(item) for item in (value if isinstance(value, list) else str(value).split(","))]
    if comparison == "matches":
        return re.search(str(value), str(found)) is not None
    if isinstance(found, bool):  # Ansible hands the value over as text
        one, other = str(found).lower(), str(value).lower()
        return {"eq": one == other, "ne": one != other}.get(comparison, False)
    try:
        left, right = float(found), float(value)
    except (TypeError, ValueError):
        if comparison not in ("eq", "ne"):
            return False
        return (str(found) == str(value)) == (comparison == "eq")
    results = {"eq": left == right, "ne": left != right, "gt": left > right, "ge": left >= right}
    return {**results, "lt": left < right, "le": left <= right}[comparison]


def _judge_field(target: Target, obj: Object) -> Verdict:
    path = t.cast(str, target.field)
    there, found = look_up(obj, path)
    if target.comparison in ("exists", "absent"):
        holds = there == (target.comparison == "exists")
        text = f"{path} is {found!r}" if there else f"{path} is not there"
    else:
        holds = there and compare(target.comparison, found, target.value)
        text = f"{path} is {found!r}" if there else f"{path} is not there"
    if holds:
        return Verdict.ready(text)
    return Verdict.pending("Field", f"{text}, wanted is {target.comparison} {target.value or ''}".rstrip())


def _judge_csv(csv: Object, workloads: t.Mapping[str, Object]) -> Verdict:
    name, status = csv["metadata"]["name"], csv.get("status") or {}
    if "olm.copiedFrom" in (csv["metadata"].get("labels") or {}):
        return Verdict.failed(
            "Copied", f"{name} is a copy from namespace {csv['metadata']['labels']['olm.copiedFrom']}"
        )
    phase, reason = status.get("phase") or "New", status.get("reason") or ""
    if phase == "Succeeded":
        for item in deployments_of(csv):
            verdict = rolled_out(workloads.get(item))
            if verdict.state != READY:
                return Verdict.pending("DeploymentNotReady", f"Deployment {item} {verdict.message}")
        return Verdict.ready("Succeeded, and its Deployments are available", stable_for=CSV_STABLE)
    if phase == "Failed" and reason in TERMINAL_CSV:
        return Verdict.failed(reason, status.get("message") or "", TERMINAL_CSV[reason], grace=5)
    cause = csv_cause(csv)
    return Verdict.pending(reason or phase, cause.message if cause else status.get("message") or "")


def _judge_job(job: Object) -> Verdict:
    done = condition(job, "Complete")
    if done and done.get("status") == "True":
        return Verdict.ready("is complete")
    cause = job_cause(job)
    if cause:
        return Verdict.failed("JobFailed", cause.message, cause.remedy)
    status = job.get("status") or {}
    return Verdict.pending("Running", f"{status.get('active') or 0} pods active, {status.get('failed') or 0} failed")


def _judge_daemon_set(obj: Object) -> Verdict:
    status = obj.get("status") or {}
    if not current(obj) or "observedGeneration" not in status:
        return Verdict.pending("NotObserved", "its controller has not seen the current generation yet")
    wanted = status.get("desiredNumberScheduled") or 0
    ready, updated = status.get("numberReady") or 0, status.get("updatedNumberScheduled") or 0
    text = f"{ready} of {wanted} pods ready, {updated} updated"
    return Verdict.ready(text) if ready >= wanted and updated >= wanted else Verdict.pending("RollingOut", text)
