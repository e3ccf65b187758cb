"""What does not come about by itself: each ends (or is told at the timeout) with its cause and remedy, and heals.

Where OLM or a grace takes minutes the wait gets less time than that: there the cause at the timeout is asserted.
The longest come first, since as many are played at a time as the stage has room for.
"""

from __future__ import annotations

import time
import typing as t

import pytest

from sandbox import audit
from tests.toolkit.cluster import where
from tests.toolkit.modules import Outcome
from tests.toolkit.scenes import scene

from . import packages
from .operators import CSV, OlmCluster, operator

pytestmark = pytest.mark.sandbox("traps", mine=True)

WATCH_ALL = {"spec": {"targetNamespaces": None}}  # a merge-patch that lets an OperatorGroup watch all namespaces
OLM_PAUSES = 20  # seconds of trouble after which OLM looks at a CSV again only after minutes
SHORT = 12  # seconds for a wait that is to time out, when everything that it is to tell is there already


def failed(done: Outcome, *texts: str, phase: str = "failed") -> Outcome:
    assert done.ending == "failed", (done.ending, done.message)
    assert done.result["wait"]["phase"] == phase, done.message
    assert len(done.message.splitlines()) <= 15
    for text in texts:
        assert text in done.message, done.message
    return done


def timed_out(done: Outcome, *texts: str) -> Outcome:
    return failed(done, *texts, phase="timed_out")


def ok(done: Outcome) -> Outcome:
    assert done.ending == "ok", done.message
    return done


def strict(package: str, cluster: OlmCluster) -> tuple[str, str]:
    """Install a package whose next version does not accept an object that is there; return namespace and its path."""
    home = cluster.namespace("", None)
    cluster.installed(package, home)
    path = f"/apis/{package}.example.com/v1/namespaces/{home}/things"
    metadata = {"name": "bad", "namespace": home}
    body = {"apiVersion": f"{package}.example.com/v1", "kind": "Thing", "metadata": metadata, "spec": {}}
    cluster.until("the object is accepted", lambda: cluster.post(path, body))
    return home, f"{path}/bad"


@scene
def test_a_failed_plan_that_somebody_has_deleted(cluster: OlmCluster) -> None:
    """OLM never makes another; only with both halves of the upgrade and the Subscription gone it begins anew."""
    home, path = strict("trap-lost-plan", cluster)
    plan = cluster.pending_plan("trap-lost-plan", home)
    cluster.approve(plan, home)
    cluster.until("the plan has failed", lambda: cluster.phase("InstallPlan", plan, home) == "Failed", 120)
    cluster.delete("InstallPlan", plan, home)
    cluster.until(
        "OLM misses the plan",
        lambda: any(
            c["type"] == "InstallPlanMissing" for c in cluster.status("trap-lost-plan", home).get("conditions", [])
        ),
    )
    wanted = operator("trap-lost-plan", home, version="1.1.0")
    failed(cluster.call(wanted), "DeadSubscription", "recreate_dead_subscription")
    cluster.api.request("PATCH", path, {"spec": {"size": 1}}, "application/merge-patch+json")
    foreseen = ok(cluster.call(wanted, recreate_dead_subscription=True, check=True))
    assert (foreseen.result["changed"], foreseen.writes) == (True, [])
    again = ok(cluster.call(wanted, recreate_dead_subscription=True))
    assert again.operator["csv"] == "trap-lost-plan.v1.1.0"
    assert cluster.api.get(path) is not None


@scene
def test_two_packages_that_provide_the_same_api(cluster: OlmCluster) -> None:
    """Subscriptions of somebody else, which are not ours to refuse: OLM says no, in two ways, and so do we, with whom.

    In one namespace it finds no solution; in another one, for the same namespace, it fails the second CSV.
    """
    home = cluster.namespace("", None)
    other = cluster.namespace("", [home])
    cluster.installed("trap-twin-a", home)
    cluster.subscribe("trap-twin-b", home)
    cluster.subscribe("trap-twin-c", other)
    cluster.approve(cluster.pending_plan("trap-twin-c", other), other)
    done = cluster.side_by_side(
        resolved=lambda: cluster.call(operator("trap-twin-b", home)),
        installed=lambda: cluster.call(operator("trap-twin-c", other)),
    )
    failed(
        done["resolved"], "ApiConflict", "trap-twin-a.v1.0.0", "provide Prize (trap-twin.example.com/v1)", "remove one"
    )
    failed(done["installed"], "InterOperatorGroupOwnerConflict", "remove one of the two")
    assert [found.writes for found in done.values()] == [[], []]


