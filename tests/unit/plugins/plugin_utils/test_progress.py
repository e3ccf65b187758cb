from __future__ import annotations

import pytest
from ansible_collections.rhdh.orchestrator.plugins.module_utils import _progress as module_side
from ansible_collections.rhdh.orchestrator.plugins.plugin_utils import _progress


def entry(at, target, state, reason, message=""):
    return {"at": at, "target": target, "state": state, "reason": reason, "message": message}


@pytest.fixture
def told(tmp_path, monkeypatch):
    path = tmp_path / "progress"
    path.touch()
    monkeypatch.setenv(module_side.VARIABLE, str(path))
    lines = []
    clock = [100.0]
    follower = _progress.Follower(str(path), lines.append, lambda: clock[0])
    return module_side.reporter(), follower, lines, clock


def test_each_change_is_one_line(told):
    tell, follower, lines, _clock = told
    tell(entry(1.2, "logic-operator", "pending", "Installing", "waiting for\n deployment"))
    tell(entry(130, "logic-operator", "ready", "Ready"))
    follower.look()
    assert lines == ["    1s  logic-operator: Installing - waiting for deployment", " 2m10s  logic-operator: Ready"]


def test_a_heartbeat_says_what_is_waited_for(told):
    tell, follower, lines, clock = told
    tell(entry(5, "a", "pending", "RollingOut"))
    tell(entry(5, "b", "ready", "Ready"))
    follower.look()
    clock[0] += 29
    follower.look()
    assert len(lines) == 2
    clock[0] += 2
    follower.look()
    follower.look()
    assert lines[2:] == ["   36s  still waiting: a (RollingOut)"]


def test_no_heartbeat_before_and_after_a_wait(told):
    tell, follower, lines, clock = told
    clock[0] += 100
    follower.look()
    tell(entry(5, "a", "ready", "Ready"))
    follower.look()
    clock[0] += 100
    follower.look()
    assert lines == ["    5s  a: Ready"]


def test_output_is_bounded(told):
    tell, follower, lines, _clock = told
    for number in range(1000):
        tell(entry(number, "a", "pending", f"Reason{number}", "x" * 1000))
    follower.look()
    assert len(lines) == _progress.MAX_LINES
    assert "more changes" in lines[-1]
    assert max(map(len, lines)) < 250


def test_a_half_written_entry_is_read_when_it_is_whole(told, tmp_path):
    _tell, follower, lines, _clock = told
    with open(tmp_path / "progress", "a", encoding="utf-8") as stream:
        stream.write('{"at": 1, "target": "ä", "state": "pending",')
        stream.flush()
        follower.look()
        stream.write(' "reason": "R", "message": ""}\n')
        stream.flush()
        follower.look()
    assert lines == ["    1s  ä: R"]


@pytest.mark.parametrize("value", ["", "/nonexistent/progress"])
def test_without_an_action_plugin_nothing_is_told(monkeypatch, value):
    monkeypatch.setenv(module_side.VARIABLE, value)
    assert module_side.reporter() is None
