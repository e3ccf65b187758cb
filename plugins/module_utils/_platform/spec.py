# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The SonataFlowPlatform that is written, from the options of the module. PRIVATE; pure functions."""

from __future__ import annotations

import copy
import decimal
import re
import typing as t

from ansible_collections.rhdh.orchestrator.plugins.module_utils._database.options import Database
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.kinds import NAMESPACE_NAME, OBJECT_NAME
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.objects import Object

SERVICES = {"data_index": ("dataIndex", "data-index-service"), "job_service": ("jobService", "jobs-service")}
MIGRATOR = "db-migrator-job"  # part of the name of the operator's database migration Job
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
    hub = params["managed_by"] == "hub"
    found = _hub_problems(params) if hub else []
    if params.get("migration") == "job" and (params.get("database") or {}).get("ca"):
        found.append("migration: the operator's Job has no way to the CA of database.ca; use service.")
    for service in SERVICES:
        found += _service_problems(service, params.get(service) or {}, hub)
    if not hub and not any((params.get(s) or {}).get("enabled", True) for s in SERVICES):
        found.append("data_index, job_service: at least one of them must be enabled.")
    if params.get("eventing") and not (params["eventing"].get("broker") or {}).get("name"):
        found.append("eventing.broker.name: the name of the Broker is missing.")
    return found + _name_problems(params)


def _hub_problems(params: t.Mapping[str, t.Any]) -> list[str]:
    """Return the options that a platform of the Developer Hub operator does not take."""
    found = []
    if params.get("database"):
        found.append("database: a platform of the Developer Hub operator has the Hub's database; use managed_by: self.")
    if params.get("migration"):
        found.append("migration: the Developer Hub operator sets the persistence; use managed_by: self.")
    if params.get("network_policies"):
        found.append("network_policies: the Developer Hub operator makes its own; they are for managed_by: self.")
    return found


def _service_problems(service: str, options: t.Mapping[str, t.Any], hub: bool) -> list[str]:
    """Return what is wrong with the options of one service."""
    found = []
    if hub and options.get("enabled") is False:
        found.append(f"{service}.enabled: the Developer Hub operator always makes this service; use managed_by: self.")
    template = options.get("pod_template") or {}
    malformed = template_problems(service, template)
    found += malformed
    replicas = asked_replicas(options)
    if replicas is not None and replicas < 0:
        found.append(f"{service}.replicas: {replicas} is less than 0.")
    if service == "job_service" and (replicas or 0) > 1:
        found.append("job_service.replicas: the Job Service runs once; only 0 and 1 are possible.")
    names = [entry.get("name") for entry in options.get("env") or []]
    if not malformed:
        names += [entry["name"] for entry in (template.get("container") or {}).get("env") or []]
    for name in names:
        if not name:
            found.append(f"{service}.env: an entry has no name.")
        elif name in OPERATORS_OWN:
            found.append(f"{service}.env: {name} is set by the operator and cannot be overridden.")
    for name in sorted({str(n) for n in names if names.count(n) > 1}):
        found.append(f"{service}.env: {name} is given more than once.")
    return found


def _name_problems(params: t.Mapping[str, t.Any]) -> list[str]:
    """Return the options that are to name an object and do not."""
    found = []
    if not _PLATFORM_NAME.match(params["name"]):
        found.append(
            f"name: {params['name']!r} cannot begin the names of the services: "
            "a-z, 0-9 and - only, a letter first, at most 44 characters."
        )
    if not NAMESPACE_NAME.fullmatch(params["namespace"]):
        found.append(f"namespace: {params['namespace']!r} is not the name of a namespace.")
    broker = (params.get("eventing") or {}).get("broker") or {}
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


def _service_block(
    params: t.Mapping[str, t.Any], service: str, database: Database | None, changed: t.Mapping[str, str]
) -> Object:
    """Return what we write for one service; empty when that is nothing."""
    name, options, (_field, suffix) = params["name"], params.get(service) or {}, SERVICES[service]
    if options.get("enabled") is False:
        return {}  # the operator deploys whatever has a block, even one that says enabled: false
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
    return block


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
    blocks = {SERVICES[service][0]: _service_block(params, service, database, changed) for service in SERVICES}
    services = {field: block for field, block in blocks.items() if block}
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
        written = monitoring is not False or "enabled" in (((live or {}).get("spec") or {}).get("monitoring") or {})
        spec["monitoring"] = {"enabled": monitoring is not False} if written else {}
    return {"metadata": {"name": name, "namespace": namespace}, "spec": spec}


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
