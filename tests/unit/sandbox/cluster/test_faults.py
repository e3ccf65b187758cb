"""Rules of the fault proxy and the command line's parsing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sandbox import cli
from sandbox.cluster.errors import SandboxError
from sandbox.cluster.lifecycle import check_snapshot_name
from sandbox.faults import proxy, rules


def test_rule_strikes_after_skip_and_only_count_times() -> None:
    book = rules.Book()
    rule = rules.Rule(action="503", method="GET", path="/subscriptions", count=2, skip=1)
    book.rules = [rule]
    struck = [book.take("GET", "/apis/x/subscriptions?watch=true") is not None for _ in range(5)]
    assert struck == [False, True, True, False, False]
    assert book.take("POST", "/apis/x/subscriptions") is None
    assert book.hits() == {rule.id: 2}


def test_count_zero_strikes_for_ever_and_the_first_rule_wins() -> None:
    book = rules.Book()
    book.rules = [rules.Rule(action="429", count=1), rules.Rule(action="500", count=0)]
    assert [getattr(book.take("GET", "/"), "action", "") for _ in range(3)] == ["429", "500", "500"]


def test_rules_survive_their_file(tmp_path: Path) -> None:
    path = tmp_path / "faults.json"
    assert rules.load(path) == []
    kept = [rules.Rule(action="cut", seconds=1.5), rules.Rule(action="429", retry_after=3)]
    rules.save(path, kept)
    assert rules.load(path) == kept


@pytest.mark.parametrize("fields", [{"action": "200"}, {"action": "500", "count": -1}])
def test_senseless_rules_are_refused(fields: dict) -> None:
    with pytest.raises(ValueError, match=r"unknown action|negative"):
        rules.Rule(**fields)


def test_answer_is_a_status_object_with_retry_after() -> None:
    answer = proxy.status_answer(rules.Rule(action="429", retry_after=7))
    assert answer.headers["Retry-After"] == "7"
    body = json.loads(answer.text or "")
    assert (body["kind"], body["code"], body["reason"]) == ("Status", 429, "TooManyRequests")
    assert "Retry-After" not in proxy.status_answer(rules.Rule(action="500", retry_after=7)).headers


@pytest.mark.parametrize(
    ("pair", "value"),
    [
        ("a.b=1.5", ("a.b", 1.5)),
        ("a.b=text", ("a.b", "text")),
        ('a.b=["x"]', ("a.b", ["x"])),
        ("a.b=", ("a.b", None)),
        ("a.b=x=y", ("a.b", "x=y")),
    ],
)
def test_settings_on_the_command_line(pair: str, value: tuple) -> None:
    assert cli.parse_setting(pair) == value


def test_bad_input_is_one_error() -> None:
    for pair in ("nodots=1", "a.b"):
        with pytest.raises(SandboxError, match="KEY=VALUE"):
            cli.parse_setting(pair)
    for name in ("../x", "", "A"):
        with pytest.raises(SandboxError, match="no snapshot name"):
            check_snapshot_name(name)


def test_commands_without_a_sandbox(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sandbox.paths._LONGEST_ROOT", 500)
    monkeypatch.setenv("RHDH_SANDBOX_HOME", str(tmp_path))
    assert cli.main(["--name", "none", "env"]) == 1
    assert "start one with `up`" in capsys.readouterr().err
    assert cli.main(["--name", "none", "status"]) == 1
    assert cli.main(["--name", "No", "status"]) == 1
    assert cli.main(["--name", "none", "reset"]) == 1
    assert "there is no snapshot" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        cli.main(["up", "--timeout", "0"])