@scene
def test_an_object_that_the_next_version_does_not_accept(cluster: OlmCluster) -> None:
    home, path = strict("trap-strict", cluster)
    wanted = operator("trap-strict", home, version="1.1.0")
    failed(cluster.call(wanted), f"Thing {home}/bad is not valid under the new CRD", "spec.size: Required value")
    cluster.api.request("PATCH", path, {"spec": {"size": 1}}, "application/merge-patch+json")
    again = ok(cluster.call(wanted, reset_failed_plan=True))
    assert again.operator["csv"] == "trap-strict.v1.1.0"


@scene
def test_a_crd_that_drops_a_stored_version_where_somebody_else_approved(cluster: OlmCluster) -> None:
    home = cluster.namespace("", None)
    cluster.installed("trap-torn", home)
    cluster.approve(cluster.pending_plan("trap-torn", home, "trap-torn.v1.1.0"), home)
    cluster.until("its new half is there", lambda: cluster.get(CSV, "trap-torn.v1.1.0", home))
    wanted = operator("trap-torn", home, version="1.1.0")
    done = failed(cluster.call(wanted), "no longer has version v1alpha1", "migrate them", "status.storedVersions")
    assert "Do not delete the plan" in done.message
    assert cluster.there(CSV, "trap-torn.v1.0.0", home)["status"]["phase"] == "Replacing"  # and keeps running
    name = "things.trap-torn.example.com"
    crd = cluster.there("CustomResourceDefinition", name)
    (old,) = crd["spec"]["versions"]
    versions = [{**old, "storage": False}, {**old, "name": "v1"}]
    cluster.patch("CustomResourceDefinition", name, None, {"spec": {"versions": versions}})
    cluster.patch("CustomResourceDefinition", name, None, {"status": {"storedVersions": ["v1"]}}, "status")
    again = ok(cluster.call(wanted, reset_failed_plan=True))
    assert again.operator["csv"] == "trap-torn.v1.1.0"


@scene
def test_a_crd_that_drops_a_stored_version_is_foreseen(cluster: OlmCluster) -> None:
    """The step before it is taken; the plan at which OLM would stop half-way is never approved, and refused later."""
    home, name = cluster.namespace("", None), "things.trap-store.example.com"
    cluster.installed("trap-store", home)
    wanted = operator("trap-store", home, version="1.2.0")
    lost = f"removes versions in which objects may be stored: v1alpha1 of {name}"
    done = failed(cluster.call(wanted), "StoredVersionDropped", lost, "status.storedVersions")
    assert "pprove" not in done.message  # the one thing not to do
    assert len(done.result["operators"][0]["plans_approved"]) == 1
    assert cluster.phase(CSV, "trap-store.v1.1.0", home) == "Succeeded"
    for check in (True, False):
        again = cluster.call(wanted, check=check)
        assert (again.ending, again.writes) == ("refused", [])
        assert lost in again.message
        assert "status.storedVersions" in again.message
    assert cluster.get(CSV, "trap-store.v1.2.0", home) is None
    cluster.patch("CustomResourceDefinition", name, None, {"status": {"storedVersions": ["v1"]}}, "status")
    assert ok(cluster.call(wanted)).operator["csv"] == "trap-store.v1.2.0"


@scene
def test_a_crd_in_a_bundle_that_olm_has_unpacked_is_foreseen(cluster: OlmCluster) -> None:
    """Its manifests are not in the plan, but compressed in a ConfigMap beside the catalog. PLAYED: the pull."""
    home = cluster.namespace("", None)
    first, second = "trap-packed.v1.0.0", "trap-packed.v1.1.0"
    cluster.side_by_side(
        install=lambda: cluster.installed("trap-packed", home), unpack=lambda: cluster.unpack("trap-packed", "1.0.0")
    )
    cluster.unpack("trap-packed", "1.1.0")
    cluster.pending_plan("trap-packed", home, second)
    done = cluster.call(operator("trap-packed", home, version="1.1.0"))
    assert (done.ending, done.writes) == ("refused", [])
    assert "v1alpha1 of things.trap-packed.example.com" in done.message
    assert cluster.phase(CSV, first, home) == "Succeeded"


