"""A small asynchronous Kubernetes client for the stand-ins: plain JSON objects, no discovery, little memory."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import ssl
import tempfile
import typing as t
from pathlib import Path

import aiohttp
import yaml

Object = dict[str, t.Any]

# kind -> (plural, namespaced); everything that the stand-ins touch
KINDS: dict[str, tuple[str, bool]] = {
    "AppProject": ("appprojects", True),
    "Backstage": ("backstages", True),
    "Broker": ("brokers", True),
    "ClusterRole": ("clusterroles", False),
    "ClusterRoleBinding": ("clusterrolebindings", False),
    "ConfigMap": ("configmaps", True),
    "CustomResourceDefinition": ("customresourcedefinitions", False),
    "Deployment": ("deployments", True),
    "Event": ("events", True),
    "HorizontalPodAutoscaler": ("horizontalpodautoscalers", True),
    "Job": ("jobs", True),
    "KnativeEventing": ("knativeeventings", True),
    "KnativeKafka": ("knativekafkas", True),
    "KnativeServing": ("knativeservings", True),
    "Lease": ("leases", True),
    "Namespace": ("namespaces", False),
    "NetworkPolicy": ("networkpolicies", True),
    "Pipeline": ("pipelines", True),
    "Pod": ("pods", True),
    "Role": ("roles", True),
    "RoleBinding": ("rolebindings", True),
    "Route": ("routes", True),
    "Secret": ("secrets", True),
    "Service": ("services", True),
    "ServiceAccount": ("serviceaccounts", True),
    "ServiceMonitor": ("servicemonitors", True),
    "SinkBinding": ("sinkbindings", True),
    "SonataFlow": ("sonataflows", True),
    "SonataFlowClusterPlatform": ("sonataflowclusterplatforms", False),
    "SonataFlowPlatform": ("sonataflowplatforms", True),
    "StatefulSet": ("statefulsets", True),
    "Task": ("tasks", True),
    "Trigger": ("triggers", True),
}


class ApiError(Exception):
    """The API server refused a request: `code` is the HTTP status, the text is the server's message."""

    def __init__(self, code: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason


class NoKind(ApiError):
    """The API server does not serve the kind at all (its CRD is missing)."""

    def __init__(self, api_version: str, kind: str) -> None:
        super().__init__(404, "NoKindMatch", f'no matches for kind "{kind}" in version "{api_version}"')


class Connection(t.NamedTuple):
    """Where the API server is and how to talk to it, as read from a kubeconfig."""

    server: str
    tls: ssl.SSLContext | None
    headers: dict[str, str]
    ca_data: str | None
    token: str | None
    certificate: str | None
    key: str | None
    insecure: bool


def read_kubeconfig(path: str | None = None) -> Connection:
    """Return the current context's connection. `path` defaults to $KUBECONFIG. Raises KeyError or OSError."""
    text = Path(path or os.environ["KUBECONFIG"]).read_text(encoding="utf-8")
    config = yaml.safe_load(text)
    names = {c["name"]: c["context"] for c in config["contexts"]}
    context = names[config["current-context"]]
    cluster = next(c["cluster"] for c in config["clusters"] if c["name"] == context["cluster"])
    user = next(u["user"] for u in config["users"] if u["name"] == context["user"]) or {}

    def data(where: Object, key: str) -> str | None:
        if where.get(f"{key}-data"):
            return base64.b64decode(where[f"{key}-data"]).decode()
        return Path(where[key]).read_text(encoding="utf-8") if where.get(key) else None

    authority, certificate, key = data(cluster, "certificate-authority"), None, None
    certificate, key = data(user, "client-certificate"), data(user, "client-key")
    insecure = bool(cluster.get("insecure-skip-tls-verify"))
    token = user.get("token")
    if not token and user.get("tokenFile"):
        token = Path(user["tokenFile"]).read_text(encoding="utf-8").strip()
    tls = None
    if cluster["server"].startswith("https:"):
        tls = ssl.create_default_context(cadata=authority)
        if insecure:
            tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
        if certificate and key:
            with tempfile.NamedTemporaryFile("w", suffix=".pem") as pair:
                pair.write(certificate + "\n" + key)
                pair.flush()
                tls.load_cert_chain(pair.name)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return Connection(cluster["server"].rstrip("/"), tls, headers, authority, token, certificate, key, insecure)


def path_of(api_version: str, kind: str, namespace: str | None = None, name: str | None = None) -> str:
    """Return the REST path of a collection or an object."""
    plural, namespaced = KINDS[kind]
    path = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
    if namespaced and namespace:
        path += f"/namespaces/{namespace}"
    path += f"/{plural}"
    return f"{path}/{name}" if name else path


class Api:
    """Reads and writes of one stand-in. `manager` is the field manager of every write, `agent` the User-Agent."""

    def __init__(self, manager: str, agent: str) -> None:
        self.manager = manager
        self._agent = agent
        self._connection = read_kubeconfig()
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close the connections."""
        if self._session:
            await self._session.close()

    async def request(
        self,
        method: str,
        path: str,
        body: t.Any = None,
        *,
        content_type: str = "application/json",
        params: dict[str, str] | None = None,
    ) -> Object:
        """Send one request and return the answer; connection errors and 429 are tried again for 30 s."""
        if self._session is None:
            limit = aiohttp.ClientTimeout(total=35)
            self._session = aiohttp.ClientSession(timeout=limit, headers={"User-Agent": self._agent})
        data = None if body is None else json.dumps(body)
        for attempt in range(30):
            headers = {**self._connection.headers, "Content-Type": content_type}
            url = self._connection.server + path
            try:
                async with self._session.request(
                    method, url, data=data, params=params, headers=headers, ssl=self._connection.tls or False
                ) as answer:
                    text = await answer.text()
                    code = answer.status
            except (TimeoutError, aiohttp.ClientConnectionError):
                if attempt == 29:
                    raise
                await asyncio.sleep(1)
                continue
            if code == 401 and attempt == 0:
                self._connection = read_kubeconfig()  # the token was renewed
                continue
            if code == 429 and attempt < 29:
                await asyncio.sleep(1)
                continue
            break
        try:
            result: Object = json.loads(text)
        except ValueError:
            result = {"message": text.strip()}
        if code >= 400:
            raise ApiError(code, result.get("reason", ""), result.get("message", text))
        return result

    async def _object(
        self, method: str, meta: tuple[str, str, str | None, str | None], body: t.Any = None, **options: t.Any
    ) -> Object:
        try:
            return await self.request(method, options.pop("path", None) or path_of(*meta), body, **options)
        except ApiError as error:
            missing_kind = error.code == 404 and (
                "could not find the requested resource" in str(error) or "page not found" in str(error)
            )
            if missing_kind:
                raise NoKind(meta[0], meta[1]) from error
            raise

    async def get(self, api_version: str, kind: str, namespace: str | None, name: str) -> Object | None:
        """Return the object, or None when it does not exist. Raises NoKind when the kind is not served."""
        try:
            return await self._object("GET", (api_version, kind, namespace, name))
        except NoKind:
            raise
        except ApiError as error:
            if error.code == 404:
                return None
            raise

    async def list(self, api_version: str, kind: str, namespace: str | None = None, labels: str = "") -> list[Object]:
        """Return all objects of a kind, in one namespace or in all, with apiVersion and kind filled in."""
        answer = await self._object(
            "GET", (api_version, kind, namespace, None), params={"labelSelector": labels} if labels else None
        )
        return [{"apiVersion": api_version, "kind": kind, **item} for item in answer.get("items") or []]

    async def create(self, body: Object, manager: str = "") -> Object:
        """Create an object, as `manager` when given. Raises ApiError with code 409 when it exists."""
        meta = body["metadata"]
        return await self._object(
            "POST",
            (body["apiVersion"], body["kind"], meta.get("namespace"), None),
            body,
            params={"fieldManager": manager or self.manager},
        )

    async def replace(self, body: Object, subresource: str = "") -> Object:
        """Replace an object (PUT); its resourceVersion is checked when given."""
        meta = body["metadata"]
        where = (body["apiVersion"], body["kind"], meta.get("namespace"), meta["name"])
        path = path_of(*where) + (f"/{subresource}" if subresource else "")
        return await self._object("PUT", where, body, path=path, params={"fieldManager": self.manager})

    async def patch(self, target: Object, change: Object, subresource: str = "") -> Object:
        """Merge-patch the object that `target` names; a patch that changes nothing is not stored by the server."""
        meta = target["metadata"]
        where = (target["apiVersion"], target["kind"], meta.get("namespace"), meta["name"])
        return await self._object(
            "PATCH",
            where,
            change,
            path=path_of(*where) + (f"/{subresource}" if subresource else ""),
            content_type="application/merge-patch+json",
            params={"fieldManager": self.manager},
        )

    async def apply(self, body: Object, manager: str = "") -> Object:
        """Server-side apply, as `manager` when given, taking over fields of others by force."""
        meta = body["metadata"]
        return await self._object(
            "PATCH",
            (body["apiVersion"], body["kind"], meta.get("namespace"), meta["name"]),
            body,
            content_type="application/apply-patch+yaml",
            params={"fieldManager": manager or self.manager, "force": "true"},
        )

    async def delete(self, api_version: str, kind: str, namespace: str | None, name: str) -> bool:
        """Delete in the background; False when there was nothing."""
        try:
            await self._object(
                "DELETE",
                (api_version, kind, namespace, name),
                {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"},
            )
        except NoKind:
            raise
        except ApiError as error:
            if error.code == 404:
                return False
            raise
        return True

    async def add_finalizer(self, body: Object, finalizer: str) -> Object:
        """Add a finalizer at the end of the list unless it is there or the object is being deleted."""
        present = body["metadata"].get("finalizers") or []
        if finalizer in present or body["metadata"].get("deletionTimestamp"):
            return body
        change = {
            "metadata": {"finalizers": [*present, finalizer], "resourceVersion": body["metadata"]["resourceVersion"]}
        }
        return await self.patch(body, change)

    async def drop_finalizer(self, body: Object, finalizer: str) -> None:
        """Remove a finalizer; nothing happens when it is not there or the object is gone."""
        present = body["metadata"].get("finalizers") or []
        if finalizer not in present:
            return
        rest = [name for name in present if name != finalizer]
        change = {"metadata": {"finalizers": rest or None, "resourceVersion": body["metadata"]["resourceVersion"]}}
        try:
            await self.patch(body, change)
        except ApiError as error:
            if error.code != 404:
                raise
