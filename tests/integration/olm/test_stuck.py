"""What does not come about by itself: each ends (or is told at the timeout) with its cause and remedy, and heals.

Where OLM or a grace takes minutes the wait gets less time than that: there the cause at the timeout is asserted.
The longest come first, since as many are played at a time as the stage has room for.
"""

from __future__ import annotations

import time
import typing as t

from sandbox import audit

from . import packages
from .hands import CSV, Hands, Outcome, operator, scene, where

WATCH_ALL = {"spec": {"targetNamespaces": None}}  # a merge-patch that lets an OperatorGroup watch all namespaces
OLM_PAUSES = 20  # seconds of trouble after which OLM looks at a CSV again only after minutes
SHORT = 12  # seconds for a wait that is to time out, when everything that it is to tell is there already


def failed(done: Outcome, *texts: str, phase: str = "failed", within: float = 239) -> Outcome:
    assert done.ending == "failed", (done.ending, done.message)
    assert done.result["wait"]["phase"] == phase, done.message
    assert done.seconds < within, done.result["timeline"]
    assert len(done.message.splitlines()) <= 15
    for text in texts:
        assert text in done.message, done.message
    return done


def timed_out(done: Outcome, *texts: str) -> Outcome:
    return failed(done, *texts, phase="timed_out")


def ok(done: Outcome) -> Outcome:
    assert done.ending == "ok", done.message
    return done


def strict(package: str, hands: Hands) -> tuple[str, str]:
    """Install a package whose next version does not accept an object that is there; return namespace and its path."""
    home = hands.namespace("", None)
    hands.installed(package, home)
    path = f"/apis/{package}.example.com/v1/namespaces/{home}/things"
    metadata = {"name": "bad", "namespace": home}
    body = {"apiVersion": f"{package}.example.com/v1", "kind": "Thing", "metadata": metadata, "spec": {}}
    hands.until("the object is accepted", lambda: hands.post(path, body))
    return home, f"{path}/bad"


@scene
def test_a_failed_plan_that_somebody_has_deleted(hands: Hands) -> None:
    """OLM never makes another; only with both halves of the upgrade and the Subscription gone it begins anew."""
    home, path = strict("trap-lost-plan", hands)
    plan = hands.pending_plan("trap-lost-plan", home)
    hands.approve(plan, home)
    hands.until("the plan has failed", lambda: hands.phase("InstallPlan", plan, home) == "Failed", 120)
    hands.delete("InstallPlan", plan, home)
    hands.until(
        "OLM misses the plan",
        lambda: any(
            c["type"] == "InstallPlanMissing" for c in hands.status("trap-lost-plan", home).get("conditions", [])
        ),
    )
    wanted = operator("trap-lost-plan", home, version="1.1.0")
    failed(hands.call(wanted), "DeadSubscription", "recreate_dead_subscription")
    hands.api.request("PATCH", path, {"spec": {"size": 1}}, "application/merge-patch+json")
    foreseen = ok(hands.call(wanted, recreate_dead_subscription=True, check=True))
    assert (foreseen.result["changed"], foreseen.writes) == (True, [])
    again = ok(hands.call(wanted, recreate_dead_subscription=True))
    assert again.operator["csv"] == "trap-lost-plan.v1.1.0"
    assert hands.api.get(path) is not None


@scene
def test_two_packages_that_provide_the_same_api(hands: Hands) -> None:
    """Subscriptions of somebody else, which are not ours to refuse: OLM says no, in two ways, and so do we, with whom.

    In one namespace it finds no solution; in another one, for the same namespace, it fails the second CSV.
    """
    home = hands.namespace("", None)
    other = hands.namespace("", [home])
    hands.installed("trap-twin-a", home)
    hands.subscribe("trap-twin-b", home)
    hands.subscribe("trap-twin-c", other)
    hands.approve(hands.pending_plan("trap-twin-c", other), other)
    done = hands.side_by_side(
        resolved=lambda: hands.call(operator("trap-twin-b", home)),
        installed=lambda: hands.call(operator("trap-twin-c", other)),
    )
    failed(
        done["resolved"], "ApiConflict", "trap-twin-a.v1.0.0", "provide Prize (trap-twin.example.com/v1)", "remove one"
    )
    failed(done["installed"], "InterOperatorGroupOwnerConflict", "remove one of the two")
    assert [found.writes for found in done.values()] == [[], []]


