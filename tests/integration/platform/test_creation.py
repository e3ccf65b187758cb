"""A platform of one's own: from nothing to answers, options, and what is refused before any change.

Most platforms have simulated pods, which are ready at once: what is tried there is not in the pods."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest
import yaml

from tests.toolkit import modules

from .platforms import (
    HUB,
    NAME,
    PLATFORM,
    SERVER,
    SIMULATE,
    SIMULATED,
    Object,
    PlatformCluster,
    condition,
    database,
    ended,
    ok,
)

pytestmark = pytest.mark.sandbox("installed")
REAL_CRDS = Path(__file__).resolve().parents[4] / "shared" / "crds" / "sonataflow-2024-11"


# -- making one -------------------------------------------------------------------------------------------------------


def test_from_nothing_to_answers_and_then_nothing_to_do(cluster: PlatformCluster, namespace: str) -> None:
    """Complete in one request; check mode says the same on an empty, a half and a complete namespace."""
    options: Object = {"probe": True, "wait_timeout": 180, "name": "fresh"}
    predicted = ok(cluster.call(namespace, check=True, **options), True)
    assert predicted.writes == []
    assert predicted.result["platform"]["action"] == "created"
    done = ok(cluster.call(namespace, **options), True)
    assert len(done.writes) == 1, done.writes
    assert done.result["platform"]["action"] == "created"
    assert done.result["graphql"]["status"] == "ok"
    assert {service["ready"] for service in done.result["services"].values()} == {1}
    foreseen, written = (each.result["diff"][0]["after"]["spec"] for each in (predicted, done))
    assert foreseen.items() <= written.items()
    ok(cluster.call(namespace, **options), False)
    ok(cluster.call(namespace, check=True, **options), False)

    half = {**options, "data_index": {"resources": {"limits": {"memory": "1200Mi"}}}}
    predicted = ok(cluster.call(namespace, check=True, **half), True)
    assert predicted.writes == []
    done = ok(cluster.call(namespace, **half), True)
    assert done.result["platform"]["action"] == predicted.result["platform"]["action"] == "patched"
    deployment = cluster.there("Deployment", "fresh-data-index-service", namespace)
    assert deployment["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]["memory"] == "1200Mi"
    ok(cluster.call(namespace, **half), False)

    gone = ok(cluster.call(namespace, state="absent", check=True, name="fresh"), True)
    assert gone.writes == []
    ok(cluster.call(namespace, state="absent", name="fresh"), True)
    assert cluster.deployments(namespace) == []
    ok(cluster.call(namespace, state="absent", name="fresh"), False)


def test_options_reach_the_services(cluster: PlatformCluster, namespace: str) -> None:
    """Replicas, image, environment, pod template with volumes beside the operator's own, monitoring."""
    extra = {
        "volumes": [{"name": "mine", "emptyDir": {}}],
        "container": {"volumeMounts": [{"name": "mine", "mountPath": "/mine"}]},
        "nodeSelector": {"kubernetes.io/os": "linux"},
    }
    index = {"image": SIMULATED, "replicas": 2, "env": [{"name": "MINE", "value": "1"}], "pod_template": extra}
    # None of these is in the form in which the operator, a program in Go, writes it back.
    index["resources"] = {"limits": {"memory": "2048Mi", "cpu": 1}, "requests": {"memory": "0.5Gi"}}
    index["env"] += [{"name": "EMPTY", "value": ""}]
    extra["tolerations"] = []
    options: Object = {"data_index": index, "job_service": {"image": SIMULATED}, "monitoring": False}
    done = ok(cluster.call(namespace, **options), True)
    assert len(done.writes) == 1
    assert done.result["services"]["data_index"] == {
        "url": f"http://{NAME}-data-index-service.{namespace}",
        "ready": 2,
        "image": SIMULATED,
    }
    assert not cluster.there(PLATFORM, NAME, namespace)["spec"]["monitoring"].get("enabled")
    for check in (False, True):
        ok(cluster.call(namespace, check=check, **options), False)
    pod = cluster.there("Deployment", f"{NAME}-data-index-service", namespace)["spec"]["template"]["spec"]
    # What a podTemplate with volumes alone loses: the operator's properties file.
    assert {volume["name"] for volume in pod["volumes"]} == {"application-config", "mine"}
    assert {mount["name"] for mount in pod["containers"][0]["volumeMounts"]} == {"application-config", "mine"}
    assert {"name": "MINE", "value": "1"} in pod["containers"][0]["env"]
    assert pod["containers"][0]["resources"]["limits"] == {"memory": "2Gi", "cpu": "1"}

    # What the operator has written back is still ours to change.
    index["resources"]["limits"]["memory"] = "3000Mi"
    options["monitoring"] = True
    del extra["nodeSelector"]
    done = ok(cluster.call(namespace, **options), True)
    assert cluster.there(PLATFORM, NAME, namespace)["spec"]["monitoring"] == {"enabled": True}
    assert any("data_index.pod_template.nodeSelector stays" in warning for warning in done.warnings)
    stays = cluster.there("Deployment", f"{NAME}-data-index-service", namespace)["spec"]["template"]["spec"]
    assert stays["nodeSelector"] == {"kubernetes.io/os": "linux"}
    assert stays["containers"][0]["resources"]["limits"]["memory"] == "3000Mi"
    options["job_service"] = {"enabled": False}
    done = ok(cluster.call(namespace, **options), True)
    assert done.warnings == [f"{NAME}-jobs-service runs on until its Deployment and Service are deleted."]
    ok(cluster.call(namespace, **options), False)


