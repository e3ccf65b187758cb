"""What OLM's objects mean: success, approval, and every trap that looks like a failure or hides one."""

from __future__ import annotations

import copy
import typing as t

import pytest
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm import approval as olm_approval
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm import csv as olm_csv
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm import judge as olm_judge
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm import resolution as olm_resolution
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm import view as olm_view
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm.operator import Recreation
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm.resolve import Target, Wanted
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.states.table import terminal

from tests.recorded import load

Object = dict[str, t.Any]
WANTED = Wanted("thing", "home")
ENTRIES = (("thing.v1.2.0", "1.2.0"), ("thing.v1.1.0", "1.1.0"), ("thing.v1.0.0", "1.0.0"))
TARGET = Target("stable", "thing.v1.1.0", "1.1.0", ENTRIES, "thing.v1.2.0", None, (), None, ())


def subscription(*conditions: Object, name: str = "thing", **status: t.Any) -> Object:
    return {
        "metadata": {"name": name, "namespace": "home"},
        "spec": {"name": name},
        "status": {"conditions": list(conditions), **status},
    }


def failed(message: str, kind: str = "ResolutionFailed", reason: str = "ConstraintsNotSatisfiable") -> Object:
    return {"type": kind, "status": "True", "reason": reason, "message": message}


def csv(name: str = "thing.v1.1.0", phase: str = "Succeeded", reason: str = "", **more: t.Any) -> Object:
    return {
        "metadata": {"name": name, "namespace": "home", "labels": more.pop("labels", {})},
        "spec": {
            "version": name.partition(".v")[2],
            "replaces": more.pop("replaces", None),
            "install": {"spec": {"deployments": [{"name": "manager"}]}},
        },
        "status": {"phase": phase, "reason": reason, **more},
    }


def deployment(ready: int = 1) -> Object:
    return {
        "metadata": {"name": "manager", "generation": 1},
        "spec": {"replicas": 1},
        "status": {"observedGeneration": 1, "replicas": 1, "readyReplicas": ready, "updatedReplicas": 1},
    }


def plan(*names: str, phase: str = "RequiresApproval", generation: int = 1, **more: t.Any) -> Object:
    return {
        "metadata": {"name": "install-a", "namespace": "home", "resourceVersion": "7"},
        "spec": {
            "clusterServiceVersionNames": list(names or ["thing.v1.1.0"]),
            "approved": more.pop("approved", False),
            "generation": generation,
        },
        "status": {"phase": phase, **more},
    }


def view(sub: Object | None = None, **parts: t.Any) -> olm_view.View:
    catalog = {
        "metadata": {"name": "redhat-operators", "namespace": "openshift-marketplace"},
        "status": {"connectionState": {"lastObservedState": parts.pop("catalog", "READY")}},
    }
    defaults = {
        "plan": None,
        "csvs": [],
        "deployments": {"manager": deployment()},
        "groups": [{"metadata": {"name": "og"}}],
        "catalogs": [catalog],
    }
    return olm_view.View(sub or subscription(), **{**defaults, **parts})


PENDING = {"state": "UpgradePending", "currentCSV": "thing.v1.1.0", "installPlanGeneration": 1}


def decide(
    sub: Object, found: Object | None, others: list[Object] | None = None, **options: t.Any
) -> olm_approval.Approval:
    wanted = Wanted("thing", "home", **options)
    return olm_approval.decide_approval(wanted, TARGET, sub, found, [sub, *(others or [])])


def test_success_is_tested_first_and_stale_conditions_do_not_matter() -> None:
    sub = subscription(
        failed("constraints not satisfiable: old news"),
        failed("x", "BundleUnpackFailed", "EnsureInstallPlanFailed"),
        installedCSV="thing.v1.1.0",
    )
    verdict = olm_judge.judge(WANTED, TARGET, view(sub, csvs=[csv()]))
    assert verdict.state == "ready"
    assert verdict.stable_for >= 2


@pytest.mark.parametrize(
    "parts",
    [
        {"csvs": [csv(labels={"olm.copiedFrom": "elsewhere"})]},  # a copied CSV installs nothing
        {"csvs": [csv(phase="Installing")]},
        {"csvs": [csv()], "deployments": {"manager": deployment(ready=0)}},
        {"csvs": [csv()], "deployments": {}},
        {"csvs": []},
    ],
)
def test_installed_csv_and_at_latest_known_alone_are_not_success(parts: Object) -> None:
    sub = subscription(installedCSV="thing.v1.1.0", currentCSV="thing.v1.1.0", state="AtLatestKnown")
    assert olm_judge.judge(WANTED, TARGET, view(sub, **parts)).state != "ready"


