from __future__ import annotations

import itertools
import json
import os
import stat
import time
from types import SimpleNamespace

import pytest
from ansible_collections.kubernetes.core.plugins.action.k8s_info import ActionModule as KubernetesAction
from ansible_collections.rhdh.orchestrator.plugins.module_utils._run import progress as module_side
from ansible_collections.rhdh.orchestrator.plugins.plugin_utils import _progress
from hypothesis import given
from hypothesis import strategies as st


def entry(at, target, state, reason, message=""):
    return {"at": at, "target": target, "state": state, "reason": reason, "message": message}


def raw(*told):
    return json.dumps(entry(*told)).encode() + b"\n"


@pytest.fixture(autouse=True)
def _fresh(monkeypatch):
    monkeypatch.setattr(_progress, "_shown", {})


@pytest.fixture
def clock():
    return [1000.0]


@pytest.fixture
def lines(clock):
    return _progress.Lines("task", lambda: clock[0])


def test_each_change_is_one_line(lines):
    assert lines.feed(
        raw(1.2, "logic-operator", "pending", "Installing", "waiting for\n deployment")
        + raw(130, "logic-operator", "ready", "Ready")
        + raw(131, "b", "failed", "", "no")
    ) == [
        "    1s  logic-operator: Installing - waiting for deployment",
        " 2m10s  logic-operator: Ready",
        " 2m11s  b: failed - no",
    ]


def test_a_heartbeat_says_what_is_waited_for(lines, clock):
    lines.feed(raw(5, "a", "pending", "RollingOut") + raw(5, "b", "ready", "Ready"))
    clock[0] += 29
    assert lines.heartbeat() == []
    clock[0] += 1
    assert lines.heartbeat() == ["   35s  still waiting: a (RollingOut)"]
    assert lines.heartbeat() == []


def test_no_heartbeat_when_nothing_waits(lines, clock):
    clock[0] += 100
    assert lines.heartbeat() == []
    lines.feed(raw(5, "a", "pending", "R") + raw(6, "b", "pending", "R"))
    lines.feed(raw(7, "a", "ready", "Ready") + raw(7, "b", "failed", "Failed"))
    clock[0] += 1000
    assert lines.heartbeat() == []


def test_a_task_is_never_silent_for_more_than_a_minute_while_it_waits(lines, clock):
    shown = [clock[0]] if lines.feed(raw(0, "a", "pending", "R")) else []
    for _second in range(4 * 3600):
        clock[0] += 1
        if lines.heartbeat():
            shown.append(clock[0])
    gaps = [after - before for before, after in itertools.pairwise(shown)]
    assert min(gaps) >= 30
    assert max(gaps) <= 60
    assert len(shown) < 300


def test_a_heartbeat_names_few_and_counts_the_rest(lines, clock):
    for number in range(50):
        lines.feed(raw(1, f"target-{number:02}" + "x" * 1000, "pending", "R" * 1000))
    clock[0] += 31
    [text] = lines.heartbeat()
    assert "target-00" in text
    assert text.endswith("and 47 more")
    assert len(text) < 1000


def test_changes_are_bounded_for_a_task_with_all_items_of_its_loop(clock):
    shown = []
    for item in range(5):
        lines = _progress.Lines("task", lambda: clock[0])
        for number in range(2000):
            shown += lines.feed(raw(number, f"a{item}", "pending", f"Reason{number}", "x" * 1000))
    assert len(shown) == _progress.MAX_CHANGES + 1
    assert "more changes" in shown[-1]
    assert max(map(len, shown)) < 450
    clock[0] += 31
    assert lines.heartbeat() == ["33m50s  still waiting: a4 (Reason1999)"]
    assert _progress.Lines("another", lambda: clock[0]).feed(raw(1, "a", "pending", "R"))


def test_a_half_written_line_is_read_when_it_is_whole(lines):
    whole = json.dumps(entry(1, "ä", "pending", "R"), ensure_ascii=False).encode() + b"\n"
    cut = whole.index("ä".encode()) + 1  # within the character
    assert lines.feed(whole[:cut]) == []
    assert lines.feed(whole[cut:]) == ["    1s  ä: R"]


