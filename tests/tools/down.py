"""Stop every sandbox of this user: the demonstration's, and those of tests and benchmarks. Their data is kept."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from sandbox.paths import home_dir  # noqa: E402


def main() -> int:
    """Stop them one by one; return 1 when one of them could not be stopped."""
    home = home_dir()
    names = sorted(path.name for path in home.iterdir() if (path / "secrets").is_dir()) if home.is_dir() else []
    codes = [
        subprocess.run([sys.executable, "-m", "sandbox", "--name", name, "down"], cwd=ROOT, check=False).returncode
        for name in names
    ]
    if not names:
        print("no sandbox of this user is there")
    return 1 if any(codes) else 0


if __name__ == "__main__":
    sys.exit(main())