@scene
def test_an_object_that_the_next_version_does_not_accept(hands: Hands) -> None:
    home, path = strict("trap-strict", hands)
    wanted = operator("trap-strict", home, version="1.1.0")
    failed(hands.call(wanted), f"Thing {home}/bad is not valid under the new CRD", "spec.size: Required value")
    hands.api.request("PATCH", path, {"spec": {"size": 1}}, "application/merge-patch+json")
    again = ok(hands.call(wanted, reset_failed_plan=True))
    assert again.operator["csv"] == "trap-strict.v1.1.0"


@scene
def test_a_crd_that_drops_a_stored_version_where_somebody_else_approved(hands: Hands) -> None:
    home = hands.namespace("", None)
    hands.installed("trap-torn", home)
    hands.approve(hands.pending_plan("trap-torn", home, "trap-torn.v1.1.0"), home)
    hands.until("its new half is there", lambda: hands.get(CSV, "trap-torn.v1.1.0", home))
    wanted = operator("trap-torn", home, version="1.1.0")
    done = failed(hands.call(wanted), "no longer has version v1alpha1", "migrate them", "status.storedVersions")
    assert "Do not delete the plan" in done.message
    assert hands.there(CSV, "trap-torn.v1.0.0", home)["status"]["phase"] == "Replacing"  # and keeps running
    name = "things.trap-torn.example.com"
    crd = hands.there("CustomResourceDefinition", name)
    (old,) = crd["spec"]["versions"]
    versions = [{**old, "storage": False}, {**old, "name": "v1"}]
    hands.patch("CustomResourceDefinition", name, None, {"spec": {"versions": versions}})
    hands.patch("CustomResourceDefinition", name, None, {"status": {"storedVersions": ["v1"]}}, "status")
    again = ok(hands.call(wanted, reset_failed_plan=True))
    assert again.operator["csv"] == "trap-torn.v1.1.0"


@scene
def test_a_crd_that_drops_a_stored_version_is_foreseen(hands: Hands) -> None:
    """The step before it is taken; the plan at which OLM would stop half-way is never approved, and refused later."""
    home, name = hands.namespace("", None), "things.trap-store.example.com"
    hands.installed("trap-store", home)
    wanted = operator("trap-store", home, version="1.2.0")
    told = f"takes away versions in which objects may be stored: v1alpha1 of {name}"
    done = failed(hands.call(wanted), "StoredVersionDropped", told, "status.storedVersions")
    assert "pprove" not in done.message  # the one thing not to do
    assert len(done.result["operators"][0]["plans_approved"]) == 1
    assert hands.phase(CSV, "trap-store.v1.1.0", home) == "Succeeded"
    for check in (True, False):
        again = hands.call(wanted, check=check)
        assert (again.ending, again.writes) == ("refused", [])
        assert told in again.message
        assert "status.storedVersions" in again.message
    assert hands.get(CSV, "trap-store.v1.2.0", home) is None
    hands.patch("CustomResourceDefinition", name, None, {"status": {"storedVersions": ["v1"]}}, "status")
    assert ok(hands.call(wanted)).operator["csv"] == "trap-store.v1.2.0"


@scene
def test_a_crd_in_a_bundle_that_olm_has_unpacked_is_foreseen(hands: Hands) -> None:
    """Its manifests are not in the plan, but compressed in a ConfigMap beside the catalog. PLAYED: the pull."""
    home = hands.namespace("", None)
    first, second = "trap-packed.v1.0.0", "trap-packed.v1.1.0"
    hands.side_by_side(
        install=lambda: hands.installed("trap-packed", home), unpack=lambda: hands.unpack("trap-packed", "1.0.0")
    )
    hands.unpack("trap-packed", "1.1.0")
    hands.pending_plan("trap-packed", home, second)
    done = hands.call(operator("trap-packed", home, version="1.1.0"))
    assert (done.ending, done.writes) == ("refused", [])
    assert "v1alpha1 of things.trap-packed.example.com" in done.message
    assert hands.phase(CSV, first, home) == "Succeeded"


