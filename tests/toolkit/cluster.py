"""The cluster of one sandbox, as a test changes and sees it.

Everything is done with the sandbox's own client, which the audit log leaves out: what a test sees there is the work of
the collection. Only `kubectl` is in it, as the same user.
"""

from __future__ import annotations

import contextlib
import json
import re
import secrets
import subprocess
import threading
import time
import typing as t
import urllib.parse
from pathlib import Path

import psycopg
import yaml

from sandbox import audit, settings
from sandbox.cluster import lifecycle, supervise, tools
from sandbox.cluster.api import ApiError, Client
from sandbox.paths import Instance
from tests.toolkit import slots
from tests.toolkit.wait import until

Object = dict[str, t.Any]

KINDS = {  # kind: (group and version, plural)
    "Backstage": ("rhdh.redhat.com/v1alpha5", "backstages"),
    "Broker": ("eventing.knative.dev/v1", "brokers"),
    "CatalogSource": ("operators.coreos.com/v1alpha1", "catalogsources"),
    "ClusterRole": ("rbac.authorization.k8s.io/v1", "clusterroles"),
    "ClusterRoleBinding": ("rbac.authorization.k8s.io/v1", "clusterrolebindings"),
    "ClusterServiceVersion": ("operators.coreos.com/v1alpha1", "clusterserviceversions"),
    "ConfigMap": ("v1", "configmaps"),
    "CustomResourceDefinition": ("apiextensions.k8s.io/v1", "customresourcedefinitions"),
    "Deployment": ("apps/v1", "deployments"),
    "EndpointSlice": ("discovery.k8s.io/v1", "endpointslices"),
    "Event": ("v1", "events"),
    "InstallPlan": ("operators.coreos.com/v1alpha1", "installplans"),
    "Job": ("batch/v1", "jobs"),
    "KnativeEventing": ("operator.knative.dev/v1beta1", "knativeeventings"),
    "KnativeServing": ("operator.knative.dev/v1beta1", "knativeservings"),
    "Namespace": ("v1", "namespaces"),
    "NetworkPolicy": ("networking.k8s.io/v1", "networkpolicies"),
    "OperatorCondition": ("operators.coreos.com/v2", "operatorconditions"),
    "OperatorGroup": ("operators.coreos.com/v1", "operatorgroups"),
    "PackageManifest": ("packages.operators.coreos.com/v1", "packagemanifests"),
    "PersistentVolumeClaim": ("v1", "persistentvolumeclaims"),
    "Pod": ("v1", "pods"),
    "ReplicaSet": ("apps/v1", "replicasets"),
    "ResourceQuota": ("v1", "resourcequotas"),
    "Role": ("rbac.authorization.k8s.io/v1", "roles"),
    "RoleBinding": ("rbac.authorization.k8s.io/v1", "rolebindings"),
    "Route": ("route.openshift.io/v1", "routes"),
    "Secret": ("v1", "secrets"),
    "Service": ("v1", "services"),
    "ServiceAccount": ("v1", "serviceaccounts"),
    "SinkBinding": ("sources.knative.dev/v1", "sinkbindings"),
    "SonataFlow": ("sonataflow.org/v1alpha08", "sonataflows"),
    "SonataFlowClusterPlatform": ("sonataflow.org/v1alpha08", "sonataflowclusterplatforms"),
    "SonataFlowPlatform": ("sonataflow.org/v1alpha08", "sonataflowplatforms"),
    "StatefulSet": ("apps/v1", "statefulsets"),
    "Subscription": ("operators.coreos.com/v1alpha1", "subscriptions"),
    "Trigger": ("eventing.knative.dev/v1", "triggers"),
    "ValidatingAdmissionPolicy": ("admissionregistration.k8s.io/v1", "validatingadmissionpolicies"),
    "ValidatingAdmissionPolicyBinding": ("admissionregistration.k8s.io/v1", "validatingadmissionpolicybindings"),
    "ValidatingWebhookConfiguration": ("admissionregistration.k8s.io/v1", "validatingwebhookconfigurations"),
}
METADATA = ("labels", "annotations", "ownerReferences")
AUDIT_DELAY = 0.3  # seconds: an answer comes before its line in the audit log
_SETTINGS = threading.Lock()  # read, change, write


def where(kind: str, namespace: str | None = None, name: str | None = None, subresource: str = "") -> str:
    """REST path of a kind."""
    version, plural = KINDS[kind]
    parts = ["", "apis" if "/" in version else "api", version]
    parts += ["namespaces", namespace] if namespace else []
    parts += [part for part in (plural, name, subresource) if part]
    return "/".join(parts)


def unique(words: str, prefix: str = "t") -> str:
    """A name for a namespace that nobody has used, with words that tell what it is for."""
    plain = re.sub(r"[^a-z0-9]+", "-", words.lower())[:40].strip("-")
    return f"{prefix}-{plain}-{secrets.token_hex(2)}"


