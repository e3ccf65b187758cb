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
import decimal
import json
import re
import typing as t

from ansible_collections.rhdh.orchestrator.plugins.module_utils._database import (
    Database,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kinds import (
    NAMESPACE_NAME,
    OBJECT_NAME,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._knative import (
    judge_broker,
    ready,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._redact import (
    redact_text,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._terminal import (
    terminal,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait import (
    PENDING,
    READY,
    Verdict,
    condition,
    current,
)
from ansible_collections.rhdh.orchestrator.plugins.module_utils._workload import (
    JOB_LABEL,
    ended,
    job,
    selected,
    workload,
)

Object = dict[str, t.Any]

SERVICES = {"data_index": ("dataIndex", "data-index-service"), "job_service": ("jobService", "jobs-service")}
SERVICE_LABEL = "sonataflow.org/service"  # on the services' Deployments, pods, Services and EndpointSlices
READY_PATH = "/q/health/ready"
GRAPHQL = "{ ProcessDefinitions { id version name } }"
# Instances that have not ended: their data would stay behind when the services move to another database.
UNFINISHED = "{ ProcessInstances(where: {state: {in: [PENDING, ACTIVE, SUSPENDED]}}, pagination: {limit: 100}) { id } }"
MIGRATOR = "db-migrator-job"  # part of the name of the operator's database migration Job
JDBC_VARIABLE = "QUARKUS_DATASOURCE_JDBC_URL"
REACTIVE_VARIABLE = "QUARKUS_DATASOURCE_REACTIVE_URL"  # the Job Service asks this one
# Set in a podTemplate and taken out again, these stay in the Deployment: the operator merges it.
STICKY = ("nodeSelector", "serviceAccountName", "affinity", "tolerations", "securityContext", "priorityClassName")
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


# The services' names begin with the platform's, and a Service's has at most 63 characters.
_PLATFORM_NAME = re.compile(r"^[a-z]([-a-z0-9]{0,42}[a-z0-9])?$")
_BINARY = ("", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei")
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_QUANTITY = re.compile(r"^([+-]?(?:\d+\.?\d*|\.\d+))([eE][+-]?\d+|[KMGTPE]i|[numkMGTPE]|)$")


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
    if params.get("migration") == "job" and (params.get("database") or {}).get("ca"):
        found.append("migration: the operator's Job has no way to the CA of database.ca; use service.")
    if hub and params.get("network_policies"):
        found.append("network_policies: the Developer Hub operator makes its own; they are for managed_by: self.")
    for service in SERVICES:
        options = params.get(service) or {}
        if hub and options.get("enabled") is False:
            found.append(
                f"{service}.enabled: the Developer Hub operator always makes this service; use managed_by: self."
            )
        malformed = template_problems(service, options.get("pod_template") or {})
        found += malformed
        replicas = asked_replicas(options)
        if replicas is not None and replicas < 0:
            found.append(f"{service}.replicas: {replicas} is less than 0.")
        if service == "job_service" and (replicas or 0) > 1:
            found.append("job_service.replicas: the Job Service runs once; only 0 and 1 are possible.")
        names = [entry.get("name") for entry in options.get("env") or []]
        if not malformed:
            template = options.get("pod_template") or {}
            names += [entry["name"] for entry in (template.get("container") or {}).get("env") or []]
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
    if not _PLATFORM_NAME.match(params["name"]):
        found.append(
            f"name: {params['name']!r} cannot begin the names of the services: "
            "a-z, 0-9 and - only, a letter first, at most 44 characters."
        )
    if not NAMESPACE_NAME.fullmatch(params["namespace"]):
        found.append(f"namespace: {params['namespace']!r} is not the name of a namespace.")
    named = {
        "eventing.broker.name": broker.get("name"),
        "eventing.broker.namespace": broker.get("namespace"),
        "cluster_platform": params.get("cluster_platform"),
    }
    for option, value in named.items():
        if value and not OBJECT_NAME.fullmatch(value):
            found.append(f"{option}: {value!r} is not the name of an object: a-z, 0-9 and - only.")
    return found


def template_problems(service: str, template: t.Mapping[str, t.Any]) -> list[str]:
    """Return what is wrong with the form of a podTemplate, as far as we work with it; the server checks the rest."""
    where = f"{service}.pod_template"
    container = template.get("container") or {}
    if not isinstance(container, dict):
        return [f"{where}.container: {container!r} is not a dictionary."]
    found = []
    lists = {
        "container.env": container.get("env"),
        "container.volumeMounts": container.get("volumeMounts"),
        "volumes": template.get("volumes"),
    }
    for field, entries in lists.items():
        named = isinstance(entries, list) and all(isinstance(each, dict) and each.get("name") for each in entries)
        if entries is not None and not named:
            found.append(f"{where}.{field}: must be a list of dictionaries with a name each.")
    replicas = template.get("replicas")
    if replicas is not None and (isinstance(replicas, bool) or not isinstance(replicas, int)):
        found.append(f"{where}.replicas: {replicas!r} is not a number.")
    return found


def asked_replicas(options: t.Mapping[str, t.Any]) -> int | None:
    """Return how many replicas were asked for; None where the operator decides, or where it is no number."""
    asked = options.get("replicas")
    if asked is None:
        asked = (options.get("pod_template") or {}).get("replicas")
    return asked if isinstance(asked, int) else None


def quantity(value: t.Any) -> t.Any:
    """Return a quantity of Kubernetes in its canonical form ("1024Mi" is "1Gi", 0.5 is "500m"), all else as it is."""
    found = _QUANTITY.match(str(value))
    if found is None:
        return value
    number, suffix = decimal.Decimal(found.group(1)), found.group(2)
    if suffix in _BINARY[1:]:
        number *= 1024 ** _BINARY.index(suffix)
        if abs(number) >= 1024:
            whole, power = int(number.to_integral_value(decimal.ROUND_UP)), 0
            while whole % 1024 == 0 and power < len(_BINARY) - 1:
                whole, power = whole // 1024, power + 1
            return f"{whole}{_BINARY[power]}"
        suffix = ""
    scale = _DECIMAL[suffix] if suffix in _DECIMAL else int(suffix[1:])
    whole, power = int(number.scaleb(scale + 9).to_integral_value(decimal.ROUND_UP)), -9
    while whole and whole % 1000 == 0 and power < 18:
        whole, power = whole // 1000, power + 3
    if not whole:
        return "0"
    if suffix not in _DECIMAL:
        return f"{whole}e{power}" if power else f"{whole}"
    return f"{whole}{next(sign for sign, each in _DECIMAL.items() if each == power)}"


def as_written_back(value: t.Any, key: str = "") -> t.Any:
    """Return a part of a podTemplate as the operator, a program in Go, writes it back.

    It does so with every new platform. What then differs from what we wrote has become its own: we would write it
    again in each run, and could not change it any more.
    """
    if isinstance(value, dict):
        if key in ("limits", "requests", "overhead"):
            return {name: quantity(amount) for name, amount in value.items()}
        found = {name: as_written_back(each, name) for name, each in value.items()}
        empty: tuple[t.Any, ...] = (None, [])
        return {name: each for name, each in found.items() if each not in empty and (each != {} or name not in _MAPS)}
    if isinstance(value, list):
        entries = [as_written_back(each) for each in value]
        if key == "env":
            return [{name: e[name] for name in e if name != "value" or e[name] != ""} for e in entries]
        return entries
    return quantity(value) if key in ("sizeLimit", "divisor") else value


_MAPS = ("nodeSelector", "limits", "requests", "overhead")  # empty, they are left out


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
    return t.cast(Object, as_written_back(template))


def desired(
    params: t.Mapping[str, t.Any],
    database: Database | None,
    changed: t.Mapping[str, str],
    live: Object | None = None,
) -> Object:
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
        # The operator leaves a false out when it writes back, so that it is only said where something else is.
        told = monitoring is not False or "enabled" in (((live or {}).get("spec") or {}).get("monitoring") or {})
        spec["monitoring"] = {"enabled": monitoring is not False} if told else {}
    return {"metadata": {"name": name, "namespace": namespace}, "spec": spec}


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


def user_path(text: str, params: t.Mapping[str, t.Any]) -> str:
    """Return an API server's message with field paths as the module's options are called."""
    names = []
    for service, (field, _suffix) in SERVICES.items():
        block, options = f"spec.services.{field}", params.get(service) or {}
        template = f"{block}.podTemplate"
        for path, option in (
            ("container.resources", "resources"),
            ("container.image", "image"),
            ("container.env", "env"),
            ("replicas", "replicas"),
        ):
            if options.get(option) is not None:
                names.append((f"{template}.{path}", f"{service}.{option}"))
        names += [
            (template, f"{service}.pod_template"),
            (f"{block}.persistence.dbMigrationStrategy", "migration"),
            (f"{block}.persistence", "database"),
            (block, service),
        ]
    names += [("spec.eventing.broker.ref", "eventing.broker"), ("spec.eventing", "eventing")]
    names += [("spec.monitoring", "monitoring")]
    for path, option in names:
        text = re.sub(rf"\.?{re.escape(path)}(?!\w)", option, text)
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
    off: bool = False,
) -> Verdict:
    """Judge one service: rolled out with at least one replica, and endpoints; `off` tells that 0 were asked for."""
    name = service_name(platform["metadata"]["name"], service)
    block = (platform["spec"].get("services") or {}).get(SERVICES[service][0]) or {}
    if deployment is None:
        return Verdict.pending("NotCreated", f"Deployment {name} does not exist yet")
    if (block.get("podTemplate") or {}).get("replicas") == 0 and deployment["spec"].get("replicas") == 0:
        if off:
            return Verdict.ready("scaled to 0, as asked for")
        text = f"Deployment {name} is scaled to 0 replicas by the platform's podTemplate.replicas"
        remedy = f"Set it to 1 where it was set, or say {service}.replicas: 0 if that is meant."
        return Verdict(PENDING, "ScaledToZero", text, remedy)
    rollout = workload(deployment, selected(pods, {SERVICE_LABEL: name}))
    if rollout.state != READY:
        return rollout
    wrong = other_database(deployment, platform, service)
    if wrong:
        return Verdict.pending("OtherDatabase", f"Deployment {name} {wrong}")
    if not has_endpoint(slices, name):
        return Verdict.pending("NoEndpoints", f"Service {name} has no ready endpoint")
    return rollout


def other_database(deployment: Object, platform: Object, service: str) -> str:
    """Return how a service's database differs from what the platform says; empty when it is that one."""
    wanted = persistence_of(platform, service)
    env = {entry["name"]: entry for entry in first_container(deployment).get("env") or []}
    url = (env.get(JDBC_VARIABLE) or {}).get("value") or ""
    reactive = (env.get(REACTIVE_VARIABLE) or {}).get("value") or ""
    if not wanted or not url:
        return ""  # without persistence the services keep their data in memory
    reference = wanted.get("serviceRef")
    if reference:
        host, name = _location(url)
        names = (reference["name"], reference.get("databaseName") or "sonataflow")
        if (re.split("[.:]", host)[0], name) != names:
            return f"works with {redact_text(url)}, not with database {names[1]} of Service {names[0]}"
    elif url != wanted.get("jdbcUrl"):
        return f"works with {redact_text(url)}, not with {redact_text(wanted.get('jdbcUrl') or '')}"
    if reactive and _location(reactive) != _location(url):
        return f"works with {redact_text(reactive)}, and not only with {redact_text(url)}"
    for variable in ("QUARKUS_DATASOURCE_USERNAME", "QUARKUS_DATASOURCE_PASSWORD"):
        source = (env.get(variable) or {}).get("valueFrom") or {}
        used, secret = (source.get("secretKeyRef") or {}).get("name"), (wanted.get("secretRef") or {}).get("name")
        if used != secret:
            return f"takes its credentials from Secret {used}, not from {secret}"
    return ""


def _location(url: str) -> tuple[str, str]:
    """Return host with port, and database, of a URL of PostgreSQL."""
    found = re.search(r"postgresql://([^/?]*)/([^?]*)", url)
    return (found.group(1), found.group(2)) if found else ("", "")


def has_endpoint(slices: t.Sequence[Object], service: str) -> bool:
    """Tell whether a Service has a ready endpoint."""
    for item in slices:
        if (item["metadata"].get("labels") or {}).get("kubernetes.io/service-name") != service:
            continue
        for endpoint in item.get("endpoints") or []:
            if endpoint.get("addresses") and (endpoint.get("conditions") or {}).get("ready") is not False:
                return True
    return False


def migration_jobs(jobs: t.Sequence[Object], platform: Object) -> list[Object]:
    """Return the operator's database migration Jobs of a platform."""
    return [item for item in jobs if _owned(item, platform) and MIGRATOR in item["metadata"]["name"]]


def judge_migration(jobs: t.Sequence[Object], platform: Object, pods: t.Sequence[Object] = ()) -> Verdict:
    """Judge the operator's database migration Job, which runs before the services are made."""
    owned = migration_jobs(jobs, platform)
    endings = {item["metadata"]["name"]: ended(item) for item in owned}
    for name, (how, reason, message) in endings.items():
        if how == "failed":
            return terminal("platform/MigrationFailed").verdict(f"Job {name} failed ({reason}): {message}", job=name)
    done = (platform.get("status") or {}).get("sonataFlowPlatformDBMigrationPhase") and not owned
    if done or any(how == "complete" for how, _reason, _message in endings.values()):
        return Verdict.ready("database migrated")
    if not owned:
        return Verdict.pending("NotStarted", "the operator has not made the database migration Job yet")
    running = job(owned[0], [pod for pod in pods if JOB_LABEL in (pod["metadata"].get("labels") or {})])
    reason = "Migrating" if running.state == PENDING else running.reason
    text = f"the database migration Job has not finished: {next(iter(endings))}, {running.message}"
    return dataclasses.replace(running, reason=reason, message=text)


def judge_eventing(
    platform: Object,
    broker: Object | None,
    sink_binding: Object | None,
    triggers: t.Sequence[Object],
    served: bool = True,
) -> Verdict:
    """Judge Broker, SinkBinding of the Job Service and Triggers of a platform with eventing.

    `served` tells whether the cluster knows Brokers at all.
    """
    name, namespace = t.cast("tuple[str, str]", broker_of(platform))
    where = f"Broker {namespace}/{name}"
    if broker is None:
        why = "" if served else " (the cluster serves no Brokers: KnativeEventing is not installed)"
        return terminal("platform/BrokerMissing").verdict(
            f"{where} does not exist{why}: the Job Service is not made without it"
        )
    if broker["metadata"].get("deletionTimestamp"):
        return terminal("platform/BrokerMissing").verdict(f"{where} is being deleted")
    judged = judge_broker(broker)
    if judged.state != READY:
        return dataclasses.replace(judged, message=f"{where}: {judged.message}")
    if "job_service" in wanted_services(platform):
        if sink_binding is None:
            return Verdict.pending("SinkBindingMissing", "the operator has not made the Job Service's SinkBinding yet")
        if not ready(sink_binding):
            message = "the Job Service stays at 0 replicas until it is bound; the eventing-webhook does that"
            return terminal("platform/SinkNotBound").verdict(message)
    listed = {item for item in triggers_of(platform) if item[0] == namespace}
    known = {(item["metadata"]["namespace"], item["metadata"]["name"]): item for item in triggers}
    missing = sorted(item for item in listed if item not in known)
    unready = sorted(item for item in listed if item in known and not ready(known[item]))
    if not listed or missing or unready:
        text = ", ".join(name for _namespace, name in (missing + unready)[:3]) or "none made yet"
        return Verdict.pending(
            "TriggersNotReady", f"{len(listed) - len(missing) - len(unready)} of {len(listed)}: {text}"
        )
    return Verdict.ready(f"{len(listed)} triggers")


def judge_leftovers(left: t.Sequence[Object], job_service: Object | None) -> Verdict:
    """Judge what eventing left behind when it was switched off: the operator takes nothing back."""
    if left:
        names = ", ".join(item["metadata"]["name"] for item in left[:3])
        return Verdict.pending("EventingLeftovers", f"{len(left)} Triggers and SinkBindings are still there: {names}")
    if any(entry["name"] == "K_SINK" for entry in first_container(job_service).get("env") or []):
        name = t.cast(Object, job_service)["metadata"]["name"]
        text = f"Deployment {name} still sends to the Broker"
        return Verdict(PENDING, "EventingLeftovers", text, "If it stays so, delete it: the operator makes it anew.")
    return Verdict.ready("none")


def judge_owner(platform: Object, hub: str) -> Verdict:
    """Judge whether a platform belongs to the Backstage `hub`: another one takes it over without a word."""
    owner = owner_backstage(platform)
    if owner == hub:
        return Verdict.ready(f"Backstage {owner}")
    if owner:
        return terminal("platform/NotOurs").verdict(f"is owned by Backstage {owner}, not by {hub}")
    return Verdict(
        PENDING,
        "NotAdopted",
        f"belongs to no Backstage yet: the operator takes it over when it works on Backstage {hub}",
        "Let that Backstage depend on the platform (flavour orchestrator, or its plugins), or use managed_by: self.",
    )


def judge(
    name: str,
    platforms: t.Sequence[Object],
    deployments: t.Mapping[str, Object],
    pods: t.Sequence[Object],
    slices: t.Sequence[Object],
    jobs: t.Sequence[Object] | None = None,
    eventing: tuple[t.Any, ...] | None = None,
    off: t.Collection[str] = (),
) -> dict[str, Verdict]:
    """Judge everything about a platform but what its services answer.

    `jobs` and `eventing` (the arguments of judge_eventing) are None where they were not looked at; `off` are the
    services that were asked for with 0 replicas.
    """
    platform = next((item for item in platforms if item["metadata"]["name"] == name), None)
    verdicts = {"platform": judge_platform(platform, platforms, name)}
    if platform is None:
        return verdicts
    if jobs is not None and migrates_by_job(platform):
        verdicts["migration"] = judge_migration(jobs, platform, pods)
    if eventing is not None and broker_of(platform):
        verdicts["eventing"] = judge_eventing(platform, *eventing)
    services = wanted_services(platform)
    if not services:
        verdicts["services"] = Verdict.pending("NoServices", "the platform has no services in its spec yet")
    for service in services:
        found = deployments.get(service_name(name, service))
        verdicts[service] = judge_service(service, platform, found, pods, slices, service in off)
    return verdicts


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


def unfinished(status: int, text: str) -> int | None:
    """Read Data Index' answer to UNFINISHED: the number of instances (at most 100), None where it does not say."""
    try:
        answer = json.loads(text)
    except ValueError:
        return None
    found = (answer.get("data") or {}).get("ProcessInstances") if isinstance(answer, dict) else None
    return len(found) if status == 200 and isinstance(found, list) and not answer.get("errors") else None


def kept_running(before: Object | None, after: Object | None) -> list[str]:
    """Return the names of the services whose block was taken out: the operator leaves them running."""
    if before is None:
        return []
    gone = set(wanted_services(before)) - set(wanted_services(after or before))
    return [service_name(before["metadata"]["name"], service) for service in sorted(gone)]


def _owned(obj: Object, owner: Object) -> bool:
    return any(ref.get("uid") == owner["metadata"].get("uid") for ref in obj["metadata"].get("ownerReferences") or [])


def first_container(workload: Object | None) -> Object:
    """Return the first container of a workload, which is the operator's own; empty without one."""
    template = ((workload or {}).get("spec") or {}).get("template") or {}
    containers = (template.get("spec") or {}).get("containers") or []
    return t.cast(Object, containers[0]) if containers else {}


def first_image(workload: Object | None) -> str:
    """Return the image of a workload's first container; empty without one."""
    return first_container(workload).get("image") or ""


# -- the cluster platform ---------------------------------------------------------------------------------------------


def cluster_platform(name: str, platform: str, namespace: str) -> Object:
    """Return the cluster platform that offers a platform's services to the workflows of all namespaces."""
    return {"metadata": {"name": name}, "spec": {"platformRef": {"name": platform, "namespace": namespace}}}


def refers_to(cluster: Object, platform: str, namespace: str) -> bool:
    """Tell whether a cluster platform offers this platform."""
    reference = (cluster.get("spec") or {}).get("platformRef") or {}
    return (reference.get("name"), reference.get("namespace")) == (platform, namespace)


def cluster_problems(name: str, platform: str, namespace: str, found: t.Sequence[Object]) -> list[str]:
    """Return why a cluster platform cannot be made or adopted: one is active in a cluster, and none is repointed."""
    problems = []
    for item in found:
        other, ours = item["metadata"]["name"], refers_to(item, platform, namespace)
        reference = item["spec"]["platformRef"]
        what = f"SonataFlowClusterPlatform {other} offers {reference.get('namespace')}/{reference.get('name')}"
        if other == name and not ours:
            problems.append(f"{what}, not {namespace}/{platform}: it is somebody else's and is not changed.")
        elif other != name and not _idle(item):
            remedy = f"say cluster_platform: {other}" if ours else "delete it, or do without one of your own"
            problems.append(f"{what} and only one is active in a cluster: {name} would stay Duplicated; {remedy}.")
    return problems


def _idle(cluster: Object) -> bool:
    duplicated = (condition(cluster, "Succeed") or {}).get("reason") == "Duplicated"
    return duplicated or bool(cluster["metadata"].get("deletionTimestamp"))


def promotable(name: str, found: t.Sequence[Object]) -> bool:
    """Tell whether a cluster platform is Duplicated beside no active one: the operator leaves it so until a touch."""
    ours = next((item for item in found if item["metadata"]["name"] == name), None)
    if (condition(ours, "Succeed") or {}).get("reason") != "Duplicated":
        return False
    return all(_idle(item) for item in found)


def judge_cluster_platform(name: str, platform: str, namespace: str, found: t.Sequence[Object]) -> Verdict:
    """Judge the cluster platform by itself."""
    ours = next((item for item in found if item["metadata"]["name"] == name), None)
    if ours is None:
        return Verdict.pending("NotCreated", f"SonataFlowClusterPlatform {name} does not exist")
    if ours["metadata"].get("deletionTimestamp"):
        return Verdict.pending("Deleting", f"SonataFlowClusterPlatform {name} is being deleted")
    if not refers_to(ours, platform, namespace):
        return Verdict.pending("OtherPlatform", f"SonataFlowClusterPlatform {name} offers another platform")
    succeed = condition(ours, "Succeed") or {}
    reason, message = succeed.get("reason") or "Creating", succeed.get("message") or ""
    if reason == "Duplicated":
        active = [item["metadata"]["name"] for item in found if not _idle(item)]
        remedy = "Only one cluster platform is active in a cluster: delete the other one, or use it."
        text = f"SonataFlowClusterPlatform {name} is Duplicated; active is {', '.join(active) or 'none'}"
        return terminal("platform/Duplicated").verdict(text, remedy=remedy)
    if succeed.get("status") != "True" or not current(ours):
        text = message or "the Serverless Logic operator has not worked on it yet"
        return Verdict.pending(reason, f"SonataFlowClusterPlatform {name}: {text}")
    return Verdict.ready(message)


# -- what the services answer -----------------------------------------------------------------------------------------


def refused(status: int, text: str) -> bool:
    """Tell whether the API server itself refused to pass a request on to a service."""
    try:
        answer = json.loads(text)
    except ValueError:
        return False
    return status == 403 and isinstance(answer, dict) and answer.get("kind") == "Status"


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
    return False, f"HTTP {status or 'no answer'}" + (
        f", down: {', '.join(down)}" if down else f" {_plain(answer, text)}"
    )


def _plain(answer: t.Any, text: str) -> str:
    """Return the beginning of what an answer says; where the API server did not reach the service, its message."""
    said = answer.get("message") if isinstance(answer, dict) and answer.get("kind") == "Status" else None
    return " ".join(str(said or text).split())[:160]


def graphql(status: int, text: str) -> tuple[bool, str, int]:
    """Read Data Index' answer to GRAPHQL: (good, what it says, number of process definitions)."""
    try:
        answer = json.loads(text)
    except ValueError:
        answer = None
    if status != 200 or not isinstance(answer, dict):
        return False, f"HTTP {status or 'no answer'} {_plain(answer, text)}", 0
    if answer.get("errors"):
        return False, f"errors: {json.dumps(answer['errors'])[:200]}", 0
    definitions = (answer.get("data") or {}).get("ProcessDefinitions")
    if not isinstance(definitions, list):
        return False, "the answer holds no list of ProcessDefinitions", 0
    return True, f"{len(definitions)} process definitions", len(definitions)
