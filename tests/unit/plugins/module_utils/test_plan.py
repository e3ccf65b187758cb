from __future__ import annotations

import copy

import pytest
from ansible_collections.rhdh.orchestrator.plugins.module_utils import _plan
from ansible_collections.rhdh.orchestrator.plugins.module_utils._releases import release

ROW = release("1.10")
PARTS = ROW["operators"]


def manifest(part):
    entries = [{"name": part["csv"], "version": part["version"]}]
    channel = {"name": part["channel"], "currentCSV": part["csv"], "entries": entries}
    return {"metadata": {"name": part["package"]}, "status": {"channels": [channel]}}


def empty_cluster():
    """A cluster that can take an install, with nothing on it yet."""
    annotations = {_plan.DEFAULT_STORAGE_CLASS: "true"}
    return {
        "cluster_version": {"status": {"history": [{"state": "Completed", "version": "4.20.6"}]}},
        "subscription_versions": ["v1alpha1"],
        "catalog": {"status": {"connectionState": {"lastObservedState": "READY"}}},
        "packages": [manifest(part) for part in PARTS.values()],
        "subscriptions": [],
        "namespaces": [{"metadata": {"name": "default"}}],
        "storage_classes": [{"metadata": {"name": "standard", "annotations": annotations}}],
        "serving": [],
        "eventing": [],
        "backstages": [],
        "platforms": [],
        "unreadable": [],
        "missing_rights": [],
    }


def subscription(package, installed=None):
    metadata = {"name": "sub", "namespace": "somewhere"}
    return {"metadata": metadata, "spec": {"name": package}, "status": {"installedCSV": installed}}


def platform(owner=None):
    owners = [{"kind": "Backstage", "name": owner}] if owner else []
    return {"metadata": {"name": "sonataflow-platform", "ownerReferences": owners}}


def judged(facts, allow_unvalidated=False):
    return _plan.judge(facts, ROW, "rhdh", "developer-hub", "redhat-operators", allow_unvalidated=allow_unvalidated)


def test_an_empty_cluster_can_take_an_install():
    plan = judged(empty_cluster())
    assert plan["blocks"] == []
    assert plan["adopted"] == []
    assert plan["openshift"] == "4.20.6"
    assert len(plan["created"]) == 6
    assert plan["versions"]["logic-operator"] == "1.38.1"


def test_a_complete_cluster_is_adopted():
    facts = empty_cluster()
    facts["subscriptions"] = [subscription(part["package"], part["csv"]) for part in PARTS.values()]
    facts["serving"] = [{"metadata": {"namespace": "knative-serving", "name": "knative-serving"}}]
    facts["eventing"] = [{"metadata": {"namespace": "knative-eventing", "name": "knative-eventing"}}]
    facts["backstages"] = [{"metadata": {"name": "developer-hub"}}]
    facts["platforms"] = [platform("developer-hub")]
    facts["storage_classes"] = []
    plan = judged(facts)
    assert plan["blocks"] == []
    assert plan["created"] == []
    assert len(plan["adopted"]) == 7


def terminating(facts):
    facts["namespaces"].append({"metadata": {"name": "rhdh", "deletionTimestamp": "now"}})


BLOCKS = [
    (lambda f: f.update(subscription_versions=[]), "Operator Lifecycle Manager is not here"),
    (lambda f: f.update(cluster_version=None), "does not look like OpenShift"),
    (lambda f: f["cluster_version"]["status"]["history"][0].update(version="4.30.1"), "4.30.1"),
    (lambda f: f.update(catalog=None), "CatalogSource redhat-operators does not exist"),
    (lambda f: f["catalog"]["status"]["connectionState"].update(lastObservedState="CONNECTING"), "is CONNECTING"),
    (lambda f: f["packages"].pop(0), "has no package serverless-operator"),
    (lambda f: f["packages"][0]["status"]["channels"][0].update(name="beta"), "there are: beta"),
    (
        lambda f: f["packages"][0]["status"]["channels"][0].update(entries=[{"name": "x", "version": "9.9.9"}]),
        "there are: 9.9.9",
    ),
    (
        lambda f: f["subscriptions"].append(subscription("rhdh", "rhdh-operator.v1.9.2")),
        "rhdh-operator.v1.9.2 installed",
    ),
    (lambda f: f["subscriptions"].append(subscription("logic-operator-rhel8")), "serves the same APIs"),
    (terminating, "Namespace rhdh is being deleted"),
    (lambda f: f.update(storage_classes=[]), "No default StorageClass"),
    (lambda f: f["platforms"].append(platform()), "belongs to no Backstage"),
    (lambda f: f["platforms"].append(platform("other")), "belongs to Backstage other"),
    (
        lambda f: f.update(missing_rights=["create namespaces"], unreadable=["list packagemanifests"]),
        "create namespaces; list",
    ),
]


@pytest.mark.parametrize(("spoils", "block"), BLOCKS)
def test_each_obstacle_is_one_block(spoils, block):
    facts = copy.deepcopy(empty_cluster())
    spoils(facts)
    blocks = judged(facts)["blocks"]
    assert len(blocks) == 1
    assert block in blocks[0]


def test_all_obstacles_are_named_at_once():
    facts = empty_cluster()
    for spoils, _block in BLOCKS[10:]:
        spoils(facts)
    assert len(judged(facts)["blocks"]) == 5


@pytest.mark.parametrize("number", [1, 2, 8])
def test_unvalidated_combinations_pass_with_a_warning_when_allowed(number):
    facts = empty_cluster()
    BLOCKS[number][0](facts)
    plan = judged(facts, allow_unvalidated=True)
    assert plan["blocks"] == []
    assert BLOCKS[number][1] in plan["warnings"][0]


def test_rights_name_every_namespace_of_the_release():
    namespaces = {namespace for _verb, _kind, namespace in _plan.rights(ROW, "rhdh")}
    assert {"rhdh", "openshift-serverless", "openshift-serverless-logic", "rhdh-operator"} <= namespaces
