"""Make this checkout importable as the collection it is, wherever it lies: no installation, nothing to set."""

from __future__ import annotations

import importlib.util
import shutil
import sys
import tempfile
from pathlib import Path

import hypothesis
import pytest

ROOT = Path(__file__).resolve().parents[2]
NAMESPACE, NAME = "rhdh", "orchestrator"


# A busy machine is no failure: how long one example takes says nothing here.
hypothesis.settings.register_profile("project", deadline=None)
hypothesis.settings.load_profile("project")


def _is_there() -> bool:
    """True when the collection can be imported already, as under ansible-test."""
    try:
        return importlib.util.find_spec(f"ansible_collections.{NAMESPACE}.{NAME}.plugins.module_utils") is not None
    except ModuleNotFoundError:
        return False


def pytest_configure(config: pytest.Config) -> None:
    if _is_there():
        return
    tree = Path(tempfile.mkdtemp(prefix="collection-"))
    config.add_cleanup(lambda: shutil.rmtree(tree, ignore_errors=True))
    place = tree / "ansible_collections" / NAMESPACE
    place.mkdir(parents=True)
    (place / NAME).symlink_to(ROOT, target_is_directory=True)
    sys.path.insert(0, str(tree))
    # The search above has cached that rhdh is not there.
    importlib.invalidate_caches()
