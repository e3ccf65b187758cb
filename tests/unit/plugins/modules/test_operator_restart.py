"""operator_restart: what is deleted, and when the operator is waited for."""

from __future__ import annotations

import types

import pytest
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube import kinds as k
from ansible_collections.rhdh.orchestrator.plugins.module_utils._run import flow
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.snapshot import Snapshot
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.verdict import Result
from ansible_collections.rhdh.orchestrator.plugins.modules import operator_restart

API = "sinkbindings.sources.knative.dev"
EARLY, SERVED, LATE = "2026-11-24T10:00:00Z", "2026-11-24T10:05:00Z", "2026-11-24T10:10:00Z"


def pod(name, started, deleted=False):
    metadata = {
        "name": name,
        "uid": name,
        "labels": {"pod-template-hash": "abc"},
        "ownerReferences": [{"name": "manager-abc"}],
    }
    if deleted:
        metadata["deletionTimestamp"] = LATE
    status = {"containerStatuses": [{"state": {"running": {"startedAt": started}}}]}
    return {"metadata": metadata, "status": status}


def deployment(ready):
    status = {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "readyReplicas": ready}
    return {"metadata": {"name": "manager", "generation": 1}, "spec": {"replicas": 1}, "status": status}


class Cluster:
    """A session with an operator whose manager has the given pods."""

    check_mode = False

    def __init__(self, pods, ready):
        condition = {"type": "Established", "status": "True", "lastTransitionTime": SERVED}
        self.deleted = []
        self._crd = {"metadata": {"name": API}, "status": {"conditions": [condition]}}
        install = {"spec": {"deployments": [{"name": "manager"}]}}
        self._csv = {"metadata": {"name": "logic.v1"}, "spec": {"install": install}}
        subscription = {"metadata": {"namespace": "home"}, "spec": {"name": "logic"}}
        subscription["status"] = {"installedCSV": "logic.v1"}
        self._lists = {k.SUBSCRIPTION: [subscription], k.POD: pods, k.DEPLOYMENT: [deployment(ready)]}

    def get(self, kind, name, namespace=None):
        return self._crd if kind == k.CRD else self._csv

    def list(self, kind, namespace=None):
        return self._lists[kind]

    def delete(self, kind, name, namespace=None, uid=None):
        self.deleted.append(name)


@pytest.fixture
def run(monkeypatch):
    """Run the module; returns its result, the pods that it deleted, and whether it waited."""

    def call(pods, *, ready=1, check_mode=False, wait=True):
        waits = []

        def waited(*_sources, **_options):
            waits.append(True)
            return Result("ready", {}, 1.0, [], Snapshot({}))

        monkeypatch.setattr(flow, "wait", waited)
        cluster = Cluster(pods, ready)
        params = {"package": "logic", "apis": [API], "apis_expected": False, "wait": wait, "wait_timeout": 5}
        module = types.SimpleNamespace(params=params, check_mode=check_mode)
        return operator_restart.restart(module, cluster), cluster.deleted, bool(waits)

    return call


def test_an_old_pod_is_deleted_and_its_successor_waited_for(run):
    result, deleted, waited = run([pod("old", EARLY), pod("new", LATE)])
    assert (result["changed"], result["restarted"], deleted, waited) == (True, ["old"], ["old"], True)


def test_without_wait_the_old_pod_is_deleted_and_nothing_waited_for(run):
    result, deleted, waited = run([pod("old", EARLY)], wait=False)
    assert (result["changed"], deleted, waited) == (True, ["old"], False)


def test_an_operator_that_runs_costs_no_wait(run):
    result, deleted, waited = run([pod("new", LATE)])
    assert (result["changed"], deleted, waited) == (False, [], False)


@pytest.mark.parametrize(
    ("pods", "ready"), [([pod("new", LATE)], 0), ([pod("old", EARLY, deleted=True)], 1)], ids=["starting", "stopping"]
)
def test_a_restart_of_before_is_waited_for(run, pods, ready):
    result, deleted, waited = run(pods, ready=ready)
    assert (result["changed"], deleted, waited) == (False, [], True)


def test_check_mode_deletes_and_waits_for_nothing(run):
    result, deleted, waited = run([pod("old", EARLY)], ready=0, check_mode=True)
    assert (result["changed"], result["restarted"], deleted, waited) == (True, ["old"], [], False)
