# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a SonataFlowPlatform should say, and what ready means for it. PRIVATE to the collection.

`Succeed` of a platform is true before its services exist and stays true when they cannot start, so readiness is judged
on the objects behind it. Pure functions over plain dicts.
"""

from __future__ import annotations

import copy
import dataclasses
import json
import typing as t

from ansible_collections.rhdh.orchestrator.plugins.module_utils._database import (
    Database,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._knative import (
    judge_broker,
    ready,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._terminal import (
    terminal,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait import (
    READY,
    Verdict,
    condition,
    current,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._workload import (
    selected,
    workload,
)

Object = dict[str, t.Any]

SERVICES = {"data_index": ("dataIndex", "data-index-service"), "job_service": ("jobService", "jobs-service")}
SERVICE_LABEL = "sonataflow.org/service"  # on the services' Deployments, pods, Services and EndpointSlices
READY_PATH = "/q/health/ready"
GRAPHQL = "{ ProcessDefinitions { id version name } }"
# A variable of ours in the services' containers: its value changes when the Secret does, and rolls the pods once.
SECRET_VARIABLE = "ORCHESTRATOR_DATABASE_SECRET_CHANGED"
OPERATORS_OWN = {
    "KOGITO_DATA_INDEX_QUARKUS_PROFILE",
    "KOGITO_JOBS_SERVICE_LOADJOBERRORSTRATEGY",
    "KOGITO_PERSISTENCE_TYPE",
    "K_CE_OVERRIDES",
    "K_SINK",
    "QUARKUS_DATASOURCE_DB_KIND",
    "QUARKUS_DATASOURCE_JDBC_URL",
    "QUARKUS_DATASOURCE_PASSWORD",
    "QUARKUS_DATASOURCE_REACTIVE_URL",
    "QUARKUS_DATASOURCE_USERNAME",
    "QUARKUS_FLYWAY_MIGRATE_AT_START",
}


def service_name(platform: str, service: str) -> str:
    """Return the name of a service's Deployment and Service; `service` is data_index or job_service."""
    return f"{platform}-{SERVICES[service][1]}"


# -- what we write ----------------------------------------------------------------------------------------------------


def input_problems(params: t.Mapping[str, t.Any]) -> list[str]:
    """Return everything that is wrong with the module's options, as the user wrote them."""
    found = []
    hub = params["managed_by"] == "hub"
    if hub and params.get("database"):
        found.append("database: a platform of the Developer Hub operator has the Hub's database; use managed_by: self.")
    if hub and params.get("migration"):
        found.append("migration: the Developer Hub operator sets the persistence; use managed_by: self.")
    for service in SERVICES:
        options = params.get(service) or {}
        if hub and options.get("enabled") is False:
            found.append(
                f"{service}.enabled: the Developer Hub operator always makes this service; use managed_by: self."
            )
        replicas = options.get("replicas")
        if replicas is not None and replicas < 0:
            found.append(f"{service}.replicas: {replicas} is less than 0.")
        if service == "job_service" and (replicas or 0) > 1:
            found.append("job_service.replicas: the Job Service runs once; only 0 and 1 are possible.")
        names = [entry.get("name") for entry in options.get("env") or []]
        names += [e.get("name") for e in ((options.get("pod_template") or {}).get("container") or {}).get("env") or []]
        for name in names:
            if not name:
                found.append(f"{service}.env: an entry has no name.")
            elif name in OPERATORS_OWN:
                found.append(f"{service}.env: {name} is set by the operator and cannot be overridden.")
        for name in sorted({str(n) for n in names if names.count(n) > 1}):
            found.append(f"{service}.env: {name} is given more than once.")
    if not hub and not any((params.get(s) or {}).get("enabled", True) for s in SERVICES):
        found.append("data_index, job_service: at least one of them must be enabled.")
    broker = (params.get("eventing") or {}).get("broker") or {}
    if params.get("eventing") and not broker.get("name"):
        found.append("eventing.broker.name: the name of the Broker is missing.")
    return found


def merge(base: Object, more: t.Mapping[str, t.Any]) -> Object:
    """Return `base` with `more` on top: dicts by key, lists one after the other, everything else replaced."""
    result = copy.deepcopy(base)
    for key, value in more.items():
        if isinstance(value, dict) and isinstance(result.get(key), dict):
            result[key] = merge(result[key], value)
        elif isinstance(value, list) and isinstance(result.get(key), list):
            result[key] = result[key] + copy.deepcopy(value)
        else:
            result[key] = copy.deepcopy(value)
    return result


