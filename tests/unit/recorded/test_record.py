"""Which facts of a recording are kept."""

from __future__ import annotations

import typing as t

import pytest
import yaml

from tests.recorded import form
from tests.recorded.form import Object
from tests.tools import record

LONG = "x" * (record.LONGEST_TEXT + 1)


def thing(kind: str = "Thing", metadata: Object | None = None, **more: t.Any) -> Object:
    return {"apiVersion": "a.example/v1", "kind": kind, "metadata": {"name": "thing", **(metadata or {})}, **more}


def reduced(obj: Object, whole: bool = False) -> Object:
    return record.reduce(obj, whole)


def deployment() -> Object:
    container = {
        "name": "one",
        "image": "an/image:1",
        "env": [
            {"name": "A", "value": "1"},
            {"name": "DATABASE", "value": "jdbc:postgresql://db.home:5432/orch?currentSchema=a-schema"},
        ],
        "ports": [{"containerPort": 80, "protocol": "TCP"}],
        "command": ["/bin/sh", "-c"],
        "readinessProbe": {"periodSeconds": 10, "successThreshold": 1},
        "terminationMessagePath": "/dev/termination-log",
    }
    pod = {"containers": [container], "dnsPolicy": "ClusterFirst", "serviceAccountName": "me"}
    return thing("Deployment", spec={"replicas": 1, "template": {"spec": pod}}, status={"readyReplicas": 1})


def test_what_changes_from_run_to_run_is_dropped() -> None:
    metadata = {
        "uid": "1",
        "resourceVersion": "2",
        "creationTimestamp": "2026-11-23T16:00:00Z",
        "managedFields": [],
        "_fieldManagers": ["me"],
        "annotations": {
            "kubectl.kubernetes.io/last-applied-configuration": "{}",
            "pv.kubernetes.io/bind-completed": "yes",
        },
        "labels": {"app": "thing"},
        "ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "c", "uid": "3"}],
    }
    conditions = [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-11-23T16:00:00Z"}]
    status = {"conditions": conditions, "podIP": "10.0.0.1", "nothing": None}
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "c"}
    assert reduced(thing(metadata=metadata, status=status)) == thing(
        metadata={"labels": {"app": "thing"}, "ownerReferences": [owner]},
        status={"conditions": [{"type": "Ready", "status": "True"}]},
    )


@pytest.mark.parametrize("kind", record.WITH_TIME)
def test_the_age_of_what_is_judged_by_it_is_kept(kind: str) -> None:
    metadata = {"creationTimestamp": "2026-11-23T16:00:00Z"}
    assert reduced(thing(kind, metadata))["metadata"] == {"name": "thing", **metadata}


@pytest.mark.parametrize("kind", record.WITH_OWNERS_UID)
def test_the_uid_of_an_owner_that_gives_a_name_is_kept(kind: str) -> None:
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "c", "uid": "3"}
    assert reduced(thing(kind, {"ownerReferences": [owner]}))["metadata"]["ownerReferences"] == [owner]


def test_a_recording_is_not_changed() -> None:
    obj = deployment()
    reduced(obj)
    assert obj == deployment()


def test_long_texts_are_digests() -> None:
    address = f"postgresql://{LONG}"
    spec = {"short": "x", "long": LONG, "lines": "a\nb", "list": [LONG, 1], "args": ["-v"], "url": address}
    assert reduced(thing(spec=spec))["spec"] == {
        "short": "x",
        "long": form.digest(LONG),
        "lines": form.digest("a\nb"),
        "list": [form.digest(LONG), 1],
        "args": [form.digest("-v")],
        "url": address,
    }


def test_values_of_config_maps_are_digests_and_those_of_secrets_are_not_there() -> None:
    data = {"a": "text", "hidden": "<sha256 12, 40 bytes>"}
    assert reduced(thing("ConfigMap", data=data))["data"] == {"a": form.digest("text"), "hidden": ""}
    assert reduced(thing("Secret", data={"password": "x"}))["data"] == {"password": ""}


@pytest.mark.parametrize(
    ("message", "short"),
    [
        ("", ""),
        ("It failed: 1.2 of 3. no more", "It failed: 1.2 of 3. no more"),
        ("It failed. Look into the log.", "It failed."),
        ("x" * 300, "x" * record.LONGEST_MESSAGE + "…"),
    ],
)
def test_messages_are_one_sentence(message: str, short: str) -> None:
    assert record.short_message(message) == short
    assert reduced(thing(status={"message": message}))["status"] == {"message": short}


def test_a_workload_has_names_images_variables_and_ports() -> None:
    found = reduced(deployment())
    address = "jdbc:postgresql://db.home:5432/orch?currentSchema=a-schema"
    assert found["spec"]["template"]["spec"] == {
        "containers": [
            {
                "name": "one",
                "image": "an/image:1",
                "env": [{"name": "A"}, {"name": "DATABASE", "value": address}],
                "ports": [{"containerPort": 80}],
            }
        ]
    }
    assert (found["spec"]["replicas"], found["status"]) == (1, {"readyReplicas": 1})


def test_a_whole_workload_lacks_only_the_servers_defaults() -> None:
    (container,) = reduced(deployment(), whole=True)["spec"]["template"]["spec"].pop("containers")
    assert container["env"][0] == {"name": "A", "value": "1"}
    assert container["readinessProbe"] == {"periodSeconds": 10}
    assert container["command"] == [form.digest("/bin/sh"), form.digest("-c")]
    assert "terminationMessagePath" not in container


