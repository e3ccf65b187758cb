"""Each part of a whole install broken on purpose: verify reports it, and an install repairs what it can."""

from __future__ import annotations

import pytest

from sandbox import proof
from tests.toolkit import slots

pytestmark = pytest.mark.sandbox("installed", mine=True)
NAMESPACE = "rhdh"
DATA_INDEX = "sonataflow-platform-data-index-service"


def test_a_stopped_data_index_is_reported_and_heals(cluster):
    with cluster.setting(runtime__stopped_players=["data-index"]):

        def unready():
            return not cluster.there("Deployment", DATA_INDEX, NAMESPACE)["status"].get("readyReplicas")

        cluster.until("Data Index has stopped", unready)
        done = cluster.play("verify")
        assert not done["ok"]
        assert DATA_INDEX in done["output"]
        assert proof.collect(cluster.instance).problems
    slots.await_health(cluster.instance)


def test_a_dropped_database_is_reported_and_created_again(cluster):
    database = f"{NAMESPACE}/backstage-psql-developer-hub"
    cluster.sandbox("fault", "database-drop", database, "backstage_plugin_orchestrator")
    cluster.until("it is missed", lambda: proof.collect(cluster.instance).problems)
    assert not cluster.play("verify")["ok"]
    done = cluster.play("install")
    assert done["ok"], done["output"][-3000:]
    assert done["changed"] > 0
    slots.await_health(cluster.instance)


def test_a_deleted_csv_is_reported(cluster):
    cluster.delete("ClusterServiceVersion", "logic-operator.v1.38.1", "openshift-serverless-logic")
    done = cluster.play("verify")
    assert not done["ok"]
    assert "logic-operator" in done["output"]
    assert any("logic-operator" in problem for problem in proof.collect(cluster.instance).problems)
