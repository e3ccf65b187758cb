"""What test_platform.py does to the cluster, how it calls the module, and the waits that people write instead."""

from __future__ import annotations

import base64
import contextlib
import copy
import dataclasses
import datetime
import json
import threading
import time
import typing as t
import uuid

import psycopg

from sandbox import audit, settings
from sandbox.cluster import lifecycle
from sandbox.cluster.api import ApiError, Client
from sandbox.paths import Instance

Object = dict[str, t.Any]
NAME = "sonataflow-platform"
SHORT = 6  # seconds for a wait that is to time out
HUB, HUB_NAME = "rhdh", "developer-hub"  # the namespace and the Backstage of the install playbook
SERVER = f"backstage-psql-{HUB_NAME}"
DATABASE = "backstage_plugin_orchestrator"
SECRET = f"backstage-psql-secret-{HUB_NAME}"
SIMULATED = "registry.example.com/simulated:1"  # no player: ready at once, answers nothing
SERVICES = ("data-index-service", "jobs-service")
OPERATORS = {  # player: namespace, and how its pods' names begin
    "hub": ("rhdh-operator", "rhdh-operator"),
    "logic": ("openshift-serverless-logic", "logic-operator"),
    "eventing-controller": ("knative-eventing", "eventing-controller"),
    "eventing-webhook": ("knative-eventing", "eventing-webhook"),
}
KINDS = {  # kind: (group and version, plural)
    "Namespace": ("v1", "namespaces"),
    "Secret": ("v1", "secrets"),
    "Pod": ("v1", "pods"),
    "Service": ("v1", "services"),
    "ResourceQuota": ("v1", "resourcequotas"),
    "Deployment": ("apps/v1", "deployments"),
    "ReplicaSet": ("apps/v1", "replicasets"),
    "Job": ("batch/v1", "jobs"),
    "Broker": ("eventing.knative.dev/v1", "brokers"),
    "Trigger": ("eventing.knative.dev/v1", "triggers"),
    "SinkBinding": ("sources.knative.dev/v1", "sinkbindings"),
    "Backstage": ("rhdh.redhat.com/v1alpha5", "backstages"),
    "SonataFlow": ("sonataflow.org/v1alpha08", "sonataflows"),
    "SonataFlowPlatform": ("sonataflow.org/v1alpha08", "sonataflowplatforms"),
    "SonataFlowClusterPlatform": ("sonataflow.org/v1alpha08", "sonataflowclusterplatforms"),
    "CustomResourceDefinition": ("apiextensions.k8s.io/v1", "customresourcedefinitions"),
    "ServiceAccount": ("v1", "serviceaccounts"),
    "NetworkPolicy": ("networking.k8s.io/v1", "networkpolicies"),
    "ValidatingAdmissionPolicy": ("admissionregistration.k8s.io/v1", "validatingadmissionpolicies"),
    "ValidatingAdmissionPolicyBinding": ("admissionregistration.k8s.io/v1", "validatingadmissionpolicybindings"),
    "ValidatingWebhookConfiguration": ("admissionregistration.k8s.io/v1", "validatingwebhookconfigurations"),
    "ClusterRole": ("rbac.authorization.k8s.io/v1", "clusterroles"),
    "RoleBinding": ("rbac.authorization.k8s.io/v1", "rolebindings"),
}
PLATFORM = "SonataFlowPlatform"
OPTIONS: Object = {
    "name": NAME,
    "state": "present",
    "managed_by": "self",
    "hub_name": HUB_NAME,
    "database": None,
    "data_index": None,
    "job_service": None,
    "monitoring": None,
    "eventing": None,
    "migration": None,
    "cluster_platform": None,
    "network_policies": False,
    "workflow_namespaces": [],
    "probe": False,
    "with_workflows": False,
    "wait": True,
    "wait_timeout": 60,
}
SIMULATE: Object = {"data_index": {"image": SIMULATED}, "job_service": {"image": SIMULATED}}


@dataclasses.dataclass
class Outcome:
    """How one call of the module ended: `ok`, `refused` (before the first write) or `failed`."""

    ending: str
    message: str
    result: Object
    seconds: float
    writes: list[str]  # `verb URI` of each request that changed something, from the API server's audit log
    warnings: list[str]

    @property
    def reasons(self) -> set[str]:
        """The reasons of the targets that were not ready in the end."""
        targets = self.result["wait"]["targets"].values()
        return {target["reason"] for target in targets if target["state"] != "ready"}

    def told(self, reason: str) -> bool:
        """Whether the timeline has a reason."""
        return any(entry["reason"] == reason for entry in self.result["timeline"])


