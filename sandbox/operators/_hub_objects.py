"""Objects that the Developer Hub stand-in makes for one Backstage, as pure functions."""

from __future__ import annotations

import base64
import copy
import secrets
import typing as t

from sandbox.operators._api import Object
from sandbox.operators._common import owner_of

SRC = "/opt/app-root/src"
BACKEND, INSTALLER = "backstage-backend", "install-dynamic-plugins"
LIGHTSPEED_IMAGE = "quay.io/lightspeed-core/lightspeed-stack:0.5.3"
RAG_IMAGE = "quay.io/redhat-ai-dev/rag-content:release-1.10-lls-0.5.0"
# name, file of the Lightspeed side container
LIGHTSPEED_FILES = (
    ("llama-stack-config", "config.yaml"),
    ("lightspeed-stack-config", "lightspeed-stack.yaml"),
    ("rhdh-profile", "rhdh-profile.py"),
)
_NAME_KEYS = ("name", "mountPath", "containerPort", "key", "ip")


class Images(t.NamedTuple):
    """Images that the operator's Deployment names."""

    hub: str
    postgresql: str
    catalog_index: str


def names(name: str, rules: Object) -> dict[str, str]:
    """Return the names of everything that belongs to the Backstage `name`."""
    return {
        "hub": f"backstage-{name}",
        "database": f"backstage-psql-{name}",
        "secret": f"backstage-psql-secret-{name}",
        "plugins": f"backstage-dynamic-plugins-{name}",
        "app_config": rules["app_config"].format(name),
        "npmrc": rules["npmrc"].format(name),
    }


def _meta(backstage: Object, name: str, **annotations: str) -> Object:
    result: Object = {
        "name": name,
        "namespace": backstage["metadata"]["namespace"],
        "labels": {"app.kubernetes.io/name": "backstage", "app.kubernetes.io/instance": backstage["metadata"]["name"]},
        "ownerReferences": [owner_of(backstage)],
    }
    if annotations:
        result["annotations"] = {
            f"rhdh.redhat.com/{key.replace('_', '-')}": value for key, value in annotations.items()
        }
    return result


def _config_map(backstage: Object, name: str, data: dict[str, str], **annotations: str) -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": _meta(backstage, name, **annotations), "data": data}


def app_config(backstage: Object, rules: Object) -> Object:
    """Return the operator's default app-config."""
    name = names(backstage["metadata"]["name"], rules)["app_config"]
    notes = {"configured_name": "default-appconfig", "source": "default"} if rules["described"] else {}
    text = "auth:\n  environment: development\n  providers: {}\n"
    return _config_map(backstage, name, {"default.app-config.yaml": text}, **notes)


def lightspeed_files(backstage: Object) -> list[Object]:
    """Return the ConfigMaps of the Lightspeed flavour; their content is only a placeholder here."""
    result = []
    for short, file in LIGHTSPEED_FILES:
        notes = {
            "configured_name": short,
            "containers": "lightspeed-core",
            "mount_path": "/app-root",
            "source": "flavour-lightspeed",
            "sub_path": "*",
        }
        name = f"backstage-files-{backstage['metadata']['name']}-{short}"
        result.append(_config_map(backstage, name, {file: "# not played by the sandbox\n"}, **notes))
    return result


def database_secret(backstage: Object, rules: Object) -> Object:
    """Return the Secret of the local database with a new random password."""
    all_names = names(backstage["metadata"]["name"], rules)
    password = base64.b64encode(secrets.token_bytes(24)).decode()
    values = {
        "POSTGRES_USER": "postgres",
        "POSTGRES_PASSWORD": password,
        "POSTGRESQL_ADMIN_PASSWORD": password,
        "POSTGRES_HOST": all_names["database"],
        "POSTGRES_PORT": "5432",
    }
    meta = _meta(backstage, all_names["secret"])
    return {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "type": "Opaque", "stringData": values}


def npmrc(backstage: Object, rules: Object) -> Object:
    """Return the Secret with the npm settings of the plugin installer."""
    name = names(backstage["metadata"]["name"], rules)["npmrc"]
    notes = {"configured_name": "dynamic-plugins-npmrc"} if rules["described"] else {}
    notes |= {"containers": INSTALLER, "mount_path": f"{SRC}/.npmrc.dynamic-plugins"}
    text = base64.b64encode(b"# the product names its package registry here\n").decode()
    meta = _meta(backstage, name, **notes)
    return {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "type": "Opaque", "data": {".npmrc": text}}


