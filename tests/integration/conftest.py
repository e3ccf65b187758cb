"""One sandbox for the whole session, and the built collection to run against it."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import secrets
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest

from sandbox import artifact, audit, demo
from sandbox.paths import Instance

from .platform_hands import Hands

ROOT = Path(__file__).resolve().parents[2]
NAME = os.environ.get("SANDBOX_NAME", "test")


def sandbox(*arguments: str) -> str:
    """Run the sandbox's command line and return what it printed; a failure shows its message."""
    command = [sys.executable, "-m", "sandbox", "--name", NAME, *arguments]
    done = subprocess.run(command, cwd=ROOT, text=True, capture_output=True, check=False)
    assert done.returncode == 0, f"{' '.join(arguments)}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done.stdout


@pytest.fixture(scope="session")
def instance() -> t.Iterator[Instance]:
    """A pristine sandbox of its own, stopped at the end."""
    sandbox("up")
    sandbox("reset")
    yield Instance(NAME)
    sandbox("down")


@pytest.fixture(scope="session")
def collections(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The collection as users get it: built, and installed from its tarball."""
    place = tmp_path_factory.mktemp("collections")
    artifact.install(artifact.build(tmp_path_factory.mktemp("build")), place)
    return place


@dataclasses.dataclass
class Cluster:
    """What tests do to and see of the sandbox."""

    instance: Instance
    collections: Path
    logs: Path
    sandbox: t.Callable[..., str] = sandbox

    def play(self, playbook: str, *arguments: str) -> dict[str, t.Any]:
        """Run a playbook of the installed collection; see sandbox.demo.play for what comes back, plus its output."""
        demo.OUT.mkdir(parents=True, exist_ok=True)
        log = self.logs / f"{playbook}.log"
        done = demo.play(playbook, self.instance, self.collections, log, *arguments)
        return {**done, "output": log.read_text(encoding="utf-8")}

    def kubectl(self, *arguments: str) -> str:
        """Run kubectl with the sandbox's cluster-admin and return its output."""
        done = subprocess.run(
            [self.kubectl_path, "--kubeconfig", str(self.instance.kubeconfig), *arguments],
            text=True,
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def get(self, *arguments: str) -> dict[str, t.Any]:
        """`kubectl get` as an object."""
        return t.cast("dict[str, t.Any]", json.loads(self.kubectl("get", "-o", "json", *arguments)))

    @property
    def kubectl_path(self) -> str:
        """The kubectl that the sandbox built."""
        from sandbox.cluster import tools

        return str(tools.directory() / "bin" / "kubectl")

    def mark(self) -> int:
        """A mark in the audit log to count requests from."""
        return audit.mark(self.instance.audit_log)


@pytest.fixture
def cluster(instance: Instance, collections: Path, tmp_path: Path) -> Cluster:
    """The sandbox as it is at this moment of the session."""
    return Cluster(instance, collections, tmp_path)


@pytest.fixture(scope="session")
def hands(instance: Instance, collections: Path, tmp_path_factory: pytest.TempPathFactory) -> Hands:
    """The cluster with everything installed; module calls in this process use the collection as it was built."""
    sys.path.insert(0, str(collections))
    sandbox("reset")  # other tests may have left it broken
    done = Cluster(instance, collections, tmp_path_factory.mktemp("logs")).play("install")
    assert done["ok"], done["output"][-3000:]
    return Hands(instance)


@pytest.fixture
def place(hands: Hands, request: pytest.FixtureRequest) -> t.Iterator[str]:
    """A namespace of the test's own."""
    words = re.sub(r"[^a-z0-9]+", "-", request.node.originalname.removeprefix("test_"))
    name = f"pf-{words[:40].strip('-')}-{secrets.token_hex(2)}"
    yield hands.namespace(name)
    hands.clean(name)
