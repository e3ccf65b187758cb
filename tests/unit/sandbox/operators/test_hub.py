"""Decisions of the Developer Hub stand-in."""

from __future__ import annotations

import typing as t

import pytest

from sandbox.operators import _hub_objects as objects
from sandbox.operators import hub

Object = dict[str, t.Any]
TABLE = hub.read_releases()


def _workload(status: Object, replicas: int = 1, kind: str = "Deployment") -> Object:
    return {"kind": kind, "spec": {"replicas": replicas}, "status": status}


def test_release_of_an_image() -> None:
    assert hub.release_of("registry.example.com/rhdh-hub-rhel9:1.9.8", TABLE)[0] == "1.9"
    assert hub.release_of("x:1.10.3", TABLE)[0] == "1.10"
    assert hub.release_of("x:1.12.0", TABLE)[0] == "1.10"
    assert hub.release_of("x:latest", TABLE)[0] == "2.1"
    assert hub.release_of("x:1.0.0", TABLE)[0] == "1.5"


@pytest.mark.parametrize(
    ("release", "workload", "status", "reason"),
    [
        ("1.7", _workload({}), "True", "Deployed"),
        ("1.8", _workload({"replicas": 2, "readyReplicas": 1}), "False", "DeployInProgress"),
        ("1.9", _workload({}), "False", "DeployInProgress"),
        ("1.10", _workload({"replicas": 2, "readyReplicas": 1}), "True", "Deployed"),
        ("1.10", _workload({}, replicas=0), "True", "Deployed"),
        (
            "1.10",
            _workload({"readyReplicas": 1, "currentReplicas": 0, "updatedReplicas": 1}, kind="StatefulSet"),
            "False",
            "DeployInProgress",
        ),
    ],
)
def test_deployed_says_little(release: str, workload: Object, status: str, reason: str) -> None:
    assert hub.deployed(workload, TABLE[release])[:2] == (status, reason)


def test_replica_failure() -> None:
    failure = {"type": "ReplicaFailure", "status": "True", "message": "quota"}
    assert hub.deployed(_workload({"conditions": [failure]}), TABLE["1.10"]) == ("False", "DeployFailed", "quota")


def test_messages_of_progress() -> None:
    available = {"type": "Available", "status": "False", "message": "no."}
    body = _workload({"replicas": 1, "conditions": [available]})
    assert hub.deployed(body, TABLE["1.10"])[2] == " Available=False(no.);"
    assert hub.deployed(body, TABLE["1.8"])[2] == "Deployment status: Available: no."
    assert hub.deployed(_workload({}), TABLE["1.10"])[2] == "no conditions reported yet"


def test_references_and_their_hash() -> None:
    application = {
        "appConfig": {"configMaps": [{"name": "a"}]},
        "extraFiles": {"secrets": [{"name": "f"}]},
        "extraEnvs": {"secrets": [{"name": "e"}], "configMaps": [{"name": "a"}]},
        "dynamicPluginsConfigMapName": "p",
    }
    found = hub.references({"application": application})
    assert found == [("ConfigMap", "a"), ("Secret", "f"), ("Secret", "e"), ("ConfigMap", "p")]
    one = {("ConfigMap", "a"): {"data": {"k": "1"}}}
    assert hub.config_hash(one) != hub.config_hash({("ConfigMap", "a"): {"data": {"k": "2"}}})


def test_strategic_merge() -> None:
    base = {
        "metadata": {"name": "x"},
        "spec": {"containers": [{"name": "a", "image": "1"}, {"name": "b"}], "args": ["1"]},
    }
    patch = {
        "metadata": {"annotations": {"t": "1"}},
        "spec": {"containers": [{"name": "a", "image": "2"}], "args": ["2"]},
    }
    merged = objects.strategic_merge(base, patch)
    assert merged["metadata"] == {"name": "x", "annotations": {"t": "1"}}
    assert merged["spec"] == {"containers": [{"name": "a", "image": "2"}, {"name": "b"}], "args": ["2"]}
    assert objects.strategic_merge({"a": 1, "b": 2}, {"a": None}) == {"b": 2}


def _backstage(**spec: t.Any) -> Object:
    meta = {"name": "dh", "namespace": "rhdh", "uid": "0"}
    return {"apiVersion": "rhdh.redhat.com/v1alpha5", "kind": "Backstage", "metadata": meta, "spec": spec}


def _deployment(backstage: Object, external: dict[tuple[str, str], Object] | None = None) -> Object:
    images = objects.Images("hub:1", "pg:1", "index:1")
    plugins = "backstage-dynamic-plugins-dh"
    rules = TABLE["1.10"]
    return objects.deployment(backstage, rules, images, external or {}, "h", plugins_map=plugins, lightspeed=False)


def test_the_patch_reaches_the_deployment_without_a_rollout() -> None:
    token = {"metadata": {"annotations": {"token": "1"}}}
    plain, patched = _deployment(_backstage()), _deployment(_backstage(deployment={"patch": token}))
    assert patched["metadata"]["annotations"] == {"token": "1"}
    assert patched["spec"] == plain["spec"]


def test_external_database_and_files() -> None:
    application = {
        "extraEnvs": {"secrets": [{"name": "my-db"}], "envs": [{"name": "A", "value": "1"}]},
        "extraFiles": {"secrets": [{"name": "ca", "key": "ca.crt", "mountPath": "/certs"}]},
        "appConfig": {"configMaps": [{"name": "config"}]},
    }
    external = {("ConfigMap", "config"): {"data": {"app.yaml": ""}}, ("Secret", "ca"): {"data": {"ca.crt": ""}}}
    body = _deployment(_backstage(application=application, database={"enableLocalDb": False}), external)
    backend = body["spec"]["template"]["spec"]["containers"][0]
    assert backend["envFrom"] == [{"secretRef": {"name": "my-db"}}]
    assert {"name": "A", "value": "1"} in backend["env"]
    assert {"name": "ca", "mountPath": "/certs/ca.crt", "subPath": "ca.crt", "readOnly": True} in backend[
        "volumeMounts"
    ]
    assert backend["args"][-1] == "/opt/app-root/src/app.yaml"


def test_route_can_be_switched_off() -> None:
    assert objects.route(_backstage(application={"route": {"enabled": False}})) is None
    route = objects.route(_backstage(application={"route": {"host": "h.example.com"}}))
    assert route is not None
    assert route["spec"]["host"] == "h.example.com"


def test_every_database_secret_has_a_new_password() -> None:
    first, second = (objects.database_secret(_backstage(), TABLE["1.10"])["stringData"] for _ in range(2))
    assert first["POSTGRES_PASSWORD"] != second["POSTGRES_PASSWORD"]
    assert first["POSTGRES_PASSWORD"] == first["POSTGRESQL_ADMIN_PASSWORD"]
    assert first["POSTGRES_HOST"] == "backstage-psql-dh"
