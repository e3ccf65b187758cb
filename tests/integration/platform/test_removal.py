"""Taking a platform away, and what looks like one that is gone."""

from __future__ import annotations

import pytest

from .platforms import (
    DATABASE,
    HUB,
    NAME,
    PLATFORM,
    SERVER,
    SHORT,
    SIMULATE,
    PlatformCluster,
    condition,
    ended,
    fooled,
    naive_ready,
    naive_succeed,
    ok,
    with_broker,
)

pytestmark = pytest.mark.sandbox("installed")


# -- taking one away --------------------------------------------------------------------------------------------------


def test_workflows_keep_their_platform(cluster: PlatformCluster, namespace: str) -> None:
    """The operator makes a new platform for a workflow within seconds."""
    ok(cluster.call(namespace, **SIMULATE), True)
    cluster.workflow("greeting", namespace)
    ended(cluster.call(namespace, state="absent"), "refused", "greeting", "with_workflows")
    assert cluster.get(PLATFORM, NAME, namespace)
    done = ok(cluster.call(namespace, state="absent", with_workflows=True), True)
    cluster.until("the operator makes it again", lambda: cluster.get(PLATFORM, NAME, namespace), 30)
    assert done.ending == "ok"


def test_workflows_without_a_platform_get_one_that_we_adopt(cluster: PlatformCluster, namespace: str) -> None:
    """The operator makes one for them, without services, and says that it succeeded."""
    cluster.workflow("greeting", namespace)
    cluster.until("the operator makes one", lambda: cluster.get(PLATFORM, NAME, namespace))
    cluster.succeeded(NAME, namespace)
    done = cluster.call(namespace, managed_by="hub", wait_timeout=SHORT)
    ended(done, "failed", "NotAdopted", "NoServices", "managed_by: self")
    ended(cluster.call(namespace, name="ours", **SIMULATE), "refused", f"has the SonataFlowPlatform {NAME} already")
    predicted = ok(cluster.call(namespace, check=True, **SIMULATE), True)
    done = ok(cluster.call(namespace, **SIMULATE), True)
    assert predicted.result["platform"]["action"] == done.result["platform"]["action"] == "patched"
    assert "rhdh.orchestrator/created" not in cluster.there(PLATFORM, NAME, namespace)["metadata"].get("labels", {})
    ok(cluster.call(namespace, **SIMULATE), False)
    for check in (True, False):
        kept = ok(cluster.call(namespace, state="absent", with_workflows=True, check=check), False)
        assert (kept.result["platform"]["action"], kept.writes) == ("kept", [])
        assert any("delete_adopted" in warning for warning in kept.warnings)
    ok(cluster.call(namespace, state="absent", with_workflows=True, delete_adopted=True), True)


def test_a_deletion_that_hangs_names_the_finalizer_and_the_operator(cluster: PlatformCluster, namespace: str) -> None:
    """Triggers in another namespace: the operator has to take them away, and is not there."""
    other = cluster.namespace(f"{namespace}-brokers"[:60])
    try:
        cluster.broker("default", other)
        cluster.until("it is ready", lambda: condition(cluster.there("Broker", "default", other), "Ready"))
        ok(cluster.call(namespace, **with_broker("default", other)), True)
        assert cluster.there(PLATFORM, NAME, namespace)["metadata"]["finalizers"] == ["trigger-deletion"]
        with cluster.stopped("logic"):
            done = cluster.call(namespace, name="new", **SIMULATE, wait_timeout=SHORT)
            ended(done, "refused", NAME)
            done = cluster.call(other, **SIMULATE, wait_timeout=SHORT)
            ended(done, "failed", "has not looked at it yet", "the Serverless Logic operator does not run")
            done = cluster.call(namespace, state="absent", wait_timeout=SHORT)
            assert naive_succeed(cluster.there(PLATFORM, NAME, namespace))  # to the end
            ended(done, "failed", "trigger-deletion", "logic-operator-controller-manager")
            done = cluster.call(namespace, **with_broker("default", other, wait_timeout=SHORT))
            assert done.ending != "ok", "a platform that is being deleted was called ready"
        assert cluster.call(namespace, state="absent").ending == "ok"
        cluster.until("the Triggers are gone", lambda: not cluster.all("Trigger", other))
        ok(cluster.call(namespace, state="absent"), False)
    finally:
        cluster.clean(other)


def test_the_server_is_the_hubs(cluster: PlatformCluster) -> None:
    """What the whole install left is ready, and a look at it writes nothing."""
    done = ok(cluster.call(HUB, managed_by="hub", probe=True), False)
    assert done.result["graphql"]["status"] == "ok"
    live = cluster.there(PLATFORM, NAME, HUB)
    reference = live["spec"]["services"]["dataIndex"]["persistence"]["postgresql"]["serviceRef"]
    assert (reference["name"], reference["databaseName"]) == (SERVER, DATABASE)


def test_replicas_of_zero_are_no_success_unless_asked_for(cluster: PlatformCluster, namespace: str) -> None:
    """A Deployment with 0 replicas is Available; so it is after an upgrade that was not ended."""
    off = {**SIMULATE, "data_index": {**SIMULATE["data_index"], "replicas": 0}}
    with cluster.setting(operators__logic__stale_spec_windows=[]):  # else what is done by hand may be reverted
        done = ok(cluster.call(namespace, **off), True)
    assert done.result["services"]["data_index"]["ready"] == 0
    cluster.patch(PLATFORM, NAME, namespace, {"spec": {"services": {"jobService": {"podTemplate": {"replicas": 0}}}}})
    name = f"{NAME}-jobs-service"
    cluster.until("it is stopped", lambda: cluster.there("Deployment", name, namespace)["spec"]["replicas"] == 0)
    cluster.until("its pod is gone", lambda: naive_ready(cluster.deployments(namespace)))
    fooled(cluster, NAME, namespace)
    done = cluster.call(namespace, **SIMULATE, wait_timeout=SHORT)
    ended(done, "failed", "0 replicas", "podTemplate.replicas")
    same = {**SIMULATE["job_service"], "pod_template": {"replicas": 0}}  # said so, it is what is wanted
    ok(cluster.call(namespace, **{**off, "job_service": same}), True)
    on = {**SIMULATE, "job_service": {**SIMULATE["job_service"], "replicas": 1}}
    ended(cluster.call(namespace, **on), "refused", "job_service.replicas")
