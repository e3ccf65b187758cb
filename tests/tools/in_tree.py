"""Run a command in a copy of the collection at its proper path (see tree.py): in_tree.py COMMAND ARGUMENT ..."""

from __future__ import annotations

import subprocess
import sys

import tree

OUT = tree.ROOT / "build" / "test"


def main(command: list[str]) -> int:
    """Return the command's exit code."""
    place = tree.make(OUT / "tree", left_out=("sandbox", "tests"))
    return subprocess.run(command, cwd=place, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
