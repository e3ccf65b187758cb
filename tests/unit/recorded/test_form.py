"""The compact form of recorded objects, and what the files in it promise."""

from __future__ import annotations

import typing as t
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import recorded
from tests.recorded import form
from tests.recorded.form import Moment, Object

LONGEST_LINE = 250
FILES = sorted(path for path in recorded.FOLDER.rglob("*") if path.suffix in (".yaml", ".txt"))
TIMELINES = [path for path in FILES if path.suffix == ".txt"]


def named(path: Path) -> str:
    return str(path.relative_to(recorded.FOLDER))


def workload(**more: t.Any) -> Object:
    metadata = {
        "name": "thing",
        "namespace": "home",
        "labels": {"app": "thing"},
        "ownerReferences": [
            {"apiVersion": "a.example/v1", "kind": "Owner", "name": "o", "controller": True, "uid": "1-2"},
            {"apiVersion": "v1", "kind": "ConfigMap", "name": "c", "blockOwnerDeletion": True},
        ],
    }
    env = [
        {"name": "PLAIN", "value": "a=b"},
        {"name": "EMPTY", "value": ""},
        {"name": "UNKNOWN"},
        {"name": "SECRET", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
    ]
    spec = {"template": {"spec": {"containers": [{"name": "one", "env": env, "args": ["env", "conditions"]}]}}}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec, **more}


def test_an_object_is_a_heading_and_facts() -> None:
    heading, facts = form.fold(workload())
    assert heading == "apps/v1 Deployment home/thing"
    assert list(facts) == ["labels", "ownerReferences", "spec"]
    assert facts["ownerReferences"] == [
        "a.example/v1 Owner o controller uid=1-2",
        "v1 ConfigMap c blockOwnerDeletion",
    ]
    variables = facts["spec"]["template"]["spec"]["containers"][0]["env"]
    assert variables[:3] == ["PLAIN=a=b", "EMPTY=", "UNKNOWN"]
    assert variables[3]["name"] == "SECRET"


@pytest.mark.parametrize(
    "obj",
    [
        workload(),
        workload(status={"conditions": [{"type": "Available", "status": "True"}], "replicas": 0}),
        {"kind": "Subscription", "metadata": {"name": "s", "namespace": "n", "finalizers": ["f"]}, "spec": {}},
        {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": "n", "deletionTimestamp": "2026-11-23T16:00:00Z"},
        },
        {
            "kind": "ClusterServiceVersion",
            "metadata": {"name": "c", "namespace": "n", "annotations": {"a": "b"}},
            "spec": {"installModes": [{"type": "AllNamespaces", "supported": True}]},
        },
    ],
)
def test_unfold_returns_what_fold_was_given(obj: Object) -> None:
    assert form.unfold(*form.fold(obj)) == obj


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        ("Ready=True", {"type": "Ready", "status": "True"}),
        ("Ready=False/NotReady", {"type": "Ready", "status": "False", "reason": "NotReady"}),
        ("Ready=Unknown:", {"type": "Ready", "status": "Unknown", "message": ""}),
        ("Ready=False: no: it is not", {"type": "Ready", "status": "False", "message": "no: it is not"}),
        ("Ready=True/Fine: 1/2\n", {"type": "Ready", "status": "True", "reason": "Fine", "message": "1/2\n"}),
    ],
)
def test_conditions_are_short(text: str, condition: Object) -> None:
    obj = {"kind": "A", "metadata": {"name": "a"}, "status": {"conditions": [condition]}}
    heading, facts = form.fold(obj)
    assert facts["status"]["conditions"] == [text]
    assert form.unfold(heading, facts) == obj


@pytest.mark.parametrize(
    "condition",
    [
        {"type": "Ready", "status": "True", "severity": "Info"},
        {"type": "Ready", "status": "True", "reason": ""},
        {"type": "a.example/ready", "status": "True"},
        {"reason": "OnlyThis"},
    ],
)
def test_a_condition_that_has_no_short_form_stays(condition: Object) -> None:
    obj = {"kind": "A", "metadata": {"name": "a"}, "status": {"conditions": [condition]}}
    heading, facts = form.fold(obj)
    assert facts["status"]["conditions"] == [condition]
    assert form.unfold(heading, facts) == obj


