"""Order and conditions of what the running stand-ins do, against recorded timelines.

Tests run in the order written here, the operators' own order of installation, in one sandbox.
"""

from __future__ import annotations

import re
import time
import typing as t

import pytest

from . import compare
from .compare import Object
from .conftest import Cluster, eventually

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not compare.RECORDED.is_dir(), reason=compare.MISSING)]

SONATAFLOW = "sonataflow.org/v1alpha08"
SERVICE_KINDS = ("configmaps", "deployments", "services")


def _platform(namespace: str, name: str = "sonataflow-platform", **more: t.Any) -> Object:
    secret = {"name": "db-secret", "userKey": "POSTGRES_USER", "passwordKey": "POSTGRES_PASSWORD"}
    reference = {"name": "db-svc", "namespace": namespace, "databaseName": "orch"}
    service = {"enabled": True, "persistence": {"postgresql": {"secretRef": secret, "serviceRef": reference}}}
    spec = {"monitoring": {"enabled": True}, "services": {"dataIndex": service, "jobService": service}, **more}
    meta = {"name": name, "namespace": namespace}
    return {"apiVersion": SONATAFLOW, "kind": "SonataFlowPlatform", "metadata": meta, "spec": spec}


def _namespace(cluster: Cluster, name: str) -> str:
    cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    return name


def _broker(namespace: str) -> Object:
    meta = {"name": "orch-broker", "namespace": namespace}
    return {"apiVersion": "eventing.knative.dev/v1", "kind": "Broker", "metadata": meta}


def test_knative(cluster: Cluster) -> None:
    recorded = compare.load("serverless/ke-ready.yaml")[0]
    recorder = cluster.record("knative-eventing", "knativeeventings.operator.knative.dev")
    for kind, name in (("KnativeServing", "knative-serving"), ("KnativeEventing", "knative-eventing")):
        meta = {"name": name, "namespace": name}
        cluster.apply({"apiVersion": "operator.knative.dev/v1beta1", "kind": kind, "metadata": meta})
    for kind, name in (("knativeserving", "knative-serving"), ("knativeeventing", "knative-eventing")):

        def ready(kind: str = kind, name: str = name) -> bool:
            body = cluster.get(f"{kind}.operator.knative.dev", name, "-n", name) or {}
            conditions = compare.short_conditions((body.get("status") or {}).get("conditions") or [])
            return "Ready=True" in conditions

        eventually(f"{name} is ready", ready)
    moments = recorder.stop()
    states = compare.sequence(moments, "knativeeventings", "knative-eventing")
    assert states[-1] == compare.short_conditions(recorded["status"]["conditions"])
    waiting = {"DeploymentsAvailable=False/NotReady", "InstallSucceeded=Unknown", "DependenciesInstalled=Unknown"}
    assert all(waiting <= set(state) for state in states[:-1]), "before, only missing deployments were reported"
    history = recorder.objects("knativeeventings", "knative-eventing")
    assert set(history[-1]["metadata"]["finalizers"]) == set(recorded["metadata"]["finalizers"])
    assert history[-1]["status"]["version"] == recorded["status"]["version"]
    finalized = next(i for i, each in enumerate(history) if each["metadata"].get("finalizers"))
    assert not any(each.get("status") for each in history[: finalized + 1]), "finalizers come before any status"
    names = {each["metadata"]["name"] for each in _items(cluster.get("deployments", "-n", "knative-eventing"))}
    workloads = compare.load("serverless/knative-eventing-workloads.yaml")
    wanted = {
        each["metadata"]["name"]: each["replicas"]
        for each in workloads
        if each["kind"] == "Deployment" and each["metadata"]["ownerReferences"][0]["kind"] == "KnativeEventing"
    }
    assert names == set(wanted)
    for name, replicas in wanted.items():
        body = cluster.get("deployment", name, "-n", "knative-eventing")
        assert body
        assert body["spec"]["replicas"] == replicas, name


def _items(found: Object | None) -> list[Object]:
    return (found or {}).get("items") or []


def _has_services(cluster: Cluster, namespace: str) -> t.Callable[[], bool]:
    return lambda: bool(cluster.get("service", "sonataflow-platform-jobs-service", "-n", namespace))


