"""Faults that are a change in the cluster or in its parts: one function each."""

from __future__ import annotations

import base64
import json
import re
import secrets
import time
import typing as t

import psycopg
from psycopg import sql

from sandbox import faults, settings
from sandbox.cluster import lifecycle, ports, supervise
from sandbox.cluster.api import ApiError, Client, Object, wait_for
from sandbox.cluster.errors import SandboxError
from sandbox.faults import rules
from sandbox.paths import Instance

_STOPPED = "runtime.stopped_players"
_BAD_IMAGES = "runtime.bad_images"


def running(instance: Instance) -> supervise.Supervisor:
    """Return the supervisor of a sandbox that is up. Raises SandboxError when it is not."""
    supervisor = supervise.Supervisor(instance)
    if not supervisor.alive():
        raise SandboxError(f"the sandbox {instance.name!r} is not up")
    return supervisor


def add_api_rule(instance: Instance, rule: rules.Rule) -> None:
    """Add a rule to the fault proxy and start the proxy if need be."""
    supervisor = running(instance)
    path = faults.rules_file(instance)
    rules.save(path, [*rules.load(path), rule])
    supervisor.start_part("faults")
    port = instance.state["ports"]["faults"]
    wait_for("the fault proxy listens", lambda: not ports.is_free(port), time.monotonic() + 15)


def clear_api_rules(instance: Instance) -> None:
    """Remove all rules; the proxy stays, and passes everything on."""
    rules.save(faults.rules_file(instance), [])


def api_rules(instance: Instance) -> list[tuple[rules.Rule, int]]:
    """Return the rules and how many requests each has struck."""
    try:
        hits = json.loads(faults.hits_file(instance).read_text(encoding="utf-8"))
    except FileNotFoundError:
        hits = {}
    return [(rule, hits.get(rule.id, 0)) for rule in rules.load(faults.rules_file(instance))]


def stop_catalog(instance: Instance) -> None:
    """Stop the catalog's server: OLM's connection to it ends in TRANSIENT_FAILURE."""
    running(instance).stop_part("opm")


def start_catalog(instance: Instance) -> None:
    """Start the catalog's server again."""
    running(instance).start_part("opm")


def restart_api_server(instance: Instance, timeout: float = 60.0) -> float:
    """Kill the API server, start it again and wait until it is ready; return the seconds without it."""
    supervisor = running(instance)
    started = time.monotonic()
    supervisor.stop_part("apiserver")
    supervisor.start_part("apiserver")
    api = lifecycle.client(instance, timeout=5.0)
    try:
        wait_for("the API server is ready", api.ready, time.monotonic() + timeout)
    except TimeoutError as error:
        raise SandboxError(str(error)) from error
    finally:
        api.close()
    return time.monotonic() - started


def switch_player(instance: Instance, player: str, *, on: bool) -> list[str]:
    """Let the process runtime stop (or play again) what the image table calls `player`; return who is stopped."""
    stopped = set(settings.get(_STOPPED, [], instance.settings_file))
    (stopped.discard if on else stopped.add)(player)
    settings.update(instance.settings_file, {_STOPPED: sorted(stopped) or None})
    return sorted(stopped)


def rotate_secret(instance: Instance, namespace: str, name: str, key: str | None = None) -> list[str]:
    """Replace one value of a Secret, or all whose key speaks of a password, by a random one; return the keys."""
    api = lifecycle.client(instance)
    path = f"/api/v1/namespaces/{namespace}/secrets/{name}"
    secret = api.get(path)
    if secret is None:
        raise SandboxError(f"there is no Secret {namespace}/{name}")
    data = secret.get("data") or {}
    keys = [key] if key else [entry for entry in data if "password" in entry.lower()]
    if not keys or any(entry not in data for entry in keys):
        raise SandboxError(f"Secret {namespace}/{name} has no such key; it has: {', '.join(data) or 'none'}")
    values = {entry: base64.b64encode(secrets.token_urlsafe(18).encode()).decode() for entry in keys}
    api.request("PATCH", path, {"data": values}, "application/merge-patch+json")
    return keys


