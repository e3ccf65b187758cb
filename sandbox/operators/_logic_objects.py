"""Objects that the Serverless Logic stand-in makes, as pure functions from the custom resource to plain objects."""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import re
import typing as t
import zlib
from fractions import Fraction

from sandbox.operators._api import Object
from sandbox.operators._common import owner_of

DATA_INDEX, JOBS = "data-index-service", "jobs-service"
SPEC_KEY = {DATA_INDEX: "dataIndex", JOBS: "jobService"}
SPEC_VERSION = "0.8"  # of the workflow language; what the product shows in status.version
INJECTED = ("K_SINK", "K_CE_OVERRIDES")  # written by the SinkBinding, kept by the operator

_RESOURCES = {
    DATA_INDEX: {"requests": {"cpu": "100m", "memory": "1Gi"}, "limits": {"cpu": "200m", "memory": "1Gi"}},
    JOBS: {"requests": {"cpu": "250m", "memory": "64Mi"}, "limits": {"cpu": "500m", "memory": "1Gi"}},
}
# name prefix, type of the cloud event, path of the sink, ordered delivery
_TRIGGERS: dict[str, list[tuple[str, str, str, bool]]] = {
    DATA_INDEX: [
        ("data-index-process-error-", "ProcessInstanceErrorDataEvent", "/processes", False),
        ("data-index-process-node-", "ProcessInstanceNodeDataEvent", "/processes", False),
        ("data-index-process-state-", "ProcessInstanceStateDataEvent", "/processes", False),
        ("data-index-process-variable-", "ProcessInstanceVariableDataEvent", "/processes", False),
        ("data-index-process-definition-", "ProcessDefinitionEvent", "/definitions", True),
        ("data-index-process-instance-multiple-", "MultipleProcessInstanceDataEvent", "/processes", False),
        ("data-index-jobs-", "JobEvent", "/jobs", True),
    ],
    JOBS: [
        ("jobs-service-create-job-", "job.create", "/v2/jobs/events", True),
        ("jobs-service-delete-job-", "job.delete", "/v2/jobs/events", True),
    ],
}


@dataclasses.dataclass(frozen=True)
class Images:
    """Operand images of one operator version, and its tag."""

    tag: str
    data_index: str
    data_index_ephemeral: str
    jobs: str
    jobs_ephemeral: str
    migrator: str


def defaulted(spec: Object) -> Object:
    """Return the spec as the operator writes it back after its first look at a platform."""
    result = copy.deepcopy(spec)
    build = result.setdefault("build", {})
    config = build.setdefault("config", {})
    config.setdefault("registry", {})
    config.setdefault("strategy", "platform")
    config.setdefault("timeout", "5m0s")
    template = build.setdefault("template", {})
    template.setdefault("resources", {})
    template.setdefault("timeout", "0s")
    result.setdefault("devMode", {})
    for key in SPEC_KEY.values():
        service = (result.get("services") or {}).get(key)
        if service is None:
            continue
        service.setdefault("enabled", True)
        service.setdefault("podTemplate", {}).setdefault("container", {}).setdefault("resources", {})
        persistence = service.get("persistence")
        if persistence:
            persistence.setdefault("dbMigrationStrategy", "service")
            reference = (persistence.get("postgresql") or {}).get("serviceRef")
            if reference:
                reference.setdefault("port", 5432)
    if (result.get("monitoring") or {}).get("enabled") is False:
        del result["monitoring"]["enabled"]
    return t.cast(Object, _through_go(result))


def _through_go(value: t.Any, key: str = "") -> t.Any:
    """Return a part of a spec as the operator's types write it: empty fields left out, quantities in canonical form."""
    if isinstance(value, dict):
        if key in ("limits", "requests"):
            return {name: _quantity(str(amount)) for name, amount in value.items()}
        found = {name: _through_go(each, name) for name, each in value.items() if each is not None and each != []}
        return {
            name: each for name, each in found.items() if each or name not in ("limits", "requests", "nodeSelector")
        }
    if isinstance(value, list):
        entries = [_through_go(each) for each in value]
        drop = {"value"} if key == "env" else set()
        return [{k: v for k, v in e.items() if v != "" or k not in drop} if drop else e for e in entries]
    return value


_DECIMAL = {"m": Fraction(1, 1000), "": Fraction(1), **{sign: Fraction(1000**n) for n, sign in enumerate("kMGTPE", 1)}}
_BINARY = {"": Fraction(1), **{f"{sign}i": Fraction(1024**n) for n, sign in enumerate("KMGTPE", 1)}}


