"""Fields of others, and the platform that belongs to the Hub."""

from __future__ import annotations

import secrets
import time
import typing as t

import pytest

from .platforms import (
    HUB,
    HUB_NAME,
    NAME,
    PLATFORM,
    SIMULATE,
    Object,
    PlatformCluster,
    ended,
    ok,
)

pytestmark = pytest.mark.sandbox("installed", mine=True)


# -- patches ----------------------------------------------------------------------------------------------------------


def test_fields_of_somebody_else_are_never_taken(cluster: PlatformCluster, namespace: str) -> None:
    with cluster.setting(operators__logic__stale_spec_windows=[]):  # else theirs may be reverted
        ok(cluster.call(namespace, **SIMULATE), True)
    path = f"/apis/sonataflow.org/v1alpha08/namespaces/{namespace}/sonataflowplatforms/{NAME}?fieldManager=someone"
    theirs = {
        "apiVersion": "sonataflow.org/v1alpha08",
        "kind": PLATFORM,
        "metadata": {"name": NAME},
        "spec": {"services": {"dataIndex": {"podTemplate": {"replicas": 1}}}},
    }
    cluster.api.request("PATCH", path, theirs, "application/apply-patch+yaml")
    wanted = {**SIMULATE, "data_index": {**SIMULATE["data_index"], "replicas": 2}}
    for check in (True, False):
        done = ended(cluster.call(namespace, check=check, **wanted), "refused", "data_index.replicas", '"someone"')
        assert "force" not in done.message
    template = cluster.there(PLATFORM, NAME, namespace)["spec"]["services"]["dataIndex"]["podTemplate"]
    assert template["replicas"] == 1


def fields_of(platform: Object, manager: str) -> Object:
    """What a manager has applied below `spec`."""
    entries = [e for e in platform["metadata"]["managedFields"] if (e["manager"], e["operation"]) == (manager, "Apply")]
    return t.cast(Object, entries[0]["fieldsV1"].get("f:spec", {}) if entries else {})


def test_in_the_platform_of_the_hub_only_what_was_asked_for_is_ours(cluster: PlatformCluster) -> None:
    """It stays when the Developer Hub operator works on its platform again, and goes when it is not asked for."""
    asked: Object = {"managed_by": "hub", "job_service": {"replicas": 1}}
    before = cluster.there(PLATFORM, NAME, HUB)
    assert fields_of(before, "rhdh.orchestrator") == {}
    predicted = ok(cluster.call(HUB, check=True, **asked), True)
    assert predicted.writes == []
    ok(cluster.call(HUB, **asked), True)
    live = cluster.there(PLATFORM, NAME, HUB)
    ours: Object = {"f:services": {"f:jobService": {"f:podTemplate": {"f:replicas": {}}}}}
    assert fields_of(live, "rhdh.orchestrator") == ours
    assert fields_of(live, "backstage-controller") == fields_of(before, "backstage-controller")
    cluster.patch("Backstage", HUB_NAME, HUB, {"metadata": {"annotations": {"test/look": secrets.token_hex(4)}}})
    time.sleep(2)
    ok(cluster.call(HUB, **asked), False)

    for check in (True, False):  # what the operator has applied
        done = cluster.call(HUB, check=check, managed_by="hub", monitoring=False)
        ended(done, "refused", "monitoring.enabled", '"backstage-controller"')
    predicted = ok(cluster.call(HUB, check=True, managed_by="hub"), True)
    assert predicted.writes == []
    ok(cluster.call(HUB, managed_by="hub"), True)
    after = cluster.there(PLATFORM, NAME, HUB)
    assert fields_of(after, "rhdh.orchestrator") == {}
    assert after["spec"] == before["spec"]
    ok(cluster.call(HUB, managed_by="hub"), False)

    # Deleted, it comes back when the Developer Hub operator looks the next time, without what was ours.
    cluster.delete(PLATFORM, NAME, HUB)
    done = cluster.call(HUB, **asked, wait_timeout=4)
    ended(done, "failed", "NotCreated", f"The Developer Hub operator creates it: see the Backstage {HUB_NAME}")
    assert done.writes == []
    with cluster.calling(HUB, **asked, wait_timeout=120) as found:
        time.sleep(1)
        cluster.patch("Backstage", HUB_NAME, HUB, {"metadata": {"annotations": {"test/look": secrets.token_hex(4)}}})
    done = ok(found[0], True)
    assert done.result["platform"]["action"] == "patched"
    again = cluster.there(PLATFORM, NAME, HUB)
    assert again["metadata"]["uid"] != live["metadata"]["uid"]
    assert fields_of(again, "rhdh.orchestrator") == ours
    ok(cluster.call(HUB, managed_by="hub"), True)
