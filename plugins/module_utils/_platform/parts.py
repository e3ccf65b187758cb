# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a live SonataFlowPlatform holds: services, database, Broker, owner. PRIVATE; pure functions."""

from __future__ import annotations

import typing as t

from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.objects import Object, condition, current
from ansible_collections.rhdh.orchestrator.plugins.module_utils._platform.spec import (
    SECRET_VARIABLE,
    SERVICES,
    service_name,
)

SERVICE_LABEL = "sonataflow.org/service"  # on the services' Deployments, pods, Services and EndpointSlices
# Set in a podTemplate and taken out again, these stay in the Deployment: the operator merges it.
STICKY = ("nodeSelector", "serviceAccountName", "affinity", "tolerations", "securityContext", "priorityClassName")


def disabled_blocks(params: t.Mapping[str, t.Any], platform: Object) -> list[str]:
    """Return the blocks of services in a platform that are not to be deployed, as their fields are called."""
    services = (platform.get("spec") or {}).get("services") or {}
    off = [field for name, (field, _suffix) in SERVICES.items() if (params.get(name) or {}).get("enabled") is False]
    return [field for field in off if field in services]


def held_blocks(params: t.Mapping[str, t.Any], platform: Object, manager: str) -> list[str]:
    """Return why blocks that are to be taken out are not ours: others, beside the operator, have set fields there."""
    found = []
    entries = platform["metadata"].get("managedFields") or []
    known = {manager} | {entry["manager"] for entry in entries if entry.get("subresource") == "status"}
    for field in disabled_blocks(params, platform):
        held = [e["manager"] for e in entries if f"f:{field}" in (_spec_fields(e).get("f:services") or {})]
        others = sorted(set(held) - known)
        if others:
            option = next(name for name, (each, _suffix) in SERVICES.items() if each == field)
            who = ", ".join(others)
            found.append(f"{option}.enabled: {who} has set fields of spec.services.{field}: let them take it out.")
    return found


def _spec_fields(entry: Object) -> Object:
    return (entry.get("fieldsV1") or {}).get("f:spec") or {}


def removed(before: t.Any, after: t.Any) -> Object:
    """Return what `after` has no longer, as the part of `before` that it was (dicts by key, all else whole)."""
    found: Object = {}
    for key, value in before.items():
        if key not in after:
            found[key] = value
        elif isinstance(value, dict) and isinstance(after[key], dict):
            below = removed(value, after[key])
            if below:
                found[key] = below
    return found


def restored(live: t.Any, gone: t.Mapping[str, t.Any]) -> Object:
    """Return the merge patch that takes out of `live` what of `gone` has come back as it was; empty when nothing."""
    found: Object = {}
    for key, value in gone.items():
        if key not in live:
            continue
        if live[key] == value:
            found[key] = None
        elif isinstance(value, dict) and isinstance(live[key], dict):
            below = restored(live[key], value)
            if below:
                found[key] = below
    return found


def our_variables(platform: Object | None) -> dict[str, str]:
    """Return the values that our own variable has in a live platform, by service."""
    services = ((platform or {}).get("spec") or {}).get("services") or {}
    found = {}
    for service, (field, _suffix) in SERVICES.items():
        container = ((services.get(field) or {}).get("podTemplate") or {}).get("container") or {}
        for entry in container.get("env") or []:
            if entry.get("name") == SECRET_VARIABLE and entry.get("value"):
                found[service] = entry["value"]
    return found


def persistence_of(platform: Object | None, service: str) -> Object:
    """Return the `persistence.postgresql` that counts for a service: its own, else the platform's; else empty."""
    spec = (platform or {}).get("spec") or {}
    own = ((spec.get("services") or {}).get(SERVICES[service][0]) or {}).get("persistence")
    return (own or spec.get("persistence") or {}).get("postgresql") or {}


def secrets_of(platform: Object | None) -> dict[str, str]:
    """Return by service the name of the Secret that it takes user and password from."""
    found = {}
    for service in wanted_services(platform) if platform else []:
        reference = persistence_of(platform, service).get("secretRef")
        if reference:
            found[service] = t.cast(str, reference["name"])
    return found


def changed_at(secret: Object) -> str:
    """Return when the values of a Secret last changed (RFC 3339, UTC): labels and annotations do not count."""
    times = [secret["metadata"].get("creationTimestamp") or ""]
    for entry in secret["metadata"].get("managedFields") or []:
        if "f:data" in (entry.get("fieldsV1") or {}) and entry.get("time"):
            times.append(entry["time"])
    return max(times)