GARBAGE = [
    b"", b"\n\n", b"nonsense\n", b"[]\n", b"null\n", b"{}\n", b'{"at": "soon"}\n', b"\xff\xfe\n", b"[" * 100000 + b"\n",
    b'{"at": null, "state": "pending", "target": "a", "reason": "R", "message": ""}\n', b"\0" * 200000,
]  # fmt: skip


@pytest.mark.parametrize("garbage", GARBAGE)
def test_garbage_shows_nothing_and_what_follows_is_shown(lines, garbage):
    assert lines.feed(garbage) == []
    assert lines.feed(b"\n" + raw(1, "a", "pending", "R")) == ["    1s  a: R"]


@given(st.binary() | st.lists(st.text() | st.integers() | st.none()).map(lambda value: json.dumps(value).encode()))
def test_no_input_breaks_it_and_every_line_is_printable(data):
    lines = _progress.Lines("any")
    for text in lines.feed(data + b"\n") + lines.heartbeat():
        assert text.isprintable()


@given(st.text(), st.text(), st.text(), st.floats(0, 1e9))
def test_every_entry_is_one_printable_line(target, reason, message, at):
    _progress._shown.clear()
    [text] = _progress.Lines("any").feed(raw(at, target, "pending", reason, message))
    assert text.isprintable()
    assert len(text) < 450


def until(look):
    end = time.monotonic() + 10
    while not look() and time.monotonic() < end:
        time.sleep(0.01)
    return look()


@pytest.fixture
def private(tmp_path, monkeypatch):
    monkeypatch.setattr(_progress.constants, "DEFAULT_LOCAL_TMP", str(tmp_path))
    return tmp_path


def test_what_a_module_tells_is_shown_while_it_runs(private, monkeypatch):
    shown = []
    follower = _progress.Follower(_progress.Lines("task"), shown.append)
    assert stat.S_IMODE(os.stat(follower.path).st_mode) == 0o600
    follower.start()
    monkeypatch.setenv(module_side.VARIABLE, follower.path)
    reporter = module_side.Reporter()
    assert reporter.open(())
    assert list(private.iterdir()) == []
    reporter.tell(entry(1, "a", "pending", "R"))
    assert until(lambda: shown == ["    1s  a: R"])
    assert reporter.heard()
    reporter.tell(entry(2, "a", "ready", "Ready"))
    started = time.monotonic()
    follower.finish()
    assert time.monotonic() - started < 10
    assert shown == ["    1s  a: R", "    2s  a: Ready"]
    assert not follower.is_alive()
    assert not reporter.heard()


def test_the_pipe_goes_also_when_the_module_never_opened_it(private):
    follower = _progress.Follower(_progress.Lines("task"), lambda text: None)
    follower.start()
    assert list(private.iterdir())
    follower.finish()
    assert list(private.iterdir()) == []


def test_the_module_learns_that_ansible_playbook_has_died(private, monkeypatch):
    orphaned = []
    monkeypatch.setattr(_progress, "_orphaned", lambda: bool(orphaned))
    monkeypatch.setattr(_progress, "LOOK", 0.05)
    follower = _progress.Follower(_progress.Lines("task"), lambda text: None)
    follower.start()
    monkeypatch.setenv(module_side.VARIABLE, follower.path)
    reporter = module_side.Reporter()
    reporter.open(())
    assert reporter.heard()
    orphaned.append(True)
    assert until(lambda: not reporter.heard())
    follower.finish()


class Templar:
    def template(self, value):
        return value


