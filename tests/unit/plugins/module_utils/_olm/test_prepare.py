"""What is decided before the first write, on a cluster of plain objects."""

from __future__ import annotations

import copy
import dataclasses
import json
import typing as t
from types import SimpleNamespace

import pytest
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube import kinds as k
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.errors import ApiError
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm import remove as olm_remove
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm import removed as olm_removed
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm.operator import Operator, Options
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm.prepare import Preparation
from ansible_collections.rhdh.orchestrator.plugins.module_utils._olm.resolve import Wanted
from ansible_collections.rhdh.orchestrator.plugins.module_utils._run.flow import Call

Object = dict[str, t.Any]
CATALOG = {
    "metadata": {"name": "redhat-operators", "namespace": "openshift-marketplace"},
    "status": {"connectionState": {"lastObservedState": "READY"}},
}


class Cluster:
    """A session that reads plain objects; may do everything but what is `forbidden`."""

    check_mode, field_manager = False, "rhdh.orchestrator"

    def __init__(self, *objects: tuple[k.Kind, Object], forbidden: t.Collection[k.Kind] = ()) -> None:
        self.objects = [*objects, (k.CATALOG_SOURCE, copy.deepcopy(CATALOG))]
        self.forbidden = forbidden

    def list(self, kind: k.Kind, namespace: str | None = None, **selectors: str) -> list[Object]:
        if kind in self.forbidden:
            raise ApiError("GET", kind.path(namespace), 403, {"message": "forbidden"})
        found = [obj for other, obj in self.objects if other == kind]
        return [obj for obj in found if namespace in (None, obj["metadata"].get("namespace"), "openshift-marketplace")]

    def get(self, kind: k.Kind, name: str, namespace: str | None = None) -> Object | None:
        return next((obj for obj in self.list(kind, namespace) if obj["metadata"]["name"] == name), None)

    def get_path(self, path: str) -> Object:
        return {"gitVersion": "v1.33.0"}

    def missing_rights(self, rights: t.Iterable[t.Any]) -> list[str]:
        return [verb for verb, kind, _place in rights if kind in self.forbidden or (self.forbidden and verb == "*")]


def manifest(package: str, *modes: str, minimum: str | None = None, crd: str = "") -> tuple[k.Kind, Object]:
    entries = [{"name": f"{package}.v{version}", "version": version} for version in ("1.1.0", "1.0.0")]
    described = {
        "version": "1.1.0",
        "minKubeVersion": minimum,
        "installModes": [{"type": mode, "supported": True} for mode in modes],
        "customresourcedefinitions": {"owned": [{"name": crd}] if crd else []},
    }
    channel = {"name": "stable", "currentCSV": f"{package}.v1.1.0", "currentCSVDesc": described, "entries": entries}
    status = {
        "catalogSource": "redhat-operators",
        "catalogSourceNamespace": "openshift-marketplace",
        "defaultChannel": "stable",
        "channels": [channel, {**channel, "name": "other"}],
    }
    return k.PACKAGE_MANIFEST, {"metadata": {"name": package}, "status": status}


def subscription(package: str = "thing", **status: t.Any) -> tuple[k.Kind, Object]:
    spec = {
        "name": package,
        "source": "redhat-operators",
        "sourceNamespace": "openshift-marketplace",
        "channel": "stable",
        "installPlanApproval": "Manual",
        "startingCSV": f"{package}.v1.0.0",
    }
    fields = {f"f:{key}": {} for key in spec}
    applied = {
        "manager": "rhdh.orchestrator",
        "operation": "Apply",
        "fieldsV1": {"f:spec": fields, "f:metadata": {"f:labels": {"f:rhdh.orchestrator/created": {}}}},
    }
    labels = {"rhdh.orchestrator/created": "true"}
    metadata = {"name": package, "namespace": "home", "labels": labels, "managedFields": [applied]}
    return k.SUBSCRIPTION, {"metadata": metadata, "spec": spec, "status": status}


def plan(phase: str = "RequiresApproval", *, approved: bool = False) -> tuple[k.Kind, Object]:
    spec = {"clusterServiceVersionNames": ["thing.v1.0.0"], "approved": approved}
    return k.INSTALL_PLAN, {"metadata": {"name": "plan", "namespace": "home"}, "spec": spec, "status": {"phase": phase}}