@scene
def test_a_bundle_with_a_kind_that_the_cluster_lacks(hands: Hands) -> None:
    """OLM tries for 60 s, then never again; after the repair the plan is reset, which only happens when asked for."""
    wanted = operator("trap-rule", "rule")
    done = failed(hands.call(wanted), "InstallPlanFailed", "PrometheusRule", "reset_failed_plan")
    assert "Restore what is missing" not in done.message  # what its CSV lacks is in the plan
    assert "InstallPlanRetrying" in {entry["reason"] for entry in done.result["timeline"]}
    hands.define("PrometheusRule", "monitoring.coreos.com")
    foreseen = ok(hands.call(wanted, reset_failed_plan=True, check=True))
    assert (foreseen.result["changed"], foreseen.writes) == (True, [])
    again = ok(hands.call(wanted, reset_failed_plan=True))
    assert again.wrote("patch", "installplans")[0].split("?")[0].endswith("/status")


@scene
def test_an_upgrade_to_an_image_that_cannot_be_pulled(hands: Hands) -> None:
    """The old half is called unreferenced all the while, and is no orphan; when the image comes the upgrade ends."""
    home = hands.namespace("", None)
    hands.installed("trap-sick", home)
    wanted = operator("trap-sick", home, version="1.1.0")
    hands.approve(hands.pending_plan("trap-sick", home, "trap-sick.v1.1.0"), home)
    hands.until("the image is not pulled", lambda: "ImagePullBackOff" in str(hands.list("Pod", home)), 90)
    done = hands.call(wanted, wait_timeout=SHORT)
    timed_out(done, "ImagePullBackOff", "cannot pull image", "bring it into the registry or mirror")
    assert "orphan" not in done.message.lower()
    assert {"OrphanCSV", "ApiConflict"}.isdisjoint(entry["reason"] for entry in done.result["timeline"])
    hands.heal_image(packages.NO_IMAGE)
    again = ok(hands.call(wanted))
    assert again.operator["csv"] == "trap-sick.v1.1.0"
    assert again.operator["plans_approved"] == []


@scene
def test_a_csv_that_somebody_has_deleted(hands: Hands) -> None:
    """The Subscription stays with a Complete plan for ever; it is made anew only when asked for."""
    home = hands.namespace("", None)
    csv = hands.installed("trap-dead", home)
    hands.delete(CSV, csv, home)
    hands.until("OLM noted it", lambda: hands.status("trap-dead", home).get("state") == "UpgradePending")
    wanted = operator("trap-dead", home, version="1.0.0")
    done = hands.call(wanted)
    failed(done, "DeadSubscription", "is Complete but trap-dead.v1.0.0", "recreate_dead_subscription")
    foreseen = ok(hands.call(wanted, check=True, recreate_dead_subscription=True))
    assert (foreseen.result["changed"], foreseen.writes) == (True, [])
    assert ok(hands.call(wanted, recreate_dead_subscription=True)).operator["csv"] == csv


@scene
def test_a_csv_that_somebody_has_deleted_while_a_later_one_was_offered(hands: Hands) -> None:
    """The pending plan holds the later one: it is not what is wanted, and it is not what is wrong."""
    home = hands.namespace("", None)
    csv = hands.installed("trap-busy", home)
    hands.pending_plan("trap-busy", home, "trap-busy.v1.1.0")
    hands.delete(CSV, csv, home)
    wanted = operator("trap-busy", home, version="1.0.0")
    failed(hands.call(wanted), "DeadSubscription", f"{csv} was deleted", "recreate_dead_subscription")
    foreseen = ok(hands.call(wanted, check=True, recreate_dead_subscription=True))
    assert (foreseen.result["changed"], foreseen.writes) == (True, [])
    assert ok(hands.call(wanted, recreate_dead_subscription=True)).operator["csv"] == csv


@scene
def test_an_operator_that_says_not_now(hands: Hands) -> None:
    """Upgradeable=False: no failure; told at the timeout, and the upgrade ends once the operator allows it."""
    home = hands.namespace("", None)
    csv = hands.installed("trap-busy", home)
    condition = {"type": "Upgradeable", "status": "False", "reason": "Busy", "message": "a migration runs"}
    condition["lastTransitionTime"] = "2026-11-24T12:00:00Z"
    hands.until("its OperatorCondition is there", lambda: hands.get("OperatorCondition", csv, home))
    hands.patch("OperatorCondition", csv, home, {"spec": {"overrides": [condition]}})
    wanted = operator("trap-busy", home, version="1.1.0")
    hands.approve(hands.pending_plan("trap-busy", home, "trap-busy.v1.1.0"), home)
    hands.until("OLM holds it back", lambda: hands.phase(CSV, "trap-busy.v1.1.0", home) == "Pending", 90)
    done = hands.call(wanted, wait_timeout=SHORT)
    timed_out(done, "OperatorConditionNotUpgradeable", "a migration runs", "override its OperatorCondition")
    hands.patch("OperatorCondition", csv, home, {"spec": {"overrides": []}})
    assert ok(hands.call(wanted)).operator["csv"] == "trap-busy.v1.1.0"


