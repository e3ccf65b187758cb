"""Whose a platform is, and the cluster platform."""

from __future__ import annotations

import contextlib
import time
import typing as t

import pytest

from .platforms import (
    HUB,
    HUB_NAME,
    NAME,
    PLATFORM,
    SHORT,
    SIMULATE,
    Object,
    PlatformCluster,
    condition,
    ended,
    fooled,
    ok,
)

pytestmark = pytest.mark.sandbox("installed")
CLUSTER = "SonataFlowClusterPlatform"


# -- whose it is ------------------------------------------------------------------------------------------------------


def test_a_second_platform_is_refused_told_and_promoted(cluster: PlatformCluster, namespace: str) -> None:
    cluster.platform("first", namespace)
    cluster.succeeded("first", namespace)
    ended(cluster.call(namespace, name="second", **SIMULATE), "refused", "first", "Duplicated")
    assert cluster.get(PLATFORM, "second", namespace) is None

    cluster.platform("second", namespace)
    cluster.until(
        "it is a duplicate", lambda: "Duplicated" in str(cluster.there(PLATFORM, "second", namespace).get("status"))
    )
    cluster.available("first", namespace)
    fooled(cluster, "first", namespace)  # a wait for "the platform's Deployments" looks at those of the other one
    done = cluster.call(namespace, name="second", **SIMULATE)
    ended(done, "failed", "Duplicated", "first")
    assert done.result["wait"]["phase"] == "failed"  # not timed out
    with cluster.calling(namespace, name="second", **SIMULATE) as found:
        time.sleep(2)
        cluster.delete(PLATFORM, "first", namespace)
    ok(found[0], False)
    assert "Duplicated" in found[0].shown


def test_platforms_of_a_backstage_are_not_ours_to_make(cluster: PlatformCluster) -> None:
    ended(cluster.call(HUB, managed_by="self"), "refused", HUB_NAME, "managed_by: hub")
    ended(cluster.call(HUB, managed_by="hub", hub_name="another"), "refused", f"'{HUB_NAME}'", "'another'")


class TestWithoutTheHubOperator:
    """Platforms that belong to a Backstage, without the operator that would work on it."""

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def away(cls, cluster: PlatformCluster) -> t.Iterator[None]:
        with cluster.stopped("hub"):
            yield

    @contextlib.contextmanager
    def backstages(self, cluster: PlatformCluster, namespace: str, *names: str) -> t.Iterator[list[Object]]:
        """Backstages that nobody works on; yields a reference to each, for an owner."""
        made = [cluster.create("Backstage", name, namespace, spec={}) for name in names]
        yield [
            {"kind": "Backstage", **{key: each["metadata"][key] for key in ("name", "uid")}}
            | {"apiVersion": each["apiVersion"]}
            for each in made
        ]
        for found in cluster.all(PLATFORM, namespace):
            cluster.patch(PLATFORM, found["metadata"]["name"], namespace, {"metadata": {"ownerReferences": None}})
        for name in names:
            cluster.delete("Backstage", name, namespace)
        cluster.until("they are gone", lambda: not cluster.all("Backstage", namespace))

    def test_a_patch_that_the_operator_reverts_is_sent_until_it_stays(
        self, cluster: PlatformCluster, namespace: str
    ) -> None:
        """The operator writes back what it had read: patched once, a young platform loses the change unreported."""
        with cluster.setting(operators__logic__stale_spec_windows=[[0, 12]]):
            cluster.platform("naive", namespace)
            cluster.succeeded("naive", namespace)
            change = {"spec": {"services": {"dataIndex": {"podTemplate": {"replicas": 2}}}}}
            cluster.patch(PLATFORM, "naive", namespace, change)

            def template() -> Object:
                spec = cluster.there(PLATFORM, "naive", namespace)["spec"]
                return t.cast(Object, spec["services"]["dataIndex"]["podTemplate"])

            cluster.until("it is reverted", lambda: "replicas" not in template())
            cluster.delete(PLATFORM, "naive", namespace)
            cluster.until("it is gone", lambda: not cluster.all(PLATFORM, namespace))
        with (
            cluster.setting(operators__logic__stale_spec_windows=[[0, 3]]),
            self.backstages(cluster, namespace, "ours") as (owner,),
        ):
            for _platform in range(5):  # on a busy machine the call may come after the window
                cluster.platform(NAME, namespace, owner=owner)
                cluster.succeeded(NAME, namespace)
                done = ok(cluster.call(namespace, managed_by="hub", hub_name="ours", data_index={"replicas": 2}), True)
                if "PatchReverted" in done.shown:
                    break
                cluster.delete(PLATFORM, NAME, namespace)
                cluster.until("it is gone", lambda: not cluster.all(PLATFORM, namespace))
        assert "PatchReverted" in done.shown
        for _look in range(3):
            template = cluster.there(PLATFORM, NAME, namespace)["spec"]["services"]["dataIndex"]["podTemplate"]
            assert template["replicas"] == 2
            time.sleep(1)

    def test_a_stolen_platform_is_told(self, cluster: PlatformCluster, namespace: str) -> None:
        """The Backstage that was reconciled last owns it, and would take it along; nothing else changes."""
        ok(cluster.call(namespace, **SIMULATE), True)
        asked: Object = {"managed_by": "hub", "hub_name": "ours"}
        with self.backstages(cluster, namespace, "ours", "thief") as (ours, thief):
            cluster.patch(PLATFORM, NAME, namespace, {"metadata": {"ownerReferences": [ours]}})
            cluster.call(namespace, **asked)
            ok(cluster.call(namespace, **asked), False)
            cluster.patch(PLATFORM, NAME, namespace, {"metadata": {"ownerReferences": [thief]}})
            fooled(cluster, NAME, namespace)
            ended(cluster.call(namespace, **asked), "refused", "'thief'", "'ours'")
            cluster.patch(PLATFORM, NAME, namespace, {"metadata": {"ownerReferences": None}})
            done = cluster.call(namespace, **asked, wait_timeout=SHORT)
            ended(done, "failed", "NotAdopted", "managed_by: self")
            # Stolen while we wait.
            with cluster.calling(namespace, **asked, probe=True, wait_timeout=SHORT) as found:
                time.sleep(2)
                cluster.patch(PLATFORM, NAME, namespace, {"metadata": {"ownerReferences": [thief]}})
            ended(found[0], "failed", "NotOurs", "Backstage thief")

    def test_a_secret_that_is_gone_is_named(self, cluster: PlatformCluster, namespace: str) -> None:
        """The Secret of a platform that others created: its pods cannot start, and its status does not say so."""
        persistence = {"postgresql": {"secretRef": {"name": "gone"}, "serviceRef": {"name": "pg", "databaseName": "d"}}}
        services = {"dataIndex": {"persistence": persistence}, "jobService": {"persistence": persistence}}
        with self.backstages(cluster, namespace, "ours") as (owner,):
            cluster.platform(NAME, namespace, owner=owner, services=services)
            asked: Object = {"managed_by": "hub", "hub_name": "ours", "probe": True}
            done = cluster.call(namespace, **asked, wait_timeout=SHORT)
            fooled(cluster, NAME, namespace, deployments=False)
            ended(done, "failed", 'secret "gone" not found', f"Create Secret gone in {namespace}")