def csv(
    name: str = "thing.v1.0.0", phase: str = "Succeeded", home: str = "home", **spec: t.Any
) -> tuple[k.Kind, Object]:
    spec = {"version": name.partition(".v")[2], **spec}
    metadata = {"name": name, "namespace": home, "uid": f"uid-of-{name}"}
    return k.CSV, {"metadata": metadata, "spec": spec, "status": {"phase": phase}}


def prepare(cluster: Cluster, *wanted: Wanted, **options: t.Any) -> tuple[list[Operator], list[str], Preparation]:
    operators = [Operator(item) for item in wanted]
    preparation = Preparation(t.cast(t.Any, cluster), operators, Options(**options))
    _waiting, problems = preparation.decide()
    return operators, problems, preparation


THING = Wanted("thing", "home", version="1.0.0")
NAMESPACE = (k.NAMESPACE, {"metadata": {"name": "home"}})
PENDING = {
    "state": "UpgradePending",
    "currentCSV": "thing.v1.0.0",
    "installPlanRef": {"name": "plan"},
    "conditions": [{"type": "InstallPlanPending", "status": "True", "reason": "RequiresApproval"}],
}


def test_one_new_group_fits_all_operators_of_a_namespace() -> None:
    narrow = manifest("narrow", "OwnNamespace")
    cluster = Cluster(manifest("wide", "OwnNamespace", "AllNamespaces"), narrow, manifest("all", "AllNamespaces"))
    operators, problems, _preparation = prepare(cluster, Wanted("wide", "home"), Wanted("narrow", "home"))
    assert problems == []
    planned = [item["body"] for operator in operators for item in operator.changes if item["kind"] == k.OPERATOR_GROUP]
    assert [body["spec"] for body in planned] == [{"targetNamespaces": ["home"]}]
    _operators, problems, _preparation = prepare(cluster, Wanted("narrow", "home"), Wanted("all", "home"))
    assert len(problems) == 1
    assert "operators[all]: OperatorGroup home/home asks for install mode OwnNamespace" in problems[0]


def test_a_change_replaces_a_pending_plan_and_a_repetition_does_not() -> None:
    cluster = Cluster(NAMESPACE, manifest("thing", "OwnNamespace"), subscription(**PENDING), plan())
    (operator,), problems, preparation = prepare(cluster, THING)
    assert (problems, operator.write, operator.pending_plan) == ([], None, None)
    assert preparation.would_approve(operator)
    (operator,), problems, preparation = prepare(cluster, Wanted("thing", "home", version="1.1.0"))
    assert (problems, operator.pending_plan, operator.action) == ([], "plan", "updated")
    early = Cluster(NAMESPACE, manifest("thing", "OwnNamespace"), subscription(**{**PENDING, "conditions": []}), plan())
    (operator,), problems, preparation = prepare(early, Wanted("thing", "home", version="1.1.0"))
    assert (problems, operator.pending_plan, operator.redirected) == ([], None, True)  # OLM would never make another
    approved = Cluster(NAMESPACE, manifest("thing", "OwnNamespace"), subscription(**PENDING), plan(approved=True))
    (operator,), problems, preparation = prepare(approved, Wanted("thing", "home", version="1.1.0"))
    assert operator.pending_plan is None


def test_what_is_approved_and_on_its_way_needs_no_approval() -> None:
    going = plan("Installing", approved=True)
    cluster = Cluster(NAMESPACE, manifest("thing", "OwnNamespace"), subscription(**PENDING), going)
    (operator,), _problems, preparation = prepare(cluster, THING)
    assert not preparation.would_approve(operator)
    step = Wanted("thing", "home", version="1.1.0")
    (operator,), _problems, preparation = prepare(cluster, step)
    assert preparation.would_approve(operator)


