# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Upgrades that OLM would stop half-way, since a CRD drops a version in which objects may be stored. PRIVATE.

OLM looks only once the plan is approved: the new CSV is there by then, the old one is being replaced, and the plan ends
as Failed, which OLM never tries again. So the same comparison is made before the approval.
"""

from __future__ import annotations

import base64
import gzip
import json
import typing as t
import zlib

from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube import kinds as k
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.errors import ApiError
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.objects import Object
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.session import Session

try:
    import yaml
except ImportError:  # AnsibleK8SModule reports the missing library in one clear line
    yaml = None  # type: ignore[assignment]
ENCODING = "olm.contentEncoding"  # annotation of a ConfigMap with an unpacked bundle


def crd_steps(plan: Object, upgraded: t.Collection[str]) -> list[Object]:
    """Return the CRDs in a plan that belong to one of the `upgraded` CSVs, as the plan's resources."""
    steps = (plan.get("status") or {}).get("plan") or []
    return [
        step["resource"]
        for step in steps
        if step.get("resolving") in upgraded and (step.get("resource") or {}).get("kind") == k.CRD.kind
    ]


def upgraded_csvs(subscriptions: t.Iterable[Object]) -> set[str]:
    """Return the CSVs to which the Subscriptions of a namespace lead from another one that is installed."""
    states = [subscription.get("status") or {} for subscription in subscriptions]
    return {state["currentCSV"] for state in states if state.get("installedCSV") and state.get("currentCSV")}


def bundle_reference(manifest: str) -> tuple[str, str] | None:
    """Return namespace and name of the ConfigMap that holds the bundle, or None where a step holds its manifest."""
    found = parsed(manifest) or {}
    if found.get("kind") != "ConfigMap" or not found.get("catalogSourceName"):
        return None
    return found["namespace"], found["name"]


def bundle_files(config_map: Object) -> list[str]:
    """Return the files of an unpacked bundle; none of what cannot be decoded."""
    annotations = config_map["metadata"].get("annotations") or {}
    if annotations.get(ENCODING) != "gzip+base64":
        return list((config_map.get("data") or {}).values())
    files = []
    for text in (config_map.get("binaryData") or {}).values():
        try:  # one base64 is the API's for all binary data, the other one OLM's
            files.append(gzip.decompress(base64.b64decode(base64.b64decode(text))).decode("utf-8"))
        except (ValueError, OSError, EOFError, zlib.error):
            continue
    return files


def parsed(text: str) -> Object | None:
    """Return the object in a manifest, which is JSON in a plan and mostly YAML in a bundle; None for anything else."""
    try:
        found = json.loads(text)
    except ValueError:
        try:
            found = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        except yaml.YAMLError:
            return None
    return found if isinstance(found, dict) else None


def find_crd(files: t.Iterable[str], name: str) -> Object | None:
    """Return a CRD from the files of a bundle."""
    for text in files:
        if name not in text or k.CRD.kind not in text:
            continue  # to parse YAML takes long
        found = parsed(text) or {}
        if found.get("kind") == k.CRD.kind and (found.get("metadata") or {}).get("name") == name:
            return found
    return None


def dropped_versions(new: Object, live: Object) -> list[str]:
    """Return the versions in which objects of the live CRD may be stored and that the new one does not have."""
    kept = {version.get("name") for version in (new.get("spec") or {}).get("versions") or []}
    stored = (live.get("status") or {}).get("storedVersions") or []
    return [version for version in stored if version not in kept] if kept else []


class CrdCheck:
    """Checks the CRDs of a plan before it is approved: OLM would stop at one that drops a stored version."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._known: dict[str, str] = {}

    def problem(self, plan: Object, subscriptions: t.Iterable[Object]) -> str:
        """Return what OLM would object to; empty when all is well, or may not be read. Each plan is checked once.

        `subscriptions` are all of the plan's namespace. Reads nothing for a plan without an upgrade.
        """
        metadata = plan["metadata"]
        key = f"{metadata['namespace']}/{metadata['name']}"
        if key not in self._known:
            lost = self._look(crd_steps(plan, upgraded_csvs(subscriptions)))
            text = f"plan {metadata['name']} removes versions in which objects may be stored: {', '.join(lost)}"
            self._known[key] = text if lost else ""
        return self._known[key]

    def _look(self, resources: t.Iterable[Object]) -> list[str]:
        found = []
        bundles: dict[tuple[str, str], list[str]] = {}
        for resource in resources:
            try:
                live = self._session.get(k.CRD, resource["name"])
                new = self._new(resource, bundles) if live else None
            except ApiError as exc:
                if not exc.forbidden:
                    raise
                continue  # OLM reports it, only later
            for version in dropped_versions(new, live) if new and live else []:
                found.append(f"{version} of {resource['name']}")
        return found

    def _new(self, resource: Object, bundles: dict[tuple[str, str], list[str]]) -> Object | None:
        manifest = resource.get("manifest") or ""
        place = bundle_reference(manifest)
        if place is None:
            return parsed(manifest)
        if place not in bundles:
            namespace, name = place
            config_map = self._session.get(k.CONFIG_MAP, name, namespace)
            bundles[place] = bundle_files(config_map) if config_map else []
        return find_crd(bundles[place], resource["name"])
