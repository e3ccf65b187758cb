"""What an install cannot be faster than: its own critical path, walked by plain requests as early as each is possible.

The same outcome as our install (pinned versions, approved plans, a Serverless Logic manager that has seen the eventing
APIs), but no checks and no words: everything is sent at the first moment at which the API server takes it, and the
clock stops when the services answer. It shows what OLM and the operators themselves need.
"""

from __future__ import annotations

import json
import time
import typing as t
from functools import partial
from pathlib import Path

import kubernetes.config

from benchmarks.rows import BenchmarkFailed

LOOK = 0.2  # seconds between looks
LONGEST = 300.0  # seconds
OPERATORS = (
    ("serverless-operator", "openshift-serverless", "stable-1.37", "serverless-operator.v1.37.1"),
    ("logic-operator", "openshift-serverless-logic", "stable", "logic-operator.v1.38.1"),
    ("rhdh", "rhdh-operator", "fast-1.10", "rhdh-operator.v1.10.3"),
)
LOGIC_MANAGER = "logic-operator-controller-manager"
OLM = "/apis/operators.coreos.com/v1alpha1/namespaces"
NAMESPACE = "rhdh"
PLATFORM = f"/apis/sonataflow.org/v1alpha08/namespaces/{NAMESPACE}/sonataflowplatforms/sonataflow-platform"
PROXY = f"/api/v1/namespaces/{NAMESPACE}/services/http:sonataflow-platform-%s-service:80/proxy/q/health/ready"