def test_network_policies_belong_to_the_platform(cluster: PlatformCluster, namespace: str) -> None:
    """What the Developer Hub operator makes for its own platform, and nobody for one of our own."""
    options: Object = {**SIMULATE, "network_policies": True, "workflow_namespaces": ["flows"]}
    predicted = ok(cluster.call(namespace, check=True, **options), True)
    assert predicted.writes == []
    done = ok(cluster.call(namespace, **options), True)
    made = [each["metadata"]["name"] for each in cluster.all("NetworkPolicy", namespace)]
    assert len(made) == 4
    assert all(each["spec"]["podSelector"] for each in cluster.all("NetworkPolicy", namespace)), "shuts off every pod"
    for outcome in (predicted, done):
        assert sorted(outcome.result["platform"]["network_policies"]) == sorted(made)
    assert "flows" in str(cluster.all("NetworkPolicy", namespace))
    ok(cluster.call(namespace, **options), False)
    cluster.delete("NetworkPolicy", made[0], namespace)
    predicted = ok(cluster.call(namespace, check=True, **options), True)
    done = ok(cluster.call(namespace, **options), True)
    assert predicted.result["platform"]["network_policies"] == done.result["platform"]["network_policies"] == [made[0]]
    ok(cluster.call(namespace, state="absent"), True)
    cluster.until("they went with it", lambda: not cluster.all("NetworkPolicy", namespace))
    assert cluster.call(HUB, managed_by="hub", network_policies=True).ending == "refused"


def test_volumes_by_hand_lose_the_properties(cluster: PlatformCluster, namespace: str) -> None:
    """What the test above keeps from happening."""
    container = {"image": SIMULATED, "volumeMounts": [{"name": "mine", "mountPath": "/mine"}]}
    block = {"podTemplate": {"container": container, "volumes": [{"name": "mine", "emptyDir": {}}]}}
    cluster.platform(NAME, namespace, services={"dataIndex": block})
    cluster.until("Deployment", lambda: cluster.get("Deployment", f"{NAME}-data-index-service", namespace))
    pod = cluster.there("Deployment", f"{NAME}-data-index-service", namespace)["spec"]["template"]["spec"]
    assert [volume["name"] for volume in pod["volumes"]] == ["mine"]


def test_a_disabled_service_is_left_out_because_enabled_false_deploys_it(
    cluster: PlatformCluster, namespace: str
) -> None:
    block = {"enabled": False, "podTemplate": {"container": {"image": SIMULATED}}}
    cluster.platform("naive", namespace, services={"dataIndex": block})
    cluster.until("it is deployed anyway", lambda: cluster.get("Deployment", "naive-data-index-service", namespace))
    cluster.delete(PLATFORM, "naive", namespace)
    cluster.until("it is gone", lambda: not cluster.deployments(namespace))
    done = ok(cluster.call(namespace, data_index={"enabled": False}, job_service={"image": SIMULATED}), True)
    assert list(done.result["services"]) == ["job_service"]
    assert [each["metadata"]["name"] for each in cluster.deployments(namespace)] == [f"{NAME}-jobs-service"]


def test_everything_that_is_wrong_is_said_at_once_and_before_any_change(
    cluster: PlatformCluster, namespace: str
) -> None:
    wrong: Object = {
        "name": "Not_a_name",
        "cluster_platform": "Neither",
        "data_index": {"replicas": -1, "env": [{"name": "QUARKUS_DATASOURCE_REACTIVE_URL", "value": "x"}]},
        "job_service": {"replicas": 2, "env": [{"name": "A"}, {"name": "A"}]},
        "eventing": {"broker": {"name": "UPPER", "namespace": None}},
        "database": database(secret={"name": "no-such"}),
    }
    done = cluster.call(namespace, **wrong)
    texts = ("Not_a_name", "Neither", "less than 0", "cannot be overridden", "runs once", "more than once", "UPPER")
    ended(done, "refused", *texts, "no-such does not exist")
    wrong = {
        "name": "far-too-long-for-the-services-that-begin-with-it",
        "data_index": {"pod_template": {"container": {"env": "A=b"}, "replicas": -2}},
        "database": {"service": SERVER, "jdbc_url": "jdbc:postgresql://x/y", "port": 70000, "secret": {"name": "db"}},
    }
    done = cluster.call(namespace, **wrong)
    ended(done, "refused", "at most 44", "container.env: must be", "-2 is less than 0", "database.", "70000")
    ended(cluster.call("", database=None), "refused", "namespace: ''")
    assert cluster.all(PLATFORM, namespace) == []