def _quantity(text: str) -> str:
    """Return a quantity with the biggest suffix that needs no fraction; with an exponent or a sign it stays."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([KMGTPE]i|[mkMGTPE]|)", text)
    if found is None:
        return text
    amount = Fraction(found.group(1)) * (_DECIMAL | _BINARY)[found.group(2)]
    signs = _BINARY if found.group(2).endswith("i") and amount >= 1024 else _DECIMAL
    whole = [sign for sign, size in signs.items() if (amount / size).denominator == 1]
    if not amount or not whole:
        return text if amount else "0"
    best = max(whole, key=signs.__getitem__)
    return f"{amount / signs[best]}{best}"


def child_name(parent: str, suffix: str) -> str:
    """Return parent + suffix, cut and hashed when it is longer than the 63 characters that a name may have.

    The suffixes here (UIDs) are long, so it is parent and suffix together that are hashed.
    """
    if len(parent) + len(suffix) <= 63:
        return parent + suffix
    name = parent[:31] + hashlib.md5((parent + suffix).encode(), usedforsecurity=False).hexdigest()
    return name + suffix[: max(0, 63 - len(name))]


def migration_job_name(tag: str) -> str:
    """Return the name of the database Job, which ends in the 32-bit FNV-1a hash of the operator's image tag."""
    value = 0x811C9DC5
    for byte in tag.encode():
        value = ((value ^ byte) * 0x01000193) & 0xFFFFFFFF
    return f"sonataflow-db-migrator-job-{value:08x}"


def service_name(platform: Object, service: str) -> str:
    """Return the name of a platform service's Deployment, Service and label."""
    return f"{platform['metadata']['name']}-{service}"


def service_url(platform: Object, service: str) -> str:
    """Return the URL of a platform service inside the cluster."""
    return f"http://{service_name(platform, service)}.{platform['metadata']['namespace']}"


def has_service(platform: Object, service: str) -> bool:
    """Whether the service is deployed: only the presence of its block counts, not what `enabled` says."""
    return (platform["spec"].get("services") or {}).get(SPEC_KEY[service]) is not None


def broker_of(platform: Object, service: str | None = None) -> Object | None:
    """Return the broker reference (kind, name, namespace filled in) for a service, or None without eventing."""
    services = platform["spec"].get("services") or {}
    own = (services.get(SPEC_KEY[service]) or {}) if service else {}
    reference = None
    for holder in (
        (own.get("source") or own.get("sink") or {}),
        (platform["spec"].get("eventing") or {}).get("broker") or {},
    ):
        if holder.get("ref"):
            reference = holder["ref"]
            break
    if not reference:
        return None
    return {
        "apiVersion": reference.get("apiVersion") or "eventing.knative.dev/v1",
        "kind": reference.get("kind"),
        "name": reference["name"],
        "namespace": reference.get("namespace") or platform["metadata"]["namespace"],
    }


def persistence_of(platform: Object, service: str) -> Object:
    """Return the persistence block that counts for a service: its own, else the platform's."""
    own = ((platform["spec"].get("services") or {}).get(SPEC_KEY[service]) or {}).get("persistence")
    return own or platform["spec"].get("persistence") or {}


def strategy_of(platform: Object, service: str) -> str:
    """Return the database migration strategy of a service: service, job or none."""
    return persistence_of(platform, service).get("dbMigrationStrategy") or "service"


def jdbc_url(platform: Object, service: str) -> str | None:
    """Return the JDBC URL of a service, or None without PostgreSQL."""
    postgresql = persistence_of(platform, service).get("postgresql")
    if not postgresql:
        return None
    if postgresql.get("jdbcUrl"):
        return str(postgresql["jdbcUrl"])
    reference = postgresql["serviceRef"]
    home = reference.get("namespace") or platform["metadata"]["namespace"]
    schema = reference.get("databaseSchema") or service_name(platform, service)
    database = reference.get("databaseName") or "sonataflow"
    host = f"{reference['name']}.{home}:{reference.get('port') or 5432}"
    return f"jdbc:postgresql://{host}/{database}?currentSchema={schema}"


def reactive_url(jdbc: str) -> str:
    """Return the same address for the reactive driver; all parameters come along, wanted or not."""
    return jdbc.removeprefix("jdbc:").replace("currentSchema=", "search_path=")


