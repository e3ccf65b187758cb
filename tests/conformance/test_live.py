"""Order and conditions of what the running stand-ins do, against recorded timelines.

Tests run in the order written here, the operators' own order of installation, in one sandbox.
"""

from __future__ import annotations

import re
import time
import typing as t

import pytest

from tests import recorded as recorded_facts
from tests.toolkit.cluster import condition

from . import compare
from .compare import Object
from .conftest import Cluster

pytestmark = [pytest.mark.slow, pytest.mark.sandbox("fresh", mine=True)]

PLATFORM = "SonataFlowPlatform"
NAME = "sonataflow-platform"
KNATIVE = (("KnativeServing", "knative-serving"), ("KnativeEventing", "knative-eventing"))
SERVICE_KINDS = ("ConfigMap", "Deployment", "Service")


def _platform(cluster: Cluster, namespace: str, name: str = NAME, **more: t.Any) -> None:
    secret = {"name": "db-secret", "userKey": "POSTGRES_USER", "passwordKey": "POSTGRES_PASSWORD"}
    reference = {"name": "db-svc", "namespace": namespace, "databaseName": "orch"}
    service = {"enabled": True, "persistence": {"postgresql": {"secretRef": secret, "serviceRef": reference}}}
    spec = {"monitoring": {"enabled": True}, "services": {"dataIndex": service, "jobService": service}, **more}
    cluster.create(PLATFORM, name, namespace, spec=spec)


def _namespace(cluster: Cluster, name: str) -> str:
    cluster.create("Namespace", name)
    return name


def _conditions(cluster: Cluster, kind: str, name: str, namespace: str) -> tuple[str, ...]:
    """The conditions of an object as short texts; none while it is not there."""
    found = cluster.get(kind, name, namespace) or {}
    return compare.short_conditions((found.get("status") or {}).get("conditions") or [])


def test_knative(cluster: Cluster) -> None:
    recorded = recorded_facts.load("serverless/ke-ready.yaml")[0]
    recorder = cluster.record("knative-eventing", "KnativeEventing")
    for kind, name in KNATIVE:
        cluster.create(kind, name, name)
    for kind, name in KNATIVE:
        cluster.until(
            f"{name} is ready", lambda kind=kind, name=name: condition(cluster.get(kind, name, name), "Ready")
        )
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
    deployments = {each["metadata"]["name"]: each for each in cluster.all("Deployment", "knative-eventing")}
    workloads = recorded_facts.load("serverless/knative-eventing-workloads.yaml")
    wanted = {
        each["metadata"]["name"]: each["replicas"]
        for each in workloads
        if each["kind"] == "Deployment" and each["metadata"]["ownerReferences"][0]["kind"] == "KnativeEventing"
    }
    assert {name: each["spec"]["replicas"] for name, each in deployments.items()} == wanted


def _until_services(cluster: Cluster, namespace: str) -> None:
    cluster.until("the services exist", lambda: cluster.get("Service", f"{NAME}-jobs-service", namespace))


def test_platform_creation(cluster: Cluster) -> None:
    timeline = recorded_facts.timeline("logic-operator/timeline-a-platform-create.txt")
    home = _namespace(cluster, "sf-a")
    kinds = (PLATFORM, *SERVICE_KINDS)
    recorder = cluster.record(home, *kinds)
    _platform(cluster, home)
    _until_services(cluster, home)
    moments = recorder.stop()
    wanted = compare.sequence(timeline, "sonataflowplatforms", f"{home}/{NAME}")
    assert compare.sequence(moments, "sonataflowplatforms", NAME) == wanted
    plurals = [compare.plural(kind) for kind in kinds]
    ours = [each for each in compare.added(moments, plurals) if each[1].startswith(NAME)]
    assert ours == compare.added(timeline, plurals)
    platform = cluster.there(PLATFORM, NAME, home)
    assert (platform["status"]["version"], platform["metadata"]["generation"]) == ("0.8", 2)


