"""Switches of a running sandbox: one flat JSON file, read again whenever it changes.

Every played process finds the file through the environment variable SANDBOX_SETTINGS, so a test can slow an operator
down or make a service fail without restarting anything. Keys are dotted names, values any JSON value.
"""

from __future__ import annotations

import json
import os
import tempfile
import typing as t
from pathlib import Path

_cache: dict[str, tuple[tuple[int, int], dict[str, t.Any]]] = {}


def load(path: str | Path | None = None) -> dict[str, t.Any]:
    """Return all settings; empty when the file does not exist. `path` defaults to $SANDBOX_SETTINGS."""
    name = str(path or os.environ.get("SANDBOX_SETTINGS", ""))
    if not name:
        return {}
    try:
        status = os.stat(name)
    except FileNotFoundError:
        return {}
    stamp = (status.st_mtime_ns, status.st_ino)
    cached = _cache.get(name)
    if cached is None or cached[0] != stamp:
        with open(name, encoding="utf-8") as stream:
            cached = (stamp, json.load(stream))
        _cache[name] = cached
    return cached[1]


def get(key: str, default: t.Any = None, path: str | Path | None = None) -> t.Any:
    """Return one setting, or `default` when it is not set."""
    return load(path).get(key, default)


def update(path: str | Path, values: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """Set the given keys (None removes one) and return all settings. The file is replaced in one step."""
    merged = {**load(path), **values}
    merged = {key: value for key, value in sorted(merged.items()) if value is not None}
    target = Path(path)
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=target.parent, delete=False) as stream:
        json.dump(merged, stream, indent=1)
    os.chmod(stream.name, 0o644)  # processes that dropped root read it too
    os.replace(stream.name, target)
    return merged