def test_a_wrong_condition_is_no_condition() -> None:
    with pytest.raises(ValueError, match="not a condition"):
        form.unfold("A a", {"conditions": ["Ready"]})


def test_digests() -> None:
    assert form.digest("text") == form.digest("text") != form.digest("text ")
    assert form.is_digest(form.digest("text"))
    assert not any(form.is_digest(value) for value in ("text", "sha256:12", f"{form.digest('text')}0", None, 1))


def test_server_defaults() -> None:
    assert form.is_server_default("protocol", "TCP")
    assert not form.is_server_default("protocol", "UDP")
    assert not form.is_server_default("port", 80)


@pytest.mark.parametrize(
    ("kind", "plural"),
    [("Deployment", "deployments"), ("NetworkPolicy", "networkpolicies"), ("KnativeKafkas", "knativekafkas")],
)
def test_plural(kind: str, plural: str) -> None:
    assert form.plural(kind) == plural


@pytest.mark.parametrize(
    ("moment", "line"),
    [
        (Moment("ADD", "services", "n/s", ()), "0.000 ADD services n/s"),
        (
            Moment("MOD", "jobs", "j", ("A=True", "B=False/No"), "A=True; B=False/No"),
            "1.500 MOD jobs j A=True; B=False/No",
        ),
    ],
)
def test_lines_of_timelines(moment: Moment, line: str) -> None:
    assert form.write_moment(float(line.split()[0]), moment) == line
    assert form.read_moment(line) == moment


@pytest.mark.parametrize("line", ["", "  ", "# a remark"])
def test_remarks_are_no_moments(line: str) -> None:
    assert form.read_moment(line) is None


# -- the files ---------------------------------------------------------------------------------------------------------


def texts(value: t.Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, each in value.items():
            yield from (key, *texts(each))
    elif isinstance(value, list):
        for each in value:
            yield from texts(each)
    elif isinstance(value, str):
        yield value


@pytest.mark.parametrize("name", recorded.scenarios())
def test_every_scenario_loads_and_has_no_long_text(name: str) -> None:
    objects = recorded.load(name)
    assert objects
    for obj in objects:
        assert obj["kind"]
        assert obj["metadata"]["name"]
        for text in texts(obj):
            # OLM and the operators end some messages with a line break; that is no second line.
            assert "\n" not in text.removesuffix("\n"), text
            assert len(text) <= LONGEST_LINE, text
    # What a test changes in the objects is not seen by the next test.
    objects[0]["metadata"].clear()
    assert recorded.load(name)[0]["metadata"]


@pytest.mark.parametrize("path", TIMELINES, ids=named)
def test_every_timeline_loads(path: Path) -> None:
    moments = recorded.timeline(named(path))
    assert len(moments) == len(path.read_text(encoding="utf-8").splitlines())
    assert {moment.verb for moment in moments} <= {"ADD", "MOD", "DEL"}
    assert all(moment.kind.islower() for moment in moments)
    seconds = [float(line.split()[0]) for line in path.read_text(encoding="utf-8").splitlines()]
    assert seconds[0] == 0
    assert seconds == sorted(seconds)


def test_fields_contain_no_values() -> None:
    fields = recorded.fields()
    assert fields
    for body in fields.values():
        values = {value for value in _leaves(body) if not isinstance(value, dict | list)}
        assert values <= {"", 0}


def _leaves(value: t.Any) -> Iterator[t.Any]:
    if isinstance(value, dict | list) and value:
        for each in value.values() if isinstance(value, dict) else value:
            yield from _leaves(each)
    elif not isinstance(value, dict | list):
        yield value


@pytest.mark.parametrize("path", FILES, ids=named)
def test_lines_are_short_and_no_block_of_text_is_copied(path: Path) -> None:
    for line in path.read_text(encoding="utf-8").splitlines():
        assert len(line) <= LONGEST_LINE
        assert not line.rstrip().endswith((": |", ": >", ": |-", ": >-", "- |", "- >", "- |-", "- >-")), line


def test_a_scenario_that_is_not_recorded() -> None:
    with pytest.raises(FileNotFoundError):
        recorded.load("olm/nothing")