def test_second_platform_is_a_duplicate(cluster: Cluster) -> None:
    recorded = compare.pick(recorded_facts.load("logic-operator/d-duplicated.yaml"), "SonataFlowPlatform", "second")
    recorder = cluster.record("sf-a", PLATFORM)
    _platform(cluster, "sf-a", "second")
    cluster.until("the second platform has a status", lambda: cluster.there(PLATFORM, "second", "sf-a").get("status"))
    states = compare.sequence(recorder.stop(), "sonataflowplatforms", "second")
    assert states == [compare.short_conditions(recorded["status"]["conditions"])]
    assert not cluster.get("Deployment", "second-data-index-service", "sf-a")


def test_patch_of_a_young_platform_is_reverted(cluster: Cluster) -> None:
    """By the operator's own write of what it had read; a machine that is busy may come too late for that moment."""
    home = _namespace(cluster, "sf-young")
    change = {"spec": {"devMode": {"baseImage": "v1"}}}

    def image(name: str) -> str | None:
        spec = cluster.there(PLATFORM, name, home)["spec"]
        return t.cast("str | None", (spec.get("devMode") or {}).get("baseImage"))

    for number in range(5):
        name = f"young-{number}"
        _platform(cluster, home, name)
        cluster.until("it succeeds", lambda name=name: condition(cluster.there(PLATFORM, name, home), "Succeed"))
        cluster.patch(PLATFORM, name, home, change)
        time.sleep(6)  # longer than the last moment of an old write
        reverted = image(name) is None
        if reverted:
            break
        cluster.delete(PLATFORM, name, home)
        cluster.until("it is gone", lambda name=name: not cluster.get(PLATFORM, name, home))
    assert reverted
    cluster.patch(PLATFORM, name, home, change)
    time.sleep(3)
    assert image(name) == "v1", "a patch of a quiet platform stays"


def test_broker_missing_then_ready(cluster: Cluster) -> None:
    timeline = recorded_facts.timeline("logic-operator/timeline-c3-c4-broker-ready-to-jobs-1.txt")
    home = _namespace(cluster, "sf-broker")
    reference = {"apiVersion": "eventing.knative.dev/v1", "kind": "Broker", "name": "orch-broker", "namespace": home}
    _platform(cluster, home, eventing={"broker": {"ref": reference}})
    index, name = f"{NAME}-data-index-service", f"{NAME}-jobs-service"
    cluster.until("Data Index is deployed", lambda: cluster.get("Service", index, home))
    time.sleep(2)
    assert not cluster.get("Deployment", name, home), "no Job Service without broker"
    assert not cluster.get("ConfigMap", f"{name}-props", home)
    kinds = ("Trigger", "SinkBinding", *SERVICE_KINDS)
    recorder = cluster.record(home, *kinds)
    cluster.create("Broker", "orch-broker", home)
    cluster.patch(PLATFORM, NAME, home, {"metadata": {"annotations": {"touch": "1"}}})
    cluster.until(
        "the Job Service is scaled up",
        lambda: (cluster.get("Deployment", name, home) or {"spec": {}})["spec"].get("replicas") == 1,
    )
    moments = recorder.stop()
    plurals = [compare.plural(kind) for kind in kinds]
    plain = [(kind, _without_uid(name)) for kind, name in compare.added(moments, plurals)]
    ours = [each for each in plain if "kube-root" not in each[1] and each[1] != index and each[1] != f"{index}-props"]
    wanted = [(kind, _without_uid(name)) for kind, name in compare.added(timeline, plurals)]
    assert ours == [each for each in wanted if each != ("services", index)]
    replicas = [each["spec"]["replicas"] for each in recorder.objects("deployments", name)]
    assert list(dict.fromkeys(replicas)) == [0, 1]
    recorded = compare.pick(recorded_facts.load("logic-operator/c4-sinkbinding-ready.yaml"), "SinkBinding")
    binding = recorder.objects("sinkbindings", f"{name}-sb")[-1]
    assert binding["metadata"]["finalizers"] == recorded["metadata"]["finalizers"]
    states = compare.short_conditions(binding["status"]["conditions"])
    assert states == compare.short_conditions(recorded["status"]["conditions"])


