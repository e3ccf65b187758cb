"""What developer_hub finds wrong with a plugin file, before any change."""

from __future__ import annotations

import pytest
from ansible_collections.rhdh.orchestrator.plugins.module_utils._hub import read

from .calls import Cluster, call, config_map, hub_state

OLD = "plugins:\n- package: '@redhat/backstage-plugin-orchestrator@1.6.0' # old\n# mine\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (OLD + "---\na: 1\n", "ConfigMap p, dynamic-plugins.yaml, line 4 begins a second document"),
        ("plugins:\n-\tpackage: a\n", "ConfigMap p, dynamic-plugins.yaml, line 2 has YAML that this module"),
        ("x: &x\n- package: '@redhat/backstage-plugin-orchestrator@1'\nplugins: *x\n", "line 3: `plugins` is an alias"),
    ],
)
def test_a_file_that_cannot_be_edited_is_a_problem_before_any_change(text: str, said: str) -> None:
    state, cluster = hub_state(), Cluster(config_map(text))
    (problem,) = read.read_plugins(call(cluster).session, state)
    assert said in problem
    assert problem.endswith(".")
    assert state.plugins is None
    assert cluster.asked == ["/api/v1/namespaces/ns/configmaps/p"]


def test_every_problem_of_a_file_is_reported() -> None:
    state, found = hub_state(), config_map("plugins: {}\n")
    found["data"]["more"] = ""
    problems = read.read_plugins(call(Cluster(found)).session, state)
    assert [problem[: len("ConfigMap p")] for problem in problems] == ["ConfigMap p", "ConfigMap p"]
