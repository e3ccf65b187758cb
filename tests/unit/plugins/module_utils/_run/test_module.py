from __future__ import annotations

import base64
import os
import signal
import sys
import threading
import time
import typing as t
from types import SimpleNamespace
from urllib.parse import quote

import pytest
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube import client as kube_client
from ansible_collections.rhdh.orchestrator.plugins.module_utils._run import failures
from ansible_collections.rhdh.orchestrator.plugins.module_utils._run import interrupt as interruption
from ansible_collections.rhdh.orchestrator.plugins.module_utils._run import module as module_run
from ansible_collections.rhdh.orchestrator.plugins.module_utils._run import progress as module_progress


class Ended(Exception):
    """What ends a module: its result."""


class Module:
    """What `run` uses of kubernetes.core's wrapper and of the AnsibleModule in it."""

    check_mode = False
    more: t.ClassVar[dict[str, t.Any]] = {}
    warnings: tuple[str, ...] = ()

    def __init__(self, directory):
        self.params = {"wait_timeout": 10, **self.more}
        self._module = SimpleNamespace(no_log_values={"hunter22"}, _tmpdir=str(directory), _keep_remote_files=False)

    def warn(self, text):
        self.warnings = (*self.warnings, text)

    def exit_json(self, **result):
        raise Ended(
            {"failed": False, "warnings": self.warnings, **result} if self.warnings else {"failed": False, **result}
        )

    def fail_json(self, **result):
        raise Ended({"failed": True, **result})


@pytest.fixture
def call(tmp_path, monkeypatch):
    """Call `run` with a function; return the result. Signals and what was told go back to what they were."""
    numbers = (*interruption.SIGNALS, signal.SIGALRM)
    before = {number: signal.getsignal(number) for number in numbers}
    directory = tmp_path / "call"
    directory.mkdir()
    session = SimpleNamespace(requests={"apply": 1})
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    monkeypatch.setattr(interruption.GuardedSession, "for_module", lambda module, timeout, report: session)
    monkeypatch.setattr(module_run, "REPORTER", module_progress.Reporter())

    def run(function, **params):
        module = Module(directory)
        module.params.update(params)
        with pytest.raises(Ended) as ended:
            module_run.run(module, function)
        return {**ended.value.args[0], "files": directory.exists()}

    yield run
    for number, handler in before.items():
        signal.signal(number, handler)


def test_an_interrupted_module_fails_with_one_message_and_its_timeline(call):
    entry = {"at": 0.1, "target": "CSV a", "state": "pending", "reason": "Installing", "message": "m"}

    def function(module, session):
        module_run.REPORTER.tell(entry)
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


@pytest.mark.parametrize("state", ["present", "absent"])
@pytest.mark.parametrize(
    ("options", "wrong"),
    [
        ({"name": ""}, ["name: '' is not the name of an object."]),
        ({"name": "a", "namespace": ""}, ["namespace: '' is not the name of a namespace."]),
        ({"name": "../x", "namespace": "a.b"}, ["namespace: 'a.b' is", "name: '../x' is"]),
        ({"hub_name": "-", "platform": "A", "catalog": " "}, ["hub_name: '-'", "platform: 'A'", "catalog: ' '"]),
        ({"name": None, "namespace": "ns", "package": "logic-operator", "platform": {"a": 1}}, []),
    ],
)
def test_a_name_that_is_none_is_refused_before_anything_is_asked(call, monkeypatch, state, options, wrong):
    monkeypatch.setattr(Module, "more", {"state": state, **options}, raising=False)
    asked = []

    def function(module, session):
        asked.append(module)
        return {}

    result = call(function)
    assert result["failed"] is bool(wrong)
    assert bool(asked) is not bool(wrong)
    assert len(result.get("problems", [])) == len(wrong)
    for text in wrong:
        assert text in result["msg"]


TOKEN = "sha256~canary-of-a-token"