def action(monkeypatch, *, variables=None, transport="local", async_val=0, environment=None, **settings):
    """Run the action; return what it gave back, the environment that the module saw and what was shown."""
    seen = {"shown": []}
    plugin = _progress.ProgressAction.__new__(_progress.ProgressAction)
    plugin._connection = SimpleNamespace(transport=transport)
    plugin._play_context = SimpleNamespace(no_log=settings.pop("play_no_log", False))
    plugin._templar = Templar()
    defaults = {"no_log": False, "delegate_to": None, "_uuid": "uuid"}
    plugin._task = SimpleNamespace(async_val=async_val, environment=environment, **(defaults | settings))

    def execute(_self, *_args, **_kwargs):
        seen["environment"] = plugin._task.environment
        for part in reversed(seen["environment"] or []):
            if module_side.VARIABLE in part:
                monkeypatch.setenv(module_side.VARIABLE, part[module_side.VARIABLE])
        reporter = module_side.Reporter()
        seen["open"] = reporter.open(())
        reporter.tell(entry(1, "a", "pending", "R", "detail"))
        return {"answer": 42}

    monkeypatch.setattr(KubernetesAction, "_execute_module", execute)
    monkeypatch.setattr(
        _progress.Display, "display", lambda _self, text, stderr=False: seen["shown"].append((text, stderr))
    )
    seen["result"] = plugin._execute_module(task_vars={"inventory_hostname": "web1", **(variables or {})})
    assert plugin._task.environment == environment
    return seen


def test_lines_have_the_host_and_leave_standard_output_alone(private, monkeypatch):
    seen = action(monkeypatch, environment=[{"A": "b"}])
    assert seen["result"] == {"answer": 42}
    assert seen["environment"][0] == {"A": "b"}
    assert seen["shown"] == [("[web1]     1s  a: R - detail", True)]
    assert list(private.iterdir()) == []


@pytest.mark.parametrize("environment", [None, [], {"A": "b"}])
def test_any_form_of_environment_is_kept(private, monkeypatch, environment):
    assert action(monkeypatch, environment=environment)["open"]


def test_a_delegated_task_says_where_it_runs(private, monkeypatch):
    assert action(monkeypatch, delegate_to="localhost")["shown"][0][0].startswith("[web1 -> localhost] ")


@pytest.mark.parametrize(
    "settings", [{"no_log": True}, {"play_no_log": True}, {"variables": {"orchestrator_progress": False}},
                 {"variables": {"orchestrator_progress": "no"}}]
)  # fmt: skip
def test_quiet_shows_nothing_but_still_notices_the_end_of_the_play(private, monkeypatch, settings):
    seen = action(monkeypatch, **settings)
    assert seen["shown"] == []
    assert seen["open"]


@pytest.mark.parametrize("settings", [{"transport": "ssh"}, {"async_val": 60}])
def test_elsewhere_the_module_is_left_to_itself(private, monkeypatch, settings):
    seen = action(monkeypatch, **settings)
    assert seen["result"] == {"answer": 42}
    assert seen["shown"] == []
    assert not seen["open"]
    assert seen["environment"] is None


def test_a_full_disk_costs_the_lines_only(private, monkeypatch):
    def full(*_args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(_progress.os, "mkfifo", full)
    seen = action(monkeypatch)
    assert seen["result"] == {"answer": 42}
    assert not seen["open"]


def test_a_failing_call_leaves_nothing_behind(private, monkeypatch):
    def fail(_self, *_args, **_kwargs):
        raise RuntimeError("worker")

    plugin = _progress.ProgressAction.__new__(_progress.ProgressAction)
    plugin._connection = SimpleNamespace(transport="local")
    plugin._play_context = SimpleNamespace(no_log=False)
    plugin._templar = Templar()
    plugin._task = SimpleNamespace(async_val=0, environment=None, no_log=False, delegate_to=None, _uuid="u")
    monkeypatch.setattr(KubernetesAction, "_execute_module", fail)
    with pytest.raises(RuntimeError):
        plugin._execute_module(task_vars={})
    assert list(private.iterdir()) == []
    assert plugin._task.environment is None


def test_the_action_adds_no_arguments_to_the_result():
    plugin = _progress.ProgressAction.__new__(_progress.ProgressAction)
    assert plugin._ensure_invocation({"failed": True}) == {"failed": True}


def test_the_path_of_a_kubeconfig_may_have_white_space_around(monkeypatch):
    seen = []
    monkeypatch.setattr(KubernetesAction, "get_kubeconfig", lambda _self, *args: seen.append(args))
    plugin = _progress.ProgressAction.__new__(_progress.ProgressAction)
    arguments: dict[str, str] = {}
    plugin.get_kubeconfig(" path\n", False, arguments)
    plugin.get_kubeconfig({"users": ["x\n"]}, False, arguments)
    assert seen == [("path", False, arguments), ({"users": ["x\n"]}, False, arguments)]
