"""Plays of the built collection against the sandbox of this folder."""

from __future__ import annotations

import os
import subprocess
import sys
import typing as t
from pathlib import Path

import yaml

from .hands import Hands, Object


def run(
    hands: Hands, collections: Path, folder: Path, tasks: t.Sequence[Object], *arguments: str
) -> subprocess.CompletedProcess[str]:
    """Run ansible-playbook with one play of these tasks on localhost."""
    book = [{"hosts": "localhost", "connection": "local", "gather_facts": False, "tasks": list(tasks)}]
    (folder / "play.yml").write_text(yaml.safe_dump(book, sort_keys=False), encoding="utf-8")
    variables = {
        **{key: value for key, value in os.environ.items() if not key.startswith(("ANSIBLE_", "K8S_AUTH_"))},
        "ANSIBLE_COLLECTIONS_PATH": str(collections),
        "ANSIBLE_HOME": str(folder / "home"),
        "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
        "KUBECONFIG": str(hands.instance.kubeconfig),
    }
    command = [str(Path(sys.executable).parent / "ansible-playbook"), "play.yml", *arguments]
    return subprocess.run(command, cwd=folder, env=variables, text=True, capture_output=True, check=False)
