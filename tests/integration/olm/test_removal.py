"""`state: absent`: the order that OLM survives, whose things are left alone, what stays and is told."""

from __future__ import annotations

from .hands import CSV, Hands, Outcome, operator, scene


def ok(done: Outcome, changed: bool = True) -> Outcome:
    assert done.ending == "ok", done.message
    assert done.result["changed"] is changed
    assert changed or done.writes == []
    return done


@scene
def test_ours_goes_with_its_group_and_namespace_and_crds_stay(hands: Hands) -> None:
    """Subscription first, then the CSV, then group and namespace; check mode predicts; a second run does nothing."""
    wanted = operator("trap-leave-a", "leave-a")
    ok(hands.call(wanted))
    foreseen = ok(hands.call(wanted, state="absent", check=True))
    assert foreseen.writes == []
    done = ok(hands.call(wanted, state="absent"))
    assert done.operator["removed"] == foreseen.operator["removed"]
    deleted = [uri.split("?")[0].rsplit("/", 2)[-2] for uri in done.writes]
    assert deleted == ["subscriptions", "clusterserviceversions", "operatorgroups", "namespaces"]
    crd = "things.trap-leave-a.example.com"
    assert f"CustomResourceDefinition {crd}" in done.operator["leftovers"]
    assert hands.get("CustomResourceDefinition", crd)
    assert hands.get("Namespace", "leave-a") is None
    assert ok(hands.call(wanted, state="absent"), False).operator["action"] == "absent"
    ok(hands.call(wanted, state="absent", check=True), False)


@scene
def test_objects_of_its_apis_keep_it(hands: Hands) -> None:
    """Refused while there are any; told to go on it keeps the namespace that holds them; with the CRDs all goes."""
    wanted = operator("trap-leave-b", "leave-b")
    ok(hands.call(wanted))
    body = {"apiVersion": "trap-leave-b.example.com/v1", "kind": "Thing", "metadata": {"name": "kept"}, "spec": {}}
    path = "/apis/trap-leave-b.example.com/v1/namespaces/leave-b/things"
    hands.until("the object is accepted", lambda: hands.post(path, body))
    refused = hands.call(wanted, state="absent")
    assert (refused.ending, refused.writes) == ("refused", [])
    assert "1 Thing exist (leave-b/kept)" in refused.message
    done = ok(hands.call(wanted, state="absent", ignore_custom_resources=True))
    assert any("namespace leave-b stays, it still holds Thing kept" in text for text in done.warnings)
    assert hands.api.get(f"{path}/kept")
    ok(hands.call(wanted))
    done = ok(hands.call(wanted, state="absent", delete_crds=True))
    assert hands.get("Namespace", "leave-b") is None
    hands.until("the CRD is gone", lambda: not hands.get("CustomResourceDefinition", "things.trap-leave-b.example.com"))
    assert "CustomResourceDefinition things.trap-leave-b.example.com" in done.operator["removed"]


@scene
def test_what_others_installed_or_put_there_stays(hands: Hands) -> None:
    """Somebody else's operator; somebody's Secret in our namespace; their namespace and group round our operator."""
    theirs = hands.namespace("", None)
    hands.installed_by_hand("trap-leave-c", theirs, "their-name")
    kept = ok(hands.call(operator("trap-leave-c", theirs), state="absent"), False)
    assert kept.operator["action"] == "kept"
    assert any("somebody else installed it" in text for text in kept.warnings)
    gone = ok(hands.call(operator("trap-leave-c", theirs), state="absent", manage_adopted=True))
    assert gone.operator["removed"] == [
        f"Subscription {theirs}/their-name",
        f"ClusterServiceVersion {theirs}/trap-leave-c.v1.0.0",
    ]
    assert hands.list("OperatorGroup", theirs)

    ok(hands.call(operator("trap-leave-d", "leave-d")))
    hands.create("Secret", "pull-secret", "leave-d", stringData={"a": "b"})
    done = ok(hands.call(operator("trap-leave-d", "leave-d"), state="absent"))
    assert any("namespace leave-d stays, it still holds Secret pull-secret" in text for text in done.warnings)
    assert hands.get("Secret", "pull-secret", "leave-d")
    assert hands.list("OperatorGroup", "leave-d") == []


@scene
def test_one_of_two_in_a_namespace_goes(hands: Hands) -> None:
    ok(hands.call(operator("trap-leave-e", "leave-e"), operator("trap-leave-f", "leave-e")))
    done = ok(hands.call(operator("trap-leave-e", "leave-e"), state="absent"))
    assert any("namespace leave-e stays" in text for text in done.warnings)
    assert hands.there(CSV, "trap-leave-f.v1.0.0", "leave-e")["status"]["phase"] == "Succeeded"
    assert hands.list("OperatorGroup", "leave-e")
    ok(hands.call(operator("trap-leave-f", "leave-e"), state="absent"))
    assert hands.get("Namespace", "leave-e") is None
