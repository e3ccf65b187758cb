"""The HTTP libraries that the engine is tested with: the one of the environment, and the one of older platforms."""

from __future__ import annotations

import importlib
import sys
import types
import typing as t
from pathlib import Path

import pytest
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube import client as kube_client
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube import session as kube_session
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube import transport
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait import watch as wait_watch

BOTH = pytest.mark.parametrize("library", ["urllib3", "urllib3-1.26"])
PLACE = Path(sys.prefix, "old-urllib3")


def _old() -> types.ModuleType:
    """Import urllib3 1.26 beside the one that is imported already."""
    if not (PLACE / "urllib3").is_dir():
        pytest.fail("urllib3 1.26 is not beside this environment: make it with tests/tools/venv.py")
    ours = {name: module for name, module in sys.modules.items() if name.split(".")[0] == "urllib3"}
    for name in ours:
        del sys.modules[name]
    sys.path.insert(0, str(PLACE))
    try:
        return importlib.import_module("urllib3")
    finally:
        sys.path.remove(str(PLACE))
        for name in [name for name in sys.modules if name.split(".")[0] == "urllib3"]:
            del sys.modules[name]
        sys.modules.update(ours)


_loaded: dict[str, types.ModuleType] = {}


def use(library: str, monkeypatch: pytest.MonkeyPatch) -> t.Any:
    """Make the product work with a library, as where only that one is installed; return it, None for the usual one."""
    if library == "urllib3":
        return None
    if library not in _loaded:
        _loaded[library] = _old()
    old = _loaded[library]
    assert old.__version__.startswith("1.26.")
    monkeypatch.setattr(kube_client, "urllib3", old)
    for module in (kube_session, transport, wait_watch):
        monkeypatch.setattr(module, "HTTP_ERRORS", (old.exceptions.HTTPError, *kube_client.HTTP_ERRORS[1:]))
    return old
