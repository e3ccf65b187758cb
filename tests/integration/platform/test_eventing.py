"""The database migration Job, and eventing: what the operator never reports by itself."""

from __future__ import annotations

import time

import pytest

from .platforms import (
    NAME,
    PLATFORM,
    SHORT,
    SIMULATE,
    Object,
    PlatformCluster,
    condition,
    ended,
    fooled,
    naive_succeed,
    ok,
    with_broker,
)

pytestmark = pytest.mark.sandbox("installed")


# -- the database migration Job ---------------------------------------------------------------------------------------


def migrator(cluster: PlatformCluster, namespace: str) -> str:
    """Name of the operator's Job; empty while there is none."""
    names = [job["metadata"]["name"] for job in cluster.all("Job", namespace)]
    return next((name for name in names if "db-migrator-job" in name), "")


def test_a_migration_that_runs_fails_is_mended_and_is_deleted(cluster: PlatformCluster, namespace: str) -> None:
    options: Object = {**SIMULATE, "name": "mig", "migration": "job", "wait_timeout": 120}
    with cluster.setting(runtime__bad_images=[r"logic-db-migrator-tool-rhel"]):
        done = cluster.call(namespace, **{**options, "wait_timeout": SHORT})
        live = cluster.there(PLATFORM, "mig", namespace)
        assert naive_succeed(live)
        assert live["status"]["observedGeneration"] == live["metadata"]["generation"]
        assert cluster.deployments(namespace) == []
        ended(done, "failed", "the database migration Job has not finished", "cannot pull image")
    cluster.delete("Job", migrator(cluster, namespace), namespace)

    with cluster.setting(**{"services__db-migrator__fail": "no room left"}):
        done = cluster.call(namespace, **options)
        assert naive_succeed(cluster.there(PLATFORM, "mig", namespace))
        ended(done, "failed", "MigrationFailed", "delete Job")
        assert done.result["wait"]["phase"] == "failed"  # not timed out
        again = cluster.call(namespace, **options)  # it is never tried again by the operator
        assert again.ending == "failed"
        assert again.result["wait"]["phase"] == "failed"

    # The cause is gone and the Job deleted: without a reconcile the operator backs off for minutes.
    cluster.delete("Job", migrator(cluster, namespace), namespace)
    woken = cluster.call(namespace, **options)
    assert woken.ending == "ok", woken.message
    ok(cluster.call(namespace, **options), False)

    # Deleting a succeeded one takes both services away at the operator's next look.
    cluster.delete("Job", migrator(cluster, namespace), namespace)
    cluster.patch(PLATFORM, "mig", namespace, {"metadata": {"annotations": {"look": "now"}}})
    cluster.until("the Deployments are gone", lambda: not cluster.deployments(namespace), 20)
    assert naive_succeed(cluster.there(PLATFORM, "mig", namespace))
    done = cluster.call(namespace, **options)
    assert done.ending == "ok", done.message
    assert len(cluster.deployments(namespace)) == 2


# -- eventing ---------------------------------------------------------------------------------------------------------


def test_a_broker_that_comes_late_is_not_waited_for_twice(cluster: PlatformCluster, namespace: str) -> None:
    """Missing, then not ready, then ready: the operator watches no Brokers, so the platform is touched."""
    with cluster.calling(namespace, **with_broker("late", wait_timeout=120)) as found:
        cluster.until("Data Index is there", lambda: cluster.deployments(namespace))
        time.sleep(5)  # the operator's pause between two attempts is seconds by now, and doubles
        fooled(cluster, NAME, namespace)
        assert cluster.get("Deployment", f"{NAME}-jobs-service", namespace) is None
        with cluster.setting(**{"operators__eventing-controller__broker_seconds": 4}):
            cluster.broker("late", namespace)
            cluster.until("it is ready", lambda: condition(cluster.there("Broker", "late", namespace), "Ready"))
    done = ok(found[0], True)
    assert done.result["platform"]["touches"] == 1
    assert {"BrokerMissing", "BrokerNotReady"} & {entry["reason"] for entry in done.result["timeline"]}
    ok(cluster.call(namespace, **with_broker("late")), False)


