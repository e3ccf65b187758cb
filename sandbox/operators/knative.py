"""Stand-in for the OpenShift Knative operator: KnativeServing and KnativeEventing.

A new custom resource has no status at all while its manifests are applied; then everything turns True in one write, or
`DeploymentsAvailable` is False first while pods are missing. Its CRDs appear with it and stay when it goes. An error is
never final: it is tried again.

Settings besides those of `_common` (operators.knative.*):
install_seconds            time in which a new resource has no status (default 3; the product takes 12 to 30)
ready_seconds              time from then until the deployments count as available (default 0)
transient_error_seconds    time for which the installation first reports an error of its webhook (default 0)
uninstall_seconds          time that a deletion takes (default 2)
"""

from __future__ import annotations

import asyncio
import os
import time
import typing as t
from pathlib import Path

import yaml

from sandbox.operators._api import ApiError, Object
from sandbox.operators._common import Key, Operator, condition_of, controller_of, now, owner_of, start

GROUP, VERSION = "operator.knative.dev", "v1beta1"
API = f"{GROUP}/{VERSION}"
KNATIVE = "1.17"
REGISTRY = "registry.redhat.io/openshift-serverless-1"
CRDS = Path(__file__).parent.parent / "catalog" / "crds" / "operands"
CONDITIONS = ("DependenciesInstalled", "DeploymentsAvailable", "InstallSucceeded", "Ready", "VersionMigrationEligible")
INGRESS = "knative-serving-ingress"
HA = -1  # stands for the replicas that high availability asks for
PLAYED = ("eventing-controller", "eventing-webhook")


class Kind(t.NamedTuple):
    """What one custom resource installs. Deployments: namespace, name, image, replicas."""

    kind: str
    namespace: str
    finalizer: str
    title: str
    crds: str
    manifests: list[str]
    deployments: list[tuple[str, str, str, int]]