@scene
def test_a_bundle_with_a_kind_that_the_cluster_lacks(cluster: OlmCluster) -> None:
    """OLM tries for 60 s, then never again; after the repair the plan is reset, which only happens when asked for."""
    wanted = operator("trap-rule", "rule")
    done = failed(cluster.call(wanted), "InstallPlanFailed", "PrometheusRule", "reset_failed_plan")
    assert "Restore what is missing" not in done.message  # what its CSV lacks is in the plan
    assert "InstallPlanRetrying" in {entry["reason"] for entry in done.result["timeline"]}
    cluster.define("PrometheusRule", "monitoring.coreos.com")
    foreseen = ok(cluster.call(wanted, reset_failed_plan=True, check=True))
    assert (foreseen.result["changed"], foreseen.writes) == (True, [])
    again = ok(cluster.call(wanted, reset_failed_plan=True))
    assert again.wrote("patch", "installplans")[0].split("?")[0].endswith("/status")


@scene
def test_an_upgrade_to_an_image_that_cannot_be_pulled(cluster: OlmCluster) -> None:
    """The old half is called unreferenced all the while, and is no orphan; when the image comes the upgrade ends."""
    home = cluster.namespace("", None)
    cluster.installed("trap-sick", home)
    wanted = operator("trap-sick", home, version="1.1.0")
    cluster.approve(cluster.pending_plan("trap-sick", home, "trap-sick.v1.1.0"), home)
    cluster.until("the image is not pulled", lambda: "ImagePullBackOff" in str(cluster.all("Pod", home)), 90)
    done = cluster.call(wanted, wait_timeout=SHORT)
    timed_out(done, "ImagePullBackOff", "cannot pull image", "bring it into the registry or mirror")
    assert "orphan" not in done.message.lower()
    assert {"OrphanCSV", "ApiConflict"}.isdisjoint(entry["reason"] for entry in done.result["timeline"])
    cluster.heal_image(packages.NO_IMAGE)
    again = ok(cluster.call(wanted))
    assert again.operator["csv"] == "trap-sick.v1.1.0"
    assert again.operator["plans_approved"] == []


@scene
def test_a_csv_that_somebody_has_deleted(cluster: OlmCluster) -> None:
    """The Subscription stays with a Complete plan for ever; it is made anew only when asked for."""
    home = cluster.namespace("", None)
    csv = cluster.installed("trap-dead", home)
    cluster.delete(CSV, csv, home)
    cluster.until("OLM noted it", lambda: cluster.status("trap-dead", home).get("state") == "UpgradePending")
    wanted = operator("trap-dead", home, version="1.0.0")
    done = cluster.call(wanted)
    failed(done, "DeadSubscription", "is Complete but trap-dead.v1.0.0", "recreate_dead_subscription")
    foreseen = ok(cluster.call(wanted, check=True, recreate_dead_subscription=True))
    assert (foreseen.result["changed"], foreseen.writes) == (True, [])
    assert ok(cluster.call(wanted, recreate_dead_subscription=True)).operator["csv"] == csv


@scene
def test_a_csv_that_somebody_has_deleted_while_a_later_one_was_offered(cluster: OlmCluster) -> None:
    """The pending plan holds the later one: it is not what is wanted, and it is not what is wrong."""
    home = cluster.namespace("", None)
    csv = cluster.installed("trap-busy", home)
    cluster.pending_plan("trap-busy", home, "trap-busy.v1.1.0")
    cluster.delete(CSV, csv, home)
    wanted = operator("trap-busy", home, version="1.0.0")
    failed(cluster.call(wanted), "DeadSubscription", f"{csv} was deleted", "recreate_dead_subscription")
    foreseen = ok(cluster.call(wanted, check=True, recreate_dead_subscription=True))
    assert (foreseen.result["changed"], foreseen.writes) == (True, [])
    assert ok(cluster.call(wanted, recreate_dead_subscription=True)).operator["csv"] == csv


@scene
def test_an_operator_that_says_not_now(cluster: OlmCluster) -> None:
    """Upgradeable=False: no failure; told at the timeout, and the upgrade ends once the operator allows it."""
    home = cluster.namespace("", None)
    csv = cluster.installed("trap-busy", home)
    condition = {"type": "Upgradeable", "status": "False", "reason": "Busy", "message": "a migration runs"}
    condition["lastTransitionTime"] = "2026-11-24T12:00:00Z"
    cluster.until("its OperatorCondition is there", lambda: cluster.get("OperatorCondition", csv, home))
    cluster.patch("OperatorCondition", csv, home, {"spec": {"overrides": [condition]}})
    wanted = operator("trap-busy", home, version="1.1.0")
    cluster.approve(cluster.pending_plan("trap-busy", home, "trap-busy.v1.1.0"), home)
    cluster.until("OLM holds it back", lambda: cluster.phase(CSV, "trap-busy.v1.1.0", home) == "Pending", 90)
    done = cluster.call(wanted, wait_timeout=SHORT)
    timed_out(done, "OperatorConditionNotUpgradeable", "a migration runs", "override its OperatorCondition")
    cluster.patch("OperatorCondition", csv, home, {"spec": {"overrides": []}})
    assert ok(cluster.call(wanted)).operator["csv"] == "trap-busy.v1.1.0"


