from __future__ import annotations

import os
import signal
import time
from types import SimpleNamespace

import pytest
from ansible_collections.rhdh.orchestrator.plugins.module_utils import _interrupt, _module, _progress


class Ended(Exception):
    """What ends a module: its result."""


class Module:
    """What `run` uses of kubernetes.core's wrapper and of the AnsibleModule in it."""

    check_mode = False

    def __init__(self, directory):
        self.params = {"wait_timeout": 10}
        self._module = SimpleNamespace(no_log_values={"hunter22"}, _tmpdir=str(directory), _keep_remote_files=False)

    def exit_json(self, **result):
        raise Ended({"failed": False, **result})

    def fail_json(self, **result):
        raise Ended({"failed": True, **result})


@pytest.fixture
def call(tmp_path, monkeypatch):
    """Call `run` with a function; return the result. Signals and what was told go back to what they were."""
    numbers = (*_interrupt.SIGNALS, signal.SIGALRM)
    before = {number: signal.getsignal(number) for number in numbers}
    directory = tmp_path / "call"
    directory.mkdir()
    session = SimpleNamespace(requests={"apply": 1})
    monkeypatch.setattr(_module.GuardedSession, "for_module", lambda module, timeout: session)
    monkeypatch.setattr(_module, "REPORTER", _progress.Reporter())

    def run(function):
        with pytest.raises(Ended) as ended:
            _module.run(Module(directory), function)
        return {**ended.value.args[0], "files": directory.exists()}

    yield run
    for number, handler in before.items():
        signal.signal(number, handler)


def test_an_interrupted_module_fails_with_one_message_and_its_timeline(call):
    entry = {"at": 0.1, "target": "CSV a", "state": "pending", "reason": "Installing", "message": "m"}

    def function(module, session):
        _module.REPORTER.tell(entry)
        session.guard.writes.append("PATCH /api/v1/namespaces/n")
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(10)

    result = call(function)
    assert result["failed"]
    assert result["interrupted"]
    assert result["msg"].splitlines() == [
        "Interrupted after 0 s (SIGTERM). Nothing was undone; run again to continue.",
        "Last state of CSV a: Installing: m",
        "Changes sent by then: PATCH /api/v1/namespaces/n.",
    ]
    assert result["timeline"] == [entry]
    assert result["requests"] == {"apply": 1}
    assert not result["files"]


def test_a_module_that_is_left_alone_ends_as_before(call):
    result = call(lambda module, session: {"changed": True})
    assert result == {"failed": False, "requests": {"apply": 1}, "changed": True, "files": True}


def test_a_signal_during_the_end_does_not_take_the_result_away(call, monkeypatch):
    def exit_json(_self, **result):
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
        raise Ended(result)

    monkeypatch.setattr(Module, "exit_json", exit_json)
    assert call(lambda module, session: {"changed": False})["changed"] is False
