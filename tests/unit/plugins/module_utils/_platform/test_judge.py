from __future__ import annotations

import copy
import json

import pytest
from ansible_collections.rhdh.orchestrator.plugins.module_utils._database import options as db
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.objects import condition
from ansible_collections.rhdh.orchestrator.plugins.module_utils._platform import answers as service_answers
from ansible_collections.rhdh.orchestrator.plugins.module_utils._platform import cluster as cluster_platforms
from ansible_collections.rhdh.orchestrator.plugins.module_utils._platform import judge as platform_judge
from ansible_collections.rhdh.orchestrator.plugins.module_utils._platform import ownership
from ansible_collections.rhdh.orchestrator.plugins.module_utils._platform import parts as platform_parts
from ansible_collections.rhdh.orchestrator.plugins.module_utils._platform import spec as platform_spec
from ansible_collections.rhdh.orchestrator.plugins.module_utils._workload.jobs import JOB_LABEL

from tests.recorded import load

NAME = "sonataflow-platform"


def params(**changes):
    base = {"name": NAME, "namespace": "ns", "managed_by": "self", "hub_name": "dh"}
    return {**base, "data_index": None, "job_service": None, **changes}


def platform(**changes):
    obj = {
        "metadata": {"name": NAME, "namespace": "ns", "uid": "u1", "generation": 2},
        "spec": {"services": {"dataIndex": {}, "jobService": {}}},
        "status": {"observedGeneration": 2, "conditions": [{"type": "Succeed", "status": "True"}]},
    }
    for path, value in changes.items():
        section, _rest, key = path.partition("__")
        obj[section][key] = value
    return obj


def deployment(service="data_index", replicas=1, ready=1):
    status = {"observedGeneration": 1, "replicas": replicas, "updatedReplicas": replicas, "readyReplicas": ready}
    name = platform_spec.service_name(NAME, service)
    return {"metadata": {"name": name, "generation": 1}, "spec": {"replicas": replicas}, "status": status}


def endpoints(service="data_index", ready=True):
    labels = {"kubernetes.io/service-name": platform_spec.service_name(NAME, service)}
    return {
        "metadata": {"name": f"{service}-x", "labels": labels},
        "endpoints": [{"addresses": ["10.0.0.1"], "conditions": {"ready": ready}}],
    }


def pod(service="data_index", created="2026-01-01T00:00:00Z", **container):
    labels = {platform_parts.SERVICE_LABEL: platform_spec.service_name(NAME, service)}
    return {
        "metadata": {"name": "pod-1", "labels": labels, "creationTimestamp": created},
        "status": {"containerStatuses": [{"name": "c", **container}]},
    }


def judge(live, deployments=("data_index", "job_service"), **more):
    found = {item["metadata"]["name"]: item for item in map(deployment, deployments)}
    slices = [endpoints(service) for service in deployments]
    return platform_judge.judge(NAME, [live], found, more.pop("pods", []), more.pop("slices", slices), **more)


# -- what ready means -------------------------------------------------------------------------------------------------


def test_a_complete_platform_is_ready():
    assert {verdict.state for verdict in judge(platform()).values()} == {"ready"}


def test_succeed_without_services_is_not_ready():
    verdicts = judge(platform(), deployments=())
    assert verdicts["platform"].state == "ready"
    assert verdicts["data_index"].reason == verdicts["job_service"].reason == "NotCreated"


def test_a_platform_without_service_blocks_is_not_ready():
    assert judge(platform(spec__services={}))["services"].state == "pending"


def test_a_stale_generation_is_not_ready():
    assert judge(platform(metadata__generation=3))["platform"].reason == "GenerationLag"


def test_a_platform_that_is_being_deleted_is_not_ready_though_it_says_so():
    verdict = judge(platform(metadata__deletionTimestamp="2026-01-01T00:00:00Z"))["platform"]
    assert (verdict.state, verdict.reason) == ("failed", "Deleting")


def test_a_duplicate_names_the_active_platform():
    conditions = [{"type": "Succeed", "status": "False", "reason": "Duplicated"}]
    second = platform(status__conditions=conditions)
    first = platform(metadata__name="first")
    verdict = platform_judge.judge_platform(second, [first, second], NAME)
    assert (verdict.state, "first" in verdict.message, verdict.grace > 0) == ("failed", True, True)


def test_a_new_platform_is_pending():
    assert judge(platform(status__conditions=[]))["platform"].reason == "Creating"
    assert platform_judge.judge_platform(None, [], NAME).reason == "NotCreated"


