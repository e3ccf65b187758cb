from __future__ import annotations

import pytest
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.errors import ApiError
from ansible_collections.rhdh.orchestrator.plugins.module_utils._platform import network

OPERATORS = ["logic"]
PLATFORM = {"metadata": {"name": "p", "namespace": "ns", "uid": "u-1"}, "spec": {}}


def allowed(body):
    return body["spec"]["ingress"][0]["from"]


def test_each_policy_belongs_to_the_platform_and_to_its_namespace():
    found = network.policies(PLATFORM, OPERATORS)
    assert [body["metadata"]["name"] for body in found] == [
        "p-allow-infrastructure",
        "p-allow-ingress",
        "p-allow-namespace",
        "p-allow-monitoring",
    ]
    for body in found:
        assert body["metadata"]["namespace"] == "ns"
        assert body["metadata"]["ownerReferences"][0]["uid"] == "u-1"
        (selected,) = body["spec"]["podSelector"]["matchExpressions"]
        assert selected == {
            "key": "sonataflow.org/service",
            "operator": "In",
            "values": ["p-data-index-service", "p-jobs-service"],
        }
        assert body["spec"]["policyTypes"] == ["Ingress"]
        assert allowed(body), "a rule without sources would let everybody in"


def test_workflows_of_other_namespaces_are_let_in_once():
    names = [
        peer["namespaceSelector"]["matchLabels"][network.NAME_LABEL]
        for peer in allowed(network.policies(PLATFORM, OPERATORS, ["flows", "ns", "flows"])[0])
    ]
    assert names == ["knative-eventing", "knative-serving", "logic", "flows"]


def policy(selector, owner="other", **spec):
    return {"metadata": {"name": "x", "ownerReferences": [{"uid": owner}]}, "spec": {"podSelector": selector, **spec}}


@pytest.mark.parametrize(
    ("existing", "expected"),
    [
        ([], False),
        ([policy({})], True),
        ([policy({}, policyTypes=["Ingress", "Egress"])], True),
        ([policy({}, policyTypes=["Egress"])], False),
        ([policy({}, owner="u-1")], False),
        ([policy({"matchLabels": {"app": "web"}})], False),
        ([policy({"matchExpressions": [{"key": network.WORKFLOW_LABEL, "operator": "Exists"}]})], True),
        ([policy({"matchLabels": {"app": "web"}}), policy({})], True),
        ([policy({"matchExpressions": [{"key": network.WORKFLOW_LABEL, "operator": "DoesNotExist"}]})], False),
        ([policy({"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["web"]}]})], True),
        ([policy({"matchExpressions": [{"key": "app", "operator": "In", "values": ["web"]}]})], False),
        ([policy({"matchLabels": {network.WORKFLOW_LABEL: "greeting"}})], True),
    ],
)
def test_workflows_get_a_policy_only_where_others_shut_them_off(existing, expected):
    assert network.shut_off(PLATFORM, existing) is expected
    found = network.policies(PLATFORM, OPERATORS, workflows=expected)
    assert [body["metadata"]["name"] for body in found[4:]] == ["p-allow-workflows"] * expected
    assert all(body["spec"]["podSelector"] for body in found)


class Session:
    def __init__(self, subscriptions=(), forbidden=False, policies=()):
        self.ensured, self.subscriptions, self.forbidden = [], list(subscriptions), forbidden
        self.policies, self.deleted = list(policies), []

    def list(self, kind, namespace=None):
        if kind.plural == "subscriptions" and self.forbidden:
            raise ApiError("GET", kind.path(), 403, {"kind": "Status"})
        return self.subscriptions if kind.plural == "subscriptions" else self.policies

    def delete(self, kind, name, namespace, *, uid):
        self.deleted.append((kind.plural, name, uid))

    def ensure(self, kind, body):
        self.ensured.append((kind.plural, body["metadata"]["name"]))
        return len(self.ensured)


def subscription(package, namespace, **status):
    return {"metadata": {"name": "s", "namespace": namespace}, "spec": {"name": package}, "status": status}


@pytest.mark.parametrize(
    ("session", "expected"),
    [
        (Session([subscription("logic-operator", "elsewhere", installedCSV="l.v1")]), ["elsewhere"]),
        (Session([subscription("logic-operator", "elsewhere")]), ["openshift-serverless-logic"]),
        (Session([subscription("web", "shop", installedCSV="w.v1")]), ["openshift-serverless-logic"]),
        (Session(forbidden=True), ["openshift-serverless-logic"]),
    ],
)
def test_the_operator_is_let_in_from_where_it_runs(session, expected):
    assert network.operator_namespaces(session) == expected


def test_all_of_them_are_ensured():
    session = Session()
    assert network.ensure(session, PLATFORM) == [1, 2, 3, 4]
    assert {plural for plural, _name in session.ensured} == {"networkpolicies"}


@pytest.mark.parametrize(
    ("labels", "owner", "others", "deleted"),
    [
        ({"rhdh.orchestrator/created": "true"}, "u-1", [], [("networkpolicies", "p-allow-workflows", "w")]),
        ({"rhdh.orchestrator/created": "true"}, "u-1", [policy({})], []),
        ({}, "u-1", [], []),
        ({"rhdh.orchestrator/created": "true"}, "u-2", [], []),
    ],
)
def test_the_policy_of_workflows_goes_when_it_alone_would_shut_them_off(labels, owner, others, deleted):
    selector = {"matchExpressions": [{"key": network.WORKFLOW_LABEL, "operator": "Exists"}]}
    ours = policy(selector, owner=owner)
    ours["metadata"] |= {"name": "p-allow-workflows", "namespace": "ns", "uid": "w", "labels": labels}
    session = Session(policies=[ours, *others])
    changes = network.ensure(session, PLATFORM)
    assert session.deleted == deleted
    assert [change.action for change in changes if change not in range(9)] == ["deleted"] * len(deleted)
