"""Things that go wrong in a cluster, on demand: requests that fail, parts that stop, data that vanishes."""

from __future__ import annotations

from pathlib import Path

from sandbox.paths import Instance


def rules_file(instance: Instance) -> Path:
    """JSON list of the fault proxy's rules (see sandbox.faults.rules)."""
    return instance.root / "faults.json"


def hits_file(instance: Instance) -> Path:
    """JSON: how often each rule has struck, by rule id; written by the proxy."""
    return instance.root / "fault-hits.json"