def test_zero_replicas_count_only_where_they_are_asked_for():
    found, live = deployment(replicas=0, ready=0), platform()
    assert platform_judge.judge_service("data_index", live, found, [], []).reason == "ScaledToZero"
    live["spec"]["services"]["dataIndex"] = {"podTemplate": {"replicas": 0}}
    assert (
        platform_judge.judge_service("data_index", live, found, [], []).reason == "ScaledToZero"
    )  # somebody else's doing
    assert platform_judge.judge_service("data_index", live, found, [], [], off=True).state == "ready"


def test_a_service_needs_a_ready_endpoint():
    live = platform()
    assert platform_judge.judge_service("data_index", live, deployment(), [], []).reason == "NoEndpoints"
    assert (
        platform_judge.judge_service("data_index", live, deployment(), [], [endpoints(ready=False)]).reason
        == "NoEndpoints"
    )


def test_crashing_is_one_reason_between_the_crashes_too():
    ended = {"terminated": {"exitCode": 1, "message": "first\npassword authentication failed"}}
    between = pod(state={"running": {}}, lastState=ended, ready=False, restartCount=2)
    paused = pod(state={"waiting": {"reason": "CrashLoopBackOff"}}, lastState=ended, ready=False, restartCount=2)
    for found in (between, paused):
        verdict = platform_judge.judge_service("data_index", platform(), deployment(ready=0), [found], [])
        assert (verdict.state, verdict.reason, verdict.grace) == ("failed", "CrashLoopBackOff", 240)
        assert "old volume" in verdict.remedy
    healed = pod(state={"running": {}}, lastState=ended, ready=True)
    assert (
        platform_judge.judge_service("data_index", platform(), deployment(ready=0), [healed], []).reason == "RollingOut"
    )


def test_a_missing_secret_fails_after_its_grace():
    waiting = {"reason": "CreateContainerConfigError", "message": 'secret "db" not found'}
    found = pod(state={"waiting": waiting})
    verdict = platform_judge.judge_service("data_index", platform(), deployment(ready=0), [found], [])
    assert (verdict.state, verdict.grace) == ("failed", 120)


def test_pods_of_others_do_not_count():
    found = pod(service="job_service", state={"waiting": {"reason": "ImagePullBackOff"}})
    assert (
        platform_judge.judge_service("data_index", platform(), deployment(ready=0), [found], []).reason == "RollingOut"
    )


def migration(kind=None):
    conditions = [{"type": kind, "status": "True"}] if kind else []
    owner = [{"uid": "u1"}]
    meta = {"name": "sonataflow-db-migrator-job-abc", "ownerReferences": owner}
    return {"metadata": meta, "status": {"conditions": conditions}}


@pytest.mark.parametrize(("kind", "state"), [("Failed", "failed"), ("Complete", "ready"), (None, "pending")])
def test_the_migration_job_counts(kind, state):
    live = platform()
    live["spec"]["services"]["dataIndex"] = {"persistence": {"dbMigrationStrategy": "job"}}
    assert judge(live, jobs=[migration(kind)])["migration"].state == state


def test_a_vanished_migration_job_is_known_from_the_status():
    live = platform(status__sonataFlowPlatformDBMigrationPhase={"status": "Succeeded"})
    assert platform_judge.judge_migration([], live).state == "ready"


def knative(ready, name="x", namespace="ns"):
    status = {"conditions": [{"type": "Ready", "status": "True" if ready else "False"}]}
    return {"metadata": {"name": name, "namespace": namespace}, "status": status}


def eventing_platform():
    live = platform(spec__eventing={"broker": {"ref": {"name": "b"}}})
    live["status"]["triggers"] = [{"name": "t1", "namespace": "ns"}]
    return live


@pytest.mark.parametrize(
    ("broker", "binding", "triggers", "reason"),
    [
        (None, None, [], "BrokerMissing"),
        (knative(False), None, [], "BrokerNotReady"),
        (knative(True), None, [], "SinkBindingMissing"),
        (knative(True), knative(False), [], "SinkNotBound"),
        (knative(True), knative(True), [], "TriggersNotReady"),
        (knative(True), knative(True), [knative(False, "t1")], "TriggersNotReady"),
        (knative(True), knative(True), [knative(True, "t1")], "Ready"),
    ],
)
def test_eventing_is_judged_in_the_order_of_its_chain(broker, binding, triggers, reason):
    assert platform_judge.judge_eventing(eventing_platform(), broker, binding, triggers).reason == reason


def test_health_is_up_only_when_it_says_so():
    assert service_answers.health(200, '{"status": "UP"}') == (True, "UP")
    down = '{"status": "DOWN", "checks": [{"name": "Database", "status": "DOWN"}, {"name": "x", "status": "UP"}]}'
    assert service_answers.health(503, down) == (False, "HTTP 503, down: Database")
    assert service_answers.health(200, "<html>")[0] is False
    assert service_answers.health(0, "refused")[1].startswith("HTTP no answer")


