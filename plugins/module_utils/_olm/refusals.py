# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What forbids to install or change an operator, as problems in words. PRIVATE to the collection."""

from __future__ import annotations

import typing as t

from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm import csv as olm_csv
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm import group as olm_group
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm import resolution as olm_resolution
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm import resolve as olm_resolve
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm import semver
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm.facts import Facts
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm.operator import (
    Operator,
    as_installed,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm.resolve import Target
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm.target import catalog_not_ready


def check_watched(facts: Facts, operator: Operator) -> list[str]:
    """Compare the namespaces that an installed operator watches with those that are asked for."""
    if operator.subscription is None or operator.csv is None:
        return []
    groups = facts.groups_in(operator.namespace)
    watched = olm_group.watched_by(operator.csv, groups[0] if len(groups) == 1 else None)
    modes = as_installed(operator.csv, "").install_modes
    lacking = olm_group.unwatched(operator.wanted, watched, modes, operator.namespace)
    if not lacking:
        return []
    group = f"{operator.namespace}/{facts.group_name(operator.namespace) or '(there are several)'}"
    return [
        f"operators[{operator.wanted.package}]: {operator.csv['metadata']['name']} is installed in "
        f"{operator.namespace} and watches {', '.join(watched or ())} only; it must watch {lacking}. Change the "
        f"targetNamespaces of OperatorGroup {group}, which may serve others, or remove that operator first."
    ]


def check_catalog(facts: Facts, operator: Operator) -> list[str]:
    """OLM resolves nothing while the catalog is down; PackageManifests stay for a while after it went."""
    if operator.write is None or operator.target is None:
        return []
    source = facts.catalog(operator.wanted)
    state = "missing" if source is None else olm_resolution.catalog_state(source)
    # IDLE and CONNECTING pass by themselves: a connection that nobody used, a catalog that was just replaced.
    if state not in ("missing", "TRANSIENT_FAILURE", "SHUTDOWN"):
        return []
    return [catalog_not_ready(operator.wanted, state)]


def check_cluster(facts: Facts, operators: t.Sequence[Operator], operator: Operator, target: Target) -> list[str]:
    """Check that Kubernetes is new enough, that an upgrade leads to the target, and that nobody serves its APIs."""
    problems = []
    where = f"operators[{operator.wanted.package}]"
    installed_name = operator.status.get("installedCSV")
    if installed_name == target.csv:
        return []
    if target.min_kube_version and target.csv == target.head:
        kubernetes = facts.kubernetes()
        try:
            too_old = semver.version_key(kubernetes)[:3] < semver.version_key(target.min_kube_version)[:3]
        except ValueError:
            too_old = False  # a vendor's version text: OLM will judge
        if too_old:
            problems.append(
                f"{where}: {target.csv} needs Kubernetes {target.min_kube_version}, this cluster has {kubernetes}. "
                "Choose another version."
            )
    if operator.csv is not None:
        version = operator.csv["spec"].get("version") or ""
        return problems + olm_resolve.no_way(target, installed_name, version, where)
    earlier = operators[: operators.index(operator)]  # each pair is reported once
    return problems + _served_already(facts, operator, target) + _served_by_another(earlier, operator, target)


def _served_already(facts: Facts, operator: Operator, target: Target) -> list[str]:
    """Find operators of other packages, or left over from elsewhere, that own one of the target's APIs already."""
    known = {name for name, _version in target.entries}
    problems = []
    for csv in facts.csvs:
        name, home = csv["metadata"]["name"], csv["metadata"]["namespace"]
        owned = olm_csv.owned_crds(csv["spec"])
        shared = sorted({crd["name"] for crd in owned} & set(target.owned_crds))
        if shared and not (name in known and home == operator.wanted.namespace):
            problems.append(
                f"operators[{operator.wanted.package}]: {shared[0]} is provided by {name} in {home} already; two "
                "operators must not serve one API. Remove that one first, its Subscription and then the CSV (CRDs "
                "and objects stay)."
            )
    return problems


def _served_by_another(others: t.Iterable[Operator], operator: Operator, target: Target) -> list[str]:
    """Find operators that the same call installs and that own one of the target's APIs."""
    problems = []
    for other in others:
        both = sorted(set(target.owned_crds) & set(other.target.owned_crds if other.target else ()))
        if both and other.csv is None:
            problems.append(
                f"operators[{operator.wanted.package}]: {both[0]} is provided by {other.wanted.package} as well; "
                "two operators must not serve one API. Name only one of them."
            )
    return problems