# -- the server's own checks ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("check", [False, True])
def test_unknown_fields_are_reported_as_the_user_wrote_them(
    cluster: PlatformCluster, namespace: str, check: bool
) -> None:
    wrong = {"data_index": {**SIMULATE["data_index"], "pod_template": {"nodeSelektor": {"a": "b"}}}}
    ended(
        cluster.call(namespace, check=check, **{**SIMULATE, **wrong}), "refused", "data_index.pod_template.nodeSelektor"
    )
    assert cluster.get(PLATFORM, NAME, namespace) is None
    ok(cluster.call(namespace, **SIMULATE, wait=False), True)  # and on one that is there
    wrong = {"job_service": {**SIMULATE["job_service"], "resources": {"limit": {"cpu": "1"}}}}
    ended(cluster.call(namespace, check=check, **{**SIMULATE, **wrong}), "refused", "job_service.resources.limit")


@pytest.fixture
def real_kind(cluster: PlatformCluster, monkeypatch: pytest.MonkeyPatch) -> t.Iterator[None]:
    """The real definition of a platform, in a group of its own beside the stand-in's."""
    k = modules.imported(cluster, "module_utils._kube.kinds")
    if not REAL_CRDS.is_dir():
        pytest.skip(f"LOUD: {REAL_CRDS} is not there, so nothing was held against the real definition")
    definition = yaml.safe_load((REAL_CRDS / "sonataflowplatforms.yaml").read_text(encoding="utf-8"))
    group = "real.invalid"
    definition["spec"]["group"] = group
    name = f"sonataflowplatforms.{group}"
    definition["metadata"] = {"name": name}
    for version in definition["spec"]["versions"]:
        version["schema"]["openAPIV3Schema"].pop("description", None)
    definition.pop("status", None)
    path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    cluster.api.request("POST", path, definition)
    cluster.until("it is served", lambda: condition(cluster.api.get(f"{path}/{name}") or {}, "Established"))
    monkeypatch.setattr(k, "SONATAFLOW_PLATFORM", k.SONATAFLOW_PLATFORM._replace(group=group))
    yield
    cluster.delete("CustomResourceDefinition", name)


@pytest.mark.usefixtures("real_kind")
def test_the_real_definition_accepts_and_refuses(cluster: PlatformCluster, namespace: str) -> None:
    everything: Object = {
        "data_index": {
            **SIMULATE["data_index"],
            "replicas": 2,
            "resources": {"limits": {"memory": "2Gi"}},
            "env": [{"name": "MINE", "value": "1"}],
            "pod_template": {"volumes": [{"name": "mine", "emptyDir": {}}], "tolerations": [{"operator": "Exists"}]},
        },
        "job_service": SIMULATE["job_service"],
        "monitoring": True,
        "eventing": {"broker": {"name": "default", "namespace": None}},
    }
    ok(cluster.call(namespace, check=True, **everything), True)
    # This definition, of November 2024, is older than migrations by Job: it tells so in the option's name.
    ended(
        cluster.call(namespace, check=True, **everything, migration="job"), "refused", " migration: field not declared"
    )
    wrong = {**everything["data_index"], "pod_template": {"container": {"imagePullPolcy": "Always"}}}
    done = cluster.call(namespace, check=True, **{**everything, "data_index": wrong})
    ended(done, "refused", "data_index.pod_template.container.imagePullPolcy")


def test_a_missing_kind_and_another_version_are_named(
    cluster: PlatformCluster, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    k = modules.imported(cluster, "module_utils._kube.kinds")
    kind = k.SONATAFLOW_PLATFORM
    monkeypatch.setattr(k, "SONATAFLOW_PLATFORM", kind.at("v2"))
    for check in (False, True):
        ended(cluster.call(namespace, check=check), "refused", "is served as v1alpha08 here, not as v2")
    monkeypatch.setattr(k, "SONATAFLOW_PLATFORM", kind._replace(group="nobody.invalid"))
    ended(cluster.call(namespace), "refused", "no sonataflowplatforms.nobody.invalid", "Serverless Logic operator")