def drop_database(instance: Instance, namespace: str, service: str, database: str) -> None:
    """Drop a database of the PostgreSQL behind a Service, with its connections.

    Logs in with the password that the pod's Secret holds now, so drop first and rotate afterwards.
    """
    address, port = _endpoint(instance, namespace, service)
    environment = _environment_of(instance, namespace, address)
    user = environment.get("POSTGRES_USER") or "postgres"
    password = environment.get("POSTGRESQL_ADMIN_PASSWORD") or environment.get("POSTGRES_PASSWORD") or ""
    try:
        with psycopg.connect(
            host=address, port=port, user=user, password=password, dbname="postgres", autocommit=True, connect_timeout=5
        ) as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(database)))
    except psycopg.Error as error:
        raise SandboxError(f"database {database!r} of {namespace}/{service} was not dropped: {error}") from error


def _endpoint(instance: Instance, namespace: str, service: str) -> tuple[str, int]:
    try:
        table = json.loads(instance.dns_file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        table = {}
    for name, endpoints in table.items():
        if name.startswith(f"{service}.{namespace}:") and endpoints:
            address, _, port = endpoints[0].rpartition(":")
            return address, int(port)
    raise SandboxError(f"the Service {namespace}/{service} has no ready endpoint that is played by a process")


def _environment_of(instance: Instance, namespace: str, address: str) -> dict[str, str]:
    """Return the environment of the pod that serves a loopback address, as its containers' specifications give it.

    The server's own environment in /proc is no help: PostgreSQL overwrites it.
    """
    api = lifecycle.client(instance)
    pod_ip = "10.98." + address.split(".", 2)[2]
    for pod in (api.get(f"/api/v1/namespaces/{namespace}/pods") or {}).get("items", []):
        if pod.get("status", {}).get("podIP") == pod_ip:
            found: dict[str, str] = {}
            for container in pod["spec"]["containers"]:
                found |= _container_environment(api, namespace, container)
            return found
    raise SandboxError(f"no pod of {namespace} has the address {pod_ip}")


def _container_environment(api: Client, namespace: str, container: Object) -> dict[str, str]:
    def secret(name: str) -> dict[str, str]:
        data = (api.get(f"/api/v1/namespaces/{namespace}/secrets/{name}") or {}).get("data") or {}
        return {key: base64.b64decode(value).decode(errors="replace") for key, value in data.items()}

    found: dict[str, str] = {}
    for source in container.get("envFrom", []):
        if "secretRef" in source:
            found |= secret(source["secretRef"]["name"])
    for variable in container.get("env", []):
        reference = variable.get("valueFrom", {}).get("secretKeyRef")
        if reference:
            found[variable["name"]] = secret(reference["name"]).get(reference["key"], "")
        elif "value" in variable:
            found[variable["name"]] = variable["value"]
    return found


def fail_csv(instance: Instance, name: str, *, fail: bool) -> list[str]:
    """Make the images of a ClusterServiceVersion's Deployments impossible to pull, or possible again; return them.

    Its pods are deleted, so that new ones meet the change. Only images that the process runtime plays can fail so.
    """
    api = lifecycle.client(instance)
    found = api.get("/apis/operators.coreos.com/v1alpha1/clusterserviceversions") or {}
    # Copies in other namespaces carry olm.copiedFrom; the original is the one to break.
    originals = [
        item
        for item in found.get("items", [])
        if item["metadata"]["name"] == name and "olm.copiedFrom" not in item["metadata"].get("labels", {})
    ]
    if not originals:
        raise SandboxError(f"there is no ClusterServiceVersion {name}")
    images: list[str] = []
    bad = set(settings.get(_BAD_IMAGES, [], instance.settings_file))
    for csv in originals:
        for deployment in csv["spec"]["install"]["spec"].get("deployments", []):
            containers = deployment["spec"]["template"]["spec"]["containers"]
            images += [container["image"] for container in containers]
    for image in images:
        (bad.add if fail else bad.discard)(f"^{re.escape(image)}$")
    settings.update(instance.settings_file, {_BAD_IMAGES: sorted(bad) or None})
    for csv in originals:
        _delete_pods(api, csv, images)
    return images


def _delete_pods(api: Client, csv: Object, images: t.Collection[str]) -> None:
    namespace = csv["metadata"]["namespace"]
    for pod in (api.get(f"/api/v1/namespaces/{namespace}/pods") or {}).get("items", []):
        if any(container["image"] in images for container in pod["spec"]["containers"]):
            try:
                api.request("DELETE", f"/api/v1/namespaces/{namespace}/pods/{pod['metadata']['name']}")
            except ApiError as error:
                if error.status != 404:
                    raise
