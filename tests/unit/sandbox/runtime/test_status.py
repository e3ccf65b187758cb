"""Phase and conditions of a pod from its containers."""

from __future__ import annotations

import pytest

from sandbox.runtime import status
from sandbox.runtime.status import ContainerState


def made(kind: str, code: int = 0, ready: bool = True) -> ContainerState:
    container = ContainerState("c", "i")
    container.waiting("ContainerCreating")
    if kind != "waiting":
        container.running()
        container.ready = ready
    if kind == "ended":
        container.terminated(code, "Completed" if code == 0 else "Error")
    return container


@pytest.mark.parametrize(
    ("policy", "init", "main", "ended", "phase"),
    [
        ("Always", [], [made("waiting")], False, "Pending"),
        ("Always", [made("waiting")], [made("waiting")], False, "Pending"),
        ("Always", [made("ended")], [made("running")], False, "Running"),
        ("Always", [made("ended", 1)], [made("waiting")], False, "Pending"),
        ("Never", [made("ended", 1)], [made("waiting")], False, "Failed"),
        ("Always", [], [made("ended", 1)], False, "Running"),
        ("Always", [], [made("ended", 1)], True, "Failed"),
        ("Always", [], [made("ended", 0)], True, "Succeeded"),
        ("Never", [], [made("ended", 0)], False, "Succeeded"),
        ("Never", [], [made("ended", 2)], False, "Failed"),
        ("Never", [], [made("ended", 0), made("running")], False, "Running"),
        ("OnFailure", [], [made("ended", 2)], False, "Running"),
        ("OnFailure", [], [made("ended", 0)], False, "Succeeded"),
    ],
)
def test_phase(policy: str, init: list[ContainerState], main: list[ContainerState], ended: bool, phase: str) -> None:
    assert status.phase(policy, init, main, ended) == phase


def test_conditions_name_what_is_missing_and_keep_their_time() -> None:
    before = [{"type": "Initialized", "status": "True", "lastTransitionTime": "then"}]
    found = {c["type"]: c for c in status.conditions(True, [], [made("running", ready=False)], "Running", before)}
    assert found["Initialized"]["lastTransitionTime"] == "then"
    assert found["Ready"]["status"] == "False"
    assert found["Ready"]["reason"] == "ContainersNotReady"
    assert found["Ready"]["message"] == "containers with unready status: [c]"
    assert found["Ready"]["lastTransitionTime"] != "then"


def test_a_completed_pod_is_not_ready() -> None:
    found = {c["type"]: c for c in status.conditions(True, [], [made("ended")], "Succeeded", [])}
    assert (found["Ready"]["status"], found["Ready"]["reason"]) == ("False", "PodCompleted")


def test_the_end_becomes_the_last_state() -> None:
    container = made("ended", 1)
    container.waiting("CrashLoopBackOff", "back-off 10s")
    assert container.last["terminated"]["exitCode"] == 1
    assert container.to_api(False)["state"] == {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}}
