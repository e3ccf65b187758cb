from __future__ import annotations

import json
import os
import stat

import pytest
from ansible_collections.rhdh.orchestrator.plugins.module_utils._run import progress as module_progress
from ansible_collections.rhdh.orchestrator.plugins.module_utils._run.progress import Reporter
from ansible_collections.rhdh.orchestrator.plugins.module_utils._text.lines import shorten


def entry(message="", target="a", state="pending", reason="R", at=1.0):
    return {"at": at, "target": target, "state": state, "reason": reason, "message": message}


@pytest.fixture
def pipe(tmp_path, monkeypatch):
    """A pipe as the action plugin makes it, and its reading end."""
    path = tmp_path / "progress"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    monkeypatch.setenv(module_progress.VARIABLE, str(path))
    yield path, reader
    os.close(reader)


def told(reader):
    return [json.loads(line) for line in os.read(reader, 1 << 20).splitlines() if line]


def test_what_is_told_arrives_and_nothing_stays_on_disk(pipe):
    path, reader = pipe
    reporter = Reporter()
    assert reporter.open(())
    assert not path.exists()
    assert module_progress.VARIABLE not in os.environ
    reporter.tell(entry("waiting"))
    assert told(reader) == [entry("waiting")]


@pytest.mark.parametrize("path", ["", "/nonexistent/progress"])
def test_without_an_action_plugin_changes_are_remembered_only(monkeypatch, path):
    monkeypatch.setenv(module_progress.VARIABLE, path)
    reporter = Reporter()
    assert not reporter.open(())
    reporter.tell(entry("x"))
    reporter.tell(entry("y"))
    assert reporter.timeline == [entry("x"), entry("y")]
    assert reporter.last == {"a": entry("y")}


def test_a_file_that_is_no_pipe_is_left_alone(tmp_path, monkeypatch):
    path = tmp_path / "precious"
    path.write_text("data")
    monkeypatch.setenv(module_progress.VARIABLE, str(path))
    reporter = Reporter()
    assert not reporter.open(())
    reporter.tell(entry())
    assert path.read_text() == "data"


def test_a_pipe_that_nobody_reads_is_not_used(tmp_path, monkeypatch):
    path = tmp_path / "progress"
    os.mkfifo(path)
    monkeypatch.setenv(module_progress.VARIABLE, str(path))
    assert not Reporter().open(())
    assert stat.S_ISFIFO(path.stat().st_mode)


def test_secrets_are_not_told_but_the_result_keeps_its_own_rules(pipe):
    _path, reader = pipe
    reporter = Reporter()
    reporter.open({"hunter22"})
    reporter.tell(entry("found hunter22 and password=swordfish and postgresql://u:pw123@host/db"))
    text = json.dumps(told(reader))
    for secret in ("hunter22", "swordfish", "pw123"):
        assert secret not in text
    assert "found ********" in text


def test_a_secret_is_hidden_also_where_the_message_is_cut(pipe):
    _path, reader = pipe
    reporter = Reporter()
    reporter.open({"hunter22"})
    for length in range(module_progress.MAX_MESSAGE - 12, module_progress.MAX_MESSAGE + 2):
        reporter.tell(entry("x" * length + "hunter22"))
    assert "hun" not in json.dumps(told(reader))


def test_a_line_is_never_longer_than_what_a_pipe_takes_whole(pipe):
    _path, reader = pipe
    reporter = Reporter()
    reporter.open(())
    reporter.tell(entry("\U0001f600" * 10**6, target="\U0001f600" * 1000, reason="\U0001f600" * 1000))
    line = os.read(reader, 1 << 20)
    assert line.endswith(b"\n")
    assert len(line) <= 4096


@pytest.mark.parametrize("text", ["a\x1b[31mred\x1b[K", "bell\x07", "half \ud800", "nul\0", "rtl\u202e"])
def test_nothing_that_moves_a_cursor_is_told(pipe, text):
    _path, reader = pipe
    reporter = Reporter()
    reporter.open(())
    reporter.tell(entry(text))
    assert told(reader)[0]["message"].isprintable()


def test_a_reader_that_does_not_read_holds_nothing_up(pipe):
    _path, reader = pipe
    reporter = Reporter()
    reporter.open(())
    for number in range(10000):
        reporter.tell(entry("x" * 150, at=float(number)))
    assert reporter.heard()
    assert 100 < len(told(reader)) < 10000
    assert len(reporter.timeline) == module_progress.MAX_TIMELINE
    reporter.tell(entry("afterwards"))
    assert told(reader)[-1]["message"] == "afterwards"


def test_a_reader_that_has_gone_is_noticed(tmp_path, monkeypatch):
    path = tmp_path / "progress"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    monkeypatch.setenv(module_progress.VARIABLE, str(path))
    reporter = Reporter()
    reporter.open(())
    assert reporter.heard()
    os.close(reader)
    assert not reporter.heard()
    reporter.tell(entry())  # no error, and no signal


def test_shorten():
    assert shorten(" a\n\tb  c ", 10) == "a b c"
    assert shorten("x" * 11, 10) == "x" * 7 + "..."
    assert shorten("x" * 10, 10) == "x" * 10