def test_platform_creation(cluster: Cluster) -> None:
    timeline = compare.timeline("logic-operator/timeline-a-platform-create.txt")
    home = _namespace(cluster, "sf-a")
    recorder = cluster.record(home, "sonataflowplatforms", *SERVICE_KINDS)
    cluster.apply(_platform(home))
    eventually("the services exist", _has_services(cluster, home))
    moments = recorder.stop()
    wanted = compare.sequence(timeline, "sonataflowplatforms", f"{home}/sonataflow-platform")
    assert compare.sequence(moments, "sonataflowplatforms", "sonataflow-platform") == wanted
    kinds = ("sonataflowplatforms", *SERVICE_KINDS)
    ours = [each for each in compare.added(moments, kinds) if each[1].startswith("sonataflow-platform")]
    assert ours == compare.added(timeline, kinds)
    status = cluster.get("sonataflowplatform", "sonataflow-platform", "-n", home)
    assert status
    assert (status["status"]["version"], status["metadata"]["generation"]) == ("0.8", 2)


def test_second_platform_is_a_duplicate(cluster: Cluster) -> None:
    recorded = compare.pick(compare.load("logic-operator/d-duplicated.yaml"), "SonataFlowPlatform", "second")
    recorder = cluster.record("sf-a", "sonataflowplatforms")
    cluster.apply(_platform("sf-a", "second"))
    eventually(
        "the second platform has a status",
        lambda: (cluster.get("sonataflowplatform", "second", "-n", "sf-a") or {}).get("status"),
    )
    states = compare.sequence(recorder.stop(), "sonataflowplatforms", "second")
    assert states == [compare.short_conditions(recorded["status"]["conditions"])]
    assert not cluster.get("deployment", "second-data-index-service", "-n", "sf-a")


def test_patch_of_a_young_platform_is_reverted(cluster: Cluster) -> None:
    home = _namespace(cluster, "sf-young")
    cluster.apply(_platform(home))
    eventually("the services exist", _has_services(cluster, home))
    patch = '{"spec": {"devMode": {"baseImage": "v1"}}}'
    body = cluster.run(
        "patch", "sonataflowplatform/sonataflow-platform", "-n", home, "--type=merge", "-p", patch, "-o=name"
    )
    assert body

    def image() -> str | None:
        found = cluster.get("sonataflowplatform", "sonataflow-platform", "-n", home) or {"spec": {}}
        return t.cast("str | None", (found["spec"].get("devMode") or {}).get("baseImage"))

    eventually("the patch is gone again", lambda: image() is None, 8)
    time.sleep(6)
    cluster.run("patch", "sonataflowplatform/sonataflow-platform", "-n", home, "--type=merge", "-p", patch)
    time.sleep(3)
    assert image() == "v1", "a patch of a quiet platform stays"


def test_broker_missing_then_ready(cluster: Cluster) -> None:
    timeline = compare.timeline("logic-operator/timeline-c3-c4-broker-ready-to-jobs-1.txt")
    home = _namespace(cluster, "sf-broker")
    reference = {"apiVersion": "eventing.knative.dev/v1", "kind": "Broker", "name": "orch-broker", "namespace": home}
    cluster.apply(_platform(home, eventing={"broker": {"ref": reference}}))
    index = "sonataflow-platform-data-index-service"
    eventually("Data Index is deployed", lambda: cluster.get("service", index, "-n", home))
    time.sleep(2)
    assert not cluster.get("deployment", "sonataflow-platform-jobs-service", "-n", home), (
        "no Job Service without broker"
    )
    assert not cluster.get("configmap", "sonataflow-platform-jobs-service-props", "-n", home)
    recorder = cluster.record(home, "triggers.eventing.knative.dev", "sinkbindings", *SERVICE_KINDS)
    cluster.apply(_broker(home))
    cluster.run("annotate", "sonataflowplatform/sonataflow-platform", "-n", home, "touch=1")
    name = "sonataflow-platform-jobs-service"

    def scaled() -> bool:
        body = cluster.get("deployment", name, "-n", home)
        return bool(body) and t.cast(Object, body)["spec"]["replicas"] == 1

    eventually("the Job Service is scaled up", scaled)
    moments = recorder.stop()
    kinds = ("triggers", "sinkbindings", *SERVICE_KINDS)
    plain = [(kind, _without_uid(name)) for kind, name in compare.added(moments, kinds)]
    ours = [each for each in plain if "kube-root" not in each[1] and each[1] != index and each[1] != f"{index}-props"]
    wanted = [(kind, _without_uid(name)) for kind, name in compare.added(timeline, kinds)]
    assert ours == [each for each in wanted if each != ("services", index)]
    replicas = [each["spec"]["replicas"] for each in recorder.objects("deployments", name)]
    assert list(dict.fromkeys(replicas)) == [0, 1]
    recorded = compare.pick(compare.load("logic-operator/c4-sinkbinding-ready.yaml"), "SinkBinding")
    binding = recorder.objects("sinkbindings", f"{name}-sb")[-1]
    assert binding["metadata"]["finalizers"] == recorded["metadata"]["finalizers"]
    states = compare.short_conditions(binding["status"]["conditions"])
    assert states == compare.short_conditions(recorded["status"]["conditions"])


