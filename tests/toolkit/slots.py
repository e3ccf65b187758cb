"""A pool of sandboxes for tests, and the state in which a test finds the one that it was given.

A test file says what it needs with a mark:

    pytestmark = pytest.mark.sandbox("installed")

| state | the sandbox is |
|---|---|
| `fresh` | pristine: nothing is installed |
| `any` | fresh or installed, and healthy: the file only works in namespaces of its own |
| `installed` | as the install playbook with default values has left it |
| `traps` | pristine, with the packages of `tests/integration/olm/packages.py` in its catalog |

`mine=True` says that the file leaves it in a state that suits no other; otherwise it deletes what it has created, and
the next file goes on from there. `makes="installed"` says that it leaves this state, and a snapshot of it. A file with
a failed test leaves an unknown state whatever its mark says.

The runner gives each of its workers a sandbox by the variable SANDBOX_NAME. Without it there is one for each checkout.
An installed state is made once for all of them: it is a snapshot whose name holds a digest of what it is made from.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import hashlib
import json
import os
import shutil
import subprocess
import sys
import typing as t
from pathlib import Path

from sandbox import artifact, demo, proof, settings
from sandbox.paths import Instance, home_dir
from tests.toolkit.wait import until

ROOT = Path(__file__).resolve().parents[2]
STATES = ("fresh", "any", "installed", "traps")
UNKNOWN = "unknown"
# What an installed state is made from.
SOURCES = ("galaxy.yml", "meta", "playbooks", "plugins", "roles", "sandbox")
NAME_VARIABLE = "SANDBOX_NAME"
DIGEST_VARIABLE = "TEST_SOURCES_DIGEST"


def slot(number: int) -> str:
    """Return the name of a sandbox of this checkout: two checkouts test side by side."""
    return f"t{hashlib.sha256(str(ROOT).encode()).hexdigest()[:6]}-{number}"


def name() -> str:
    """Return the name of the sandbox that these tests were given."""
    return os.environ.get(NAME_VARIABLE) or slot(0)


def command(sandbox_name: str, *arguments: str) -> str:
    """Run the sandbox's command line and return what it printed; a failure shows its message."""
    line = [sys.executable, "-m", "sandbox", "--name", sandbox_name, *arguments]
    done = subprocess.run(line, cwd=ROOT, text=True, capture_output=True, check=False)
    assert done.returncode == 0, f"{' '.join(arguments)}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done.stdout


@functools.cache
def digest() -> str:
    """Return a short digest of everything that an installed state depends on; the runner takes it once for a run."""
    if DIGEST_VARIABLE in os.environ:
        return os.environ[DIGEST_VARIABLE]
    total = hashlib.sha256()
    for source in SOURCES:
        place = ROOT / source
        files = [place] if place.is_file() else sorted(path for path in place.rglob("*") if path.is_file())
        for path in files:
            if "__pycache__" not in path.parts:
                total.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes() + b"\0")
    return total.hexdigest()[:12]


def snapshot_name(state: str) -> str:
    """Return the name of the snapshot that a state is put back from."""
    return {"fresh": "pristine", "any": "pristine"}.get(state) or f"{state}-{digest()}"


