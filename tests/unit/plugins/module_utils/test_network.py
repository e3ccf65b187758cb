from __future__ import annotations

from ansible_collections.rhdh.orchestrator.plugins.module_utils import _network as network

PLATFORM = {"metadata": {"name": "p", "namespace": "ns", "uid": "u-1"}, "spec": {}}


def allowed(body):
    return body["spec"]["ingress"][0]["from"]


def test_each_policy_belongs_to_the_platform_and_to_its_namespace():
    found = network.policies(PLATFORM)
    assert [body["metadata"]["name"] for body in found] == [
        "p-allow-infrastructure",
        "p-allow-ingress",
        "p-allow-namespace",
        "p-allow-monitoring",
    ]
    for body in found:
        assert body["metadata"]["namespace"] == "ns"
        assert body["metadata"]["ownerReferences"][0]["uid"] == "u-1"
        assert body["spec"]["podSelector"] == {}
        assert body["spec"]["policyTypes"] == ["Ingress"]
        assert allowed(body), "a rule without sources would let everybody in"


def test_workflows_of_other_namespaces_are_let_in_once():
    names = [
        peer["namespaceSelector"]["matchLabels"][network.NAME_LABEL]
        for peer in allowed(network.policies(PLATFORM, ["flows", "ns", "flows"])[0])
    ]
    assert names == [*network.INFRASTRUCTURE, "flows"]


class Session:
    def __init__(self):
        self.ensured = []

    def ensure(self, kind, body):
        self.ensured.append((kind.plural, body["metadata"]["name"]))
        return len(self.ensured)


def test_all_of_them_are_brought_about():
    session = Session()
    assert network.ensure(session, PLATFORM) == [1, 2, 3, 4]
    assert {plural for plural, _name in session.ensured} == {"networkpolicies"}