def test_a_pending_plan_that_olm_would_stop_half_way_is_refused_before_any_write() -> None:
    name = "things.example.com"
    new = {"kind": "CustomResourceDefinition", "metadata": {"name": name}, "spec": {"versions": [{"name": "v1"}]}}
    resource = {"kind": "CustomResourceDefinition", "name": name, "manifest": json.dumps(new)}
    kind, upgrade = plan()
    upgrade["spec"]["clusterServiceVersionNames"] = ["thing.v1.1.0"]
    upgrade["status"]["plan"] = [{"resolving": "thing.v1.1.0", "resource": resource}]
    live = {"metadata": {"name": name, "namespace": None}, "status": {"storedVersions": ["v1beta1"]}}
    status = {**PENDING, "currentCSV": "thing.v1.1.0", "installedCSV": "thing.v1.0.0"}
    cluster = Cluster(
        NAMESPACE, manifest("thing", "OwnNamespace"), subscription(**status), csv(), (kind, upgrade), (k.CRD, live)
    )
    wanted = Wanted("thing", "home", version="1.1.0")
    assert "operators[thing]: plan plan removes" in prepare(cluster, wanted)[1][0]
    assert prepare(cluster, wanted, wait=False)[1] == []  # nothing will be approved
    assert prepare(cluster, THING)[1] == []
    live["status"] = {"storedVersions": ["v1"]}
    assert prepare(cluster, wanted)[1] == []


def test_dead_ends_are_left_only_when_asked_for() -> None:
    dead = {**PENDING, "installedCSV": "thing.v1.0.0"}
    cluster = Cluster(
        NAMESPACE, manifest("thing", "OwnNamespace"), subscription(**dead), plan("Complete", approved=True)
    )
    assert prepare(cluster, THING)[0][0].repair is None
    assert prepare(cluster, THING, recreate_dead_subscription=True)[0][0].repair == "recreate"
    failed = Cluster(
        NAMESPACE, manifest("thing", "OwnNamespace"), subscription(**PENDING), plan("Failed", approved=True)
    )
    assert prepare(failed, THING)[0][0].repair is None
    assert prepare(failed, THING, reset_failed_plan=True)[0][0].repair == "reset"


def test_a_deleted_csv_beside_a_later_plan_is_begun_anew() -> None:
    status = {"state": "UpgradePending", "currentCSV": "thing.v1.1.0", "installedCSV": "thing.v1.0.0"}
    cluster = Cluster(NAMESPACE, manifest("thing", "OwnNamespace"), subscription(**status))
    wanted = Wanted("thing", "home", version="1.0.0")
    assert prepare(cluster, wanted)[0][0].repair is None
    assert prepare(cluster, wanted, recreate_dead_subscription=True)[0][0].repair == "recreate"
    there = Cluster(NAMESPACE, manifest("thing", "OwnNamespace"), subscription(**status), csv(phase="Failed"))
    assert prepare(there, wanted, recreate_dead_subscription=True)[0][0].repair is None


def test_both_halves_go_where_the_failed_plan_was_deleted() -> None:
    lost = {"type": "InstallPlanMissing", "status": "True"}
    status = {"currentCSV": "thing.v1.1.0", "installedCSV": "thing.v1.1.0", "conditions": [lost]}
    csvs = (
        csv("thing.v1.1.0", "Pending", replaces="thing.v1.0.0"),
        csv(phase="Replacing"),
        csv("other.v1.0.0"),
    )
    cluster = Cluster(NAMESPACE, manifest("thing", "OwnNamespace"), subscription(**status), *csvs)
    wanted = Wanted("thing", "home", version="1.1.0")
    (operator,), problems, _preparation = prepare(cluster, wanted, recreate_dead_subscription=True)
    assert (problems, operator.repair, operator.csvs_to_delete) == ([], "recreate", ["thing.v1.1.0", "thing.v1.0.0"])
    assert operator.uids == {"thing.v1.1.0": "uid-of-thing.v1.1.0", "thing.v1.0.0": "uid-of-thing.v1.0.0"}
    assert prepare(cluster, wanted)[0][0].repair is None


def test_an_api_that_somebody_serves_is_refused_and_unreadable_csvs_are_borne() -> None:
    owner = csv("rival.v1.0.0", home="there", customresourcedefinitions={"owned": [{"name": "prizes.example.com"}]})
    cluster = Cluster(manifest("thing", "OwnNamespace", crd="prizes.example.com"), owner)
    _operators, (problem,), _preparation = prepare(cluster, THING)
    assert "prizes.example.com is provided by rival.v1.0.0 in there already" in problem
    cluster.forbidden = (k.CSV,)
    assert all("rival" not in text for text in prepare(cluster, THING)[1])


