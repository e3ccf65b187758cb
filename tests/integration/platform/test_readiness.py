"""Succeed says little: what the usual waits pass and ours does not."""

from __future__ import annotations

import base64
import time
from pathlib import Path

import pytest
import yaml

from .platforms import (
    DATABASE,
    NAME,
    PLATFORM,
    SERVER,
    SHORT,
    SIMULATE,
    Object,
    PlatformCluster,
    ended,
    fooled,
    naive_ready,
    naive_succeed,
    ok,
    with_broker,
)

pytestmark = pytest.mark.sandbox("installed")


# -- Succeed says little ----------------------------------------------------------------------------------------------


def test_succeed_comes_before_the_services_and_without_them(cluster: PlatformCluster, namespace: str) -> None:
    """Generation 2 of 2, Succeed, and not a single Deployment: the event and what is missing are reported."""
    trouble = "quota of Services is used up"
    with cluster.setting(operators__logic__services_fail=trouble):
        done = cluster.call(namespace, **SIMULATE, wait_timeout=SHORT)
        live = cluster.there(PLATFORM, NAME, namespace)
        assert naive_succeed(live)
        assert live["status"]["observedGeneration"] == live["metadata"]["generation"]
        assert cluster.deployments(namespace) == []
        ended(done, "failed", f"{NAME}-data-index-service does not exist yet", trouble)
        # The operator's pauses double: the one at 10 s lasts to 20 s. Nobody waits for its end.
        cluster.until("it is not young", lambda: cluster.age(PLATFORM, NAME, namespace) > 12)
        predicted = ok(cluster.call(namespace, check=True, **SIMULATE), True)
        assert predicted.writes == []
        assert predicted.result["platform"]["touches"] == 1
    done = ok(cluster.call(namespace, **SIMULATE), True)
    assert done.result["platform"]["touches"] == 1


def test_a_lasting_lag_of_the_generation_is_no_success(cluster: PlatformCluster, namespace: str) -> None:
    """A change that the operator cannot carry out leaves everything green."""
    with cluster.setting(operators__logic__stale_spec_windows=[]):  # else the patch may be reverted first
        ok(cluster.call(namespace, **SIMULATE), True)
        done = cluster.call(namespace, **with_broker("no-such", wait_timeout=SHORT))
    fooled(cluster, NAME, namespace)
    live = cluster.there(PLATFORM, NAME, namespace)
    assert live["status"]["observedGeneration"] < live["metadata"]["generation"]
    ended(done, "failed", f"Broker {namespace}/no-such does not exist")
    assert {"GenerationLag", "BrokerMissing"} <= done.reasons


def test_pods_that_cannot_start_are_no_success(cluster: PlatformCluster, namespace: str) -> None:
    """A wrong password: the platform never says a word about it."""
    cluster.patch(
        "Secret", "db", namespace, {"data": {"POSTGRES_PASSWORD": base64.b64encode(b"wrong-canary").decode()}}
    )
    done = cluster.call(namespace, name="wrong", probe=True, wait_timeout=15)
    assert naive_succeed(cluster.there(PLATFORM, "wrong", namespace))
    ended(done, "failed", "password authentication failed", "oc logs")
    assert "wrong-canary" not in str((done.message, done.result, done.warnings))