def schema_of(jdbc: str, fallback: str) -> str:
    """Return the schema that a JDBC URL names."""
    for part in jdbc.partition("?")[2].split("&"):
        if part.startswith("currentSchema="):
            return part.removeprefix("currentSchema=")
    return fallback


def _secret_env(name: str, platform: Object, service: str, which: str) -> Object:
    secret = persistence_of(platform, service)["postgresql"]["secretRef"]
    default = {"userKey": "POSTGRESQL_USER", "passwordKey": "POSTGRESQL_PASSWORD"}[which]
    return {"name": name, "valueFrom": {"secretKeyRef": {"name": secret["name"], "key": secret.get(which) or default}}}


def labels_of(platform: Object, full: str, short: str, tag: str, service_label: str | None = None) -> dict[str, str]:
    """Return the labels of what belongs to a platform service."""
    name = platform["metadata"]["name"]
    return {
        "app": name,
        "app-namespace": platform["metadata"]["namespace"],
        "app.kubernetes.io/component": full,
        "app.kubernetes.io/instance": name,
        "app.kubernetes.io/managed-by": "sonataflow-operator",
        "app.kubernetes.io/name": short,
        "app.kubernetes.io/part-of": name,
        "app.kubernetes.io/version": tag,
        "sonataflow.org/service": service_label or full,
    }


def _meta(platform: Object, service: str, tag: str, name: str | None = None, **more: t.Any) -> Object:
    full = service_name(platform, service)
    return {
        "name": name or full,
        "namespace": platform["metadata"]["namespace"],
        "labels": labels_of(platform, full, service, tag),
        "ownerReferences": [owner_of(platform)],
        **more,
    }


def environment(platform: Object, service: str) -> list[Object]:
    """Return what the operator sets in a service's container; names here cannot be overridden by the user."""
    result: list[Object] = []
    if service == DATA_INDEX:
        result.append({"name": "KOGITO_DATA_INDEX_QUARKUS_PROFILE", "value": "http-events-support"})
    jdbc = jdbc_url(platform, service)
    if jdbc:
        at_start = "true" if strategy_of(platform, service) == "service" else "false"
        result += [
            _secret_env("QUARKUS_DATASOURCE_USERNAME", platform, service, "userKey"),
            _secret_env("QUARKUS_DATASOURCE_PASSWORD", platform, service, "passwordKey"),
            {"name": "QUARKUS_DATASOURCE_DB_KIND", "value": "postgresql"},
            {"name": "QUARKUS_DATASOURCE_JDBC_URL", "value": jdbc},
        ]
        if service == JOBS:
            result.append({"name": "QUARKUS_DATASOURCE_REACTIVE_URL", "value": reactive_url(jdbc)})
        result += [
            {"name": "KOGITO_PERSISTENCE_TYPE", "value": "jdbc"},
            {"name": "QUARKUS_FLYWAY_MIGRATE_AT_START", "value": at_start},
        ]
        if service == JOBS:
            result.append({"name": "KOGITO_JOBS_SERVICE_LOADJOBERRORSTRATEGY", "value": "FAIL_SERVICE"})
    return result


def _probe(path: str) -> Object:
    return {
        "httpGet": {"path": path, "port": 8080, "scheme": "HTTP"},
        "initialDelaySeconds": 45,
        "periodSeconds": 30,
        "timeoutSeconds": 10,
        "successThreshold": 1,
        "failureThreshold": 4,
    }


def replicas_of(platform: Object, service: str) -> int:
    """Return the wanted replicas; the Job Service runs once or not at all."""
    block = (platform["spec"].get("services") or {}).get(SPEC_KEY[service]) or {}
    wanted = (block.get("podTemplate") or {}).get("replicas")
    wanted = 1 if wanted is None else int(wanted)
    return min(wanted, 1) if service == JOBS else wanted


