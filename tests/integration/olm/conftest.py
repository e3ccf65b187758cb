"""A sandbox of this folder's own, whose catalog holds the packages of the traps besides its usual ones."""

from __future__ import annotations

import os
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest

from sandbox import settings
from sandbox.cluster import supervise
from sandbox.paths import Instance

from .hands import SETTINGS, Hands, Stage

ROOT = Path(__file__).resolve().parents[3]
NAME = os.environ.get("SANDBOX_OLM_NAME", "olm-traps")


def sandbox(*arguments: str) -> None:
    """Run the sandbox's command line; a failure shows its message."""
    command = [sys.executable, "-m", "sandbox", "--name", NAME, *arguments]
    done = subprocess.run(command, cwd=ROOT, text=True, capture_output=True, check=False)
    assert done.returncode == 0, f"{' '.join(arguments)}: {done.stdout[-2000:]}{done.stderr[-2000:]}"


@pytest.fixture(scope="session")
def traps() -> t.Iterator[Instance]:
    """A pristine sandbox with the packages of the traps, stopped at the end."""
    instance = Instance(NAME)
    if not (instance.snapshots / "pristine" / "complete").exists():
        sandbox("up")
    settings.update(instance.settings_file, SETTINGS)
    sandbox("reset", "--keep-settings")
    yield instance
    sandbox("down")


@pytest.fixture(scope="session")
def hands(traps: Instance, collections: Path) -> Hands:
    """Ways to change and see that sandbox; module calls in this process use the collection as it was built."""
    sys.path.insert(0, str(collections))
    return Hands(traps)


@pytest.fixture(scope="module", autouse=True)
def alone(hands: Hands) -> t.Iterator[None]:
    """No operator of another file is there, and what a file has stopped runs again."""
    hands.clean()
    yield
    stopped = [
        part["name"]
        for part in supervise.Supervisor(hands.instance).parts()
        if part["statename"] not in ("RUNNING", "STARTING") and part["name"] != "faults"
    ]
    assert not stopped, f"left stopped: {stopped}"


@pytest.fixture(scope="module")
def stage(hands: Hands, request: pytest.FixtureRequest) -> t.Iterator[Stage]:
    """The scenes of a file that were selected, all begun."""
    mine = [item.function for item in request.session.items if item.module is request.module]
    begun = Stage.begin(hands, [function for function in mine if hasattr(function, "scene")])
    yield begun
    begun.end()
