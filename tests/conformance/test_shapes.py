"""Objects of the stand-ins against recorded objects of the real operators, field by field; no cluster needed."""

from __future__ import annotations

import copy
import typing as t

import pytest

from sandbox.operators import _hub_objects as hub_objects
from sandbox.operators import _logic_objects as logic
from sandbox.operators import hub
from tests import recorded as recorded_facts

from . import compare
from .compare import Object

KOGITO = "docker.io/apache/incubator-kie-kogito"
IMAGES = logic.Images(
    tag="main",
    data_index=f"{KOGITO}-data-index-postgresql:main",
    data_index_ephemeral=f"{KOGITO}-data-index-ephemeral:main",
    jobs=f"{KOGITO}-jobs-service-postgresql:main",
    jobs_ephemeral=f"{KOGITO}-jobs-service-ephemeral:main",
    migrator=f"{KOGITO}-db-migrator-tool:main",
)
RELEASES = ("1.7", "1.8", "1.9", "1.10")


def check(ours: Object, recorded: Object) -> None:
    """Fail with the list of all differences."""
    found = compare.differences(compare.tidy(ours), compare.tidy(recorded))
    assert not found, "\n".join([f"{ours['kind']} {ours['metadata']['name']}:", *found])


@pytest.mark.parametrize("service", [logic.DATA_INDEX, logic.JOBS])
@pytest.mark.parametrize(
    "file",
    ["a-platform-ready.yaml", "a-variant-sf-j1.yaml", "a-variant-sf-j2.yaml", "b-crashloop.yaml", "g-sf-mig.yaml"],
)
def test_platform_deployments(file: str, service: str) -> None:
    recorded = recorded_facts.load(f"logic-operator/{file}")
    platform = compare.pick(recorded, "SonataFlowPlatform")
    platform["metadata"].setdefault("uid", "0")
    ours = logic.deployment(platform, service, IMAGES)
    wanted = compare.pick(recorded, "Deployment", logic.service_name(platform, service))
    check(ours, wanted)


def test_platform_services() -> None:
    recorded = recorded_facts.load("logic-operator/a-platform-ready.yaml")
    platform = compare.pick(recorded, "SonataFlowPlatform")
    platform["metadata"].setdefault("uid", "0")
    for service in (logic.DATA_INDEX, logic.JOBS):
        ours = logic.service_object(platform, service, "main")
        check(ours, compare.pick(recorded, "Service", ours["metadata"]["name"]))


def test_platform_properties() -> None:
    platform = compare.pick(recorded_facts.load("logic-operator/a-platform-ready.yaml"), "SonataFlowPlatform")
    platform["metadata"].setdefault("uid", "0")
    recorded = recorded_facts.load("logic-operator/a-configmaps.yaml")
    for service in (logic.DATA_INDEX, logic.JOBS):
        ours = logic.properties(platform, service, "main")
        check(ours, compare.pick(recorded, "ConfigMap", ours["metadata"]["name"]))


def test_defaulted_spec() -> None:
    recorded = compare.pick(recorded_facts.load("logic-operator/a-platform-ready.yaml"), "SonataFlowPlatform")["spec"]
    bare = copy.deepcopy(recorded)
    del bare["build"], bare["devMode"]
    for service in bare["services"].values():
        del service["podTemplate"], service["enabled"], service["persistence"]["dbMigrationStrategy"]
        del service["persistence"]["postgresql"]["serviceRef"]["port"]
    assert logic.defaulted(bare) == recorded


def test_eventing_objects() -> None:
    recorded = recorded_facts.load("logic-operator/c3-broker-ready-sinkbinding-not-ready.yaml")
    platform = compare.pick(recorded, "SonataFlowPlatform")
    platform["metadata"]["uid"] = compare.pick(recorded, "Trigger")["metadata"]["ownerReferences"][0]["uid"]
    names = []
    for service in (logic.DATA_INDEX, logic.JOBS):
        for ours in logic.triggers(platform, service, "main"):
            names.append(ours["metadata"]["name"])
            check(ours, compare.pick(recorded, "Trigger", ours["metadata"]["name"]))
    assert names == [each["name"] for each in platform["status"]["triggers"]]
    broker = logic.broker_of(platform, logic.JOBS)
    assert broker
    full = logic.service_name(platform, logic.JOBS)
    labels = logic.labels_of(platform, full, logic.JOBS, "main")
    ours = logic.sink_binding(platform, f"{full}-sb", full, broker, labels)
    check(ours, compare.pick(recorded, "SinkBinding"))
    injected = recorded_facts.load("logic-operator/c4-sinkbinding-ready.yaml")
    check(logic.properties(platform, logic.JOBS, "main"), compare.pick(injected, "ConfigMap"))


def test_migration_job() -> None:
    recorded = recorded_facts.load("logic-operator/g-sf-mig.yaml")
    platform = compare.pick(recorded, "SonataFlowPlatform")
    platform["metadata"].setdefault("uid", "0")
    check(logic.migration_job(platform, IMAGES), compare.pick(recorded, "Job"))