def service(backstage: Object) -> Object:
    """Return the Hub's Service."""
    name = f"backstage-{backstage['metadata']['name']}"
    ports = [
        {"name": "http-backend", "port": 80, "protocol": "TCP", "targetPort": "backend"},
        {"name": "http-metrics", "port": 9464, "protocol": "TCP", "targetPort": 9464},
    ]
    spec = {"selector": {"rhdh.redhat.com/app": name}, "ports": ports}
    return {"apiVersion": "v1", "kind": "Service", "metadata": _meta(backstage, name), "spec": spec}


def database_service(backstage: Object) -> Object:
    """Return the headless Service of the local database."""
    name = f"backstage-psql-{backstage['metadata']['name']}"
    ports = [{"port": 5432, "protocol": "TCP", "targetPort": 5432}]
    spec = {"selector": {"rhdh.redhat.com/app": name}, "clusterIP": "None", "ports": ports}
    return {"apiVersion": "v1", "kind": "Service", "metadata": _meta(backstage, name), "spec": spec}


def route(backstage: Object) -> Object | None:
    """Return the Route, or None when it is switched off."""
    wanted = (backstage["spec"].get("application") or {}).get("route") or {}
    if wanted.get("enabled") is False:
        return None
    name = f"backstage-{backstage['metadata']['name']}"
    spec: Object = {
        "path": "/",
        "port": {"targetPort": "http-backend"},
        "tls": {"termination": "edge", "insecureEdgeTerminationPolicy": "Redirect"},
        "to": {"kind": "Service", "name": name, "weight": 100},
        "wildcardPolicy": "None",
    }
    for key in ("host", "subdomain"):
        if wanted.get(key):
            spec[key] = wanted[key]
    tls = wanted.get("tls") or {}
    spec["tls"] |= {key: tls[key] for key in ("certificate", "key", "caCertificate") if tls.get(key)}
    if tls.get("externalCertificateSecretName"):
        spec["tls"]["externalCertificate"] = {"name": tls["externalCertificateSecretName"]}
    meta = _meta(backstage, name)
    return {"apiVersion": "route.openshift.io/v1", "kind": "Route", "metadata": meta, "spec": spec}


def _security(**more: t.Any) -> Object:
    return {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
        **more,
    }


def stateful_set(backstage: Object, rules: Object, images: Images) -> Object:
    """Return the StatefulSet of the local database."""
    all_names = names(backstage["metadata"]["name"], rules)
    name = all_names["database"]
    own = (backstage["spec"].get("database") or {}).get("authSecretName")
    check = "exec pg_isready -U ${POSTGRES_USER} -h 127.0.0.1 -p 5432"
    times = {"failureThreshold": 6, "periodSeconds": 10, "successThreshold": 1, "timeoutSeconds": 5}
    container = {
        "name": "postgresql",
        "image": images.postgresql,
        "imagePullPolicy": "IfNotPresent",
        "env": [
            {"name": "POSTGRESQL_PORT_NUMBER", "value": "5432"},
            {"name": "POSTGRESQL_VOLUME_DIR", "value": "/var/lib/pgsql/data"},
            {"name": "PGDATA", "value": "/var/lib/pgsql/data/userdata"},
        ],
        "envFrom": [{"secretRef": {"name": own or all_names["secret"]}}],
        "ports": [{"name": "tcp-postgresql", "containerPort": 5432, "protocol": "TCP"}],
        "livenessProbe": {"exec": {"command": ["/bin/sh", "-c", check]}, "initialDelaySeconds": 30, **times},
        "readinessProbe": {
            "exec": {"command": ["/bin/sh", "-c", "-e", check + "\n"]},
            "initialDelaySeconds": 5,
            **times,
        },
        "resources": {
            "requests": {"cpu": "250m", "memory": "256Mi"},
            "limits": {"cpu": "250m", "memory": "1Gi", "ephemeral-storage": "20Mi"},
        },
        "securityContext": _security(runAsGroup=0),
        "volumeMounts": [
            {"name": "dshm", "mountPath": "/dev/shm"},
            {"name": "data", "mountPath": "/var/lib/pgsql/data"},
        ],
    }
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    pod = {
        "automountServiceAccountToken": False,
        "serviceAccountName": "default",
        "containers": [container],
        "volumes": [{"name": "dshm", "emptyDir": {"medium": "Memory"}}],
    }
    labels = {"rhdh.redhat.com/app": name}
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": _meta(backstage, name),
        "spec": {
            "replicas": 1,
            "serviceName": name,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
            "volumeClaimTemplates": [claim],
        },
    }


