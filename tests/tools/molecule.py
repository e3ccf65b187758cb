"""Run molecule's scenarios against a sandbox and the built, installed collection: molecule.py [SCENARIO]"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def main(arguments: list[str]) -> int:
    """Return molecule's exit code."""
    environment = {
        **os.environ,
        "MOLECULE_GLOB": "molecule/*/molecule.yml",
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "build" / "molecule" / "collections"),
        "SANDBOX_PYTHON": sys.executable,
    }
    command = [str(Path(sys.executable).parent / "molecule"), "test", "--scenario-name", *(arguments or ["default"])]
    return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
