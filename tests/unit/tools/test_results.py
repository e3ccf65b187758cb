"""The closing lines of a run."""

from __future__ import annotations

from pathlib import Path

from results import Outcome, Processor, closing, last_line, read_junit

JUNIT = """<testsuites><testsuite>
<testcase classname="tests.a" name="good" time="1.5"/>
<testcase classname="tests.a" name="bad" time="20"><failure message="assert 1 == 2&#10;more">text</failure></testcase>
<testcase classname="tests.a" name="broken" time="0"><error message="failed on setup"/></testcase>
<testcase classname="tests.a" name="left_b" time="0"><skipped message="nothing to compare with"/></testcase>
<testcase classname="tests.a" name="left_c" time="0"><skipped message="nothing to compare with"/></testcase>
</testsuite></testsuites>"""


def outcome(tmp_path: Path) -> Outcome:
    (tmp_path / "report.xml").write_text(JUNIT, encoding="utf-8")
    found = Outcome(note="stopped after 15 min")
    read_junit(tmp_path / "report.xml", found)
    return found


def test_a_junit_file_is_counted_test_by_test(tmp_path: Path) -> None:
    found = outcome(tmp_path)
    assert (found.passed, found.failed) == (1, 2)
    assert found.failures == [("tests.a::bad", "assert 1 == 2"), ("tests.a::broken", "failed on setup")]
    assert [test for test, _reason in found.skips] == ["tests.a::left_b", "tests.a::left_c"]


def test_the_closing_lines_name_what_failed_was_skipped_and_was_slow(tmp_path: Path) -> None:
    lines = closing({"ruff": Outcome(passed=1), "a/b": outcome(tmp_path)}, 540.0, 1080.0, 0.25)
    assert lines[:3] == [
        "failed step: a/b stopped after 15 min",
        "     tests.a::bad: assert 1 == 2",
        "     tests.a::broken: failed on setup",
    ]
    assert "SKIPPED: tests.a::left_b and 1 more: nothing to compare with" in lines
    assert lines[lines.index("slowest tests, with what they set up:") + 1] == "    20.0 s tests.a::bad"
    assert lines[-3:] == [
        "the cores were idle for 25% of the time",
        "540 s of the budget of 1080 s (50%)",
        "2 passed, 2 failed",
    ]


def test_the_last_line_of_a_log_shows_what_a_step_is_at(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert last_line(log) == ""
    log.write_text("first\n" + "x" * 200 + "\n\n", encoding="utf-8")
    assert last_line(log) == "x" * 100


def test_the_idle_share_is_that_of_the_time_since_the_beginning(tmp_path: Path) -> None:
    stat = tmp_path / "stat"
    stat.write_text("cpu 100 0 100 800 0 0 0 0 0 0\n", encoding="utf-8")
    processor = Processor(stat)
    assert processor.idle() == 0.0
    stat.write_text("cpu 150 0 125 805 20 0 0 0 0 0\n", encoding="utf-8")
    assert processor.idle() == 0.25