def strategic_merge(base: t.Any, patch: t.Any) -> t.Any:
    """Return `base` with a patch merged in: maps by key, lists of named maps by name, all other values replaced."""
    if isinstance(base, dict) and isinstance(patch, dict):
        result = dict(base)
        for key, value in patch.items():
            if value is None:
                result.pop(key, None)
            else:
                result[key] = strategic_merge(result[key], value) if key in result else value
        return result
    if isinstance(base, list) and isinstance(patch, list) and patch and all(isinstance(p, dict) for p in base + patch):
        key = next((k for k in _NAME_KEYS if all(k in p for p in base + patch)), None)
        if key:
            merged = {p[key]: p for p in base}
            for p in patch:
                merged[p[key]] = strategic_merge(merged[p[key]], p) if p[key] in merged else p
            return list(merged.values())
    return patch


class _Pod:
    """The Hub's pod while it is put together: a volume for each file, mounted where it belongs."""

    def __init__(self, containers: list[Object], init: list[Object], volumes: list[Object]) -> None:
        self.by_name = {each["name"]: each for each in [*containers, *init]}
        self.volumes = volumes

    def volume(self, kind: str, name: str) -> None:
        """Add a volume from a ConfigMap or Secret of the same name, once."""
        if any(each["name"] == name for each in self.volumes):
            return
        key = "name" if kind == "configMap" else "secretName"
        self.volumes.append({"name": name, kind: {key: name, "optional": False, "defaultMode": 420}})

    def mount(self, where: list[str], volume: str, path: str, file: str | None = None) -> None:
        """Mount a volume, or one file of it, in the named containers (default: the backend)."""
        entry: Object = {"name": volume, "mountPath": path}
        if file:
            entry |= {"subPath": file, "readOnly": True}
        for name in where or [BACKEND]:
            for container in self.named(name):
                container.setdefault("volumeMounts", []).append(entry)

    def named(self, name: str) -> list[Object]:
        """Return the container of this name, all of them for `*`, none for an unknown name."""
        if name == "*":
            return list(self.by_name.values())
        return [self.by_name[name]] if name in self.by_name else []


