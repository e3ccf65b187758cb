"""Decisions of the Serverless Logic stand-in and of its eventing neighbours."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest

from sandbox.operators import _logic_objects as objects
from sandbox.operators import eventing_webhook, knative, logic
from sandbox.operators._logic_objects import DATA_INDEX, JOBS

Object = dict[str, t.Any]
SECRET = {"secretRef": {"name": "s"}}


def _platform(**services: t.Any) -> Object:
    meta = {"name": "p", "namespace": "n", "uid": "4e88f982-f46d-4b9b-ade7-f17c3f6f7e4e"}
    return {"apiVersion": logic.API, "kind": "SonataFlowPlatform", "metadata": meta, "spec": {"services": services}}


def test_names_are_cut_at_63_characters() -> None:
    assert objects.child_name("short-", "uid") == "short-uid"
    long = objects.child_name("data-index-process-variable-", _platform()["metadata"]["uid"])
    assert long == "data-index-process-variable-d3f1a9a60b9824d574cebde3184feb224e8"


def test_job_name_follows_the_operator_version() -> None:
    assert objects.migration_job_name("main") == "sonataflow-db-migrator-job-ea90e208"
    assert objects.migration_job_name("1.38.1") != objects.migration_job_name("1.38.0")


def test_presence_alone_deploys_a_service() -> None:
    assert objects.has_service(_platform(dataIndex={"enabled": False}), DATA_INDEX)
    assert not objects.has_service(_platform(dataIndex={}), JOBS)


def test_jdbc_defaults() -> None:
    platform = _platform(jobService={"persistence": {"postgresql": {**SECRET, "serviceRef": {"name": "db"}}}})
    jdbc = objects.jdbc_url(platform, JOBS)
    assert jdbc == "jdbc:postgresql://db.n:5432/sonataflow?currentSchema=p-jobs-service"
    assert objects.reactive_url(jdbc) == "postgresql://db.n:5432/sonataflow?search_path=p-jobs-service"
    assert objects.schema_of(jdbc, "x") == "p-jobs-service"
    env = {each["name"]: each for each in objects.environment(platform, JOBS)}
    assert env["QUARKUS_DATASOURCE_USERNAME"]["valueFrom"]["secretKeyRef"] == {"name": "s", "key": "POSTGRESQL_USER"}


@pytest.mark.parametrize(("wanted", "index", "jobs"), [(None, 1, 1), (0, 0, 0), (3, 3, 1)])
def test_replicas(wanted: int | None, index: int, jobs: int) -> None:
    block = {"podTemplate": {"replicas": wanted}} if wanted is not None else {}
    platform = _platform(dataIndex=block, jobService=block)
    assert (objects.replicas_of(platform, DATA_INDEX), objects.replicas_of(platform, JOBS)) == (index, jobs)


def test_users_cannot_override_but_add() -> None:
    custom = {"env": [{"name": "KOGITO_DATA_INDEX_QUARKUS_PROFILE", "value": "x"}, {"name": "MINE", "value": "1"}]}
    platform = _platform(dataIndex={"podTemplate": {"container": custom}})
    images = logic.images_from("/nonexistent")
    env = objects.deployment(platform, DATA_INDEX, images)["spec"]["template"]["spec"]["containers"][0]["env"]
    assert env == [
        {"name": "KOGITO_DATA_INDEX_QUARKUS_PROFILE", "value": "http-events-support"},
        {"name": "MINE", "value": "1"},
    ]


def test_volumes_of_the_user_replace_ours() -> None:
    pod = {"volumes": [{"name": "ca"}], "container": {"volumeMounts": [{"name": "ca", "mountPath": "/ca"}]}}
    body = objects.deployment(_platform(dataIndex={"podTemplate": pod}), DATA_INDEX, logic.images_from("/nonexistent"))
    spec = body["spec"]["template"]["spec"]
    assert [each["name"] for each in spec["volumes"]] == ["ca"]
    assert [each["name"] for each in spec["containers"][0]["volumeMounts"]] == ["ca"]


def test_triggers_in_another_namespace_have_no_owner() -> None:
    platform = _platform(dataIndex={})
    platform["spec"]["eventing"] = {"broker": {"ref": {"kind": "Broker", "name": "b", "namespace": "elsewhere"}}}
    made = objects.triggers(platform, DATA_INDEX, "1")
    assert len(made) == 7
    assert all("ownerReferences" not in each["metadata"] for each in made)
    assert {each["metadata"]["namespace"] for each in made} == {"elsewhere"}


def test_images_come_from_the_operators_configuration(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    text = "dataIndexPostgreSQLImageTag: r/logic-data-index-postgresql-rhel9:1.38.1\n"
    (tmp_path / "config" / "controllers_cfg.yaml").write_text(text, encoding="utf-8")
    images = logic.images_from(str(tmp_path))
    assert images.tag == "1.38.1"
    assert images.jobs == "r/logic-jobs-service-postgresql-rhel9:1.38.1"


def test_a_sink_is_bound_when_both_say_so() -> None:
    binding = {"status": {"conditions": [{"type": "SinkProvided", "status": "True"}]}}
    containers: list[Object] = [{"env": [{"name": "K_SINK", "value": "u"}]}]
    deployment = {"spec": {"template": {"spec": {"containers": containers}}}}
    assert logic.is_bound(binding, deployment)
    assert not logic.is_bound(None, deployment)
    assert not logic.is_bound({"status": {}}, deployment)
    containers[0]["env"] = []
    assert not logic.is_bound(binding, deployment)


def test_injection_and_its_undoing() -> None:
    containers: list[Object] = [{"name": "a", "env": [{"name": "X", "value": "1"}]}]
    bound = eventing_webhook.with_sink(containers, "http://broker", "")
    assert [each["name"] for each in bound[0]["env"]] == ["X", "K_SINK", "K_CE_OVERRIDES"]
    assert eventing_webhook.with_sink(bound, None, "") == containers


def test_knative_conditions_keep_their_times() -> None:
    old = {"status": {"conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "before"}]}}
    same = {each["type"]: each for each in knative.conditions({}, old)}
    assert list(same) == sorted(same)
    assert same["Ready"]["lastTransitionTime"] == "before"
    failed = {each["type"]: each for each in knative.conditions(knative.failed("x"), old)}
    assert failed["Ready"]["reason"] == "Error"
    assert failed["Ready"]["message"] == "Install failed with message: x"
    assert failed["Ready"]["lastTransitionTime"] != "before"


def test_a_spec_is_written_back_as_programs_in_go_do() -> None:
    container = {
        "env": [{"name": "A", "value": ""}],
        "resources": {"limits": {"cpu": 1, "memory": "1024Mi"}, "requests": {"cpu": "0.5", "memory": "1500M"}},
    }
    spec = {
        "monitoring": {"enabled": False},
        "services": {"dataIndex": {"podTemplate": {"container": container, "tolerations": [], "nodeSelector": {}}}},
    }
    written = objects.defaulted(spec)
    assert written["monitoring"] == {}
    template = written["services"]["dataIndex"]["podTemplate"]
    assert template.keys() == {"container"}
    assert template["container"]["env"] == [{"name": "A"}]
    assert template["container"]["resources"]["limits"] == {"cpu": "1", "memory": "1Gi"}
    assert template["container"]["resources"]["requests"] == {"cpu": "500m", "memory": "1500M"}
    assert objects.defaulted(written) == written
