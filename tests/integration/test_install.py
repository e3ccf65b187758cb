"""The first whole install: check mode, install, verify, second run, and each part broken on purpose.

The tests build on each other and run in the order of this file.
"""

from __future__ import annotations

import json
import time

import pytest

from sandbox import proof

NAMESPACE = "rhdh"


@pytest.fixture(scope="module")
def predicted():
    """What check mode said, for the install to keep; empty when the check was not among the selected tests."""
    return {}


def test_check_mode_predicts_on_an_empty_cluster_and_changes_nothing(cluster, predicted):
    done = cluster.play("install", "--check")
    assert done["ok"], done["output"][-3000:]
    assert done["requests"]["mutating"] == []
    predicted["changed"] = done["changed"]
    assert done["changed"] > 0


def test_install_from_nothing(cluster, predicted):
    done = cluster.play("install")
    assert done["ok"], done["output"][-3000:]
    assert done["changed"] == predicted.get("changed", done["changed"])


def test_it_works(cluster, tmp_path):
    report = tmp_path / "report.json"
    done = cluster.play("verify", "-e", f"orchestrator_report={report}")
    assert done["ok"], done["output"][-3000:]
    assert done["requests"]["mutating"] == []
    status = json.loads(report.read_text(encoding="utf-8"))
    assert status["healthy"]
    assert status["openshift"].startswith("4.20.")
    assert {part["package"] for part in status["operators"] if part["ready"]} == {
        "serverless-operator",
        "logic-operator",
        "rhdh",
    }
    observed = proof.collect(cluster.instance)
    assert observed.problems == []


def test_a_second_run_changes_and_writes_nothing(cluster):
    done = cluster.play("install")
    assert done["ok"], done["output"][-3000:]
    assert done["changed"] == 0
    assert done["requests"]["mutating"] == []


def test_check_mode_on_a_complete_cluster_predicts_nothing(cluster):
    done = cluster.play("install", "--check")
    assert done["ok"], done["output"][-3000:]
    assert done["changed"] == 0
    assert done["requests"]["mutating"] == []


def until(seconds, look):
    """Call `look` until it is true; its last answer otherwise."""
    end = time.monotonic() + seconds
    while not (answer := look()) and time.monotonic() < end:
        time.sleep(0.5)
    return answer


def test_a_stopped_data_index_is_told_and_heals(cluster):
    cluster.sandbox("set", 'runtime.stopped_players=["data-index"]')
    try:

        def unready():
            status = cluster.get("deployment", "-n", NAMESPACE, "sonataflow-platform-data-index-service")["status"]
            return not status.get("readyReplicas")

        assert until(60, unready)
        done = cluster.play("verify")
        assert not done["ok"]
        assert "sonataflow-platform-data-index-service" in done["output"]
        assert proof.collect(cluster.instance).problems
    finally:
        cluster.sandbox("set", "runtime.stopped_players=null")
    assert until(90, lambda: proof.collect(cluster.instance).problems == [])


def test_a_dropped_database_is_told_and_mended(cluster):
    database = f"{NAMESPACE}/backstage-psql-developer-hub"
    cluster.sandbox("fault", "database-drop", database, "backstage_plugin_orchestrator")
    assert until(60, lambda: proof.collect(cluster.instance).problems)
    assert not cluster.play("verify")["ok"]
    done = cluster.play("install")
    assert done["ok"], done["output"][-3000:]
    assert done["changed"] > 0
    assert until(60, lambda: proof.collect(cluster.instance).problems == [])


def test_a_deleted_csv_is_told(cluster):
    cluster.kubectl("delete", "csv", "-n", "openshift-serverless-logic", "logic-operator.v1.38.1")
    done = cluster.play("verify")
    assert not done["ok"]
    assert "logic-operator" in done["output"]
    assert any("logic-operator" in problem for problem in proof.collect(cluster.instance).problems)
