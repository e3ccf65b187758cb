# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Why OLM cannot resolve a Subscription. PRIVATE to the collection; pure functions."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.objects import Object, condition
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm.csv import is_orphan
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm.resolve import Wanted
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm.view import View
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.states.table import terminal
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.verdict import Verdict

MOVING = ("Replacing", "Pending", "Installing", "InstallReady", "Deleting")  # phases of CSVs in an upgrade


def resolution_class(message: str) -> tuple[str, str]:
    """Return the class of a ResolutionFailed message and what it names (a catalog, a CSV, a channel)."""
    for pattern, found in (
        (r"error using catalogsource ([^:\s]+)", "catalog_unhealthy"),
        (r"no operators found from catalog (\S+)", "no_such_catalog"),
        (r"no operators found with name (\S+) in channel", "no_such_version"),
        (r"no operators found in channel (\S+) of package", "no_such_channel"),
        (r"no operators found in package (\S+) in the catalog", "no_such_package"),
        (r"requires an operator providing an API with (group: .+?kind: \w+)", "missing_dependency"),
    ):
        if match := re.search(pattern, message):
            return found, match.group(1)
    orphan = re.search(r"clusterserviceversion (\S+) exists and is not referenced by a subscription", message)
    if orphan and "originate from package" in message:
        return "orphan_csv", orphan.group(1)
    if match := re.search(r"provide ([^,]+\([^)]+\))", message):
        return "api_conflict", match.group(1)
    return ("orphan_csv", orphan.group(1)) if orphan else ("other", "")


RESOLUTION_STATES = {  # class of the text -> row of the table
    "catalog_unhealthy": "resolution/CatalogUnhealthy",
    "no_such_catalog": "resolution/NoSuchCatalog",
    "no_such_package": "resolution/NoSuchPackage",
    "no_such_channel": "resolution/NoSuchChannel",
    "no_such_version": "resolution/NoSuchVersion",
    "missing_dependency": "resolution/MissingDependency",
    "orphan_csv": "resolution/OrphanCSV",
    "api_conflict": "resolution/ApiConflict",
    "other": "resolution/ConstraintsNotSatisfiable",
}


def judge_resolution(wanted: Wanted, message: str, view: View) -> Verdict:
    kind, name = resolution_class(message)
    stale = message in view.stale
    if kind == "catalog_unhealthy":
        stale = not _sick(name, view.catalogs)  # it is back, or was deleted: OLM has not said so yet
        return terminal(RESOLUTION_STATES[kind]).verdict(f"catalog {name}: {message}", stale=stale, catalog=name)
    if kind.startswith("no_such"):
        stale = stale or not catalogs_ready(wanted, view.catalogs)
        return terminal(RESOLUTION_STATES[kind]).verdict(message, stale=stale)
    if kind == "missing_dependency":
        return terminal(RESOLUTION_STATES[kind]).verdict(message, stale=stale)
    moving = [csv["metadata"]["name"] for csv in view.csvs if (csv.get("status") or {}).get("phase") in MOVING]
    if moving or ((view.plan or {}).get("status") or {}).get("phase") == "Installing":
        text = f"an upgrade is running ({', '.join(moving)}); OLM says: {message}"
        return terminal("resolution/UpgradeRunning").verdict(text)
    if kind == "orphan_csv" and not is_orphan(name, view.csvs, view.subscriptions):
        kind = "other"
    lead = {
        "orphan_csv": f"{name} is there and belongs to no Subscription: ",
        "api_conflict": f"{name}: ",
    }.get(kind, "")
    names = {"csv": name, "namespace": wanted.namespace}
    return terminal(RESOLUTION_STATES[kind]).verdict(lead + message, stale=stale, **names)


def _sick(name: str, catalogs: t.Sequence[Object]) -> bool:
    """Tell whether a catalog (namespace/name) is there and does not answer."""
    states = {f"{c['metadata']['namespace']}/{c['metadata']['name']}": catalog_state(c) for c in catalogs}
    return states.get(name, "READY") != "READY"


def backs_off(view: View) -> bool:
    """Tell whether OLM complains of a catalog that is well, or gone: it tries again with pauses of up to 16 min."""
    found = condition(view.subscription, "ResolutionFailed") or {}
    kind, name = resolution_class(found.get("message") or "")
    return found.get("status") == "True" and kind == "catalog_unhealthy" and not _sick(name, view.catalogs)


def catalogs_ready(wanted: Wanted, catalogs: t.Sequence[Object]) -> bool:
    """Tell whether the wanted catalog is there and connected; READY is the one signal that can be trusted."""
    for catalog in catalogs:
        metadata = catalog["metadata"]
        if (metadata["name"], metadata["namespace"]) == (wanted.catalog, wanted.catalog_namespace):
            return catalog_state(catalog) == "READY"
    return False


def catalog_state(catalog: Object) -> str:
    """Return the last seen connection state of a CatalogSource, `UNKNOWN` before the first."""
    state = ((catalog.get("status") or {}).get("connectionState") or {}).get("lastObservedState")
    return t.cast(str, state or "UNKNOWN")