def test_what_somebody_changed_while_the_operator_is_away(cluster: PlatformCluster, namespace: str) -> None:
    """Each service on another database, and a Service that selects nothing: all rolled out, all green."""
    ok(cluster.call(namespace, **SIMULATE), True)

    def point(service: str, variable: str) -> None:
        name = f"{NAME}-{service}"
        env = cluster.there("Deployment", name, namespace)["spec"]["template"]["spec"]["containers"][0]["env"]
        for entry in env:
            if entry["name"] == variable:
                entry["value"] = entry["value"].replace(DATABASE, "another")
        change = [{"op": "replace", "path": "/spec/template/spec/containers/0/env", "value": env}]
        path = f"/apis/apps/v1/namespaces/{namespace}/deployments/{name}"
        cluster.api.request("PATCH", path, change, "application/json-patch+json")

    with cluster.stopped("logic"):
        point("data-index-service", "QUARKUS_DATASOURCE_JDBC_URL")
        point("jobs-service", "QUARKUS_DATASOURCE_REACTIVE_URL")
        cluster.until("it is rolled out", lambda: naive_ready(cluster.deployments(namespace)))
        done = cluster.call(namespace, **SIMULATE, wait_timeout=SHORT)
        fooled(cluster, NAME, namespace)
        ended(done, "failed", f"not with database {DATABASE} of Service {SERVER}", "/another?search_path=", "operator")
        assert done.reasons == {"OtherDatabase"}
    # The operator corrects them when it is back; the endpoints are removed meanwhile.
    ok(cluster.call(namespace, **SIMULATE), False)
    with cluster.stopped("logic"):
        selector = {"spec": {"selector": {"sonataflow.org/service": "nobody"}}}
        cluster.patch("Service", f"{NAME}-data-index-service", namespace, selector)
        index = f"{NAME}-data-index-service"

        def endpoints() -> list[Object]:
            slices = cluster.all("EndpointSlice", namespace, f"kubernetes.io/service-name={index}")
            return [endpoint for each in slices for endpoint in each.get("endpoints") or []]

        cluster.until("it has no endpoints", lambda: not endpoints())
        done = cluster.call(namespace, **SIMULATE, wait_timeout=SHORT)
        fooled(cluster, NAME, namespace)
        ended(done, "failed", f"NoEndpoints: Service {NAME}-data-index-service has no ready endpoint")
        # A change that nobody carries out, for the simplest of reasons.
        more = {**SIMULATE, "data_index": {**SIMULATE["data_index"], "replicas": 2}}
        done = cluster.call(namespace, **more, wait_timeout=SHORT)
        ended(done, "failed", "GenerationLag", "the Serverless Logic operator does not run")


def test_graphql_errors_are_no_answer(cluster: PlatformCluster, namespace: str) -> None:
    """Health UP, everything rolled out, and every query fails; it is noticed at once when they do not any more."""
    options: Object = {"name": "graph", "probe": True, "wait_timeout": 180}
    ok(cluster.call(namespace, **options), True)
    with cluster.setting(**{"services__data-index__graphql_error": 'relation "definitions" does not exist'}):
        done = cluster.call(namespace, **{**options, "wait_timeout": SHORT})
        fooled(cluster, "graph", namespace)
        ended(done, "failed", 'relation \\"definitions\\" does not exist', "oc logs", "restart the service")
        with cluster.calling(namespace, **{**options, "wait_timeout": 60}) as found:
            time.sleep(3)
            cluster.set(**{"services__data-index__graphql_error": None})
            mended = time.monotonic()
        late = time.monotonic() - mended
    ok(found[0], False)
    assert late < 30, late  # half of the time that the wait has


def test_without_the_right_to_the_proxy_the_services_are_not_asked_and_it_is_said(
    cluster: PlatformCluster, namespace: str, tmp_path: Path
) -> None:
    ok(cluster.call(namespace, **SIMULATE), True)
    rules = [
        {"apiGroups": ["", "apps", "discovery.k8s.io"], "resources": ["*"], "verbs": ["get", "list", "watch"]},
        {"apiGroups": ["sonataflow.org"], "resources": ["*"], "verbs": ["*"]},
    ]
    rules[0]["resources"] = ["pods", "secrets", "configmaps", "deployments", "endpointslices"]
    cluster.create("ServiceAccount", "narrow", namespace)
    cluster.create("ClusterRole", namespace, rules=rules)
    rbac = "rbac.authorization.k8s.io"
    subject = {"kind": "ServiceAccount", "name": "narrow", "namespace": namespace}
    role = {"apiGroup": rbac, "kind": "ClusterRole", "name": namespace}
    cluster.create("RoleBinding", "narrow", namespace, roleRef=role, subjects=[subject])
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts/narrow/token"
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    config = yaml.safe_load(cluster.instance.kubeconfig.read_text(encoding="utf-8"))
    config["users"][0]["user"] = {"token": cluster.api.request("POST", path, request)["status"]["token"]}
    (tmp_path / "narrow").write_text(yaml.safe_dump(config), encoding="utf-8")
    try:
        done = ok(cluster.call(namespace, **SIMULATE, probe=True, kubeconfig=str(tmp_path / "narrow")), False)
    finally:
        cluster.delete("ClusterRole", namespace)
    assert done.warnings == ["The services were not asked: the credentials lack get on services/proxy."]
    assert done.result["graphql"]["status"] == "skipped"