def test_variables_of_the_config_have_to_be_in_every_container() -> None:
    sub = {"spec": {"config": {"env": [{"name": "A", "value": "1"}, {"name": "B", "valueFrom": {}}]}}}

    def pods(*values: str) -> Object:
        containers = [{"name": "c", "env": [{"name": "A", "value": value}, {"name": "X"}]} for value in values]
        return {"spec": {"template": {"spec": {"containers": containers}}}}

    assert olm_judge.configured(sub, pods("1", "1"))
    assert not olm_judge.configured(sub, pods("1", "2"))
    assert olm_judge.configured({"spec": {}}, pods("2"))


def test_a_new_config_is_given_time_to_reach_the_deployments() -> None:
    sub = subscription(installedCSV="thing.v1.1.0")
    for generations, seconds in (({}, olm_judge.STABLE), ({"manager": 1}, olm_judge.SETTLED), ({"manager": 0}, 2.0)):
        verdict = olm_judge.judge(WANTED, TARGET, view(sub, csvs=[csv()], generations=generations))
        assert (verdict.state, verdict.stable_for) == ("ready", seconds)


def test_a_pin_stays_installed_while_the_next_plan_waits() -> None:
    sub = subscription(installedCSV="thing.v1.1.0", currentCSV="thing.v1.2.0", state="UpgradePending")
    seen = view(sub, csvs=[csv()], plan=plan("thing.v1.2.0"))
    assert olm_judge.judge(WANTED, TARGET, seen).state == "ready"
    assert decide(sub, plan("thing.v1.2.0")).action != "approve"


@pytest.mark.parametrize(
    ("found", "status"),
    [
        (None, PENDING),
        (plan(phase=""), PENDING),  # a moment too early makes OLM put a duplicate beside it
        (plan(approved=True, phase=""), PENDING),
        (plan(phase="Installing"), PENDING),
        (plan(phase="Failed"), PENDING),
        (plan(phase="Complete"), PENDING),
        (plan(generation=2), PENDING),  # of another generation: old, or newer than the status that was read
        (plan("thing.v1.0.0"), PENDING),  # the reference is to a previous plan
        (plan(), {**PENDING, "state": "AtLatestKnown"}),
    ],
)
def test_only_the_right_plan_at_the_right_time_is_approved(found: Object | None, status: Object) -> None:
    assert decide(subscription(**status), found).action == "wait"


def test_the_right_plan_is_approved() -> None:
    assert decide(subscription(**PENDING), plan()).action == "approve"


def test_steps_on_the_way_are_approved_and_what_leads_past_is_refused() -> None:
    step = subscription(**{**PENDING, "currentCSV": "thing.v1.0.0"}, installedCSV="thing.v0.9.0")
    assert decide(step, plan("thing.v1.0.0")).action == "approve"
    past = subscription(**{**PENDING, "currentCSV": "thing.v1.2.0"}, installedCSV="thing.v1.0.0")
    refused = decide(past, plan("thing.v1.2.0"))
    assert (refused.action, refused.reason) == ("refuse", "WrongVersion")


def test_collateral_is_refused_by_name_and_dependencies_are_told_apart() -> None:
    step = {"resolving": "needed.v1.0.0", "resource": {"kind": "Subscription"}}
    both = plan("thing.v1.1.0", "other.v2.0.0", "needed.v1.0.0", "helper.v2.0.0", plan=[step])
    other = subscription(name="other", currentCSV="other.v2.0.0")
    known = subscription(name="helper-stable", currentCSV="helper.v2.0.0")
    known["metadata"]["annotations"] = {"olm.generated-by": "install-old"}
    refused = decide(subscription(**PENDING), both, [other, known])
    assert refused.action == "refuse"
    assert refused.collateral == ("other.v2.0.0",)
    assert decide(subscription(**PENDING), both, [known]).collateral == ("other.v2.0.0",)  # its status lags behind
    allowed = decide(subscription(**PENDING), both, [other, known], allow_collateral=("other.v2.0.0",))
    assert allowed.action == "approve"
    assert allowed.dependencies == ("needed.v1.0.0", "helper.v2.0.0")