def test_an_unexpected_error_shows_no_header(call):
    def function(module, session):
        raise ValueError(f"Invalid header value {f'Bearer {TOKEN}'.encode()!r}")

    result = call(function, api_key=f"{TOKEN}\n")
    assert result["failed"]
    assert result["msg"].startswith("Unexpected error, a bug of this collection: ValueError: Invalid header value")
    assert "in function" in result["exception"]
    assert "canary" not in str(result)


def test_ansible_finds_no_exception_when_a_module_fails(call, monkeypatch):
    def fail_json(_self, **result):
        raise Ended({**result, "pending": sys.exc_info()[0]})

    monkeypatch.setattr(Module, "fail_json", fail_json)
    for error in (ValueError("x"), failures.InputError(["x"]), kube_client.NoCredentials("x")):

        def function(module, session, error=error):
            raise error

        assert call(function)["pending"] is None


@pytest.mark.parametrize(
    "error", [ValueError, OSError, kube_client.NoCredentials, lambda text: failures.InputError([text])]
)
def test_no_exception_shows_a_secret_in_any_encoding(call, error):
    encoded = [TOKEN, base64.b64encode(f"u:{TOKEN}".encode()).decode(), quote(TOKEN, safe="")]

    def function(module, session):
        raise error(f"tried {' '.join(encoded)} and password=other-canary")

    result = call(function, api_key=TOKEN)
    assert "canary" not in str(result)
    assert all(text not in str(result) for text in encoded)


def test_results_and_warnings_show_no_secret_that_is_known(call):
    def function(module, session):
        module.warn(f"found {TOKEN} and password=other-canary")
        return {"changed": True, "objects": [{"value": TOKEN, "port": 5432}], "msg": f"used {TOKEN}"}

    result = call(function, api_key=TOKEN)
    assert "canary" not in str(result)
    assert result["objects"] == [{"value": "<redacted>", "port": 5432}]
    assert result["changed"] is True


KUBECONFIG = {
    "users": [{"name": "me", "user": {"token": "token-canary", "client-key-data": "a2V5LWNhbmFyeQ=="}}],
    "clusters": [{"name": "one", "cluster": {"server": "https://api:6443"}}],
}


@pytest.mark.parametrize(
    ("option", "value", "secrets"),
    [
        ("proxy", "http://me:proxy-canary@proxy:3128", {"proxy-canary"}),
        (
            "kubeconfig",
            KUBECONFIG,
            {"token-canary", "a2V5LWNhbmFyeQ=="},
        ),  # an object: not every kubernetes.core hides it
    ],
)
def test_the_secret_of_an_option_that_ansible_shows_is_hidden_in_the_invocation(call, option, value, secrets):
    hidden = set()

    def keep(module, session):
        hidden.update(module._module.no_log_values)
        return {}

    call(keep, **{option: value})
    assert secrets <= hidden
    assert "https://api:6443" not in hidden


def test_a_value_that_cannot_be_sent_is_refused_before_any_request(call):
    def function(module, session):
        pytest.fail("called")

    result = call(function, api_key="canary\ncanary")
    assert result["problems"] == [
        "The option api_key (or the environment variable K8S_AUTH_API_KEY) holds a control character, such as a line "
        "end, within its value."
    ]
    assert "canary" not in str(result)


def test_a_module_gets_its_options_without_white_space_around(call, monkeypatch):
    monkeypatch.setenv("K8S_AUTH_HOST", "https://api:6443\n")
    seen = {}

    def function(module, session):
        seen.update(module.params, host=os.environ["K8S_AUTH_HOST"])
        return {}

    call(function, api_key=f" {TOKEN}\n")
    assert (seen["api_key"], seen["host"]) == (TOKEN, "https://api:6443")


def test_a_thread_that_fails_shows_no_secret(call, capsys):
    def thread():
        raise ValueError(f"Invalid header value {f'Bearer {TOKEN}'.encode()!r}")

    def function(module, session):
        failing = threading.Thread(target=thread)
        failing.start()
        failing.join()
        return {}

    call(function, api_key=TOKEN)
    shown = capsys.readouterr().err
    assert "ValueError: Invalid header value" in shown
    assert "canary" not in shown
