"""sonataflow_platform on the sandbox: each trap of the operator, which the usual waits pass and ours does not.

Most platforms have simulated pods, which are ready at once: what is tried there is not in the pods. Runs on what
test_install.py left, or on an install of its own.
"""

from __future__ import annotations

import base64
import contextlib
import secrets
import time
import typing as t
from pathlib import Path

import pytest
import yaml

from .platform_hands import (
    DATABASE,
    HUB,
    HUB_NAME,
    NAME,
    PLATFORM,
    SECRET,
    SERVER,
    SHORT,
    SIMULATE,
    SIMULATED,
    Hands,
    Object,
    database,
    ended,
    fooled,
    naive_ready,
    naive_succeed,
    ok,
    said,
)

REAL_CRDS = Path(__file__).resolve().parents[3] / "shared" / "crds" / "sonataflow-2024-11"


# -- making one -------------------------------------------------------------------------------------------------------


def test_from_nothing_to_answers_and_then_nothing_to_do(hands: Hands, place: str) -> None:
    """Complete in one request; check mode says the same on an empty, a half and a complete namespace."""
    options: Object = {"probe": True, "wait_timeout": 180, "name": "fresh"}
    predicted = ok(hands.call(place, check=True, **options), True)
    assert predicted.writes == []
    assert predicted.result["platform"]["action"] == "created"
    done = ok(hands.call(place, **options), True)
    assert len(done.writes) == 1, done.writes
    assert done.result["platform"]["action"] == "created"
    assert done.result["graphql"]["status"] == "ok"
    assert {service["ready"] for service in done.result["services"].values()} == {1}
    assert predicted.result["diff"]["after"]["spec"].items() <= done.result["diff"]["after"]["spec"].items()
    ok(hands.call(place, **options), False)
    ok(hands.call(place, check=True, **options), False)

    half = {**options, "data_index": {"resources": {"limits": {"memory": "1200Mi"}}}}
    predicted = ok(hands.call(place, check=True, **half), True)
    assert predicted.writes == []
    done = ok(hands.call(place, **half), True)
    assert done.result["platform"]["action"] == predicted.result["platform"]["action"] == "patched"
    deployment = hands.there("Deployment", "fresh-data-index-service", place)
    assert deployment["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]["memory"] == "1200Mi"
    ok(hands.call(place, **half), False)

    gone = ok(hands.call(place, state="absent", check=True, name="fresh"), True)
    assert gone.writes == []
    ok(hands.call(place, state="absent", name="fresh"), True)
    assert hands.deployments(place) == []
    ok(hands.call(place, state="absent", name="fresh"), False)


def test_options_reach_the_services(hands: Hands, place: str) -> None:
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
    done = ok(hands.call(place, **options), True)
    assert len(done.writes) == 1
    assert done.result["services"]["data_index"] == {
        "url": f"http://{NAME}-data-index-service.{place}",
        "ready": 2,
        "image": SIMULATED,
    }
    assert not hands.there(PLATFORM, NAME, place)["spec"]["monitoring"].get("enabled")
    for check in (False, True):
        ok(hands.call(place, check=check, **options), False)
    pod = hands.there("Deployment", f"{NAME}-data-index-service", place)["spec"]["template"]["spec"]
    # What a podTemplate with volumes alone loses: the operator's properties file.
    assert {volume["name"] for volume in pod["volumes"]} == {"application-config", "mine"}
    assert {mount["name"] for mount in pod["containers"][0]["volumeMounts"]} == {"application-config", "mine"}
    assert {"name": "MINE", "value": "1"} in pod["containers"][0]["env"]
    assert pod["containers"][0]["resources"]["limits"] == {"memory": "2Gi", "cpu": "1"}

    # What the operator has written back is still ours to change.
    index["resources"]["limits"]["memory"] = "3000Mi"
    options["monitoring"] = True
    del extra["nodeSelector"]
    done = ok(hands.call(place, **options), True)
    assert hands.there(PLATFORM, NAME, place)["spec"]["monitoring"] == {"enabled": True}
    assert any("data_index.pod_template.nodeSelector stays" in warning for warning in done.warnings)
    stays = hands.there("Deployment", f"{NAME}-data-index-service", place)["spec"]["template"]["spec"]
    assert stays["nodeSelector"] == {"kubernetes.io/os": "linux"}
    assert stays["containers"][0]["resources"]["limits"]["memory"] == "3000Mi"
    options["job_service"] = {"enabled": False}
    done = ok(hands.call(place, **options), True)
    assert done.warnings == [f"{NAME}-jobs-service runs on until its Deployment and Service are deleted."]
    ok(hands.call(place, **options), False)


def test_network_policies_belong_to_the_platform(hands: Hands, place: str) -> None:
    """What the Developer Hub operator makes for its own platform, and nobody for one of our own."""
    options: Object = {**SIMULATE, "network_policies": True, "workflow_namespaces": ["flows"]}
    predicted = ok(hands.call(place, check=True, **options), True)
    assert predicted.writes == []
    done = ok(hands.call(place, **options), True)
    made = [each["metadata"]["name"] for each in hands.all("NetworkPolicy", place)]
    assert len(made) == 4
    for outcome in (predicted, done):
        assert sorted(outcome.result["platform"]["network_policies"]) == sorted(made)
    assert "flows" in str(hands.all("NetworkPolicy", place))
    ok(hands.call(place, **options), False)
    hands.delete("NetworkPolicy", made[0], place)
    predicted = ok(hands.call(place, check=True, **options), True)
    done = ok(hands.call(place, **options), True)
    assert predicted.result["platform"]["network_policies"] == done.result["platform"]["network_policies"] == [made[0]]
    ok(hands.call(place, state="absent"), True)
    hands.until("they went with it", lambda: not hands.all("NetworkPolicy", place))
    assert hands.call(HUB, managed_by="hub", network_policies=True).ending == "refused"


def test_volumes_by_hand_lose_the_properties(hands: Hands, place: str) -> None:
    """What the test above keeps from happening."""
    container = {"image": SIMULATED, "volumeMounts": [{"name": "mine", "mountPath": "/mine"}]}
    block = {"podTemplate": {"container": container, "volumes": [{"name": "mine", "emptyDir": {}}]}}
    hands.platform(NAME, place, services={"dataIndex": block})
    hands.until("Deployment", lambda: hands.get("Deployment", f"{NAME}-data-index-service", place))
    pod = hands.there("Deployment", f"{NAME}-data-index-service", place)["spec"]["template"]["spec"]
    assert [volume["name"] for volume in pod["volumes"]] == ["mine"]


def test_a_disabled_service_is_left_out_because_enabled_false_deploys_it(hands: Hands, place: str) -> None:
    block = {"enabled": False, "podTemplate": {"container": {"image": SIMULATED}}}
    hands.platform("naive", place, services={"dataIndex": block})
    hands.until("it is deployed anyway", lambda: hands.get("Deployment", "naive-data-index-service", place))
    hands.delete(PLATFORM, "naive", place)
    hands.until("it is gone", lambda: not hands.deployments(place))
    done = ok(hands.call(place, data_index={"enabled": False}, job_service={"image": SIMULATED}), True)
    assert list(done.result["services"]) == ["job_service"]
    assert [each["metadata"]["name"] for each in hands.deployments(place)] == [f"{NAME}-jobs-service"]


def test_everything_that_is_wrong_is_said_at_once_and_before_any_change(hands: Hands, place: str) -> None:
    wrong: Object = {
        "name": "Not_a_name",
        "cluster_platform": "Neither",
        "data_index": {"replicas": -1, "env": [{"name": "QUARKUS_DATASOURCE_REACTIVE_URL", "value": "x"}]},
        "job_service": {"replicas": 2, "env": [{"name": "A"}, {"name": "A"}]},
        "eventing": {"broker": {"name": "UPPER", "namespace": None}},
        "database": database(secret={"name": "no-such"}),
    }
    done = hands.call(place, **wrong)
    texts = ("Not_a_name", "Neither", "less than 0", "cannot be overridden", "runs once", "more than once", "UPPER")
    ended(done, "refused", *texts, "no-such does not exist")
    wrong = {
        "name": "far-too-long-for-the-services-that-begin-with-it",
        "data_index": {"pod_template": {"container": {"env": "A=b"}, "replicas": -2}},
        "database": {"service": SERVER, "jdbc_url": "jdbc:postgresql://x/y", "port": 70000, "secret": {"name": "db"}},
    }
    done = hands.call(place, **wrong)
    ended(done, "refused", "at most 44", "container.env: must be", "-2 is less than 0", "database.", "70000")
    ended(hands.call("", database=None), "refused", "namespace: ''")
    assert hands.all(PLATFORM, place) == []


# -- the server's own checks ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("check", [False, True])
def test_unknown_fields_are_reported_as_the_user_wrote_them(hands: Hands, place: str, check: bool) -> None:
    wrong = {"data_index": {**SIMULATE["data_index"], "pod_template": {"nodeSelektor": {"a": "b"}}}}
    ended(hands.call(place, check=check, **{**SIMULATE, **wrong}), "refused", "data_index.pod_template.nodeSelektor")
    assert hands.get(PLATFORM, NAME, place) is None
    ok(hands.call(place, **SIMULATE, wait=False), True)  # and on one that is there
    wrong = {"job_service": {**SIMULATE["job_service"], "resources": {"limit": {"cpu": "1"}}}}
    ended(hands.call(place, check=check, **{**SIMULATE, **wrong}), "refused", "job_service.resources.limit")


@pytest.fixture
def real_kind(hands: Hands, monkeypatch: pytest.MonkeyPatch) -> t.Iterator[None]:
    """The real definition of a platform, in a group of its own beside the stand-in's."""
    from ansible_collections.rhdh.orchestrator.plugins.module_utils import _kinds as k

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
    hands.api.request("POST", path, definition)
    hands.until("it is served", lambda: said(hands.api.get(f"{path}/{name}") or {}, "Established"))
    monkeypatch.setattr(k, "SONATAFLOW_PLATFORM", k.SONATAFLOW_PLATFORM._replace(group=group))
    yield
    hands.delete("CustomResourceDefinition", name)


@pytest.mark.usefixtures("real_kind")
def test_the_real_definition_accepts_and_refuses(hands: Hands, place: str) -> None:
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
    ok(hands.call(place, check=True, **everything), True)
    # This definition, of November 2024, is older than migrations by Job: it tells so in the option's name.
    ended(hands.call(place, check=True, **everything, migration="job"), "refused", " migration: field not declared")
    wrong = {**everything["data_index"], "pod_template": {"container": {"imagePullPolcy": "Always"}}}
    done = hands.call(place, check=True, **{**everything, "data_index": wrong})
    ended(done, "refused", "data_index.pod_template.container.imagePullPolcy")


def test_a_missing_kind_and_another_version_are_named(
    hands: Hands, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ansible_collections.rhdh.orchestrator.plugins.module_utils import _kinds as k

    kind = k.SONATAFLOW_PLATFORM
    monkeypatch.setattr(k, "SONATAFLOW_PLATFORM", kind.at("v2"))
    for check in (False, True):
        ended(hands.call(place, check=check), "refused", "is served as v1alpha08 here, not as v2")
    monkeypatch.setattr(k, "SONATAFLOW_PLATFORM", kind._replace(group="nobody.invalid"))
    ended(hands.call(place), "refused", "no sonataflowplatforms.nobody.invalid", "Serverless Logic operator")


# -- Succeed says little ----------------------------------------------------------------------------------------------


def test_succeed_comes_before_the_services_and_without_them(hands: Hands, place: str) -> None:
    """Generation 2 of 2, Succeed, and not a single Deployment: the event and what is missing are told."""
    trouble = "quota of Services is used up"
    with hands.setting(operators__logic__services_fail=trouble):
        done = hands.call(place, **SIMULATE, wait_timeout=SHORT)
        live = hands.there(PLATFORM, NAME, place)
        assert naive_succeed(live)
        assert live["status"]["observedGeneration"] == live["metadata"]["generation"]
        assert hands.deployments(place) == []
        ended(done, "failed", f"{NAME}-data-index-service does not exist yet", trouble)
        # The operator's pauses double: the one at 10 s lasts to 20 s. Nobody waits for its end.
        hands.until("it is not young", lambda: hands.age(PLATFORM, NAME, place) > 12)
        predicted = ok(hands.call(place, check=True, **SIMULATE), True)
        assert predicted.writes == []
        assert predicted.result["platform"]["touches"] == 1
    done = ok(hands.call(place, **SIMULATE), True)
    assert done.result["platform"]["touches"] == 1


def test_a_lasting_lag_of_the_generation_is_no_success(hands: Hands, place: str) -> None:
    """A change that the operator cannot carry out leaves everything green."""
    ok(hands.call(place, **SIMULATE), True)
    done = hands.call(place, **with_broker("no-such", wait_timeout=SHORT))
    fooled(hands, NAME, place)
    live = hands.there(PLATFORM, NAME, place)
    assert live["status"]["observedGeneration"] < live["metadata"]["generation"]
    ended(done, "failed", f"Broker {place}/no-such does not exist")
    assert {"GenerationLag", "BrokerMissing"} <= done.reasons


def test_pods_that_cannot_start_are_no_success(hands: Hands, place: str) -> None:
    """A wrong password: the platform never says a word about it."""
    hands.patch("Secret", "db", place, {"data": {"POSTGRES_PASSWORD": base64.b64encode(b"wrong-canary").decode()}})
    done = hands.call(place, name="wrong", probe=True, wait_timeout=15)
    assert naive_succeed(hands.there(PLATFORM, "wrong", place))
    ended(done, "failed", "password authentication failed", "oc logs")
    assert "wrong-canary" not in str((done.message, done.result, done.warnings))


def test_what_somebody_changed_while_the_operator_is_away(hands: Hands, place: str) -> None:
    """Each service on another database, and a Service that selects nothing: all rolled out, all green."""
    ok(hands.call(place, **SIMULATE), True)

    def point(service: str, variable: str) -> None:
        name = f"{NAME}-{service}"
        env = hands.there("Deployment", name, place)["spec"]["template"]["spec"]["containers"][0]["env"]
        for entry in env:
            if entry["name"] == variable:
                entry["value"] = entry["value"].replace(DATABASE, "another")
        change = [{"op": "replace", "path": "/spec/template/spec/containers/0/env", "value": env}]
        path = f"/apis/apps/v1/namespaces/{place}/deployments/{name}"
        hands.api.request("PATCH", path, change, "application/json-patch+json")

    with hands.stopped("logic"):
        point("data-index-service", "QUARKUS_DATASOURCE_JDBC_URL")
        point("jobs-service", "QUARKUS_DATASOURCE_REACTIVE_URL")
        hands.until("it is rolled out", lambda: naive_ready(hands.deployments(place)))
        done = hands.call(place, **SIMULATE, wait_timeout=SHORT)
        fooled(hands, NAME, place)
        ended(done, "failed", f"not with database {DATABASE} of Service {SERVER}", "/another?search_path=", "operator")
        assert done.reasons == {"OtherDatabase"}
    # The operator puts them right when it is back, and somebody takes the endpoints away.
    ok(hands.call(place, **SIMULATE), False)
    with hands.stopped("logic"):
        selector = {"spec": {"selector": {"sonataflow.org/service": "nobody"}}}
        hands.patch("Service", f"{NAME}-data-index-service", place, selector)
        slices = "discovery.k8s.io/v1/namespaces"
        look = lambda: not any(  # noqa: E731
            item.get("endpoints") for item in hands.api.get(f"/apis/{slices}/{place}/endpointslices")["items"]
            if item["metadata"]["name"].startswith(f"{NAME}-data-index")
        )  # fmt: skip
        hands.until("it has no endpoints", look)
        done = hands.call(place, **SIMULATE, wait_timeout=SHORT)
        fooled(hands, NAME, place)
        ended(done, "failed", f"NoEndpoints: Service {NAME}-data-index-service has no ready endpoint")
        # A change that nobody carries out, for the simplest of reasons.
        more = {**SIMULATE, "data_index": {**SIMULATE["data_index"], "replicas": 2}}
        done = hands.call(place, **more, wait_timeout=SHORT)
        ended(done, "failed", "GenerationLag", "the Serverless Logic operator does not run")


def test_graphql_errors_are_no_answer(hands: Hands, place: str) -> None:
    """Health UP, everything rolled out, and every query fails; it is noticed at once when they do not any more."""
    options: Object = {"name": "graph", "probe": True, "wait_timeout": 180}
    ok(hands.call(place, **options), True)
    with hands.setting(services__data_index__graphql_error='relation "definitions" does not exist'):
        done = hands.call(place, **{**options, "wait_timeout": SHORT})
        fooled(hands, "graph", place)
        ended(done, "failed", 'relation \\"definitions\\" does not exist', "oc logs", "restart the service")
        with hands.calling(place, **{**options, "wait_timeout": 60}) as found:
            time.sleep(3)
            hands.set(services__data_index__graphql_error=None)
            mended = time.monotonic()
        late = time.monotonic() - mended
    ok(found[0], False)
    assert late < 6, late


def test_without_the_right_to_the_proxy_the_services_are_not_asked_and_it_is_said(
    hands: Hands, place: str, tmp_path: Path
) -> None:
    ok(hands.call(place, **SIMULATE), True)
    rules = [
        {"apiGroups": ["", "apps", "discovery.k8s.io"], "resources": ["*"], "verbs": ["get", "list", "watch"]},
        {"apiGroups": ["sonataflow.org"], "resources": ["*"], "verbs": ["*"]},
    ]
    rules[0]["resources"] = ["pods", "secrets", "configmaps", "deployments", "endpointslices"]
    hands.create("ServiceAccount", "narrow", place)
    hands.create("ClusterRole", place, rules=rules)
    rbac = "rbac.authorization.k8s.io"
    subject = {"kind": "ServiceAccount", "name": "narrow", "namespace": place}
    role = {"apiGroup": rbac, "kind": "ClusterRole", "name": place}
    hands.create("RoleBinding", "narrow", place, roleRef=role, subjects=[subject])
    path = f"/api/v1/namespaces/{place}/serviceaccounts/narrow/token"
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    config = yaml.safe_load(hands.instance.kubeconfig.read_text(encoding="utf-8"))
    config["users"][0]["user"] = {"token": hands.api.request("POST", path, request)["status"]["token"]}
    (tmp_path / "narrow").write_text(yaml.safe_dump(config), encoding="utf-8")
    try:
        done = ok(hands.call(place, **SIMULATE, probe=True, kubeconfig=str(tmp_path / "narrow")), False)
    finally:
        hands.delete("ClusterRole", place)
    assert done.warnings == ["The services were not asked: the credentials lack get on services/proxy."]
    assert done.result["graphql"]["status"] == "skipped"


# -- patches ----------------------------------------------------------------------------------------------------------


def test_fields_of_somebody_else_are_never_taken(hands: Hands, place: str) -> None:
    with hands.setting(operators__logic__stale_spec_windows=[]):  # else theirs may be reverted
        ok(hands.call(place, **SIMULATE), True)
    path = f"/apis/sonataflow.org/v1alpha08/namespaces/{place}/sonataflowplatforms/{NAME}?fieldManager=someone"
    theirs = {
        "apiVersion": "sonataflow.org/v1alpha08",
        "kind": PLATFORM,
        "metadata": {"name": NAME},
        "spec": {"services": {"dataIndex": {"podTemplate": {"replicas": 1}}}},
    }
    hands.api.request("PATCH", path, theirs, "application/apply-patch+yaml")
    wanted = {**SIMULATE, "data_index": {**SIMULATE["data_index"], "replicas": 2}}
    for check in (True, False):
        done = ended(hands.call(place, check=check, **wanted), "refused", "data_index.replicas", '"someone"')
        assert "force" not in done.message
    template = hands.there(PLATFORM, NAME, place)["spec"]["services"]["dataIndex"]["podTemplate"]
    assert template["replicas"] == 1


def fields_of(platform: Object, manager: str) -> Object:
    """What a manager has applied below `spec`."""
    entries = [e for e in platform["metadata"]["managedFields"] if (e["manager"], e["operation"]) == (manager, "Apply")]
    return t.cast(Object, entries[0]["fieldsV1"].get("f:spec", {}) if entries else {})


def test_in_the_platform_of_the_hub_only_what_was_asked_for_is_ours(hands: Hands) -> None:
    """It stays when the Developer Hub operator works on its platform again, and goes when it is not asked for."""
    asked: Object = {"managed_by": "hub", "job_service": {"replicas": 1}}
    before = hands.there(PLATFORM, NAME, HUB)
    assert fields_of(before, "rhdh.orchestrator") == {}
    predicted = ok(hands.call(HUB, check=True, **asked), True)
    assert predicted.writes == []
    ok(hands.call(HUB, **asked), True)
    live = hands.there(PLATFORM, NAME, HUB)
    ours: Object = {"f:services": {"f:jobService": {"f:podTemplate": {"f:replicas": {}}}}}
    assert fields_of(live, "rhdh.orchestrator") == ours
    assert fields_of(live, "backstage-controller") == fields_of(before, "backstage-controller")
    hands.patch("Backstage", HUB_NAME, HUB, {"metadata": {"annotations": {"test/look": secrets.token_hex(4)}}})
    time.sleep(2)
    ok(hands.call(HUB, **asked), False)

    for check in (True, False):  # what the operator has applied
        done = hands.call(HUB, check=check, managed_by="hub", monitoring=False)
        ended(done, "refused", "monitoring.enabled", '"backstage-controller"')
    predicted = ok(hands.call(HUB, check=True, managed_by="hub"), True)
    assert predicted.writes == []
    ok(hands.call(HUB, managed_by="hub"), True)
    after = hands.there(PLATFORM, NAME, HUB)
    assert fields_of(after, "rhdh.orchestrator") == {}
    assert after["spec"] == before["spec"]
    ok(hands.call(HUB, managed_by="hub"), False)

    # Deleted, it comes back when the Developer Hub operator looks the next time, without what was ours.
    hands.delete(PLATFORM, NAME, HUB)
    done = hands.call(HUB, **asked, wait_timeout=4)
    ended(done, "failed", "NotCreated", f"The Developer Hub operator makes it: see the Backstage {HUB_NAME}")
    assert done.writes == []
    with hands.calling(HUB, **asked, wait_timeout=120) as found:
        time.sleep(1)
        hands.patch("Backstage", HUB_NAME, HUB, {"metadata": {"annotations": {"test/look": secrets.token_hex(4)}}})
    done = ok(found[0], True)
    assert done.result["platform"]["action"] == "patched"
    again = hands.there(PLATFORM, NAME, HUB)
    assert again["metadata"]["uid"] != live["metadata"]["uid"]
    assert fields_of(again, "rhdh.orchestrator") == ours
    ok(hands.call(HUB, managed_by="hub"), True)


# -- the database migration Job ---------------------------------------------------------------------------------------


def migrator(hands: Hands, place: str) -> str:
    """Name of the operator's Job; empty while there is none."""
    names = [job["metadata"]["name"] for job in hands.all("Job", place)]
    return next((name for name in names if "db-migrator-job" in name), "")


def test_a_migration_that_runs_fails_is_mended_and_is_deleted(hands: Hands, place: str) -> None:
    options: Object = {**SIMULATE, "name": "mig", "migration": "job", "wait_timeout": 120}
    with hands.setting(runtime__bad_images=[r"logic-db-migrator-tool-rhel"]):
        done = hands.call(place, **{**options, "wait_timeout": SHORT})
        live = hands.there(PLATFORM, "mig", place)
        assert naive_succeed(live)
        assert live["status"]["observedGeneration"] == live["metadata"]["generation"]
        assert hands.deployments(place) == []
        ended(done, "failed", "the database migration Job has not finished", "cannot pull image")
    hands.delete("Job", migrator(hands, place), place)

    with hands.setting(**{"services__db-migrator__fail": "no room left"}):
        done = hands.call(place, **options)
        assert naive_succeed(hands.there(PLATFORM, "mig", place))
        ended(done, "failed", "MigrationFailed", "delete the Job")
        assert done.seconds < 60
        again = hands.call(place, **options)  # it is never tried again by the operator
        assert again.ending == "failed"
        assert again.seconds < 15

    # The cause is mended and the Job deleted: the operator has to be woken, or backs off for minutes.
    hands.delete("Job", migrator(hands, place), place)
    woken = hands.call(place, **options)
    assert woken.ending == "ok", woken.message
    assert woken.seconds < 45
    ok(hands.call(place, **options), False)

    # Deleting a succeeded one takes both services away at the operator's next look.
    hands.delete("Job", migrator(hands, place), place)
    hands.patch(PLATFORM, "mig", place, {"metadata": {"annotations": {"look": "now"}}})
    hands.until("the Deployments are gone", lambda: not hands.deployments(place), 20)
    assert naive_succeed(hands.there(PLATFORM, "mig", place))
    done = hands.call(place, **options)
    assert done.ending == "ok", done.message
    assert len(hands.deployments(place)) == 2


# -- eventing ---------------------------------------------------------------------------------------------------------


def with_broker(name: str, namespace: str | None = None, **more: t.Any) -> Object:
    return {**SIMULATE, "eventing": {"broker": {"name": name, "namespace": namespace}}, **more}


def test_a_broker_that_comes_late_is_not_waited_for_twice(hands: Hands, place: str) -> None:
    """Missing, then not ready, then ready: the operator watches no Brokers, so the platform is touched."""
    with hands.calling(place, **with_broker("late", wait_timeout=120)) as found:
        hands.until("Data Index is there", lambda: hands.deployments(place))
        time.sleep(5)  # the operator's pause between two attempts is seconds by now, and doubles
        fooled(hands, NAME, place)
        assert hands.get("Deployment", f"{NAME}-jobs-service", place) is None
        with hands.setting(**{"operators__eventing-controller__broker_seconds": 4}):
            hands.broker("late", place)
            hands.until("it is ready", lambda: said(hands.there("Broker", "late", place), "Ready"))
            ready = time.monotonic()
    done = ok(found[0], True)
    assert time.monotonic() - ready < 10
    assert done.result["platform"]["touches"] == 1
    assert {"BrokerMissing", "BrokerNotReady"} & {entry["reason"] for entry in done.result["timeline"]}
    ok(hands.call(place, **with_broker("late")), False)


def test_nobody_binds_the_sink(hands: Hands, place: str) -> None:
    """The Job Service has 0 replicas and counts as available for ever."""
    hands.broker("default", place)
    with hands.stopped("eventing-webhook"):
        done = hands.call(place, **with_broker("default", wait_timeout=SHORT))
        fooled(hands, NAME, place)
        assert hands.there("Deployment", f"{NAME}-jobs-service", place)["spec"]["replicas"] == 0
        ended(done, "failed", "SinkNotBound", "eventing-webhook")
    assert hands.call(place, **with_broker("default")).ending == "ok"
    ok(hands.call(place, **with_broker("default")), False)
    assert hands.there("Deployment", f"{NAME}-jobs-service", place)["spec"]["replicas"] == 1


def test_triggers_that_nobody_serves(hands: Hands, place: str) -> None:
    hands.broker("default", place)
    hands.until("it is ready", lambda: said(hands.there("Broker", "default", place), "Ready"))
    with hands.stopped("eventing-controller"):
        done = hands.call(place, **with_broker("default", wait_timeout=SHORT))
        fooled(hands, NAME, place)
        ended(done, "failed", "TriggersNotReady", "0 of 9")
    ok(hands.call(place, **with_broker("default")), False)


def test_eventing_that_is_switched_off_leaves_nothing_behind(hands: Hands, place: str) -> None:
    """By itself the operator takes nothing back: Triggers, SinkBinding and K_SINK stay, and events go on."""
    hands.broker("default", place)
    hands.until("it is ready", lambda: said(hands.there("Broker", "default", place), "Ready"))
    # The platform is young when eventing is taken out, and the operator brings it back once.
    with hands.setting(operators__logic__stale_spec_windows=[[1, 9]]):
        ok(hands.call(place, **with_broker("default")), True)
    assert len(hands.all("Trigger", place)) == 9
    predicted = ok(hands.call(place, check=True, **SIMULATE), True)
    assert predicted.writes == []
    done = ok(hands.call(place, **SIMULATE), True)
    assert len(done.result["platform"]["leftovers"]) == 10
    assert set(predicted.result["platform"]["leftovers"]) == set(done.result["platform"]["leftovers"])
    assert hands.all("Trigger", place) == []
    env = hands.there("Deployment", f"{NAME}-jobs-service", place)["spec"]["template"]["spec"]["containers"][0]["env"]
    assert "K_SINK" not in [entry["name"] for entry in env]
    ok(hands.call(place, **SIMULATE), False)
    ok(hands.call(place, check=True, **SIMULATE), False)
    # Added to a platform that runs, it takes the Job Service down for a moment.
    done = ok(hands.call(place, **with_broker("default")), True)
    assert done.result["services"]["job_service"]["ready"] == 1
    assert len(hands.all("Trigger", place)) == 9


# -- a Secret that changed --------------------------------------------------------------------------------------------


def test_a_rotated_secret_rolls_both_services_once(hands: Hands, place: str) -> None:
    """Nothing in the cluster tells: pods run on with what they read at their start, until they have to log in again."""
    options: Object = {"name": "rotated", "probe": True, "wait_timeout": 180}
    role, password = "rotated_role", secrets.token_urlsafe(12)
    ok(hands.call(place, **options), True)
    before = hands.revisions("rotated", place)
    hands.sql(f"DROP ROLE IF EXISTS {role}")
    hands.sql(f"CREATE ROLE {role} LOGIN SUPERUSER PASSWORD '{password}'")
    time.sleep(1.1)  # the API server's times have no fractions
    values = {"POSTGRES_USER": role, "POSTGRES_PASSWORD": password}
    data = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
    hands.patch("Secret", "db", place, {"data": data})
    time.sleep(3)
    fooled(hands, "rotated", place)
    assert hands.revisions("rotated", place) == before

    predicted = ok(hands.call(place, check=True, **options), True)
    assert predicted.writes == []
    done = ok(hands.call(place, **options), True)
    expected = ["data_index", "job_service"]
    assert predicted.result["platform"]["rolled_for_secret"] == expected
    assert done.result["platform"]["rolled_for_secret"] == expected
    assert hands.revisions("rotated", place) == [number + 1 for number in before]
    ok(hands.call(place, **options), False)
    ok(hands.call(place, check=True, **options), False)
    assert hands.revisions("rotated", place) == [number + 1 for number in before]
    assert password not in str((done.message, done.result, done.warnings))
    # Labels of the Secret are none of its values.
    path, label = f"/api/v1/namespaces/{place}/secrets/db?fieldManager=kubectl-label", {"labels": {"seen": "yes"}}
    hands.api.request("PATCH", path, {"metadata": label}, "application/merge-patch+json")
    ok(hands.call(place, **options), False)


def test_a_regenerated_secret_of_the_hub_rolls_both_services_once(hands: Hands) -> None:
    """The Hub's Secret was deleted: its operator makes a new one with a new password, and the volume stays."""
    options: Object = {"managed_by": "hub", "probe": True, "wait_timeout": 240}
    hands.call(HUB, **options)
    ok(hands.call(HUB, **options), False)
    before, before_it = hands.revisions(NAME, HUB), hands.password()
    claims = (hands.api.get(f"/api/v1/namespaces/{HUB}/persistentvolumeclaims") or {})["items"]
    time.sleep(1.1)
    hands.delete("Secret", SECRET, HUB)
    hands.patch("Backstage", HUB_NAME, HUB, {"metadata": {"annotations": {"test/look": secrets.token_hex(4)}}})
    hands.until("a new Secret", lambda: hands.get("Secret", SECRET, HUB))
    password = hands.password()
    assert password != before_it
    assert claims == (hands.api.get(f"/api/v1/namespaces/{HUB}/persistentvolumeclaims") or {})["items"]
    hands.sql(
        f"ALTER ROLE postgres PASSWORD '{password}'", before_it
    )  # as the image of the product does when it starts
    fooled(hands, NAME, HUB)

    predicted = ok(hands.call(HUB, check=True, **options), True)
    assert predicted.writes == []
    done = ok(hands.call(HUB, **options), True)
    assert done.result["platform"]["rolled_for_secret"] == ["data_index", "job_service"]
    assert hands.revisions(NAME, HUB) == [number + 1 for number in before]
    ok(hands.call(HUB, **options), False)
    assert password not in str((done.message, done.result, done.warnings))


def test_a_hub_that_is_made_again_on_its_old_volume(hands: Hands, place: str) -> None:
    """A platform of our own on its PostgreSQL: the volume stays, the Secret is a new one, nobody notices."""
    hub, options = "again", {"managed_by": "self", "hub_name": "again", "database": None, "wait_timeout": 120}
    server, secret = f"backstage-psql-{hub}", f"backstage-psql-secret-{hub}"
    volumes = f"/api/v1/namespaces/{place}/persistentvolumeclaims"

    def made() -> str:
        hands.create("Backstage", hub, place, spec={})
        hands.until("PostgreSQL runs", lambda: said(hands.get("Pod", f"{server}-0", place) or {}, "Ready"))
        return hands.password(secret, place)

    old = made()
    hands.sql(f'CREATE DATABASE "{DATABASE}"', old, server, place)
    ok(hands.call(place, **options), True)
    volume = hands.api.get(f"{volumes}/data-{server}-0")
    before = hands.revisions(NAME, place)
    time.sleep(1.1)  # the API server's times have no fractions
    hands.delete("Backstage", hub, place)
    hands.until("its PostgreSQL is gone", lambda: hands.get("Pod", f"{server}-0", place) is None)
    new = made()
    assert new != old
    assert hands.api.get(f"{volumes}/data-{server}-0")["metadata"]["uid"] == volume["metadata"]["uid"]

    # PostgreSQL has the old password still, and so have the pods: all is well until one of them starts anew.
    fooled(hands, NAME, place)
    done = hands.call(place, **{**options, "wait_timeout": 20})
    ended(done, "failed", "password authentication failed", "old volume with a new password")
    assert hands.revisions(NAME, place) == [number + 1 for number in before]
    hands.sql(f"ALTER ROLE postgres PASSWORD '{new}'", old, server, place)
    ok(hands.call(place, **options), False)
    for check in (False, True):
        ok(hands.call(place, check=check, **options), False)
    assert hands.revisions(NAME, place) == [number + 1 for number in before]
    assert new not in str((done.message, done.result))
    hands.delete("Backstage", hub, place)


# -- whose it is ------------------------------------------------------------------------------------------------------


def test_a_second_platform_is_refused_told_and_promoted(hands: Hands, place: str) -> None:
    hands.platform("first", place)
    hands.succeeded("first", place)
    ended(hands.call(place, name="second", **SIMULATE), "refused", "first", "Duplicated")
    assert hands.get(PLATFORM, "second", place) is None

    hands.platform("second", place)
    hands.until("it is a duplicate", lambda: "Duplicated" in str(hands.there(PLATFORM, "second", place).get("status")))
    hands.available("first", place)
    fooled(hands, "first", place)  # a wait for "the platform's Deployments" looks at those of the other one
    done = hands.call(place, name="second", **SIMULATE)
    ended(done, "failed", "Duplicated", "first")
    assert done.seconds < 25
    with hands.calling(place, name="second", **SIMULATE) as found:
        time.sleep(2)
        hands.delete(PLATFORM, "first", place)
    ok(found[0], False)
    assert found[0].told("Duplicated")


def test_platforms_of_a_backstage_are_not_ours_to_make(hands: Hands) -> None:
    ended(hands.call(HUB, managed_by="self"), "refused", HUB_NAME, "managed_by: hub")
    ended(hands.call(HUB, managed_by="hub", hub_name="another"), "refused", f"'{HUB_NAME}'", "'another'")


class TestWithoutTheHubOperator:
    """Platforms that belong to a Backstage, without the operator that would work on it."""

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def away(cls, hands: Hands) -> t.Iterator[None]:
        with hands.stopped("hub"):
            yield

    @contextlib.contextmanager
    def backstages(self, hands: Hands, place: str, *names: str) -> t.Iterator[list[Object]]:
        """Backstages that nobody works on; yields a reference to each, for an owner."""
        made = [hands.create("Backstage", name, place, spec={}) for name in names]
        yield [
            {"kind": "Backstage", **{key: each["metadata"][key] for key in ("name", "uid")}}
            | {"apiVersion": each["apiVersion"]}
            for each in made
        ]
        for found in hands.all(PLATFORM, place):
            hands.patch(PLATFORM, found["metadata"]["name"], place, {"metadata": {"ownerReferences": None}})
        for name in names:
            hands.delete("Backstage", name, place)
        hands.until("they are gone", lambda: not hands.all("Backstage", place))

    def test_a_patch_that_the_operator_reverts_is_sent_until_it_stays(self, hands: Hands, place: str) -> None:
        """The operator writes back what it had read: patched once, a young platform loses the change without a word."""
        with hands.setting(operators__logic__stale_spec_windows=[[0, 3]]):
            hands.platform("naive", place)
            hands.succeeded("naive", place)
            change = {"spec": {"services": {"dataIndex": {"podTemplate": {"replicas": 2}}}}}
            hands.patch(PLATFORM, "naive", place, change)
            time.sleep(4)
            template = hands.there(PLATFORM, "naive", place)["spec"]["services"]["dataIndex"]["podTemplate"]
            assert "replicas" not in template
            hands.delete(PLATFORM, "naive", place)
            hands.until("it is gone", lambda: not hands.all(PLATFORM, place))
            with self.backstages(hands, place, "ours") as (owner,):
                hands.platform(NAME, place, owner=owner)
                hands.succeeded(NAME, place)
                done = ok(hands.call(place, managed_by="hub", hub_name="ours", data_index={"replicas": 2}), True)
        assert done.told("PatchReverted")
        for _look in range(3):
            template = hands.there(PLATFORM, NAME, place)["spec"]["services"]["dataIndex"]["podTemplate"]
            assert template["replicas"] == 2
            time.sleep(1)

    def test_a_stolen_platform_is_told(self, hands: Hands, place: str) -> None:
        """The Backstage that was reconciled last owns it, and would take it along; nothing else changes."""
        ok(hands.call(place, **SIMULATE), True)
        asked: Object = {"managed_by": "hub", "hub_name": "ours"}
        with self.backstages(hands, place, "ours", "thief") as (ours, thief):
            hands.patch(PLATFORM, NAME, place, {"metadata": {"ownerReferences": [ours]}})
            hands.call(place, **asked)
            ok(hands.call(place, **asked), False)
            hands.patch(PLATFORM, NAME, place, {"metadata": {"ownerReferences": [thief]}})
            fooled(hands, NAME, place)
            ended(hands.call(place, **asked), "refused", "'thief'", "'ours'")
            hands.patch(PLATFORM, NAME, place, {"metadata": {"ownerReferences": None}})
            done = hands.call(place, **asked, wait_timeout=SHORT)
            ended(done, "failed", "NotAdopted", "managed_by: self")
            # Stolen while we wait.
            with hands.calling(place, **asked, probe=True, wait_timeout=SHORT) as found:
                time.sleep(2)
                hands.patch(PLATFORM, NAME, place, {"metadata": {"ownerReferences": [thief]}})
            ended(found[0], "failed", "NotOurs", "Backstage thief")

    def test_a_secret_that_is_gone_is_named(self, hands: Hands, place: str) -> None:
        """The Secret of a platform of somebody else: pods that cannot be made, and not a word about it."""
        persistence = {"postgresql": {"secretRef": {"name": "gone"}, "serviceRef": {"name": "pg", "databaseName": "d"}}}
        services = {"dataIndex": {"persistence": persistence}, "jobService": {"persistence": persistence}}
        with self.backstages(hands, place, "ours") as (owner,):
            hands.platform(NAME, place, owner=owner, services=services)
            asked: Object = {"managed_by": "hub", "hub_name": "ours", "probe": True}
            done = hands.call(place, **asked, wait_timeout=SHORT)
            fooled(hands, NAME, place, deployments=False)
            ended(done, "failed", 'secret "gone" not found', f"Create Secret gone in {place}")


# -- the cluster platform ---------------------------------------------------------------------------------------------

CLUSTER = "SonataFlowClusterPlatform"


@pytest.fixture
def no_cluster_platform(hands: Hands) -> t.Iterator[None]:
    yield
    for found in hands.all(CLUSTER):
        hands.delete(CLUSTER, found["metadata"]["name"])
    hands.until("they are gone", lambda: not hands.all(CLUSTER))


@pytest.mark.usefixtures("no_cluster_platform")
def test_the_cluster_platform_is_made_kept_and_taken_away(hands: Hands, place: str) -> None:
    options: Object = {**SIMULATE, "cluster_platform": "everywhere"}
    predicted = ok(hands.call(place, check=True, **options), True)
    assert predicted.writes == []
    ok(hands.call(place, **options), True)
    assert said(hands.there(CLUSTER, "everywhere"), "Succeed")
    ok(hands.call(place, **options), False)
    ok(hands.call(place, check=True, **options), False)
    done = ok(hands.call(place, state="absent"), True)
    assert "SonataFlowClusterPlatform everywhere" in done.result["leftovers"]
    hands.until("it is gone", lambda: not hands.all(CLUSTER))


@pytest.mark.usefixtures("no_cluster_platform")
def test_a_cluster_platform_that_was_there_is_adopted_and_not_taken_away(hands: Hands, place: str) -> None:
    """Made before its platform it says PlatformNotFound, which heals."""
    hands.create(CLUSTER, "theirs", spec={"platformRef": {"name": NAME, "namespace": place}})
    hands.until("no platform", lambda: "PlatformNotFound" in str(hands.there(CLUSTER, "theirs").get("status")))
    done = ok(hands.call(place, **SIMULATE, cluster_platform="theirs"), True)
    assert said(hands.there(CLUSTER, "theirs"), "Succeed")
    ended(hands.call(place, **SIMULATE, cluster_platform="mine"), "refused", "cluster_platform: theirs")
    done = ok(hands.call(place, state="absent"), True)
    assert any("theirs still refers" in warning for warning in done.warnings)
    assert hands.get(CLUSTER, "theirs")


@pytest.mark.usefixtures("no_cluster_platform")
def test_the_cluster_platform_of_somebody_else_is_named_and_left(hands: Hands, place: str) -> None:
    theirs = {"platformRef": {"name": NAME, "namespace": HUB}}
    hands.create(CLUSTER, "theirs", spec=theirs)
    hands.until("it is active", lambda: said(hands.there(CLUSTER, "theirs"), "Succeed"))
    for name in ("theirs", "ours"):
        done = hands.call(place, **SIMULATE, cluster_platform=name)
        ended(done, "refused", f"theirs offers {HUB}/{NAME}")
    assert hands.there(CLUSTER, "theirs")["spec"]["platformRef"] == theirs["platformRef"]
    assert hands.all(PLATFORM, place) == []

    # A duplicate of ours is not promoted when the active one goes, unless it is touched.
    hands.create(CLUSTER, "ours", spec={"platformRef": {"name": NAME, "namespace": place}})
    hands.until("a duplicate", lambda: "Duplicated" in str(hands.there(CLUSTER, "ours").get("status")))
    time.sleep(2)  # what the operator wrote there wakes itself once more
    hands.delete(CLUSTER, "theirs")
    hands.until("it is gone", lambda: hands.get(CLUSTER, "theirs") is None)
    time.sleep(2)
    assert "Duplicated" in str(hands.there(CLUSTER, "ours")["status"])
    done = ok(hands.call(place, **SIMULATE, cluster_platform="ours"), True)
    assert done.result["platform"]["touches"] == 1
    assert said(hands.there(CLUSTER, "ours"), "Succeed")


# -- taking one away --------------------------------------------------------------------------------------------------


def test_workflows_keep_their_platform(hands: Hands, place: str) -> None:
    """The operator makes a new platform for a workflow within seconds."""
    ok(hands.call(place, **SIMULATE), True)
    hands.workflow("greeting", place)
    ended(hands.call(place, state="absent"), "refused", "greeting", "with_workflows")
    assert hands.get(PLATFORM, NAME, place)
    done = ok(hands.call(place, state="absent", with_workflows=True), True)
    hands.until("the operator makes it again", lambda: hands.get(PLATFORM, NAME, place), 30)
    assert done.ending == "ok"


def test_workflows_without_a_platform_get_one_that_we_adopt(hands: Hands, place: str) -> None:
    """The operator makes one for them, without services, and says that it succeeded."""
    hands.workflow("greeting", place)
    hands.until("the operator makes one", lambda: hands.get(PLATFORM, NAME, place))
    hands.succeeded(NAME, place)
    done = hands.call(place, managed_by="hub", wait_timeout=SHORT)
    ended(done, "failed", "NotAdopted", "NoServices", "managed_by: self")
    ended(hands.call(place, name="ours", **SIMULATE), "refused", f"has the SonataFlowPlatform {NAME} already")
    predicted = ok(hands.call(place, check=True, **SIMULATE), True)
    done = ok(hands.call(place, **SIMULATE), True)
    assert predicted.result["platform"]["action"] == done.result["platform"]["action"] == "patched"
    assert "rhdh.orchestrator/created" not in hands.there(PLATFORM, NAME, place)["metadata"].get("labels", {})
    ok(hands.call(place, **SIMULATE), False)


def test_a_deletion_that_hangs_names_the_finalizer_and_the_operator(hands: Hands, place: str) -> None:
    """Triggers in another namespace: the operator has to take them away, and is not there."""
    other = hands.namespace(f"{place}-brokers"[:60])
    try:
        hands.broker("default", other)
        hands.until("it is ready", lambda: said(hands.there("Broker", "default", other), "Ready"))
        ok(hands.call(place, **with_broker("default", other)), True)
        assert hands.there(PLATFORM, NAME, place)["metadata"]["finalizers"] == ["trigger-deletion"]
        with hands.stopped("logic"):
            done = hands.call(place, name="new", **SIMULATE, wait_timeout=SHORT)
            ended(done, "refused", NAME)
            done = hands.call(other, **SIMULATE, wait_timeout=SHORT)
            ended(done, "failed", "has not looked at it yet", "the Serverless Logic operator does not run")
            done = hands.call(place, state="absent", wait_timeout=SHORT)
            assert naive_succeed(hands.there(PLATFORM, NAME, place))  # to the end
            ended(done, "failed", "trigger-deletion", "logic-operator-controller-manager")
            done = hands.call(place, **with_broker("default", other, wait_timeout=SHORT))
            assert done.ending != "ok", "a platform that is being deleted was called ready"
        assert hands.call(place, state="absent").ending == "ok"
        hands.until("the Triggers are gone", lambda: not hands.all("Trigger", other))
        ok(hands.call(place, state="absent"), False)
    finally:
        hands.clean(other)


def test_the_server_is_the_hubs(hands: Hands) -> None:
    """What the whole install left is ready, and a look at it writes nothing."""
    done = ok(hands.call(HUB, managed_by="hub", probe=True), False)
    assert done.result["graphql"]["status"] == "ok"
    live = hands.there(PLATFORM, NAME, HUB)
    reference = live["spec"]["services"]["dataIndex"]["persistence"]["postgresql"]["serviceRef"]
    assert (reference["name"], reference["databaseName"]) == (SERVER, DATABASE)


def test_replicas_of_zero_are_no_success_unless_asked_for(hands: Hands, place: str) -> None:
    """A Deployment with 0 replicas is Available; so it is after an upgrade that was not ended."""
    off = {**SIMULATE, "data_index": {**SIMULATE["data_index"], "replicas": 0}}
    with hands.setting(operators__logic__stale_spec_windows=[]):  # else what is done by hand may be reverted
        done = ok(hands.call(place, **off), True)
    assert done.result["services"]["data_index"]["ready"] == 0
    hands.patch(PLATFORM, NAME, place, {"spec": {"services": {"jobService": {"podTemplate": {"replicas": 0}}}}})
    name = f"{NAME}-jobs-service"
    hands.until("it is stopped", lambda: hands.there("Deployment", name, place)["spec"]["replicas"] == 0)
    hands.until("its pod is gone", lambda: naive_ready(hands.deployments(place)))
    fooled(hands, NAME, place)
    done = hands.call(place, **SIMULATE, wait_timeout=SHORT)
    ended(done, "failed", "0 replicas", "podTemplate.replicas")
    same = {**SIMULATE["job_service"], "pod_template": {"replicas": 0}}  # said so, it is what is wanted
    ok(hands.call(place, **{**off, "job_service": same}), True)
    on = {**SIMULATE, "job_service": {**SIMULATE["job_service"], "replicas": 1}}
    ended(hands.call(place, **on), "refused", "job_service.replicas")
