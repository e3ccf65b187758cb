# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which CSV an operator is to have, by its Subscription and its catalog. PRIVATE to the collection."""

from __future__ import annotations

import dataclasses

from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm import resolution as olm_resolution
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm import resolve as olm_resolve
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm import semver
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm.facts import Facts
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm.operator import (
    Operator,
    as_installed,
    as_planned,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm.resolve import Target, Wanted


def find_target(facts: Facts, operator: Operator, *, managed: bool) -> list[str]:
    """Decide which CSV an operator is to have, as `operator.target`; returns the problems.

    One that this call may not change (`managed` is false) is to have what its own Subscription asks for.
    """
    wanted = operator.wanted
    if operator.subscription is not None and operator.namespace != wanted.namespace:
        # Adopted where it is: everything else below happens there.
        operator.wanted = wanted = dataclasses.replace(wanted, namespace=operator.namespace)
    if not managed:
        spec = (operator.subscription or {})["spec"]
        operator.action = "adopted"
        if operator.csv is not None:
            operator.target = as_installed(operator.csv, spec.get("channel") or "")
            warn_about_foreign(operator)
            return []
        operator.wanted = wanted = dataclasses.replace(
            wanted,
            channel=spec.get("channel"),
            csv=spec.get("startingCSV"),
            version=None,
            version_range=None,
            catalog=spec["source"],
            catalog_namespace=spec["sourceNamespace"],
        )
    operator.target, problems = _resolve(facts, operator, wanted)
    if operator.target is not None and managed:
        operator.warnings += operator.target.warnings
    return problems


def _resolve(facts: Facts, operator: Operator, wanted: Wanted) -> tuple[Target | None, list[str]]:
    """Find the wanted CSV in the catalog; what is installed or planned already may need none."""
    channel = (operator.subscription or {}).get("spec", {}).get("channel") or ""
    if (
        operator.csv is not None
        and not wanted.pinned
        and wanted.approval == "Manual"
        and wanted.channel in (None, channel)
    ):
        return as_installed(operator.csv, channel), []  # no version asked for: what runs stays
    manifest = facts.manifest(wanted)
    if manifest is not None:
        return olm_resolve.resolve(manifest, wanted)
    source = facts.catalog(wanted)
    where = f"operators[{wanted.package}]"
    if source is None:
        names = [f"{c['metadata']['namespace']}/{c['metadata']['name']}" for c in facts.catalogs]
        known = olm_resolve.nearest(f"{wanted.catalog_namespace}/{wanted.catalog}", names)
        return None, [f"{where}: no CatalogSource {wanted.catalog_namespace}/{wanted.catalog}; there are: {known}."]
    state = olm_resolution.catalog_state(source)
    if state != "READY":
        return _without_catalog(operator, wanted, state, channel)
    everything = facts.packages(wanted)
    manifest = olm_resolve.find_manifest(everything, wanted)
    if manifest is not None:  # the selector was not understood, or it came just now
        return olm_resolve.resolve(manifest, wanted)
    known = olm_resolve.nearest(wanted.package, [item["metadata"]["name"] for item in everything])
    return None, [f"{where}: no package {wanted.package!r} in catalog {wanted.catalog}; there are: {known}."]


def _without_catalog(operator: Operator, wanted: Wanted, state: str, channel: str) -> tuple[Target | None, list[str]]:
    """Return what is installed or planned already, if that is what is wanted; the catalog is not READY."""
    if operator.csv is not None and wanted.version_range and wanted.channel in (None, channel):
        version = operator.csv["spec"].get("version") or ""
        if semver.in_range(version, wanted.version_range):
            operator.warnings.append(
                f"catalog {wanted.catalog} is not READY but {state}, so it is not known whether there is a newer "
                f"version than {version}"
            )
            return as_installed(operator.csv, channel), []
    planned = as_planned(wanted, operator.subscription)
    return planned, [] if planned else [catalog_not_ready(wanted, state)]


def catalog_not_ready(wanted: Wanted, state: str) -> str:
    """Return the problem of a catalog that serves nothing."""
    return (
        f"operators[{wanted.package}]: catalog {wanted.catalog_namespace}/{wanted.catalog} is not READY but "
        f"{state}, so that nothing can be resolved. Look at it: oc get catalogsource,pods -n "
        f"{wanted.catalog_namespace}."
    )


def warn_about_foreign(operator: Operator) -> None:
    """Warn where an operator that this call may not change has another version than the one asked for."""
    if operator.csv is None:
        return
    wanted, version = operator.wanted, operator.csv["spec"].get("version") or ""
    differs = (
        (wanted.csv and wanted.csv != operator.csv["metadata"]["name"])
        or (wanted.version and semver.version_key(wanted.version) != semver.version_key(version))
        or (wanted.version_range and not semver.in_range(version, wanted.version_range))
    )
    if differs:
        name, asked = operator.csv["metadata"]["name"], wanted.csv or wanted.version or wanted.version_range
        operator.warnings.append(
            f"{name} in {operator.namespace} was not installed by this collection; it is used as it is, though {asked} "
            "was asked for (manage_adopted changes it)"
        )
