"""What developer_hub removes, and what it keeps."""

from __future__ import annotations

import pytest
from ansible_collections.rhdh.orchestrator.plugins.module_utils._hub.flow import reconcile
from ansible_collections.rhdh.orchestrator.plugins.module_utils._run import flow as run_flow
from ansible_collections.rhdh.orchestrator.plugins.module_utils._run.failures import WaitFailed
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.snapshot import Snapshot
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.verdict import FAILED, Result, Verdict

from .calls import Cluster, Module, Waits, backstage, call, meta

CLAIM = {"kind": "PersistentVolumeClaim", "metadata": meta("data-backstage-psql-dh-0")}


def secret(**metadata: object) -> dict:
    return {"kind": "Secret", "metadata": meta("backstage-psql-secret-dh", "dh", **metadata), "data": {"p": "Y2FuYXJ5"}}


def remove(cluster: Cluster, **options: object) -> dict:
    module = Module(cluster.check_mode, diff=True, state="absent", **options)
    return reconcile(call(cluster, module))


@pytest.mark.parametrize("check_mode", [False, True])
def test_the_data_and_its_password_stay(waits: Waits, check_mode: bool) -> None:
    cluster = Cluster(backstage(), CLAIM, secret(), check_mode=check_mode)
    result = remove(cluster)
    assert result["changed"]
    assert result["backstage"]["action"] == "deleted"
    assert result["kept"] == [
        "PersistentVolumeClaim data-backstage-psql-dh-0",
        "Secret backstage-psql-secret-dh",
    ]
    written = ["patch Secret backstage-psql-secret-dh", "delete Backstage dh"]
    assert cluster.writes == ([] if check_mode else written)
    headers = [entry["after_header"] for entry in result["diff"]]
    assert headers == ["Secret ns/backstage-psql-secret-dh", "Backstage ns/dh"]
    assert "Y2FuYXJ5" not in str(result)


def test_the_data_goes_when_asked_for(waits: Waits) -> None:
    kept = secret(labels={"rhdh.orchestrator/kept": "true"})
    cluster = Cluster(backstage(), CLAIM, kept)
    result = remove(cluster, delete_data=True)
    assert cluster.objects == ()
    assert result["deleted"] == [
        "PersistentVolumeClaim data-backstage-psql-dh-0",
        "Secret backstage-psql-secret-dh",
    ]
    assert "Y2FuYXJ5" not in str(result)


def test_what_others_created_stays(waits: Waits) -> None:
    found = backstage()
    found["metadata"]["labels"] = {}
    cluster = Cluster(found)
    result = remove(cluster)
    assert (result["changed"], result["backstage"]["action"], cluster.writes) == (False, "kept", [])
    assert result["kept"] == ["Backstage dh: this collection did not create it"]


class Foreground(Cluster):
    """A cluster in which the Backstage is deleted in the foreground; `again` is the answer to all but the first try."""

    again: int | None = None

    def delete(self, *arguments, **options):
        if self.writes and self.again:
            self.answers["delete"] = self.again
        return super().delete(*arguments, **options)


@pytest.mark.parametrize("again", [None, 403, 409])
def test_a_deletion_in_the_foreground_is_repeated(waits: Waits, again: int | None) -> None:
    cluster = Foreground(backstage())
    cluster.objects[0]["metadata"].update(deletionTimestamp="now", finalizers=["foregroundDeletion"])
    cluster.again, cluster.held = again, ("Backstage",)
    with pytest.raises(WaitFailed, match="Cause: Backstage dh") as caught:
        remove(cluster)
    assert cluster.writes == ["delete Backstage dh"] * 2
    assert caught.value.extra["backstage"]["action"] == "deleted"
    assert caught.value.extra["changed"]


def test_a_volume_that_stays_is_explained_with_the_timeline_of_both_waits(waits: Waits) -> None:
    cluster = Cluster(backstage(), CLAIM)
    cluster.held = ("PersistentVolumeClaim",)
    with pytest.raises(WaitFailed, match="Cause: PersistentVolumeClaim data-backstage-psql-dh-0") as caught:
        remove(cluster, delete_data=True)
    assert caught.value.extra["deleted"] == ["PersistentVolumeClaim data-backstage-psql-dh-0"]
    assert caught.value.extra["timeline"] == [{"at": 100.0}] * 2


def test_a_kind_that_may_not_be_watched_is_named(waits: Waits, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing else is known then: no verdict of the Backstage, and no cause to look for."""
    judged = {"deployments.apps": Verdict.failed("Forbidden", "not allowed")}
    ended = Result(FAILED, judged, 1.0, [], Snapshot({}))
    monkeypatch.setattr(run_flow, "wait", lambda *_arguments, **_options: ended)
    with pytest.raises(WaitFailed, match=r"deployments\.apps: Forbidden: not allowed") as caught:
        remove(Cluster(backstage()))
    assert caught.value.extra["backstage"]["action"] == "deleted"
