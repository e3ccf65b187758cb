"""What the steps of a run came to, and the lines in which it is told. Reads files and prints; decides nothing."""

from __future__ import annotations

import contextlib
import dataclasses
import typing as t
import xml.etree.ElementTree as ET
from pathlib import Path

SHORT = 200  # characters of a message that the closing lines hold
SLOWEST = 10


@dataclasses.dataclass
class Outcome:
    """What a step came to. `failures` and `skips` are (test, first line of its message); `tests` (seconds, test)."""

    passed: int = 0
    failed: int = 0
    seconds: float = 0.0
    note: str = ""
    failures: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    skips: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    tests: list[tuple[float, str]] = dataclasses.field(default_factory=list)


def read_junit(report: Path, outcome: Outcome) -> None:
    """Add the tests of a JUnit file to an outcome."""
    for case in ET.parse(report).getroot().iter("testcase"):
        marks = {child.tag: child for child in case}
        bad = marks.get("failure", marks.get("error"))
        title = f"{case.get('classname', '')}::{case.get('name', '')}"
        outcome.tests.append((float(case.get("time", 0)), title))
        if bad is not None:
            outcome.failures.append((title, first_line(bad)))
        elif "skipped" in marks:
            outcome.skips.append((title, first_line(marks["skipped"])))
        else:
            outcome.passed += 1
    outcome.failed = len(outcome.failures)


def first_line(element: ET.Element) -> str:
    """Return the first line of a test's message, shortened."""
    return next(iter(element.get("message", "").splitlines()), "")[:SHORT]


def last_line(log: Path) -> str:
    """Return the last line that a step has printed, shortened."""
    with contextlib.suppress(OSError, IndexError):
        text = log.read_bytes()[-2000:].decode(errors="replace")
        return [line.strip() for line in text.splitlines() if line.strip()][-1][:100]
    return ""


class Processor:
    """How long the machine's cores have been idle since this object was made, from /proc/stat."""

    def __init__(self, stat: Path = Path("/proc/stat")) -> None:
        self._stat = stat
        self._begun = self._read()

    def _read(self) -> tuple[int, int]:
        numbers = [int(word) for word in self._stat.read_text(encoding="utf-8").split("\n", 1)[0].split()[1:9]]
        return sum(numbers), numbers[3] + numbers[4]  # idle, and waiting for a disk

    def idle(self) -> float:
        """Return the idle share, 0 to 1."""
        total, idle = (now - then for now, then in zip(self._read(), self._begun, strict=True))
        return idle / total if total else 0.0


def closing(outcomes: t.Mapping[str, Outcome], seconds: float, budget: float, idle: float) -> list[str]:
    """Return the closing lines of a run: what failed, what was skipped and why, what was slow, what was used.

    The last one is `N passed, N failed`.
    """
    lines = []
    for name, outcome in outcomes.items():
        if outcome.failed:
            lines.append(f"failed step: {name} {outcome.note}".rstrip())
        lines += [f"     {test}: {message}" for test, message in outcome.failures]
    skips: dict[str, list[str]] = {}
    for outcome in outcomes.values():
        for test, message in outcome.skips:
            skips.setdefault(message, []).append(test)
    for message, tests in skips.items():
        more = f" and {len(tests) - 1} more" if len(tests) > 1 else ""
        lines.append(f"SKIPPED: {tests[0]}{more}: {message}")
    slowest = sorted((test for outcome in outcomes.values() for test in outcome.tests), reverse=True)[:SLOWEST]
    if slowest:
        lines.append("slowest tests, with what they set up:")
        lines += [f"{took:>8.1f} s {title}" for took, title in slowest]
    lines.append(f"the cores were idle for {idle:.0%} of the time")
    lines.append(f"{seconds:.0f} s of the budget of {budget:.0f} s ({seconds / budget:.0%})")
    passed = sum(outcome.passed for outcome in outcomes.values())
    failed = sum(outcome.failed for outcome in outcomes.values())
    lines.append(f"{passed} passed, {failed} failed")
    return lines