def test_a_headless_service_is_one() -> None:
    assert reduced(thing("Service", spec={"clusterIP": "None"}))["spec"] == {"clusterIP": "None"}
    assert reduced(thing("Service", spec={"clusterIP": "10.0.0.1"}))["spec"] == {}


def test_defaults_stay_in_what_is_no_workload() -> None:
    assert reduced(thing(spec={"protocol": "TCP"}))["spec"] == {"protocol": "TCP"}


def test_a_csv_has_supported_modes_and_what_is_not_met() -> None:
    modes = [{"type": "OwnNamespace", "supported": True}, {"type": "AllNamespaces", "supported": False}]
    requirements = [
        {"name": "there", "status": "Present"},
        {
            "name": "me",
            "status": "PresentNotSatisfied",
            "dependents": [{"status": "Satisfied"}, {"status": "NotSatisfied"}],
        },
    ]
    status = {"phase": "Pending", "conditions": [{"phase": "Pending"}], "requirementStatus": requirements}
    found = reduced(thing("ClusterServiceVersion", spec={"installModes": modes}, status=status))
    assert found["spec"] == {"installModes": modes[:1]}
    wanting = {"name": "me", "status": "PresentNotSatisfied", "dependents": [{"status": "NotSatisfied"}]}
    assert found["status"] == {"phase": "Pending", "requirementStatus": [wanting]}


def test_recorded_files_are_lists_or_documents() -> None:
    text = "# remark\nnotFound: [x]\n---\nkind: A\n---\n- {kind: B}\n- {kind: C}\n- no object\n---\n"
    assert [each["kind"] for each in record.read_objects(text)] == ["A", "B", "C"]


def test_facts_are_read_back() -> None:
    objects = [thing(status={"conditions": [{"type": "Ready", "status": "True"}]}), thing("Other", spec={"a": [1, 2]})]
    text = record.facts("olm/name", objects)
    assert [form.unfold(heading, each) for heading, each in yaml.safe_load(text).items()] == objects
    assert text.splitlines() == [
        "a.example/v1 Thing thing:",
        "  status:",
        "    conditions: [Ready=True]",
        "a.example/v1 Other thing:",
        "  spec:",
        "    a: [1, 2]",
    ]


def test_only_some_scenarios_have_whole_workloads() -> None:
    assert "periodSeconds" in record.facts("logic-operator/a-platform-ready", [deployment()])
    assert "periodSeconds" not in record.facts("logic-operator/g-sf-jobfail", [deployment()])


def test_an_object_is_recorded_once() -> None:
    with pytest.raises(ValueError, match="twice"):
        record.facts("olm/name", [thing(), thing()])


def test_fields_are_the_union_without_values() -> None:
    def sonataflow(**spec: t.Any) -> Object:
        return {"apiVersion": "sonataflow.org/v1alpha08", "kind": "SonataFlow", "metadata": {"name": "x"}, "spec": spec}

    objects = [
        sonataflow(a="text", items=[{"b": 1}], _own=1),
        sonataflow(items=[{"c": True}], d={"e": None}),
        thing(spec={"not": "ours"}),
    ]
    assert record.fields_of(objects) == {
        "sonataflow.org/v1alpha08 SonataFlow": {"spec": {"a": "", "items": [{"b": 0, "c": False}], "d": {"e": None}}}
    }


def test_timelines_have_what_appeared_went_and_changed() -> None:
    lines = [
        "# a remark",
        '16:00:01.000 ADD sonataflowplatforms n/p [{"type": "Succeed", "status": "Unknown"}]',
        "16:00:01.250 MOD sonataflowplatforms n/p Succeed=Unknown generation=2",
        "16:00:01.500 MODIFIED   SonataFlowPlatform/p Succeed=False/Creating; other",
        '16:00:02.000 MOD sonataflowplatforms n/p [{"type": "Succeed", "status": "True", "reason": "Fine", "mess',
        "16:00:02.100 MOD services n/s port changed",
        "16:00:02.200 ADD pods n/pod",
        "16:00:02.300 ADD Event n/e Something=True",
        "16:00:03.000 DELETED SonataFlowPlatform/p",
        "16:00:04.000 something else",
    ]
    assert list(record.short_timeline(lines)) == [
        "0.000 ADD sonataflowplatforms n/p Succeed=Unknown",
        "0.500 MOD sonataflowplatforms p Succeed=False/Creating",
        "1.000 MOD sonataflowplatforms n/p Succeed=True/Fine",
        "2.000 DEL sonataflowplatforms p",
    ]


@pytest.mark.parametrize(
    ("rest", "found"),
    [
        ("", ()),
        ("Aa=True Bb=False/No", ("Aa=True", "Bb=False/No")),
        ("[Aa=True;Bb=Unknown]", ("Aa=True", "Bb=Unknown")),
        ("Aa=Truely bb=True", ()),
        ('{"type": "A", "status": "True", "reason": ""}', ("A=True",)),
    ],
)
def test_conditions_in_lines(rest: str, found: tuple[str, ...]) -> None:
    assert record.conditions(rest) == found


def test_every_file_here_is_known_to_the_tool() -> None:
    names = record.files()
    assert "olm/09-unpack-fail.yaml" in names
    assert "rhdh-operator/timeline-1.10-create.txt" in names
    assert not any(name.startswith("fields") or name.endswith(".py") for name in names)