def pod_template(options: t.Mapping[str, t.Any], extra: Object, properties: str, changed: str | None) -> Object:
    """Return a service's podTemplate from the user's options and what the database adds; empty when there is nothing.

    `properties` is the ConfigMap that the operator mounts: volumes of ours would take its place, so it is repeated.
    `changed` is the value of our own variable, see SECRET_VARIABLE.
    """
    template = merge(options.get("pod_template") or {}, extra)
    short: Object = {key: options[key] for key in ("image", "resources", "env") if options.get(key)}
    if changed:
        short = merge(short, {"env": [{"name": SECRET_VARIABLE, "value": changed}]})
    if short:
        template = merge(template, {"container": short})
    if options.get("replicas") is not None:
        template["replicas"] = options["replicas"]
    mounts = (template.get("container") or {}).get("volumeMounts")
    if template.get("volumes") or mounts:
        own = "application-config"
        if own not in [volume["name"] for volume in template.get("volumes") or []]:
            template["volumes"] = [{"name": own, "configMap": {"name": properties}}, *(template.get("volumes") or [])]
        if own not in [mount["name"] for mount in mounts or []]:
            container = template.setdefault("container", {})
            container["volumeMounts"] = [{"name": own, "mountPath": "/home/kogito/config"}, *(mounts or [])]
    return template


def desired(params: t.Mapping[str, t.Any], database: Database | None, changed: t.Mapping[str, str]) -> Object:
    """Return the platform as we want it; for one of the Developer Hub operator (no database) only what we own in it.

    `changed` holds the values of our own variable by service.
    """
    name, namespace = params["name"], params["namespace"]
    spec: Object = {}
    services: Object = {}
    for service, (field, suffix) in SERVICES.items():
        options = params.get(service) or {}
        if options.get("enabled") is False:
            continue  # the operator deploys whatever has a block, even one that says enabled: false
        extra = database.pod_template(name, service) if database else {}
        template = pod_template(options, extra, f"{name}-{suffix}-props", changed.get(service))
        block: Object = {}
        if database:
            persistence: Object = {"postgresql": database.persistence(name, service)}
            if params.get("migration"):
                persistence["dbMigrationStrategy"] = params["migration"]
            block = {"enabled": True, "persistence": persistence}
        if template:
            block["podTemplate"] = template
        if block:
            services[field] = block
    if services:
        spec["services"] = services
    broker = (params.get("eventing") or {}).get("broker")
    if broker:
        reference = {
            "apiVersion": "eventing.knative.dev/v1",
            "kind": "Broker",
            "name": broker["name"],
            "namespace": broker.get("namespace") or namespace,
        }
        spec["eventing"] = {"broker": {"ref": reference}}
    monitoring = params.get("monitoring")
    if monitoring is not None or database:
        spec["monitoring"] = {"enabled": True if monitoring is None else monitoring}
    return {"metadata": {"name": name, "namespace": namespace}, "spec": spec}


def user_path(text: str) -> str:
    """Return an API server's message with field paths as the module's options are called."""
    names = (
        ("spec.services.dataIndex.podTemplate", "data_index.pod_template"),
        ("spec.services.jobService.podTemplate", "job_service.pod_template"),
        ("spec.services.dataIndex", "data_index"),
        ("spec.services.jobService", "job_service"),
        ("spec.eventing", "eventing"),
        ("spec.monitoring", "monitoring"),
    )
    for path, option in names:
        text = text.replace(f".{path}", path).replace(path, option)
    return text


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


def secret_of(platform: Object | None) -> str:
    """Return the name of the Secret that a platform's services take user and password from; empty without one."""
    services = ((platform or {}).get("spec") or {}).get("services") or {}
    for field, _suffix in SERVICES.values():
        postgresql = ((services.get(field) or {}).get("persistence") or {}).get("postgresql") or {}
        if postgresql.get("secretRef"):
            return t.cast(str, postgresql["secretRef"]["name"])
    return ""


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


def migrates_by_job(platform: Object | None) -> bool:
    """Tell whether one of a platform's services has its database migrated by a Job of the operator."""
    services = ((platform or {}).get("spec") or {}).get("services") or {}
    blocks = [services.get(field) or {} for field, _suffix in SERVICES.values()]
    return any((block.get("persistence") or {}).get("dbMigrationStrategy") == "job" for block in blocks)