def test_two_of_one_call_that_serve_the_same_api_are_refused_once() -> None:
    cluster = Cluster(manifest("a", crd="things.example.com"), manifest("b", crd="things.example.com"), manifest("c"))
    problems = prepare(cluster, Wanted("a", "one"), Wanted("b", "two"), Wanted("c", "three"))[1]
    assert len(problems) == 1
    assert problems[0].startswith("operators[b]: things.example.com is provided by a as well")


def test_a_sick_catalog_is_refused_only_where_something_has_to_be_resolved() -> None:
    fresh = Cluster(manifest("thing", "OwnNamespace"))
    fresh.objects[-1][1]["status"]["connectionState"]["lastObservedState"] = "TRANSIENT_FAILURE"
    assert "not READY but TRANSIENT_FAILURE" in prepare(fresh, THING)[1][0]
    idle = Cluster(manifest("thing", "OwnNamespace"))
    idle.objects[-1][1]["status"]["connectionState"]["lastObservedState"] = "IDLE"
    assert prepare(idle, THING)[1] == []
    pending = Cluster(NAMESPACE, manifest("thing", "OwnNamespace"), subscription(**PENDING), plan())
    pending.objects[-1][1]["status"]["connectionState"]["lastObservedState"] = "TRANSIENT_FAILURE"
    assert prepare(pending, THING)[1] == []


def test_what_is_planned_already_needs_no_catalog() -> None:
    status = {**PENDING, "currentCSV": "thing.v1.0.0"}
    down = Cluster(NAMESPACE, subscription(**status), plan())
    down.objects[-1][1]["status"]["connectionState"]["lastObservedState"] = "TRANSIENT_FAILURE"
    for wanted in (THING, Wanted("thing", "home", csv="thing.v1.0.0"), Wanted("thing", "home", version_range="<2.0.0")):
        (operator,), problems, preparation = prepare(down, wanted)
        assert (problems, operator.write) == ([], None)
        assert operator.target
        assert operator.target.csv == "thing.v1.0.0"
        assert preparation.would_approve(operator)
    other = Wanted("thing", "home", channel="other", version="1.0.0")
    for wanted in (Wanted("thing", "home", version="1.1.0"), Wanted("thing", "home", version_range=">1.0.0"), other):
        assert "not READY" in prepare(down, wanted)[1][0]


def test_a_right_that_is_missing_for_reading_tells_all_that_are() -> None:
    cluster = Cluster(forbidden=(k.SUBSCRIPTION, k.OPERATOR_GROUP))
    _operators, (problem,), preparation = prepare(cluster, THING)
    assert "ClusterRole: list, watch subscriptions.operators.coreos.com" in problem
    assert "Role in namespace home: create, get, patch subscriptions.operators.coreos.com" in problem
    assert {role["kind"] for role in preparation.roles} == {"ClusterRole", "Role"}


WATCHING = (k.OPERATOR_GROUP, {"metadata": {"name": "og", "namespace": "home"}, "status": {"namespaces": ["home"]}})


def watching(text: str | None, *modes: str) -> tuple[k.Kind, Object]:
    kind, obj = csv(installModes=[{"type": mode, "supported": True} for mode in modes])
    if text is not None:
        obj["metadata"]["annotations"] = {"olm.targetNamespaces": text}
    return kind, obj


@pytest.mark.parametrize("managed", [True, False])
@pytest.mark.parametrize(
    ("wanted", "found", "lacking"),
    [
        ({}, watching("home"), ""),
        ({"watches": ("home",)}, watching("home"), ""),
        ({"watches": ("rhdh", "home", "flows")}, watching("home"), "namespaces flows, rhdh"),
        ({"watches": ("rhdh",)}, watching(None), "namespace rhdh"),  # its OperatorGroup tells
        ({"watches": ("rhdh",)}, watching("home,rhdh"), ""),
        ({"watches": ("rhdh",)}, watching(""), ""),
        ({"target_namespaces": ("rhdh",)}, watching("home"), "namespace rhdh"),
        ({"target_namespaces": ()}, watching("home"), "all namespaces"),
        ({"namespace": "other"}, watching("home", "OwnNamespace", "AllNamespaces"), "all namespaces"),
        ({"namespace": "other"}, watching("home", "OwnNamespace"), "namespace other"),
        ({"namespace": "other", "watches": ("home",)}, watching("home", "AllNamespaces"), ""),
        ({"namespace": "other"}, watching("", "OwnNamespace", "AllNamespaces"), ""),
    ],
)
def test_an_operator_that_watches_elsewhere_is_no_operator_for_us(
    wanted: dict[str, t.Any], found: tuple[k.Kind, Object], lacking: str, managed: bool
) -> None:
    live = subscription(installedCSV="thing.v1.0.0", currentCSV="thing.v1.0.0")
    if not managed:
        del live[1]["metadata"]["labels"]
    cluster = Cluster(live, found, WATCHING, NAMESPACE, manifest("thing", "OwnNamespace", "AllNamespaces"))
    problems = prepare(cluster, dataclasses.replace(THING, **wanted))[1]
    assert any(f"it must watch {lacking}" in text for text in problems) is bool(lacking), problems


