"""How developer_hub makes an operator retry that backs off, and what a failed wait says."""

from __future__ import annotations

import pytest
from ansible_collections.rhdh.orchestrator.plugins.module_utils._hub import watch
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.errors import ApiError
from ansible_collections.rhdh.orchestrator.plugins.module_utils._run.failures import WaitFailed

from .calls import Cluster, Module, backstage, call, config_map, hub, hub_state, snapshot_of

MISSING = 'ConfigMap "p" not found'


def failing() -> tuple[dict, ...]:
    """A Hub whose operator backs off although what it missed is there now."""
    return (backstage("False", "DeployFailed", MISSING), config_map("plugins: []\n"), *hub()[1:])


def act(cluster: Cluster, module: Module, waits, times: int = 1) -> tuple[watch.Watcher, bool]:
    """Let a watcher act every 30 seconds; return it, and whether the call counts as a change."""
    made = call(cluster, module)
    watcher = watch.Watcher(made, hub_state(config_map=None))
    for _time in range(times):
        watcher.act(snapshot_of(cluster, watcher.sources()))
        waits.now += 30.0
    return watcher, made.changed


def test_a_touch_counts_as_a_change(waits) -> None:
    cluster = Cluster(*failing())
    watcher, changed = act(cluster, Module(), waits, 2)
    assert (watcher.touches, changed) == (2, True)
    assert cluster.writes == ["patch Backstage dh"] * 2


def test_nothing_is_touched_while_the_cause_is_there(waits) -> None:
    cluster = Cluster(*(obj for obj in failing() if obj["kind"] != "ConfigMap"))
    watcher, changed = act(cluster, Module(), waits, 3)
    assert (watcher.touches, changed, cluster.writes) == (0, False, [])


def test_with_state_ready_nothing_is_touched(waits) -> None:
    cluster = Cluster(*failing())
    watcher, changed = act(cluster, Module(state="ready"), waits, 3)
    assert (watcher.touches, changed, cluster.writes) == (0, False, [])


@pytest.mark.parametrize("status", [404, 409])
def test_a_touch_of_what_changed_meanwhile_is_tried_again(waits, status: int) -> None:
    cluster, module = Cluster(*failing()), Module()
    cluster.answers["patch"] = status
    watcher, changed = act(cluster, module, waits, 3)
    assert (watcher.touches, changed, module.warnings) == (0, False, [])
    assert len(cluster.writes) == 3


def test_a_touch_without_the_right_is_given_up_with_one_warning(waits) -> None:
    cluster, module = Cluster(*failing()), Module()
    cluster.answers["patch"] = 403
    watcher, changed = act(cluster, module, waits, 3)
    assert (watcher.touches, changed) == (0, False)
    assert module.warnings == [
        "Cannot make the Developer Hub operator retry Backstage dh before its back-off is over: the credentials lack "
        "patch on backstages in ns."
    ]
    assert len(cluster.writes) == 1


def test_any_other_error_of_a_touch_ends_the_wait(waits) -> None:
    cluster = Cluster(*failing())
    cluster.answers["patch"] = 500
    with pytest.raises(ApiError):
        act(cluster, Module(), waits)


def test_a_failed_wait_has_the_facts_and_the_deepest_cause(waits) -> None:
    cluster = Cluster(*failing())
    made = call(cluster, Module(diff=True))
    facts = {"release": "1.10", "elapsed": 5.0, "timeline": [{"at": 1.0}]}
    with pytest.raises(WaitFailed, match="Cause: Backstage dh") as caught:
        watch.until_ready(made, hub_state(config_map=None), facts)
    assert caught.value.extra == {
        "changed": True,
        "release": "1.10",
        "touches": 1,
        "elapsed": 105.0,
        "timeline": [{"at": 1.0}, {"at": 100.0}],
        "diff": [],
    }


def test_only_the_platform_is_the_cause_where_all_else_is_ready(waits) -> None:
    cluster = Cluster(*hub())
    cluster.objects[-1]["metadata"]["ownerReferences"] = []
    with pytest.raises(WaitFailed, match="Cause: SonataFlowPlatform sonataflow-platform"):
        watch.until_ready(call(cluster), hub_state(config_map=None), {})


def test_what_is_ready_is_not_watched(waits) -> None:
    facts = watch.until_ready(call(Cluster(*hub())), hub_state(config_map=None), {"release": "1.10"})
    assert facts == {"release": "1.10", "elapsed": 0.0, "timeline": [], "touches": 0}
    assert waits.timeouts == []
