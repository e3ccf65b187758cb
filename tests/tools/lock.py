"""Write requirements/*.txt anew from requirements/*.in, each with the Python of its row.

No index address is written, so that the files hold for every mirror. A pin that is already in a file is kept as long
as the inputs allow it; `--upgrade` takes the newest of everything.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ROWS = {"py311": ".venv", "newest": ".venv-newest", "go": ".venv"}
FLAGS = [
    *("--quiet", "--generate-hashes", "--allow-unsafe", "--strip-extras", "--no-header", "--no-annotate"),
    *("--no-emit-index-url", "--no-emit-find-links", "--no-emit-trusted-host"),
]


def main() -> int:
    """Compile each row; return the first failing exit code, else 0."""
    for row, environment in ROWS.items():
        print(f"{row}: compiling", flush=True)
        command = [
            str(ROOT / environment / "bin" / "pip-compile"),
            *FLAGS,
            *sys.argv[1:],
            "-o",
            f"{row}.txt",
            f"{row}.in",
        ]
        code = subprocess.run(command, cwd=ROOT / "requirements", check=False).returncode
        if code != 0:
            return code
    return 0


if __name__ == "__main__":
    sys.exit(main())