def test_a_service_that_is_not_reached_is_told_in_the_words_of_the_api_server():
    text = '{"kind": "Status", "metadata": {}, "message": "error trying to reach service: refused", "code": 503}'
    assert service_answers.health(503, text) == (False, "HTTP 503 error trying to reach service: refused")
    assert service_answers.graphql(503, text) == (False, "HTTP 503 error trying to reach service: refused", 0)


def test_graphql_needs_a_list_without_errors():
    assert service_answers.graphql(200, '{"data": {"ProcessDefinitions": [{"id": "a"}]}}') == (
        True,
        "1 process definition",
        1,
    )
    assert (
        service_answers.graphql(200, '{"data": {"ProcessDefinitions": []}, "errors": [{"message": "no table"}]}')[0]
        is False
    )
    assert service_answers.graphql(200, '{"data": null}')[0] is False
    assert service_answers.graphql(502, "bad gateway")[0] is False


def test_an_answer_of_the_api_server_is_told_from_one_of_the_service():
    assert service_answers.refused(403, '{"kind": "Status", "reason": "Forbidden"}')
    assert not service_answers.refused(403, '{"error": "login"}')
    assert not service_answers.refused(403, "<html>")
    assert not service_answers.refused(503, '{"kind": "Status"}')


def works_with(url, secret="s"):
    found = deployment()
    env = [{"name": platform_judge.JDBC_VARIABLE, "value": url}]
    for name in ("QUARKUS_DATASOURCE_USERNAME", "QUARKUS_DATASOURCE_PASSWORD"):
        env.append({"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": name}}})
    found["spec"]["template"] = {"spec": {"containers": [{"env": env}]}}
    return found


BY_SERVICE = {"serviceRef": {"name": "pg", "databaseName": "orch"}, "secretRef": {"name": "s"}}
BY_URL = {"jdbcUrl": "jdbc:postgresql://h/orch?currentSchema=a", "secretRef": {"name": "s"}}


@pytest.mark.parametrize(
    ("postgresql", "url", "secret", "wrong"),
    [
        (BY_SERVICE, "jdbc:postgresql://pg.ns:5432/orch?currentSchema=a", "s", ""),
        (BY_SERVICE, "jdbc:postgresql://pg.ns:5432/other?currentSchema=a", "s", "database orch"),
        (BY_SERVICE, "jdbc:postgresql://pg2.ns:5432/orch", "s", "Service pg"),
        (BY_SERVICE, "jdbc:postgresql://pg.ns:5432/orch", "old", "Secret old"),
        (BY_URL, "jdbc:postgresql://h/orch?currentSchema=a", "s", ""),
        (BY_URL, "jdbc:postgresql://h/orch?currentSchema=b", "s", "not with"),
        (BY_SERVICE, "", "s", ""),
    ],
)
def test_a_service_that_works_with_another_database_is_not_ready(postgresql, url, secret, wrong):
    live = platform(spec__services={"dataIndex": {"persistence": {"postgresql": postgresql}}})
    found = platform_judge.other_database(works_with(url, secret), live, "data_index")
    assert (wrong in found) if wrong else found == ""
    verdict = platform_judge.judge_service("data_index", live, works_with(url, secret), [], [endpoints()])
    assert verdict.reason == ("OtherDatabase" if wrong else "Ready")


def test_the_persistence_of_the_platform_counts_where_a_service_has_none():
    own = {"postgresql": {"secretRef": {"name": "own"}}}
    live = platform(spec__services={"dataIndex": {"persistence": own}, "jobService": {}})
    live["spec"]["persistence"] = {"postgresql": {"secretRef": {"name": "common"}}, "dbMigrationStrategy": "job"}
    assert platform_parts.secrets_of(live) == {"data_index": "own", "job_service": "common"}
    assert platform_parts.migrates_by_job(live)
    live["spec"]["services"]["jobService"] = {"persistence": own}
    assert not platform_parts.migrates_by_job(live)


@pytest.mark.parametrize(
    ("owner", "state", "reason"),
    [("dh", "ready", "Ready"), ("thief", "failed", "NotOurs"), ("", "pending", "NotAdopted")],
)
def test_the_owner_is_judged(owner, state, reason):
    owners = [{"kind": "Backstage", "name": owner}] if owner else [{"kind": "Other", "name": "dh"}]
    verdict = platform_judge.judge_owner(platform(metadata__ownerReferences=owners), "dh")
    assert (verdict.state, verdict.reason) == (state, reason)