def condition(obj: Object | None, kind: str) -> bool:
    """Whether a condition is True, whatever else the object says."""
    found = ((obj or {}).get("status") or {}).get("conditions") or []
    return any(each["type"] == kind and each["status"] == "True" for each in found)


class Cluster:
    """The cluster of one sandbox."""

    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        self._clients = threading.local()

    @property
    def api(self) -> Client:
        """A client of this thread."""
        if not hasattr(self._clients, "api"):
            self._clients.api = lifecycle.client(self.instance)
        return t.cast(Client, self._clients.api)

    @property
    def collections(self) -> Path:
        """The folder of the built and installed collection."""
        return slots.collections()

    # -- objects ---------------------------------------------------------------------------------------------------

    def get(self, kind: str, name: str, namespace: str | None = None) -> Object | None:
        """An object, or None."""
        return self.api.get(where(kind, namespace, name))

    def there(self, kind: str, name: str, namespace: str | None = None) -> Object:
        """An object that must exist."""
        found = self.get(kind, name, namespace)
        assert found is not None, f"{kind} {namespace}/{name} is missing"
        return found

    def all(self, kind: str, namespace: str | None = None, selector: str = "") -> list[Object]:
        """All objects of a kind, or those with a label."""
        query = f"?labelSelector={urllib.parse.quote(selector)}" if selector else ""
        return list((self.api.get(where(kind, namespace) + query) or {}).get("items", []))

    def pod_log(self, pod: str, namespace: str, previous: bool = False) -> str:
        """What the container of a pod has printed, in this life or in the one before; empty when there is none."""
        path = f"{where('Pod', namespace, pod, 'log')}?previous={str(previous).lower()}"
        with contextlib.suppress(ApiError):
            return str(self.api.request("GET", path))
        return ""

    def create(self, kind: str, name: str, namespace: str | None = None, **content: t.Any) -> Object:
        """Create an object; labels, annotations and ownerReferences are metadata, `status` is written after it."""
        if kind == "Namespace":  # that an earlier run has deleted, on a sandbox that was kept
            self.until(f"namespace {name} of before is gone", lambda: not self._goes(name))
        metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
        metadata |= {key: content.pop(key) for key in METADATA if key in content}
        body = {"apiVersion": KINDS[kind][0], "kind": kind, "metadata": metadata, **content}
        created = self.api.request("POST", where(kind, namespace), body)
        if "status" in content:
            created = self.patch(kind, name, namespace, {"status": content["status"]}, "status")
        return t.cast(Object, created)

    def _goes(self, namespace: str) -> bool:
        found = self.get("Namespace", namespace)
        return bool(found and found["metadata"].get("deletionTimestamp"))

    def post(self, path: str, body: Object) -> Object:
        """Create an object of any kind."""
        return t.cast(Object, self.api.request("POST", path, body))

    def patch(self, kind: str, name: str, namespace: str | None, change: Object, subresource: str = "") -> Object:
        """Merge-patch an object."""
        path = where(kind, namespace, name, subresource)
        return t.cast(Object, self.api.request("PATCH", path, change, "application/merge-patch+json"))

    def delete(self, kind: str, name: str, namespace: str | None = None, **options: t.Any) -> None:
        """Delete an object if it is there."""
        with contextlib.suppress(ApiError):
            self.api.request("DELETE", where(kind, namespace, name), options or None)

    def apply(self, objects: t.Sequence[Object]) -> None:
        """Create or change objects of any kind, by kubectl's server-side apply."""
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})
        self.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", given=text)

    def until(self, what: str, look: t.Callable[[], t.Any], seconds: float = 120) -> t.Any:
        """Call `look` until it is true and return its answer."""
        return until(what, look, seconds)

    def running(self, namespace: str, prefix: str) -> list[str]:
        """Names of the pods that begin with a prefix and have a container that runs."""
        return [
            pod["metadata"]["name"]
            for pod in self.all("Pod", namespace)
            if pod["metadata"]["name"].startswith(prefix)
            and any("running" in (each.get("state") or {}) for each in pod["status"].get("containerStatuses") or [])
        ]

    def delete_namespaces(self, *names: str, kinds: t.Sequence[str] = ()) -> None:
        """Begin to delete namespaces; objects of `kinds`, which have finalizers, go first."""
        for name in names:
            for kind in kinds:
                for found in self.all(kind, name):
                    self.delete(kind, found["metadata"]["name"], name)
            self.delete("Namespace", name)

    # -- kubectl and kubeconfigs -----------------------------------------------------------------------------------

    def kubectl_command(self, *arguments: str) -> list[str]:
        """The command line of the kubectl that the sandbox has built, as its user."""
        return [
            str(tools.directory() / "bin" / "kubectl"),
            "--kubeconfig",
            str(self.instance.kubeconfig),
            *arguments,
        ]

    def kubectl(self, *arguments: str, given: str | None = None, check: bool = True) -> str:
        """Run kubectl and return its output; `given` is its standard input."""
        done = subprocess.run(
            self.kubectl_command(*arguments), input=given, text=True, capture_output=True, check=False
        )
        assert not check or done.returncode == 0, done.stderr[-2000:]
        return done.stdout

    def kubectl_get(self, *arguments: str) -> Object:
        """`kubectl get` as an object."""
        return t.cast(Object, json.loads(self.kubectl("get", "-o", "json", *arguments)))

    def kubeconfig(self, file: Path, user: Object | None = None, **cluster: t.Any) -> str:
        """Write the sandbox's kubeconfig with another user, or another cluster; return its path."""
        config = yaml.safe_load(self.instance.kubeconfig.read_text(encoding="utf-8"))
        if user:
            config["users"][0]["user"] = user
        config["clusters"][0]["cluster"].update(cluster)
        file.write_text(yaml.safe_dump(config), encoding="utf-8")
        return str(file)

    def token(self, account: str, namespace: str, file: Path) -> str:
        """Write a kubeconfig with a token of a ServiceAccount, which is created if need be; return its path."""
        if self.get("ServiceAccount", account, namespace) is None:
            self.create("ServiceAccount", account, namespace)
        path = where("ServiceAccount", namespace, account, "token")
        answer = self.post(path, {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}})
        return self.kubeconfig(file, user={"token": answer["status"]["token"]})

    # -- what the collection has sent ------------------------------------------------------------------------------

    def mark(self) -> int:
        """A mark in the audit log to count requests from."""
        return audit.mark(self.instance.audit_log)

    def requests(self, mark: int, agent: str = "") -> list[Object]:
        """The finished requests since a mark, of one user agent if it is given."""
        time.sleep(AUDIT_DELAY)
        found = audit.requests(self.instance.audit_log, mark)
        return [event for event in found if not agent or agent in event.get("userAgent", "")]

    def mutating(self, mark: int) -> list[str]:
        """What changed an object since a mark, each as `verb URI`."""
        return t.cast("list[str]", audit.count(self.requests(mark))["mutating"])

    # -- the sandbox -----------------------------------------------------------------------------------------------

    def sandbox(self, *arguments: str) -> str:
        """Run the sandbox's command line."""
        return slots.command(self.instance.name, *arguments)

    def set(self, **values: t.Any) -> None:
        """Change switches of the sandbox; `__` stands for the dot in their names, None removes one."""
        with _SETTINGS:
            settings.update(self.instance.settings_file, {key.replace("__", "."): v for key, v in values.items()})

    def change(self, switch: str, change: t.Callable[[t.Any], t.Any]) -> None:
        """Change a switch to what a function makes of its value, None when it has none."""
        with _SETTINGS:
            value = settings.get(switch, None, self.instance.settings_file)
            settings.update(self.instance.settings_file, {switch: change(value)})

    @contextlib.contextmanager
    def setting(self, **values: t.Any) -> t.Iterator[None]:
        """Run with some switches."""
        self.set(**values)
        try:
            yield
        finally:
            self.set(**dict.fromkeys(values))

    @contextlib.contextmanager
    def without_parts(self, *parts: str) -> t.Iterator[None]:
        """Run with some of the sandbox's parts stopped (`olm`, `catalog`: OLM's two operators; `opm`: the catalog)."""
        supervisor = supervise.Supervisor(self.instance)
        for part in parts:
            supervisor.stop_part(part)
        try:
            yield
        finally:
            for part in parts:
                supervisor.start_part(part)

    # -- databases -------------------------------------------------------------------------------------------------

    def connect(
        self, service: str, namespace: str, password: str, database: str = "postgres", **more: t.Any
    ) -> psycopg.Connection[t.Any]:
        """Log in to the PostgreSQL behind a Service as its superuser, once it is there."""

        def attempt() -> psycopg.Connection[t.Any] | None:
            table = json.loads(self.instance.dns_file.read_text(encoding="utf-8"))
            addresses: list[str] = next(
                (found for name, found in table.items() if name == f"{service}.{namespace}:5432"), []
            )
            if not addresses:
                return None
            host, _, port = addresses[0].rpartition(":")
            with contextlib.suppress(psycopg.OperationalError):
                return psycopg.connect(
                    **{"host": host, "port": port, "user": "postgres", "password": password, **more},
                    dbname=database, autocommit=True, connect_timeout=5,
                )  # fmt: skip
            return None

        return t.cast("psycopg.Connection[t.Any]", self.until(f"server {service}", attempt))