def _without_uid(name: str) -> str:
    """Return a Trigger's name without UID or hash, which are different for every platform."""
    return re.sub(r"-?[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$|-?[0-9a-f]{32}[0-9a-f]{0,5}$", "", name)


def test_cluster_platform(cluster: Cluster) -> None:
    timeline = compare.timeline("logic-operator/timeline-d-clusterplatform.txt")
    recorder = cluster.record("default", "sonataflowclusterplatforms")
    meta = {"name": "cluster-platform"}
    spec = {"platformRef": {"name": "sonataflow-platform", "namespace": "sf-nope"}}
    body = {"apiVersion": SONATAFLOW, "kind": "SonataFlowClusterPlatform", "metadata": meta, "spec": spec}
    cluster.apply(body)
    time.sleep(2)
    cluster.apply({**body, "spec": {"platformRef": {"name": "sonataflow-platform", "namespace": "sf-a"}}})

    def linked() -> bool:
        found = cluster.get("sonataflowplatform", "sonataflow-platform", "-n", "sf-a") or {}
        return "clusterPlatformRef" in (found.get("status") or {})

    eventually("the platforms know it", linked)
    wanted = compare.sequence(timeline, "sonataflowclusterplatforms", "-/cluster-platform")[:2]
    assert compare.sequence(recorder.stop(), "sonataflowclusterplatforms", "cluster-platform") == wanted
    cluster.run("delete", "sonataflowclusterplatform", "cluster-platform")


def test_workflow(cluster: Cluster) -> None:
    timeline = compare.timeline("logic-operator/timeline-f0-workflow-no-platform.txt")
    home = _namespace(cluster, "sf-noplat")
    recorder = cluster.record(home, "sonataflows.sonataflow.org", "sonataflowplatforms")
    recorded = compare.pick(compare.load("logic-operator/f-workflow-running.yaml"), "SonataFlow")
    spec = {key: recorded["spec"][key] for key in ("flow", "podTemplate")}
    del spec["podTemplate"]["replicas"]
    notes = recorded["metadata"]["annotations"]
    meta = {"name": "greeting", "namespace": home, "annotations": notes}
    cluster.apply({"apiVersion": SONATAFLOW, "kind": "SonataFlow", "metadata": meta, "spec": spec})

    def running() -> bool:
        found = cluster.get("sonataflow", "greeting", "-n", home) or {}
        conditions = compare.short_conditions((found.get("status") or {}).get("conditions") or [])
        return "Running=True" in conditions

    eventually("the workflow runs", running)
    moments = recorder.stop()
    wanted = compare.sequence(timeline, "sonataflows", f"{home}/greeting")
    assert compare.sequence(moments, "sonataflows", "greeting") == wanted
    final = cluster.get("sonataflow", "greeting", "-n", home)
    assert final
    assert final["metadata"]["finalizers"] == recorded["metadata"]["finalizers"]
    assert cluster.get("sonataflowplatform", "sonataflow-platform", "-n", home), "made because there was none"


def test_backstage(cluster: Cluster) -> None:
    timeline = compare.timeline("rhdh-operator/timeline-1.10-create.txt")
    home = _namespace(cluster, "t3")
    kinds = (
        "networkpolicies",
        "jobs",
        "sonataflowplatforms",
        "configmaps",
        "secrets",
        "services",
        "routes",
        "deployments",
        "statefulsets",
    )
    watched = [{"routes": "routes.route.openshift.io"}.get(kind, kind) for kind in kinds]
    recorder = cluster.record(home, "backstages", *watched)
    meta = {"name": "dh", "namespace": home}
    spec = {"flavours": [{"name": "orchestrator", "enabled": True}], "monitoring": {"enabled": False}}
    cluster.apply({"apiVersion": "rhdh.redhat.com/v1alpha5", "kind": "Backstage", "metadata": meta, "spec": spec})

    def deployed() -> bool:
        found = cluster.get("backstage", "dh", "-n", home) or {}
        conditions = compare.short_conditions((found.get("status") or {}).get("conditions") or [])
        return "Deployed=True/Deployed" in conditions

    eventually("the Hub is deployed", deployed, 180)
    moments = recorder.stop()

    def own(pairs: list[tuple[str, str]]) -> list[tuple[str, str]]:
        """Leave out what other controllers make, the platform's services among them."""
        foreign = ("kube-root-ca.crt", "openshift-service-ca.crt", "sonataflow-platform-")
        return [each for each in pairs if not each[1].startswith(foreign)]

    assert own(compare.added(moments, kinds)) == own(compare.added(timeline, kinds))
    wanted = compare.sequence(timeline, "backstages", "dh")
    assert compare.sequence(moments, "backstages", "dh") == wanted
    messages = [
        (each.get("status") or {}).get("conditions", [{}])[0].get("message")
        for each in recorder.objects("backstages", "dh")
    ]
    assert "no conditions reported yet" in messages


