"""The steps of `make test` and the table of them in the documentation are the same, and each was measured."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
TOOLS = ROOT / "tests" / "tools"


def test_the_table_is_that_of_today() -> None:
    command = [sys.executable, str(TOOLS / "measured.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"run make docs: {done.stdout}{done.stderr}"


def test_every_step_was_measured_and_nothing_else_is_in_the_list() -> None:
    names = "import sys; sys.path.insert(0, sys.argv[1]); import steps; print(*(step.name for step in steps.every()))"
    done = subprocess.run([sys.executable, "-c", names, str(TOOLS)], capture_output=True, text=True, check=True)
    measured = json.loads((TOOLS / "measured.json").read_text(encoding="utf-8"))["seconds"]
    assert set(measured) == set(done.stdout.split()), "run python tests/tools/measured.py --take after make test"
