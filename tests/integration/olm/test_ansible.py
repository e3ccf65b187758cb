"""The module as playbooks call it, end to end: from the built collection, through ansible-playbook."""

from __future__ import annotations

import json
import typing as t

import pytest

from sandbox import audit
from tests.toolkit import plays
from tests.toolkit.cluster import Object
from tests.toolkit.modules import headers

from .operators import OlmCluster, operator

pytestmark = pytest.mark.sandbox("traps", mine=True)

MODULE, INFO = "rhdh.orchestrator.olm_operator", "rhdh.orchestrator.olm_operator_info"
WANTED = [operator("trap-play-a", "play-a", version="1.0.0"), operator("trap-play-b", "play-b")]
TASKS: dict[str, Object] = {
    "predicted": {MODULE: {"operators": WANTED}, "check_mode": True, "diff": True},
    "installed": {MODULE: {"operators": WANTED}, "diff": True},
    "again": {MODULE: {"operators": WANTED}},
    "state": {MODULE: {"operators": WANTED, "state": "installed"}},
    "empty": {MODULE: {"operators": []}},
    "wrong": {MODULE: {"operators": [operator("trap-play-a", "play-a", channel="stabl")]}},
    "info": {INFO: {"packages": ["trap-play-a", "trap-steps"], "available": True}},
    "offered": {
        INFO: {"packages": ["trap-play-a"]},
        **{"until": "offered.operators[0].pending_plan is not none", "retries": 90, "delay": 1},
    },
    "upgraded": {MODULE: {"operators": [operator("trap-play-a", "play-a", version_range="<1.2.0")]}},
    "pending": {INFO: {"packages": ["trap-play-a"]}},
    "gone": {MODULE: {"operators": WANTED, "state": "absent"}},
    "gone_before": {MODULE: {"operators": WANTED, "state": "absent"}},
}


@pytest.fixture(scope="module")
def played(cluster: OlmCluster, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Object]:
    """The results of all tasks, each with the changes that the API server saw of it."""
    folder = tmp_path_factory.mktemp("play")
    log = cluster.instance.audit_log
    now = "{{ lookup('ansible.builtin.pipe', 'sleep 0.3; wc -c < " + str(log) + "') }}"
    tasks: list[Object] = [{"ansible.builtin.set_fact": {"mark_begin": now}}]
    for name, task in TASKS.items():
        tasks.append({"name": name, **task, "register": name, "ignore_errors": True})
        tasks.append({"ansible.builtin.set_fact": {f"mark_{name}": now}})
    names = ["mark_begin", *TASKS, *(f"mark_{name}" for name in TASKS)]
    found = "{{ {" + ", ".join(f"'{name}': {name}" for name in names) + "} | to_json }}"
    tasks.append({"ansible.builtin.copy": {"content": found, "dest": str(folder / "results.json")}})
    done = plays.tasks(cluster, folder, tasks)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    marks = [int(results[f"mark_{name}"]) for name in ("begin", *TASKS)]
    for name, begin, end in zip(TASKS, marks, marks[1:], strict=False):
        with log.open("rb") as stream:
            stream.seek(begin)
            events = [json.loads(line) for line in stream.read(end - begin).splitlines()]
        mine = [event for event in events if event["user"]["username"] == audit.PEOPLE]
        results[name]["seen"] = audit.count(mine)
    return t.cast("dict[str, Object]", results)


def test_check_mode_predicts_the_install_and_writes_nothing(played: dict[str, Object]) -> None:
    predicted, installed = played["predicted"], played["installed"]
    assert predicted["seen"]["mutating"] == []
    assert predicted["changed"] is installed["changed"] is True
    assert headers(predicted["diff"]) == headers(installed["diff"])
    assert [found["csv"] for found in installed["operators"]] == ["trap-play-a.v1.0.0", "trap-play-b.v1.0.0"]
    assert all(len(found["plans_approved"]) == 1 for found in installed["operators"])
    assert installed["timeline"]


def test_a_second_run_changes_nothing_with_few_requests(played: dict[str, Object]) -> None:
    again = played["again"]
    assert again["changed"] is False
    assert again["seen"]["mutating"] == []
    assert again["seen"]["total"] <= 5 * len(WANTED)
    assert again["seen"]["total"] == sum(again["requests"].values())


def test_bad_input_is_refused_in_one_message(played: dict[str, Object]) -> None:
    assert "value of state must be one of: present, absent" in played["state"]["msg"]
    assert "the list is empty" in played["empty"]["msg"]
    assert "no channel 'stabl'" in played["wrong"]["msg"]
    assert "there are: stable, old" in played["wrong"]["msg"]
    for name in ("state", "empty", "wrong"):
        assert played[name]["failed"]
        assert played[name]["seen"]["mutating"] == []


def test_info_tells_what_is_there_and_what_is_on_offer(played: dict[str, Object]) -> None:
    there, missing = played["info"]["operators"]
    assert (there["csv"], there["phase"], there["running"]) == ("trap-play-a.v1.0.0", "Succeeded", True)
    assert (there["created_by_us"], there["approval"]) == (True, "Manual")
    assert there["available"]["stable"] == ["1.1.0", "1.0.0"]
    assert (missing["csv"], missing["subscription"]) == (None, None)
    assert missing["available"]["old"] == ["1.0.0"]


def test_an_upgrade_and_the_way_out(played: dict[str, Object]) -> None:
    assert played["upgraded"]["operators"][0]["csv"] == "trap-play-a.v1.1.0"
    assert played["upgraded"]["operators"][0]["action"] == "updated"
    assert played["offered"]["operators"][0]["pending_csvs"] == ["trap-play-a.v1.1.0"]
    assert played["pending"]["operators"][0]["pending_plan"] is None
    assert [found["action"] for found in played["gone"]["operators"]] == ["removed", "removed"]
    assert played["gone_before"]["changed"] is False
    assert played["gone_before"]["seen"]["mutating"] == []