def test_the_pods_of_the_migration_job_tell_why_it_runs_on():
    job, live = migration(None), platform()
    live["spec"]["services"]["dataIndex"] = {"persistence": {"dbMigrationStrategy": "job"}}
    stuck = {
        "metadata": {"name": "m-1", "labels": {JOB_LABEL: job["metadata"]["name"]}},
        "status": {
            "phase": "Pending",
            "containerStatuses": [
                {"name": "m", "image": "i", "state": {"waiting": {"reason": "InvalidImageName", "message": "no"}}}
            ],
        },
    }
    other = pod(state={"waiting": {"reason": "InvalidImageName"}})
    assert platform_judge.judge_migration([job], live, [other]).reason == "Migrating"
    verdict = platform_judge.judge_migration([job], live, [other, stuck])
    assert (verdict.state, verdict.reason) == ("failed", "InvalidImageName")


def test_an_operator_that_failed_after_its_success_is_behind():
    both = {platform_spec.service_name(NAME, service): deployment(service) for service in platform_spec.SERVICES}
    assert not platform_parts.behind(platform(), both)
    assert platform_parts.behind(platform(), {})
    assert platform_parts.behind(platform(metadata__generation=3), both)
    assert not platform_parts.behind(platform(status__conditions=[]), {})
    assert not platform_parts.behind(platform(metadata__deletionTimestamp="now"), {})


def test_what_eventing_leaves_behind_is_found_and_judged():
    live = platform(status__triggers=[{"name": "t", "namespace": "b"}])
    assert platform_parts.triggers_of(live) == [("b", "t")]
    assert not platform_parts.sends_events(live)
    assert platform_parts.sends_events(platform(spec__services={"jobService": {"sink": {"ref": {"name": "b"}}}}))
    labels = {"app": NAME, "app-namespace": "ns"}
    ours = {"metadata": {"name": "t", "labels": labels}}
    assert platform_parts.belongs(ours, live)
    assert not platform_parts.belongs({"metadata": {"name": "t", "labels": {**labels, "app-namespace": "x"}}}, live)
    assert platform_judge.judge_leftovers([ours], None).reason == "EventingLeftovers"
    sending = deployment("job_service")
    sending["spec"]["template"] = {"spec": {"containers": [{"env": [{"name": "K_SINK"}]}]}}
    assert platform_judge.judge_leftovers([], sending).reason == "EventingLeftovers"
    assert platform_judge.judge_leftovers([], deployment("job_service")).state == "ready"


def test_what_stays_in_a_deployment_is_named():
    before = platform(spec__services={"dataIndex": {"podTemplate": {"nodeSelector": {"a": "b"}, "replicas": 2}}})
    assert platform_parts.kept_in_deployment(before, platform()) == ["data_index.pod_template.nodeSelector"]
    assert platform_parts.kept_in_deployment(before, before) == []
    assert platform_parts.kept_in_deployment(None, before) == []


# -- the cluster platform ---------------------------------------------------------------------------------------------


def cluster(name, reason="", status="True", to=NAME, **metadata):
    found = {"type": "Succeed", "status": status, "reason": reason, "message": "m"}
    reference = {"name": to, "namespace": "ns"}
    return {
        "metadata": {"name": name, **metadata},
        "spec": {"platformRef": reference},
        "status": {"conditions": [found]},
    }


@pytest.mark.parametrize(
    ("found", "part"),
    [
        ([], ""),
        ([cluster("ours")], ""),
        ([cluster("ours", to="other")], "was not created for this platform"),
        ([cluster("theirs", to="other")], "would stay Duplicated"),
        ([cluster("theirs")], "cluster_platform: theirs"),
        ([cluster("theirs", "Duplicated", "False", to="other")], ""),
        ([cluster("theirs", to="other", deletionTimestamp="now")], ""),
    ],
)
def test_cluster_platforms_in_the_way_are_named(found, part):
    problems = cluster_platforms.cluster_problems("ours", NAME, "ns", found)
    assert len(problems) == bool(part)
    assert part in "".join(problems)


@pytest.mark.parametrize(
    ("found", "state", "reason", "promotable"),
    [
        ([], "pending", "NotCreated", False),
        ([cluster("ours", deletionTimestamp="now")], "pending", "Deleting", False),
        ([cluster("ours", to="other")], "pending", "OtherPlatform", False),
        ([cluster("ours", "PlatformNotFound", "False")], "pending", "PlatformNotFound", False),
        ([cluster("ours", "Duplicated", "False"), cluster("theirs")], "failed", "Duplicated", False),
        ([cluster("ours", "Duplicated", "False")], "failed", "Duplicated", True),
        ([cluster("ours")], "ready", "Ready", False),
    ],
)
def test_the_cluster_platform_is_judged(found, state, reason, promotable):
    verdict = cluster_platforms.judge_cluster_platform("ours", NAME, "ns", found)
    assert (verdict.state, verdict.reason) == (state, reason)
    assert cluster_platforms.promotable("ours", found) is promotable


