"""Run a command in a copy of the collection at its proper path (see tree.py): in_tree.py COMMAND ARGUMENT ..."""

from __future__ import annotations

import os
import subprocess
import sys

import tree

OUT = tree.ROOT / "build" / "test"


def main(command: list[str]) -> int:
    """Return the command's exit code."""
    place = tree.make(OUT / "tree", left_out=("sandbox", "tests"))
    # Tools copy collections by what git knows of them; the environments below the checkout are no part of its git.
    environment = {**os.environ, "GIT_CEILING_DIRECTORIES": str(tree.ROOT)}
    return subprocess.run(command, cwd=place, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