@scene
def test_an_api_that_nobody_provides(cluster: OlmCluster) -> None:
    done = cluster.call(operator("trap-lost", "lost"))
    failed(
        done, "MissingDependency", "group: trap-nobody.example.com, version: v1, kind: Thing", "Install the operator"
    )


@scene
def test_a_package_that_was_renamed(cluster: OlmCluster) -> None:
    """logic-operator-rhel8 became logic-operator: never both; the old one goes first, objects and CRDs stay."""
    home = "openshift-serverless-logic"
    old = operator("logic-operator-rhel8", home, version="1.36.0")
    new = operator("logic-operator", home, version="1.37.1")
    ok(cluster.call(old))
    platforms = f"/apis/sonataflow.org/v1alpha08/namespaces/{home}/sonataflowplatforms"
    body = {"apiVersion": "sonataflow.org/v1alpha08", "kind": "SonataFlowPlatform", "metadata": {"name": "kept"}}
    before = cluster.until("the object is accepted", lambda: cluster.post(platforms, {**body, "spec": {}}))
    refused = cluster.call(new)
    assert (refused.ending, refused.writes) == ("refused", [])
    assert "is provided by logic-operator-rhel8.v1.36.0 in openshift-serverless-logic already" in refused.message
    ok(cluster.call(old, state="absent", ignore_custom_resources=True))
    assert cluster.get("Namespace", home)
    assert ok(cluster.call(new)).operator["csv"] == "logic-operator.v1.37.1"
    after = cluster.api.get(f"{platforms}/kept")
    assert after
    assert after["metadata"]["uid"] == before["metadata"]["uid"]


@scene
def test_an_orphan(cluster: OlmCluster) -> None:
    """The Subscription was deleted and the CSV left: OLM never adopts it, and it is deleted only when asked for."""
    home = cluster.namespace("", None)
    csv = cluster.installed("trap-orphan", home)
    thing = f"/apis/trap-orphan.example.com/v1/namespaces/{home}/things"
    body = {"apiVersion": "trap-orphan.example.com/v1", "kind": "Thing", "metadata": {"name": "kept"}, "spec": {}}
    before = cluster.until("the object is accepted", lambda: cluster.post(thing, body))
    cluster.delete("Subscription", "trap-orphan", home)
    cluster.until("its plans are gone", lambda: not cluster.all("InstallPlan", home))
    wanted = operator("trap-orphan", home, version="1.0.0")
    refused = cluster.call(wanted)
    assert (refused.ending, refused.writes) == ("refused", [])
    foreseen = ok(cluster.call(wanted, replace_orphan=True, check=True))
    assert (foreseen.result["changed"], foreseen.writes) == (True, [])
    done = ok(cluster.call(wanted, replace_orphan=True))
    assert done.operator["csv"] == csv
    assert len(done.wrote("delete", "clusterserviceversions")) == 1
    after = cluster.api.get(f"{thing}/kept")
    assert after
    assert after["metadata"]["uid"] == before["metadata"]["uid"]


@scene
def test_an_operator_group_that_changes_under_an_installed_operator(cluster: OlmCluster) -> None:
    """The CSV turns Failed (unsupported mode, two groups): refused before any write, and well again by itself."""
    home = cluster.namespace("", None)
    csv, wanted = cluster.installed("trap-group", home), operator("trap-group", home, version="1.0.0")

    def broken(reason: str, *texts: str) -> None:
        cluster.until(reason, lambda: cluster.there(CSV, csv, home)["status"].get("reason") == reason)
        for check in (True, False):
            done = cluster.call(wanted, check=check)
            assert (done.ending, done.writes) == ("refused", [])
            for text in texts:
                assert text in done.message

    cluster.patch("OperatorGroup", "group-0", home, WATCH_ALL)
    broken("UnsupportedOperatorGroup", "asks for install mode AllNamespaces, the operator supports only OwnNamespace")
    cluster.patch("OperatorGroup", "group-0", home, {"spec": {"targetNamespaces": [home]}})
    assert ok(cluster.call(wanted)).writes == []
    cluster.create("OperatorGroup", "second", home, spec={"targetNamespaces": [home]})
    broken("TooManyOperatorGroups", f"namespace {home} has 2 OperatorGroups (group-0, second)", "Delete all but one")
    time.sleep(OLM_PAUSES)
    cluster.delete("OperatorGroup", "second", home)
    healed = ok(cluster.call(wanted))  # alone OLM was seen to take 225 s
    assert healed.result["changed"] == bool(healed.writes)  # a touch counts, where OLM did not look by itself
    assert {write.partition("?")[0] for write in healed.writes} <= {f"patch {where(CSV, home, csv)}"}


