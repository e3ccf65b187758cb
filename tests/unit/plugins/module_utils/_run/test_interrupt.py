from __future__ import annotations

import contextlib
import os
import queue
import signal
import threading
import time
from types import SimpleNamespace

import pytest
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.session import Session
from ansible_collections.rhdh.orchestrator.plugins.module_utils._run import interrupt as interruption
from ansible_collections.rhdh.orchestrator.plugins.module_utils._run.interrupt import Guard, GuardedSession, Interrupted


@pytest.fixture(autouse=True)
def _signals():
    """Give the signals back to pytest: a guard that was left ignores them until the process ends."""
    numbers = (*interruption.SIGNALS, signal.SIGALRM)
    before = {number: signal.getsignal(number) for number in numbers}
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    for number, handler in before.items():
        signal.signal(number, handler)


def after(seconds, number=signal.SIGTERM):
    timer = threading.Timer(seconds, os.kill, (os.getpid(), number))
    timer.daemon = True
    timer.start()


def interrupted(guard, block):
    """Run a block under a guard, which an interruption must end; return how long that took."""
    started = time.monotonic()
    with pytest.raises(Interrupted):
        _run(guard, block)
    return time.monotonic() - started


def _run(guard, block):
    with guard:
        block()


@pytest.mark.parametrize("number", interruption.SIGNALS)
def test_a_signal_ends_a_wait_at_once(number):
    guard = Guard()
    after(0.05, number)
    assert interrupted(guard, lambda: time.sleep(10)) < 2
    assert number.name in guard.message({})


def test_a_signal_ends_the_wait_for_a_queue():
    after(0.05)
    assert interrupted(Guard(), lambda: queue.Queue().get(timeout=10)) < 2


def test_an_interruption_is_no_exception_that_code_handles():
    def block():
        try:
            time.sleep(10)
        except Exception:
            pytest.fail("handled as an ordinary error")

    after(0.05)
    interrupted(Guard(), block)


def test_an_interruption_that_gets_lost_comes_again(monkeypatch):
    monkeypatch.setattr(interruption, "PATIENCE", 0.2)

    def block():
        with contextlib.suppress(Interrupted):  # as when it is raised in a destructor
            time.sleep(10)
        time.sleep(10)

    after(0.05)
    assert interrupted(Guard(), block) < 2


def test_after_the_guard_signals_do_not_disturb_the_result():
    with Guard():
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    os.kill(os.getpid(), signal.SIGINT)
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_it_stops_when_the_play_has_ended(monkeypatch):
    monkeypatch.setattr(interruption, "LOOK", 0.05)
    alive = [True, True, False]
    guard = Guard()

    def block():
        guard.watch(lambda: alive.pop(0))
        time.sleep(10)

    interrupted(guard, block)
    assert "the play that started it has ended" in guard.message({})


class Server:
    """What a session sends its requests to."""

    def __init__(self, monkeypatch, seconds=0.0, status=200):
        self.seen = []

        def send(_session, method, path, **_options):
            self.seen.append((method, path))
            time.sleep(seconds)
            return SimpleNamespace(status=status)

        monkeypatch.setattr(Session, "_send", send)
        self.session = GuardedSession(
            SimpleNamespace(configuration=None, default_headers={}, rest_client=SimpleNamespace(pool_manager=None))
        )
        self.guard = self.session.guard = Guard()


def test_a_write_under_way_is_finished_and_said(monkeypatch):
    server = Server(monkeypatch, seconds=0.5)

    def block():
        server.session._send("PATCH", "/api/v1/namespaces/n/configmaps/a")
        server.session._send("PATCH", "/api/v1/namespaces/n/configmaps/b")

    after(0.1)
    interrupted(server.guard, block)
    assert server.seen == [("PATCH", "/api/v1/namespaces/n/configmaps/a")]
    message = server.guard.message({})
    assert "Changes sent by then: PATCH /api/v1/namespaces/n/configmaps/a." in message
    assert "Not known" not in message


@pytest.mark.parametrize("signals", [(0.1,), (0.1, 0.3)])
def test_a_write_without_an_answer_is_said_to_be_unknown(monkeypatch, signals):
    server = Server(monkeypatch, seconds=30)
    for seconds in signals:
        after(seconds)
    took = interrupted(server.guard, lambda: server.session._send("POST", "/api/v1/namespaces"))
    assert took < (2.5 if len(signals) == 1 else 1.2)
    message = server.guard.message({})
    assert "Not known whether it was done: POST /api/v1/namespaces." in message
    assert "Changes sent" not in message


@pytest.mark.parametrize(
    ("method", "path", "query", "status"),
    [
        ("GET", "/api/v1/namespaces", {}, 200),
        ("PATCH", "/api/v1/namespaces/n", {"dryRun": "All"}, 200),
        ("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", {}, 201),
        ("POST", "/api/v1/namespaces/n/services/http:s:80/proxy/graphql", {}, 200),
        ("PATCH", "/api/v1/namespaces/n", {}, 409),
    ],
)
def test_what_changes_nothing_is_not_called_a_change(monkeypatch, method, path, query, status):
    server = Server(monkeypatch, status=status)
    server.session._send(method, path, query=query)
    assert server.guard.writes == []


def test_the_message_names_the_last_states_and_is_bounded():
    guard = Guard()
    guard.writes = [f"PATCH /api/v1/namespaces/n{number}" for number in range(12)]
    last = {
        str(n): {"at": 1.0, "target": f"CSV {n}", "state": "pending", "reason": "Installing", "message": "m " * 1000}
        for n in range(20)
    }
    last["ready"] = {"at": 1.0, "target": "CSV ready", "state": "ready", "reason": "Ready", "message": ""}
    message = guard.message(last)
    lines = message.splitlines()
    assert lines[0].endswith("Nothing was undone; run again to continue.")
    assert lines[1].startswith("Last state of CSV 0: Installing: m m")
    assert "CSV ready" not in message
    assert "15 more were not ready." in lines
    assert "n11 and 7 before." in lines[-1]
    assert len(lines) <= 15
    assert max(map(len, lines)) <= 400


def test_the_message_hides_credentials():
    last = {"a": {"at": 1.0, "target": "a", "state": "failed", "reason": "R", "message": "password=swordfish"}}
    assert "swordfish" not in Guard().message(last)


@pytest.mark.parametrize("keep", [False, True])
def test_the_files_of_the_call_go_unless_they_are_to_be_kept(tmp_path, keep):
    (tmp_path / "call").mkdir()
    (tmp_path / "call" / "AnsiballZ_x.py").write_text("secret")
    interruption.remove_files(SimpleNamespace(_tmpdir=str(tmp_path / "call"), _keep_remote_files=keep))
    assert (tmp_path / "call").exists() == keep
    interruption.remove_files(SimpleNamespace(_tmpdir=None, _keep_remote_files=False))
