"""What all modules that change something have in common: deadline, diff, waits, repairs."""

from __future__ import annotations

import typing as t
from types import SimpleNamespace

import pytest
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.errors import ApiError
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.kinds import CONFIG_MAP, SECRET
from ansible_collections.rhdh.orchestrator.plugins.module_utils._run import flow
from ansible_collections.rhdh.orchestrator.plugins.module_utils._run.failures import WaitFailed
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.snapshot import Snapshot
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.verdict import READY, TIMED_OUT, Result, Verdict


def call(diff: bool = True, timeout: float = 60, diagnose: t.Any = None) -> flow.Call:
    warnings: list[str] = []
    module = SimpleNamespace(params={"wait_timeout": timeout}, _diff=diff, warn=warnings.append, warnings=warnings)
    return flow.Call(module, t.cast(t.Any, SimpleNamespace(check_mode=False)), diagnose)


def ended(phase: str, reason: str = "NotReady") -> Result:
    verdict = Verdict.ready() if phase == READY else Verdict.pending(reason, "m")
    return Result(phase, {"thing": verdict}, 1.0, [], Snapshot({}))


@pytest.fixture
def waits(monkeypatch):
    """The timeouts of the waits; each takes 20 seconds of a clock of its own and ends as the list says."""
    clock, seen, endings = [1000.0], [], []
    monkeypatch.setattr(flow.time, "monotonic", lambda: clock[0])

    def wait(_session, _sources, _evaluate, *, timeout, **_options):
        seen.append(timeout)
        clock[0] += 20.0
        return ended(*(endings.pop(0) if endings else (READY,)))

    monkeypatch.setattr(flow, "wait", wait)
    return SimpleNamespace(seen=seen, endings=endings)


def test_all_waits_of_a_call_share_its_deadline(waits):
    one = call(timeout=50)
    for _number in range(4):
        one.wait("a thing", [], dict)
    assert waits.seen == [50.0, 30.0, 10.0, flow.LEAST_WAIT]
    assert one.elapsed == 80.0


def test_a_wait_that_fails_says_what_was_changed_and_what_is_known(waits):
    waits.endings.append((TIMED_OUT,))
    one = call()
    one.changed = True
    with pytest.raises(WaitFailed) as caught:
        one.wait("a thing", [], dict, causes=lambda _end: ["Cause: c"], facts=lambda end: {"phase": end.phase})
    assert "a thing timed out" in str(caught.value)
    assert "Cause: c" in str(caught.value)
    assert caught.value.extra == {"changed": True, "phase": TIMED_OUT}


def test_no_cause_is_asked_for_where_the_api_server_does_not_answer(waits):
    waits.endings.append((TIMED_OUT, "Unreachable"))
    with pytest.raises(WaitFailed) as caught:
        call().wait("a thing", [], dict, causes=lambda _end: pytest.fail("asked"))
    assert "Unreachable" in str(caught.value)


def test_a_cause_is_that_of_the_diagnosis():
    seen = []

    def diagnose(*place):
        seen.append(place[1:])
        return SimpleNamespace(text=lambda prefix: f"{prefix}why")

    assert call(diagnose=diagnose).cause(CONFIG_MAP, "name", "place", "one: ") == "one: why"
    assert seen == [(CONFIG_MAP, "name", "place")]


def secret(value: str, **metadata: t.Any) -> dict[str, t.Any]:
    return {"kind": "Secret", "metadata": {"name": "s", **metadata}, "data": {"password": value}}


def test_a_diff_shows_what_was_written_without_secrets_and_bookkeeping():
    one = call()
    one.record("Secret s", secret("Y2FuYXJ5", resourceVersion="1", uid="u"), secret("b3RoZXI=", resourceVersion="2"))
    (entry,) = one.result()["diff"]
    assert (entry["before_header"], entry["after_header"]) == ("Secret s", "Secret s")
    assert entry["before"] != entry["after"]
    assert not {"Y2FuYXJ5", "b3RoZXI=", "resourceVersion", "uid"} & set(str(entry).replace("'", " ").split())
    assert one.changed


def test_what_is_created_has_nothing_before():
    one = call()
    one.record("ConfigMap c", None, {"metadata": {"name": "c"}})
    assert one.result()["diff"][0]["before"] == {}


def test_there_is_no_diff_where_none_is_asked_for():
    one = call(diff=False)
    one.record("ConfigMap c", None, {"metadata": {"name": "c"}})
    assert one.result(name="c") == {"changed": True, "name": "c"}


def test_a_warning_is_shown_once():
    one = call()
    one.warn("a")
    one.warn("b")
    one.warn("a")
    assert one.module.warnings == ["a", "b"]


def refuse(status: int, seen: list[int]) -> t.Callable[[], None]:
    def write() -> None:
        seen.append(status)
        raise ApiError("PATCH", SECRET.path("n", "s"), status, {"reason": "Any", "message": "refused"})

    return write


@pytest.mark.parametrize("status", [404, 409])
def test_a_repair_of_what_has_changed_or_gone_is_tried_again_at_the_next_event(status):
    one, seen = call(), []
    assert not one.repair("touch it", refuse(status, seen), "patch on secrets")
    assert not one.repair("touch it", refuse(status, seen), "patch on secrets")
    assert seen == [status, status]
    assert (one.changed, one.module.warnings) == (False, [])


def test_a_repair_without_the_right_is_given_up_with_one_warning():
    one, seen = call(), []
    for _number in range(3):
        assert not one.repair("touch it", refuse(403, seen), "patch on secrets")
    assert seen == [403]
    assert one.module.warnings == ["Cannot touch it: the credentials lack patch on secrets."]


def test_any_other_error_of_a_repair_ends_the_call():
    with pytest.raises(ApiError):
        call().repair("touch it", refuse(422, []), "patch on secrets")


def test_a_repair_counts_as_a_change():
    one = call()
    assert one.repair("touch it", lambda: None, "patch on secrets")
    assert one.changed


def test_the_time_of_a_call_is_that_of_its_options():
    one = call(timeout=500)
    assert 400 < one.left() <= 500
    assert one.elapsed < 100
