"""The message of a wait that did not end as ready."""

from __future__ import annotations

import pytest
from ansible_collections.rhdh.orchestrator.plugins.module_utils._run.failures import MAX_LINES, explain
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.snapshot import Snapshot
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.verdict import Result, Verdict


def result(phase: str, **verdicts: Verdict) -> Result:
    return Result(phase, verdicts, 12.4, [], Snapshot({}))


CAUSE = "Cause: image nosuch cannot be pulled\n  Remedy: name one that exists\n  Inspect with: oc describe pod p"


def test_one_failure_with_its_cause() -> None:
    text = explain(result("failed", db=Verdict.failed("Broken", "is  broken\n", "mend it")), "the database", [CAUSE])
    assert text.splitlines() == [
        "Waiting for the database failed after 12 s.",
        "db: Broken: is broken",
        "  Remedy: mend it",
        *CAUSE.splitlines(),
    ]


def test_a_time_out_says_the_last_state() -> None:
    text = explain(result("timed_out", a=Verdict.ready(), b=Verdict.pending("Starting")), "two things")
    assert text.splitlines() == ["Waiting for two things timed out after 12 s.", "b: Starting"]


def test_nothing_read_is_said() -> None:
    assert "Nothing could be read" in explain(result("timed_out"), "it")


@pytest.mark.parametrize("causes", [0, 1, 3])
def test_many_targets_leave_room_for_the_causes(causes: int) -> None:
    verdicts = {f"t{number}": Verdict.failed("Broken", "x" * 900, "mend it") for number in range(40)}
    lines = explain(result("failed", **verdicts), "all", [CAUSE] * causes).splitlines()
    assert len(lines) <= MAX_LINES
    assert sum(line.startswith("Cause: ") for line in lines) == causes
    assert any("more of 40 targets are not ready" in line for line in lines)
    assert max(map(len, lines)) < 450


def test_what_the_cause_says_is_not_said_twice() -> None:
    verdict = Verdict.failed("Broken", "image nosuch cannot be pulled", "name one that exists")
    assert explain(result("failed", a=verdict), "it", [CAUSE]).splitlines() == [
        "Waiting for it failed after 12 s.",
        "a: Broken",
        *CAUSE.splitlines(),
    ]