def test_an_old_plan_that_was_left_over_is_not_on_the_way() -> None:
    entries = (("thing.v1.3.0", "1.3.0"), *ENTRIES)
    target = Target("stable", "thing.v1.3.0", "1.3.0", entries, "thing.v1.3.0", None, (), None, ())
    assert olm_approval.on_the_way(target, "thing.v1.2.0", "thing.v1.1.0")
    assert not olm_approval.on_the_way(target, "thing.v1.0.0", "thing.v1.1.0")
    assert not olm_approval.on_the_way(target, "thing.v1.1.0", "thing.v1.1.0")


def test_a_plan_that_is_tried_again_tells_why_although_its_csv_is_there() -> None:
    text = (
        'retrying execution due to error: risk of data loss updating "things.thing.com": new CRD removes version v1 '
        "that is listed as a stored version on the existing CRD"
    )
    seen = view(
        subscription(currentCSV="thing.v1.1.0", installedCSV="thing.v1.1.0"),
        plan=plan(phase="Installing", approved=True, message=text),
        csvs=[csv(phase="Pending", reason="RequirementsNotMet"), csv("thing.v1.0.0", "Replacing")],
    )
    verdict = olm_judge.judge(WANTED, TARGET, seen)
    assert (verdict.state, verdict.reason) == ("pending", "InstallPlanRetrying")
    assert "status.storedVersions" in verdict.message


@pytest.mark.parametrize("reason", ["TooManyOperatorGroups", "UnsupportedOperatorGroup", "InvalidInstallStrategy"])
def test_terminal_reasons_of_a_csv_stop_soon_with_a_remedy(reason: str) -> None:
    groups = [{"metadata": {"name": "og"}}] * (2 if reason == "TooManyOperatorGroups" else 1)
    verdict = olm_judge.judge(WANTED, TARGET, view(csvs=[csv(phase="Failed", reason=reason)], groups=groups))
    assert (verdict.state, verdict.reason) == ("failed", reason)
    assert verdict.grace <= 5
    assert verdict.remedy


def test_a_deleted_csv_is_told_and_not_the_later_version_that_waits() -> None:
    sub = subscription(state="UpgradePending", currentCSV="thing.v1.2.0", installedCSV="thing.v1.1.0")
    verdict = olm_judge.judge(
        WANTED, TARGET, view(sub), olm_approval.Approval("refuse", "WrongVersion", "would install")
    )
    assert (verdict.state, verdict.reason) == ("failed", "DeadSubscription")
    assert "thing.v1.1.0 was deleted" in verdict.message
    assert "recreate_dead_subscription" in verdict.remedy


REFUSED_TO_IT = (
    "constraints not satisfiable: @existing/home//thing.v1.1.0 and redhat-operators/openshift-marketplace/stable/"
    "thing.v1.1.0 originate from package thing, clusterserviceversion thing.v1.1.0 exists and is not referenced by a "
    "subscription, subscription thing exists"
)
MISSES_ITS_PLAN = {"type": "InstallPlanMissing", "status": "True"}
LATE = {"state": "UpgradePending", "currentCSV": "thing.v1.1.0", "installPlanRef": {"name": "install-a"}}


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        # A new Subscription that OLM, from its cache, has referred to a plan which went with the old Subscription.
        (view(subscription(MISSES_ITS_PLAN, **LATE), csvs=[]), True),
        (view(subscription(**LATE), csvs=[]), False),  # OLM may be about to make another
        (view(subscription(**LATE), plan=plan(phase="Complete"), csvs=[]), True),
        (view(subscription(**LATE), plan=plan(phase="Installing"), csvs=[]), False),
        (view(subscription(**LATE), plan=plan(phase="Complete"), csvs=[csv(phase="Installing")]), False),
        (
            view(subscription(MISSES_ITS_PLAN, **LATE), csvs=[csv(phase="Pending", reason="RequirementsNotMet")]),
            True,
        ),
        # OLM has created the CSV for the Subscription that was deleted, and refuses it to the new one.
        (view(subscription(failed(REFUSED_TO_IT)), csvs=[csv()]), True),
        (view(subscription(failed(REFUSED_TO_IT)), csvs=[]), False),
        (view(subscription(failed(REFUSED_TO_IT), currentCSV="thing.v1.1.0"), csvs=[csv()]), False),
        (view(subscription(failed(REFUSED_TO_IT.replace("thing.v1.1.0", "other.v1"))), csvs=[csv()]), False),
        (view(subscription(), csvs=[]), False),
        (view(None, csvs=[]), False),
    ],
)
def test_a_new_subscription_that_is_as_dead_as_the_old_one_was(seen: olm_view.View, expected: bool) -> None:
    assert olm_judge.dead_for_sure(seen, "thing.v1.1.0") is expected


