from __future__ import annotations

import copy

import pytest
from ansible_collections.rhdh.orchestrator.plugins.module_utils._database import options as database_options
from ansible_collections.rhdh.orchestrator.plugins.module_utils._report import status as report_status
from ansible_collections.rhdh.orchestrator.plugins.module_utils._report import tree

RELEASE = {"name": "1.10", "backstage_api": "v1alpha5"}
ROLLED_OUT = {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "readyReplicas": 1}


def workload():
    return {"metadata": {"name": "w", "generation": 1}, "spec": {"replicas": 1}, "status": dict(ROLLED_OUT)}


def resource(condition, namespace="rhdh", name="x", **status):
    conditions = [{"type": condition, "status": "True"}]
    return {
        "metadata": {"name": name, "namespace": namespace},
        "spec": {},
        "status": {"conditions": conditions, **status},
    }


def service(name):
    container = {"name": "app", "image": "i"}
    return {**workload(), "metadata": {"name": name, "namespace": "rhdh", "generation": 1}, "spec": {
        "replicas": 1, "template": {"spec": {"containers": [container]}}}}  # fmt: skip


def endpoints(name):
    return {
        "metadata": {"name": f"{name}-1", "labels": {"kubernetes.io/service-name": name}},
        "endpoints": [{"addresses": ["10.0.0.1"], "conditions": {"ready": True}}],
    }


NAMES = ("sonataflow-platform-data-index-service", "sonataflow-platform-jobs-service")


def with_platform(platform, **more):
    """What is read of a platform."""
    platforms = [platform] if platform else []
    return {"platforms": platforms, "platform": platform, "jobs": None, "events": None, **more}


def operator(package, version):
    csv = {
        "metadata": {"name": f"{package}.v{version}"},
        "spec": {"version": version},
        "status": {"phase": "Succeeded"},
    }
    subscription = {
        "metadata": {"name": package, "namespace": f"{package}-ns"},
        "spec": {"name": package},
        "status": {"installedCSV": csv["metadata"]["name"]},
    }
    return {"subscription": subscription, "csv": csv, "deployments": {f"{package}-manager": workload()}}


def platform():
    found = resource("Succeed", name="sonataflow-platform")
    found["spec"]["services"] = {"dataIndex": {}, "jobService": {}}
    return found


def healthy():
    history = [{"state": "Partial", "version": "4.21.0"}, {"state": "Completed", "version": "4.20.6"}]
    return {
        "cluster_version": {"metadata": {"name": "version"}, "status": {"history": history}},
        "operators": {"logic-operator": operator("logic-operator", "1.38.1"), "rhdh": operator("rhdh", "1.10.3")},
        "serving": [resource("Ready", "knative-serving", "knative-serving", version="1.17")],
        "eventing": [resource("Ready", "knative-eventing", "knative-eventing", version="1.17")],
        "backstage": resource("Deployed"),
        "hub": workload(),
        "database": workload(),
        "webhook": {**workload(), "status": {"conditions": [{"type": "Available", "status": "True"}], **ROLLED_OUT}},
        **with_platform(platform()),
        "deployments": [service(name) for name in NAMES],
        "slices": [endpoints(name) for name in NAMES],
        "pods": [],
        "probes": {
            "data_index": (200, '{"status": "UP"}'),
            "job_service": (200, '{"status": "UP"}'),
            "graphql": (200, '{"data": {"ProcessDefinitions": [{"id": "greeting"}]}}'),
        },
    }


def judged(facts):
    return report_status.judge(facts, RELEASE, "rhdh", "developer-hub")


def test_all_well():
    status = judged(healthy())
    assert status["healthy"], status["problems"]
    assert status["openshift"] == "4.20.6"
    assert status["graphql"]["definitions"] == [{"id": "greeting"}]
    assert {operator["csv"]: operator["phase"] for operator in status["operators"]} == {
        "logic-operator.v1.38.1": "Succeeded",
        "rhdh.v1.10.3": "Succeeded",
    }
    lines = tree.render(status["tree"])
    assert lines[0] == "[ok ] orchestrator rhdh/developer-hub"
    assert "   └─ [ok ] Data Index GraphQL (1 process definition)" in lines
    assert not any("BAD" in line for line in lines)


def scaled_to_zero(facts):
    facts["deployments"][1]["spec"]["replicas"] = 0


def stale(facts):
    facts["platform"]["metadata"]["generation"] = 3
    facts["platform"]["status"]["observedGeneration"] = 2


