"""What `k8s_wait` can wait for."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.rhdh.orchestrator.plugins.module_utils import _targets as targets
from ansible_collections.rhdh.orchestrator.plugins.module_utils._targets import Target
from ansible_collections.rhdh.orchestrator.plugins.module_utils._targets_wait import clean

Object = dict[str, t.Any]


def obj(generation: int = 1, deleting: bool = False, **status: t.Any) -> Object:
    metadata: Object = {"name": "a", "generation": generation}
    if deleting:
        metadata.update(deletionTimestamp="2026-01-01T00:00:00Z", finalizers=["example.com/hold"])
    return {"metadata": metadata, "spec": {"replicas": 2}, "status": status}


def target(check: str, kind: str = "Thing", **options: t.Any) -> Target:
    return Target("example.com/v1", kind, check, name=options.pop("name", "a"), **options)


def verdict(wanted: Target, *objects: Object) -> str:
    return targets.judge(wanted, objects, {}).state


READY = {"type": "Ready", "status": "True", "reason": "Good"}


@pytest.mark.parametrize(
    ("wanted", "objects", "state"),
    [
        (target("exists"), [obj()], "ready"),
        (target("exists"), [], "pending"),
        (target("exists"), [obj(deleting=True)], "pending"),
        (target("absent"), [], "ready"),
        (target("absent"), [obj(deleting=True)], "pending"),
        (target("condition", conditions=(("Ready", "True", None),)), [obj(conditions=[READY])], "ready"),
        (target("condition", conditions=(("Ready", "False", None),)), [obj(conditions=[READY])], "pending"),
        (target("condition", conditions=(("Ready", "True", "Bad"),)), [obj(conditions=[READY])], "pending"),
        (
            target("condition", conditions=(("Ready", "True", None),)),
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
    found = targets.judge(target("absent"), [obj(deleting=True)], {})
    assert "example.com/hold" in found.message


def test_a_copied_csv_is_not_an_operator() -> None:
    csv = {
        "metadata": {"name": "a", "labels": {"olm.copiedFrom": "other"}},
        "spec": {},
        "status": {"phase": "Succeeded"},
    }
    assert targets.judge(target("csv"), [csv], {}).state == "failed"


@pytest.mark.parametrize(
    ("comparison", "found", "value", "holds"),
    [
        ("eq", 3, "3", True),
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
    assert targets.compare(comparison, found, value) is holds


def test_paths() -> None:
    data = {"a": [{"b": 1}], "labels": {"x.y/z": "v"}}
    assert targets.look_up(data, "a[0].b") == (True, 1)
    assert targets.look_up(data, 'labels["x.y/z"]') == (True, "v")
    assert targets.look_up(data, "a[1].b") == (False, None)
    assert targets.look_up(data, "a.b") == (False, None)


def test_all_problems_are_told_at_once() -> None:
    problems = targets.check_input(
        [
            Target("v1", "Pod", "condition", name="a", label_selector="x=y"),
            Target("v1", "Pod", "rollout", at_least=0),
            Target("v1", "Pod", "field", name="b", comparison="gt"),
            Target("v1", "Pod", "condition", name="c", conditions=(("R", "True", None), ("R", "False", None))),
            Target("v1", "Pod", "exists", name="d"),
            Target("v1", "Pod", "absent", name="d"),
        ],
        0,
    )
    text = "\n".join(problems)
    for part in ("positive", "exclude", "needs conditions", "rollout is for", "at_least", "needs field", "needs value"):
        assert part in text
    assert "cannot be True and False" in text
    assert "absent and something else" in text


def test_a_kind_is_found_among_what_the_server_lists() -> None:
    resources = [{"name": "things/status", "kind": "Thing"}, {"name": "things", "kind": "Thing", "namespaced": True}]
    kind = targets.find_kind(target("exists"), resources)
    assert kind is not None
    assert kind.path("home", "a") == "/apis/example.com/v1/namespaces/home/things/a"
    assert targets.find_kind(target("exists", "Other"), resources) is None


def test_results_never_show_values_of_secrets() -> None:
    last = {"kubectl.kubernetes.io/last-applied-configuration": '{"data": {"password": "hidden"}}'}
    secret = {"kind": "Secret", "metadata": {"name": "a", "annotations": last}, "data": {"password": "hidden"}}
    assert "hidden" not in str(clean(secret))
    assert secret["data"] == {"password": "hidden"}
