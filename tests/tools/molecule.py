"""Run molecule's scenarios against a sandbox and the built, installed collection: molecule.py [SCENARIO]

Alone it tells the whole story, from an empty cluster. In a run of all tests that story is told by the tests of the
install already: there the scenario begins with what they have left, so that its install has to find nothing to do.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.toolkit import slots  # noqa: E402 - the checkout is no installed package


def main(arguments: list[str]) -> int:
    """Return molecule's exit code."""
    environment = {
        **os.environ,
        "MOLECULE_GLOB": "molecule/*/molecule.yml",
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "build" / "molecule" / "collections"),
        "SANDBOX_PYTHON": sys.executable,
    }
    command = [str(Path(sys.executable).parent / "molecule"), "test", "--scenario-name", *(arguments or ["default"])]
    name = os.environ.get(slots.NAME_VARIABLE)
    if not name:
        return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode
    slot = slots.Slot(name)
    slot.bring("installed")
    slot.state = slots.UNKNOWN
    code = subprocess.run(command, cwd=ROOT, env={**environment, "SANDBOX_PREPARED": "1"}, check=False).returncode
    slot.state = slots.UNKNOWN if code else "installed"
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