def test_a_csv_that_olm_refuses_to_the_subscription_is_not_waited_for_as_if_it_settled() -> None:
    verdict = olm_judge.judge(WANTED, TARGET, view(subscription(failed(REFUSED_TO_IT)), csvs=[csv()]))
    assert (verdict.state, verdict.reason) == ("failed", "OrphanCSV")
    assert "thing.v1.1.0 is there and belongs to no Subscription" in verdict.message


def test_a_dead_subscription_is_created_again_before_its_grace_is_over_and_not_for_ever() -> None:
    recreation = Recreation()
    assert not recreation.due(True, 100.0)
    assert not recreation.due(False, 105.0)  # OLM goes on after all
    assert not recreation.due(True, 106.0)
    assert not recreation.due(True, 115.0)
    assert recreation.due(True, 116.0)
    assert terminal("subscription/DeadSubscription").grace > 10.0
    assert not recreation.due(True, 117.0)
    assert recreation.due(True, 127.0)
    assert not any(recreation.due(True, float(now)) for now in range(128, 200))


@pytest.mark.parametrize("reason", ["TooManyOperatorGroups", "NoOperatorGroup"])
def test_a_number_of_groups_that_is_right_again_is_waited_for(reason: str) -> None:
    verdict = olm_judge.judge(WANTED, TARGET, view(csvs=[csv(phase="Failed", reason=reason)]))
    assert (verdict.state, verdict.reason) == ("pending", "OperatorGroupMended")
    assert reason in verdict.message


def test_a_csv_that_failed_before_our_change_gets_time_to_heal() -> None:
    found = csv(phase="Failed", reason="UnsupportedOperatorGroup", message="OwnNamespace not supported")
    old = olm_judge.judge(WANTED, TARGET, view(csvs=[found], stale=frozenset(["OwnNamespace not supported"])))
    assert (old.state, old.grace) == ("failed", 60)


def operator_pod(reason: str, name: str = "manager-1") -> Object:
    waiting = {"name": "manager", "image": "registry.example/x", "state": {"waiting": {"reason": reason}}}
    labels = {"app": "manager", "pod-template-hash": "1"}
    status = {"phase": "Pending", "containerStatuses": [waiting]}
    return {"metadata": {"name": name, "namespace": "home", "labels": labels}, "status": status}


def test_the_pods_of_an_operator_stop_the_wait_but_not_its_progress_deadline() -> None:
    sick = deployment(ready=0)
    sick["spec"]["selector"] = {"matchLabels": {"app": "manager"}}
    found = csv(phase="Installing", reason="InstallWaiting", message="waiting for deployment manager")
    seen = view(csvs=[found], deployments={"manager": sick}, pods=[operator_pod("ImagePullBackOff")])
    verdict = olm_judge.judge(WANTED, TARGET, seen)
    assert (verdict.state, verdict.reason) == ("failed", "ImagePullBackOff")
    assert "Deployment manager" in verdict.message
    progressing = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}
    sick["status"]["conditions"] = [progressing]
    assert olm_judge.judge(WANTED, TARGET, view(csvs=[found], deployments={"manager": sick})).state == "pending"


@pytest.mark.parametrize("reason", ["InstallCheckFailed", "ComponentUnhealthy", "NeedsReinstall"])
def test_failures_that_olm_retries_are_not_final(reason: str) -> None:
    assert olm_judge.judge(WANTED, TARGET, view(csvs=[csv(phase="Failed", reason=reason)])).state == "pending"


def test_unmet_requirements_name_the_missing_rule_and_have_a_long_grace() -> None:
    requirement = {
        "kind": "ServiceAccount",
        "name": "manager",
        "status": "PresentNotSatisfied",
        "dependents": [{"status": "NotSatisfied", "message": "cluster rule: get configmaps"}],
    }
    found = csv(phase="Pending", reason="RequirementsNotMet", requirementStatus=[requirement])
    verdict = olm_judge.judge(WANTED, TARGET, view(csvs=[found]))
    assert "cluster rule: get configmaps" in verdict.message
    assert verdict.grace >= 60


def test_an_operator_that_says_not_now_has_not_failed() -> None:
    found = csv(phase="Pending", reason="OperatorConditionNotUpgradeable", message="busy")
    verdict = olm_judge.judge(WANTED, TARGET, view(csvs=[found]))
    assert verdict.state == "pending"
    assert "busy" in verdict.message