@scene
def test_an_api_that_nobody_provides(hands: Hands) -> None:
    done = hands.call(operator("trap-lost", "lost"))
    failed(
        done, "MissingDependency", "group: trap-nobody.example.com, version: v1, kind: Thing", "Install the operator"
    )


@scene
def test_a_package_that_was_renamed(hands: Hands) -> None:
    """logic-operator-rhel8 became logic-operator: never both; the old one goes first, objects and CRDs stay."""
    home = "openshift-serverless-logic"
    old = operator("logic-operator-rhel8", home, version="1.36.0")
    new = operator("logic-operator", home, version="1.37.1")
    ok(hands.call(old))
    platforms = f"/apis/sonataflow.org/v1alpha08/namespaces/{home}/sonataflowplatforms"
    body = {"apiVersion": "sonataflow.org/v1alpha08", "kind": "SonataFlowPlatform", "metadata": {"name": "kept"}}
    before = hands.until("the object is accepted", lambda: hands.post(platforms, {**body, "spec": {}}))
    refused = hands.call(new)
    assert (refused.ending, refused.writes) == ("refused", [])
    assert "is provided by logic-operator-rhel8.v1.36.0 in openshift-serverless-logic already" in refused.message
    ok(hands.call(old, state="absent", ignore_custom_resources=True))
    assert hands.get("Namespace", home)
    assert ok(hands.call(new)).operator["csv"] == "logic-operator.v1.37.1"
    after = hands.api.get(f"{platforms}/kept")
    assert after
    assert after["metadata"]["uid"] == before["metadata"]["uid"]


@scene
def test_an_orphan(hands: Hands) -> None:
    """The Subscription was deleted and the CSV left: OLM never adopts it, and it is deleted only when asked for."""
    home = hands.namespace("", None)
    csv = hands.installed("trap-orphan", home)
    thing = f"/apis/trap-orphan.example.com/v1/namespaces/{home}/things"
    body = {"apiVersion": "trap-orphan.example.com/v1", "kind": "Thing", "metadata": {"name": "kept"}, "spec": {}}
    before = hands.until("the object is accepted", lambda: hands.post(thing, body))
    hands.delete("Subscription", "trap-orphan", home)
    hands.until("its plans are gone", lambda: not hands.list("InstallPlan", home))
    wanted = operator("trap-orphan", home, version="1.0.0")
    refused = hands.call(wanted)
    assert (refused.ending, refused.writes) == ("refused", [])
    foreseen = ok(hands.call(wanted, replace_orphan=True, check=True))
    assert (foreseen.result["changed"], foreseen.writes) == (True, [])
    done = ok(hands.call(wanted, replace_orphan=True))
    assert done.operator["csv"] == csv
    assert len(done.wrote("delete", "clusterserviceversions")) == 1
    after = hands.api.get(f"{thing}/kept")
    assert after
    assert after["metadata"]["uid"] == before["metadata"]["uid"]


@scene
def test_an_operator_group_that_changes_under_an_installed_operator(hands: Hands) -> None:
    """The CSV turns Failed (unsupported mode, two groups): refused before any write, and well again by itself."""
    home = hands.namespace("", None)
    csv, wanted = hands.installed("trap-group", home), operator("trap-group", home, version="1.0.0")

    def broken(reason: str, *texts: str) -> None:
        hands.until(reason, lambda: hands.there(CSV, csv, home)["status"].get("reason") == reason)
        for check in (True, False):
            done = hands.call(wanted, check=check)
            assert (done.ending, done.writes) == ("refused", [])
            for text in texts:
                assert text in done.message

    hands.patch("OperatorGroup", "group-0", home, WATCH_ALL)
    broken("UnsupportedOperatorGroup", "asks for install mode AllNamespaces, the operator supports only OwnNamespace")
    hands.patch("OperatorGroup", "group-0", home, {"spec": {"targetNamespaces": [home]}})
    assert ok(hands.call(wanted)).writes == []
    hands.create("OperatorGroup", "second", home, spec={"targetNamespaces": [home]})
    broken("TooManyOperatorGroups", f"namespace {home} has 2 OperatorGroups (group-0, second)", "Delete all but one")
    time.sleep(OLM_PAUSES)
    hands.delete("OperatorGroup", "second", home)
    healed = ok(hands.call(wanted))  # alone OLM was seen to take 225 s
    assert healed.seconds < 60
    assert not healed.result["changed"]
    assert {write.partition("?")[0] for write in healed.writes} <= {f"patch {where(CSV, home, csv)}"}


