# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The namespace of an operator: its OperatorGroup, and CSVs that keep OLM from installing. PRIVATE."""

from __future__ import annotations

import typing as t

from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube import kinds as k
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm import csv as olm_csv
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm import group as olm_group
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm.facts import Facts
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm.operator import (
    Operator,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm.resolve import Target


def decide_namespace(
    facts: Facts, operators: t.Sequence[Operator], operator: Operator, target: Target, *, replace_orphan: bool
) -> list[str]:
    """Decide about namespace and OperatorGroup as `operator.group` and `operator.changes`; returns the problems.

    `operators` are all of the call: one group serves those that go to the same namespace.
    """
    wanted = operator.wanted
    groups = facts.groups_in(wanted.namespace)
    planned = [
        change["body"]
        for other in operators
        for change in other.changes
        if change["kind"] == k.OPERATOR_GROUP and change["body"]["metadata"]["namespace"] == wanted.namespace
    ]
    modes = target.install_modes if groups else _common_modes(operators, wanted.namespace, target)
    operator.group = olm_group.decide_group([*groups, *planned], wanted, modes)
    problems = [operator.group.problem] if operator.group.action == "refuse" else []
    if operator.csv is not None:
        return problems  # the namespace is there, and OLM has worked in it
    namespace = facts.session.get(k.NAMESPACE, wanted.namespace)
    if namespace is not None and namespace["metadata"].get("deletionTimestamp"):
        problems.append(
            f"operators[{wanted.package}]: namespace {wanted.namespace} is being deleted. Wait until it is gone: oc "
            f"get namespace {wanted.namespace} -o yaml (status.conditions say what holds it)."
        )
    if namespace is None:
        body = {"metadata": {"name": wanted.namespace}}
        operator.changes.append({"kind": k.NAMESPACE, "body": body})
    if operator.group.action == "create":
        operator.changes.append({"kind": k.OPERATOR_GROUP, "body": operator.group.body})
    if namespace is not None:
        problems += _check_csvs(facts, operator, target, replace_orphan)
    return problems


def _common_modes(operators: t.Iterable[Operator], namespace: str, target: Target) -> tuple[str, ...]:
    """Return the install modes that all operators of this call support that go to one new OperatorGroup.

    With none in common the group is made for the first one, and the others are refused against it.
    """
    every = [o.target.install_modes for o in operators if o.target and o.wanted.namespace == namespace]
    return tuple(mode for mode in target.install_modes if all(mode in modes for modes in every if modes)) or (
        target.install_modes
    )


def _check_csvs(facts: Facts, operator: Operator, target: Target, replace_orphan: bool) -> list[str]:
    """Look for CSVs of the package that keep OLM from installing: copied ones and orphans."""
    wanted, where = operator.wanted, f"operators[{operator.wanted.package}]"
    label = olm_csv.component_label(wanted.package, wanted.namespace)
    known = {name for name, _version in target.entries}
    problems, own = [], []
    for csv in facts.session.list(k.CSV, wanted.namespace):
        labels = csv["metadata"].get("labels") or {}
        if "olm.copiedFrom" not in labels:
            own.append(csv)
        elif csv["metadata"]["name"] in known:
            problems.append(
                f"{where}: namespace {wanted.namespace} holds a copy of {csv['metadata']['name']} from namespace "
                f"{labels['olm.copiedFrom']}: OLM would call it installed and install nothing. Use that "
                "installation, or remove it first."
            )
    subscriptions = facts.subscriptions_in(wanted.namespace)
    for csv in own:
        name = csv["metadata"]["name"]
        ours = name in known or label in (csv["metadata"].get("labels") or {})
        if not ours or not olm_csv.is_orphan(name, own, subscriptions):
            continue
        if replace_orphan:
            operator.orphan = name
            operator.uids[name] = csv["metadata"].get("uid")
        else:
            problems.append(
                f"{where}: {name} is left in {wanted.namespace} without a Subscription; OLM never adopts it. Set "
                f"replace_orphan, or: oc delete csv {name} -n {wanted.namespace} (CRDs and objects stay)."
            )
    return problems