# -- a changed Secret -------------------------------------------------------------------------------------------------


def changed_secret(at, labels_at="2026-01-01T00:00:00Z"):
    entries = [
        {"manager": "a", "time": at, "fieldsV1": {"f:data": {"f:PASSWORD": {}}}},
        {"manager": "b", "time": labels_at, "fieldsV1": {"f:metadata": {"f:labels": {}}}},
    ]
    return {"metadata": {"creationTimestamp": "2026-01-01T00:00:00Z", "managedFields": entries}}


def running(started, created="2026-01-01T00:00:00Z"):
    return pod(created=created, state={"running": {"startedAt": started}})


def test_only_changed_values_count():
    assert (
        platform_parts.changed_at(changed_secret("2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z"))
        == "2026-02-01T00:00:00Z"
    )
    assert (
        platform_parts.changed_at({"metadata": {"creationTimestamp": "2026-01-01T00:00:00Z"}}) == "2026-01-01T00:00:00Z"
    )


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (running("2026-01-15T00:00:00Z"), True),
        (running("2026-02-15T00:00:00Z"), False),  # its container restarted since
        (running("2026-01-31T23:59:59Z", created="2026-02-01T00:00:01Z"), False),  # the node's clock is behind
        (pod(state={"waiting": {"reason": "CrashLoopBackOff"}}), False),
    ],
)
def test_a_pod_older_than_the_values_is_stale(found, expected):
    assert platform_parts.stale([found], NAME, "data_index", changed_secret("2026-02-01T00:00:00Z")) is expected
    assert platform_parts.stale([found], NAME, "job_service", changed_secret("2026-02-01T00:00:00Z")) is False


def test_a_rotation_is_written_once_and_kept():
    body = platform_spec.desired(params(managed_by="hub"), None, {"data_index": "T1"})
    assert body["spec"] == {
        "services": {
            "dataIndex": {
                "podTemplate": {"container": {"env": [{"name": platform_spec.SECRET_VARIABLE, "value": "T1"}]}}
            }
        }
    }
    live = platform(spec__services=body["spec"]["services"])
    assert platform_parts.our_variables(live) == {"data_index": "T1"}


# -- what we write ----------------------------------------------------------------------------------------------------


def database(**changes):
    given = {"host": "pg", "name": "orch", "secret": {"name": "s"}, **changes}
    return db.describe(given, "ns")


def test_our_own_platform_is_complete():
    body = platform_spec.desired(params(migration="job", eventing={"broker": {"name": "b"}}), database(), {})
    spec = body["spec"]
    assert spec["monitoring"] == {"enabled": True}
    assert spec["eventing"]["broker"]["ref"]["kind"] == "Broker"  # the API wants it
    for field in ("dataIndex", "jobService"):
        assert spec["services"][field]["enabled"] is True
        assert spec["services"][field]["persistence"]["dbMigrationStrategy"] == "job"


def test_a_disabled_service_has_no_block():
    body = platform_spec.desired(params(job_service={"enabled": False}), database(), {})
    assert list(body["spec"]["services"]) == ["dataIndex"]


def test_in_the_platform_of_the_hub_nothing_is_owned_by_default():
    assert platform_spec.desired(params(managed_by="hub"), None, {})["spec"] == {}


def test_volumes_repeat_the_properties_of_the_operator():
    ca = {"config_map": "pg-ca"}
    template = platform_spec.desired(params(), database(ca=ca), {})["spec"]["services"]["dataIndex"]["podTemplate"]
    assert [volume["name"] for volume in template["volumes"]] == ["application-config", db.CA_VOLUME]
    assert template["volumes"][0]["configMap"]["name"] == f"{NAME}-data-index-service-props"
    assert [mount["name"] for mount in template["container"]["volumeMounts"]] == ["application-config", db.CA_VOLUME]


def test_options_are_merged_into_the_pod_template():
    options = {
        "replicas": 2,
        "image": "i",
        "env": [{"name": "A", "value": "a"}],
        "pod_template": {"nodeSelector": {"x": "y"}, "container": {"env": [{"name": "B", "value": "b"}]}},
    }
    before = copy.deepcopy(options)
    template = platform_spec.pod_template(options, {}, "props", "T1")
    assert template["replicas"] == 2
    assert [entry["name"] for entry in template["container"]["env"]] == ["B", "A", platform_spec.SECRET_VARIABLE]
    assert options == before


