"""Run the project's checks and tests, with progress lines, and close with one plain line: `N passed, N failed`.

    python tests/tools/run.py STEP|GROUP ...

Groups: all, lint, unit, sanity, conformance, integration, molecule. A step's name runs that step alone.

A step that fails does not stop the others. pytest's steps count test by test (from their JUnit files), every other step
counts as one. Each step's full output is kept in build/test/<step>.log. Exit code 1 when anything failed.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import subprocess
import sys
import threading
import time
import typing as t
import xml.etree.ElementTree as ET
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
OUT = ROOT / "build" / "test"
HEARTBEAT = 30.0  # seconds between signs of life of a long step
TAIL = 60  # lines of a failed step's output that are shown
SHORT = 200  # characters of a failed test's message that the closing lines hold


@dataclasses.dataclass(frozen=True)
class Step:
    """One command. `junit` steps are pytest's and count their tests; `venv` is the row's environment."""

    name: str
    group: str
    command: tuple[str, ...]
    venv: str = ".venv"
    junit: bool = False
    environment: t.Mapping[str, str] = dataclasses.field(default_factory=dict)
    minutes: float = 10.0

    @property
    def log(self) -> Path:
        return OUT / f"{self.name}.log"

    @property
    def report(self) -> Path:
        return OUT / f"{self.name}.xml"

    def here(self) -> bool:
        """False when the row's environment does not exist on this machine."""
        return (ROOT / self.venv / ".lock-stamp").exists()


@dataclasses.dataclass
class Outcome:
    """What a step came to."""

    passed: int
    failed: int
    skipped: int
    seconds: float
    note: str = ""
    failures: t.Sequence[str] = ()


def pytest_step(name: str, group: str, folder: str, *options: str, venv: str = ".venv", minutes: float = 10.0) -> Step:
    """A step that runs pytest on a folder and leaves a JUnit file."""
    command = ("python", "-m", "pytest", "-q", folder, f"--junitxml={OUT / name}.xml", *options)
    return Step(name, group, command, venv, junit=True, minutes=minutes)


def steps() -> list[Step]:
    """Every step, in the order in which they run: what is quick and near comes first."""
    tree = {"ANSIBLE_COLLECTIONS_PATH": str(OUT / "tree")}
    tool = ("python", "tests/tools/in_tree.py")
    refs = (
        *("antsibull-docs", "lint-collection-docs", "--plugin-docs", "--skip-rstcheck"),
        *("--validate-collection-refs", "dependent", "."),
    )
    return [
        Step("ruff", "lint", ("ruff", "check")),
        Step("mypy", "lint", ("mypy",)),
        Step("yamllint", "lint", ("yamllint", "--strict", ".")),
        Step("ansible-lint", "lint", (*tool, "ansible-lint", "--offline", "--strict"), environment=tree),
        Step("antsibull-docs", "lint", (*tool, *refs), environment=tree),
        Step("changelog", "lint", (*tool, "antsibull-changelog", "lint"), environment=tree),
        pytest_step("unit-primary", "unit", "tests/unit", "-n", "2"),
        pytest_step("unit-newest", "unit", "tests/unit", "-n", "2", venv=".venv-newest"),
        Step("sanity-primary", "sanity", ("python", "tests/tools/sanity.py"), minutes=15),
        Step("sanity-newest", "sanity", ("python", "tests/tools/sanity.py"), ".venv-newest", minutes=15),
        pytest_step("conformance", "conformance", "tests/conformance", minutes=15),
        pytest_step(
            "integration-stack", "integration", "tests/integration", "--ignore=tests/integration/olm", minutes=60
        ),
        pytest_step("integration-olm", "integration", "tests/integration/olm", minutes=30),
        Step("molecule", "molecule", ("python", "tests/tools/molecule.py"), minutes=20),
    ]  # fmt: skip


def environment(step: Step) -> dict[str, str]:
    """The step's variables: its row's programs first, and nothing of the caller's that would point elsewhere."""
    values = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("ANSIBLE_", "K8S_AUTH_", "MOLECULE_", "SANDBOX_"))
        and key not in {"KUBECONFIG", "PYTHONPATH"}
    }
    values["PATH"] = f"{ROOT / step.venv / 'bin'}{os.pathsep}{values.get('PATH', '')}"
    values["VIRTUAL_ENV"] = str(ROOT / step.venv)
    values["PYTHONDONTWRITEBYTECODE"] = "1"
    # Whatever looks for collections must not find, or leave, a copy of this one in the user's home.
    values["ANSIBLE_HOME"] = str(OUT / "ansible-home")
    return values | dict(step.environment)