def _without_uid(name: str) -> str:
    """Return a Trigger's name without UID or hash, which are different for every platform."""
    return re.sub(r"-?[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$|-?[0-9a-f]{32}[0-9a-f]{0,5}$", "", name)


def test_cluster_platform(cluster: Cluster) -> None:
    timeline = recorded_facts.timeline("logic-operator/timeline-d-clusterplatform.txt")
    kind, name = "SonataFlowClusterPlatform", "cluster-platform"
    recorder = cluster.record(None, kind)
    cluster.create(kind, name, spec={"platformRef": {"name": NAME, "namespace": "sf-nope"}})
    cluster.until("it has a status", lambda: cluster.there(kind, name).get("status"))
    cluster.patch(kind, name, None, {"spec": {"platformRef": {"namespace": "sf-a"}}})
    cluster.until(
        "the platforms know it", lambda: "clusterPlatformRef" in cluster.there(PLATFORM, NAME, "sf-a")["status"]
    )
    wanted = compare.sequence(timeline, "sonataflowclusterplatforms", "-/cluster-platform")[:2]
    assert compare.sequence(recorder.stop(), "sonataflowclusterplatforms", name) == wanted
    cluster.delete(kind, name)


def test_workflow(cluster: Cluster) -> None:
    timeline = recorded_facts.timeline("logic-operator/timeline-f0-workflow-no-platform.txt")
    home = _namespace(cluster, "sf-noplat")
    recorder = cluster.record(home, "SonataFlow", PLATFORM)
    recorded = compare.pick(recorded_facts.load("logic-operator/f-workflow-running.yaml"), "SonataFlow")
    spec = {key: recorded["spec"][key] for key in ("flow", "podTemplate")}
    del spec["podTemplate"]["replicas"]
    cluster.create("SonataFlow", "greeting", home, annotations=recorded["metadata"]["annotations"], spec=spec)
    cluster.until("the workflow runs", lambda: condition(cluster.there("SonataFlow", "greeting", home), "Running"))
    moments = recorder.stop()
    wanted = compare.sequence(timeline, "sonataflows", f"{home}/greeting")
    # On a busy machine the operator may look at the Deployment once more before its pod is ready.
    seen = [step for step in compare.sequence(moments, "sonataflows", "greeting") if "IsUnavailable" not in str(step)]
    assert seen == wanted
    final = cluster.there("SonataFlow", "greeting", home)
    assert final["metadata"]["finalizers"] == recorded["metadata"]["finalizers"]
    assert cluster.get(PLATFORM, NAME, home), "created because there was none"


def test_backstage(cluster: Cluster) -> None:
    timeline = recorded_facts.timeline("rhdh-operator/timeline-1.10-create.txt")
    home = _namespace(cluster, "t3")
    kinds = (
        "NetworkPolicy",
        "Job",
        PLATFORM,
        "ConfigMap",
        "Secret",
        "Service",
        "Route",
        "Deployment",
        "StatefulSet",
    )
    recorder = cluster.record(home, "Backstage", *kinds)
    spec = {"flavours": [{"name": "orchestrator", "enabled": True}], "monitoring": {"enabled": False}}
    cluster.create("Backstage", "dh", home, spec=spec)
    cluster.until(
        "the Hub is deployed", lambda: "Deployed=True/Deployed" in _conditions(cluster, "Backstage", "dh", home), 180
    )
    moments = recorder.stop()

    def own(pairs: list[tuple[str, str]]) -> list[tuple[str, str]]:
        """Leave out what other controllers make, the platform's services among them."""
        foreign = ("kube-root-ca.crt", "openshift-service-ca.crt", "sonataflow-platform-")
        return [each for each in pairs if not each[1].startswith(foreign)]

    plurals = [compare.plural(kind) for kind in kinds]
    assert own(compare.added(moments, plurals)) == own(compare.added(timeline, plurals))
    wanted = compare.sequence(timeline, "backstages", "dh")
    assert compare.sequence(moments, "backstages", "dh") == wanted
    messages = [
        (each.get("status") or {}).get("conditions", [{}])[0].get("message")
        for each in recorder.objects("backstages", "dh")
    ]
    assert "no conditions reported yet" in messages


