"""What one call of developer_hub does: one deadline, predictions, results."""

from __future__ import annotations

import pytest
from ansible_collections.rhdh.orchestrator.plugins.module_utils._hub.flow import reconcile
from ansible_collections.rhdh.orchestrator.plugins.module_utils._run.failures import InputError, WaitFailed

from .calls import TIMEOUT, Cluster, Module, Waits, backstage, call, config_map, hub, meta

CLAIM = {"kind": "PersistentVolumeClaim", "metadata": meta("data-backstage-psql-dh-0")}
NAMESPACE = {"kind": "Namespace", "metadata": {"name": "ns"}}


def test_the_timeout_is_spent_once_by_all_waits_of_a_creation(waits: Waits) -> None:
    cluster = Cluster(*hub())
    result = reconcile(call(cluster, Module(orchestrator={"platform": "self"})))
    assert waits.timeouts == [TIMEOUT, TIMEOUT - 100.0]
    assert result["released"] == ["SonataFlowPlatform sonataflow-platform"]
    assert (result["elapsed"], len(result["timeline"])) == (200.0, 2)


def test_the_timeout_is_spent_once_by_all_waits_of_a_removal(waits: Waits) -> None:
    result = reconcile(call(Cluster(backstage(), CLAIM), Module(state="absent", delete_data=True)))
    assert waits.timeouts == [TIMEOUT, TIMEOUT - 100.0]
    assert (result["elapsed"], len(result["timeline"])) == (200.0, 2)


def test_with_state_ready_nothing_is_written(waits: Waits) -> None:
    """Not even to an operator that backs off from what is there now."""
    found = backstage("False", "DeployFailed", 'ConfigMap "p" not found')
    cluster = Cluster(found, config_map("plugins: []\n"), *hub()[1:])
    with pytest.raises(WaitFailed) as caught:
        reconcile(call(cluster, Module(state="ready")))
    assert cluster.writes == []
    assert (caught.value.extra["touches"], caught.value.extra["changed"]) == (0, False)


def test_what_is_ready_is_waited_for_without_a_change(waits: Waits) -> None:
    result = reconcile(call(Cluster(*hub()), Module(state="ready")))
    assert result == {"changed": False, "release": "1.10", "elapsed": 0.0, "timeline": [], "touches": 0}


def test_what_does_not_exist_cannot_become_ready() -> None:
    with pytest.raises(InputError, match="create it with state: present first"):
        reconcile(call(Cluster(), Module(state="ready")))


@pytest.mark.parametrize("diff", [False, True])
def test_the_diff_is_shown_only_when_asked_for(diff: bool) -> None:
    cluster = Cluster(check_mode=True)
    module = Module(check_mode=True, diff=diff, orchestrator={"platform": "self"})
    result = reconcile(call(cluster, module))
    assert result["changed"]
    assert result["namespace_created"]
    assert result["backstage"]["action"] == "created"
    assert result["plugins_config_map"]["action"] == "created"
    headers = [entry["after_header"] for entry in result.get("diff", [])]
    expected = ["Namespace ns", "ConfigMap ns/dh-orchestrator-plugins", "Backstage ns/dh"]
    assert ("diff" in result, headers) == (diff, expected if diff else [])


def test_a_second_call_changes_nothing(waits: Waits) -> None:
    cluster = Cluster(NAMESPACE, *hub()[1:3])
    first = reconcile(call(cluster, Module(wait=False, orchestrator={"platform": "self"})))
    assert first["changed"]
    cluster.writes.clear()
    second = reconcile(call(cluster, Module(diff=True, wait=False, orchestrator={"platform": "self"})))
    assert (second["changed"], second["diff"], cluster.writes) == (False, [], [])


def test_a_failed_wait_keeps_the_documented_facts(waits: Waits) -> None:
    with pytest.raises(WaitFailed) as caught:
        reconcile(call(Cluster(NAMESPACE)))
    extra = caught.value.extra
    assert extra["backstage"]["action"] == "created"
    assert (extra["changed"], extra["release"], extra["touches"]) == (True, "1.10", 0)
    assert (extra["namespace_created"], extra["released"], extra["leftovers"]) == (False, [], [])


def test_what_a_disabled_orchestrator_left_is_warned_of(waits: Waits) -> None:
    module = Module(wait=False, orchestrator={"enabled": False})
    result = reconcile(call(Cluster(*hub()), module))
    assert result["leftovers"] == ["SonataFlowPlatform sonataflow-platform"]
    assert module.warnings == [
        "SonataFlowPlatform sonataflow-platform stays: the operator removes nothing when the orchestrator is disabled."
    ]