def deployment(platform: Object, service: str, images: Images) -> Object:
    """Return a platform service's Deployment (without what the SinkBinding adds)."""
    full = service_name(platform, service)
    block = (platform["spec"].get("services") or {}).get(SPEC_KEY[service]) or {}
    pod = copy.deepcopy(block.get("podTemplate") or {})
    custom = pod.pop("container", None) or {}
    pod.pop("replicas", None)
    persistent = jdbc_url(platform, service) is not None
    image = {
        DATA_INDEX: images.data_index if persistent else images.data_index_ephemeral,
        JOBS: images.jobs if persistent else images.jobs_ephemeral,
    }[service]
    env = environment(platform, service)
    taken = {entry["name"] for entry in env}
    env += [entry for entry in custom.get("env") or [] if entry["name"] not in taken]
    wanted = custom.get("resources") or {}
    resources = {side: {**values, **(wanted.get(side) or {})} for side, values in _RESOURCES[service].items()}
    container = {
        "name": service,
        "image": custom.get("image") or image,
        "imagePullPolicy": custom.get("imagePullPolicy") or "IfNotPresent",
        "env": env,
        "ports": [{"name": "h2c", "containerPort": 8080, "protocol": "TCP"}],
        "livenessProbe": custom.get("livenessProbe") or _probe("/q/health/live"),
        "readinessProbe": custom.get("readinessProbe") or _probe("/q/health/ready"),
        "resources": resources,
        # volumes and mounts of the user take the place of the operator's; the properties file is gone then
        "volumeMounts": custom.get("volumeMounts")
        or [{"name": "application-config", "mountPath": "/home/kogito/config"}],
    }
    for key in ("command", "args", "envFrom", "securityContext", "startupProbe"):
        if custom.get(key):
            container[key] = custom[key]
    properties = {"name": "application-config", "configMap": {"name": f"{full}-props", "defaultMode": 420}}
    volumes = pod.pop("volumes", None) or [properties]
    meta = _meta(platform, service, images.tag)
    template = {
        "metadata": {"labels": meta["labels"]},
        "spec": {**pod, "containers": [container, *(pod.get("containers") or [])], "volumes": volumes},
    }
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": meta,
        "spec": {
            "replicas": replicas_of(platform, service),
            "selector": {"matchLabels": {"sonataflow.org/service": full}},
            "strategy": {"type": "Recreate", "rollingUpdate": None} if service == JOBS else rolling,
            "template": template,
        },
    }


def service_object(platform: Object, service: str, tag: str) -> Object:
    """Return a platform service's Service."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _meta(platform, service, tag),
        "spec": {
            "ports": [{"name": "h2c", "port": 80, "protocol": "TCP", "targetPort": 8080}],
            "selector": {"sonataflow.org/service": service_name(platform, service)},
        },
    }


def _properties(values: dict[str, str]) -> str:
    return "".join(f"{key} = {value}\n" for key, value in values.items())


def properties(platform: Object, service: str, tag: str) -> Object:
    """Return the ConfigMap with a platform service's application.properties."""
    health = 'quarkus.smallrye-health.check."{}".enabled'
    values = {
        "kogito.service.url": service_url(platform, service),
        "quarkus.devservices.enabled": "false",
        "quarkus.http.host": "0.0.0.0",
        "quarkus.http.port": "8080",
        "quarkus.kogito.devservices.enabled": "false",
        health.format("io.quarkus.kafka.client.health.KafkaHealthCheck"): "false",
    }
    if service == JOBS:
        sink = broker_of(platform, JOBS)
        status = "mp.messaging.outgoing.kogito-job-service-job-status-events-http"
        leader = "org.kie.kogito.jobs.service.management.JobServiceLeaderLivenessHealthCheck"
        injected = "org.kie.kogito.jobs.service.messaging.http.health.knative.KSinkInjectionHealthCheck"
        values["kogito.jobs-service.management.leader-check.expiration-in-seconds"] = "60"
        values[health.format(leader)] = "true"
        values[health.format(injected)] = "true" if sink else "false"
        if sink:
            values[f"{status}.connector"] = "quarkus-http"
            values[f"{status}.method"] = "POST"
        if sink or has_service(platform, DATA_INDEX):
            values["kogito.jobs-service.http.job-status-change-events"] = "true"
            values[f"{status}.url"] = "${K_SINK}" if sink else f"{service_url(platform, DATA_INDEX)}/jobs"
    name = f"{service_name(platform, service)}-props"
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": _meta(platform, service, tag, name),
        "data": {"application.properties": _properties(dict(sorted(values.items())))},
    }