def test_backstage_dependencies(cluster: Cluster) -> None:
    recorded = recorded_facts.load("rhdh-operator/backstage-1.10-just-created.yaml")
    for kind in ("NetworkPolicy", "SonataFlowPlatform"):
        for wanted in [each for each in recorded if each["kind"] == kind]:
            found = cluster.there(kind, wanted["metadata"]["name"], "t3")
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
    recorded = compare.pick(recorded_facts.load(f"rhdh-operator/backstage-1.10-error-{name}.yaml"), "Backstage")
    home = f"t4-{name}"
    cluster.create("Namespace", home)
    cluster.create("ConfigMap", "bad-yaml", home, data={"dynamic-plugins.yaml": "plugins: {a"})
    cluster.create("Backstage", name, home, spec=spec)

    def conditions() -> list[Object]:
        found = cluster.there("Backstage", name, home)
        return t.cast("list[Object]", (found.get("status") or {}).get("conditions") or [])

    found = cluster.until("the status shows the error", conditions)[0]
    wanted = recorded["status"]["conditions"][0]
    assert (found["status"], found["reason"]) == (wanted["status"], wanted["reason"])
    assert found["message"] == wanted["message"].replace("<LOCALBIN>", "")


def test_deleted_backstage_takes_its_platform_with_it(cluster: Cluster) -> None:
    cluster.delete("Backstage", "dh", "t3", propagationPolicy="Background")
    kinds = ("Deployment", "StatefulSet", "Service", "Secret", PLATFORM, "NetworkPolicy")
    cluster.until("everything of the Hub is gone", lambda: not any(cluster.all(kind, "t3") for kind in kinds))

    def claims() -> list[str]:
        return [each["metadata"]["name"] for each in cluster.all("PersistentVolumeClaim", "t3")]

    cluster.until("only the database's claim is left", lambda: claims() == ["data-backstage-psql-dh-0"])


def test_knative_deletion_needs_both_operators(cluster: Cluster) -> None:
    for kind in ("SonataFlow", PLATFORM):
        for found in cluster.all(kind):
            cluster.delete(kind, found["metadata"]["name"], found["metadata"]["namespace"])
    cluster.until("no workflow and no platform is left", lambda: not cluster.all("SonataFlow") + cluster.all(PLATFORM))
    cluster.set(runtime__stopped_players=["knative"])
    cluster.until("its pods have stopped", lambda: not cluster.running("openshift-serverless", "knative-operator"))
    kind, name = "KnativeEventing", "knative-eventing"
    cluster.delete(kind, name, name)
    own = "knativeeventings.operator.knative.dev"

    def finalizers() -> list[str]:
        body = cluster.get(kind, name, name) or {"metadata": {}}
        return t.cast("list[str]", body["metadata"].get("finalizers") or [])

    cluster.until("the finalizer of the living operator is gone", lambda: finalizers() in ([own], []))
    time.sleep(3)
    assert finalizers() == [own]
    assert condition(cluster.there(kind, name, name), "Ready"), "as if nothing happened"
    cluster.set(runtime__stopped_players=None)
    cluster.until("it is gone", lambda: not cluster.get(kind, name, name))
    assert cluster.get("CustomResourceDefinition", "brokers.eventing.knative.dev"), "its CRDs stay"