class Fake:
    """What the module's function needs of AnsibleModule."""

    def __init__(self, params: Object, check: bool) -> None:
        self.params, self.check_mode = params, check
        self.warnings: list[str] = []
        self.warn = self.warnings.append


def where(kind: str, namespace: str | None = None, name: str | None = None, subresource: str = "") -> str:
    """REST path of a kind."""
    version, plural = KINDS[kind]
    parts = ["", "apis" if "/" in version else "api", version]
    parts += ["namespaces", namespace] if namespace else []
    parts += [part for part in (plural, name, subresource) if part]
    return "/".join(parts)


class Hands:
    """Everything is done with the sandbox's own client, which the audit log leaves out; only module calls are in it."""

    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        self._clients = threading.local()

    @property
    def api(self) -> Client:
        """A client of this thread."""
        if not hasattr(self._clients, "api"):
            self._clients.api = lifecycle.client(self.instance)
        return t.cast(Client, self._clients.api)

    def get(self, kind: str, name: str, namespace: str | None = None) -> Object | None:
        """An object, or None."""
        return self.api.get(where(kind, namespace, name))

    def there(self, kind: str, name: str, namespace: str | None = None) -> Object:
        """An object that must exist."""
        found = self.get(kind, name, namespace)
        assert found is not None, f"{kind} {namespace}/{name} is missing"
        return found

    def all(self, kind: str, namespace: str | None = None) -> list[Object]:
        """All objects of a kind."""
        return list((self.api.get(where(kind, namespace)) or {}).get("items", []))

    def create(self, kind: str, name: str, namespace: str | None = None, **content: t.Any) -> Object:
        """Create an object."""
        metadata = {"name": name, **({"namespace": namespace} if namespace else {}), **content.pop("metadata", {})}
        body = {"apiVersion": KINDS[kind][0], "kind": kind, "metadata": metadata, **content}
        return t.cast(Object, self.api.request("POST", where(kind, namespace), body))

    def patch(self, kind: str, name: str, namespace: str | None, change: Object, subresource: str = "") -> Object:
        """Merge-patch an object."""
        path = where(kind, namespace, name, subresource)
        return t.cast(Object, self.api.request("PATCH", path, change, "application/merge-patch+json"))

    def delete(self, kind: str, name: str, namespace: str | None = None) -> None:
        """Delete an object if it is there."""
        with contextlib.suppress(ApiError):
            self.api.request("DELETE", where(kind, namespace, name))

    def until(self, what: str, look: t.Callable[[], t.Any], seconds: float = 60) -> t.Any:
        """Call `look` until it is true and return its answer."""
        end = time.monotonic() + seconds
        while True:
            with contextlib.suppress(OSError, ApiError):
                if answer := look():
                    return answer
            assert time.monotonic() < end, f"not within {seconds:.0f} s: {what}"
            time.sleep(0.1)

    # -- the stack -------------------------------------------------------------------------------------------------

    def namespace(self, name: str) -> str:
        """A new namespace with the credentials of the Hub's PostgreSQL."""
        self.create("Namespace", name)
        self.create("Secret", "db", name, data=self.there("Secret", SECRET, HUB)["data"])
        return name

    def clean(self, name: str) -> None:
        """Take the platforms of a namespace away, and it."""
        for kind in ("SonataFlow", PLATFORM, "Broker", "Backstage"):
            for found in self.all(kind, name):
                self.delete(kind, found["metadata"]["name"], name)
        self.delete("Namespace", name)

    def platform(self, name: str, namespace: str, **spec: t.Any) -> Object:
        """A platform as somebody makes it by hand, with simulated pods."""
        block = {"podTemplate": {"container": {"image": SIMULATED}}}
        spec.setdefault("services", {"dataIndex": copy.deepcopy(block), "jobService": copy.deepcopy(block)})
        owner = spec.pop("owner", None)
        return self.create(PLATFORM, name, namespace, spec=spec, metadata={"ownerReferences": [owner]} if owner else {})

    def broker(self, name: str, namespace: str) -> Object:
        """A Broker that becomes ready by itself."""
        return self.create("Broker", name, namespace, spec={})

    def succeeded(self, name: str, namespace: str) -> Object:
        """Wait until a platform says that it succeeded."""
        return t.cast(
            Object,
            self.until(f"{name} Succeed", lambda: naive_succeed(p := self.there(PLATFORM, name, namespace)) and p),
        )

    def available(self, name: str, namespace: str) -> None:
        """Wait until both Deployments of a platform have ready pods."""

        def look() -> bool:
            found = [self.get("Deployment", f"{name}-{service}", namespace) for service in SERVICES]
            return all(((each or {}).get("status") or {}).get("readyReplicas") for each in found)

        self.until(f"{namespace}/{name} runs", look)

    def workflow(self, name: str, namespace: str) -> Object:
        """A workflow with a simulated pod."""
        flow = {"start": "a", "states": [{"name": "a", "type": "inject", "data": {}, "end": True}]}
        spec = {"flow": flow, "podTemplate": {"container": {"image": SIMULATED}}}
        metadata = {"annotations": {"sonataflow.org/profile": "gitops"}}
        return self.create("SonataFlow", name, namespace, metadata=metadata, spec=spec)

    def deployments_of(self, platform: str, namespace: str) -> list[Object]:
        """The Deployments of a platform's services."""
        return [self.there("Deployment", f"{platform}-{service}", namespace) for service in SERVICES]

    def deployments(self, namespace: str) -> list[Object]:
        """The Deployments of a namespace."""
        return self.all("Deployment", namespace)

    def revisions(self, name: str, namespace: str) -> list[int]:
        """How often each service of a platform was rolled out."""
        found = self.deployments_of(name, namespace)
        return [int(each["metadata"]["annotations"]["deployment.kubernetes.io/revision"]) for each in found]

    def set(self, **values: t.Any) -> None:
        """Change switches of the sandbox; `__` stands for the dot in their names, `_` for the dash in a service's."""
        changes = {key.replace("__", ".").replace("data_index", "data-index"): v for key, v in values.items()}
        settings.update(self.instance.settings_file, changes)

    @contextlib.contextmanager
    def setting(self, **values: t.Any) -> t.Iterator[None]:
        """Run with some switches."""
        self.set(**values)
        try:
            yield
        finally:
            self.set(**dict.fromkeys(values))

    @contextlib.contextmanager
    def stopped(self, operator: str) -> t.Iterator[None]:
        """Run without an operator, to its last breath; it runs again afterwards."""
        namespace, prefix = OPERATORS[operator]

        def alive() -> bool:
            pods = [pod for pod in self.all("Pod", namespace) if pod["metadata"]["name"].startswith(prefix)]
            states = [each for pod in pods for each in pod["status"].get("containerStatuses") or []]
            return any("running" in (each.get("state") or {}) for each in states)

        switch = "runtime.stopped_players"  # what `sandbox operator off` sets, without starting a program for it
        before = settings.get(switch, [], self.instance.settings_file)
        settings.update(self.instance.settings_file, {switch: [*before, operator]})
        try:
            self.until(f"{operator} has stopped", lambda: not alive())
            yield
        finally:
            settings.update(self.instance.settings_file, {switch: before or None})
            self.until(f"{operator} runs again", alive)

    def password(self, secret: str = SECRET, namespace: str = HUB) -> str:
        """The password in a Hub's Secret."""
        return base64.b64decode(self.there("Secret", secret, namespace)["data"]["POSTGRES_PASSWORD"]).decode()

    def sql(self, text: str, password: str = "", service: str = SERVER, namespace: str = HUB) -> None:
        """Run a statement on a Hub's PostgreSQL as its superuser, with the password of the Secret or another one."""
        table = json.loads(self.instance.dns_file.read_text(encoding="utf-8"))
        (server,) = next(found for name, found in table.items() if name.startswith(f"{service}.{namespace}:"))
        host, _, port = server.rpartition(":")
        login = {"host": host, "port": int(port), "user": "postgres", "password": password or self.password()}
        with psycopg.connect(**login, dbname="postgres", autocommit=True) as connection:
            connection.execute(t.cast(t.LiteralString, text))

    def age(self, kind: str, name: str, namespace: str) -> float:
        """Seconds since an object was made."""
        made = datetime.datetime.fromisoformat(self.there(kind, name, namespace)["metadata"]["creationTimestamp"])
        return (datetime.datetime.now(datetime.UTC) - made).total_seconds()

    # -- the module ------------------------------------------------------------------------------------------------

    def call(self, namespace: str, *, check: bool = False, kubeconfig: str = "", **options: t.Any) -> Outcome:
        """Call the module's function in this process, as the module does; a database is given unless the Hub's is."""
        import kubernetes.config
        from ansible_collections.rhdh.orchestrator.plugins.module_utils._api import Session
        from ansible_collections.rhdh.orchestrator.plugins.module_utils._module import InputError, WaitFailed
        from ansible_collections.rhdh.orchestrator.plugins.modules import sonataflow_platform

        params = {**OPTIONS, "namespace": namespace, **copy.deepcopy(options)}
        if params["managed_by"] == "self" and "database" not in options:
            params["database"] = database()
        agent, mark = f"trap/{uuid.uuid4().hex}", audit.mark(self.instance.audit_log)
        module = Fake(params, check)
        client = kubernetes.config.new_client_from_config(kubeconfig or str(self.instance.kubeconfig))
        client.user_agent = agent
        session = Session(client, check_mode=check, deadline=time.monotonic() + params["wait_timeout"])
        started = time.monotonic()
        ending, message, result = "ok", "", {}
        try:
            result = sonataflow_platform.bring_about(module, session)
        except InputError as exc:
            ending, message, result = "refused", "\n".join(exc.problems), {"problems": exc.problems, **exc.extra}
        except WaitFailed as exc:
            ending, message = "failed", str(exc)
            result = {"wait": exc.result.to_dict(), "timeline": exc.result.timeline, **exc.extra}
        seconds = time.monotonic() - started
        time.sleep(0.3)  # an answer comes before its line in the audit log
        with self.instance.audit_log.open("rb") as stream:
            stream.seek(mark)
            events = [json.loads(line) for line in stream if agent.encode() in line and line.endswith(b"\n")]
        writes = [
            f"{event['verb']} {event['requestURI']}"
            for event in events
            if audit.is_mutating(event) and event["responseStatus"]["code"] < 400
        ]
        return Outcome(ending, message, result, seconds, writes, module.warnings)

    @contextlib.contextmanager
    def calling(self, namespace: str, **options: t.Any) -> t.Iterator[list[Outcome]]:
        """Call the module beside the body; its outcome is in the list afterwards."""
        found: list[Outcome] = []
        thread = threading.Thread(target=lambda: found.append(self.call(namespace, **options)))
        thread.start()
        try:
            yield found
        finally:
            thread.join()


