"""The first whole install: check mode, install, verify, second run. The tests run in the order of this file.

Other tests begin with what this install has left: a snapshot is taken of it.
"""

from __future__ import annotations

import json

import pytest

from sandbox import proof
from tests.toolkit import slots

pytestmark = pytest.mark.sandbox("fresh", makes="installed")


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


def test_its_state_is_kept_for_other_tests_and_survives_a_restart(cluster):
    slots.Slot(cluster.instance.name).keep("installed")
    slots.await_health(cluster.instance)


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
