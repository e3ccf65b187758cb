# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What `k8s_wait` is asked to wait for. PRIVATE to the collection; pure functions."""

from __future__ import annotations

import dataclasses
import itertools
import re
import typing as t

from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.kinds import Kind
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.objects import Object
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.quantity import quantity

CHECKS = ("exists", "absent", "condition", "field", "csv", "job", "rollout")
COMPARISONS = ("eq", "ne", "gt", "ge", "lt", "le", "in", "matches", "exists", "absent")
_KINDS_OF = {"csv": ("ClusterServiceVersion",), "job": ("Job",), "rollout": ("Deployment", "StatefulSet", "DaemonSet")}
STEP = re.compile(r"([^.\[\]]+)|\[(\d+)\]|\[\"([^\"]+)\"\]")
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


def number(value: t.Any) -> float | None:
    """Return a number or Kubernetes quantity (500m, 2Gi) as a number, or None."""
    if isinstance(value, bool):
        return None
    try:
        return float(value)
    except (TypeError, ValueError):
        return quantity(str(value))