# -- the cluster platform ---------------------------------------------------------------------------------------------


@pytest.fixture
def no_cluster_platform(cluster: PlatformCluster) -> t.Iterator[None]:
    yield
    for found in cluster.all(CLUSTER):
        cluster.delete(CLUSTER, found["metadata"]["name"])
    cluster.until("they are gone", lambda: not cluster.all(CLUSTER))


@pytest.mark.usefixtures("no_cluster_platform")
def test_the_cluster_platform_is_made_kept_and_taken_away(cluster: PlatformCluster, namespace: str) -> None:
    options: Object = {**SIMULATE, "cluster_platform": "everywhere"}
    predicted = ok(cluster.call(namespace, check=True, **options), True)
    assert predicted.writes == []
    ok(cluster.call(namespace, **options), True)
    assert condition(cluster.there(CLUSTER, "everywhere"), "Succeed")
    ok(cluster.call(namespace, **options), False)
    ok(cluster.call(namespace, check=True, **options), False)
    done = ok(cluster.call(namespace, state="absent"), True)
    assert "SonataFlowClusterPlatform everywhere" in done.result["leftovers"]
    cluster.until("it is gone", lambda: not cluster.all(CLUSTER))


@pytest.mark.usefixtures("no_cluster_platform")
def test_a_cluster_platform_that_was_there_is_adopted_and_not_taken_away(
    cluster: PlatformCluster, namespace: str
) -> None:
    """Made before its platform it says PlatformNotFound, which heals."""
    cluster.create(CLUSTER, "theirs", spec={"platformRef": {"name": NAME, "namespace": namespace}})
    cluster.until("no platform", lambda: "PlatformNotFound" in str(cluster.there(CLUSTER, "theirs").get("status")))
    done = ok(cluster.call(namespace, **SIMULATE, cluster_platform="theirs"), True)
    assert condition(cluster.there(CLUSTER, "theirs"), "Succeed")
    ended(cluster.call(namespace, **SIMULATE, cluster_platform="mine"), "refused", "cluster_platform: theirs")
    done = ok(cluster.call(namespace, state="absent"), True)
    assert any("theirs still refers" in warning for warning in done.warnings)
    assert cluster.get(CLUSTER, "theirs")


@pytest.mark.usefixtures("no_cluster_platform")
def test_the_cluster_platform_of_somebody_else_is_named_and_left(cluster: PlatformCluster, namespace: str) -> None:
    theirs = {"platformRef": {"name": NAME, "namespace": HUB}}
    cluster.create(CLUSTER, "theirs", spec=theirs)
    cluster.until("it is active", lambda: condition(cluster.there(CLUSTER, "theirs"), "Succeed"))
    for name in ("theirs", "ours"):
        done = cluster.call(namespace, **SIMULATE, cluster_platform=name)
        ended(done, "refused", f"theirs offers {HUB}/{NAME}")
    assert cluster.there(CLUSTER, "theirs")["spec"]["platformRef"] == theirs["platformRef"]
    assert cluster.all(PLATFORM, namespace) == []

    # A duplicate of ours is not promoted when the active one goes, unless it is touched.
    cluster.create(CLUSTER, "ours", spec={"platformRef": {"name": NAME, "namespace": namespace}})
    cluster.until("a duplicate", lambda: "Duplicated" in str(cluster.there(CLUSTER, "ours").get("status")))
    time.sleep(2)  # what the operator wrote there wakes itself once more
    cluster.delete(CLUSTER, "theirs")
    cluster.until("it is gone", lambda: cluster.get(CLUSTER, "theirs") is None)
    time.sleep(2)
    assert "Duplicated" in str(cluster.there(CLUSTER, "ours")["status"])
    done = ok(cluster.call(namespace, **SIMULATE, cluster_platform="ours"), True)
    assert done.result["platform"]["touches"] == 1
    assert condition(cluster.there(CLUSTER, "ours"), "Succeed")
