# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What forbids a Backstage with the Orchestrator. PRIVATE to the collection; pure functions."""

from __future__ import annotations

import typing as t

from ansible_collections.rhdh.orchestrator.plugins.module_utils._database.move import uses
from ansible_collections.rhdh.orchestrator.plugins.module_utils._database.options import hub_database
from ansible_collections.rhdh.orchestrator.plugins.module_utils._hub.spec import RELEASED, Names, owner_of
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.objects import Object

POLICIES = (
    "allow-external-communication",
    "allow-infra-ns-to-workflow-ns",
    "allow-intra-network",
    "allow-monitoring-to-sonataflow-and-workflows",
)


# -- what forbids it ------------------------------------------------------------------------------------------------


def spec_problems(row: Object, user: Object) -> list[str]:
    """Return what is wrong with the user's spec for a release."""
    problems = []
    if "flavours" in user and not row["behaviour"]["flavours"]:
        problems.append(
            f"spec.flavours: Developer Hub {row['name']} has no flavours; list plugins in a ConfigMap and name it in "
            "spec.application.dynamicPluginsConfigMapName."
        )
    if "flavours" in user and not (
        isinstance(user["flavours"], list) and all(isinstance(f, dict) and f.get("name") for f in user["flavours"])
    ):
        problems.append("spec.flavours must be a list of mappings with a name.")
    for path in ("application", "database", "deployment"):
        if path in user and not isinstance(user[path], dict):
            problems.append(f"spec.{path} must be a mapping.")
    if isinstance(user.get("deployment"), dict) and not isinstance(user["deployment"].get("patch", {}), dict):
        problems.append("spec.deployment.patch must be a mapping.")
    return problems


def served_problem(row: Object, served: t.Sequence[str]) -> str:
    """Say what is wrong with the API versions in which Backstage is served; empty when the release's is there."""
    wanted = row["backstage_api"]
    hub = row["operators"]["hub"]
    if not served:
        return (
            f"Backstage is not served: install the Developer Hub operator first (package {hub['package']}, "
            f"channel {hub['channel']})."
        )
    if wanted in served:
        return ""
    return (
        f"Backstage is served as {', '.join(served)}, not as {wanted}, which Developer Hub {row['name']} needs: "
        "another release of the operator is installed. Set `release` to it, or move the operator to channel "
        f"{hub['channel']}."
    )


def release(platform: Object, uid: str) -> Object:
    """Return the patch that takes a platform out of the ownership of the Backstage with this uid."""
    metadata = platform["metadata"]
    ours = [each for each in metadata.get("ownerReferences") or [] if each.get("uid") == uid]
    rest = [each for each in metadata.get("ownerReferences") or [] if each.get("uid") != uid]
    return {
        "metadata": {
            "ownerReferences": rest or None,
            "annotations": {RELEASED: ours[0]["name"]} if ours else {},
        }
    }


def taken_back(platform: Object, names: Names) -> bool:
    """Tell whether a platform without an owner was this Backstage's, and still is on its PostgreSQL."""
    annotations = platform["metadata"].get("annotations") or {}
    was_ours = owner_of(platform) is None and annotations.get(RELEASED) == names.name
    return was_ours and uses(platform, hub_database(names.name, names.namespace))


def dependency_problems(backstage: Object | None, dependencies: t.Iterable[Object], names: Names) -> list[str]:
    """Return one problem per platform or policy that the operator would take over, and delete with the Backstage."""
    problems = []
    ours = ("Backstage", backstage["metadata"]["name"], backstage["metadata"]["uid"]) if backstage else None
    for obj in dependencies:
        owner = owner_of(obj)
        if (owner is not None and owner == ours) or (obj["kind"] == "SonataFlowPlatform" and taken_back(obj, names)):
            continue
        kind, name, namespace = obj["kind"], obj["metadata"]["name"], obj["metadata"].get("namespace")
        whose = f"it belongs to {owner[0]} {owner[1]}" if owner else "it has no owner"
        problems.append(
            f"{kind} {name} exists in {namespace} and {whose}: the Developer Hub operator would take it over by force "
            f"and delete it with this Backstage. Use another namespace, or remove it: oc delete {kind.lower()} {name} "
            f"-n {namespace}"
            + (" (or keep it, with orchestrator.platform: self)" if kind == "SonataFlowPlatform" else "")
        )
    return problems


def has_orchestrator(backstage: Object, dependencies: t.Iterable[Object], asks_by_plugins: bool) -> bool:
    """Tell whether another Backstage runs the orchestrator: by flavour, by plugins, or by what it owns."""
    for flavour in (backstage.get("spec") or {}).get("flavours") or []:
        if flavour.get("name") == "orchestrator" and flavour.get("enabled", True):
            return True
    uid = backstage["metadata"]["uid"]
    return asks_by_plugins or any((owner_of(obj) or ("", "", ""))[2] == uid for obj in dependencies)


def second_problem(name: str, namespace: str) -> str:
    """Say why two Backstages with the orchestrator cannot share a namespace."""
    return (
        f"Backstage {name} in {namespace} has the orchestrator already: two in one namespace take the platform and its "
        "network policies from each other without an error, and deleting one deletes them for both. Use another "
        "namespace."
    )


def external_database_problem(row: Object, names: Names, secret_exists: bool) -> str:
    """Say what is wrong with an external database next to the operator's own platform; empty when it can work."""
    if not row["behaviour"]["cleans_by_name"] and secret_exists:
        return ""
    reason = (
        f"the operator deletes a Secret of that name whenever enableLocalDb is false on Developer Hub {row['name']}"
        if row["behaviour"]["cleans_by_name"]
        else "which does not exist"
    )
    return (
        f"spec.database.enableLocalDb is false, but the platform that comes with the orchestrator's plugins reads its "
        f"credentials from Secret {names.database_secret}: {reason}. Say orchestrator.platform: self, and let "
        "rhdh.orchestrator.sonataflow_platform make the platform (managed_by: self)."
    )