def triggers(platform: Object, service: str, tag: str) -> list[Object]:
    """Return the Triggers of a service in the order in which they are made; empty without a broker.

    In another namespace than the platform's they have no owner, as owners cannot cross namespaces.
    """
    broker = broker_of(platform, service)
    if not broker:
        return []
    here = broker["namespace"] == platform["metadata"]["namespace"]
    result = []
    for prefix, event, path, ordered in _TRIGGERS[service]:
        meta = _meta(
            platform, service, tag, child_name(prefix, platform["metadata"]["uid"]), namespace=broker["namespace"]
        )
        if not here:
            del meta["ownerReferences"]
        if ordered:
            meta["annotations"] = {"kafka.eventing.knative.dev/delivery.order": "ordered"}
        subscriber = {
            "ref": {
                "apiVersion": "v1",
                "kind": "Service",
                "name": service_name(platform, service),
                "namespace": platform["metadata"]["namespace"],
            },
            "uri": path,
        }
        spec = {"broker": broker["name"], "filter": {"attributes": {"type": event}}, "subscriber": subscriber}
        body = {"apiVersion": "eventing.knative.dev/v1", "kind": "Trigger", "metadata": meta, "spec": spec}
        result.append(body)
    return result


def sink_binding(owner: Object, name: str, subject: str, broker: Object, labels: dict[str, str]) -> Object:
    """Return the SinkBinding that points a Deployment at a broker."""
    home = owner["metadata"]["namespace"]
    return {
        "apiVersion": "sources.knative.dev/v1",
        "kind": "SinkBinding",
        "metadata": {"name": name, "namespace": home, "labels": labels, "ownerReferences": [owner_of(owner)]},
        "spec": {
            "sink": {"ref": {key: broker[key] for key in ("apiVersion", "kind", "name", "namespace")}},
            "subject": {"apiVersion": "apps/v1", "kind": "Deployment", "name": subject, "namespace": home},
        },
    }


def migration_job(platform: Object, images: Images) -> Object:
    """Return the Job that migrates the databases of all services with the strategy `job`."""
    name = migration_job_name(images.tag)
    env: list[Object] = []
    for service, word in ((DATA_INDEX, "DATAINDEX"), (JOBS, "JOBSSERVICE")):
        jdbc = jdbc_url(platform, service)
        if not (has_service(platform, service) and strategy_of(platform, service) == "job" and jdbc):
            continue
        env += [
            {"name": f"MIGRATE_DB_{word}", "value": "true"},
            {"name": f"QUARKUS_DATASOURCE_{word}_JDBC_URL", "value": jdbc},
            _secret_env(f"QUARKUS_DATASOURCE_{word}_USERNAME", platform, service, "userKey"),
            _secret_env(f"QUARKUS_DATASOURCE_{word}_PASSWORD", platform, service, "passwordKey"),
            {"name": f"QUARKUS_FLYWAY_{word}_SCHEMAS", "value": schema_of(jdbc, service_name(platform, service))},
        ]
    full = f"{platform['metadata']['name']}-{name}"
    container = {
        "name": "db-migration-container",
        "image": images.migrator,
        "imagePullPolicy": "IfNotPresent",
        "env": env,
        "resources": {},
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": name,
            "namespace": platform["metadata"]["namespace"],
            "labels": labels_of(platform, full, name, images.tag, f"sonataflow-db-job-{name}"),
            "ownerReferences": [owner_of(platform)],
        },
        "spec": {
            "backoffLimit": 0,
            "completions": 1,
            "parallelism": 1,
            "template": {"spec": {"containers": [container], "restartPolicy": "Never"}},
        },
    }


# ---- workflows


def workflow_labels(workflow: Object, tag: str) -> dict[str, str]:
    """Return the labels that select a workflow's pods."""
    name = workflow["metadata"]["name"]
    return {
        "app": name,
        "app.kubernetes.io/component": "serverless-workflow",
        "app.kubernetes.io/instance": name,
        "app.kubernetes.io/managed-by": "sonataflow-operator",
        "app.kubernetes.io/name": name,
        "app.kubernetes.io/version": tag,
        "sonataflow.org/workflow-app": name,
        "sonataflow.org/workflow-namespace": workflow["metadata"]["namespace"],
    }


def flow_checksum(workflow: Object) -> int:
    """Return a checksum of the flow; the real one differs in value, not in use."""
    return zlib.crc32(repr(workflow["spec"].get("flow")).encode())