def deployment(
    backstage: Object,
    rules: Object,
    images: Images,
    external: dict[tuple[str, str], Object],
    config_hash: str,
    *,
    plugins_map: str,
    lightspeed: bool,
) -> Object:
    """Return the Hub's Deployment (or StatefulSet when spec.deployment.kind says so).

    `external` holds the ConfigMaps and Secrets that the custom resource refers to, by kind and name; `plugins_map` is
    the ConfigMap with the plugins to install.
    """
    meta, spec = backstage["metadata"], backstage["spec"]
    application = spec.get("application") or {}
    all_names = names(meta["name"], rules)
    image = application.get("image") or images.hub
    resources = {
        "requests": {"cpu": "250m", "memory": "256Mi"},
        "limits": {"cpu": "1", "memory": "2560Mi", "ephemeral-storage": "5Gi"},
    }
    extensions = [{"name": "extensions-catalog", "mountPath": "/extensions"}] if rules["catalog_index"] else []
    own = (spec.get("database") or {}).get("authSecretName")
    local = (spec.get("database") or {}).get("enableLocalDb", True)

    def probe(which: str, **times: int) -> Object:
        get = {"path": f"/.backstage/health/v1/{which}", "port": "backend", "scheme": "HTTP"}
        return {"httpGet": get, "timeoutSeconds": 4, "failureThreshold": 3, **times}

    backend: Object = {
        "name": BACKEND,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "workingDir": SRC,
        "args": ["--config", "dynamic-plugins-root/app-config.dynamic-plugins.yaml"],
        "env": [{"name": "APP_CONFIG_backend_listen_port", "value": "7007"}],
        "envFrom": [{"secretRef": {"name": own or all_names["secret"]}}] if local else [],
        "ports": [{"name": "backend", "containerPort": 7007, "protocol": "TCP"}],
        "startupProbe": probe("liveness", initialDelaySeconds=30, periodSeconds=20, successThreshold=1),
        "readinessProbe": probe("readiness", periodSeconds=10, successThreshold=2),
        "livenessProbe": probe("liveness", periodSeconds=10, successThreshold=1),
        "resources": copy.deepcopy(resources),
        "securityContext": _security(readOnlyRootFilesystem=True),
        "volumeMounts": [
            {"name": "dynamic-plugins-root", "mountPath": f"{SRC}/dynamic-plugins-root"},
            *extensions,
            {"name": "temp", "mountPath": "/tmp"},
        ],
    }
    install: Object = {
        "name": INSTALLER,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "workingDir": SRC,
        "command": ["./install-dynamic-plugins.sh", "/dynamic-plugins-root"],
        "env": [
            {"name": "NPM_CONFIG_USERCONFIG", "value": f"{SRC}/.npmrc.dynamic-plugins/.npmrc"},
            {"name": "MAX_ENTRY_SIZE", "value": rules["max_entry_size"]},
        ],
        "resources": copy.deepcopy(resources),
        "securityContext": _security(readOnlyRootFilesystem=True),
        "volumeMounts": [
            {"name": "dynamic-plugins-root", "mountPath": "/dynamic-plugins-root"},
            *extensions,
            {"name": "dynamic-plugins-registry-auth", "mountPath": f"{SRC}/.config/containers", "readOnly": True},
            {"name": "npmcacache", "mountPath": f"{SRC}/.npm/_cacache"},
            {"name": "temp", "mountPath": "/tmp"},
        ],
    }
    if rules["catalog_index"]:
        install["env"] += [
            {"name": "CATALOG_INDEX_IMAGE", "value": images.catalog_index},
            {"name": "CATALOG_ENTITIES_EXTRACT_DIR", "value": "/extensions"},
        ]
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "2Gi"}}}
    registry = {"secretName": "dynamic-plugins-registry-auth", "optional": True, "defaultMode": 416}
    volumes: list[Object] = [
        {"name": "dynamic-plugins-root", "ephemeral": {"volumeClaimTemplate": {"spec": claim}}},
        {"name": "dynamic-plugins-registry-auth", "secret": registry},
        *({"name": each["name"], "emptyDir": {}} for each in extensions),
        {"name": "npmcacache", "emptyDir": {}},
        {"name": "temp", "emptyDir": {}},
    ]
    containers, init = [backend], [install]
    if lightspeed:
        containers.append(_lightspeed_container())
        init.append(_rag_container())
        volumes += [{"name": "shared-storage", "emptyDir": {}}, {"name": "rag-data-volume", "emptyDir": {}}]

    pod = _Pod(containers, init, volumes)
    pod.volume("configMap", all_names["app_config"])
    pod.mount([], all_names["app_config"], f"{SRC}/default.app-config.yaml", "default.app-config.yaml")
    backend["args"] += ["--config", f"{SRC}/default.app-config.yaml"]
    if lightspeed:
        for short, file in LIGHTSPEED_FILES:
            name = f"backstage-files-{meta['name']}-{short}"
            pod.volume("configMap", name)
            pod.mount(["lightspeed-core"], name, f"/app-root/{file}", file)
    pod.volume("configMap", plugins_map)
    pod.mount([INSTALLER], plugins_map, f"{SRC}/dynamic-plugins.yaml", "dynamic-plugins.yaml")
    pod.volume("secret", all_names["npmrc"])
    pod.mount([INSTALLER], all_names["npmrc"], f"{SRC}/.npmrc.dynamic-plugins")
    _external_config(application, external, pod, backend)

    labels = {"rhdh.redhat.com/app": all_names["hub"]}
    template: Object = {
        "metadata": {"labels": labels, "annotations": {"rhdh.redhat.com/ext-config-hash": config_hash}},
        "spec": {
            "automountServiceAccountToken": False,
            "containers": containers,
            "initContainers": init,
            "volumes": volumes,
        },
    }
    if application.get("imagePullSecrets"):
        template["spec"]["imagePullSecrets"] = [{"name": each} for each in application["imagePullSecrets"]]
    wanted = spec.get("deployment") or {}
    kind = wanted.get("kind") or "Deployment"
    body: Object = {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": _meta(backstage, all_names["hub"]),
        "spec": {
            "replicas": application.get("replicas") or 1,
            "selector": {"matchLabels": labels},
            "template": template,
        },
    }
    if kind == "StatefulSet":
        body["spec"]["serviceName"] = all_names["hub"]
    return t.cast(Object, strategic_merge(body, wanted["patch"])) if wanted.get("patch") else body


