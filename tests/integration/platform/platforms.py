"""The cluster of the tests of sonataflow_platform, how they call it, and the waits that people write instead."""

from __future__ import annotations

import base64
import contextlib
import copy
import datetime
import typing as t

from tests.toolkit import modules
from tests.toolkit.cluster import Cluster, Object, condition
from tests.toolkit.modules import Outcome

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
    "delete_adopted": False,
    "wait": True,
    "wait_timeout": 60,
}
SIMULATE: Object = {"data_index": {"image": SIMULATED}, "job_service": {"image": SIMULATED}}


class PlatformCluster(Cluster):
    """The cluster, with what a platform needs and has."""

    def namespace(self, name: str) -> str:
        """Create a namespace with the credentials of the Hub's PostgreSQL."""
        self.create("Namespace", name)
        self.create("Secret", "db", name, data=self.there("Secret", SECRET, HUB)["data"])
        return name

    def clean(self, name: str) -> None:
        """Delete the platforms of a namespace, and it."""
        self.delete_namespaces(name, kinds=("SonataFlow", PLATFORM, "Broker", "Backstage"))

    def platform(self, name: str, namespace: str, **spec: t.Any) -> Object:
        """A platform created by hand, with simulated pods."""
        block = {"podTemplate": {"container": {"image": SIMULATED}}}
        spec.setdefault("services", {"dataIndex": copy.deepcopy(block), "jobService": copy.deepcopy(block)})
        owner = spec.pop("owner", None)
        owners = {"ownerReferences": [owner]} if owner else {}
        return self.create(PLATFORM, name, namespace, spec=spec, **owners)

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
        annotations = {"sonataflow.org/profile": "gitops"}
        return self.create("SonataFlow", name, namespace, annotations=annotations, spec=spec)

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

    @contextlib.contextmanager
    def stopped(self, operator: str) -> t.Iterator[None]:
        """Run without an operator, to its last breath; it runs again afterwards."""
        namespace, prefix = OPERATORS[operator]

        switch = "runtime.stopped_players"  # what `sandbox operator off` sets, without starting a program for it
        self.change(switch, lambda stopped: [*(stopped or []), operator])
        try:
            self.until(f"{operator} has stopped", lambda: not self.running(namespace, prefix))
            yield
        finally:
            self.change(switch, lambda stopped: [name for name in stopped if name != operator] or None)
            self.until(f"{operator} runs again", lambda: self.running(namespace, prefix))

    def password(self, secret: str = SECRET, namespace: str = HUB) -> str:
        """The password in a Hub's Secret."""
        return base64.b64decode(self.there("Secret", secret, namespace)["data"]["POSTGRES_PASSWORD"]).decode()

    def sql(self, text: str, password: str = "", service: str = SERVER, namespace: str = HUB) -> None:
        """Run a statement on a Hub's PostgreSQL as its superuser, with the password of the Secret or another one."""
        with self.connect(service, namespace, password or self.password()) as connection:
            connection.execute(t.cast(t.LiteralString, text))

    def age(self, kind: str, name: str, namespace: str) -> float:
        """Seconds since an object was made."""
        made = datetime.datetime.fromisoformat(self.there(kind, name, namespace)["metadata"]["creationTimestamp"])
        return (datetime.datetime.now(datetime.UTC) - made).total_seconds()

    # -- the module ------------------------------------------------------------------------------------------------

    def call(self, namespace: str, *, check: bool = False, kubeconfig: str = "", **options: t.Any) -> Outcome:
        """Call the module's function in this process; a database is given unless the Hub's is."""
        params = {**OPTIONS, "namespace": namespace, **copy.deepcopy(options)}
        if params["managed_by"] == "self" and "database" not in options:
            params["database"] = database()
        return modules.call(
            self, "sonataflow_platform", "sonataflow_platform", params, check=check, kubeconfig=kubeconfig
        )

    def calling(self, namespace: str, **options: t.Any) -> t.ContextManager[list[Outcome]]:
        """Call the module beside the body; its outcome is in the list afterwards."""
        return modules.beside(lambda: self.call(namespace, **options))


def database(**more: t.Any) -> Object:
    """The Hub's PostgreSQL, described as an external one."""
    secret = {"name": "db", "user_key": "POSTGRES_USER", "password_key": "POSTGRES_PASSWORD"}
    return {"service": SERVER, "service_namespace": HUB, "port": 5432, "name": DATABASE, "secret": secret, **more}


def with_broker(name: str, namespace: str | None = None, **more: t.Any) -> Object:
    return {**SIMULATE, "eventing": {"broker": {"name": name, "namespace": namespace}}, **more}


# -- what people write instead ----------------------------------------------------------------------------------------


def naive_succeed(platform: Object) -> bool:
    """`oc wait sonataflowplatform --for=condition=Succeed`."""
    return condition(platform, "Succeed")


def naive_available(deployments: list[Object]) -> bool:
    """`oc wait deployment --all --for=condition=Available`."""
    return bool(deployments) and all(condition(each, "Available") for each in deployments)


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


def fooled(cluster: PlatformCluster, name: str, namespace: str, *, deployments: bool = True) -> None:
    """The platform says that it succeeded, and what Deployments there are look well: naive waits end here."""
    assert naive_succeed(cluster.there(PLATFORM, name, namespace))
    if deployments:
        found = [each for each in cluster.deployments(namespace) if each["metadata"]["name"].startswith(f"{name}-")]
        assert naive_available(found)
        assert naive_ready(found)