def test_backstage_dependencies(cluster: Cluster) -> None:
    recorded = compare.load("rhdh-operator/backstage-1.10-just-created.yaml")
    for kind in ("NetworkPolicy", "SonataFlowPlatform"):
        for wanted in [each for each in recorded if each["kind"] == kind]:
            found = cluster.get(kind.lower(), wanted["metadata"]["name"], "-n", "t3")
            assert found, wanted["metadata"]["name"]
            ours, theirs = compare.tidy(found), compare.tidy(wanted)
            assert ours["metadata"]["ownerReferences"] == theirs["metadata"]["ownerReferences"]
            assert "labels" not in ours["metadata"]
            if kind == "NetworkPolicy":
                assert ours["spec"] == theirs["spec"]


@pytest.mark.parametrize(
    ("name", "spec"),
    [
        ("e-flavour", {"flavours": [{"name": "nosuch"}]}),
        ("e-missing-plugins", {"application": {"dynamicPluginsConfigMapName": "nosuch"}}),
        ("e-badyaml", {"application": {"dynamicPluginsConfigMapName": "bad-yaml"}}),
    ],
)
def test_backstage_errors(cluster: Cluster, name: str, spec: Object) -> None:
    recorded = compare.pick(compare.load(f"rhdh-operator/backstage-1.10-error-{name}.yaml"), "Backstage")
    home = _namespace(cluster, "t4")
    meta = {"name": "bad-yaml", "namespace": home}
    cluster.apply(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"dynamic-plugins.yaml": "plugins: {a"}}
    )
    meta = {"name": name, "namespace": home}
    cluster.apply({"apiVersion": "rhdh.redhat.com/v1alpha5", "kind": "Backstage", "metadata": meta, "spec": spec})

    def conditions() -> list[Object]:
        found = cluster.get("backstage", name, "-n", home) or {}
        return t.cast("list[Object]", (found.get("status") or {}).get("conditions") or [])

    condition = eventually("the status shows the error", conditions)[0]
    wanted = recorded["status"]["conditions"][0]
    assert (condition["status"], condition["reason"]) == (wanted["status"], wanted["reason"])
    assert condition["message"] == wanted["message"].replace("<LOCALBIN>", "")
    cluster.run("delete", "backstage", name, "-n", home)


def test_deleted_backstage_takes_its_platform_with_it(cluster: Cluster) -> None:
    cluster.run("delete", "backstage", "dh", "-n", "t3", "--cascade=background")
    kinds = "deployments,statefulsets,services,secrets,sonataflowplatforms,networkpolicies"

    def gone() -> bool:
        return not _items(cluster.get(kinds, "-n", "t3"))

    eventually("everything of the Hub is gone", gone, 60)

    def claims() -> list[str]:
        return [each["metadata"]["name"] for each in _items(cluster.get("persistentvolumeclaims", "-n", "t3"))]

    eventually("only the database's claim is left", lambda: claims() == ["data-backstage-psql-dh-0"], 60)


def test_knative_deletion_needs_both_operators(cluster: Cluster) -> None:
    for home in ("sf-a", "sf-young", "sf-broker", "sf-noplat"):
        cluster.run("delete", "sonataflows,sonataflowplatforms", "--all", "-n", home, "--timeout=60s")
    cluster.set(runtime__stopped_players=["knative"])
    name = "knative-eventing"
    cluster.run("delete", "knativeeventing.operator.knative.dev", name, "-n", name, "--wait=false")
    own = "knativeeventings.operator.knative.dev"

    def finalizers() -> list[str]:
        body = cluster.get("knativeeventing.operator.knative.dev", name, "-n", name) or {"metadata": {}}
        return t.cast("list[str]", body["metadata"].get("finalizers") or [])

    eventually("the finalizer of the living operator is gone", lambda: finalizers() in ([own], []), 30)
    time.sleep(3)
    assert finalizers() == [own]
    body = cluster.get("knativeeventing.operator.knative.dev", name, "-n", name)
    assert body
    assert "Ready=True" in compare.short_conditions(body["status"]["conditions"]), "as if nothing happened"
    cluster.set(runtime__stopped_players=None)
    eventually("it is gone", lambda: not cluster.get("knativeeventing.operator.knative.dev", name, "-n", name), 90)
    assert cluster.get("crd", "brokers.eventing.knative.dev"), "its CRDs stay"
