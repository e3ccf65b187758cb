"""Parts that die, lag or change under a running install; one after the other, since all of the cluster feels them."""

from __future__ import annotations

import contextlib
import os
import signal
import time
import typing as t
from concurrent import futures

import pytest

from sandbox.cluster import supervise
from sandbox.faults import switches
from tests.toolkit.modules import Outcome

from . import packages
from .operators import CATALOGS, OlmCluster, operator

pytestmark = pytest.mark.sandbox("traps", mine=True)


def ok(done: Outcome) -> Outcome:
    assert done.ending == "ok", done.message
    return done


@contextlib.contextmanager
def frozen(cluster: OlmCluster, *parts: str) -> t.Iterator[None]:
    """Some of the sandbox's parts do nothing for a while, and then go on where they were (SIGSTOP)."""
    pids = [part["pid"] for part in supervise.Supervisor(cluster.instance).parts() if part["name"] in parts]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


@pytest.fixture
def pool() -> t.Iterator[futures.ThreadPoolExecutor]:
    with futures.ThreadPoolExecutor() as found:
        yield found


def test_api_server_and_olm_killed_in_mid_install(cluster: OlmCluster, pool: futures.ThreadPoolExecutor) -> None:
    """Just after the approval. Nothing is concluded meanwhile; one plan, one approval."""
    call = pool.submit(cluster.call, operator("trap-fault-a", "fault-a"))
    cluster.until(
        "a plan is approved", lambda: any(p["spec"]["approved"] for p in cluster.all("InstallPlan", "fault-a"))
    )
    with cluster.stopped("olm", "catalog"):
        switches.restart_api_server(cluster.instance)
        time.sleep(2)
    done = ok(call.result())
    assert len(done.operator["plans_approved"]) == 1
    assert len(cluster.all("InstallPlan", "fault-a")) == 1


def test_the_catalog_goes_during_and_comes_back(cluster: OlmCluster, pool: futures.ThreadPoolExecutor) -> None:
    """A plan that is there is approved and installs without the catalog; what is not resolved waits for it."""
    home = cluster.namespace("", None)
    ok(cluster.call(operator("trap-fault-c", home), wait=False))
    cluster.pending_plan("trap-fault-c", home)
    with contextlib.ExitStack() as down:
        with frozen(cluster, "catalog"):
            waiting = pool.submit(cluster.call, operator("trap-fault-d", "fault-d"))
            cluster.until("the Subscription is there", lambda: cluster.get("Subscription", "trap-fault-d", "fault-d"))
            down.enter_context(cluster.stopped("opm"))
        cluster.until("the catalog is missed", lambda: cluster.catalog_state() != "READY", 60)
        assert ok(cluster.call(operator("trap-fault-c", home))).operator["csv"] == "trap-fault-c.v1.0.0"
        again = ok(cluster.call(operator("trap-fault-c", home)))
        assert (again.result["changed"], again.writes) == (False, [])
    assert ok(waiting.result()).operator["csv"] == "trap-fault-d.v1.0.0"


def test_a_channel_that_vanished(cluster: OlmCluster, pool: futures.ThreadPoolExecutor) -> None:
    """What is installed from it stays and is as wanted; a new version is refused with the channels that there are.

    What was just about to be installed from it ends with what OLM says.
    """
    home, late = cluster.namespace("", None), cluster.namespace("", None)
    ok(cluster.call(operator("trap-gone", home, channel="old", version="1.0.0")))
    changed = [dict(item) for item in packages.PACKAGES]
    for item in changed:
        if item["name"] in ("trap-gone", "trap-going"):
            item["bundles"] = [{**bundle, "channels": ["stable"]} for bundle in item["bundles"]]
    with frozen(cluster, "olm", "catalog"):
        going = pool.submit(cluster.call, operator("trap-going", late, channel="old"))
        cluster.until("the Subscription is there", lambda: cluster.get("Subscription", "trap-going", late))
        cluster.serve(changed)
        cluster.until("the channel is gone", lambda: cluster.channels("trap-gone") == {"stable"}, 90)
    lost = going.result()
    assert (lost.ending, lost.result["wait"]["phase"]) == ("failed", "failed"), lost.message
    assert "NoSuchChannel" in lost.message
    assert "no operators found in channel old of package trap-going in the catalog" in lost.message
    cluster.delete("Subscription", "trap-going", late)
    same = ok(cluster.call(operator("trap-gone", home, channel="old", version="1.0.0")))
    assert (same.result["changed"], same.writes) == (False, [])
    refused = cluster.call(operator("trap-gone", home, channel="old", version="1.1.0"))
    assert (refused.ending, refused.writes) == ("refused", [])
    assert "no channel 'old' in package trap-gone of catalog redhat-operators; there are: stable" in refused.message
    moved = ok(cluster.call(operator("trap-gone", home, channel="stable", version="1.1.0")))
    assert moved.operator["csv"] == "trap-gone.v1.1.0"


