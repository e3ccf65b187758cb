"""What `k8s_wait` can wait for."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.rhdh.orchestrator.plugins.module_utils._targets import judge as targets_judge
from ansible_collections.rhdh.orchestrator.plugins.module_utils._targets import target as wait_target
from ansible_collections.rhdh.orchestrator.plugins.module_utils._targets.judge import Around
from ansible_collections.rhdh.orchestrator.plugins.module_utils._targets.target import Target, Wanted
from ansible_collections.rhdh.orchestrator.plugins.module_utils._targets.wait import clean

Object = dict[str, t.Any]


def obj(generation: int = 1, deleting: bool = False, **status: t.Any) -> Object:
    metadata: Object = {"name": "a", "generation": generation}
    if deleting:
        metadata.update(deletionTimestamp="2026-01-01T00:00:00Z", finalizers=["example.com/hold"])
    return {"metadata": metadata, "spec": {"replicas": 2}, "status": status}


def target(check: str, kind: str = "Thing", **options: t.Any) -> Target:
    return Target("example.com/v1", kind, check, name=options.pop("name", "a"), **options)


def verdict(wanted: Target, *objects: Object) -> str:
    return targets_judge.judge(wanted, objects).state


READY = {"type": "Ready", "status": "True", "reason": "Good"}


@pytest.mark.parametrize(
    ("wanted", "objects", "state"),
    [
        (target("exists"), [obj()], "ready"),
        (target("exists"), [], "pending"),
        (target("exists"), [obj(deleting=True)], "pending"),
        (target("absent"), [], "ready"),
        (target("absent"), [obj(deleting=True)], "pending"),
        (target("condition", conditions=(Wanted("Ready"),)), [obj(conditions=[READY])], "ready"),
        (target("condition", conditions=(Wanted("Ready", "False"),)), [obj(conditions=[READY])], "pending"),
        (target("condition", conditions=(Wanted("Ready", reason="Bad"),)), [obj(conditions=[READY])], "pending"),
        (
            target("condition", conditions=(Wanted("Ready"),)),
            [obj(generation=2, observedGeneration=1, conditions=[READY])],
            "pending",
        ),
        (target("field", field="status.phase", value="Bound"), [obj(phase="Bound")], "ready"),
        (target("field", field="status.phase", value="Bound"), [obj(phase="Pending")], "pending"),
        (target("field", field="status.phase", comparison="absent"), [obj()], "ready"),
        (target("exists", name=None, at_least=2), [obj()], "pending"),
        (target("job", "Job"), [obj(conditions=[{"type": "Complete", "status": "True"}])], "ready"),
        (target("job", "Job"), [obj(conditions=[{"type": "Failed", "status": "True"}])], "failed"),
        (target("job", "Job"), [obj(active=1)], "pending"),
    ],
)
def test_verdicts(wanted: Target, objects: list[Object], state: str) -> None:
    assert verdict(wanted, *objects) == state


def test_what_holds_a_deletion_is_named() -> None:
    found = targets_judge.judge(target("absent"), [obj(deleting=True)])
    assert "example.com/hold" in found.message


def test_a_copied_csv_is_not_an_operator() -> None:
    csv = {
        "metadata": {"name": "a", "labels": {"olm.copiedFrom": "other"}},
        "spec": {},
        "status": {"phase": "Succeeded"},
    }
    assert targets_judge.judge(target("csv"), [csv]).state == "failed"


@pytest.mark.parametrize(
    ("comparison", "found", "value", "holds"),
    [
        ("eq", 3, "3", True),
        ("eq", 3.0, "3", True),
        ("eq", "1.10", "1.1", False),
        ("ne", "1.10", 1.1, True),
        ("gt", "1Gi", "900Mi", True),
        ("lt", "500m", 1, True),
        ("gt", True, 0, False),
        ("eq", "a", "b", False),
        ("eq", True, "true", True),
        ("eq", True, True, True),
        ("ne", "a", "b", True),
        ("gt", 10, 9, True),
        ("gt", "10", "9", True),
        ("ge", "a", 1, False),
        ("le", 2, 2, True),
        ("in", "b", ["a", "b"], True),
        ("in", "b", "a,b", True),
        ("matches", "v1.38.1", r"^v1\.38", True),
    ],
)
def test_comparisons(comparison: str, found: t.Any, value: t.Any, holds: bool) -> None:
    assert targets_judge.compare(comparison, found, value) is holds


def test_paths() -> None:
    data = {"a": [{"b": 1}], "labels": {"x.y/z": "v"}}
    assert targets_judge.look_up(data, "a[0].b") == (True, 1)
    assert targets_judge.look_up(data, 'labels["x.y/z"]') == (True, "v")
    assert targets_judge.look_up(data, "a[1].b") == (False, None)
    assert targets_judge.look_up(data, "a.b") == (False, None)


def pod(check: str, **options: t.Any) -> Target:
    return Target("v1", "Pod", check, namespace="home", **options)


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ([pod("exists", name="a", label_selector="x=y")], "name and label_selector exclude each other"),
        ([pod("condition")], "needs conditions"),
        ([pod("exists", conditions=(Wanted("R"),))], "only with check condition"),
        ([pod("rollout")], "rollout is for Deployment"),
        ([pod("exists", at_least=0)], "at_least must be 1"),
        ([pod("exists", name="a", at_least=2)], "fits neither"),
        ([pod("field", value=1)], "needs field"),
        ([pod("field", field="status..phase", value=1)], "is no path"),
        ([pod("field", field="status.phase", comparison="gt")], "needs value"),
        ([pod("field", field="status.phase", comparison="gt", value="high")], "needs a number"),
        ([pod("field", field="status.phase", comparison="exists", value="high")], "takes no value"),
        ([pod("field", field="a", comparison="matches", value="(")], "regular expression"),
        ([pod("exists", field="a")], "only with check field"),
        ([pod("exists", stable_for=-1)], "stable_for -1"),
        ([pod("absent", failed_conditions=(Wanted("F"),))], "is to be absent"),
        ([pod("exists", failed_conditions=(Wanted("F", grace=-1),))], "grace -1"),
        ([pod("condition", conditions=(Wanted("R"), Wanted("R", "False")))], "cannot be False and True at once"),
        ([pod("condition", conditions=(Wanted("R"),), failed_conditions=(Wanted("R"),))], "wanted and a failure"),
        ([pod("exists", name="d"), pod("absent", name="d")], "absent and something else"),
        ([pod("exists", name="d"), pod("exists", name="d")], "is given twice"),
        ([pod("absent", name="")], "name is empty; leave it out"),
        (
            [pod("condition", conditions=(Wanted("R"),)), pod("condition", conditions=(Wanted("R", "False"),))],
            "cannot be False and True at once",
        ),
        ([], "the list is empty"),
    ],
)
def test_bad_input(wanted: list[Target], said: str) -> None:
    problems = wait_target.check_input(wanted, 60)
    assert len(problems) == 1
    assert said in problems[0]


@pytest.mark.parametrize("timeout", [0, -5])
def test_a_timeout_is_positive(timeout: int) -> None:
    assert wait_target.check_input([pod("exists", name="a")], timeout) == [
        f"wait_timeout: {timeout} is not a positive number of seconds."
    ]


def test_all_problems_are_told_at_once() -> None:
    wanted = [pod("condition", name="a", label_selector="x=y"), pod("rollout", at_least=0)]
    assert len(wait_target.check_input(wanted, 0)) == 5


def test_good_input_has_no_problem() -> None:
    wanted = [
        pod("condition", name="a", conditions=(Wanted("R"), Wanted("S", "False")), failed_conditions=(Wanted("F"),)),
        pod("condition", name="a", conditions=(Wanted("R"), Wanted("T", "Unknown"))),
        pod("field", field='metadata.labels["a.b/c"]', comparison="in", value=["x"]),
        pod("field", field="status.list[0].name", comparison="absent"),
        pod("field", field="spec.size", comparison="ge", value="2Gi"),
        pod("exists", label_selector="a=b", at_least=3),
    ]
    assert wait_target.check_input(wanted, 1) == []
    assert len({target.label for target in wanted}) == len(wanted)


FAILED = {"type": "Failed", "status": "True", "reason": "Broken", "message": "gave up"}


@pytest.mark.parametrize(
    ("conditions", "state"),
    [
        ([], "pending"),
        ([FAILED], "failed"),
        ([{**FAILED, "status": "False"}], "pending"),
        ([{**FAILED, "observedGeneration": 0}], "pending"),
        ([FAILED, READY], "ready"),
    ],
)
def test_a_condition_may_end_the_wait_as_failed(conditions: list[Object], state: str) -> None:
    wanted = target("condition", conditions=(Wanted("Ready"),), failed_conditions=(Wanted("Failed", grace=7),))
    verdict = targets_judge.judge(wanted, [obj(conditions=conditions)])
    assert verdict.state == state
    if state == "failed":
        assert (verdict.grace, verdict.message) == (7, "Failed is True (Broken): gave up")
        assert targets_judge.judge(wanted, [obj(conditions=conditions)], fail_fast=False).state == "pending"


def test_a_condition_may_fail_what_has_only_to_exist() -> None:
    wanted = target("exists", failed_conditions=(Wanted("Failed"),))
    assert targets_judge.judge(wanted, [obj()]).state == "ready"
    assert targets_judge.judge(wanted, [obj(conditions=[FAILED])]).state == "failed"


def test_readiness_may_have_to_last() -> None:
    assert targets_judge.judge(target("exists", stable_for=9), [obj()]).stable_for == 9


@pytest.mark.parametrize(("condition", "state"), [("Complete", "ready"), ("Failed", "failed"), ("None", "pending")])
def test_a_job_that_vanished_is_judged_as_it_was(condition: str, state: str) -> None:
    last = obj(conditions=[{"type": condition, "status": "True", "message": "gone"}])
    assert targets_judge.judge(target("job", "Job"), [], Around(last=last)).state == state


def test_a_kind_is_found_among_what_the_server_lists() -> None:
    resources = [{"name": "things/status", "kind": "Thing"}, {"name": "things", "kind": "Thing", "namespaced": True}]
    kind = wait_target.find_kind(target("exists"), resources)
    assert kind is not None
    assert kind.path("home", "a") == "/apis/example.com/v1/namespaces/home/things/a"
    assert wait_target.find_kind(target("exists", "Other"), resources) is None


@pytest.mark.parametrize("value", ["canary-1", "canary-2"])
def test_values_of_secrets_are_in_no_message(value: str) -> None:
    wanted = target("field", "Secret", field="data.password", value=value)
    verdict = targets_judge.judge(wanted, [{"metadata": {"name": "a"}, "data": {"password": "canary-1"}}])
    assert verdict.state == ("ready" if value == "canary-1" else "pending")
    assert "canary" not in verdict.message + wanted.label


def test_results_never_show_values_of_secrets() -> None:
    last = {"kubectl.kubernetes.io/last-applied-configuration": '{"data": {"password": "hidden"}}'}
    secret = {"kind": "Secret", "metadata": {"name": "a", "annotations": last}, "data": {"password": "hidden"}}
    assert "hidden" not in str(clean(secret))
    assert secret["data"] == {"password": "hidden"}
