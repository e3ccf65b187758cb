"""Decisions about a Backstage with the orchestrator."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from ansible_collections.rhdh.orchestrator.plugins.module_utils._database import options as database_options
from ansible_collections.rhdh.orchestrator.plugins.module_utils._hub import installer as installer_log
from ansible_collections.rhdh.orchestrator.plugins.module_utils._hub import judge as hub_judge
from ansible_collections.rhdh.orchestrator.plugins.module_utils._hub import refusals as hub_refusals
from ansible_collections.rhdh.orchestrator.plugins.module_utils._hub import spec as hub_spec
from ansible_collections.rhdh.orchestrator.plugins.module_utils._release import lookup as release_lookup
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.gone import judge_gone

from tests.recorded import load

NAMES = hub_spec.Names("dh", "t3")
ROW = release_lookup.release("1.10")


def recorded(name: str) -> dict[tuple[str, str], dict[str, Any]]:
    """Objects as a real API server held them, by kind and name."""
    return {(obj["kind"], obj["metadata"]["name"]): obj for obj in load(f"rhdh-operator/{name}")}


def backstage(**more: Any) -> dict[str, Any]:
    return {"kind": "Backstage", "metadata": {"name": "dh", "namespace": "t3", "uid": "u1"}, **more}


def owned(kind: str, name: str, uid: str | None, owner: str = "dh") -> dict[str, Any]:
    references = [{"kind": "Backstage", "name": owner, "uid": uid, "controller": True}] if uid else []
    return {"kind": kind, "metadata": {"name": name, "namespace": "t3", "ownerReferences": references}}


def failed(message: str) -> dict[str, Any]:
    return backstage(status={"conditions": [{"type": "Deployed", "status": "False", "reason": "DeployFailed",
                                             "message": message}]})  # fmt: skip


@pytest.mark.parametrize(
    ("current", "lightspeed", "expected"),
    [
        (None, None, [("orchestrator", True)]),
        (None, False, [("orchestrator", True), ("lightspeed", False)]),
        ([], None, [("orchestrator", True), ("lightspeed", False)]),  # an empty list had switched it off
        ([{"name": "lightspeed", "enabled": False}], None, [("lightspeed", False), ("orchestrator", True)]),
        ([{"name": "lightspeed"}], False, [("lightspeed", False), ("orchestrator", True)]),
        ([{"name": "x"}, {"name": "x", "enabled": False}], None, [("x", False), ("orchestrator", True)]),
    ],
)
def test_flavours(current: list | None, lightspeed: bool | None, expected: list) -> None:
    merged = hub_spec.merge_flavours(current, True, lightspeed)
    assert [(flavour["name"], flavour["enabled"]) for flavour in merged] == expected
    assert hub_spec.merge_flavours(merged, True, lightspeed) == merged


def spec(row: dict, live: dict | None = None, user: dict | None = None, **more: Any) -> dict[str, Any]:
    options = {"orchestrator": True, "lightspeed": None, "replicas": None, "plugins_config_map": None, "token": None}
    return hub_spec.desired_spec(row, live, user=user or {}, **{**options, **more})


def test_spec_holds_only_what_we_own() -> None:
    assert spec(ROW) == {"flavours": [{"name": "orchestrator", "enabled": True}]}
    assert spec(release_lookup.release("1.9"), plugins_config_map="p") == {
        "application": {"dynamicPluginsConfigMapName": "p"}
    }


def test_spec_merges_deeply_and_carries_the_token() -> None:
    user = {"deployment": {"patch": {"spec": {"template": {"x": 1}}}}}
    wanted = spec(ROW, user=user, replicas=2, token="abc")
    assert wanted["deployment"]["patch"]["spec"] == {"template": {"x": 1}, "replicas": 2}
    assert hub_spec.token_of({"spec": wanted}) == "abc"
    assert user == {"deployment": {"patch": {"spec": {"template": {"x": 1}}}}}
    assert hub_spec.token_of(None) is None


def test_flavours_of_the_live_object_are_kept() -> None:
    live = backstage(spec={"flavours": [{"name": "mine", "enabled": True}]})
    assert [flavour["name"] for flavour in spec(ROW, live)["flavours"]] == ["mine", "orchestrator"]


def test_references() -> None:
    application = {
        "appConfig": {"configMaps": [{"name": "a"}]},
        "extraEnvs": {"secrets": [{"name": "s", "key": "k"}], "envs": [{"name": "X", "value": "1"}]},
        "extraFiles": {"secrets": [{"name": "s"}]},
    }
    assert [(kind.kind, name) for kind, name in hub_spec.references({"application": application})] == [
        ("ConfigMap", "a"),
        ("Secret", "s"),
    ]


def test_spec_problems() -> None:
    assert "has no flavours" in hub_refusals.spec_problems(release_lookup.release("1.9"), {"flavours": []})[0]
    assert len(hub_refusals.spec_problems(ROW, {"flavours": ["x"], "application": [], "deployment": {"patch": 1}})) == 3
    assert hub_refusals.spec_problems(ROW, {"flavours": [], "database": {"enableLocalDb": False}}) == []


def test_served_problem() -> None:
    assert hub_refusals.served_problem(ROW, ["v1alpha4", "v1alpha5"]) == ""
    assert "install the Developer Hub operator" in hub_refusals.served_problem(ROW, [])
    assert "channel fast-1.7" in hub_refusals.served_problem(release_lookup.release("1.7"), ["v1alpha5"])


def test_dependencies_of_others_are_refused() -> None:
    ours, nobodys = (
        owned("SonataFlowPlatform", hub_spec.PLATFORM, "u1"),
        owned("NetworkPolicy", hub_refusals.POLICIES[0], None),
    )
    assert hub_refusals.dependency_problems(backstage(), [ours], NAMES) == []
    (problem,) = hub_refusals.dependency_problems(backstage(), [ours, nobodys], NAMES)
    assert "has no owner" in problem
    assert "belongs to Backstage dh" in hub_refusals.dependency_problems(None, [ours], NAMES)[0]


def test_a_second_orchestrator_is_recognised() -> None:
    assert hub_refusals.has_orchestrator(backstage(spec={"flavours": [{"name": "orchestrator"}]}), [], False)
    assert not hub_refusals.has_orchestrator(
        backstage(spec={"flavours": [{"name": "orchestrator", "enabled": False}]}), [], False
    )
    assert hub_refusals.has_orchestrator(backstage(), [owned("NetworkPolicy", hub_refusals.POLICIES[0], "u1")], False)
    assert hub_refusals.has_orchestrator(backstage(), [], True)


def test_external_database() -> None:
    assert hub_refusals.external_database_problem(ROW, NAMES, True) == ""
    assert "which does not exist" in hub_refusals.external_database_problem(ROW, NAMES, False)
    assert "orchestrator.platform: self" in hub_refusals.external_database_problem(
        release_lookup.release("1.9"), NAMES, True
    )


def test_the_recorded_ready_hub_is_ready() -> None:
    objects = recorded("backstage-1.10-ready.yaml")
    hub = objects["Backstage", "dh"]
    hub["metadata"]["uid"] = "u1"
    platform = objects["SonataFlowPlatform", hub_spec.PLATFORM]
    platform["metadata"]["ownerReferences"][0]["uid"] = "u1"
    assert hub_judge.judge_backstage(hub).state == "ready"
    assert hub_judge.judge_workload(objects["Deployment", NAMES.workload], None).state == "ready"
    assert hub_judge.judge_platform(platform, hub, NAMES, True).state == "ready"
    platform["spec"]["services"]["jobService"]["persistence"]["postgresql"]["secretRef"]["name"] = "other"
    assert hub_judge.judge_platform(platform, hub, NAMES, True).reason == "OtherDatabase"


@pytest.mark.parametrize(
    ("name", "state", "reason"),
    [
        ("backstage-1.10-rolling-update-stuck-deployed-true.yaml", "pending", "RollingOut"),
        ("backstage-1.10-rollout-deadline-exceeded-deployed-true.yaml", "failed", "ProgressDeadlineExceeded"),
        ("backstage-1.10-scaled-to-zero.yaml", "pending", "ScaledToZero"),
    ],
)
def test_deployed_is_true_and_yet_it_is_not_ready(name: str, state: str, reason: str) -> None:
    objects = recorded(name)
    (hub,) = [obj for (kind, _rest), obj in objects.items() if kind == "Backstage"]
    (workload,) = [obj for (kind, _rest), obj in objects.items() if kind == "Deployment"]
    assert hub_judge.judge_backstage(hub).state == "ready"
    verdict = hub_judge.judge_workload(workload, None)
    assert (verdict.state, verdict.reason) == (state, reason)


def test_the_old_workload_does_not_pass_for_the_new_one() -> None:
    workload = copy.deepcopy(recorded("backstage-1.10-ready.yaml")["Deployment", NAMES.workload])
    assert hub_judge.judge_workload(workload, "new").reason == "NotSeen"
    workload["metadata"]["annotations"][hub_spec.HANDSHAKE] = "new"
    assert hub_judge.judge_workload(workload, "new").state == "ready"


@pytest.mark.parametrize(
    ("name", "missing"),
    [
        ("backstage-1.10-error-e-missing-plugins.yaml", ("ConfigMap", "nosuch")),
        ("backstage-1.10-sfp-crd-missing.yaml", ("SonataFlowPlatform", "sonataflow.org/v1alpha08")),
        ("backstage-1.10-error-e-flavour.yaml", None),
        ("backstage-1.10-error-e-badyaml.yaml", None),
        ("backstage-1.10-error-platform-invalid.yaml", None),
    ],
)
def test_recorded_failures_are_never_final_at_once(name: str, missing: tuple | None) -> None:
    (hub,) = [obj for (kind, _rest), obj in recorded(name).items() if kind == "Backstage"]
    verdict = hub_judge.judge_backstage(hub)
    assert verdict.state == "failed"
    assert verdict.grace >= 30
    assert verdict.remedy
    message = hub["status"]["conditions"][0]["message"]
    assert hub_judge.explain_failure(message).missing == missing
    assert "cannot apply it" not in hub_judge.explain_failure(message).summary


def test_an_unknown_failure_is_shown_and_never_final() -> None:
    verdict = hub_judge.judge_backstage(failed("something new"))
    assert (verdict.state, verdict.reason) == ("pending", "DeployFailed")
    assert "something new" in verdict.message
    assert "log" in verdict.remedy


def test_touching() -> None:
    known, unknown = hub_judge.explain_failure('Secret "x" not found'), hub_judge.explain_failure("odd")
    assert not hub_judge.touch_due(known, False, 1000)
    assert hub_judge.touch_due(known, True, 10)
    assert not hub_judge.touch_due(known, True, 5)
    assert hub_judge.touch_due(unknown, False, 60)
    assert not hub_judge.touch_due(unknown, True, 30)


def test_a_stolen_platform_fails() -> None:
    platform = owned("SonataFlowPlatform", hub_spec.PLATFORM, "u2", "dh2")
    verdict = hub_judge.judge_platform(platform, backstage(), NAMES, True)
    assert (verdict.state, verdict.reason) == ("failed", "NotOurs")
    assert "Backstage dh2" in verdict.message
    assert hub_judge.judge_platform(None, backstage(), NAMES, True).state == "pending"


def test_the_recorded_foreground_deletion_is_recognised() -> None:
    objects = recorded("backstage-1.10-foreground-deletion-livelock.yaml")
    (hub,) = [obj for (kind, _rest), obj in objects.items() if kind == "Backstage"]
    assert hub_judge.stuck_in_foreground(hub)
    assert not hub_judge.stuck_in_foreground(backstage())
    assert not hub_judge.stuck_in_foreground(None)


@pytest.mark.parametrize(
    ("log", "reason"),
    [
        ("InstallException: No integrity hash provided for Package @redhat/x@1.8.9", "NoIntegrity"),
        ("Error: Zip bomb detected in package", "TooLarge"),
        ("npm error ENOTFOUND npm.registry.example", "RegistryUnreachable"),
        ("Error: OSError: [Errno 28] No space left on device", "NoSpace"),
        ("Error: reading manifest 1.9: unauthorized: authentication required", "NotAllowed"),
        ("InstallException: cannot resolve {{inherit}} for oci://x", "CannotInherit"),
        ("Error: manifest unknown", "NoSuchPackage"),
        ("all fine\nthen it stopped", "PluginsNotInstalled"),
        ("", "PluginsNotInstalled"),
    ],
)
def test_installer_logs(log: str, reason: str) -> None:
    verdict = installer_log.classify_installer_log("starting 403 plugins\n" + log)
    assert (verdict.state, verdict.reason) == ("failed", reason)
    assert verdict.grace > 0


def test_failing_installer_takes_the_newest_pod() -> None:
    def pod(name: str, created: str, state: dict[str, Any], **more: Any) -> dict[str, Any]:
        status = {"name": installer_log.INSTALLER, "state": state, "restartCount": 2, **more}
        metadata = {"name": name, "creationTimestamp": created}
        return {"metadata": metadata, "status": {"initContainerStatuses": [status]}}

    ended = {"terminated": {"exitCode": 1}}
    waiting = pod("b", "2", {"waiting": {"reason": "CrashLoopBackOff"}}, lastState=ended)
    assert installer_log.failing_installer([pod("a", "1", ended), waiting]) == ("b", 2)
    assert installer_log.failing_installer([pod("c", "3", {"terminated": {"exitCode": 0}})]) is None
    assert installer_log.failing_installer([pod("d", "4", {"running": {}}, lastState=ended)]) is None


def test_the_database_and_the_workload_follow_the_spec() -> None:
    assert hub_spec.local_database({})
    assert not hub_spec.local_database({"database": {"enableLocalDb": False}})
    assert hub_spec.workload_kind({"deployment": {"kind": "StatefulSet"}}).kind == "StatefulSet"
    assert hub_spec.workload_kind({}).kind == "Deployment"


def test_gone() -> None:
    assert judge_gone(None).state == "ready"
    assert "f1" in judge_gone({"metadata": {"finalizers": ["f1"]}}).message


def test_a_platform_is_let_go_of_and_had_back() -> None:
    ours = owned("SonataFlowPlatform", hub_spec.PLATFORM, "u1")
    patch = hub_refusals.release(ours, "u1")["metadata"]
    assert patch == {"ownerReferences": None, "annotations": {hub_spec.RELEASED: "dh"}}
    database = database_options.hub_database("dh", "t3")
    postgresql = {"postgresql": database.persistence(hub_spec.PLATFORM, "data_index")}
    free = {
        "kind": "SonataFlowPlatform",
        "metadata": {"name": hub_spec.PLATFORM, "namespace": "t3", "annotations": patch["annotations"]},
        "spec": {"services": {"dataIndex": {"persistence": postgresql}}},
    }
    assert hub_refusals.taken_back(free, NAMES)
    assert hub_refusals.dependency_problems(backstage(), [free], NAMES) == []
    free["spec"]["services"]["dataIndex"]["persistence"]["postgresql"] = {"jdbcUrl": "jdbc:postgresql://pg:5432/orch"}
    assert not hub_refusals.taken_back(free, NAMES)
    assert "orchestrator.platform: self" in hub_refusals.dependency_problems(backstage(), [free], NAMES)[0]