def stale(pods: t.Iterable[Object], platform: str, service: str, secret: Object) -> bool:
    """Tell whether a pod of a service still runs with what a Secret held before it changed.

    Neither the operator nor Kubernetes restarts it: variables are resolved when a container starts. RFC 3339 times in
    UTC compare as text. A pod that is made after the change is right whatever the node's clock says.
    """
    changed = changed_at(secret)
    for pod in pods:
        metadata = pod["metadata"]
        if (metadata.get("labels") or {}).get(SERVICE_LABEL) != service_name(platform, service):
            continue
        if metadata.get("deletionTimestamp") or metadata.get("creationTimestamp", "") >= changed:
            continue
        for status in (pod.get("status") or {}).get("containerStatuses") or []:
            started = ((status.get("state") or {}).get("running") or {}).get("startedAt")
            if started and started < changed:
                return True
    return False


# -- what ready means -------------------------------------------------------------------------------------------------


def wanted_services(platform: Object) -> list[str]:
    """Return the services that a platform deploys: those that have a block, whatever `enabled` says."""
    services = (platform.get("spec") or {}).get("services") or {}
    return [service for service, (field, _suffix) in SERVICES.items() if services.get(field) is not None]


def broker_of(platform: Object | None) -> tuple[str, str] | None:
    """Return (name, namespace) of a platform's Broker, or None without eventing."""
    if platform is None:
        return None
    reference = (((platform.get("spec") or {}).get("eventing") or {}).get("broker") or {}).get("ref")
    if not reference:
        return None
    return reference["name"], reference.get("namespace") or platform["metadata"]["namespace"]


def sends_events(platform: Object | None) -> bool:
    """Tell whether anything of a platform is connected to a Broker: itself, or a service by its own source or sink."""
    services = ((platform or {}).get("spec") or {}).get("services") or {}
    ends = [(services.get(field) or {}).get(end) for field, _suffix in SERVICES.values() for end in ("source", "sink")]
    return broker_of(platform) is not None or any((end or {}).get("ref") for end in ends)


def triggers_of(platform: Object | None) -> list[tuple[str, str]]:
    """Return (namespace, name) of the Triggers that the operator has ever made for a platform."""
    listed = ((platform or {}).get("status") or {}).get("triggers") or []
    return sorted((item["namespace"], item["name"]) for item in listed)


def belongs(obj: Object, platform: Object) -> bool:
    """Tell by its labels whether a Trigger or SinkBinding was made for a platform; not all of them have an owner."""
    labels, metadata = obj["metadata"].get("labels") or {}, platform["metadata"]
    return bool(labels.get("app") == metadata["name"] and labels.get("app-namespace") == metadata["namespace"])


def migrates_by_job(platform: Object | None) -> bool:
    """Tell whether one of a platform's services has its database migrated by a Job of the operator."""
    spec = (platform or {}).get("spec") or {}
    blocks = [(spec.get("services") or {}).get(field) for field, _suffix in SERVICES.values()]
    strategies = [block.get("persistence") or spec.get("persistence") or {} for block in blocks if block is not None]
    return any(persistence.get("dbMigrationStrategy") == "job" for persistence in strategies)


def behind(platform: Object, deployments: t.Mapping[str, Object]) -> bool:
    """Tell whether the operator has work to do on a platform that it already called a success: it met an error."""
    if (condition(platform, "Succeed") or {}).get("status") != "True" or platform["metadata"].get("deletionTimestamp"):
        return False
    name = platform["metadata"]["name"]
    missing = [s for s in wanted_services(platform) if service_name(name, s) not in deployments]
    return bool(missing) or not current(platform)


def owner_backstage(platform: Object | None) -> str:
    """Return the name of the Backstage that owns a platform, or an empty string."""
    for owner in ((platform or {}).get("metadata") or {}).get("ownerReferences") or []:
        if owner.get("kind") == "Backstage":
            return t.cast(str, owner["name"])
    return ""


def kept_in_deployment(before: Object | None, after: Object | None) -> list[str]:
    """Return what was taken out of podTemplates but stays in the Deployments, as `service.field`."""
    found = []
    for service, (field, _suffix) in SERVICES.items():
        old, new = (
            ((((obj or {}).get("spec") or {}).get("services") or {}).get(field) or {}).get("podTemplate") or {}
            for obj in (before, after)
        )
        found += [f"{service}.pod_template.{key}" for key in STICKY if old.get(key) and not new.get(key)]
    return found


def kept_running(before: Object | None, after: Object | None) -> list[str]:
    """Return the names of the services whose block was taken out: the operator leaves them running."""
    if before is None:
        return []
    gone = set(wanted_services(before)) - set(wanted_services(after or before))
    return [service_name(before["metadata"]["name"], service) for service in sorted(gone)]


def first_container(workload: Object | None) -> Object:
    """Return the first container of a workload, which is the operator's own; empty without one."""
    template = ((workload or {}).get("spec") or {}).get("template") or {}
    containers = (template.get("spec") or {}).get("containers") or []
    return t.cast(Object, containers[0]) if containers else {}


def first_image(workload: Object | None) -> str:
    """Return the image of a workload's first container; empty without one."""
    return first_container(workload).get("image") or ""
