"""`state: absent`: the order that OLM survives, whose things are left alone, what stays and is told."""

from __future__ import annotations

import pytest

from tests.toolkit.modules import Outcome
from tests.toolkit.scenes import scene

from .operators import CSV, OlmCluster, operator

pytestmark = pytest.mark.sandbox("traps", mine=True)


def ok(done: Outcome, changed: bool = True) -> Outcome:
    assert done.ending == "ok", done.message
    assert done.result["changed"] is changed
    assert changed or done.writes == []
    return done


@scene
def test_ours_goes_with_its_group_and_namespace_and_crds_stay(cluster: OlmCluster) -> None:
    """Subscription first, then the CSV, then group and namespace; check mode predicts; a second run does nothing."""
    wanted = operator("trap-leave-a", "leave-a")
    ok(cluster.call(wanted))
    foreseen = ok(cluster.call(wanted, state="absent", check=True))
    assert foreseen.writes == []
    done = ok(cluster.call(wanted, state="absent"))
    assert done.operator["removed"] == foreseen.operator["removed"]
    deleted = [uri.split("?")[0].rsplit("/", 2)[-2] for uri in done.writes]
    assert deleted == ["subscriptions", "clusterserviceversions", "operatorgroups", "namespaces"]
    crd = "things.trap-leave-a.example.com"
    assert f"CustomResourceDefinition {crd}" in done.operator["leftovers"]
    assert cluster.get("CustomResourceDefinition", crd)
    assert cluster.get("Namespace", "leave-a") is None
    assert ok(cluster.call(wanted, state="absent"), False).operator["action"] == "absent"
    ok(cluster.call(wanted, state="absent", check=True), False)


@scene
def test_objects_of_its_apis_keep_it(cluster: OlmCluster) -> None:
    """Refused while there are any; told to go on it keeps the namespace that holds them; with the CRDs all goes."""
    wanted = operator("trap-leave-b", "leave-b")
    ok(cluster.call(wanted))
    body = {"apiVersion": "trap-leave-b.example.com/v1", "kind": "Thing", "metadata": {"name": "kept"}, "spec": {}}
    path = "/apis/trap-leave-b.example.com/v1/namespaces/leave-b/things"
    cluster.until("the object is accepted", lambda: cluster.post(path, body))
    refused = cluster.call(wanted, state="absent")
    assert (refused.ending, refused.writes) == ("refused", [])
    assert "1 Thing exist (leave-b/kept)" in refused.message
    done = ok(cluster.call(wanted, state="absent", ignore_custom_resources=True))
    assert any("namespace leave-b stays, it still holds Thing kept" in text for text in done.warnings)
    assert cluster.api.get(f"{path}/kept")
    ok(cluster.call(wanted))
    done = ok(cluster.call(wanted, state="absent", delete_crds=True))
    assert cluster.get("Namespace", "leave-b") is None
    cluster.until(
        "the CRD is gone", lambda: not cluster.get("CustomResourceDefinition", "things.trap-leave-b.example.com")
    )
    assert "CustomResourceDefinition things.trap-leave-b.example.com" in done.operator["removed"]


@scene
def test_what_others_installed_or_put_there_stays(cluster: OlmCluster) -> None:
    """Somebody else's operator; somebody's Secret in our namespace; their namespace and group round our operator."""
    theirs = cluster.namespace("", None)
    cluster.installed_by_hand("trap-leave-c", theirs, "their-name")
    refused = cluster.call(operator("trap-leave-c", "leave-c"))
    assert (refused.ending, refused.writes) == ("refused", [])
    assert f"in {theirs} and watches {theirs} only; it must watch namespace leave-c" in refused.message
    ok(cluster.call(operator("trap-leave-c", "leave-c", watches=[theirs])), False)
    kept = ok(cluster.call(operator("trap-leave-c", theirs), state="absent"), False)
    assert kept.operator["action"] == "kept"
    assert any("was not installed by this collection" in text for text in kept.warnings)
    gone = ok(cluster.call(operator("trap-leave-c", theirs), state="absent", delete_adopted=True))
    assert gone.operator["removed"] == [
        f"Subscription {theirs}/their-name",
        f"ClusterServiceVersion {theirs}/trap-leave-c.v1.0.0",
    ]
    assert cluster.all("OperatorGroup", theirs)

    ok(cluster.call(operator("trap-leave-d", "leave-d")))
    elsewhere = ok(cluster.call(operator("trap-leave-d", "leave-other"), state="absent"), False)
    assert any("is not in leave-other but in leave-d, where it stays" in text for text in elsewhere.warnings)
    cluster.create("Secret", "pull-secret", "leave-d", stringData={"a": "b"})
    cluster.create("NetworkPolicy", "deny", "leave-d", spec={"podSelector": {}})
    foreseen = ok(cluster.call(operator("trap-leave-d", "leave-d"), state="absent", check=True))
    done = ok(cluster.call(operator("trap-leave-d", "leave-d"), state="absent"))
    for outcome in (foreseen, done):
        stays = "namespace leave-d stays, it still holds NetworkPolicy deny, Secret pull-secret"
        assert any(text.endswith(stays) for text in outcome.warnings), outcome.warnings
    assert cluster.get("Secret", "pull-secret", "leave-d")
    assert cluster.all("OperatorGroup", "leave-d") == []


@scene
def test_one_of_two_in_a_namespace_goes(cluster: OlmCluster) -> None:
    ok(cluster.call(operator("trap-leave-e", "leave-e"), operator("trap-leave-f", "leave-e")))
    done = ok(cluster.call(operator("trap-leave-e", "leave-e"), state="absent"))
    assert any("namespace leave-e stays" in text for text in done.warnings)
    assert cluster.there(CSV, "trap-leave-f.v1.0.0", "leave-e")["status"]["phase"] == "Succeeded"
    assert cluster.all("OperatorGroup", "leave-e")
    ok(cluster.call(operator("trap-leave-f", "leave-e"), state="absent"))
    assert cluster.get("Namespace", "leave-e") is None
