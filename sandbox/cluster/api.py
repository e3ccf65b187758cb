"""A small client of the API server for the sandbox's own work: apply, read, wait. Standard library only."""

from __future__ import annotations

import http.client
import json
import ssl
import time
import typing as t
import urllib.parse
from pathlib import Path

Object = dict[str, t.Any]

# Kinds that the sandbox itself writes: plural name, and whether they live in a namespace.
_KINDS: dict[str, tuple[str, bool]] = {
    "APIServer": ("apiservers", False),
    "APIService": ("apiservices", False),
    "CatalogSource": ("catalogsources", True),
    "ClusterRole": ("clusterroles", False),
    "ClusterVersion": ("clusterversions", False),
    "ConfigMap": ("configmaps", True),
    "CustomResourceDefinition": ("customresourcedefinitions", False),
    "EndpointSlice": ("endpointslices", True),
    "Infrastructure": ("infrastructures", False),
    "Ingress": ("ingresses", False),
    "Namespace": ("namespaces", False),
    "Node": ("nodes", False),
    "OLMConfig": ("olmconfigs", False),
    "OperatorGroup": ("operatorgroups", True),
    "OperatorHub": ("operatorhubs", False),
    "Proxy": ("proxies", False),
    "Secret": ("secrets", True),
    "Service": ("services", True),
    "StorageClass": ("storageclasses", False),
}


class ApiError(Exception):
    """The API server refused a request: `status` is the HTTP status, the text its message."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status


def path_of(obj: Object) -> str:
    """Return the REST path of an object of a kind that the sandbox writes."""
    plural, namespaced = _KINDS[obj["kind"]]
    version = obj["apiVersion"]
    base = f"/apis/{version}" if "/" in version else f"/api/{version}"
    name = urllib.parse.quote(obj["metadata"]["name"])
    where = f"/namespaces/{obj['metadata']['namespace']}" if namespaced else ""
    return f"{base}{where}/{plural}/{name}"


class Client:
    """Talks to 127.0.0.1:`port` with a bearer token. Not for use by several threads at once."""

    def __init__(self, port: int, token: str, ca: Path, timeout: float = 30.0) -> None:
        self._context = ssl.create_default_context(cafile=str(ca))
        self._port, self._token, self._timeout = port, token, timeout
        self._connection: http.client.HTTPSConnection | None = None

    def request(self, method: str, path: str, body: t.Any = None, content_type: str = "application/json") -> t.Any:
        """Return the decoded answer (text when it is no JSON). Raises ApiError from status 400 on, else OSError."""
        headers = {"Authorization": f"Bearer {self._token}", "Accept": "application/json", "User-Agent": "sandbox"}
        data = None
        if body is not None:
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            headers["Content-Type"] = content_type
        fresh = self._connection is None
        try:
            status, raw = self._exchange(method, path, data, headers)
        except (OSError, http.client.HTTPException):
            self.close()
            if fresh:
                raise
            # The kept connection was closed in between; once more on a new one.
            status, raw = self._exchange(method, path, data, headers)
        try:
            answer: t.Any = json.loads(raw)
        except ValueError:
            answer = raw.decode(errors="replace")
        if status >= 400:
            message = answer.get("message", "") if isinstance(answer, dict) else str(answer)
            raise ApiError(status, f"{method} {path}: {message[:600]}")
        return answer

    def _exchange(self, method: str, path: str, data: bytes | None, headers: dict[str, str]) -> tuple[int, bytes]:
        if self._connection is None:
            self._connection = http.client.HTTPSConnection(
                "127.0.0.1", self._port, timeout=self._timeout, context=self._context
            )
        self._connection.request(method, path, body=data, headers=headers)
        response = self._connection.getresponse()
        return response.status, response.read()

    def close(self) -> None:
        """Close the connection; the next request opens a new one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def ready(self) -> bool:
        """Say whether the API server answers and calls itself ready."""
        try:
            self.request("GET", "/readyz")
        except (ApiError, OSError, http.client.HTTPException):
            return False
        return True

    def get(self, path: str) -> Object | None:
        """Return the object or list at `path`, or None when there is none."""
        try:
            return t.cast(Object, self.request("GET", path))
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    def apply(self, obj: Object, *, subresource: str = "") -> Object:
        """Create or change an object by server-side apply; `subresource` may be `/status`."""
        path = f"{path_of(obj)}{subresource}?fieldManager=sandbox&force=true"
        return t.cast(Object, self.request("PATCH", path, obj, "application/apply-patch+yaml"))

    def apply_with_status(self, obj: Object) -> None:
        """Apply an object, and its status (a subresource) when it has one."""
        self.apply(obj)
        if obj.get("status"):
            self.apply(obj, subresource="/status")


def wait_for(what: str, check: t.Callable[[], bool], deadline: float, interval: float = 0.1) -> None:
    """Call `check` until it returns True. Raises TimeoutError after `deadline` (time.monotonic)."""
    while True:
        try:
            if check():
                return
        except (OSError, http.client.HTTPException, ApiError) as error:
            reason = f" (last answer: {error})"
        else:
            reason = ""
        if time.monotonic() >= deadline:
            raise TimeoutError(f"{what}: not within the time allowed{reason}")
        time.sleep(interval)
