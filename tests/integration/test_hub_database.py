"""The database on the Hub's own PostgreSQL, with the Developer Hub operator's stand-in at work: too slow for the
operator's Job, and a Hub that is made anew over old data. The tests run in the order of this file.
"""

from __future__ import annotations

import base64
import concurrent.futures
import json
import typing as t
from pathlib import Path

import pytest

from tests.integration.conftest import Cluster, sandbox
from tests.integration.postgres import Hands, Object

HUB, NAMESPACE = "developer-hub", "rhdh"
SECRET, CLAIM = f"backstage-psql-secret-{HUB}", f"data-backstage-psql-{HUB}-0"
JOB = f"create-sonataflow-database-{HUB}"


@pytest.fixture(scope="module")
def hub(instance: t.Any, collections: Path, tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Cluster]:
    cluster = Cluster(instance, collections, tmp_path_factory.mktemp("logs"))
    if f"namespace/{NAMESPACE}" in cluster.kubectl("get", "namespaces", "-o", "name").split():
        sandbox("reset")  # other tests were here
    yield cluster
    sandbox("reset")


def named(cluster: Cluster, kind: str, name: str) -> Object | None:
    text = cluster.kubectl("get", kind, name, "-n", NAMESPACE, "--ignore-not-found", "-o", "json")
    return t.cast("Object", json.loads(text)) if text.strip() else None


def endings(cluster: Cluster) -> set[str]:
    """How the operator's Job has ended."""
    conditions = ((named(cluster, "job", JOB) or {}).get("status") or {}).get("conditions") or []
    return {item["type"] for item in conditions if item["status"] == "True"}


def test_a_postgresql_that_is_too_slow_for_the_operators_job(hub: Cluster) -> None:
    """Its last attempt is after 73 seconds; one that is later than its deadline of 120 is never made."""
    sandbox("set", 'runtime.stopped_players=["postgres"]')
    hands, seen = Hands(hub), set()
    with concurrent.futures.ThreadPoolExecutor(1) as background:
        running = background.submit(hub.play, "install")

        def job_status() -> Object:
            return (named(hub, "job", JOB) or {}).get("status") or {}

        try:
            hands.until("the last attempt failed", lambda: running.done() or job_status().get("failed", 0) > 3, 400)
        finally:
            sandbox("set", "runtime.stopped_players=null")

        def gone() -> bool:
            seen.update(endings(hub))
            return named(hub, "job", JOB) is None

        hands.until("the operator's Job is gone", gone, 240)
        done = running.result()
    assert done["ok"], done["output"][-3000:]
    assert "Failed" in seen
    assert "Complete" not in seen
    proofs = [line for line in done["requests"]["mutating"] if "/jobs" in line]
    assert len(proofs) == 2, "made and taken away again"


def test_verify_and_a_second_run_after_the_job_was_lost(hub: Cluster) -> None:
    assert hub.play("verify")["ok"]
    done = hub.play("install")
    assert done["ok"], done["output"][-3000:]
    assert done["changed"] == 0
    assert done["requests"]["mutating"] == []


@pytest.fixture(scope="module")
def old_password(hub: Cluster) -> str:
    return str(hub.get("secret", SECRET, "-n", NAMESPACE)["data"]["POSTGRES_PASSWORD"])


def test_a_hub_that_is_made_anew_over_old_data_is_explained(hub: Cluster, old_password: str) -> None:
    claim = hub.get("pvc", CLAIM, "-n", NAMESPACE)["metadata"]["uid"]
    hub.kubectl("delete", "backstage", HUB, "-n", NAMESPACE)
    Hands(hub).until("its Secret is gone", lambda: named(hub, "secret", SECRET) is None)
    done = hub.play("install", "-e", "orchestrator_hub_timeout=45")
    assert not done["ok"]
    assert hub.get("pvc", CLAIM, "-n", NAMESPACE)["metadata"]["uid"] == claim
    assert hub.get("secret", SECRET, "-n", NAMESPACE)["data"]["POSTGRES_PASSWORD"] != old_password
    text = " ".join(done["output"].split())
    for part in ("password authentication failed", f"The volume {CLAIM}", "is older than the Secret", "ALTER ROLE"):
        assert part in text, done["output"][-3000:]
    assert base64.b64decode(old_password).decode() not in done["output"]


def test_with_the_old_password_in_the_secret_the_next_run_ends_well(hub: Cluster, old_password: str) -> None:
    data = dict.fromkeys(("POSTGRES_PASSWORD", "POSTGRESQL_ADMIN_PASSWORD"), old_password)
    hub.kubectl("patch", "secret", SECRET, "-n", NAMESPACE, "--type=merge", "-p", json.dumps({"data": data}))
    done = hub.play("install")
    assert done["ok"], done["output"][-3000:]
    again = hub.play("install")
    assert again["ok"], again["output"][-3000:]
    assert again["changed"] == 0
    assert again["requests"]["mutating"] == []
