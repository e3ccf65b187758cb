"""The whole install: fresh against its own critical path, and again against a plain kubernetes.core playbook."""

from __future__ import annotations

import typing as t

from benchmarks import limits
from benchmarks.lab import Lab
from benchmarks.rows import Row

SLOW = 30.0  # seconds that every operator takes until it is ready


def measure() -> t.Iterator[Row]:
    """Yield install.fresh and install.rerun (seconds)."""
    with Lab() as lab:
        lab.slow_operators(SLOW)
        limit = limits.install(lab.instance.kubeconfig)
        lab.slow_operators(SLOW)
        fresh = lab.install()
        note = f"every operator takes {SLOW:.0f} s, against the earliest possible requests without any check"
        yield Row("install.fresh", fresh, limit=limit, goal=1.5, note=note)
        ours = min(lab.install() for _ in range(2))
        theirs = min(lab.peer("install.yml") for _ in range(2))
        yield Row(
            "install.rerun", ours, peer=theirs, goal=0.5, note="nothing to do, against a kubernetes.core playbook"
        )