def judge_platform(platform: Object | None, all_platforms: t.Sequence[Object], name: str) -> Verdict:
    """Judge the platform object alone."""
    if platform is None:
        others = [item["metadata"]["name"] for item in all_platforms]
        message = "does not exist yet" + (f"; the namespace has {', '.join(others)}" if others else "")
        return Verdict.pending("NotCreated", message)
    metadata = platform["metadata"]
    if metadata.get("deletionTimestamp"):
        finalizers = ", ".join(metadata.get("finalizers") or []) or "none"
        return terminal("platform/Deleting").verdict(f"is being deleted; finalizers: {finalizers}")
    succeed = condition(platform, "Succeed")
    if succeed is None or succeed.get("status") == "Unknown":
        return Verdict.pending("Creating", "the Serverless Logic operator has not looked at it yet")
    if succeed.get("status") != "True":
        reason, message = succeed.get("reason") or "NotSucceeded", succeed.get("message") or ""
        if reason == "Duplicated":
            others = [item["metadata"]["name"] for item in all_platforms if item["metadata"]["name"] != name]
            return terminal("platform/Duplicated").verdict(f"active is {', '.join(others) or 'another one'}")
        if reason == "Failure":
            return terminal("platform/Failure").verdict(message)
        return Verdict.pending(reason, message)
    if not current(platform):
        observed = (platform.get("status") or {}).get("observedGeneration")
        step = f"generation {observed} of {metadata.get('generation')}"
        return terminal("platform/GenerationLag").verdict(
            f"{step} worked in; if this lasts, the operator meets an error"
        )
    return Verdict.ready("Succeed")


def judge_service(
    service: str,
    platform: Object,
    deployment: Object | None,
    pods: t.Sequence[Object],
    slices: t.Sequence[Object],
) -> Verdict:
    """Judge one service: rolled out with at least one replica (unless 0 was asked for), and endpoints."""
    name = service_name(platform["metadata"]["name"], service)
    block = (platform["spec"].get("services") or {}).get(SERVICES[service][0]) or {}
    if deployment is None:
        return Verdict.pending("NotCreated", f"Deployment {name} does not exist yet")
    if (block.get("podTemplate") or {}).get("replicas") == 0 and deployment["spec"].get("replicas") == 0:
        return Verdict.ready("scaled to 0, as the platform says")
    rollout = workload(deployment, selected(pods, {SERVICE_LABEL: name}))
    if rollout.state != READY:
        return rollout
    if not has_endpoint(slices, name):
        return Verdict.pending("NoEndpoints", f"Service {name} has no ready endpoint")
    return rollout


def has_endpoint(slices: t.Sequence[Object], service: str) -> bool:
    """Tell whether a Service has a ready endpoint."""
    for item in slices:
        if (item["metadata"].get("labels") or {}).get("kubernetes.io/service-name") != service:
            continue
        for endpoint in item.get("endpoints") or []:
            if endpoint.get("addresses") and (endpoint.get("conditions") or {}).get("ready") is not False:
                return True
    return False


def judge_migration(jobs: t.Sequence[Object], platform: Object) -> Verdict:
    """Judge the operator's database migration Job, which runs before the services are made."""
    owned = [job for job in jobs if _owned(job, platform) and "db-migrator-job" in job["metadata"]["name"]]
    for job in owned:
        if (condition(job, "Failed") or {}).get("status") == "True":
            name = job["metadata"]["name"]
            return terminal("platform/MigrationFailed").verdict(f"Job {name} failed", job=name)
    if any((condition(job, "Complete") or {}).get("status") == "True" for job in owned):
        return Verdict.ready("database migrated")
    if (platform.get("status") or {}).get("sonataFlowPlatformDBMigrationPhase"):
        return Verdict.ready("database migrated")
    return Verdict.pending("Migrating" if owned else "NotStarted", "the database migration Job has not finished")