def test_a_busy_olm_lags_by_a_minute_before_a_thousand_stale_plans(
    cluster: OlmCluster, pool: futures.ThreadPoolExecutor
) -> None:
    """Silence alone is no failure. Stale plans do not keep the right one from being approved, nor slow down a run."""
    home, lagging = cluster.namespace("", None), cluster.namespace("", None)
    spec = {"approval": "Manual", "approved": True, "clusterServiceVersionNames": ["stale.v1"], "generation": 1}

    def some(number: int) -> None:
        for index in range(number, 1000, 4):
            cluster.create("InstallPlan", f"stale-{index:04}", home, spec=spec)

    with frozen(cluster, "olm", "catalog"):  # OLM would delete all but five
        waiting = pool.submit(cluster.call, operator("trap-fault-b", lagging))
        cluster.until("the Subscription is there", lambda: cluster.get("Subscription", "trap-fault-b", lagging))
        begun = time.monotonic()
        cluster.side_by_side(**{str(number): lambda number=number: some(number) for number in range(4)})
        call = pool.submit(cluster.call, operator("trap-fault-e", home))
        cluster.until("the Subscription is there", lambda: cluster.get("Subscription", "trap-fault-e", home))
        time.sleep(max(1, begun + 60 - time.monotonic()))
        assert not waiting.done()
    assert "Resolving" in {entry["reason"] for entry in ok(waiting.result()).result["timeline"]}
    done = ok(call.result())
    assert len(done.operator["plans_approved"]) == 1
    assert not any("/installplans/stale" in uri for uri in done.writes)
    again = ok(cluster.call(operator("trap-fault-e", home)))
    assert (again.result["changed"], again.writes) == (False, [])
    assert not any("installplans" in uri for uri in again.requests)


def test_an_unrelated_catalog_is_down(cluster: OlmCluster) -> None:
    """Nothing is resolved in any namespace while another catalog is down: it is named, with what to do about it.

    Once it is gone OLM would go on only after a pause that has grown to minutes: our Subscription is touched.
    """
    spec = {"sourceType": "grpc", "address": "127.0.0.1:1", "displayName": "other", "publisher": "test"}
    cluster.create("CatalogSource", "unrelated", CATALOGS, spec=spec)
    try:
        cluster.until(
            "the other catalog is missed",
            lambda: "TRANSIENT_FAILURE" in str(cluster.there("CatalogSource", "unrelated", CATALOGS).get("status")),
        )
        done = cluster.call(operator("trap-fault-f", "fault-f"), wait_timeout=12)
        assert done.ending == "failed"
        assert "unrelated" in done.message
        assert "a catalog that nobody needs can be deleted" in done.message or "delete a catalog" in done.message
    finally:
        cluster.delete("CatalogSource", "unrelated", CATALOGS)
    assert ok(cluster.call(operator("trap-fault-f", "fault-f"))).operator["csv"] == "trap-fault-f.v1.0.0"


def test_olm_does_not_run(cluster: OlmCluster) -> None:
    """The CSV keeps OLM's finalizer, so that a namespace would hang: it is not touched, which is said."""
    wanted = operator("trap-leave-g", "leave-g")
    ok(cluster.call(wanted))
    with cluster.stopped("olm", "catalog"):
        done = cluster.call(wanted, state="absent", wait_timeout=5)
        assert done.ending == "failed"
        assert "trap-leave-g.v1.0.0 still has OLM's finalizer" in done.message
        assert "Namespace and OperatorGroup are left alone: leave-g" in done.message
        assert "deletionTimestamp" not in cluster.there("Namespace", "leave-g")["metadata"]
        assert cluster.all("OperatorGroup", "leave-g")
        # Where its Deployment can be seen, nothing is begun. Nobody has one of that name in the sandbox.
        labels = {"matchLabels": {"app": "olm-operator"}}
        pod = {"metadata": {"labels": labels["matchLabels"]}, "spec": {"containers": [{"name": "olm", "image": "x"}]}}
        place = "openshift-operator-lifecycle-manager"
        spec = {"replicas": 0, "selector": labels, "template": pod}
        cluster.create("Deployment", "olm-operator", place, spec=spec)
        try:
            refused = cluster.call(wanted, state="absent")
            assert (refused.ending, refused.writes) == ("refused", [])
            assert f"OLM does not run (Deployment {place}/olm-operator has no available replica)" in refused.message
        finally:
            cluster.delete("Deployment", "olm-operator", place)
    done = ok(cluster.call(wanted, state="absent"))
    assert cluster.get("Namespace", "leave-g") is None