@pytest.mark.parametrize(
    ("given", "canonical"),
    [
        ("1024Mi", "1Gi"), ("1536Mi", "1536Mi"), ("1.5Gi", "1536Mi"), ("0.5Gi", "512Mi"), ("1000Ki", "1000Ki"),
        ("0.5Ki", "512"), ("1.5Ki", "1536"), ("1000m", "1"), ("1500m", "1500m"), (1, "1"), (0.5, "500m"),
        ("0.1", "100m"),
        ("1000M", "1G"), ("1024M", "1024M"), ("1000", "1k"), ("1e3", "1e3"), ("12E2", "1200"), ("0Mi", "0"), (0, "0"),
        ("1G", "1G"), ("100n", "100n"), ("-1024Ki", "-1Mi"), ("much", "much"), (True, True),
    ],
)  # fmt: skip
def test_quantities_are_written_as_the_operator_writes_them_back(given, canonical):
    """Expected values are those of resource.Quantity in k8s.io/apimachinery."""
    assert platform_spec.quantity(given) == canonical


def test_a_pod_template_is_written_as_the_operator_writes_it_back():
    options = {
        "resources": {"limits": {"memory": "2048Mi", "cpu": 1}, "requests": {}},
        "env": [{"name": "EMPTY", "value": ""}, {"name": "SET", "value": "1024Mi"}],
        "pod_template": {
            "tolerations": [],
            "nodeSelector": {},
            "affinity": None,
            "volumes": [{"name": "tmp", "emptyDir": {"sizeLimit": "1024Ki"}}, {"name": "any", "emptyDir": {}}],
            "initContainers": [{"name": "i", "args": ["1024Mi"], "resources": {"limits": {"cpu": "2000m"}}}],
        },
    }
    template = platform_spec.pod_template(options, {}, "props", None)
    assert template["container"]["resources"] == {"limits": {"memory": "2Gi", "cpu": "1"}}
    assert template["container"]["env"] == [{"name": "EMPTY"}, {"name": "SET", "value": "1024Mi"}]
    assert template["volumes"][1:] == [
        {"name": "tmp", "emptyDir": {"sizeLimit": "1Mi"}},
        {"name": "any", "emptyDir": {}},
    ]
    assert template["initContainers"] == [{"name": "i", "args": ["1024Mi"], "resources": {"limits": {"cpu": "2"}}}]
    assert template.keys() == {"container", "volumes", "initContainers"}


def test_monitoring_that_is_off_is_said_only_where_the_platform_says_something():
    for live, expected in (
        (None, {}),
        ({"spec": {"monitoring": {}}}, {}),
        ({"spec": {"monitoring": {"enabled": True}}}, {"enabled": False}),
        ({"spec": {"monitoring": {"enabled": False}}}, {"enabled": False}),
    ):
        assert platform_spec.desired(params(monitoring=False), database(), {}, live)["spec"]["monitoring"] == expected
    assert platform_spec.desired(params(), database(), {})["spec"]["monitoring"] == {"enabled": True}


def test_blocks_of_disabled_services_are_found_and_only_ours_to_take_out():
    def entry(manager, **more):
        return {"manager": manager, "fieldsV1": {"f:spec": {"f:services": {"f:dataIndex": {}}}}, **more}

    platform = {
        "metadata": {
            "managedFields": [entry("ours"), entry("operator"), {"manager": "operator", "subresource": "status"}]
        },
        "spec": {"services": {"dataIndex": {}, "jobService": {}}},
    }
    off = params(data_index={"enabled": False})
    assert platform_parts.disabled_blocks(off, platform) == ["dataIndex"]
    assert platform_parts.disabled_blocks(params(), platform) == []
    assert platform_parts.disabled_blocks(off, {"spec": {}}) == []
    assert platform_parts.held_blocks(off, platform, "ours") == []
    platform["metadata"]["managedFields"].append(entry("kubectl-edit"))
    (problem,) = platform_parts.held_blocks(off, platform, "ours")
    assert problem.startswith("data_index.enabled: kubectl-edit has set fields")
    assert platform_parts.held_blocks(params(job_service={"enabled": False}), platform, "ours") == []


def test_a_service_whose_block_was_taken_out_runs_on():
    both, one = (
        {"metadata": {"name": NAME}, "spec": {"services": each}}
        for each in ({"dataIndex": {}, "jobService": {}}, {"jobService": {}})
    )
    assert platform_parts.kept_running(both, one) == [f"{NAME}-data-index-service"]
    assert (
        platform_parts.kept_running(None, one)
        == platform_parts.kept_running(one, both)
        == platform_parts.kept_running(both, None)
        == []
    )