def test_a_failed_plan_is_final_and_its_crd_is_named() -> None:
    message = (
        'risk of data loss updating "things.example.com": new CRD removes version v1alpha1 that is listed as a '
        "stored version on the existing CRD"
    )
    verdict = olm_judge.judge(WANTED, TARGET, view(plan=plan(phase="Failed", message=message)))
    assert verdict.reason == "InstallPlanFailed"
    assert "things.example.com" in verdict.message
    assert "v1alpha1" in verdict.message


def test_a_complete_plan_without_csv_is_a_dead_end() -> None:
    sub = subscription(state="UpgradePending", currentCSV="thing.v1.1.0")
    assert olm_judge.judge(WANTED, TARGET, view(sub, plan=plan(phase="Complete"))).reason == "DeadSubscription"


@pytest.mark.parametrize("names", [[], ["one", "two"]])
def test_silence_leads_to_the_operator_groups(names: list[str]) -> None:
    verdict = olm_judge.judge(WANTED, TARGET, view(groups=[{"metadata": {"name": name}} for name in names]))
    assert verdict.reason == "OperatorGroups"
    assert all(name in verdict.message for name in names)


def test_silence_leads_to_a_catalog_that_does_not_answer() -> None:
    verdict = olm_judge.judge(WANTED, TARGET, view(catalog="TRANSIENT_FAILURE"))
    assert (verdict.state, verdict.reason) == ("pending", "CatalogNotReady")
    assert "TRANSIENT_FAILURE" in verdict.message


ORPHAN = (
    "constraints not satisfiable: @existing/home//thing.v1.0.0 and cat/ns/stable/thing.v1.0.0 originate from package "
    "thing, clusterserviceversion thing.v1.0.0 exists and is not referenced by a subscription"
)


@pytest.mark.parametrize(
    ("message", "kind", "name"),
    [
        (ORPHAN, "orphan_csv", "thing.v1.0.0"),
        ("error using catalogsource ns/sick: failed to list bundles: rpc error", "catalog_unhealthy", "ns/sick"),
        ("no operators found in channel nosuch of package P in the catalog", "no_such_channel", "nosuch"),
        ("no operators found in package P in the catalog referenced by", "no_such_package", "P"),
        ("no operators found with name X in channel C of package P", "no_such_version", "X"),
        ("no operators found from catalog gone in namespace ns referenced", "no_such_catalog", "gone"),
        ("A, B provide Gadget (example.com/v1), subscription A exists", "api_conflict", "Gadget (example.com/v1)"),
        ("something else", "other", ""),
    ],
)
def test_classes_of_resolution_failures(message: str, kind: str, name: str) -> None:
    assert olm_resolution.resolution_class(message) == (kind, name)


def test_the_old_half_of_a_running_upgrade_is_no_orphan() -> None:
    old, new = csv("thing.v1.0.0", "Replacing"), csv("thing.v1.1.0", "Installing", replaces="thing.v1.0.0")
    assert not olm_csv.is_orphan("thing.v1.0.0", [old, new], [subscription()])
    assert not olm_csv.is_orphan("thing.v1.0.0", [csv("thing.v1.0.0"), new], [subscription()])
    assert not olm_csv.is_orphan("thing.v1.0.0", [csv("thing.v1.0.0")], [subscription(installedCSV="thing.v1.0.0")])
    assert olm_csv.is_orphan("thing.v1.0.0", [csv("thing.v1.0.0")], [subscription()])


def test_resolution_failures_wait_out_a_running_upgrade_and_stale_texts() -> None:
    sub = subscription(failed(ORPHAN))
    lonely = olm_judge.judge(WANTED, TARGET, view(sub, csvs=[csv("thing.v1.0.0")], subscriptions=[sub]))
    assert (lonely.state, lonely.reason) == ("failed", "OrphanCSV")
    assert lonely.grace >= 60
    moving = olm_judge.judge(WANTED, TARGET, view(sub, csvs=[csv("thing.v1.0.0", "Replacing")], subscriptions=[sub]))
    assert moving.state == "pending"
    stale = view(sub, csvs=[csv("thing.v1.0.0")], subscriptions=[sub], stale=frozenset([ORPHAN]))
    assert olm_judge.judge(WANTED, TARGET, stale).grace > lonely.grace


