"""The collection as users get it: build the tarball from this checkout and install it into a folder, offline.

    python -m sandbox.artifact FOLDER      build, and install below FOLDER/ansible_collections

kubernetes.core, the only dependency, comes with the `ansible` package of the environment that runs this.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


class ArtifactError(Exception):
    """The tarball could not be built or installed; the text ends with ansible-galaxy's own output."""


def _galaxy(*arguments: str) -> None:
    tool = Path(sys.executable).parent / "ansible-galaxy"
    # From the checkout no collection may be found, or galaxy would think that ours is already installed.
    environment = {
        key: value for key, value in os.environ.items() if not key.startswith("ANSIBLE_") and key != "PYTHONPATH"
    }
    done = subprocess.run(
        [str(tool), "collection", *arguments],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise ArtifactError(f"ansible-galaxy collection {arguments[0]} failed:\n{done.stdout}{done.stderr}")


def build(folder: Path) -> Path:
    """Build the tarball into `folder` (made when missing) and return its path. Raises ArtifactError."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        _galaxy("build", "--output-path", scratch)
        built = next(Path(scratch).glob("*.tar.gz"))
        return built.replace(folder / built.name)


def install(tarball: Path, folder: Path) -> Path:
    """Install a tarball below `folder`; return the folder for ANSIBLE_COLLECTIONS_PATH. Raises ArtifactError."""
    folder.mkdir(parents=True, exist_ok=True)
    _galaxy("install", "--force", "--no-deps", "--collections-path", str(folder), str(tarball))
    return folder


def main(arguments: list[str]) -> int:
    """Run the command line; return the exit code."""
    if len(arguments) != 1:
        print(__doc__)
        return 2
    folder = Path(arguments[0]).absolute()
    try:
        install(build(ROOT / "build"), folder)
    except ArtifactError as error:
        print(error, file=sys.stderr)
        return 1
    print(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