@scene
def test_an_operator_group_that_changes_during_a_wait(cluster: OlmCluster) -> None:
    """What it does to the CSV ends the wait within seconds; when it is mended the install goes on where it was."""
    home = cluster.namespace("", None)
    csv, wanted = cluster.begun("trap-hang", home), operator("trap-hang", home, version="1.0.0")

    def during(change: t.Callable[[], object], *texts: str) -> None:
        cluster.until("it is installing", lambda: cluster.phase(CSV, csv, home) == "Installing")

        mark = audit.mark(cluster.instance.audit_log)

        def disturb() -> None:
            cluster.waits(home, mark)  # a moment earlier the call would be refused
            change()

        done = cluster.side_by_side(call=lambda: cluster.call(wanted), change=disturb)["call"]
        failed(done, *texts)

    during(
        lambda: cluster.patch("OperatorGroup", "group-0", home, WATCH_ALL),
        "UnsupportedOperatorGroup",
        "Use an OperatorGroup whose install mode the operator supports; it then heals alone",
    )
    cluster.patch("OperatorGroup", "group-0", home, {"spec": {"targetNamespaces": [home]}})
    during(
        lambda: cluster.create("OperatorGroup", "second", home, spec={"targetNamespaces": [home]}),
        "TooManyOperatorGroups",
        "Delete all but one OperatorGroup of the namespace; it then heals alone",
    )
    cluster.delete("OperatorGroup", "second", home)
    cluster.heal_image(packages.LATE_IMAGE)
    assert ok(cluster.call(wanted)).operator["csv"] == csv


@scene
def test_a_bundle_that_cannot_be_unpacked(cluster: OlmCluster) -> None:
    """There is no plan and no state; the unpack Job in the catalog's namespace is what fails, and its pod tells why."""
    home = cluster.namespace("")
    hint = {"operatorframework.io/bundle-unpack-timeout": "10s"}
    cluster.create("OperatorGroup", "group", home, annotations=hint, spec={"targetNamespaces": [home]})
    done = cluster.call(operator("trap-unpack", home))
    failed(done, "BundleUnpackFailed", "DeadlineExceeded", "openshift-marketplace", "bundle-unpack-ref")
    assert "BundleUnpacking" in {entry["reason"] for entry in done.result["timeline"]}


@scene
def test_a_copied_csv_is_no_installation(cluster: OlmCluster) -> None:
    """The original's Subscription is gone; its copy is Succeeded in the namespace where the operator is wanted."""
    first, second = cluster.namespace("", ()), cluster.namespace("", ())
    csv = cluster.installed("trap-copied", first)
    cluster.until("the copy is there", lambda: cluster.phase(CSV, csv, second) == "Succeeded")
    cluster.delete("Subscription", "trap-copied", first)
    cluster.until("it is gone", lambda: not cluster.all("Subscription", first))
    done = cluster.call(operator("trap-copied", second))
    assert (done.ending, done.writes) == ("refused", [])
    assert f"namespace {second} holds a copy of {csv} from namespace {first}" in done.message


@scene
def test_an_operator_that_crashes(cluster: OlmCluster) -> None:
    """OLM says no more than that a Deployment is not available; its pod's last words are in the message."""
    cluster.begun("trap-crash", "crash")
    cluster.until("it has crashed", lambda: "CrashLoopBackOff" in str(cluster.all("Pod", "crash")), 90)
    done = cluster.call(operator("trap-crash", "crash"), wait_timeout=SHORT)
    timed_out(done, "exit code 7", "FATAL: no such role", "Repair what its log says", "oc logs")
    assert {"CrashLoopBackOff"} & {entry["reason"] for entry in done.result["timeline"]}


@scene
def test_kubernetes_too_old_for_a_version_that_the_summary_does_not_describe(cluster: OlmCluster) -> None:
    done = cluster.call(operator("trap-kube", "kube", version="1.0.0"))
    failed(done, "MinKubeVersion", "minKubeVersion (1.99.0) > server version", "Choose a version")