class Slot:
    """One sandbox of the pool."""

    def __init__(self, sandbox_name: str) -> None:
        self.instance = Instance(sandbox_name)
        self._note = home_dir() / f".{sandbox_name}.state"

    # -- the state that it is in -----------------------------------------------------------------------------------

    @property
    def state(self) -> str:
        """The state that the last file has left; UNKNOWN also when that file was killed."""
        try:
            state, made_from = json.loads(self._note.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return UNKNOWN
        return str(state) if made_from == digest() else UNKNOWN

    @state.setter
    def state(self, value: str) -> None:
        self._note.parent.mkdir(parents=True, exist_ok=True)
        self._note.write_text(json.dumps([value, digest()]), encoding="utf-8")

    def fits(self, wanted: str) -> bool:
        """Whether a file that wants this state can begin without a reset."""
        return self.state == wanted or (wanted == "any" and self.state in ("fresh", "installed"))

    def bring(self, wanted: str) -> Instance:
        """Have the sandbox up in a state; nothing is done when it is in that state already."""
        assert wanted in STATES, f"{wanted!r} is not one of {STATES}"
        fits = self.fits(wanted)
        found = self.state
        self.state = UNKNOWN
        if fits:
            self.sandbox("up")  # nothing to do unless the machine was restarted
            self.state = found
            return self.instance
        if not self._has(snapshot_name("fresh")):
            self._first()
        if wanted == "installed":
            self._installed()
        elif wanted == "traps":
            self._traps()
        else:
            self.sandbox("reset")
        self.state = "fresh" if wanted == "any" else wanted
        return self.instance

    def sandbox(self, *arguments: str) -> str:
        """Run the sandbox's command line."""
        return command(self.instance.name, *arguments)

    # -- the ways into a state -------------------------------------------------------------------------------------

    def _has(self, snapshot: str) -> bool:
        return (self.instance.snapshots / snapshot / "complete").exists()

    def _first(self) -> None:
        """Make the pristine snapshot, or take that of another sandbox of the pool; a start brings it up to date."""
        with self._one_at_a_time("pristine"):
            if not self._fetched("pristine"):
                self.sandbox("up")

    def _installed(self) -> None:
        snapshot = snapshot_name("installed")
        with self._one_at_a_time(snapshot):
            if not self._has(snapshot) and not self._fetched(snapshot):
                self.sandbox("reset")
                install(self.instance)
                self.keep("installed")
                return
        self.sandbox("reset", snapshot)
        await_health(self.instance)

    def _traps(self) -> None:
        from tests.integration.olm import packages

        snapshot = snapshot_name("traps")
        with self._one_at_a_time(snapshot):
            if not self._has(snapshot) and not self._fetched(snapshot):
                self.sandbox("reset")
                settings.update(self.instance.settings_file, packages.SETTINGS)
                self.sandbox("reset", "--keep-settings")
                self.keep("traps")
                return
        self.sandbox("reset", snapshot)

    def keep(self, state: str) -> None:
        """Take the snapshot from which the sandboxes of the pool are put into a state; drop those of older sources."""
        snapshot = snapshot_name(state)
        for old in self.instance.snapshots.glob(f"{state}-*"):
            if old.name != snapshot:
                shutil.rmtree(old, ignore_errors=True)
        self.sandbox("snapshot", snapshot)
        self.state = state

    def _fetched(self, snapshot: str) -> bool:
        """Take a snapshot of another sandbox of the pool, if one has it."""
        for place in sorted(home_dir().glob(f"{self._pool}-*/snapshots/{snapshot}/complete")):
            other = place.parents[2].name
            if other != self.instance.name:
                self.sandbox("snapshot", snapshot, "--from", other)
                return True
        return False

    @property
    def _pool(self) -> str:
        return self.instance.name.rpartition("-")[0] or self.instance.name

    @contextlib.contextmanager
    def _one_at_a_time(self, what: str) -> t.Iterator[None]:
        """Let one sandbox of the pool make something; the others take it from there."""
        home_dir().mkdir(parents=True, exist_ok=True)
        with (home_dir() / f".{self._pool}-{what}.lock").open("w") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            yield


def install(instance: Instance, *arguments: str) -> dict[str, t.Any]:
    """Run the install playbook of the built collection; fail unless it ends well. Return what `demo.play` tells."""
    place = collections()
    demo.OUT.mkdir(parents=True, exist_ok=True)
    log = place.parent / f"install-{instance.name}.log"
    done = demo.play("install", instance, place, log, *arguments)
    assert done["ok"], log.read_text(encoding="utf-8")[-3000:]
    return done


def prune() -> None:
    """Delete the collections that were built from older sources; only while no tests of this checkout run."""
    for old in (ROOT / "build" / "test" / "collections").glob("[0-9a-f]*"):
        if old.name != digest():
            shutil.rmtree(old, ignore_errors=True)


def collections() -> Path:
    """Return a folder with the collection as users get it: built, and installed from its tarball. Built once."""
    place = ROOT / "build" / "test" / "collections" / digest()
    if not (place / "complete").exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        with (place.parent / ".lock").open("w") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            if not (place / "complete").exists():
                artifact.install(artifact.build(place), place)
                (place / "complete").touch()
    return place


def await_health(instance: Instance, seconds: float = 180) -> None:
    """Wait until everything that was installed runs again after a reset."""
    until("everything that was installed runs", lambda: not proof.collect(instance).problems, seconds, pause=0.5)