def test_a_job_service_that_asks_another_database_beside_is_not_ready():
    platform = {"metadata": {"name": NAME}, "spec": {"services": {"jobService": {"persistence": {"postgresql": {
        "secretRef": {"name": "s"}, "serviceRef": {"name": "pg", "databaseName": "orch"}}}}}}}  # fmt: skip
    found = works_with("jdbc:postgresql://pg.ns:5432/orch?currentSchema=a")
    env = found["spec"]["template"]["spec"]["containers"][0]["env"]
    env.append({"name": platform_judge.REACTIVE_VARIABLE, "value": "postgresql://pg.ns:5432/orch?search_path=a"})
    assert platform_judge.other_database(found, platform, "job_service") == ""
    env[-1]["value"] = "postgresql://pg.ns:5432/other?search_path=a&password=canary"
    told = platform_judge.other_database(found, platform, "job_service")
    assert "/other" in told
    assert "canary" not in told
    env[-1]["value"] = "postgresql://pg.ns:5432/orch?search_path=a"
    env[2]["valueFrom"]["secretKeyRef"]["name"] = "old"
    assert "Secret old, not from s" in platform_judge.other_database(found, platform, "job_service")


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"managed_by": "hub", "database": {"name": "x"}}, "database:"),
        ({"managed_by": "hub", "migration": "job"}, "migration:"),
        ({"managed_by": "hub", "network_policies": True}, "network_policies:"),
        ({"managed_by": "hub", "data_index": {"enabled": False}}, "data_index.enabled"),
        ({"data_index": {"replicas": -1}}, "less than 0"),
        ({"job_service": {"replicas": 2}}, "runs once"),
        ({"data_index": {"env": [{"name": "K_SINK"}]}}, "cannot be overridden"),
        ({"data_index": {"env": [{"value": "x"}]}}, "no name"),
        ({"data_index": {"env": [{"name": "A"}, {"name": "A"}]}}, "more than once"),
        ({"data_index": {"enabled": False}, "job_service": {"enabled": False}}, "at least one"),
        ({"eventing": {"broker": None}}, "eventing.broker.name"),
        ({"name": "1st"}, "a letter first"),
        ({"name": "dotted.name"}, "a letter first"),
        ({"name": "x" * 45}, "at most 44"),
        ({"namespace": ""}, "namespace: ''"),
        ({"namespace": "Mine"}, "namespace: 'Mine'"),
        ({"data_index": {"pod_template": {"replicas": -1}}}, "less than 0"),
        ({"data_index": {"pod_template": {"replicas": "many"}}}, "pod_template.replicas: 'many' is not a number"),
        ({"job_service": {"pod_template": {"replicas": 2}}}, "runs once"),
        ({"data_index": {"pod_template": {"container": ["x"]}}}, "pod_template.container: ['x'] is not"),
        ({"data_index": {"pod_template": {"container": {"env": {"A": "b"}}}}}, "pod_template.container.env: must be"),
        ({"data_index": {"pod_template": {"volumes": [{"emptyDir": {}}]}}}, "pod_template.volumes: must be"),
    ],
)
def test_each_wrong_option_is_named(changes, part):
    found = platform_spec.input_problems(params(**changes))
    assert len(found) == 1
    assert part in found[0]


def test_a_removal_that_was_reverted_is_found():
    before = {"a": {"b": 1, "c": [1], "d": {"e": 2}}, "f": {"g": 1}}
    after = {"a": {"b": 1, "d": {}}}
    gone = platform_parts.removed(before, after)
    assert gone == {"a": {"c": [1], "d": {"e": 2}}, "f": {"g": 1}}
    assert platform_parts.restored(after, gone) == {}
    assert platform_parts.restored(before, gone) == {"a": {"c": None, "d": None}, "f": None}
    # What somebody else has set to another value since is left alone.
    assert platform_parts.restored({"a": {"c": [2], "d": {"e": 2, "h": 3}}, "f": {"g": 2}}, gone) == {
        "a": {"d": {"e": None}}
    }