def judge_eventing(
    platform: Object, broker: Object | None, sink_binding: Object | None, triggers: t.Sequence[Object]
) -> Verdict:
    """Judge Broker, SinkBinding of the Job Service and Triggers of a platform with eventing."""
    name, namespace = t.cast("tuple[str, str]", broker_of(platform))
    where = f"Broker {namespace}/{name}"
    if broker is None:
        return terminal("platform/BrokerMissing").verdict(
            f"{where} does not exist: the Job Service is not made without it"
        )
    judged = judge_broker(broker)
    if judged.state != READY:
        return dataclasses.replace(judged, message=f"{where}: {judged.message}")
    if "job_service" in wanted_services(platform):
        if sink_binding is None:
            return Verdict.pending("SinkBindingMissing", "the operator has not made the Job Service's SinkBinding yet")
        if not ready(sink_binding):
            message = "the Job Service stays at 0 replicas until it is bound; the eventing-webhook does that"
            return terminal("platform/SinkNotBound").verdict(message)
    listed = {(item["namespace"], item["name"]) for item in (platform.get("status") or {}).get("triggers") or []}
    known = {(item["metadata"]["namespace"], item["metadata"]["name"]): item for item in triggers}
    missing = sorted(item for item in listed if item not in known)
    unready = sorted(item for item in listed if item in known and not ready(known[item]))
    if not listed or missing or unready:
        text = ", ".join(name for _namespace, name in (missing + unready)[:3]) or "none made yet"
        return Verdict.pending(
            "TriggersNotReady", f"{len(listed) - len(missing) - len(unready)} of {len(listed)}: {text}"
        )
    return Verdict.ready(f"{len(listed)} triggers")


def judge(
    name: str,
    platforms: t.Sequence[Object],
    deployments: t.Mapping[str, Object],
    pods: t.Sequence[Object],
    slices: t.Sequence[Object],
    jobs: t.Sequence[Object] | None = None,
    eventing: tuple[Object | None, Object | None, t.Sequence[Object]] | None = None,
) -> dict[str, Verdict]:
    """Judge everything about a platform but what its services answer.

    `jobs` and `eventing` (Broker, SinkBinding, Triggers) are None where they were not looked at.
    """
    platform = next((item for item in platforms if item["metadata"]["name"] == name), None)
    verdicts = {"platform": judge_platform(platform, platforms, name)}
    if platform is None:
        return verdicts
    if jobs is not None and migrates_by_job(platform):
        verdicts["migration"] = judge_migration(jobs, platform)
    if eventing is not None and broker_of(platform):
        verdicts["eventing"] = judge_eventing(platform, *eventing)
    services = wanted_services(platform)
    if not services:
        verdicts["services"] = Verdict.pending("NoServices", "the platform has no services in its spec yet")
    for service in services:
        found = deployments.get(service_name(name, service))
        verdicts[service] = judge_service(service, platform, found, pods, slices)
    return verdicts


def _owned(obj: Object, owner: Object) -> bool:
    return any(ref.get("uid") == owner["metadata"].get("uid") for ref in obj["metadata"].get("ownerReferences") or [])


def first_image(workload: Object | None) -> str:
    """Return the image of a workload's first container; empty without one."""
    containers = ((((workload or {}).get("spec") or {}).get("template") or {}).get("spec") or {}).get(
        "containers"
    ) or []
    return containers[0].get("image") or "" if containers else ""


# -- what the services answer -----------------------------------------------------------------------------------------


def health(status: int, text: str) -> tuple[bool, str]:
    """Read a health answer: (up, what it says)."""
    try:
        answer = json.loads(text)
    except ValueError:
        answer = None
    said = answer.get("status") if isinstance(answer, dict) else None
    if status == 200 and said == "UP":
        return True, "UP"
    checks = answer.get("checks") or [] if isinstance(answer, dict) else []
    down = [check.get("name", "?") for check in checks if check.get("status") != "UP"]
    return False, f"HTTP {status or 'no answer'}" + (f", down: {', '.join(down)}" if down else f" {str(text)[:120]}")


def graphql(status: int, text: str) -> tuple[bool, str, int]:
    """Read Data Index' answer to GRAPHQL: (good, what it says, number of process definitions)."""
    try:
        answer = json.loads(text)
    except ValueError:
        answer = None
    if status != 200 or not isinstance(answer, dict):
        return False, f"HTTP {status or 'no answer'} {str(text)[:120]}", 0
    if answer.get("errors"):
        return False, f"errors: {json.dumps(answer['errors'])[:200]}", 0
    definitions = (answer.get("data") or {}).get("ProcessDefinitions")
    if not isinstance(definitions, list):
        return False, "the answer holds no list of ProcessDefinitions", 0
    return True, f"{len(definitions)} process definitions", len(definitions)