def database(**more: t.Any) -> Object:
    """The Hub's PostgreSQL, described as one of somebody else's."""
    secret = {"name": "db", "user_key": "POSTGRES_USER", "password_key": "POSTGRES_PASSWORD"}
    return {"service": SERVER, "service_namespace": HUB, "port": 5432, "name": DATABASE, "secret": secret, **more}


# -- what people write instead ----------------------------------------------------------------------------------------


def said(obj: Object, kind: str) -> bool:
    """Whether a condition is True, whatever else the object says."""
    found = (obj.get("status") or {}).get("conditions") or []
    return any(each["type"] == kind and each["status"] == "True" for each in found)


def naive_succeed(platform: Object) -> bool:
    """`oc wait sonataflowplatform --for=condition=Succeed`."""
    return said(platform, "Succeed")


def naive_available(deployments: list[Object]) -> bool:
    """`oc wait deployment --all --for=condition=Available`."""
    return bool(deployments) and all(said(each, "Available") for each in deployments)


def naive_ready(deployments: list[Object]) -> bool:
    """kubernetes.core's own `wait: true`, by its own code."""
    from ansible_collections.kubernetes.core.plugins.module_utils.k8s.waiter import deployment_ready
    from kubernetes.dynamic.resource import ResourceInstance

    instance: t.Any = ResourceInstance
    return bool(deployments) and all(
        deployment_ready(instance(None, {"kind": "Deployment", **each})) for each in deployments
    )


# -- judging a call ---------------------------------------------------------------------------------------------------


def ok(done: Outcome, changed: bool) -> Outcome:
    """It ended well, and changed something or not."""
    assert done.ending == "ok", done.message
    assert done.result["changed"] is changed, done.writes
    assert changed or done.writes == []
    return done


def ended(done: Outcome, ending: str, *texts: str) -> Outcome:
    """It did not end well, and the message says all of this and is short."""
    assert done.ending == ending, (done.message, done.result)
    missing = [text for text in texts if text not in done.message]
    assert not missing, f"{missing} not in: {done.message}"
    assert len(done.message.splitlines()) <= 15
    assert ending != "refused" or done.writes == []
    return done


def fooled(hands: Hands, name: str, namespace: str, *, deployments: bool = True) -> None:
    """The platform says that it succeeded, and what Deployments there are look well: naive waits end here."""
    assert naive_succeed(hands.there(PLATFORM, name, namespace))
    if deployments:
        found = [each for each in hands.deployments(namespace) if each["metadata"]["name"].startswith(f"{name}-")]
        assert naive_available(found)
        assert naive_ready(found)