def workflow_properties(workflow: Object, urls: tuple[str | None, str | None], sink: bool) -> str:
    """Return application-prod.properties of a workflow; `urls` are those of Data Index and Job Service."""
    index, jobs = urls
    out = "mp.messaging.outgoing."
    values: dict[str, str] = {}
    if index and not sink:
        values |= {"kogito.data-index.health-enabled": "true", "kogito.data-index.url": index}
    values |= {
        "kogito.events.grouping": "true",
        "kogito.events.grouping.binary": "true",
        "kogito.events.processdefinitions.enabled": "true" if index else "false",
        "kogito.events.processdefinitions.errors.propagate": "true",
        "kogito.events.processinstances.enabled": "true" if index else "false",
        "kogito.events.usertasks.enabled": "false",
    }
    targets = {
        "kogito-job-service-job-request-events": jobs and f"{jobs}/v2/jobs/events",
        "kogito-processdefinitions-events": index and f"{index}/definitions",
        "kogito-processinstances-events": index and f"{index}/processes",
    }
    if jobs and not sink:
        values["kogito.jobs-service.url"] = jobs
    for name, url in targets.items():
        if sink or "job" in name:
            values[f"{out}{name}.connector"] = "quarkus-http"
        if sink:
            values[f"{out}{name}.method"] = "POST"
        if sink or url:
            values[f"{out}{name}.url"] = "${K_SINK}" if sink else str(url)
    values |= {
        "org.kie.kogito.addons.knative.eventing.health-enabled": "true" if sink else "false",
        "kogito.service.url": f"http://{workflow['metadata']['name']}.{workflow['metadata']['namespace']}",
        "quarkus.http.port": "8080",
        "quarkus.http.host": "0.0.0.0",
        "quarkus.devservices.enabled": "false",
        "quarkus.kogito.devservices.enabled": "false",
    }
    return _properties(values)


def workflow_objects(workflow: Object, platform: Object, managed: str, tag: str) -> list[Object]:
    """Return ConfigMaps, Deployment and Service of a workflow in the order in which they are made."""
    name, home = workflow["metadata"]["name"], workflow["metadata"]["namespace"]
    labels = workflow_labels(workflow, tag)
    marks = {**labels, "app.kubernetes.io/part-of": platform["metadata"]["name"]}
    owned = {"namespace": home, "ownerReferences": [owner_of(workflow)]}
    pod = copy.deepcopy(workflow["spec"].get("podTemplate") or {})
    custom = pod.pop("container", None) or {}
    replicas = pod.pop("replicas", 1)
    pod.pop("deploymentModel", None)

    def probe(path: str, **more: int) -> Object:
        times = {"periodSeconds": 15, "timeoutSeconds": 3, "successThreshold": 1, "failureThreshold": 3, **more}
        return {"httpGet": {"path": path, "port": 8080, "scheme": "HTTP"}, **times}

    container = {
        "name": "workflow",
        "imagePullPolicy": "Always",
        "livenessProbe": probe("/q/health/live"),
        "readinessProbe": probe("/q/health/ready"),
        "startupProbe": probe("/q/health/started", initialDelaySeconds=10, failureThreshold=5),
        "ports": [{"name": "h2c", "containerPort": 8080, "protocol": "TCP"}],
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "privileged": False,
            "runAsNonRoot": True,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "terminationMessagePolicy": "FallbackToLogsOnError",
        **{key: value for key, value in custom.items() if value},
    }
    mount = {"name": "workflow-properties", "mountPath": "/deployments/config", "readOnly": True}
    container["volumeMounts"] = [*(custom.get("volumeMounts") or []), mount]
    sources = [
        {"configMap": {"name": f"{name}-props", "items": [_item("application.properties")]}},
        {"configMap": {"name": f"{name}-managed-props", "items": [_item("application-prod.properties")]}},
    ]
    volume = {"name": "workflow-properties", "projected": {"defaultMode": 420, "sources": sources}}
    checksum = hashlib.sha256(managed.encode()).hexdigest()
    template = {
        "metadata": {
            "labels": marks,
            "annotations": {"sonataflow.org/checksum-config": checksum},
        },
        "spec": {
            **pod,
            "containers": [container, *(pod.get("containers") or [])],
            "volumes": [*(pod.get("volumes") or []), volume],
        },
    }
    return [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": f"{name}-props", "labels": marks, **owned},
            "data": {"application.properties": ""},
        },
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": f"{name}-managed-props", **owned},
            "data": {"application-prod.properties": managed},
        },
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": name, "labels": marks, **owned},
            "spec": {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template},
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name, "labels": marks, **owned},
            "spec": {
                "ports": [{"name": "web", "port": 80, "protocol": "TCP", "targetPort": 8080}],
                "selector": marks,
            },
        },
    ]


def _item(key: str) -> Object:
    return {"key": key, "path": key}
