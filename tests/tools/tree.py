"""A copy of the checkout at a real .../ansible_collections/rhdh/orchestrator, as ansible-test wants it.

ansible-test follows symbolic links, so the checkout itself can only be used when it lies at such a path already.
"""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# Part of the repository, not of the collection: checked by ruff, mypy and their own tests.
LEFT_OUT = (
    "sandbox",
    "benchmarks",
    "requirements",
    "tests/conformance",
    "tests/integration",
    "tests/toolkit",
    "tests/tools",
    "tests/unit/recorded",
    "tests/unit/sandbox",
    "tests/unit/tools",
)


def files() -> list[str]:
    """Return the files that git knows or would add, relative to the repository."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    return sorted({name for name in listed.split("\0") if name and (ROOT / name).is_file()})


def bundled_collections() -> Path:
    """Return the folder of the collections that came with the running Python's `ansible` package."""
    spec = importlib.util.find_spec("ansible_collections.kubernetes.core")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    return Path(next(iter(spec.submodule_search_locations))).parents[1]


def make(base: Path, left_out: tuple[str, ...] = LEFT_OUT) -> Path:
    """Write the copy below `base`, with kubernetes.core as its neighbour; return the copy's folder."""
    place = base / "ansible_collections" / "rhdh" / "orchestrator"
    shutil.rmtree(place, ignore_errors=True)
    for name in files():
        if name.startswith(tuple(f"{folder}/" for folder in left_out)):
            continue
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, place / name)
    neighbour = base / "ansible_collections" / "kubernetes" / "core"
    if not neighbour.exists():
        shutil.copytree(bundled_collections() / "kubernetes" / "core", neighbour)
    # A repository of its own, or tools would ask the outer one, which ignores everything below build/.
    subprocess.run(["git", "init", "-q", str(place)], check=True)
    return place
