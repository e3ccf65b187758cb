# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which rights a call needs, which of them are missing, and the smallest roles that grant those. PRIVATE."""

from __future__ import annotations

import typing as t

from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube import kinds as k
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.objects import Object
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.session import Session
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm.operator import Operator
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm.removed import (
    OPERATOR_NAMESPACE_KINDS,
    RemovedOperator,
    kind_of,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm.resolve import Wanted

Right = tuple[str, k.Kind, "str | None"]  # verb, kind, namespace (None: in the whole cluster)
EVERYTHING: Right = ("*", k.Kind("*", "*", "*", "*"), None)
PLAN_STATUS = k.INSTALL_PLAN._replace(plural="installplans/status")
_WATCHED = (k.SUBSCRIPTION, k.OPERATOR_GROUP, k.CATALOG_SOURCE)
_WATCHED_AT_HOME = (k.INSTALL_PLAN, k.CSV, k.DEPLOYMENT)


def to_read(homes: t.Iterable[str], catalogs: t.Iterable[str]) -> list[Right]:
    """Return the rights to find out what is there, and to watch how operators are installed in their namespaces."""
    rights: list[Right] = [(verb, kind, None) for kind in _WATCHED for verb in ("list", "watch")]
    rights.append(("get", k.NAMESPACE, None))
    rights += [("list", k.PACKAGE_MANIFEST, place) for place in catalogs]
    for home in homes:
        rights += [(verb, kind, home) for kind in _WATCHED_AT_HOME for verb in ("get", "list", "watch")]
    return list(dict.fromkeys(rights))


def to_write(operator: Operator, approves: bool) -> list[Right]:
    """Return the rights for what was decided about an operator; `approves` when a plan will have to be approved."""
    home = operator.wanted.namespace
    needed: list[Right] = []
    for change in operator.changes:
        place = None if change["kind"] == k.NAMESPACE else home
        needed += [(verb, change["kind"], place) for verb in ("create", "get", "patch")]
    resolved = operator.target is not None
    if operator.write or not resolved:
        needed += [(verb, k.SUBSCRIPTION, home) for verb in ("create", "get", "patch")]
    if not resolved:  # nothing could be read: what a fresh install needs
        needed += [(verb, k.OPERATOR_GROUP, home) for verb in ("create", "get", "patch")]
        needed += [(verb, k.NAMESPACE, None) for verb in ("create", "patch")]
    if not resolved or approves:
        needed.append(("patch", k.INSTALL_PLAN, home))
    if operator.pending_plan or operator.redirected:
        needed.append(("delete", k.INSTALL_PLAN, home))
    if operator.orphan or operator.csvs_to_delete:
        needed.append(("delete", k.CSV, home))
    if operator.repair == "reset":
        needed.append(("patch", PLAN_STATUS, home))
    if operator.repair == "recreate":
        needed += [(verb, k.SUBSCRIPTION, home) for verb in ("create", "get", "patch", "delete")]
    return needed


def to_remove(
    operators: t.Iterable[RemovedOperator | Wanted], *, custom_resources: bool, delete_crds: bool
) -> list[Right]:
    """Return the rights to remove operators; with `custom_resources` those to see whether any exist."""
    operators = list(operators)
    needed: list[Right] = [(verb, k.SUBSCRIPTION, None) for verb in ("list", "watch")]
    needed += [(verb, k.NAMESPACE, None) for verb in ("get", "list", "watch", "delete")]
    for home in dict.fromkeys(operator.namespace for operator in operators):
        needed += [("delete", kind, home) for kind in (k.SUBSCRIPTION, k.CSV, k.OPERATOR_GROUP)]
        needed += [(verb, kind, home) for kind in (k.CSV, k.DEPLOYMENT) for verb in ("list", "watch")]
        needed += [("list", kind, home) for kind in (k.OPERATOR_GROUP, *OPERATOR_NAMESPACE_KINDS)]
    for operator in operators:
        if isinstance(operator, RemovedOperator) and custom_resources:
            needed += [("list", kind_of(crd), None) for crd in operator.crds]
    if delete_crds:
        needed += [("get", k.CRD, None), ("delete", k.CRD, None), ("list", k.CSV, None)]
    return needed


def missing(session: Session, rights: t.Iterable[Right]) -> list[Right]:
    """Return those of the rights that our credentials lack. Who may do everything is asked once only."""
    if not session.missing_rights([EVERYTHING]):
        return []
    return [right for right in dict.fromkeys(rights) if session.missing_rights([right])]


def roles(lacking: t.Iterable[Right]) -> list[Object]:
    """Return the smallest ClusterRole and Roles that grant the rights."""
    places: dict[str | None, dict[tuple[str, str], list[str]]] = {}
    for verb, kind, namespace in lacking:
        verbs = places.setdefault(namespace, {}).setdefault((kind.group, kind.plural), [])
        if verb not in verbs:
            verbs.append(verb)
    found = []
    for namespace, resources in places.items():
        rules: dict[tuple[str, tuple[str, ...]], list[str]] = {}
        for (group, plural), verbs in resources.items():
            rules.setdefault((group, tuple(verbs)), []).append(plural)
        metadata = {"name": "rhdh-orchestrator-operators", **({"namespace": namespace} if namespace else {})}
        found.append(
            {
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "Role" if namespace else "ClusterRole",
                "metadata": metadata,
                "rules": [
                    {"apiGroups": [group], "resources": plurals, "verbs": list(verbs)}
                    for (group, verbs), plurals in rules.items()
                ],
            }
        )
    return found


def in_words(lacking: t.Sequence[Right]) -> str:
    """Return one message that names every right that is missing, role by role."""
    lines = [f"The credentials lack {len(lacking)} rights. The smallest roles that grant them:"]
    for role in roles(lacking):
        place = f"Role in namespace {role['metadata']['namespace']}" if role["kind"] == "Role" else "ClusterRole"
        rules = []
        for rule in role["rules"]:
            group = rule["apiGroups"][0]
            resources = [f"{plural}.{group}" if group else plural for plural in rule["resources"]]
            rules.append(f"{', '.join(rule['verbs'])} {', '.join(resources)}")
        lines.append(f"  {place}: {'; '.join(rules)}")
    return "\n".join(lines)