def test_refused_fields_are_named_as_the_user_wrote_them():
    asked = params(data_index={"resources": {"limits": {}}, "image": "i"})
    where = ".spec.services.dataIndex.podTemplate"
    for path, option in (
        (f"{where}.containr", "data_index.pod_template.containr"),
        (f"{where}.container.imagePullPolcy", "data_index.pod_template.container.imagePullPolcy"),
        (f"{where}.container.image", "data_index.image"),
        (f"{where}.container.resources.limit", "data_index.resources.limit"),
        (f"{where}.container.env", "data_index.pod_template.container.env"),
        (".spec.services.jobService.persistence.dbMigrationStrategy", "migration"),
        (".spec.services.jobService.persistence.postgresql.jdbcUrl", "database.postgresql.jdbcUrl"),
        (".spec.eventing.broker.ref.kind", "eventing.broker.kind"),
    ):
        assert platform_spec.user_path(f"{path}: not so", asked) == f"{option}: not so"


def test_platforms_of_others_are_named():
    owner = [{"kind": "Backstage", "name": "other", "uid": "b"}]
    owned = platform(metadata__ownerReferences=owner)
    assert "belongs to the Backstage 'other'" in ownership.ownership_problems(params(managed_by="hub"), [owned])[0]
    assert "managed_by: hub" in ownership.ownership_problems(params(), [owned])[0]
    assert "Duplicated" in ownership.ownership_problems(params(name="mine"), [platform()])[0]
    assert ownership.ownership_problems(params(), [platform()]) == []
    assert ownership.ownership_problems(params(managed_by="hub", hub_name="other"), [owned]) == []


# -- what the real operator was recorded to do ------------------------------------------------------------------------


def judge_recorded(name, which=NAME):
    objects = load(f"logic-operator/{name}")
    platforms = [item for item in objects if item["kind"] == "SonataFlowPlatform"]
    live = next((item for item in platforms if item["metadata"]["name"] == which), platforms[0])
    of_kind = {kind: [item for item in objects if item["kind"] == kind] for kind in ("Deployment", "Pod", "Job")}
    for job in of_kind["Job"]:  # the platform's uid was not recorded; its Job's owner reference has it
        live["metadata"]["uid"] = job["metadata"]["ownerReferences"][0]["uid"]
    deployments = {item["metadata"]["name"]: item for item in of_kind["Deployment"]}
    binding = next((item for item in objects if item["kind"] == "SinkBinding"), None)
    triggers = [item for item in objects if item["kind"] == "Trigger"]
    broker = next((item for item in objects if item["kind"] == "Broker"), None)
    # Endpoints were not recorded: taken as there where the Deployment has ready pods.
    slices = [
        {
            "metadata": {"labels": {"kubernetes.io/service-name": found}},
            "endpoints": [{"addresses": ["10.0.0.1"]}],
        }
        for found in deployments
    ]
    eventing = (broker, binding, triggers)
    name = live["metadata"]["name"]
    return live, platform_judge.judge(name, platforms, deployments, of_kind["Pod"], slices, of_kind["Job"], eventing)


def test_recorded_ready_platform():
    _live, verdicts = judge_recorded("a-platform-ready.yaml")
    assert {verdict.state for verdict in verdicts.values()} == {"ready"}


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("b-crashloop.yaml", "data_index"),
        ("b-secret-missing.yaml", "data_index"),
        ("c6-broker-missing.yaml", "eventing"),
        ("c3-broker-ready-sinkbinding-not-ready.yaml", "eventing"),
        ("c8-eventing-added-broker-missing.yaml", "platform"),
        ("e-hanging-operator-down.yaml", "platform"),
    ],
)
def test_recorded_platforms_that_succeeded_but_are_not_ready(name, target):
    live, verdicts = judge_recorded(name)
    assert (condition(live, "Succeed") or {})["status"] == "True"  # what a naive wait would have stopped at
    assert verdicts[target].state != "ready"


def test_recorded_duplicate():
    _live, verdicts = judge_recorded("d-duplicated.yaml", "second")
    assert any(verdict.reason == "Duplicated" for verdict in verdicts.values())


@pytest.mark.parametrize(
    ("name", "target", "reason"),
    [("g-sf-jobfail.yaml", "migration", "MigrationFailed"), ("g-sf-jobhang.yaml", "migration", "Migrating")],
)
def test_recorded_migrations(name, target, reason):
    assert judge_recorded(name)[1][target].reason == reason


@pytest.mark.parametrize(
    ("status", "answer", "count"),
    [
        (200, {"data": {"ProcessInstances": []}}, 0),
        (200, {"data": {"ProcessInstances": [{"id": "1"}, {"id": "2"}]}}, 2),
        (200, {"data": {"ProcessInstances": None}, "errors": [{"message": "no"}]}, None),
        (503, {"kind": "Status"}, None),
        (200, [], None),
    ],
)
def test_unfinished_instances_are_counted_where_data_index_says(status, answer, count):
    assert service_answers.unfinished(status, json.dumps(answer)) == count
    assert service_answers.unfinished(0, "") is None
