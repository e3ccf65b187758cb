"""The place where benchmarks run: a sandbox of their own, and timed plays on it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import typing as t
from pathlib import Path

from benchmarks.rows import BenchmarkFailed
from sandbox import artifact, demo, settings
from sandbox.cluster import tools
from sandbox.paths import Instance

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "build" / "bench"
PEERS = ROOT / "benchmarks" / "peers"
OPERATORS = ("knative", "knative-openshift", "logic", "hub")


class Lab:
    """A sandbox of its own, stopped when the lab is left. Raises BenchmarkFailed when a step of it fails."""

    def __init__(self) -> None:
        self.instance = Instance(os.environ.get("SANDBOX_NAME", "bench"))
        self.collections = OUT / "collections" / self.instance.name

    def __enter__(self) -> Lab:
        artifact.install(artifact.build(ROOT / "build"), self.collections)
        self.sandbox("up")
        return self

    def __exit__(self, *_: object) -> None:
        self.sandbox("down")

    def sandbox(self, *arguments: str) -> None:
        """Run the sandbox's command line."""
        command = [sys.executable, "-m", "sandbox", "--name", self.instance.name, *arguments]
        if subprocess.run(command, cwd=ROOT, check=False).returncode != 0:
            raise BenchmarkFailed(f"sandbox {' '.join(arguments)} failed")

    def pristine(self, **switches: t.Any) -> None:
        """Put the sandbox back to its first state, with these settings alone (`__` for a key's dot)."""
        self.sandbox("reset")
        file = self.instance.settings_file
        settings.update(file, {key: None for key in settings.load(file) if key.startswith("operators.")})
        settings.update(file, {key.replace("__", "."): value for key, value in switches.items()})

    def slow_operators(self, seconds: float) -> None:
        """Put the sandbox back, with every operator taking `seconds` until it is ready."""
        self.pristine()
        settings.update(self.instance.settings_file, {f"operators.{name}.start_seconds": seconds for name in OPERATORS})

    def install(self) -> float:
        """Run our install playbook and return its seconds."""
        demo.OUT.mkdir(parents=True, exist_ok=True)
        done = demo.play("install", self.instance, self.collections, OUT / "install.log")
        if not done["ok"]:
            raise BenchmarkFailed(f"install: {done['error']}")
        return float(done["seconds"])

    def peer(self, playbook: str) -> float:
        """Run a playbook of benchmarks/peers and return its seconds."""
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("ANSIBLE_", "K8S_AUTH_"))}
        environment |= {
            "ANSIBLE_COLLECTIONS_PATH": str(self.collections),
            "ANSIBLE_LOCALHOST_WARNING": "false",
            "K8S_AUTH_KUBECONFIG": str(self.instance.kubeconfig),
        }
        program = str(Path(sys.executable).parent / "ansible-playbook")
        return self._timed([program, str(PEERS / playbook)], playbook, environment)

    def script(self, name: str) -> float:
        """Run a shell script of benchmarks/peers, with the sandbox's kubectl first in PATH, and return its seconds."""
        environment = {**os.environ, "KUBECONFIG": str(self.instance.kubeconfig)}
        environment["PATH"] = f"{tools.directory() / 'bin'}{os.pathsep}{environment['PATH']}"
        return self._timed(["bash", str(PEERS / name)], name, environment)

    @staticmethod
    def _timed(command: list[str], name: str, environment: dict[str, str]) -> float:
        started = time.monotonic()
        with (OUT / f"{name}.log").open("w", encoding="utf-8") as log:
            code = subprocess.run(command, cwd=OUT, env=environment, stdout=log, stderr=log, check=False).returncode
        if code != 0:
            raise BenchmarkFailed(f"{name} failed: see {log.name}")
        return time.monotonic() - started