@pytest.mark.parametrize("file", ["f-workflow-running.yaml", "f-workflow-with-broker.yaml"])
def test_workflow_objects(file: str) -> None:
    recorded = recorded_facts.load(f"logic-operator/{file}")
    workflow = compare.pick(recorded, "SonataFlow")
    workflow["metadata"].setdefault("uid", "0")
    platform = {"metadata": {"name": workflow["status"]["platform"]["name"]}}
    services = workflow["status"]["services"]
    urls = (services["dataIndexRef"]["url"], services["jobServiceRef"]["url"])
    text = logic.workflow_properties(workflow, urls, sink="broker" in file)
    compared = 0
    for ours in logic.workflow_objects(workflow, platform, text, "main"):
        try:
            wanted = compare.pick(recorded, ours["kind"], ours["metadata"]["name"])
        except LookupError:
            continue  # this recording holds only some of the objects
        if ours["kind"] == "Deployment":  # the checksum's value is nobody's business, the sink is somebody else's
            for each in (ours, wanted):
                each["spec"]["template"]["metadata"]["annotations"] = {}
                container = each["spec"]["template"]["spec"]["containers"][0]
                container["env"] = [e for e in container.get("env") or [] if e["name"] not in logic.INJECTED]
        check(ours, wanted)
        compared += 1
    assert compared


def _hub(release: str) -> tuple[list[Object], Object, Object, hub_objects.Images]:
    recorded = recorded_facts.load(f"rhdh-operator/backstage-{release}-ready.yaml")
    backstage = compare.pick(recorded, "Backstage")
    backstage["metadata"].setdefault("uid", "0")
    images = hub_objects.Images(
        hub="registry.redhat.io/rhdh/rhdh-hub-rhel9:stand-in",
        postgresql="registry.redhat.io/rhel9/postgresql-15:stand-in",
        catalog_index=f"quay.io/rhdh/plugin-catalog-index:{release}",
    )
    return recorded, backstage, hub.read_releases()[release], images


@pytest.mark.parametrize("release", RELEASES)
def test_hub_deployment(release: str) -> None:
    recorded, backstage, rules, images = _hub(release)
    name = (backstage["spec"].get("application") or {}).get("dynamicPluginsConfigMapName")
    wanted = compare.pick(recorded, "Deployment", "backstage-dh")
    digest = wanted["spec"]["template"]["metadata"]["annotations"]["rhdh.redhat.com/ext-config-hash"]
    if not name:
        assert hub.config_hash({}) == digest
    ours = hub_objects.deployment(
        backstage,
        rules,
        images,
        {},
        digest,
        plugins_map=name if name and rules["plugins"] == "replace" else "backstage-dynamic-plugins-dh",
        lightspeed=release == "1.10",
    )
    _same_order(ours, wanted)
    _forget_rag_command(ours, wanted)
    check(ours, wanted)


def _same_order(ours: Object, wanted: Object) -> None:
    """Put mounts and volumes of both into one order: theirs changes between releases and means nothing."""
    for body in (ours, wanted):
        pod = body["spec"]["template"]["spec"]
        pod["volumes"].sort(key=lambda each: each["name"])
        for container in pod["containers"] + pod["initContainers"]:
            container["volumeMounts"].sort(key=lambda each: each["mountPath"])


def _forget_rag_command(*bodies: Object) -> None:
    """The script that copies Lightspeed's data is not played, so its text is not ours to repeat."""
    for body in bodies:
        for container in body["spec"]["template"]["spec"]["initContainers"]:
            if container["name"] == "init-rag-data":
                container.pop("command", None)


@pytest.mark.parametrize("release", RELEASES)
def test_hub_other_objects(release: str) -> None:
    recorded, backstage, rules, images = _hub(release)
    check(hub_objects.stateful_set(backstage, rules, images), compare.pick(recorded, "StatefulSet"))
    for ours in (hub_objects.service(backstage), hub_objects.database_service(backstage)):
        check(ours, compare.pick(recorded, "Service", ours["metadata"]["name"]))
    route = hub_objects.route(backstage)
    assert route
    check(route, compare.pick(recorded, "Route"))
    files = [hub_objects.app_config(backstage, rules), hub_objects.npmrc(backstage, rules)]
    files.append(hub_objects.database_secret(backstage, rules))
    files += hub_objects.lightspeed_files(backstage) if release == "1.10" else []
    for ours in files:
        wanted = compare.pick(recorded, ours["kind"], ours["metadata"]["name"])
        keys = set(t.cast(Object, ours.get("data") or ours["stringData"]))
        assert keys == set(wanted["data"]), ours["metadata"]["name"]
        check(_without_data(ours), _without_data(wanted))


def _without_data(body: Object) -> Object:
    return {key: value for key, value in body.items() if key not in ("data", "stringData")}


@pytest.mark.parametrize(
    "file",
    [
        "backstage-1.10-ready.yaml",
        "backstage-1.10-just-created.yaml",
        "backstage-1.10-rolling-update-stuck-deployed-true.yaml",
        "backstage-1.10-rollout-deadline-exceeded-deployed-true.yaml",
        "backstage-1.10-scaled-to-zero.yaml",
        "backstage-1.9-ready.yaml",
        "backstage-1.8-ready.yaml",
        "backstage-1.7-ready.yaml",
    ],
)
def test_deployed_condition(file: str) -> None:
    recorded = recorded_facts.load(f"rhdh-operator/{file}")
    name = file.split("-")[1]
    workload = next(
        each for each in recorded if each["kind"] == "Deployment" and each["metadata"]["name"].startswith("backstage-")
    )
    condition = compare.pick(recorded, "Backstage")["status"]["conditions"][0]
    wanted = (condition["status"], condition["reason"], condition.get("message", ""))
    assert hub.deployed(workload, hub.read_releases()[name]) == wanted
