"""A run of steps: side by side, never tried again, and nothing of it is left when it is stopped or killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import typing as t
from pathlib import Path

import psutil
import pytest
import run
import steps
from results import Outcome
from steps import Step

LEASH = Path(run.__file__).with_name("leash.py")


@pytest.fixture(autouse=True)
def out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "OUT", tmp_path)


def step(name: str, text: str, **more: t.Any) -> Step:
    return Step(name, "area", (sys.executable, "-c", text), venv=".venv", **more)


def play(*chosen: Step, pool: t.Sequence[str] = ()) -> dict[str, Outcome]:
    return run.Run(chosen, pool, {}).run()


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every row's environment is there, whatever the checkout has."""
    monkeypatch.setattr(Step, "here", lambda self: True)
    monkeypatch.setattr(run, "ROOT", Path(sys.prefix).parent)


@pytest.mark.skipif(sys.prefix == sys.base_prefix, reason="LOUD: not run in an environment of its own")
@pytest.mark.usefixtures("here")
class TestRun:
    def test_a_failed_step_stops_no_other_and_is_not_tried_again(self, tmp_path: Path) -> None:
        count = f"open({str(tmp_path / 'count')!r}, 'a').write('x')"
        found = play(step("bad", f"{count}; raise SystemExit(3)"), step("good", "print('fine')"))
        assert (found["bad"].passed, found["bad"].failed) == (0, 1)
        assert (found["good"].passed, found["good"].failed) == (1, 0)
        assert (tmp_path / "count").read_text(encoding="utf-8") == "x"

    def test_steps_on_sandboxes_run_side_by_side_each_on_its_own(self, tmp_path: Path) -> None:
        # Each waits until it has seen the other: one after the other they would never end.
        text = (
            "import os, pathlib, time\n"
            f"place = pathlib.Path({str(tmp_path)!r})\n"
            "(place / os.environ['SANDBOX_NAME']).touch()\n"
            "while len(list(place.glob('slot-*'))) < 2: time.sleep(0.01)\n"
        )
        found = play(
            *(step(name, text, state="fresh", minutes=0.5) for name in "ab"), pool=["slot-1", "slot-2", "slot-3"]
        )
        assert [outcome.failed for outcome in found.values()] == [0, 0]
        assert sorted(path.name for path in tmp_path.glob("slot-*")) == ["slot-1", "slot-2"]

    def test_a_step_past_its_limit_is_ended_with_what_it_has_started(self, tmp_path: Path) -> None:
        text = (
            "import pathlib, subprocess, sys, time\n"
            "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], start_new_session=True)\n"
            f"pathlib.Path({str(tmp_path / 'pid')!r}).write_text(str(child.pid))\n"
            "time.sleep(600)\n"
        )
        found = play(step("slow", text, minutes=0.1))
        assert found["slow"].note.startswith("stopped after")
        assert found["slow"].failed == 1
        assert gone(int((tmp_path / "pid").read_text(encoding="utf-8")))


def started(tmp_path: Path, text: str) -> tuple[subprocess.Popen[bytes], int]:
    """A command on a leash, and the process id of a grandchild that left its session."""
    grandchild = "import subprocess, sys, time\n"
    grandchild += (
        "p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], start_new_session=True)\n"
    )
    grandchild += f"open({str(tmp_path / 'pid')!r}, 'w').write(str(p.pid) + chr(10))\n{text}"
    leash = subprocess.Popen([sys.executable, str(LEASH), sys.executable, "-c", grandchild], stdin=subprocess.PIPE)
    place = tmp_path / "pid"
    while not (place.exists() and place.read_text(encoding="utf-8").endswith("\n")):
        time.sleep(0.01)
    return leash, int(place.read_text(encoding="utf-8"))


def gone(pid: int) -> bool:
    """Whether a process has ended; that init has still to reap it does not matter."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_what_a_step_leaves_running_ends_with_it(tmp_path: Path) -> None:
    leash, orphan = started(tmp_path, "raise SystemExit(7)")
    assert leash.wait(60) == 7
    assert gone(orphan)


def test_a_closed_leash_ends_everything(tmp_path: Path) -> None:
    leash, orphan = started(tmp_path, "time.sleep(600)")
    assert leash.stdin is not None
    leash.stdin.close()
    assert leash.wait(60) == 143
    assert gone(orphan)


def test_a_killed_caller_takes_everything_with_it(tmp_path: Path) -> None:
    """The runner dies by SIGKILL: only the leash can notice."""
    caller = (
        "import subprocess, sys, time\n"
        f"command = [sys.executable, {str(LEASH)!r}, sys.executable, '-c', 'import time; time.sleep(600)']\n"
        "leash = subprocess.Popen(command, stdin=subprocess.PIPE)\n"
        "print(leash.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", caller], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    leash = psutil.Process(int(process.stdout.readline()))
    while not leash.children():
        time.sleep(0.01)
    family = [leash, *leash.children()]
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    _gone, alive = psutil.wait_procs(family, timeout=60)
    assert not [each for each in alive if not gone(each.pid)]