class Walk:
    """One walk along the critical path of a pristine sandbox."""

    def __init__(self, kubeconfig: Path) -> None:
        client = kubernetes.config.new_client_from_config(str(kubeconfig))
        self._pool, self._host = client.rest_client.pool_manager, client.configuration.host
        settings = client.configuration.auth_settings().values()
        self._headers = {setting["key"]: setting["value"] for setting in settings}

    def call(self, method: str, path: str, body: t.Any = None, kind: str = "apply-patch+yaml") -> tuple[int, t.Any]:
        """Send a request; return the status and the decoded answer (None when it is no JSON)."""
        headers = {**self._headers, "Content-Type": f"application/{kind}"}
        data = json.dumps(body) if body else None
        answer = self._pool.request(method, self._host + path, headers=headers, body=data, retries=False)
        try:
            return answer.status, json.loads(answer.data)
        except ValueError:
            return answer.status, None

    def get(self, path: str) -> dict[str, t.Any]:
        """Return an object; an empty one while it is not there."""
        status, obj = self.call("GET", path)
        return obj if status == 200 and isinstance(obj, dict) else {}

    def apply(self, path: str, kind: str, api_version: str, name: str, spec: t.Any = None) -> bool:
        """Apply an object; False while the API server does not take it."""
        body = {"apiVersion": api_version, "kind": kind, "metadata": {"name": name}}
        if spec is not None:
            body["spec"] = spec
        return self.call("PATCH", f"{path}/{name}?fieldManager=limit&force=true", body)[0] < 300

    def subscribe(self, package: str, namespace: str, channel: str, csv: str) -> bool:
        """Subscribe to a version; False while the API server does not take it."""
        spec = {"name": package, "channel": channel, "startingCSV": csv, "installPlanApproval": "Manual"}
        spec |= {"source": "redhat-operators", "sourceNamespace": "openshift-marketplace"}
        path = f"{OLM}/{namespace}/subscriptions"
        return self.apply(path, "Subscription", "operators.coreos.com/v1alpha1", package, spec)

    def approve(self, package: str, namespace: str) -> bool:
        """Approve the plan of a Subscription; False while there is none to approve."""
        subscription = self.get(f"{OLM}/{namespace}/subscriptions/{package}")
        name = (subscription.get("status") or {}).get("installPlanRef", {}).get("name")
        path = f"{OLM}/{namespace}/installplans/{name}"
        if (self.get(path).get("status") or {}).get("phase") != "RequiresApproval":
            return False
        return self.call("PATCH", path, {"spec": {"approved": True}}, "merge-patch+json")[0] < 300

    def restart_manager(self) -> bool:
        """Delete the pod of the Serverless Logic manager once the eventing APIs are served; False until then."""
        crd = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/sinkbindings.sources.knative.dev"
        if not self.ready(crd, "Established"):
            return False
        pods = f"/api/v1/namespaces/{OPERATORS[1][1]}/pods"
        return self.call("DELETE", f"{pods}?labelSelector=name%3D{LOGIC_MANAGER}")[0] < 300

    def manager_ready(self) -> bool:
        """Tell whether a pod of the manager that is not being deleted is Ready."""
        found = self.get(f"/api/v1/namespaces/{OPERATORS[1][1]}/pods?labelSelector=name%3D{LOGIC_MANAGER}")
        return any(
            condition["type"] == "Ready" and condition["status"] == "True"
            for pod in found.get("items") or []
            if not pod["metadata"].get("deletionTimestamp")
            for condition in pod["status"].get("conditions") or []
        )

    def ready(self, path: str, condition: str) -> bool:
        """Tell whether an object's condition is True."""
        found = (self.get(path).get("status") or {}).get("conditions") or []
        return any(item.get("type") == condition and item.get("status") == "True" for item in found)

    def steps(self) -> t.Iterator[list[t.Callable[[], bool]]]:
        """Yield groups of steps; all of a group have to succeed, in any order, before the next begins."""
        core, olm = "/api/v1/namespaces", "/apis/operators.coreos.com"
        everywhere = [*(operator[1] for operator in OPERATORS), NAMESPACE]
        yield [partial(self.apply, core, "Namespace", "v1", home) for home in everywhere]
        groups, group = f"{olm}/v1/namespaces/%s/operatorgroups", "operators.coreos.com/v1"
        yield [partial(self.apply, groups % home, "OperatorGroup", group, home, {}) for home in everywhere[:-1]]
        yield [partial(self.subscribe, *operator) for operator in OPERATORS]
        yield [partial(self.approve, *operator[:2]) for operator in OPERATORS]
        knative, hub = "/apis/operator.knative.dev/v1beta1/namespaces", "/apis/rhdh.redhat.com/v1alpha5/namespaces"
        serving, eventing = f"{knative}/knative-serving/knativeservings", f"{knative}/knative-eventing/knativeeventings"
        flavours = {"flavours": [{"name": "orchestrator", "enabled": True}]}
        yield [
            lambda: self.apply(serving, "KnativeServing", "operator.knative.dev/v1beta1", "knative-serving"),
            lambda: self.apply(eventing, "KnativeEventing", "operator.knative.dev/v1beta1", "knative-eventing"),
            lambda: self.apply(
                f"{hub}/{NAMESPACE}/backstages", "Backstage", "rhdh.redhat.com/v1alpha5", "developer-hub", flavours
            ),
        ]
        yield [lambda: self.ready(PLATFORM, "Succeed")]  # the manager has seen the platform before it is restarted
        yield [self.restart_manager]
        yield [
            self.manager_ready,
            lambda: self.ready(f"{serving}/knative-serving", "Ready"),
            lambda: self.ready(f"{eventing}/knative-eventing", "Ready"),
            lambda: self.ready(f"{hub}/{NAMESPACE}/backstages/developer-hub", "Deployed"),
            lambda: self.call("GET", PROXY % "data-index")[0] == 200,
            lambda: self.call("GET", PROXY % "jobs")[0] == 200,
        ]

    def installed(self, package: str, namespace: str, csv: str) -> bool:
        """Tell whether an operator is installed: noted by OLM, its CSV Succeeded, its Deployments available."""
        subscription = self.get(f"{OLM}/{namespace}/subscriptions/{package}")
        found = self.get(f"{OLM}/{namespace}/clusterserviceversions/{csv}")
        if (subscription.get("status") or {}).get("installedCSV") != csv:
            return False
        names = [item["name"] for item in found["spec"]["install"]["spec"]["deployments"]]
        deployments = f"/apis/apps/v1/namespaces/{namespace}/deployments"
        return (found.get("status") or {}).get("phase") == "Succeeded" and all(
            self.ready(f"{deployments}/{name}", "Available") for name in names
        )

    def operators(self, wanted: t.Sequence[tuple[str, str, str, str]]) -> t.Iterator[list[t.Callable[[], bool]]]:
        """Yield the groups of steps that install operators alone, all at the same time."""
        core, groups = "/api/v1/namespaces", "/apis/operators.coreos.com/v1/namespaces/%s/operatorgroups"
        group = "operators.coreos.com/v1"
        yield [partial(self.apply, core, "Namespace", "v1", home) for _package, home, _channel, _csv in wanted]
        yield [
            partial(self.apply, groups % home, "OperatorGroup", group, home, {})
            for _package, home, _channel, _csv in wanted
        ]
        yield [partial(self.subscribe, *operator) for operator in wanted]
        yield [
            self.in_order(partial(self.approve, package, home), partial(self.installed, package, home, csv))
            for package, home, _channel, csv in wanted
        ]

    @staticmethod
    def in_order(*steps: t.Callable[[], bool]) -> t.Callable[[], bool]:
        """Return a step that is done when its parts are, one after the other."""
        left = list(steps)

        def step() -> bool:
            while left and left[0]():
                left.pop(0)
            return not left

        return step

    def walk(self, steps: t.Iterable[list[t.Callable[[], bool]]] | None = None) -> float:
        """Return the seconds until everything answers. Raises BenchmarkFailed after five minutes."""
        started = time.monotonic()
        for group in self.steps() if steps is None else steps:
            left = list(group)
            while left := [step for step in left if not step()]:
                if time.monotonic() - started > LONGEST:
                    raise BenchmarkFailed("the critical path was not walked to its end in five minutes")
                time.sleep(LOOK)
        return time.monotonic() - started


def install(kubeconfig: Path) -> float:
    """Install on a pristine sandbox as early as possible at each step; return the seconds."""
    return Walk(kubeconfig).walk()


def operator(kubeconfig: Path, wanted: tuple[str, str, str, str]) -> float:
    """Install one operator of OPERATORS, nothing else at the same time; return the seconds until it runs."""
    walk = Walk(kubeconfig)
    return walk.walk(walk.operators([wanted]))


def side_by_side(kubeconfig: Path) -> float:
    """Install all OPERATORS at the same time; return the seconds until the last one runs."""
    walk = Walk(kubeconfig)
    return walk.walk(walk.operators(OPERATORS))
