"""The database on the Hub's own PostgreSQL, with the Developer Hub operator's stand-in at work: too slow for the
operator's Job, and a Hub that is created again over old data. The tests run in the order of this file.
"""

from __future__ import annotations

import base64
import concurrent.futures

import pytest

from sandbox.paths import Instance
from tests.toolkit.cluster import condition
from tests.toolkit.plays import Playbooks

pytestmark = pytest.mark.sandbox("fresh", mine=True)
HUB, NAMESPACE = "developer-hub", "rhdh"
SECRET, CLAIM = f"backstage-psql-secret-{HUB}", f"data-backstage-psql-{HUB}-0"
JOB = f"create-sonataflow-database-{HUB}"
CHECK = "app.kubernetes.io/component=database-check"  # our own Jobs


@pytest.fixture(scope="module")
def hub(instance: Instance, tmp_path_factory: pytest.TempPathFactory) -> Playbooks:
    return Playbooks(instance, tmp_path_factory.mktemp("logs"))


def test_a_postgresql_that_is_too_slow_for_the_operators_job(hub: Playbooks) -> None:
    """Its last attempt is after 73 seconds; one that is later than its deadline of 120 is never made.

    The Hub itself creates the database when it starts. Data Index is held down until we have looked: one that came
    back before would prove the database as well.
    """
    hub.set(runtime__stopped_players=["postgres", "data-index"])
    seen: set[str] = set()
    with concurrent.futures.ThreadPoolExecutor(1) as background:
        running = background.submit(hub.play, "install")

        def attempts() -> int:
            job = hub.get("Job", JOB, NAMESPACE) or {}
            return int((job.get("status") or {}).get("failed", 0))

        def ended(kind: str) -> bool:
            return condition(hub.get("Job", JOB, NAMESPACE), kind)

        try:
            hub.until("the last attempt failed", lambda: running.done() or attempts() > 3, 400)
            hub.set(runtime__stopped_players=["data-index"])
            hub.until("the database is proved", lambda: running.done() or hub.all("Job", NAMESPACE, CHECK), 240)
        finally:
            hub.set(runtime__stopped_players=None)

        def gone() -> bool:
            seen.update(kind for kind in ("Complete", "Failed") if ended(kind))
            return hub.get("Job", JOB, NAMESPACE) is None

        hub.until("the operator's Job is gone", gone, 240)
        done = running.result()
    assert done["ok"], done["output"][-3000:]
    assert "Failed" in seen
    assert "Complete" not in seen
    proofs = [line for line in done["requests"]["mutating"] if "/jobs" in line]
    assert len(proofs) == 2, "made and taken away again"


def test_verify_and_a_second_run_after_the_job_was_lost(hub: Playbooks) -> None:
    assert hub.play("verify")["ok"]
    done = hub.play("install")
    assert done["ok"], done["output"][-3000:]
    assert done["changed"] == 0
    assert done["requests"]["mutating"] == []


@pytest.fixture(scope="module")
def old_password(hub: Playbooks) -> str:
    return str(hub.there("Secret", SECRET, NAMESPACE)["data"]["POSTGRES_PASSWORD"])


def test_a_hub_that_is_made_anew_over_old_data_is_explained(hub: Playbooks, old_password: str) -> None:
    claim = hub.there("PersistentVolumeClaim", CLAIM, NAMESPACE)["metadata"]["uid"]
    hub.delete("Backstage", HUB, NAMESPACE)
    hub.until("its Secret is gone", lambda: hub.get("Secret", SECRET, NAMESPACE) is None)
    done = hub.play("install", "-e", "orchestrator_hub_timeout=45")
    assert not done["ok"]
    assert hub.there("PersistentVolumeClaim", CLAIM, NAMESPACE)["metadata"]["uid"] == claim
    assert hub.there("Secret", SECRET, NAMESPACE)["data"]["POSTGRES_PASSWORD"] != old_password
    text = " ".join(done["output"].split())
    for part in ("password authentication failed", f"The volume {CLAIM}", "is older than the Secret", "ALTER ROLE"):
        assert part in text, done["output"][-3000:]
    assert base64.b64decode(old_password).decode() not in done["output"]


def test_with_the_old_password_in_the_secret_the_next_run_ends_well(hub: Playbooks, old_password: str) -> None:
    data = dict.fromkeys(("POSTGRES_PASSWORD", "POSTGRESQL_ADMIN_PASSWORD"), old_password)
    hub.patch("Secret", SECRET, NAMESPACE, {"data": data})
    done = hub.play("install")
    assert done["ok"], done["output"][-3000:]
    again = hub.play("install")
    assert again["ok"], again["output"][-3000:]
    assert again["changed"] == 0
    assert again["requests"]["mutating"] == []