EVENTING = Kind(
    "KnativeEventing",
    "knative-eventing",
    "knativeeventings.operator.knative.dev",
    "Knative Eventing",
    "eventing.yaml",
    ["knative-eventing/latest"],
    [
        ("knative-eventing", "eventing-controller", "kn-eventing-controller-rhel8", HA),
        ("knative-eventing", "eventing-istio-controller", "kn-eventing-istio-controller-rhel8", 0),
        ("knative-eventing", "eventing-webhook", "kn-eventing-webhook-rhel8", 1),
        ("knative-eventing", "imc-controller", "kn-eventing-channel-controller-rhel8", HA),
        ("knative-eventing", "imc-dispatcher", "kn-eventing-channel-dispatcher-rhel8", HA),
        ("knative-eventing", "job-sink", "kn-eventing-jobsink-rhel8", HA),
        ("knative-eventing", "mt-broker-controller", "kn-eventing-mtchannel-broker-rhel8", HA),
        ("knative-eventing", "mt-broker-filter", "kn-eventing-filter-rhel8", 1),
        ("knative-eventing", "mt-broker-ingress", "kn-eventing-ingress-rhel8", 1),
        ("knative-eventing", "pingsource-mt-adapter", "kn-eventing-mtping-rhel8", 0),
    ],
)
SERVING = Kind(
    "KnativeServing",
    "knative-serving",
    "knativeservings.operator.knative.dev",
    "Knative Serving",
    "serving.yaml",
    ["knative-serving/latest", "ingress/latest/kourier"],
    [
        ("knative-serving", "activator", "kn-serving-activator-rhel8", 1),
        ("knative-serving", "autoscaler", "kn-serving-autoscaler-rhel8", HA),
        ("knative-serving", "autoscaler-hpa", "kn-serving-autoscaler-hpa-rhel8", HA),
        ("knative-serving", "controller", "kn-serving-controller-rhel8", HA),
        ("knative-serving", "webhook", "kn-serving-webhook-rhel8", 1),
        (INGRESS, "3scale-kourier-gateway", "net-kourier-gateway-rhel8", HA),
        (INGRESS, "net-kourier-controller", "net-kourier-kourier-rhel8", HA),
    ],
)
# what the played operand controllers may do, as far as their stand-ins need it
_RULES: dict[str, list[Object]] = {
    "eventing-controller": [
        {"apiGroups": ["eventing.knative.dev"], "resources": ["*"], "verbs": ["*"]},
        {"apiGroups": [""], "resources": ["services"], "verbs": ["get", "list", "watch"]},
        {"apiGroups": [""], "resources": ["events"], "verbs": ["create", "get", "patch"]},
        {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["get", "create", "update", "patch"]},
    ],
    "eventing-webhook": [
        {"apiGroups": ["sources.knative.dev"], "resources": ["*"], "verbs": ["*"]},
        {"apiGroups": ["eventing.knative.dev"], "resources": ["brokers"], "verbs": ["get", "list", "watch"]},
        {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get", "list", "watch", "patch"]},
        {"apiGroups": [""], "resources": ["services", "namespaces"], "verbs": ["get", "list", "watch", "patch"]},
        {"apiGroups": [""], "resources": ["events"], "verbs": ["create", "get", "patch"]},
    ],
}


def conditions(state: t.Mapping[str, tuple[str, str, str]], old: Object) -> list[Object]:
    """Return the five conditions in alphabetical order; `state` maps a type to status, reason, message."""
    result = []
    for kind in CONDITIONS:
        status, reason, message = state.get(kind, ("True", "", ""))
        before = condition_of(old, kind)
        since = before["lastTransitionTime"] if before.get("status") == status else now()
        entry = {"type": kind, "status": status, "lastTransitionTime": since}
        entry |= {key: value for key, value in (("reason", reason), ("message", message)) if value}
        result.append(entry)
    return result


def failed(message: str, available: str = "Unknown") -> dict[str, tuple[str, str, str]]:
    """Return the state of an installation that reports an error."""
    error = ("False", "Error", f"Install failed with message: {message}")
    unknown = ("Unknown", "", "")
    return {
        "DependenciesInstalled": unknown,
        "DeploymentsAvailable": (available, "", ""),
        "InstallSucceeded": error,
        "Ready": error,
    }


def waiting(names: list[str]) -> dict[str, tuple[str, str, str]]:
    """Return the state of an installation whose deployments are not available yet."""
    unknown = ("Unknown", "", "")
    not_ready = ("False", "NotReady", f"Waiting on deployments: {', '.join(names)}")
    return {
        "DependenciesInstalled": unknown,
        "DeploymentsAvailable": not_ready,
        "InstallSucceeded": unknown,
        "Ready": not_ready,
    }


def deployment(owner: Object, kind: Kind, row: tuple[str, str, str, int], replicas: int, tag: str) -> Object:
    """Return one operand Deployment."""
    namespace, name, image, count = row
    labels = {
        "app.kubernetes.io/component": name,
        "app.kubernetes.io/name": kind.namespace,
        "app.kubernetes.io/version": f"v{KNATIVE}",
        "bindings.knative.dev/exclude": "true",
    }
    if count == HA:
        labels["knative.dev/high-availability"] = "true"
    container: Object = {
        "name": name,
        "image": f"{REGISTRY}/{image}:{tag}",
        "env": [{"name": "SYSTEM_NAMESPACE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}}],
        "resources": {"requests": {"cpu": "100m", "memory": "100Mi"}},
    }
    if name in PLAYED:
        container["readinessProbe"] = {"httpGet": {"path": "/readyz", "port": 8081}, "periodSeconds": 5}
    if name == "eventing-webhook":
        container["env"].append({"name": "SINK_BINDING_SELECTION_MODE", "value": "inclusion"})
        container["resources"] = {
            "requests": {"cpu": "100m", "memory": "50Mi"},
            "limits": {"cpu": "200m", "memory": "1Gi"},
        }
    meta: Object = {"name": name, "namespace": namespace, "labels": labels}
    if namespace == owner["metadata"]["namespace"]:
        meta["ownerReferences"] = [owner_of(owner)]
    template = {
        "metadata": {"labels": {**labels, "app": name}},
        "spec": {"serviceAccountName": name if name in PLAYED else "default", "containers": [container]},
    }
    wanted = replicas if count == HA else count
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": meta,
        "spec": {"replicas": wanted, "selector": {"matchLabels": {"app": name}}, "template": template},
    }


def access(namespace: str, name: str) -> list[Object]:
    """Return ServiceAccount, ClusterRole and binding of a played operand controller."""
    rbac = "rbac.authorization.k8s.io"
    subject = {"kind": "ServiceAccount", "name": name, "namespace": namespace}
    reference = {"apiGroup": rbac, "kind": "ClusterRole", "name": f"knative-{name}"}
    role = {"apiVersion": f"{rbac}/v1", "kind": "ClusterRole", "metadata": {"name": f"knative-{name}"}}
    binding = {"apiVersion": f"{rbac}/v1", "kind": "ClusterRoleBinding", "metadata": {"name": name}}
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": namespace}},
        {**role, "rules": _RULES[name]},
        {**binding, "roleRef": reference, "subjects": [subject]},
    ]


class Knative:
    """The controllers of both kinds."""

    def __init__(self, operator: Operator, tag: str) -> None:
        self._op, self._api, self._tag = operator, operator.api, tag
        self._since: dict[tuple[str, str], float] = {}  # moments by UID and name
        self._queues = {kind.kind: operator.queue(self._worker(kind)) for kind in (SERVING, EVENTING)}

    def watch(self) -> None:
        """Register what is watched."""
        for kind, plural in ((SERVING, "knativeservings"), (EVENTING, "knativeeventings")):
            queue = self._queues[kind.kind]
            self._op.watch(queue, GROUP, VERSION, plural)
            self._op.watch(queue, "apps", "v1", "deployments", self._owner(kind))

    @staticmethod
    def _owner(kind: Kind) -> t.Callable[[t.Mapping[str, t.Any]], Key | None]:
        return lambda body: controller_of(body, kind.kind)

    def _worker(self, kind: Kind) -> t.Callable[[Key], t.Awaitable[float | None]]:
        async def work(key: Key) -> float | None:
            return await self.reconcile(kind, key)

        return work

    def _elapsed(self, uid: str, what: str) -> float:
        """Return the seconds since this was asked first for a resource."""
        present = time.monotonic()
        return present - self._since.setdefault((uid, what), present)

    async def reconcile(self, kind: Kind, key: Key) -> float | None:
        """One pass over a KnativeServing or KnativeEventing."""
        body = await self._api.get(API, kind.kind, *key)
        if body is None:
            return None
        if body["metadata"].get("deletionTimestamp"):
            return await self._remove(kind, body)
        body = await self._api.add_finalizer(body, kind.finalizer)
        if key[0] != kind.namespace:
            text = f'{kind.title} must be installed into the namespace "{kind.namespace}"'
            await self._say(body, failed(text))
            return 30
        uid = body["metadata"]["uid"]
        fresh = not (body.get("status") or {}).get("conditions")
        if fresh:
            left = float(self._op.setting("install_seconds", 3)) - self._elapsed(uid, "install")
            if left > 0:
                await self._install(kind, body)
                return left
        await self._install(kind, body)
        error_left = float(self._op.setting("transient_error_seconds", 0)) - self._elapsed(uid, "error")
        if error_left > 0 and condition_of(body, "Ready").get("status") != "True":
            hook = "webhook.serving.knative.dev" if kind is SERVING else "webhook.eventing.knative.dev"
            text = f'Internal error occurred: failed calling webhook "{hook}": no endpoints available for service'
            await self._say(body, failed(text, "True"))
            return error_left
        missing = await self._unavailable(kind, body)
        left = float(self._op.setting("ready_seconds", 0)) - self._elapsed(uid, "ready")
        if left > 0 and condition_of(body, "Ready").get("status") != "True":
            missing = missing or [row[1] for row in kind.deployments[:1]]
        if missing:
            await self._say(body, waiting(missing))
            return max(left, 1.0)
        manifests = [f"/kodata/{each}" for each in kind.manifests]
        await self._say(body, {}, version=KNATIVE, manifests=manifests)
        return None

    async def _say(self, body: Object, state: t.Mapping[str, tuple[str, str, str]], **more: t.Any) -> None:
        status = {"conditions": conditions(state, body), "observedGeneration": body["metadata"]["generation"], **more}
        await self._api.patch(body, {"status": status}, "status")

    async def _install(self, kind: Kind, body: Object) -> None:
        text = (CRDS / kind.crds).read_text(encoding="utf-8")
        for crd in yaml.safe_load_all(text):
            if crd:
                await self._api.apply(crd)
        for each in [name for _, name, _, _ in kind.deployments if name in PLAYED]:
            for wanted in access(kind.namespace, each):
                await self._api.apply(wanted)
        replicas = (body["spec"].get("high-availability") or {}).get("replicas", 2) if body.get("spec") else 2
        for row in kind.deployments:
            await self._api.apply(deployment(body, kind, row, replicas, self._tag))

    async def _unavailable(self, kind: Kind, body: Object) -> list[str]:
        names = []
        for namespace, name, _, _ in kind.deployments:
            found = await self._api.get("apps/v1", "Deployment", namespace, name)
            if not found or condition_of(found, "Available").get("status") != "True":
                names.append(name)
        return names

    async def _remove(self, kind: Kind, body: Object) -> float | None:
        """Take away the deployments; CRDs and what was made with them stay."""
        if kind.finalizer not in (body["metadata"].get("finalizers") or []):
            return None
        for namespace, name, _, _ in kind.deployments if body["metadata"]["namespace"] == kind.namespace else []:
            await self._api.delete("apps/v1", "Deployment", namespace, name)
        left = float(self._op.setting("uninstall_seconds", 2)) - self._elapsed(body["metadata"]["uid"], "remove")
        if left > 0:
            return left
        await self._api.drop_finalizer(body, kind.finalizer)
        return None


async def own_tag(operator: Operator) -> str:
    """Return the tag of this process's own image: operands have the operator's version."""
    for attempt in range(5):
        try:
            namespace, name = os.environ.get("POD_NAMESPACE", ""), os.environ.get("POD_NAME", "")
            pod = await operator.api.get("v1", "Pod", namespace, name) if name else None
        except ApiError:
            await asyncio.sleep(attempt)
            continue
        return str(pod["spec"]["containers"][0]["image"].rpartition(":")[2]) if pod else "latest"
    return "latest"


async def main() -> None:
    """Run the stand-in until it is told to stop."""
    operator = Operator("knative")
    Knative(operator, await own_tag(operator)).watch()
    await operator.run()


if __name__ == "__main__":
    start(main)
