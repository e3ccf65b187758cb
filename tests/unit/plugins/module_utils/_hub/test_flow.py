"""What developer_hub does with a plugin file that is on the cluster: refuse before a change, write, warn."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.rhdh.orchestrator.plugins.module_utils._hub import flow
from ansible_collections.rhdh.orchestrator.plugins.module_utils._hub import spec as hub_spec
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube import kinds as k
from ansible_collections.rhdh.orchestrator.plugins.module_utils._release import lookup as release_lookup
from ansible_collections.rhdh.orchestrator.plugins.module_utils._run.failures import InputError

from ..fake_cluster import FakeCluster

OLD = "plugins:\n- package: '@redhat/backstage-plugin-orchestrator@1.6.0' # old\n# mine\n"
INLINE = {"application": {"dynamicPlugins": [{"package": "./my-orchestrator"}]}}


class Module:
    """The part of a module that the flow uses."""

    def __init__(self, check_mode: bool = False, enabled: bool = True) -> None:
        self.params = {"orchestrator": {"enabled": enabled}}
        self.check_mode = check_mode
        self.warnings: list[str] = []

    def warn(self, text: str) -> None:
        self.warnings.append(text)


class Cluster(FakeCluster):
    """A cluster in which the ConfigMap may be written by another client before us."""

    meanwhile: str | None = None
    written: t.ClassVar[list] = []

    def revise(self, _kind: k.Kind, found: dict, edited: t.Callable[[dict], dict]) -> None:
        edited(found)
        now = found if self.meanwhile is None else {**found, "data": {"dynamic-plugins.yaml": self.meanwhile}}
        self.written = [edited(now)["data"]["dynamic-plugins.yaml"]]


def scene(release: str = "1.10", config_map: str | None = "p", spec: dict | None = None) -> flow.Scene:
    row = release_lookup.release(release)
    application = {"application": {"dynamicPluginsConfigMapName": config_map}} if config_map else {}
    return flow.Scene(
        row=row,
        names=hub_spec.Names("dh", "ns"),
        kind=k.BACKSTAGE.at(row["backstage_api"]),
        platform_kind=k.SONATAFLOW_PLATFORM.at(row["sonataflow_api"]),
        spec=hub_spec.merged(application, spec or {}),
    )


def cluster(text: str) -> Cluster:
    metadata = {"name": "p", "namespace": "ns"}
    return Cluster({"kind": "ConfigMap", "metadata": metadata, "data": {"dynamic-plugins.yaml": text}})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (OLD + "---\na: 1\n", "ConfigMap p, dynamic-plugins.yaml, line 4 begins a second document"),
        ("plugins:\n-\tpackage: a\n", "ConfigMap p, dynamic-plugins.yaml, line 2 has YAML that this module"),
        ("x: &x\n- package: '@redhat/backstage-plugin-orchestrator@1'\nplugins: *x\n", "line 3: `plugins` is an alias"),
    ],
)
def test_a_file_that_cannot_be_edited_is_a_problem_before_any_change(text: str, said: str) -> None:
    looked, server = scene(), cluster(text)
    flow.look_at_plugins(server, looked)
    (problem,) = looked.problems
    assert said in problem
    assert problem.endswith(".")
    assert looked.plugins is None
    assert server.asked == ["/api/v1/namespaces/ns/configmaps/p"]


def test_the_file_is_written_and_what_was_replaced_is_named() -> None:
    looked, server, module, result = scene(), cluster(OLD), Module(), {"diff": []}
    flow.look_at_plugins(server, looked)
    assert flow.write_plugins(module, server, looked, result)
    assert server.written == ["plugins: []\n# mine\n"]
    assert result["plugins_config_map"] == {
        "name": "p",
        "action": "patched",
        "replaced": ["@redhat/backstage-plugin-orchestrator@1.6.0"],
    }


def test_what_was_written_in_between_is_edited_and_warned_of() -> None:
    looked, server, module, result = scene(), cluster(OLD + "- package: ./my-orchestrator\n"), Module(), {"diff": []}
    server.meanwhile = "plugins:\n- package: ./my-orchestrator\n- package: ./other-orchestrator\n"
    flow.look_at_plugins(server, looked)
    flow.write_plugins(module, server, looked, result)
    assert server.written == [server.meanwhile]
    assert result["plugins_config_map"]["replaced"] == []
    assert [warning.count("orchestrator") for warning in module.warnings] == [1, 2]


def test_what_was_written_in_between_may_be_refused() -> None:
    looked, server = scene(), cluster(OLD)
    server.meanwhile = "a: 1\n---\n"
    flow.look_at_plugins(server, looked)
    with pytest.raises(InputError, match=r"ConfigMap p, dynamic-plugins.yaml, line 2 begins a second document"):
        flow.write_plugins(Module(), server, looked, {"diff": []})


@pytest.mark.parametrize("config_map", [None, "p"])
@pytest.mark.parametrize("check_mode", [False, True])
def test_plugins_in_the_spec_are_warned_of(config_map: str | None, check_mode: bool) -> None:
    looked, server, module = scene("2.1", config_map, INLINE), cluster("plugins: []\n"), Module(check_mode)
    flow.look_at_plugins(server, looked)
    assert not flow.write_plugins(module, server, looked, {"diff": []})
    (warning,) = module.warnings
    assert warning.startswith("Looks like the Orchestrator and will be loaded twice")
    assert "./my-orchestrator" in warning
    assert "spec.application.dynamicPlugins" in warning


def test_nothing_is_warned_of_when_the_orchestrator_is_disabled() -> None:
    module = Module(enabled=False)
    assert not flow.write_plugins(module, cluster(""), scene("2.1", None, INLINE), {"diff": []})
    assert module.warnings == []