@scene
def test_an_operator_group_that_changes_during_a_wait(hands: Hands) -> None:
    """What it does to the CSV ends the wait within seconds; when it is mended the install goes on where it was."""
    home = hands.namespace("", None)
    csv, wanted = hands.begun("trap-hang", home), operator("trap-hang", home, version="1.0.0")

    def during(change: t.Callable[[], object], *texts: str) -> None:
        hands.until("it is installing", lambda: hands.phase(CSV, csv, home) == "Installing")

        mark = audit.mark(hands.instance.audit_log)

        def disturb() -> None:
            hands.waits(home, mark)  # a moment earlier the call would be refused
            change()

        done = hands.side_by_side(call=lambda: hands.call(wanted), change=disturb)["call"]
        failed(done, *texts, within=100)

    during(
        lambda: hands.patch("OperatorGroup", "group-0", home, WATCH_ALL),
        "UnsupportedOperatorGroup",
        "Use an OperatorGroup whose install mode the operator supports; it then heals alone",
    )
    hands.patch("OperatorGroup", "group-0", home, {"spec": {"targetNamespaces": [home]}})
    during(
        lambda: hands.create("OperatorGroup", "second", home, spec={"targetNamespaces": [home]}),
        "TooManyOperatorGroups",
        "Delete all but one OperatorGroup of the namespace; it then heals alone",
    )
    hands.delete("OperatorGroup", "second", home)
    hands.heal_image(packages.LATE_IMAGE)
    assert ok(hands.call(wanted)).operator["csv"] == csv


@scene
def test_a_bundle_that_cannot_be_unpacked(hands: Hands) -> None:
    """There is no plan and no state; the unpack Job in the catalog's namespace is what fails, and its pod tells why."""
    home = hands.namespace("")
    hint = {"operatorframework.io/bundle-unpack-timeout": "10s"}
    hands.create("OperatorGroup", "group", home, annotations=hint, spec={"targetNamespaces": [home]})
    done = hands.call(operator("trap-unpack", home))
    failed(done, "BundleUnpackFailed", "DeadlineExceeded", "openshift-marketplace", "bundle-unpack-ref")
    assert "BundleUnpacking" in {entry["reason"] for entry in done.result["timeline"]}


@scene
def test_a_copied_csv_is_no_installation(hands: Hands) -> None:
    """The original's Subscription is gone; its copy is Succeeded in the namespace where the operator is wanted."""
    first, second = hands.namespace("", ()), hands.namespace("", ())
    csv = hands.installed("trap-copied", first)
    hands.until("the copy is there", lambda: hands.phase(CSV, csv, second) == "Succeeded")
    hands.delete("Subscription", "trap-copied", first)
    hands.until("it is gone", lambda: not hands.list("Subscription", first))
    done = hands.call(operator("trap-copied", second))
    assert (done.ending, done.writes) == ("refused", [])
    assert f"namespace {second} holds a copy of {csv} from namespace {first}" in done.message


@scene
def test_an_operator_that_crashes(hands: Hands) -> None:
    """OLM says no more than that a Deployment is not available; its pod's last words are in the message."""
    hands.begun("trap-crash", "crash")
    hands.until("it has crashed", lambda: "CrashLoopBackOff" in str(hands.list("Pod", "crash")), 90)
    done = hands.call(operator("trap-crash", "crash"), wait_timeout=SHORT)
    timed_out(done, "exit code 7", "FATAL: no such role", "Repair what its log says", "oc logs")
    assert {"CrashLoopBackOff"} & {entry["reason"] for entry in done.result["timeline"]}


@scene
def test_kubernetes_too_old_for_a_version_that_the_summary_does_not_describe(hands: Hands) -> None:
    done = hands.call(operator("trap-kube", "kube", version="1.0.0"))
    failed(done, "MinKubeVersion", "minKubeVersion (1.99.0) > server version", "Choose a version")
