"""What developer_hub writes: the plugin file, the Backstage, the owner of the platform."""

from __future__ import annotations

import pytest
from ansible_collections.rhdh.orchestrator.plugins.module_utils._hub import read, write
from ansible_collections.rhdh.orchestrator.plugins.module_utils._run.failures import InputError

from .calls import Cluster, Module, call, config_map, hub, hub_state

OLD = "plugins:\n- package: '@redhat/backstage-plugin-orchestrator@1.6.0' # old\n# mine\n"
INLINE = {"application": {"dynamicPlugins": [{"package": "./my-orchestrator"}]}}


def written(cluster: Cluster) -> str:
    return next(obj["data"]["dynamic-plugins.yaml"] for obj in cluster.objects if obj["kind"] == "ConfigMap")


def test_the_file_is_written_and_what_was_replaced_is_named() -> None:
    state, cluster, facts = hub_state(), Cluster(config_map(OLD)), {}
    made = call(cluster, Module(diff=True))
    read.read_plugins(made.session, state)
    assert write.write_plugins(made, state, facts)
    assert written(cluster) == "plugins: []\n# mine\n"
    assert facts["plugins_config_map"] == {
        "name": "p",
        "action": "patched",
        "replaced": ["@redhat/backstage-plugin-orchestrator@1.6.0"],
    }
    (diff,) = made.result()["diff"]
    assert diff == {
        "before_header": "ConfigMap ns/p",
        "after_header": "ConfigMap ns/p",
        "before": {"dynamic-plugins.yaml": OLD},
        "after": {"dynamic-plugins.yaml": "plugins: []\n# mine\n"},
    }


def test_what_was_written_in_between_is_edited_and_warned_of() -> None:
    state, cluster, module, facts = (
        hub_state(),
        Cluster(config_map(OLD + "- package: ./my-orchestrator\n")),
        Module(),
        {},
    )
    cluster.meanwhile = "plugins:\n- package: ./my-orchestrator\n- package: ./other-orchestrator\n"
    made = call(cluster, module)
    read.read_plugins(made.session, state)
    write.write_plugins(made, state, facts)
    assert written(cluster) == cluster.meanwhile
    assert facts["plugins_config_map"]["replaced"] == []
    assert [warning.count("orchestrator") for warning in module.warnings] == [1, 2]


def test_what_was_written_in_between_may_be_refused() -> None:
    state, cluster = hub_state(), Cluster(config_map(OLD))
    cluster.meanwhile = "a: 1\n---\n"
    made = call(cluster)
    read.read_plugins(made.session, state)
    with pytest.raises(InputError, match=r"ConfigMap p, dynamic-plugins.yaml, line 2 begins a second document"):
        write.write_plugins(made, state, {})
    assert cluster.writes == []


@pytest.mark.parametrize("name", [None, "p"])
@pytest.mark.parametrize("check_mode", [False, True])
def test_plugins_in_the_spec_are_warned_of(name: str | None, check_mode: bool) -> None:
    state, cluster = hub_state("2.1", name, INLINE), Cluster(config_map("plugins: []\n"), check_mode=check_mode)
    module = Module(check_mode)
    made = call(cluster, module)
    read.read_plugins(made.session, state)
    assert not write.write_plugins(made, state, {})
    assert not made.changed
    (warning,) = module.warnings
    assert warning.startswith("Looks like the Orchestrator and will be loaded twice")
    assert "./my-orchestrator" in warning
    assert "spec.application.dynamicPlugins" in warning


def test_nothing_is_warned_of_when_the_orchestrator_is_disabled() -> None:
    module = Module(orchestrator={"enabled": False})
    assert not write.write_plugins(call(Cluster(), module), hub_state("2.1", None, INLINE), {})
    assert module.warnings == []


def test_a_conflict_names_the_way_out_and_keeps_what_was_written_before() -> None:
    cluster = Cluster(*hub())
    cluster.answers["apply"] = 409
    made = call(cluster, Module(diff=True))
    state = hub_state(config_map=None)
    state.backstage = cluster.objects[0]
    made.record("ConfigMap ns/p", {}, {"a": 1})
    with pytest.raises(InputError, match=r"another field manager owns fields .* force_conflicts: true") as caught:
        write.write_backstage(made, state, True, {"release": "1.10"})
    assert caught.value.extra["changed"]
    assert caught.value.extra["backstage"]["action"] == "none"
    assert [entry["after_header"] for entry in caught.value.extra["diff"]] == ["ConfigMap ns/p"]


@pytest.mark.parametrize("check_mode", [False, True])
def test_a_platform_is_released_once_the_operator_has_acted(waits, check_mode: bool) -> None:
    cluster = Cluster(*hub(), check_mode=check_mode)
    made = call(cluster, Module(check_mode, diff=True, orchestrator={"platform": "self"}))
    state = hub_state(orchestrator={"platform": "self"})
    state.backstage, state.dependencies = cluster.objects[0], [cluster.objects[-1]]
    read.read_plugins(made.session, state)
    facts = write.release_platform(made, state, {"release": "1.10"})
    assert facts["released"] == ["SonataFlowPlatform sonataflow-platform"]
    assert made.changed
    assert cluster.writes == ([] if check_mode else ["patch SonataFlowPlatform sonataflow-platform"])
    assert len(waits.timeouts) == (0 if check_mode else 1)
    (diff,) = made.result()["diff"]
    assert [owner["name"] for owner in diff["before"]["ownerReferences"]] == ["dh"]
    assert diff["after"] == {"ownerReferences": []}
