# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""ClusterServiceVersions: whose they are and what they own. PRIVATE to the collection; pure functions."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.objects import Object


def installed_by(subscriptions: t.Iterable[Object], package: str) -> tuple[str, str] | None:
    """Return (namespace, CSV name) of the installed operator of a package, or None."""
    for subscription in subscriptions:
        csv = (subscription.get("status") or {}).get("installedCSV")
        if subscription["spec"].get("name") == package and csv:
            return subscription["metadata"]["namespace"], csv
    return None


def deployments_of(csv: Object) -> list[str]:
    """Return the names of the Deployments that a CSV installs."""
    spec = csv["spec"].get("install", {}).get("spec", {})
    return [deployment["name"] for deployment in spec.get("deployments") or []]


def owned_crds(spec: t.Mapping[str, t.Any]) -> list[Object]:
    """Return the CRDs that a CSV owns, given its spec or what a PackageManifest says of it."""
    return (spec.get("customresourcedefinitions") or {}).get("owned") or []


def component_label(package: str, namespace: str) -> str:
    """Return the label key with which OLM marks everything of an operator; its name part is cut at 63 characters."""
    return "operators.coreos.com/" + re.sub(r"[^A-Za-z0-9]+$", "", f"{package}.{namespace}"[:63])


def is_orphan(name: str, csvs: t.Sequence[Object], subscriptions: t.Sequence[Object]) -> bool:
    """Tell whether a CSV belongs to nobody: never true for the old half of a running upgrade."""
    csv = next((item for item in csvs if item["metadata"]["name"] == name), None)
    if csv is None or (csv.get("status") or {}).get("phase") in ("Replacing", "Deleting"):
        return False
    if csv["metadata"].get("deletionTimestamp"):
        return False
    if any(item["spec"].get("replaces") == name for item in csvs):
        return False
    for subscription in subscriptions:
        status = subscription.get("status") or {}
        if name in (status.get("installedCSV"), status.get("currentCSV")):
            return False
    return True


# -- verdict --------------------------------------------------------------------------------------------------------


def find_csv(csvs: t.Sequence[Object], name: str) -> Object | None:
    """Return the operator's own CSV of that name: a copied one installs nothing."""
    for csv in csvs:
        if csv["metadata"]["name"] == name and "olm.copiedFrom" not in (csv["metadata"].get("labels") or {}):
            return csv
    return None


def messages(csvs: t.Iterable[Object]) -> frozenset[str]:
    """Return the messages in the status of CSVs: those that are there at first may be of a state that is over."""
    return frozenset(text for csv in csvs if (text := (csv.get("status") or {}).get("message")))
