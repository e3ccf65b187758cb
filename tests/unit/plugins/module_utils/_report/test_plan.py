from __future__ import annotations

import copy

import pytest
from ansible_collections.rhdh.orchestrator.plugins.module_utils._release.lookup import release
from ansible_collections.rhdh.orchestrator.plugins.module_utils._report import plan as report_plan

ROW = release("1.10")
PARTS = ROW["operators"]


def manifest(part):
    entries = [{"name": part["csv"], "version": part["version"]}]
    channel = {"name": part["channel"], "currentCSV": part["csv"], "entries": entries}
    return {"metadata": {"name": part["package"]}, "status": {"channels": [channel]}}


def empty_cluster():
    """A cluster that can take an install, with nothing on it yet."""
    annotations = {report_plan.DEFAULT_STORAGE_CLASS: "true"}
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
    return report_plan.judge(
        facts, ROW, "rhdh", "developer-hub", "redhat-operators", allow_unvalidated=allow_unvalidated
    )


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
    namespaces = {namespace for _verb, _kind, namespace in report_plan.rights(ROW, "rhdh")}
    assert {"rhdh", "openshift-serverless", "openshift-serverless-logic", "rhdh-operator"} <= namespaces


DATABASE = {"host": "pg.example.com", "name": "orch", "secret": {"name": "db"}}


def judged_with(facts, database=None, problems=(), row=ROW):
    facts = {**facts, "database_problems": list(problems)}
    return report_plan.judge(
        facts, row, "rhdh", "developer-hub", "redhat-operators", allow_unvalidated=False, database=database or DATABASE
    )


def on(url=None, **metadata):
    """A platform on a JDBC URL, or on the Hub's own PostgreSQL."""
    reference = {"name": "backstage-psql-developer-hub", "namespace": "rhdh"}
    reference["databaseName"] = "backstage_plugin_orchestrator"
    postgresql = {"jdbcUrl": url} if url else {"serviceRef": reference}
    services = {"dataIndex": {"persistence": {"postgresql": postgresql}}}
    base = {"name": "sonataflow-platform", "namespace": "rhdh"}
    return {"kind": "SonataFlowPlatform", "metadata": {**base, **metadata}, "spec": {"services": services}}


OURS = "jdbc:postgresql://pg.example.com:5432/orch?currentSchema=x"
OWNED = [{"kind": "Backstage", "name": "developer-hub", "controller": True, "uid": "u"}]


def test_an_external_database_means_a_platform_of_our_own():
    plan = judged_with(empty_cluster())
    assert plan["blocks"] == []
    assert "SonataFlowPlatform rhdh/sonataflow-platform on pg.example.com:5432/orch" in plan["created"]
    facts = {**empty_cluster(), "platforms": [on(OURS)]}
    assert judged_with(facts)["adopted"] == ["SonataFlowPlatform rhdh/sonataflow-platform"]


def test_a_move_to_an_external_database_is_told():
    plan = judged_with({**empty_cluster(), "platforms": [on(ownerReferences=OWNED)]})
    assert plan["blocks"] == []
    (adopted,) = plan["adopted"]
    assert "backstage-psql-developer-hub.rhdh.svc:5432/backstage_plugin_orchestrator to pg.example.com" in adopted


@pytest.mark.parametrize(
    ("platform", "part"),
    [
        (on(ownerReferences=[{"kind": "Backstage", "name": "other"}]), "belongs to Backstage other"),
        (on(name="another"), "stays Duplicated"),
    ],
)
def test_a_platform_of_others_forbids_our_own(platform, part):
    (block,) = judged_with({**empty_cluster(), "platforms": [platform]})["blocks"]
    assert part in block


def test_what_is_wrong_with_a_database_is_named_as_the_variable_of_the_playbooks():
    plan = judged_with(empty_cluster(), problems=["database.port: 0 is not between", "Secret rhdh/db does not exist."])
    assert plan["blocks"] == ["orchestrator_database.port: 0 is not between", "Secret rhdh/db does not exist."]


def test_names_that_the_operator_deletes_are_refused_where_the_hub_has_no_database():
    hub = {"metadata": {"name": "developer-hub"}, "spec": {"database": {"enableLocalDb": False}}}
    taken = {**DATABASE, "secret": {"name": "backstage-psql-secret-developer-hub"}}
    old = release("1.9")
    facts = {**empty_cluster(), "backstages": [hub]}
    blocks = judged_with(facts, taken, row=old)["blocks"]
    assert any("deletes a Secret named backstage-psql-secret-developer-hub" in block for block in blocks)
    for other in (judged_with(facts, taken), judged_with({**facts, "backstages": []}, taken, row=old)):
        assert not any("deletes a Secret" in block for block in other["blocks"])


def test_a_platform_that_was_let_go_of_is_had_back_only_on_the_hubs_database():
    released = {"annotations": {"rhdh.orchestrator/released-by": "developer-hub"}}
    plan = judged({**empty_cluster(), "platforms": [on(**released)]})
    assert plan["blocks"] == []
    (block,) = judged({**empty_cluster(), "platforms": [on(OURS, **released)]})["blocks"]
    assert "orchestrator_database" in block