def test_a_new_operator_is_not_installed_where_it_would_watch_elsewhere() -> None:
    group = (
        k.OPERATOR_GROUP,
        {"metadata": {"name": "og", "namespace": "home"}, "spec": {"targetNamespaces": ["home"]}},
    )
    cluster = Cluster(group, NAMESPACE, manifest("thing", "OwnNamespace", "AllNamespaces"))
    (problem,) = prepare(cluster, dataclasses.replace(THING, watches=("rhdh",)))[1]
    assert "OperatorGroup home/og targets home, and the operator must watch namespace rhdh" in problem
    (problem,) = prepare(
        Cluster(NAMESPACE, manifest("thing", "OwnNamespace", "SingleNamespace")),
        dataclasses.replace(THING, watches=("rhdh",)),
    )[1]
    assert "watches: namespace rhdh is not among the target_namespaces ['home']" in problem


def test_absent_leaves_an_operator_that_is_in_another_namespace() -> None:
    cluster = Cluster(subscription(installedCSV="thing.v1.0.0"), csv(), NAMESPACE)
    module = SimpleNamespace(params={"wait_timeout": 1}, warn=(warned := []).append)
    call = Call(module, t.cast(t.Any, cluster), lambda *_object: None)
    result = olm_remove.Removal(call, [Wanted("thing", "team-a")], wait=False).absent()
    (operator,) = result["operators"]
    assert (result["changed"], operator["action"], operator["namespace"]) == (False, "absent", "team-a")
    assert operator["warnings"] == ["is not in team-a but in home, where it stays: name that namespace to remove it"]
    assert warned == [f"thing: {operator['warnings'][0]}"]


@pytest.mark.parametrize(
    ("kind", "name", "more", "expected"),
    [
        ("Secret", "pull-secret", {}, False),
        ("ConfigMap", "kube-root-ca.crt", {}, True),
        ("Secret", "kube-root-ca.crt", {}, False),
        ("Secret", "builder-token", {"type": "kubernetes.io/service-account-token"}, True),
        ("Secret", "copy", {"labels": {"olm.copiedFrom": "there"}}, True),
        ("ServiceAccount", "default", {}, True),
        ("ServiceAccount", "robot", {}, False),
        ("RoleBinding", "system:deployers", {}, True),
        ("RoleBinding", "admins", {}, False),
        ("ConfigMap", "leader", {"annotations": {"control-plane.alpha.kubernetes.io/leader": "{}"}}, True),
    ],
)
def test_what_comes_by_itself_keeps_no_namespace(kind: str, name: str, more: Object, expected: bool) -> None:
    metadata = {"name": name, "labels": more.get("labels"), "annotations": more.get("annotations")}
    assert olm_removed.automatic({"kind": kind, "metadata": metadata, "type": more.get("type")}) is expected


def test_olm_that_does_not_run_is_seen_where_it_may_be() -> None:
    def part(name: str, available: int) -> tuple[k.Kind, Object]:
        metadata = {"name": name, "namespace": "openshift-operator-lifecycle-manager"}
        return k.DEPLOYMENT, {"metadata": metadata, "status": {"availableReplicas": available}}

    def stopped(cluster: Cluster) -> str:
        return olm_removed.stopped_part(t.cast(t.Any, cluster))

    assert stopped(Cluster()) == ""
    assert stopped(Cluster(forbidden=(k.DEPLOYMENT,))) == ""
    assert stopped(Cluster(part("olm-operator", 1), part("catalog-operator", 1))) == ""
    both = Cluster(part("olm-operator", 1), part("catalog-operator", 0))
    assert stopped(both) == "openshift-operator-lifecycle-manager/catalog-operator"
