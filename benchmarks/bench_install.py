"""The whole install: fresh against its own critical path, and again against a plain kubernetes.core playbook."""

from __future__ import annotations

import typing as t

from benchmarks.lab import Lab
from benchmarks.rows import Row

SLOW = 30.0  # seconds that every operator takes until it is ready
# Nothing can be faster than this: all operators start side by side, but the operands of one can only follow it.
# With operators that need no time, the install itself is measured and added: it is the rest of the path.


def measure() -> t.Iterator[Row]:
    """Yield install.fresh and install.rerun (seconds)."""
    with Lab() as lab:
        lab.pristine()
        quick = lab.install()
        ours = min(lab.install() for _ in range(2))
        theirs = min(lab.peer("install.yml") for _ in range(2))
        yield Row("install.rerun", ours, theirs, 0.5, note="nothing to do, against one kubernetes.core task per object")
        lab.slow_operators(SLOW)
        slow = lab.install()
        note = f"every operator takes {SLOW:.0f} s, against {SLOW:.0f} s and an install whose operators take none"
        yield Row("install.fresh", slow, SLOW + quick, 1.2, note=note)
