"""What an empty OpenShift cluster holds: CRDs, OpenShift's own objects, nodes, the catalog source. Applied once."""

from __future__ import annotations

import hashlib
import json
import re
import typing as t
from pathlib import Path

import yaml

from sandbox.cluster import programs
from sandbox.cluster.api import ApiError, Client, Object, wait_for
from sandbox.cluster.tools import Tools
from sandbox.paths import Instance

MANIFESTS = Path(__file__).with_name("manifests")
_CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_MARK = "/api/v1/namespaces/kube-system/configmaps/sandbox-base"
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def openshift_objects(instance: Instance) -> list[Object]:
    """Return OpenShift's own objects for this sandbox, in the order in which they are to be applied."""
    version = programs.openshift_version(instance)
    state = instance.state
    values = {
        "openshift_version": version,
        "openshift_minor": ".".join(version.split(".")[:2]),
        "apps_domain": programs.APPS_DOMAIN,
        "apiserver_port": str(state["ports"]["apiserver"]),
        "opm_port": str(state["ports"]["opm"]),
    }
    text = (MANIFESTS / "openshift.yaml").read_text(encoding="utf-8")
    for key, value in values.items():
        text = text.replace("${" + key + "}", value)
    return list(yaml.load_all(text, Loader=_Loader))


def custom_resources() -> list[Object]:
    """Return the CRDs of OpenShift's own kinds."""
    return list(yaml.load_all((MANIFESTS / "openshift-crds.yaml").read_text(encoding="utf-8"), Loader=_Loader))


def apply(client: Client, instance: Instance, tools: Tools, deadline: float) -> bool:
    """Bring the cluster's own objects up to date; return False when they were so already.

    `deadline` is in time.monotonic seconds. Raises TimeoutError or ApiError.
    """
    objects, crds = openshift_objects(instance), custom_resources()
    sources = sorted(tools.crds.glob("*.yaml"))
    # Two marks: ports that moved change a few objects, and installing the CRDs again takes seconds.
    wanted = {
        "crds": _digest(json.dumps(crds).encode(), *(source.read_bytes() for source in sources)),
        "objects": _digest(json.dumps(objects).encode()),
    }
    mark = (client.get(_MARK) or {}).get("data", {})
    if mark == wanted:
        return False
    if mark.get("crds") != wanted["crds"]:
        # The configuration CRDs come first: OLM's watch of the proxy never syncs when its kind appears after OLM.
        for crd in crds:
            client.apply(crd)
        names = [crd["metadata"]["name"] for crd in crds] + [_install_crd(client, source) for source in sources]
        wait_for("the CRDs of OpenShift and OLM are established", lambda: _established(client, names), deadline)
    for obj in objects:
        _apply_when_served(client, obj, deadline)
    metadata = {"name": "sandbox-base", "namespace": "kube-system"}
    client.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": wanted})
    return True


def _digest(*parts: bytes) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


def _install_crd(client: Client, source: Path) -> str:
    """Send a CRD as it is in its file: parsing the largest ones would take longer than installing them."""
    content = source.read_bytes()
    found = re.search(rb"^  name: (\S+)$", content, re.MULTILINE)
    if not found:
        raise ValueError(f"{source} holds no CRD")
    name = found.group(1).decode()
    try:
        client.request("POST", f"{_CRDS}?fieldManager=sandbox", content, "application/yaml")
    except ApiError as error:
        if error.status != 409:
            raise
        client.request(
            "PATCH", f"{_CRDS}/{name}?fieldManager=sandbox&force=true", content, "application/apply-patch+yaml"
        )
    return name


def _established(client: Client, names: t.Iterable[str]) -> bool:
    found = {crd["metadata"]["name"]: crd for crd in (client.get(_CRDS) or {}).get("items", [])}
    for name in names:
        conditions = (found.get(name, {}).get("status") or {}).get("conditions") or []
        if not any(item["type"] == "Established" and item["status"] == "True" for item in conditions):
            return False
    return True


def _apply_when_served(client: Client, obj: Object, deadline: float) -> None:
    """Apply an object; the API server answers 404 for a moment after a CRD was established."""

    def attempt() -> bool:
        try:
            client.apply_with_status(obj)
        except ApiError as error:
            if error.status == 404:
                return False
            raise
        return True

    wait_for(f"{obj['kind']} {obj['metadata']['name']} is accepted", attempt, deadline)


def point_nodes(client: Client, port: int) -> None:
    """Let the API server ask for logs at the port of this start, which the nodes' status may not have yet.

    It is another one after a port was taken by others, and where a snapshot of another sandbox was put back.
    """
    for node in (client.get("/api/v1/nodes") or {}).get("items", []):
        path = f"/api/v1/nodes/{node['metadata']['name']}/status"
        endpoint = {"kubeletEndpoint": {"Port": port}}
        if (node.get("status") or {}).get("daemonEndpoints") not in (None, {}, endpoint):
            change = {"status": {"daemonEndpoints": endpoint}}
            client.request("PATCH", path, change, "application/merge-patch+json")


def catalog_is_ready(client: Client) -> bool:
    """Say whether OLM is connected to the catalog."""
    path = "/apis/operators.coreos.com/v1alpha1/namespaces/openshift-marketplace/catalogsources/redhat-operators"
    source = client.get(path) or {}
    state = source.get("status", {}).get("connectionState", {})
    return state.get("lastObservedState") == "READY" and state.get("address") == source["spec"]["address"]


def served_packages(client: Client) -> set[str]:
    """Return the names of the packages that the packageserver serves now; empty while it does not answer."""
    path = "/apis/packages.operators.coreos.com/v1/namespaces/openshift-marketplace/packagemanifests"
    try:
        items = (client.get(path) or {}).get("items", [])
    except ApiError as error:
        if error.status in (500, 503):
            return set()
        raise
    return {item["metadata"]["name"] for item in items}