def _external_config(application: Object, external: dict[tuple[str, str], Object], pod: _Pod, backend: Object) -> None:
    """Mount and reference what the user brought: app-configs, files, environment."""
    config = application.get("appConfig") or {}
    for entry in config.get("configMaps") or []:
        pod.volume("configMap", entry["name"])
        files = [entry["key"]] if entry.get("key") else sorted(external["ConfigMap", entry["name"]].get("data") or {})
        for file in files:
            path = f"{entry.get('mountPath') or config.get('mountPath') or SRC}/{file}"
            pod.mount([], entry["name"], path, file)
            backend["args"] += ["--config", path]
    extra = application.get("extraFiles") or {}
    for kind, volume_kind, entries in (
        ("ConfigMap", "configMap", extra.get("configMaps")),
        ("Secret", "secret", extra.get("secrets")),
    ):
        for entry in entries or []:
            pod.volume(volume_kind, entry["name"])
            base = entry.get("mountPath") or extra.get("mountPath") or SRC
            where = entry.get("containers") or []
            if entry.get("mountPath") and not entry.get("key"):
                pod.mount(where, entry["name"], base)
                continue
            for file in [entry["key"]] if entry.get("key") else sorted(external[kind, entry["name"]].get("data") or {}):
                pod.mount(where, entry["name"], f"{base}/{file}", file)
    for entry in extra.get("pvcs") or []:
        pod.volumes.append({"name": entry["name"], "persistentVolumeClaim": {"claimName": entry["name"]}})
        base = entry.get("mountPath") or f"{extra.get('mountPath') or SRC}/{entry['name']}"
        pod.mount(entry.get("containers") or [], entry["name"], base)
    env = application.get("extraEnvs") or {}
    for entry in env.get("envs") or []:
        for name in entry.get("containers") or [BACKEND]:
            for container in pod.named(name):
                container.setdefault("env", []).append({"name": entry["name"], "value": entry["value"]})
    for reference, entries in (("configMap", env.get("configMaps")), ("secret", env.get("secrets"))):
        for entry in entries or []:
            for name in entry.get("containers") or [BACKEND]:
                for container in pod.named(name):
                    if entry.get("key"):
                        value = {f"{reference}KeyRef": {"name": entry["name"], "key": entry["key"]}}
                        container.setdefault("env", []).append({"name": entry["key"], "valueFrom": value})
                    else:
                        container.setdefault("envFrom", []).append({f"{reference}Ref": {"name": entry["name"]}})


def _lightspeed_container() -> Object:
    return {
        "name": "lightspeed-core",
        "image": LIGHTSPEED_IMAGE,
        "imagePullPolicy": "Always",
        "ports": [{"name": "lcs-backend", "containerPort": 8080, "protocol": "TCP"}],
        "resources": {"requests": {"cpu": "100m", "memory": "512Mi"}, "limits": {"cpu": "1", "memory": "2Gi"}},
        "volumeMounts": [
            {"name": "shared-storage", "mountPath": "/tmp/data/feedback"},
            {"name": "rag-data-volume", "mountPath": "/rag-content"},
            {"name": "temp", "mountPath": "/tmp"},
        ],
    }


def _rag_container() -> Object:
    return {
        "name": "init-rag-data",
        "image": RAG_IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "command": ["sh", "-c", "cp -r /rag/. /data/"],
        "resources": {"requests": {"cpu": "50m", "memory": "150Mi"}, "limits": {"cpu": "100m", "memory": "500Mi"}},
        "volumeMounts": [{"name": "rag-data-volume", "mountPath": "/data"}],
    }