def begun(cluster: PlatformCluster, namespace: str) -> None:
    """Write the platform, and let the operator get as far as it can: that may take longer than a short wait."""
    done = cluster.call(namespace, **with_broker("default", wait=False))
    assert done.ending == "ok", done.message
    cluster.until("Job Service is there", lambda: cluster.get("Deployment", f"{NAME}-jobs-service", namespace))


def test_nobody_binds_the_sink(cluster: PlatformCluster, namespace: str) -> None:
    """The Job Service has 0 replicas and counts as available for ever."""
    cluster.broker("default", namespace)
    with cluster.stopped("eventing-webhook"):
        begun(cluster, namespace)
        done = cluster.call(namespace, **with_broker("default", wait_timeout=SHORT))
        fooled(cluster, NAME, namespace)
        assert cluster.there("Deployment", f"{NAME}-jobs-service", namespace)["spec"]["replicas"] == 0
        ended(done, "failed", "SinkNotBound", "eventing-webhook")
    assert cluster.call(namespace, **with_broker("default")).ending == "ok"
    ok(cluster.call(namespace, **with_broker("default")), False)
    assert cluster.there("Deployment", f"{NAME}-jobs-service", namespace)["spec"]["replicas"] == 1


def test_triggers_that_nobody_serves(cluster: PlatformCluster, namespace: str) -> None:
    cluster.broker("default", namespace)
    cluster.until("it is ready", lambda: condition(cluster.there("Broker", "default", namespace), "Ready"))
    with cluster.stopped("eventing-controller"):
        begun(cluster, namespace)
        cluster.until("its Triggers are there", lambda: len(cluster.all("Trigger", namespace)) == 9)
        done = cluster.call(namespace, **with_broker("default", wait_timeout=SHORT))
        fooled(cluster, NAME, namespace)
        ended(done, "failed", "TriggersNotReady", "0 of 9")
    ok(cluster.call(namespace, **with_broker("default")), False)


def test_eventing_that_is_switched_off_leaves_nothing_behind(cluster: PlatformCluster, namespace: str) -> None:
    """By itself the operator takes nothing back: Triggers, SinkBinding and K_SINK stay, and events go on."""
    cluster.broker("default", namespace)
    cluster.until("it is ready", lambda: condition(cluster.there("Broker", "default", namespace), "Ready"))
    # The platform is young when eventing is taken out, and the operator brings it back once.
    with cluster.setting(operators__logic__stale_spec_windows=[[1, 9]]):
        ok(cluster.call(namespace, **with_broker("default")), True)
    assert len(cluster.all("Trigger", namespace)) == 9
    predicted = ok(cluster.call(namespace, check=True, **SIMULATE), True)
    assert predicted.writes == []
    done = ok(cluster.call(namespace, **SIMULATE), True)
    assert len(done.result["platform"]["leftovers"]) == 10
    assert set(predicted.result["platform"]["leftovers"]) == set(done.result["platform"]["leftovers"])
    assert cluster.all("Trigger", namespace) == []
    env = cluster.there("Deployment", f"{NAME}-jobs-service", namespace)["spec"]["template"]["spec"]["containers"][0][
        "env"
    ]
    assert "K_SINK" not in [entry["name"] for entry in env]
    ok(cluster.call(namespace, **SIMULATE), False)
    ok(cluster.call(namespace, check=True, **SIMULATE), False)
    # Added to a platform that runs, it takes the Job Service down for a moment.
    done = ok(cluster.call(namespace, **with_broker("default")), True)
    assert done.result["services"]["job_service"]["ready"] == 1
    assert len(cluster.all("Trigger", namespace)) == 9