def read_junit(report: Path) -> tuple[int, int, list[str]]:
    """Return how many tests of a JUnit file passed and were skipped, and a line about each that failed or broke."""
    passed = skipped = 0
    failures: list[str] = []
    for case in ET.parse(report).getroot().iter("testcase"):
        marks = {child.tag: child for child in case}
        bad = marks.get("failure", marks.get("error"))
        if bad is not None:
            first = next(iter(bad.get("message", "").splitlines()), "")
            failures.append(f"{case.get('classname', '')}::{case.get('name', '')}: {first[:SHORT]}")
        elif "skipped" in marks:
            skipped += 1
        else:
            passed += 1
    return passed, skipped, failures


def last_line(log: Path) -> str:
    """The last line that a step has printed, shortened: what it is at."""
    with contextlib.suppress(OSError, IndexError):
        text = log.read_bytes()[-2000:].decode(errors="replace")
        return [line.strip() for line in text.splitlines() if line.strip()][-1][:100]
    return ""


def run_step(step: Step) -> Outcome:
    """Run one step to its end, its time limit or an interrupt; the step's processes never outlive it."""
    step.report.unlink(missing_ok=True)
    started = time.monotonic()
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(HEARTBEAT):
            print(f"     {step.name}: {time.monotonic() - started:.0f} s ... {last_line(step.log)}", flush=True)

    note = ""
    with step.log.open("wb") as log:
        child = subprocess.Popen(
            step.command,
            cwd=ROOT,
            env=environment(step),
            stdout=log,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        threading.Thread(target=beat, daemon=True).start()
        try:
            code = child.wait(step.minutes * 60)
        except subprocess.TimeoutExpired:
            code, note = 1, f"stopped after {step.minutes:.0f} min"
        finally:
            ended.set()
            if child.poll() is None:
                os.killpg(child.pid, signal.SIGTERM)
                try:
                    child.wait(20)
                except subprocess.TimeoutExpired:
                    os.killpg(child.pid, signal.SIGKILL)
                    child.wait()
    seconds = time.monotonic() - started
    if not step.junit or not step.report.exists():
        return Outcome(int(code == 0), int(code != 0), 0, seconds, note)
    passed, skipped, failures = read_junit(step.report)
    # pytest can fail without a failed test, when nothing was collected, say.
    return Outcome(passed, len(failures) or int(code != 0), skipped, seconds, note, failures)


def show_failure(step: Step) -> None:
    """Print the end of a failed step's output."""
    lines = step.log.read_text(encoding="utf-8", errors="replace").splitlines()
    for line in lines[-TAIL:]:
        print(f"     | {line}")
    print(f"     | (all of it: {step.log.relative_to(ROOT)})", flush=True)


def select(wanted: t.Sequence[str]) -> list[Step]:
    """Return the steps of the given names and groups. Raises SystemExit with the list when a name is unknown."""
    every = steps()
    known = {"all"} | {step.name for step in every} | {step.group for step in every}
    unknown = [name for name in wanted if name not in known]
    if unknown or not wanted:
        raise SystemExit(f"{__doc__}\nsteps and groups: {', '.join(sorted(known))}")
    return [step for step in every if {"all", step.name, step.group} & set(wanted)]


def main(arguments: list[str]) -> int:
    """Run the steps, print the closing line and return the exit code."""
    OUT.mkdir(parents=True, exist_ok=True)
    chosen = select(arguments)
    outcomes: dict[str, Outcome] = {}
    begun = time.monotonic()
    for number, step in enumerate(chosen, 1):
        if not step.here():
            print(
                f"{number:>2}/{len(chosen)} {step.name}: NOT RUN, {step.venv} is not here: THIS ROW IS UNTESTED",
                flush=True,
            )
            continue
        print(f"{number:>2}/{len(chosen)} {step.name} ... ({time.monotonic() - begun:.0f} s so far)", flush=True)
        outcome = outcomes[step.name] = run_step(step)
        if outcome.failed:
            show_failure(step)
        verdict = "FAILED" if outcome.failed else "ok"
        details = f", {outcome.passed} passed, {outcome.failed} failed" if step.junit else ""
        details += f", {outcome.skipped} SKIPPED" if outcome.skipped else ""
        print(f"     {step.name}: {verdict} in {outcome.seconds:.0f} s{details} {outcome.note}".rstrip(), flush=True)
    # Whoever sees only the end of a long log must still read what failed.
    for name, outcome in outcomes.items():
        if outcome.failed:
            print(f"failed step: {name} {outcome.note}".rstrip())
        for failure in outcome.failures:
            print(f"     {failure}")
    passed = sum(outcome.passed for outcome in outcomes.values())
    failed = sum(outcome.failed for outcome in outcomes.values())
    print(f"{passed} passed, {failed} failed", flush=True)
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