def deleting(facts):
    facts["eventing"][0]["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"


def no_condition(facts):
    facts["serving"][0]["status"] = {}


def condition_false(facts):
    facts["backstage"]["status"]["conditions"] = [
        {"type": "Deployed", "status": "False", "reason": "DeployFailed", "message": "because"}
    ]


def no_endpoint(facts):
    facts["slices"].pop()


def other_deployment(facts):
    facts["webhook"] = None


BREAKAGES = [
    (no_endpoint, "Deployment sonataflow-platform-jobs-service: not ready (Service sonataflow-platform-jobs-service"),
    (other_deployment, "knative > Deployment eventing-webhook: absent"),
    (scaled_to_zero, "platform > Deployment sonataflow-platform-jobs-service: not ready (is scaled to 0"),
    (stale, "SonataFlowPlatform rhdh/sonataflow-platform: not ready (generation 2 of 3 worked in"),
    (deleting, "KnativeEventing: not ready (is being deleted; it can be created again when it is gone)"),
    (no_condition, "KnativeServing: not ready (the operator has not reported yet)"),
    (condition_false, "Backstage rhdh/developer-hub: not ready (the operator cannot apply it: because)"),
    (lambda f: f.update(serving=[]), "KnativeServing: absent"),
    (
        lambda f: f["eventing"].append(resource("Ready", "other", "ke")),
        "KnativeEventing: not ready (A KnativeEventing ke exists in namespace other; the product allows one",
    ),
    (lambda f: f.update(with_platform(None)), "SonataFlowPlatform rhdh/sonataflow-platform: absent"),
    (lambda f: f.update(database=None), "StatefulSet backstage-psql-developer-hub: absent"),
    (lambda f: f["operators"]["rhdh"].update(csv=None), "rhdh: not ready (ClusterServiceVersion rhdh.v1.10.3 is gone)"),
    (lambda f: f["operators"]["rhdh"].update(subscription=None), "rhdh: absent (no Subscription"),
    (
        lambda f: f["operators"]["rhdh"]["csv"].update(status={"phase": "Failed", "reason": "ComponentUnhealthy"}),
        "rhdh.v1.10.3: not ready (Failed ComponentUnhealthy)",
    ),
    (
        lambda f: f["operators"]["rhdh"]["deployments"].update({"rhdh-manager": None}),
        "rhdh.v1.10.3 > Deployment rhdh-manager: absent",
    ),
    (lambda f: f["probes"].update(job_service=(503, '{"status": "DOWN"}')), "Job Service health: not ready (HTTP 503"),
    (lambda f: f["probes"].update(graphql=(0, "refused")), "Data Index GraphQL: not ready (HTTP no answer refused)"),
    (
        lambda f: f["probes"].update(graphql=(200, '{"errors": [{"message": "no table"}], "data": null}')),
        'Data Index GraphQL: not ready (errors: [{"message": "no table"}])',
    ),
]


@pytest.mark.parametrize(("breaks", "problem"), BREAKAGES)
def test_each_breakage_is_one_named_problem(breaks, problem):
    facts = copy.deepcopy(healthy())
    breaks(facts)
    status = judged(facts)
    assert not status["healthy"]
    assert len(status["problems"]) == 1
    assert problem in status["problems"][0]


def test_without_probes_nothing_is_said_of_answers():
    facts = healthy()
    facts["probes"] = None
    status = judged(facts)
    assert status["healthy"]
    assert status["graphql"] is None


def test_an_external_database_needs_no_stateful_set():
    facts = healthy()
    facts["database"] = None
    facts["backstage"]["spec"] = {"database": {"enableLocalDb": False}}
    assert judged(facts)["healthy"]


@pytest.mark.parametrize("answer", [(200, "<html>"), (404, "{}"), (200, "[]"), (200, '{"data": {}}')])
def test_anything_but_the_list_is_no_answer(answer):
    assert not report_status.read_graphql(*answer)["ok"]


GIVEN = {"host": "pg.example.com", "name": "orch", "secret": {"name": "db"}, "ca": {"config_map": "ca"}}


def platform_on(database, **metadata):
    """A healthy platform that reaches a database as it is described."""
    found = resource("Succeed", name="sonataflow-platform")
    found["metadata"].update(metadata)
    found["spec"]["services"] = {
        field: {"persistence": {"postgresql": database.persistence("sonataflow-platform", service)}}
        for field, service in (("dataIndex", "data_index"), ("jobService", "job_service"))
    }
    return found


def test_the_status_tells_whose_platform_it_is_and_where_its_data_are():
    database = database_options.describe(GIVEN, "rhdh")
    facts = {**healthy(), **with_platform(platform_on(database))}
    status = report_status.judge(facts, RELEASE, "rhdh", "developer-hub", database)
    assert status["healthy"], status["problems"]
    assert status["platform"] == {"managed_by": "self", "databases": ["pg.example.com:5432/orch"]}
    assert any("managed by this collection" in line for line in tree.render(status["tree"]))
    owner = [{"kind": "Backstage", "name": "developer-hub"}]
    hub = database_options.hub_database("developer-hub", "rhdh")
    facts.update(with_platform(platform_on(hub, ownerReferences=owner)))
    assert judged(facts)["platform"]["managed_by"] == "hub"
    assert judged(facts)["healthy"]


@pytest.mark.parametrize(
    ("changes", "owner", "part"),
    [
        ({"name": "other"}, [], "the services work with pg.example.com:5432/other"),
        ({"secret": {"name": "other"}}, [], "another Secret, schema or TLS"),
        ({}, [{"kind": "Backstage", "name": "dh"}], "belongs to Backstage dh"),
    ],
)
def test_another_database_than_described_is_a_problem(changes, owner, part):
    used = database_options.describe({**GIVEN, **changes}, "rhdh")
    facts = {**healthy(), **with_platform(platform_on(used, ownerReferences=owner))}
    status = report_status.judge(facts, RELEASE, "rhdh", "developer-hub", database_options.describe(GIVEN, "rhdh"))
    assert not status["healthy"]
    assert part in status["problems"][0]