def test_a_missing_channel_is_final_only_while_the_catalog_is_ready() -> None:
    sub = subscription(failed("no operators found in channel nosuch of package thing in the catalog"))
    assert olm_judge.judge(WANTED, TARGET, view(sub)).grace <= 10
    assert olm_judge.judge(WANTED, TARGET, view(sub, catalog="CONNECTING")).grace >= 120


def test_unpacking_is_told_and_its_failure_is_final_but_for_noise() -> None:
    unpacking = subscription(failed("pulling", "BundleUnpacking", "UnpackingInProgress"))
    assert olm_judge.judge(WANTED, TARGET, view(unpacking)).reason == "BundleUnpacking"
    broken = subscription(failed("BackoffLimitExceeded", "BundleUnpackFailed", "BundleUnpackFailed"))
    assert olm_judge.judge(WANTED, TARGET, view(broken)).state == "failed"
    noise = subscription(failed("has been modified", "BundleUnpackFailed", "EnsureInstallPlanFailed"))
    assert olm_judge.judge(WANTED, TARGET, view(noise)).state == "pending"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("05-cat", "NoSuchCatalog"),
        ("05-chan", "NoSuchChannel"),
        ("05-pkg", "NoSuchPackage"),
        ("05-start", "NoSuchVersion"),
        ("06-two", "OperatorGroups"),
        ("06-no", "OperatorGroups"),
        ("06-mode", "UnsupportedOperatorGroup"),
        ("12-kube", "MinKubeVersion"),
        ("08-allns-second-owner", "InterOperatorGroupOwnerConflict"),
        ("12-mon", "InstallPlanFailed"),
        ("12-req", "MissingDependency"),
        ("07-orphan-x-same-start", "OrphanCSV"),
        ("09-unpack-fail", "BundleUnpackFailed"),
        ("01-fresh-automatic", "Settling"),
    ],
)
def test_recorded_situations(name: str, reason: str) -> None:
    """What the real OLM left behind; its CSVs were recorded without their install strategy."""
    objects = load(f"olm/{name}")

    def of(kind: str) -> list[Object]:
        return [copy.deepcopy(item) for item in objects if item["kind"] == kind]

    sub = of("Subscription")[0]
    status, home = sub.get("status") or {}, sub["metadata"]["namespace"]
    csvs = [item for item in of("ClusterServiceVersion") if item["metadata"].get("namespace") == home]
    for item in csvs:
        item.setdefault("spec", {})["install"] = {"spec": {"deployments": [{"name": "manager"}]}}
    plans = {item["metadata"]["name"]: item for item in of("InstallPlan")}
    current = status.get("currentCSV") or "none.v1.0.0"
    target = Target("stable", current, "1.0.0", ((current, "1.0.0"),), current, None, (), None, ())
    source = sub["spec"]["source"], sub["spec"]["sourceNamespace"]
    catalog = {
        "metadata": {"name": source[0], "namespace": source[1]},
        "status": {"connectionState": {"lastObservedState": "READY"}},
    }
    seen = olm_view.View(
        sub,
        plans.get((status.get("installPlanRef") or {}).get("name")),
        csvs,
        {},
        [item for item in of("OperatorGroup") if item["metadata"].get("namespace") == home],
        [catalog],
        of("Subscription"),
    )
    wanted = Wanted(sub["spec"]["name"], home, catalog=source[0], catalog_namespace=source[1])
    verdict = olm_judge.judge(wanted, target, seen)
    expected = "DeploymentNotReady" if reason == "Settling" else reason
    assert verdict.reason == expected, verdict


def test_a_catalog_that_is_back_or_deleted_gets_longer() -> None:
    def grace(name: str, state: str) -> float:
        text = f"error using catalogsource openshift-marketplace/{name}: failed to list bundles: connection refused"
        return olm_judge.judge(WANTED, TARGET, view(subscription(failed(text)), catalog=state)).grace

    def backs_off(name: str, state: str) -> bool:
        text = f"error using catalogsource openshift-marketplace/{name}: failed to list bundles: connection refused"
        return olm_resolution.backs_off(view(subscription(failed(text)), catalog=state))

    assert not backs_off("redhat-operators", "TRANSIENT_FAILURE")
    assert backs_off("redhat-operators", "READY")
    assert backs_off("deleted", "READY")
    assert not olm_resolution.backs_off(view(subscription()))
    assert grace("redhat-operators", "TRANSIENT_FAILURE") == 120
    assert grace("redhat-operators", "READY") == 300
    assert grace("deleted", "READY") == 300
