# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The OperatorGroup of an operator's namespace, and which namespaces the operator watches. PRIVATE; pure functions."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.objects import Object
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm.resolve import Wanted


@dataclasses.dataclass(frozen=True)
class GroupDecision:
    """What is to be done about the OperatorGroup of a namespace."""

    action: str  # "adopt", "create" or "refuse"
    name: str
    problem: str = ""
    body: Object | None = None


def decide_group(groups: t.Sequence[Object], wanted: Wanted, install_modes: t.Sequence[str]) -> GroupDecision:
    """Decide for the OperatorGroups that are in the namespace: 0 create, 1 adopt when it fits, 2 or more refuse."""
    if len(groups) > 1:
        names = ", ".join(sorted(group["metadata"]["name"] for group in groups))
        return GroupDecision(
            "refuse",
            "",
            f"operators[{wanted.package}]: namespace {wanted.namespace} has {len(groups)} OperatorGroups ({names}); "
            f"OLM installs nothing there. Delete all but one: oc get operatorgroups -n {wanted.namespace}.",
        )
    if not groups:
        return _new_group(wanted, install_modes)
    name = groups[0]["metadata"]["name"]
    problem = _misfit(groups[0], wanted, install_modes)
    if problem:
        text = f"operators[{wanted.package}]: OperatorGroup {wanted.namespace}/{name} {problem}"
        return GroupDecision("refuse", name, text)
    return GroupDecision("adopt", name)


def _misfit(group: Object, wanted: Wanted, install_modes: t.Sequence[str]) -> str:
    """Return why an operator cannot be installed with the OperatorGroup that is there; empty when it can."""
    targets = (group.get("spec") or {}).get("targetNamespaces") or []
    asked = list(wanted.target_namespaces or ())
    if asked and sorted(targets) != sorted(asked):
        which = f"targets {targets or 'all namespaces'}, wanted are {asked}"
        return f"{which}; it may serve other operators and is not changed."
    watched = tuple(filter(None, targets)) or watched_by(None, group)
    lacking = unwatched(wanted, watched, install_modes, wanted.namespace)
    if lacking:
        return (
            f"targets {', '.join(watched or ())}, and the operator must watch {lacking}; the group may serve other "
            "operators and is not changed."
        )
    mode = install_mode(targets, wanted.namespace, bool((group.get("spec") or {}).get("selector")))
    if install_modes and mode not in install_modes:
        return (
            f"asks for install mode {mode}, the operator supports only {', '.join(install_modes)}. Use another "
            "namespace, or change the group's targetNamespaces."
        )
    return ""


def _new_group(wanted: Wanted, install_modes: t.Sequence[str]) -> GroupDecision:
    """Decide for a namespace without an OperatorGroup."""
    where = f"operators[{wanted.package}]"
    targets = list(wanted.target_namespaces or ())
    if not targets and install_modes and "AllNamespaces" not in install_modes:
        targets = [wanted.namespace]
    mode = install_mode(targets, wanted.namespace)
    name = wanted.group_name or wanted.namespace
    lacking = unwatched(dataclasses.replace(wanted, target_namespaces=None), tuple(targets), (), wanted.namespace)
    if lacking:
        return GroupDecision(
            "refuse", name, f"{where}: watches: {lacking} is not among the target_namespaces {targets}."
        )
    if install_modes and mode not in install_modes:
        return GroupDecision(
            "refuse",
            name,
            f"{where}: target_namespaces {targets} mean install mode {mode}, the operator supports only "
            f"{', '.join(install_modes)}.",
        )
    spec: Object = {"targetNamespaces": targets} if targets else {}
    body = {"metadata": {"name": name, "namespace": wanted.namespace}, "spec": spec}
    return GroupDecision("create", name, body=body)


def watched_by(csv: Object | None, group: Object | None) -> tuple[str, ...] | None:
    """Return the namespaces that an installed operator watches, empty for all; None when it is not known.

    OLM writes them into an annotation of the CSV, and before that into the status of its OperatorGroup.
    """
    text = ((csv or {"metadata": {}})["metadata"].get("annotations") or {}).get("olm.targetNamespaces")
    if text is not None:
        return tuple(filter(None, text.split(",")))
    names = ((group or {}).get("status") or {}).get("namespaces")
    return None if names is None else tuple(filter(None, names))


def unwatched(wanted: Wanted, watched: tuple[str, ...] | None, modes: t.Sequence[str], place: str) -> str:
    """Return what was asked for and is not watched, in words; empty when all is.

    `place` is the namespace of the operator. Where nothing was asked for, one in another namespace than the wanted one
    has to watch what it would watch there: all, or that namespace when `modes`, its install modes, do not allow all.
    """
    if not watched:
        return ""
    asked = {*(wanted.target_namespaces or ()), *wanted.watches}
    elsewhere = place != wanted.namespace and not asked and wanted.target_namespaces is None
    if elsewhere and "AllNamespaces" not in modes:
        asked = {wanted.namespace}
    missing = sorted(asked - set(watched))
    if missing:
        return f"namespace{'s' if len(missing) > 1 else ''} {', '.join(missing)}"
    return "all namespaces" if wanted.target_namespaces == () or (elsewhere and "AllNamespaces" in modes) else ""


def install_mode(targets: t.Sequence[str], namespace: str, selector: bool = False) -> str:
    """Return the install mode that an OperatorGroup's targets mean."""
    if selector:
        return "MultiNamespace"
    if not targets or list(targets) == [""]:
        return "AllNamespaces"
    if list(targets) == [namespace]:
        return "OwnNamespace"
    return "SingleNamespace" if len(targets) == 1 else "MultiNamespace"
