from __future__ import annotations

import pytest
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm import csv as olm_csv
from ansible_collections.rhdh.orchestrator.plugins.module_utils._workload import outdated


def pod(started, **metadata):
    state = {"running": {"startedAt": started}} if started else {"waiting": {}}
    return {"metadata": {"name": "manager", **metadata}, "status": {"containerStatuses": [{"state": state}]}}


def crd(at, status="True"):
    conditions = [{"type": "Established", "status": status, "lastTransitionTime": at}]
    return {"metadata": {"name": "x", "creationTimestamp": at}, "status": {"conditions": conditions}}


@pytest.mark.parametrize(
    ("started", "established", "restart"),
    [
        ("2026-01-01T00:00:00Z", "2026-01-01T00:00:10Z", True),
        ("2026-01-01T00:00:10Z", "2026-01-01T00:00:10Z", True),
        ("2026-01-01T00:00:11Z", "2026-01-01T00:00:10Z", False),
        (None, "2026-01-01T00:00:10Z", False),
    ],
)
def test_a_manager_older_than_the_api_is_outdated(started, established, restart):
    assert bool(outdated.outdated([pod(started)], [crd(established)])) is restart


def test_the_newest_api_decides_and_missing_ones_do_not_count():
    old, new = crd("2026-01-01T00:00:00Z"), crd("2026-01-01T00:01:00Z")
    running = pod("2026-01-01T00:00:30Z")
    assert outdated.outdated([running], [old, None]) == []
    assert outdated.outdated([running], [old, new]) == [running]
    assert outdated.outdated([running], [crd("2026-01-01T00:01:00Z", "False")]) == []
    assert outdated.outdated([pod("2026-01-01T00:00:30Z", deletionTimestamp="now")], [new]) == []


def test_the_operator_is_found_by_package_in_any_namespace():
    other = {"metadata": {"namespace": "a"}, "spec": {"name": "other"}, "status": {"installedCSV": "other.v1"}}
    pending = {"metadata": {"namespace": "b"}, "spec": {"name": "logic"}}
    ours = {"metadata": {"namespace": "c"}, "spec": {"name": "logic"}, "status": {"installedCSV": "logic.v1"}}
    assert olm_csv.installed_by([other, pending, ours], "logic") == ("c", "logic.v1")
    assert olm_csv.installed_by([other, pending], "logic") is None


def test_deployments_come_from_the_csv():
    csv = {"spec": {"install": {"spec": {"deployments": [{"name": "a"}, {"name": "b"}]}}}}
    assert olm_csv.deployments_of(csv) == ["a", "b"]
    assert olm_csv.deployments_of({"spec": {}}) == []


def test_pods_belong_to_a_deployment_by_their_replica_set():
    def owned(replica_set):
        metadata = {"labels": {"pod-template-hash": "abc12"}, "ownerReferences": [{"name": replica_set}]}
        return {"metadata": metadata}

    ours, longer = owned("manager-abc12"), owned("manager-two-abc12")
    assert outdated.pods_of([ours, longer, {"metadata": {}}], ["manager"]) == [ours]
